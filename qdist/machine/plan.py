"""What a program becomes before it runs: kernel calls on numbered vectors, with their digits and their bytes.

A plan is data. The executor reads it from front to back; nothing in it depends on the numbers in a state.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qdist.machine.instructions import Test


@dataclass(frozen=True, eq=False)
class Load:
    """A new vector in a slot."""

    slot: int
    vector: Any


@dataclass(frozen=True)
class Merge:
    """The vector of `slot` becomes its tensor product with that of `other`, whose digits come last."""

    slot: int
    other: int


@dataclass(frozen=True, eq=False)
class Transfer:
    """Contract digits with a matrix; new digits in front (see `qdist_kernels.transfer`).

    With `test`, asked of drawn bits, a shot uses `matrix` where it holds and `otherwise` elsewhere.
    """

    slot: int
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    matrix: Any
    test: Test | None = None
    otherwise: Any = None


@dataclass(frozen=True, eq=False)
class Scale:
    """Multiply entries by factors of some digits."""

    slot: int
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    factors: Any


@dataclass(frozen=True, eq=False)
class Draw:
    """Draw the outcome of an observation for each shot, project, and keep what is left of the digit in front.

    `outcomes` are matrices (rows, 4). With `when`, shots where the test fails are left alone and their bit is a copy
    of `otherwise` (a drawn bit, or a constant; `None` is 0).
    """

    slot: int
    dims: tuple[int, ...]
    axis: int
    outcomes: tuple[Any, Any]
    confusion: Any
    bit: str
    purpose: int
    when: Test | None = None
    otherwise: str | int | None = None


@dataclass(frozen=True)
class Xor:
    """A drawn bit that is the sum of drawn bits modulo 2."""

    bit: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Keep:
    """A branch is kept: by the trace of `slot` (exact), or by a test of drawn bits for each shot.

    `is_herald` tells a herald of the program from an outcome that the job postselects.
    """

    label: str
    is_herald: bool
    slot: int | None = None
    test: Test | None = None


@dataclass(frozen=True)
class Part:
    """Where some wires are: in this slot, at these axes (ascending), in the order `wires`."""

    slot: int
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    wires: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Read:
    """Reduced states of groups of qubits: for each group its parts, and the matrix that each qubit still suffers."""

    label: str
    time: Any
    groups: tuple[tuple[str, ...], ...]
    parts: tuple[tuple[Part, ...], ...]
    relaxations: tuple[tuple[Any, ...], ...]


Operation = Load | Merge | Transfer | Scale | Draw | Xor | Keep | Read


@dataclass(frozen=True, eq=False)
class BitPlace:
    """Where an output bit is at the end: a constant, a drawn bit, or a digit that is read through a confusion.

    `purpose` names the random numbers with which a digit is drawn at the end.
    """

    constant: int | None = None
    drawn: str | None = None
    wire: str | None = None
    confusion: Any = None
    purpose: int = 0


@dataclass(frozen=True)
class Census:
    """The clusters after an instruction: how many, digits (in bits of an index) of the largest, bytes of all."""

    instruction: int
    clusters: int
    largest: int
    bytes: int


@dataclass(frozen=True, eq=False)
class Plan:
    """Operations in order, where everything is at the end, and what it costs.

    Attributes:
        operations: What the executor does.
        final: Where every wire that is alive at the end is: one part per cluster, all its digits.
        bits: Where each output bit is at the end.
        census: The clusters over time, one entry whenever they change.
        peak_bytes: Upper bound of the bytes held at once: all vectors, and the input, copies and output of the
            operation under way.
        instructions: How many instructions were planned.
        passes: How many operations read a vector: the instructions that are left after fusion.
        shots: Vectors per slot once it was drawn from; 1 in exact mode.
    """

    operations: tuple[Operation, ...]
    final: tuple[Part, ...]
    bits: Mapping[str, BitPlace]
    census: tuple[Census, ...]
    peak_bytes: int
    instructions: int
    passes: int
    shots: int
    itemsize: int

    @property
    def largest(self) -> int:
        """Index bits of the largest cluster: 2 a qubit, 1 a classical bit."""
        return max((entry.largest for entry in self.census), default=0)

    def __str__(self) -> str:
        lines = [
            f"{self.instructions} instructions in {self.passes} passes, {self.shots} shot(s) at a time",
            f"peak memory {self.peak_bytes:,} bytes, largest cluster 2^{self.largest} entries",
        ]
        return "\n".join(lines)


def entries(dims: tuple[int, ...]) -> int:
    """Entries of a vector with these digits, as a Python integer of any size."""
    return math.prod(dims)
