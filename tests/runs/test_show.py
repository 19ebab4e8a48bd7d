"""The text of `qdist show` has the numbers that a reader looks for, fits the width, and cannot command a terminal."""

import numpy as np
import pytest

from qdist.runs.results import Result
from qdist.runs.schema import Axis
from qdist.runs.stacking import stacked
from qdist.runs.views.records import last_record, last_values, most_interesting
from qdist.runs.views.show import describe
from qdist.runs.views.text import time_unit
from tests.sample_results import ATTRIBUTES, everything, outcomes, repeater_chain, sweep


def row(text, begin):
    """The words of the first line that begins with `begin`."""
    return next(line.split() for line in text.splitlines() if line.strip().startswith(begin))


def test_the_heading_says_what_was_run_and_with_what():
    text = describe(Result({**everything().attributes, "jax_version": "0.10.2"}, {}), "runs/a.h5")
    for words in ("Repeater chain", "runs/a.h5", "mode exact", "1,000 shots", "seed 7", "float32", "250 ms", "0.10.2"):
        assert words in text


def test_each_pair_shows_its_last_values_and_when_they_were():
    text = describe(repeater_chain(4), "x")
    w = 0.96 * 0.95 * 0.94 * np.exp(-400e-6 / 2e-3)  # the qubits of all links wait
    assert row(text, "alice/0-bob/0")[1:4] == ["250", "µs", f"{(1 + 3 * w) / 4:.4f}"]
    assert row(text, "alice/0-bob/0")[-1] == "entangled"
    assert row(text, "alice/0-r1/0")[1:3] == ["50", "µs"]
    assert row(text, "alice/0-r1/0")[-1] == "bell-nonlocal"


def test_the_pair_that_lasts_longest_comes_first_then_the_most_entangled():
    result = repeater_chain(5)
    pairs = [str(result["metrics/pair"][i]) for i in most_interesting(result)]
    assert pairs[0] == "alice/0-bob/0"
    last = last_record(result)[most_interesting(result)]
    assert list(last) == sorted(last, reverse=True)
    both = [pairs.index("alice/0-r1/0"), pairs.index("r1/0-r2/0")]
    assert both == sorted(both)  # last together, alice's pair has the higher fidelity


def test_a_thousand_pairs_are_twelve_rows_and_a_count():
    count = 1002
    data = {
        "metrics/step": np.array([3]),
        "metrics/pair": np.array([f"a{i}/0-b{i}/0" for i in range(count)]),
        "metrics/fidelity": np.linspace(0, 1, count)[None],
    }
    text = describe(Result(ATTRIBUTES, data), "x")
    assert "… and 990 more pairs" in text
    assert row(text, "a1001/0-b1001/0")[1:] == ["step", "3", "1.0000"]
    assert text.count("/0-b") == 12


def test_pairs_that_never_were_say_so():
    data = {
        "metrics/step": np.array([3]),
        "metrics/pair": np.array(["a/0-b/0", "b/0-c/0"]),
        "metrics/fidelity": np.array([[np.nan, 0.5]]),
    }
    assert row(describe(Result(ATTRIBUTES, data), "x"), "a/0-b/0")[1:] == ["never", "–"]
    data["metrics/fidelity"] = np.full((1, 2), np.nan)
    assert "none of the 2 pairs existed" in describe(Result(ATTRIBUTES, data), "x")


def test_outcomes_are_listed_from_the_most_probable_on():
    text = describe(outcomes(6), "x")
    lines = text[text.index("Outcomes") :].splitlines()
    assert lines[3].split() == ["000000", "0.4516", "0.0079", "1,806"]
    assert "of the bits m0 m1 m2 m3 m4 m5" in lines[0]
    assert "… and 48 more outcomes" in text


def test_correlators_heralds_ledger_and_clusters_are_there():
    text = describe(outcomes(), "x")
    assert row(text, "YYX") == ["YYX", "-0.8000", "0.0100"]
    assert "Every herald succeeds with probability 0.2500" in text
    text = describe(repeater_chain(), "x")
    assert row(text, "r1-r2") == ["r1-r2", "1.500", "1", "0.500", "65.359"]
    assert row(text, "total") == ["total", "4.500", "3", "1.500", "196.077"]
    assert row(text, "r1->bob") == ["r1->bob", "2"]
    assert "at most 3 at a time, the largest of 2^4 entries, at most 2 KiB in all" in text


@pytest.mark.parametrize(
    "result",
    [everything(), repeater_chain(12, sampled=True), outcomes(10), Result({}, {}), sweep(1), sweep(2, sampled=True)],
    ids=["all", "12", "10", "none", "sweep", "grid"],
)
def test_no_line_is_wider_than_a_hundred_columns(result):
    long = Result({**result.attributes, "title": "t" * 300, "bits": "bit " * 100}, result.data, axes=result.axes)
    assert max(map(len, describe(long, "p" * 300).splitlines())) <= 100


def test_standard_errors_are_given_in_sampled_mode():
    assert "standard errors up to: fidelity 0.01" in describe(repeater_chain(sampled=True), "x")


def test_control_characters_from_a_file_never_reach_the_terminal():
    evil = "a\x1b[2Jb\r\nc"
    data = {
        "metrics/step": np.array([0]),
        "metrics/pair": np.array([evil]),
        "metrics/fidelity": np.array([[1.0]]),
        "results/outcome": np.array([evil]),
        "results/probabilities": np.array([1.0]),
        "results/pauli": np.array([evil]),
        "results/correlators": np.array([1.0]),
        "results/herald": np.array([evil]),
        "results/herald_probability": np.array([1.0]),
        "ledger/link": np.array([evil]),
        "ledger/pairs_made": np.array([1.0]),
    }
    attributes = {"title": evil, "mode": evil, "bits": evil, "qubits": evil, "qdist_version": evil}
    text = describe(Result(attributes, data, unknown=(evil,)), evil)
    assert all(char.isprintable() or char == "\n" for char in text)
    assert text.count("a?[2Jb??c") == 12
    axes = (Axis("gain", evil, (1, 2), evil, evil), Axis("loss", evil, (1, 2), evil, evil))
    for chosen in (axes, axes[:1]):
        swept = stacked(chosen, [Result(attributes, data)] * 2 ** len(chosen))
        text = describe(Result(attributes, swept.data, axes=chosen), evil)
        assert all(char.isprintable() or char == "\n" for char in text)
        assert text.count("a?[2Jb??c") > 8


def test_a_sweep_over_one_field_has_a_row_for_each_point():
    result = sweep(1)
    text = describe(result, "x")
    assert "Sweep of 3 points" in text
    assert row(text, "network.device.t2") == ["network.device.t2", "t2", "of", "every", "node", "0.1,", "1,", "10", "s"]
    assert "metrics of alice/0-bob/0 at its last record" in text
    end = list(result["metrics/pair"]).index("alice/0-bob/0")
    for number, value in enumerate(("0.1", "1", "10")):
        cells = row(text[text.index("Main numbers") :], f"{value} ")
        assert cells[:2] == [value, f"{result['metrics/fidelity'][number, -1, end]:.4f}"]
        assert cells[-2:] == ["250", "µs"]


def test_a_long_sweep_shows_both_ends_and_counts_the_other_points():
    points = [repeater_chain(4, memory=seconds) for seconds in np.linspace(1e-3, 2e-3, 1000)]
    text = describe(stacked([Axis("gain", "gain", range(1000))], points), "x")
    assert row(text[text.index("Main") :], "0 ")[0] == "0"
    assert row(text, "999 ")[0] == "999"
    assert "… and 988 more points" in text


def test_a_grid_shows_the_range_of_each_number_and_where_its_ends_are():
    result = sweep(2)
    text = describe(result, "x")
    fidelity = last_values(result, "metrics/fidelity")[..., list(result["metrics/pair"]).index("alice/0-bob/0")]
    found = row(text, "fidelity")
    assert found == ["fidelity", f"{fidelity[1, 0]:.4f}", "50000,", "0.1", f"{fidelity[0, 2]:.4f}", "10000,", "10"]
    assert "there: at link.length (m), device.t2 (s)" in text
    assert row(text, "time") == ["time", "250", "µs", "10000,", "0.1", "1.25", "ms", "50000,", "0.1"]
    assert "bell-nonlocal at 2, entangled at 1, discordant at 3 of 6 points" in text


def test_standard_errors_of_a_sweep_are_given():
    assert "standard errors up to: fidelity 0.01" in describe(sweep(1, sampled=True), "x")


def test_a_sweep_without_pairs_shows_its_most_probable_outcomes_and_correlators():
    points = [outcomes(), Result(outcomes().attributes, {**outcomes().data, "results/correlators": np.zeros(4)})]
    text = describe(stacked([Axis("gain", "gain", (1, 2))], points), "x")
    header = next(line for line in text.splitlines() if "P(000)" in line)
    strings, bits = ["⟨ZZI⟩", "⟨IZZ⟩", "⟨XXX⟩", "⟨YYX⟩"], ["P(000)", "P(111)", "P(001)", "P(010)"]
    assert header.split()[1:] == [*strings, *bits, "probability"]
    assert row(text, "1 ")[1:6] == ["0.9000", "0.9000", "0.8000", "-0.8000", "0.4625"]


def test_the_last_record_of_a_point_is_its_own():
    nan = np.nan
    data = {
        "metrics/step": np.arange(3),
        "metrics/pair": np.array(["a-b", "c-d"]),
        "metrics/fidelity": np.array([[[0.1, nan], [0.2, 0.3], [nan, nan]], [[0.4, nan], [nan, nan], [0.5, nan]]]),
    }
    result = Result({}, data, axes=(Axis("gain", "gain", (1, 2)),))
    assert last_record(result).tolist() == [[1, 1], [2, -1]]
    np.testing.assert_array_equal(last_values(result, "metrics/fidelity"), [[0.2, 0.3], [0.5, nan]])
    assert most_interesting(result) == [0, 1]


def test_a_sweep_that_recorded_nothing_says_which_fields_were_swept():
    text = describe(Result({}, {}, axes=(Axis("gain", "gain", (1, 2)),)), "x")
    assert "Sweep of 2 points" in text


def test_the_traffic_of_several_ranks_is_shown_and_that_of_one_is_not():
    def moved(ranks):
        data = {
            "traffic/rank": np.arange(ranks),
            "traffic/nodes": np.array(["alice bob", "carl", "", ""])[:ranks],
            "traffic/bytes_sent": np.arange(ranks) * 1024,
            "traffic/remaps": np.full(ranks, 3),
            "traffic/compute_seconds": np.full(ranks, 0.25),
        }
        return Result({}, data)

    text = describe(moved(4), "x")
    assert row(text[text.index("Traffic") :], "0 ") == ["0", "alice", "bob", "0", "B", "3", "250", "ms"]
    assert row(text[text.index("Traffic") :], "2 ") == ["2", "2", "KiB", "3", "250", "ms"]
    text = describe(stacked([Axis("gain", "gain", (1, 2))], [moved(2), moved(2)]), "x")
    assert row(text[text.index("Traffic") :], "1 ") == ["1", "carl", "2", "KiB", "6", "500", "ms"]
    assert "Traffic" not in describe(moved(1), "x")


def test_one_rank_is_not_worth_a_word():
    assert "4 ranks" in describe(Result({"ranks": 4}, {}), "x")
    assert "1 rank" not in describe(Result({"ranks": 1}, {}), "x")


def test_what_was_not_read_is_named():
    assert "not read  mine, note" in describe(Result({}, {}, unknown=("mine", "note")), "x")


def test_times_have_a_fitting_unit():
    table = {0.0: "s", 3e-10: "ns", 5e-9: "ns", 2.5e-7: "ns", 1e-6: "µs", 0.02: "ms", 40.0: "s"}
    for seconds, name in table.items():
        assert time_unit(seconds)[1] == name
