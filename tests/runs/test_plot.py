"""The figure of `qdist plot`: it has the panels that the result has data for, and the right numbers in them."""

import subprocess
import sys

import matplotlib.figure
import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.runs.results import Result
from qdist.runs.schema import Axis
from qdist.runs.stacking import stacked
from qdist.runs.views.plot import plot_result
from qdist.runs.views.records import last_values
from tests.sample_results import ATTRIBUTES, everything, outcomes, repeater_chain, sweep


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


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def lines_of(axes):
    """The lines with points, without the samples of the legend."""
    return [line for line in axes.get_lines() if len(line.get_xdata()) and line.get_marker() != "None"]


def test_a_sweep_over_one_field_is_drawn_as_lines_over_it(draw):
    result = sweep(1)
    figure = draw(result)
    assert titles(figure) == ["Metrics of alice–bob"]  # the time is the same at all points
    axes = panel(figure, "Metrics")
    assert axes.get_xlabel() == "t2 of every node (s)"
    assert axes.get_xscale() == "log"
    fidelity, chsh = lines_of(axes)[:2]
    np.testing.assert_allclose(fidelity.get_xdata(), [0.1, 1, 10])
    end = list(result["metrics/pair"]).index("alice/0-bob/0")
    np.testing.assert_allclose(fidelity.get_ydata(), result["metrics/fidelity"][:, -1, end])
    np.testing.assert_allclose(chsh.get_ydata(), result["metrics/chsh"][:, -1, end] / (2 * np.sqrt(2)))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[:4] == ["fidelity with Φ⁺", "entangled above ½", "CHSH / 2√2", "nonlocal above 1/√2"]


def test_values_are_drawn_in_their_order_and_whole_numbers_at_whole_numbers(draw):
    axis = Axis("program_rounds", "program.rounds", (3, 1, 2), "1", "rounds")
    axes = panel(draw(stacked([axis], [repeater_chain(4, memory=m) for m in (3e-3, 1e-3, 2e-3)])), "Metrics")
    assert lines_of(axes)[0].get_xdata().tolist() == [1, 2, 3]
    assert (np.diff(lines_of(axes)[0].get_ydata()) > 0).all()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3"]
    assert axes.get_xlabel() == "rounds"


def test_lengths_are_drawn_in_kilometers_and_times_in_a_fitting_unit(draw):
    axis = Axis("network_link_length", "network.link.length", (10e3, 20e3), "m", "length of every link")
    figure = draw(stacked([axis], [repeater_chain(length=length) for length in axis.values]))
    axes = panel(figure, "Time at which alice–bob is ready")
    assert axes.get_xlabel() == "length of every link (km)"
    assert axes.get_ylabel() == "simulated time (µs)"
    np.testing.assert_allclose(lines_of(axes)[0].get_ydata(), [250, 500])
    np.testing.assert_allclose(lines_of(axes)[0].get_xdata(), [10, 20])


def test_an_infinite_value_stands_in_a_row_with_the_others(draw):
    axis = Axis("network_device_t2", "network.device.t2", (np.inf, 1.0), "s", "t2 of every node")
    axes = panel(draw(stacked([axis], [repeater_chain(memory=m) for m in (np.inf, 1e-3)])), "Metrics")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "inf"]
    assert lines_of(axes)[0].get_xdata().tolist() == [0, 1]


def test_outcomes_correlators_and_heralds_of_a_sweep_are_lines(draw):
    points = [outcomes(), outcomes()]
    points[1] = Result(points[1].attributes, {**points[1].data, "results/success_probability": np.array(0.5)})
    figure = draw(stacked([Axis("run_seed", "run.seed", (1, 2), "1", "seed")], points))
    assert titles(figure) == ["(a) Correlators", "(b) Every herald succeeds", "(c) Outcomes"]
    assert lines_of(panel(figure, "Every herald"))[0].get_ydata().tolist() == [0.25, 0.5]
    assert lines_of(panel(figure, "Correlators"))[0].get_ydata().tolist() == [0.9, 0.9]
    assert lines_of(panel(figure, "Outcomes"))[0].get_ydata().tolist() == [outcomes().probability("000")] * 2


def test_a_grid_is_drawn_as_maps_with_a_bar_of_colors(draw):
    result = sweep(2)
    figure = draw(result)
    assert titles(figure) == [
        "(a) Fidelity of alice–bob, dashed at 0.5",
        "(b) CHSH value of alice–bob, dashed at 2",
        "(c) Concurrence of alice–bob",
        "(d) Simulated time of alice–bob",
    ]
    axes = panel(figure, "Fidelity")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("length of every link (km)", "t2 of every node (s)")
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    end = list(result["metrics/pair"]).index("alice/0-bob/0")
    expected = last_values(result, "metrics/fidelity")[..., end].T
    np.testing.assert_allclose(axes.collections[0].get_array(), expected)
    bars = [bar.get_ylabel() for bar in figure.axes if bar.get_label() == "<colorbar>"]
    assert bars == ["fidelity", "CHSH value", "concurrence", "simulated time (ms)"]


def test_each_value_of_a_map_is_inside_of_its_cell(draw):
    axes = panel(draw(sweep(2)), "Fidelity")
    corners = axes.collections[0].get_coordinates()
    across, up = corners[0, :, 0], corners[:, 0, 1]
    for places, edges in (([10, 50], across), ([0.1, 1, 10], up)):
        assert len(edges) == len(places) + 1
        assert all(low < place < high for low, place, high in zip(edges, places, edges[1:], strict=False))


def test_of_more_axes_the_first_two_are_drawn_and_the_others_named(draw):
    axes = [Axis(name, f"run.{name}", (1, 2), "1", name) for name in ("a", "b", "c")]
    figure = draw(stacked(axes, [repeater_chain(memory=1e-3 * (k + 1)) for k in range(8)]))
    assert figure.get_suptitle() == "Repeater chain, c = 1"
    assert (panel(figure, "Fidelity").get_xlabel(), panel(figure, "Fidelity").get_ylabel()) == ("a", "b")


def test_an_axis_with_one_value_leaves_lines_over_the_other(draw):
    axes = [Axis(name, f"run.{name}", values, "1", name) for name, values in (("a", (7,)), ("b", (1, 2)))]
    figure = draw(stacked(axes, [repeater_chain(memory=1e-3 * (k + 1)) for k in range(2)]))
    assert panel(figure, "Metrics").get_xlabel() == "b"
    assert draw(stacked(axes[:1], [repeater_chain()])).axes


def test_a_sweep_of_several_pairs_has_a_color_for_each(draw):
    data = {
        "metrics/step": np.array([0]),
        "metrics/pair": np.array([f"a-b{i}" for i in range(12)]),
        "metrics/fidelity": np.linspace(0.5, 1, 12)[None],
    }
    figure = draw(stacked([Axis("run_seed", "run.seed", (1, 2), "1", "seed")], [Result(ATTRIBUTES, data)] * 2))
    assert len(lines_of(panel(figure, "Metrics of pairs"))) == 8  # as many as there are colors


def test_text_of_a_sweep_from_a_file_is_no_formula(draw):
    axis = Axis("gain", "a", (1, 2), "$\\frac{$", "$\\frac{$ \x1b")
    draw(stacked([axis], [repeater_chain(), repeater_chain(memory=1e-3)]))
    other = Axis("loss", "b", (1, 2), "$x", "$x")
    draw(stacked([axis, other], [repeater_chain(memory=1e-3 * (k + 1)) for k in range(4)]))


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
        (Result(ATTRIBUTES, {}, axes=sweep(1).axes), "figure.png", "must hold metrics, outcomes or correlators"),
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
