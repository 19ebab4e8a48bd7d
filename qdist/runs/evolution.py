"""Where a run has led: vectors, drawn bits, heralds and what was read on the way."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.machine.comm import SERIAL, Comm


@dataclass(frozen=True, eq=False)
class Reading:
    """What one `Record` step saw: a vector (4ⁿ,) or (shots, 4ⁿ) per group, `None` where a qubit is not alive.

    `accepted` tells which shots had passed the heralds before it; `None` if every branch is carried.
    """

    label: str
    time: Any
    vectors: tuple[Any, ...]
    accepted: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class KeptBranch:
    """A herald or a postselected outcome: its probability given the earlier ones, or which shots are still accepted."""

    label: str
    is_herald: bool
    probability: Any = None
    accepted: np.ndarray | None = None


@dataclass(eq=False)
class Evolution:
    """Where a plan has led: vectors by slot, drawn bits, heralds and readings.

    Attributes:
        vectors: By slot, normalized to trace 1; shape (entries,) or (shots, entries); of a split cluster this rank's
            block, if it has one.
        comm: The ranks that hold the blocks of split clusters.
        drawn: Outcomes by bit, integers of shape (shots,).
        accepted: For each shot whether all heralds held, or `None` if every branch is carried.
        kept: The branches that were kept, in order.
        readings: In the order of the program.
    """

    vectors: dict[int, Any] = field(default_factory=dict)
    comm: Comm = SERIAL
    drawn: dict[str, np.ndarray] = field(default_factory=dict)
    accepted: np.ndarray | None = None
    kept: list[KeptBranch] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
