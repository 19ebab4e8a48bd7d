"""The figure of `qdist plot`: it has the panels that the result has data for, and the right numbers in them."""

import subprocess
import sys

import matplotlib.figure
import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.runs.results import Result
from qdist.runs.views.plot import plot_result
from tests.sample_results import ATTRIBUTES, everything, outcomes, repeater_chain


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """A function that plots a result and returns the figure that was saved."""
    saved = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda self, *a, **k: (saved.append(self), save(self, *a, **k))
    )

    def drawn(result):
        plot_result(result, tmp_path / "figure.png")
        return saved[-1]

    return drawn


def panel(figure, words):
    return next(axes for axes in figure.axes if words in axes.get_title(loc="left"))


def joined():
    chain, bits = repeater_chain(), outcomes()
    return Result({**chain.attributes, **bits.attributes}, {**chain.data, **bits.data})


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_ending_chooses_the_format(tmp_path, suffix, begin):
    plot_result(outcomes(), tmp_path / f"figure.{suffix}")
    assert (tmp_path / f"figure.{suffix}").read_bytes().startswith(begin)


def test_there_is_a_panel_for_everything_that_the_result_has(draw):
    titles = [axes.get_title(loc="left") for axes in draw(joined()).axes]
    expected = ("(a) Correlations between nodes", "(b) Fidelity of pairs", "(c) Outcomes", "(d) Correlators")
    for title in expected:
        assert any(title in found for found in titles)
    titles = [axes.get_title(loc="left") for axes in draw(repeater_chain()).axes]
    assert not any("Outcomes" in title for title in titles)


def test_the_matrix_is_symmetric_and_says_what_the_end_nodes_share(draw):
    result = repeater_chain(4)
    axes = panel(draw(result), "Correlations between nodes at 250 µs")
    matrix = axes.images[0].get_array().filled(np.nan)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert matrix[0, 3] == result["metrics/mutual_information"][-1, list(result["metrics/pair"]).index("alice/0-bob/0")]
    assert np.isfinite(matrix).sum() == 2
    assert [label.get_text() for label in axes.get_xticklabels()] == ["alice", "r1", "r2", "bob"]
    letters = {(text.get_position()): text.get_text() for text in axes.texts}
    assert letters[3, 0] == letters[0, 3] == "E"
    assert letters[1, 0] == "•"
    assert "E entangled" in axes.get_xlabel()


def test_of_several_pairs_between_two_nodes_the_strongest_is_colored(draw):
    data = {
        "metrics/step": np.array([0]),
        "metrics/pair": np.array(["a/0-b/0", "b/1-a/1", "a/2-b/2", "a/3-b/3", "a/0-b/0-c/0"]),
        "metrics/concurrence": np.array([[0.2, 0.7, np.nan, 0.6, 0.9]]),
    }
    matrix = panel(draw(Result(ATTRIBUTES, data)), "nodes").images[0].get_array().filled(np.nan)
    assert matrix.shape == (2, 2)
    assert matrix[0, 1] == matrix[1, 0] == 0.7


def test_pairs_of_nodes_are_told_apart_although_names_have_hyphens(draw):
    data = {
        "network/node": np.array(["new-york", "boston"]),
        "metrics/step": np.array([0]),
        "metrics/pair": np.array(["new-york-boston"]),
        "metrics/fidelity": np.array([[0.9]]),
    }
    assert panel(draw(Result(ATTRIBUTES, data)), "nodes").images[0].get_array()[0, 1] == 0.9


def test_fidelities_are_drawn_over_time_in_a_fitting_unit(draw):
    result = repeater_chain(5)
    axes = panel(draw(result), "Fidelity of pairs")
    assert axes.get_xlabel() == "simulated time (µs)"
    drawn = [line for line in axes.get_lines() if len(line.get_xdata()) == len(result["metrics/time"])]
    np.testing.assert_allclose(drawn[0].get_xdata(), result["metrics/time"] * 1e6)
    shown = {tuple(np.nan_to_num(line.get_ydata())) for line in drawn}
    assert shown == {tuple(column) for column in np.nan_to_num(result["metrics/fidelity"]).T}


def test_few_pairs_show_chsh_and_concurrence_too(draw):
    axes = panel(draw(repeater_chain(3)), "Metrics of pairs")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["alice–bob", "alice–r1", "r1–bob", "fidelity with Φ⁺", "CHSH / 2√2", "concurrence"]
    peak = repeater_chain(3)["metrics/chsh"][0, 0] / (2 * np.sqrt(2))
    assert any(np.isclose(line.get_ydata()[:1], peak).all() for line in axes.get_lines() if len(line.get_ydata()))


def test_the_legend_names_eight_pairs_and_counts_the_others(draw):
    axes = panel(draw(repeater_chain(10)), "Fidelity of pairs")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(labels) == 10
    assert labels[0] == "alice–bob"
    assert labels[-2:] == ["9 more pairs", "entangled above ½"]


def test_one_record_is_drawn_pair_by_pair(draw):
    result = repeater_chain(4)
    data = {
        path: array[:1] if path.startswith("metrics/") and path != "metrics/pair" else array
        for path, array in result.data.items()
    }
    axes = panel(draw(Result(ATTRIBUTES, data)), "Metrics of pairs at 0 s")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["alice–r1", "r1–r2", "r2–bob"]


def test_the_most_probable_32_outcomes_are_drawn(draw):
    axes = panel(draw(outcomes(8)), "The 32 most probable of 256 outcomes")
    assert len(axes.patches) == 32
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["00000000", "11111111"]
    assert axes.patches[0].get_height() == outcomes(8).probability("00000000")


def test_correlators_are_bars_between_minus_one_and_one(draw):
    axes = panel(draw(outcomes()), "Correlators")
    assert [bar.get_height() for bar in axes.patches] == [0.9, 0.9, 0.8, -0.8]
    assert axes.get_ylim() == (-1.05, 1.05)


def test_a_result_with_every_array_and_dollar_signs_in_its_text_is_drawn(draw):
    result = everything()
    draw(Result({**result.attributes, "title": "$\\frac{$ \x1b", "bits": "$a$ _b"}, result.data))


def test_a_network_of_a_thousand_pairs_is_drawn(draw):
    names = [f"n{i}" for i in range(60)]
    pairs = [f"{a}-{b}" for i, a in enumerate(names) for b in names[i + 1 :]]
    values = np.random.default_rng(0).random((2, len(pairs)))
    data = {"metrics/step": np.arange(2), "metrics/pair": np.array(pairs), "metrics/fidelity": values}
    figure = draw(Result(ATTRIBUTES, data))
    labels = [text.get_text() for text in panel(figure, "Fidelity of pairs").get_legend().get_texts()]
    assert "992 of 1,762 more pairs" in labels


def test_what_cannot_be_drawn_is_refused_with_a_reason(tmp_path):
    nothing = Result(ATTRIBUTES, {"network/node": np.array(["a"])})
    never = {"metrics/step": np.array([0]), "metrics/pair": np.array(["a-b"]), "metrics/fidelity": np.array([[np.nan]])}
    table = [
        (outcomes(), "figure.jpg", r"must end in \.png, \.pdf, \.svg, but is .*figure\.jpg.*Try 'figure\.png'"),
        (outcomes(), "figure", "must end in"),
        (outcomes(), "missing/figure.png", "mkdir -p"),
        (nothing, "figure.png", "must hold metrics, outcomes or correlators"),
        (Result(ATTRIBUTES, never), "figure.png", "must hold metrics, outcomes or correlators"),
    ]
    for result, name, found in table:
        with pytest.raises(QdistError, match=found):
            plot_result(result, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_matplotlib_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(QdistError, match=r"pip install 'qdist\[analysis\]'"):
        plot_result(outcomes(), tmp_path / "figure.png")


def test_no_display_is_needed_and_no_setting_of_matplotlib_is_changed(tmp_path):
    code = (
        "import matplotlib; before = dict(matplotlib.rcParams)\n"
        "from qdist.runs.views.plot import plot_result; from tests.sample_results import outcomes\n"
        f"plot_result(outcomes(), {str(tmp_path / 'figure.png')!r})\n"
        "assert dict(matplotlib.rcParams) == before"
    )
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
