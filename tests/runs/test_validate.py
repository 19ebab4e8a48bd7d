"""Every published number in reach comes out of simulated steps, and a wrong one would be seen."""

import ast
import math
from pathlib import Path

import pytest

from qdist.runs.validation import NOT_IN_REACH, Row, run_validation, table
from qdist.runs.validation import pairs as pair_cases

PUBLISHED = {
    # row of the published list: numbers that must be among its expected values, as printed there
    1: [0.903333, 0.726667],
    2: [0.960533, 0.923143, 0.854163, 0.736684],
    3: [0.620438, 0.608889, 0.735294, 0.68, 0.926396, 0.875556],
    4: [0.735294, 0.845946, 0.934395, 0.972004, 0.996964, 0.68, 0.640138, 0.766253, 0.898387, 0.947670],
    5: [0.933333],
    6: [0.92, 0.96, 0.9, 0.95],
    7: [1, 2, 4],
    10: [10, 14.7368, 20.2734],
    11: [0.1, 0.152],
    12: [2.545584, 0.780330],
    13: [0.425, 0],
    14: [2 / 3, 0],
    15: [4, 8],
    16: [0.25, 0.99683],
    17: [0.838414, 0.427206, 0.11],
    18: [1.414],
    19: [0.833333, 0.853553],
    20: [0.961184],
    21: [1],
    22: [0.98**5, 0.95**3],
    24: [0.999014, 0.910434],
    25: [1.59],
    26: [2, 5, 4],
}


@pytest.fixture(scope="module")
def rows():
    return run_validation()


def test_every_row_that_is_in_reach_agrees(rows):
    assert [row for row in rows if not row.ok] == []


@pytest.mark.parametrize("number", PUBLISHED)
def test_the_expected_values_are_the_published_numbers(rows, number):
    expected = [row.expected for row in rows if row.number == number]
    for value in PUBLISHED[number]:
        digits = len(repr(value).partition(".")[2])
        assert any(abs(e - value) <= 0.5001 * 10 ** -min(digits, 6) for e in expected), f"{value} is not in {expected}"


def test_every_row_of_the_list_is_simulated_or_said_to_be_out_of_reach(rows):
    simulated = {row.number for row in rows}

    assert simulated.isdisjoint(NOT_IN_REACH)
    assert simulated | set(NOT_IN_REACH) == set(range(1, 29))


def test_only_sampled_rows_have_a_tolerance_above_1e_6(rows):
    assert all(row.tolerance <= 1e-6 or "shots" in row.case for row in rows)


def test_rows_are_in_the_order_of_the_list_and_have_distinct_cases(rows):
    assert [row.number for row in rows] == sorted(row.number for row in rows)
    assert len({(row.number, row.case) for row in rows}) == len(rows)


def test_simulated_numbers_move_with_what_is_simulated():
    """A different link, measured the same way, gives another number: nothing is written down beforehand."""
    assert pair_cases.werner_chsh(0.8) == pytest.approx(2 * math.sqrt(2) * 2.2 / 3, abs=1e-12)
    assert pair_cases.purified("dejmps", 0.8, 1) == pytest.approx((0.838150, 0.768889), abs=1e-6)


def test_a_broken_protocol_is_seen(monkeypatch):
    """Purification that keeps pairs whatever their parity says has success probability 1, and the rows are off."""
    from qdist.network.protocols import purification

    monkeypatch.setattr(purification, "parity_is", lambda bits, value: purification_always(bits))

    found = pair_cases.bbpssw()

    assert not any(row.ok for row in found if "success" in row.case)
    assert not any(row.ok for row in found if "fidelity" in row.case)


def purification_always(bits):
    from qdist.network.program import register_is

    return register_is(bits, 0, 1, 2, 3)


def row(simulated, tolerance=1e-6):
    return Row(1, "case", 1.0, simulated, tolerance, "source")


@pytest.mark.parametrize(
    ("simulated", "ok"), [(1.0, True), (1 + 9e-7, True), (1 - 9e-7, True), (1.1, False), (math.nan, False)]
)
def test_a_row_is_ok_inside_its_tolerance_and_never_if_it_is_not_a_number(simulated, ok):
    assert row(simulated).ok is ok


def test_the_table_fits_in_110_columns_and_says_how_many_agree(rows):
    text = table(rows)

    assert max(map(len, text.splitlines())) <= 110
    assert text.endswith(f"{len(rows)} of {len(rows)} numbers agree.")
    assert all(f"\n{number:4}  " in text for number in NOT_IN_REACH)


def test_the_table_points_at_a_number_that_is_off():
    text = table([row(1.0), row(2.0)])

    assert text.count(" ok ") == 1
    assert text.count(" OFF ") == 1
    assert text.endswith("1 of 2 numbers agree. 1 are off.")


def test_the_cases_never_ask_for_a_state_that_they_should_make():
    """They build states from gates, pairs and steps; only Bell states are prepared as such."""
    for path in Path(pair_cases.__file__).parent.glob("*.py"):
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        names = {alias.name for node in imports for alias in node.names}
        assert names.isdisjoint({"werner", "ghz", "graph_state", "w_state", "bell_diagonal", "process_fidelity"})
