"""The text of `qdist show` has the numbers that a reader looks for, fits the width, and cannot command a terminal."""

import numpy as np
import pytest

from qdist.runs.results import Result
from qdist.runs.views.show import describe, last_record, most_interesting, time_unit
from tests.sample_results import ATTRIBUTES, everything, outcomes, repeater_chain


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
    [everything(), repeater_chain(12, sampled=True), outcomes(10), Result({}, {})],
    ids=["all", "12", "10", "none"],
)
def test_no_line_is_wider_than_a_hundred_columns(result):
    long = Result({**result.attributes, "title": "t" * 300, "bits": "bit " * 100}, result.data)
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


def test_what_was_not_read_is_named():
    assert "not read  mine, note" in describe(Result({}, {}, unknown=("mine", "note")), "x")


def test_times_have_a_fitting_unit():
    table = {0.0: "s", 3e-10: "ns", 5e-9: "ns", 2.5e-7: "ns", 1e-6: "µs", 0.02: "ms", 40.0: "s"}
    for seconds, name in table.items():
        assert time_unit(seconds)[1] == name
