"""Which rank holds what of a cluster: the x bits of some qubits are given by the rank's number."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from qdist.machine.coherence import Move
from qdist.machine.plan import Part

Bit = tuple[str, str]
"""A wire, and `"x"` or `"z"`."""


@dataclass(frozen=True)
class Layout:
    """A cluster over 2ᵏ ranks, the same value on each.

    Attributes:
        wires: For each rank bit the qubit whose x bit it is, or `None` if it is idle: no qubit has it, and ranks where
            it is 1 hold nothing.
        masks: The value of rank bit j on rank r is the parity of `r & masks[j]`: relabeling ranks costs nothing.
        bits: Of the index of every rank's block, the most significant first.
    """

    wires: tuple[str | None, ...]
    masks: tuple[int, ...]
    bits: tuple[Bit, ...]

    @property
    def split(self) -> frozenset[str]:
        """The qubits whose x bits are rank bits."""
        return frozenset(wire for wire in self.wires if wire is not None)

    def values(self, rank: int) -> tuple[int, ...]:
        """The rank bits of a rank."""
        return tuple((rank & mask).bit_count() & 1 for mask in self.masks)

    def rank_with(self, values: Sequence[int]) -> int:
        """The rank that has these rank bits."""
        return _ranks(self.masks)[tuple(values)]

    def x_of(self, wire: str, rank: int) -> int:
        """The x bit of a split qubit on a rank."""
        return self.values(rank)[self.wires.index(wire)]

    def is_empty(self, rank: int) -> bool:
        """Whether a rank holds nothing."""
        return any(value for wire, value in zip(self.wires, self.values(rank), strict=True) if wire is None)

    def moved(self, move: Move) -> "Layout":
        """The rank bits after a matrix has acted; the caller changes the bits of the block."""
        wires, masks = list(self.wires), list(self.masks)
        slots = [self.wires.index(wire) for wire in move.inputs]
        for slot, wire, row in zip(slots, move.outputs, move.rows, strict=True):
            wires[slot] = wire
            masks[slot] = 0
            for k, other in enumerate(slots):
                if row >> k & 1:
                    masks[slot] ^= self.masks[other]
        for wire in move.gone:
            wires[self.wires.index(wire)] = None
        return replace(self, wires=tuple(wires), masks=tuple(masks))

    def part(self, slot: int, rank: int) -> Part:
        """What a rank holds."""
        bands = tuple((wire, self.x_of(wire, rank)) for wire in self.wires if wire is not None)
        return Part(slot, self.bits, bands, is_split=True, is_empty=self.is_empty(rank))


@cache
def _ranks(masks: tuple[int, ...]) -> dict[tuple[int, ...], int]:
    layout = Layout((None,) * len(masks), masks, ())
    return {layout.values(rank): rank for rank in range(2 ** len(masks))}


def index_bits(wires: Sequence[str], sizes: Sequence[int]) -> tuple[Bit, ...]:
    """The bits of digits: x and z of a qubit, z of a bit."""
    return tuple((wire, kind) for wire, size in zip(wires, sizes, strict=True) for kind in ("xz" if size == 4 else "z"))
