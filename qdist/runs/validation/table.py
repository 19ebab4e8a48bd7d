"""One row of the validation: a published number beside the simulated one, and the rows as text."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH = 110
TOLERANCE = 1e-6

NOT_IN_REACH: Mapping[int, str] = {
    8: "double-click heralding (Barrett-Kok): links deliver a given pair, photons and detectors are not simulated",
    9: "single-click heralding: as row 8",
    23: "Ramsey sensing with a dephasing rate: needs estimation over repeated shots of a total time",
    27: "distributed quantum Fourier transform: needs the partitioner of circuits",
    28: "two ion-trap modules: needs the partitioner and the published noise as a device",
}
"""Rows of the list of published results that cannot be simulated yet, and what is missing."""


@dataclass(frozen=True)
class Row:
    """A number that must come out.

    Attributes:
        number: Of the published result in the list; several rows may share it.
        case: What was simulated.
        expected: The published number, or its formula evaluated.
        simulated: What the simulated steps gave.
        tolerance: Largest absolute difference: rounding in float64, or five standard errors of a sampled mean.
        source: Where the number was published.
    """

    number: int
    case: str
    expected: float
    simulated: float
    tolerance: float
    source: str

    @property
    def ok(self) -> bool:
        """Whether the simulated number agrees; `False` if it is not a number."""
        return bool(abs(self.simulated - self.expected) <= self.tolerance)


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text of at most 110 columns, then the rows that are not in reach yet, then the sum."""
    width = max((len(row.case) for row in rows), default=4)
    lines = [f" row  {'case':<{width}}  {'expected':>10}  {'simulated':>10}  {'off by':>7}  {'':3}  source"]
    lines += [_line(row, width)[:WIDTH].rstrip() for row in rows]
    lines += ["", "Not in reach yet:"]
    for number, reason in NOT_IN_REACH.items():
        lines += textwrap.wrap(reason, WIDTH, initial_indent=f"{number:4}  ", subsequent_indent=" " * 6)
    wrong = sum(not row.ok for row in rows)
    lines += ["", f"{len(rows) - wrong} of {len(rows)} numbers agree." + (f" {wrong} are off." if wrong else "")]
    return "\n".join(lines)


def _line(row: Row, width: int) -> str:
    verdict = "ok" if row.ok else "OFF"
    difference = abs(row.simulated - row.expected)
    return (
        f"{row.number:4}  {row.case:<{width}}  {row.expected:10.6f}  {row.simulated:10.6f}  {difference:7.0e}  "
        f"{verdict:3}  {row.source}"
    )
