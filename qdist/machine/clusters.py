"""The vectors of a plan: which wires are in which one, in which order, and how many bytes they hold.

Everything that changes a vector goes through here: each call writes one operation and counts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from qdist.machine.instructions import EachShot, Observe, Test
from qdist.machine.plan import Census, Draw, Load, Merge, Operation, Part, Scale, Transfer, entries
from qdist_kernels.program import ON_HOST

FACTORED = int(2**ON_HOST.staged_bits)
"""Entries of a vector from which on it matters what a matrix is made of."""

BATCH_COPIES = 3
"""Vectors that an operation with one matrix a shot holds beside its result: its input, transposed, and XLA's copy."""

GROWN_IN_PLACE = 4**8
"""Entries from which a vector that gets a digit is not copied."""

LARGE = 2**12
"""Entries from which the numbers of an operation count as memory; they are copied once to the run's precision."""


class Clusters:
    """Slots with the wires of their vectors, most significant digit first, and the operations written so far.

    Attributes:
        now: The instruction that is being planned, for the census.
        operations: In order.
        slots: The wires of each slot.
        slot_of: The slot of each wire.
        dims: The size of each wire's digit as it is stored.
        batched: Slots with one vector a shot.
        census: The clusters after each operation.
        peak_bytes: The most that was held at once, the operation under way included.
    """

    def __init__(self, shots: int, itemsize: int) -> None:
        self.now = 0
        self.operations: list[Operation] = []
        self.slots: dict[int, list[str]] = {}
        self.slot_of: dict[str, int] = {}
        self.dims: dict[str, int] = {}
        self.batched: set[int] = set()
        self.census: list[Census] = []
        self.peak_bytes = 0
        self._shots = shots
        self._itemsize = itemsize
        self._sizes: dict[int, tuple[int, int]] = {}
        self._held = 0
        self._numbers = 0
        self._widths: Counter[int] = Counter()
        self._next_slot = 0

    def load(self, dims: dict[str, int], vector: Any) -> int:
        """A new vector whose wires have these sizes."""
        slot = self._next_slot
        self._next_slot += 1
        self._place(slot, list(dims), dims)
        self._write(Load(slot, vector, tuple(dims), tuple(dims.values())), slot)
        return slot

    def transfer(
        self,
        inputs: Sequence[str],
        dims: dict[str, int],
        matrix: Any,
        test: Test | None = None,
        otherwise: Any = None,
    ) -> int:
        """Contract the digits of `inputs`; the new wires, with the sizes `dims`, come in front.

        Wires that stay with the size they have, under one matrix for all shots, stay where they are instead.
        """
        slot = self.join(inputs)
        new = [wire for wire in dims if wire not in inputs]
        if new and self._grows_in_place(slot, inputs, dims, matrix, test):
            start = np.zeros(entries(tuple(dims[w] for w in new)))
            start[0] = 1.0
            self.load({wire: dims[wire] for wire in new}, start)
            spread = np.zeros((matrix.shape[0], matrix.shape[1], len(start)))
            spread[:, :, 0] = matrix
            return self.transfer((*inputs, *new), dims, spread.reshape(len(matrix), -1))
        wires = self.slots[slot]
        order, axes = self._places(slot, inputs)
        sizes, before = self.dims_of(inputs), self.dims_of(wires)
        matrix = _permute(matrix, sizes, order)
        otherwise = None if otherwise is None else _permute(otherwise, sizes, order)
        if not isinstance(matrix, EachShot) and test is None and dims == {w: self.dims[w] for w in inputs}:
            outputs, names = tuple([wires[a] for a in axes]), tuple(dims)
            self.update(outputs, _permute(matrix.T, tuple(dims.values()), [names.index(w) for w in outputs]).T)
            return slot
        if isinstance(matrix, EachShot) or test is not None:
            self.batched.add(slot)
        self._forget(inputs)
        self._place(slot, [*dims, *(w for w in wires if w not in inputs)], dims)
        done = Transfer(slot, before, axes, matrix, tuple(dims), tuple(dims.values()), False, test, otherwise)
        self._write(done, slot, True)
        return slot

    def update(
        self, wires: tuple[str, ...], matrix: Any, factors: Sequence[tuple[tuple[str, ...], Any]] | None = None
    ) -> None:
        """Contract digits of one vector that stay where they are.

        Args:
            wires: Theirs, in the order that they have there (`in_order`).
            matrix: One for all shots.
            factors: Matrices on some of the wires, whose product it is, the first to act first; if they are known.
        """
        slot = self.slot_of[wires[0]]
        inside = self.slots[slot]
        dims, axes = self.dims_of(inside), tuple([inside.index(wire) for wire in wires])
        parts: tuple[tuple[tuple[int, ...], Any], ...] = ()
        if factors and entries(dims) >= FACTORED:
            parts = tuple((tuple(map(wires.index, some)), part) for some, part in factors)
        sizes = tuple([dims[axis] for axis in axes])
        self._write(Transfer(slot, dims, axes, matrix, wires, sizes, True, factors=parts), slot)

    def _grows_in_place(
        self, slot: int, inputs: Sequence[str], dims: dict[str, int], matrix: Any, test: Test | None
    ) -> bool:
        """Whether new digits are better put beside a vector, and changed with it in place, than written with a copy."""
        stay = all(dims.get(wire) == self.dims[wire] for wire in inputs)
        alone = slot not in self.batched and test is None and isinstance(matrix, np.ndarray)
        size = entries(self.dims_of(self.slots[slot])) * matrix.shape[0] // matrix.shape[-1]
        return stay and alone and size >= GROWN_IN_PLACE

    def scale(self, wires: Sequence[str], factors: Any) -> None:
        """Multiply by factors of the digits of some qubits, given in the order of `wires`."""
        slot = self.join(wires)
        order, axes = self._places(slot, wires)
        spread = factors.reshape(self.dims_of(wires)).transpose(order).reshape(-1)
        self._write(Scale(slot, self.dims_of(self.slots[slot]), axes, spread), slot)

    def draw(
        self,
        inputs: Sequence[str],
        dims: dict[str, int],
        outcomes: tuple[Any, Any],
        observe: Observe,
        purpose: int,
        when: Test | None = None,
        otherwise: str | int | None = None,
    ) -> None:
        """Draw an outcome for each shot: its matrix takes the digits of `inputs`, the new ones come in front.

        The inputs may be in two clusters, which are merged without writing out the vector of both.
        """
        slot, *others = dict.fromkeys(self.slot_of[w] for w in inputs)
        cut, other = len(self.slots[slot]), others[0] if others else None
        assert len(others) < 2
        if other is not None:
            self._take_in(slot, other)
        wires = self.slots[slot]
        order, axes = self._places(slot, inputs)
        sizes, before = self.dims_of(inputs), self.dims_of(wires)
        zero, one = (_permute(matrix, sizes, order) for matrix in outcomes)
        self._forget(inputs)
        self._place(slot, [*dims, *(w for w in wires if w not in inputs)], dims)
        self.batched.add(slot)
        new = tuple(dims), tuple(dims.values())
        drawn = (zero, one), (zero[0], one[0]), observe.confusion, observe.bit, purpose
        cut = 0 if other is None else cut
        self._write(Draw(slot, before, axes, *drawn, *new, when, otherwise, other, cut), slot, True)

    def join(self, wires: Sequence[str]) -> int:
        """The slot that holds all of the wires, after merging their clusters."""
        first, *others = dict.fromkeys([self.slot_of[w] for w in wires])
        for other in others:
            self._take_in(first, other)
            self._write(Merge(first, other), first)
        return first

    def _take_in(self, slot: int, other: int) -> None:
        """The wires of another slot come last in this one."""
        moved = self.slots.pop(other)
        self.slots[slot] += moved
        self.slot_of |= dict.fromkeys(moved, slot)
        if other in self.batched:
            self.batched.discard(other)
            self.batched.add(slot)
        self._resize(other, 0, -1)

    def slots_of(self, wires: Iterable[str]) -> set[int]:
        """The clusters of some wires."""
        return {self.slot_of[wire] for wire in wires}

    def dims_of(self, wires: Iterable[str]) -> tuple[int, ...]:
        """The sizes of the stored digits of some wires."""
        return tuple([self.dims[w] for w in wires])

    def in_order(self, wires: Sequence[str]) -> tuple[str, ...]:
        """The wires as they follow each other in one vector, after merging their clusters."""
        return tuple(sorted(wires, key=self.slots[self.join(wires)].index))

    def locate(self, group: Sequence[str]) -> tuple[Part, ...]:
        """Where the wires of a group are: one part per cluster."""
        return tuple(self._part(slot) for slot in dict.fromkeys(self.slot_of[w] for w in group))

    def parts(self) -> tuple[Part, ...]:
        """Where every wire is: one part per cluster that has any."""
        return tuple(self._part(slot) for slot, wires in self.slots.items() if wires)

    def _places(self, slot: int, wires: Sequence[str]) -> tuple[list[int], tuple[int, ...]]:
        """Which of the wires comes first in a slot, which next, …, and where they are there, ascending."""
        inside = self.slots[slot]
        places = [inside.index(wire) for wire in wires]
        order = sorted(range(len(wires)), key=places.__getitem__)
        return order, tuple(places[k] for k in order)

    def _part(self, slot: int) -> Part:
        kinds = {4: ("x", "z"), 2: ("z",)}
        return Part(slot, tuple((wire, kind) for wire in self.slots[slot] for kind in kinds[self.dims[wire]]))

    def _place(self, slot: int, wires: list[str], dims: dict[str, int]) -> None:
        self.slots[slot] = wires
        self.slot_of |= dict.fromkeys(wires, slot)
        self.dims |= dims

    def _forget(self, wires: Iterable[str]) -> None:
        for wire in wires:
            del self.slot_of[wire], self.dims[wire]

    def _write(self, operation: Operation, slot: int, is_copied: bool = False) -> None:
        """Write an operation and count: what is held after it, and its input too if the result is a new vector."""
        self.operations.append(operation)
        dims = self.dims_of(self.slots[slot])
        batch = self._shots if slot in self.batched else 1
        scratch = self._sizes.get(slot, (0, 0))[0] * (BATCH_COPIES if batch > 1 else 1) if is_copied else 0
        size = entries(dims)
        self._resize(slot, size * batch, size.bit_length() - 1)
        self._numbers += sum([large_bytes(array) for array in vars(operation).values()])
        self.peak_bytes = max(self.peak_bytes, (self._held + scratch) * self._itemsize + self._numbers)
        if not self.slots[slot]:
            del self.slots[slot]
            self._resize(slot, 0, -1)
        largest = max(self._widths, default=0)
        self.census.append(Census(self.now, len(self.slots), largest, self._held * self._itemsize))

    def _resize(self, slot: int, size: int, width: int) -> None:
        if self._sizes.get(slot) == (size, width):
            return
        old_size, old_width = self._sizes.pop(slot, (0, -1))
        self._held += size - old_size
        self._widths[old_width] -= 1
        if self._widths[old_width] <= 0:
            del self._widths[old_width]
        if width >= 0:
            self._sizes[slot] = (size, width)
            self._widths[width] += 1


def large_bytes(array: Any) -> int:
    """Bytes that an operation keeps for its numbers: factors of many digits."""
    return 2 * int(array.nbytes) if hasattr(array, "nbytes") and array.size > LARGE else 0


def _permute(matrix: Any, dims: tuple[int, ...], order: list[int]) -> Any:
    """Reorder the digits of the columns."""
    if order == list(range(len(order))):
        return matrix
    spread = matrix.reshape(-1, *dims).transpose(0, *(1 + k for k in order))
    return spread.reshape(len(matrix), -1)
