"""What a program becomes before it runs: kernel calls on numbered vectors, with their digits and their bytes.

A plan is data. The executor reads it from front to back; nothing in it depends on the numbers in a state.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from qdist.machine.instructions import EachShot, Test
from qdist_kernels import Program


@dataclass(frozen=True)
class Split:
    """That other ranks hold other parts of a vector, and whether this rank has none (it is all zeros here)."""

    is_empty: bool


@dataclass(frozen=True, eq=False)
class Load:
    """A new vector in a slot, with the digits of `wires`."""

    slot: int
    vector: Any
    wires: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Merge:
    """The vector of `slot` becomes its tensor product with that of `other`, whose digits come last."""

    slot: int
    other: int


@dataclass(frozen=True, eq=False)
class Transfer:
    """Contract digits with a matrix.

    With `in_place` the digits stay where they are (`qdist_kernels.update`), else new ones, those of `outputs`, come in
    front (`qdist_kernels.transfer`). With `test`, asked of drawn bits, a shot uses `matrix` where it holds and
    `otherwise` elsewhere. `factors`, if known, are the matrices whose product it is, the first to act first, each with
    its digits as places in `axes`.
    """

    slot: int
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    matrix: Any
    outputs: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    in_place: bool = False
    test: Test | None = None
    otherwise: Any = None
    factors: tuple[tuple[tuple[int, ...], Any], ...] = ()

    @property
    def differs_by_shot(self) -> bool:
        """Whether shots have matrices of their own, and so have vectors of their own afterwards."""
        return isinstance(self.matrix, EachShot) or self.test is not None


@dataclass(frozen=True, eq=False)
class Scale:
    """Multiply entries by factors of some digits."""

    slot: int
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    factors: Any


@dataclass(frozen=True, eq=False)
class Passes:
    """Operations of one slot that leave digits where they are, grouped so that many need one pass over the vector.

    Attributes:
        slot: Where the vector is.
        program: Bits of the index, not digits.
        count: How many operations it stands for.
    """

    slot: int
    program: Program
    count: int


@dataclass(frozen=True, eq=False)
class Draw:
    """Draw the outcome of an observation for each shot, project, and put what is left of its digits in front.

    `outcomes` are matrices on the digits at `axes`, and give those of `outputs`; `chances` are the rows of the trace
    after each, by which it is drawn. With `when`, shots where the test fails are left alone and their bit is a copy of
    `otherwise` (a drawn bit, or a constant; `None` is 0). With `other`, the vector is the tensor product with that of
    another slot, whose digits come last, begin at `cut`, and are never written out together.
    """

    slot: int
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    outcomes: tuple[Any, Any]
    chances: tuple[Any, Any]
    confusion: Any
    bit: str
    purpose: int
    outputs: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    when: Test | None = None
    otherwise: str | int | None = None
    other: int | None = None
    cut: int = 0
    split: Split | None = None


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
    split: Split | None = None


@dataclass(frozen=True)
class Part:
    """What a rank holds of a cluster: the bits of its vector's index, and the x bits that the rank's number gives.

    A qubit has two bits, x (more significant) and z; a classical bit, or a qubit that collapsed, has z only.

    Attributes:
        slot: Where the vector is.
        bits: Wire and `"x"` or `"z"` of each bit of the index, the most significant first.
        bands: Wires whose x bit is a rank bit, and its value on this rank.
        is_split: Whether other ranks hold other parts of the same vector.
        is_empty: Whether this rank's part is all zeros, and is not stored.
    """

    slot: int
    bits: tuple[tuple[str, str], ...]
    bands: tuple[tuple[str, int], ...] = ()
    is_split: bool = False
    is_empty: bool = False

    @property
    def wires(self) -> tuple[str, ...]:
        """The wires of the cluster, in the order of their z bits."""
        return tuple(wire for wire, kind in self.bits if kind == "z")

    @property
    def qubits(self) -> frozenset[str]:
        """The wires that have an x bit: four entries, here or over the ranks."""
        return frozenset([wire for wire, kind in self.bits if kind == "x"] + [wire for wire, _ in self.bands])

    def size(self, wire: str) -> int:
        """Entries of a wire's digit: 4, or 2 if it has no x bit."""
        return 4 if wire in self.qubits else 2


@dataclass(frozen=True, eq=False)
class Read:
    """Reduced states of groups of qubits: for each group its parts, and the matrix that each qubit still suffers."""

    label: str
    time: Any
    groups: tuple[tuple[str, ...], ...]
    parts: tuple[tuple[Part, ...], ...]
    relaxations: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Take:
    """A replicated vector becomes this rank's part of it: the entries whose bits at `axes` equal `values`."""

    slot: int
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    values: tuple[int, ...]


@dataclass(frozen=True)
class Remap:
    """x bits of qubits trade places with rank bits: one all-to-all in a group of 2^m ranks, in place.

    Entries whose bits at `axes` equal the partner's `values` are sent to it; what it sends takes their places.

    Attributes:
        slot: Where the block is.
        dims: Of the block.
        axes: The m bits that become rank bits, ascending.
        partners: The other ranks of the group, and the values of the bits that belong to each.
    """

    slot: int
    dims: tuple[int, ...]
    axes: tuple[int, ...]
    partners: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Spread:
    """Half of a block goes to a rank that has none: the bit at `axis` becomes a rank bit.

    Attributes:
        slot: Where the block is, or will be.
        dims: Of the block before.
        axis: The bit; the sender keeps 0.
        partner: The rank at the other end.
        sends: Whether this rank is the sender.
        batch: Vectors in the block, if there is one a shot.
    """

    slot: int
    dims: tuple[int, ...]
    axis: int
    partner: int
    sends: bool
    batch: int | None = None


@dataclass(frozen=True)
class Gather:
    """A split vector becomes replicated again: every rank gets every block.

    Attributes:
        slot: Where the block is, and the vector will be.
        dims: Of the block.
        ranks: The ranks that hold blocks, in the order of their rank bits' values.
        order: Where each bit of the result comes from, in (rank bits…, bits of the block…).
        is_empty: Whether this rank has no block.
        batch: Vectors in the block, if there is one a shot.
    """

    slot: int
    dims: tuple[int, ...]
    ranks: tuple[int, ...]
    order: tuple[int, ...]
    is_empty: bool
    batch: int | None = None


@dataclass(frozen=True)
class Drop:
    """This rank's part of the vector became all zeros: nothing is stored here."""

    slot: int


@dataclass(frozen=True)
class Stop:
    """Everything before this point of the plan for one process is done on all ranks, and nothing after it.

    Attributes:
        done: How many operations of the plan for one process are done.
        parts: What this rank holds of the clusters that are split; the others are replicated.
    """

    done: int
    parts: tuple[Part, ...] = ()


Operation = (
    Load | Merge | Transfer | Scale | Passes | Draw | Xor | Keep | Read | Take | Remap | Spread | Gather | Drop | Stop
)


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


class Census(NamedTuple):
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
        passes: How often a vector is read: once for each operation that fusion has left, or less when they are tiled.
        shots: Vectors per slot once it was drawn from; 1 in exact mode.
        ranks: How many ranks share the state.
        remaps: How often the layout of a split cluster changes.
        bytes_sent: Of blocks, by this rank.
        block_bytes: Of the largest block of a split cluster on this rank; 0 if none is split.
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
    ranks: int = 1
    remaps: int = 0
    bytes_sent: int = 0
    block_bytes: int = 0

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


def batched_by(operation: Operation, batched: Collection[int]) -> set[int]:
    """The slot that has one vector a shot after an operation, if those of `batched` had before it; or none."""
    match operation:
        case Draw(slot=slot):
            return {slot}
        case Transfer(slot=slot) if operation.differs_by_shot:
            return {slot}
        case Merge(slot=slot, other=other) if other in batched:
            return {slot}
    return set()


def entries(dims: tuple[int, ...]) -> int:
    """Entries of a vector with these digits, as a Python integer of any size."""
    return math.prod(dims)
