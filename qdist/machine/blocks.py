"""Fusion: what happens to a few wires is gathered in one small matrix before a vector is touched.

A *block* is a matrix from wires that exist to wires that will exist, of at most two qubits. It is applied to the vector
only when something else needs one of its wires, so a gate, its noise, the waiting before it, the creation of its
qubits and a measurement after it cost one pass.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from qdist.machine.classical import kron
from qdist.machine.clusters import Clusters
from qdist.machine.instructions import EachShot, Observe, Test
from qdist.machine.plan import entries
from qdist.machine.products import Products
from qdist_kernels import matmul

BLOCK_ENTRIES = 16
"""Dense blocks stop at two qubits: a three-qubit block costs more than two of these."""


Factors = Sequence[tuple[tuple[str, ...], Any]]
"""Matrices one after the other, the first to act first, each with the wires that it leaves where they are."""


MOST_FACTORS = 32
"""Longer products are not told what they are made of: it would be of use to nobody."""


@dataclass(eq=False)
class _Block:
    """Matrices that wait to be applied as one: `start`, shape (prod(outputs), prod(inputs)), then `factors`.

    The start is `None` for a block whose wires all stay, which is the product of its factors.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: int
    columns: int
    start: Any = None
    factors: list[tuple[tuple[str, ...], Any]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return max(self.rows, self.columns)


class Blocks:
    """Blocks in front of clusters: a wire is in at most one block, and has the size that it has after it.

    Attributes:
        clusters: The vectors behind the blocks.
        dims: The size of each living wire's digit, blocks that wait included.
    """

    def __init__(self, clusters: Clusters) -> None:
        self.clusters = clusters
        self.dims: dict[str, int] = {}
        self._block_of: dict[str, _Block] = {}
        self._products = Products()

    def __contains__(self, wire: str) -> bool:
        return wire in self.dims

    def compose(
        self, inputs: tuple[str, ...], outputs: tuple[str, ...], matrix: Any, dims: dict[str, int] | None = None
    ) -> None:
        """Gather a matrix from `inputs` to `outputs` with the blocks of its inputs, as far as they stay small.

        Args:
            inputs: Living wires.
            outputs: Wires after it; inputs that are missing here are gone.
            matrix: Shape (prod(outputs), prod(inputs)); one that each shot has its own of is applied at once.
            dims: Sizes of outputs that are new or change; bits (2) unless given.
        """
        if isinstance(matrix, EachShot):
            self.now(inputs, outputs, matrix)
            return
        stays = inputs == outputs and not dims
        if not stays:
            self._free_names(wire for wire in outputs if wire not in inputs)
        block = (self._holding(inputs) if stays else None) or self._gathered(inputs, matrix.shape[-2])
        if stays:
            block.factors.append((inputs, matrix))
        else:
            self._follow(block, inputs, outputs, matrix, dims or {})

    def now(
        self,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        matrix: Any,
        test: Test | None = None,
        otherwise: Any = None,
    ) -> int:
        """Apply a matrix at once, after the blocks of its inputs; returns the slot of the vector."""
        self.flush(inputs)
        slot = self.clusters.transfer(inputs, {w: self.dims[w] for w in outputs}, matrix, test, otherwise)
        for wire in set(inputs) - set(outputs):
            del self.dims[wire]
        return slot

    def draw(self, observe: Observe, purpose: int, when: Test | None, otherwise: str | int | None) -> None:
        """Draw the outcome of an observation, together with the block that holds its qubit.

        A conditional observation leaves its qubit alone in some shots, so the block is applied before.
        """
        qubit, block = observe.qubit, self._block_of.get(observe.qubit)
        left = (qubit,) if observe.keeps_qubit else ()
        if block is None or not block.inputs or when is not None:
            self.flush([qubit])
            block = _Block((qubit,), (qubit,), 4, 4, np.eye(4))
        rest = tuple(w for w in block.outputs if w != qubit)
        for wire in block.outputs:
            self._block_of.pop(wire, None)
        before = self._matrix(block)
        first, second = (self._after(block, before, (qubit,), matrix) for matrix in observe.outcomes)
        dims = {w: self.dims[w] for w in (*left, *rest)}
        self.clusters.draw(block.inputs, dims, (first, second), observe, purpose, when, otherwise)
        if not left:
            del self.dims[qubit]

    def flush(self, wires: Iterable[str]) -> None:
        """Apply the blocks that hold these wires."""
        for wire in wires:
            if wire in self._block_of:
                self._apply(self._block_of[wire])

    def flush_all(self) -> None:
        """Apply every block."""
        self.flush(list(self._block_of))

    def _free_names(self, names: Iterable[str]) -> None:
        """A name that is given again may still stand in a vector, waiting for the block that removes it.

        In the order given: a set of names has another order in each process, and all ranks must make the same plan.
        """
        for name in names:
            if name in self.clusters.slot_of:
                self._apply(next(block for block in self._block_of.values() if name in block.inputs))

    def _waits(self, block: _Block) -> bool:
        """Whether a block has not been applied yet, as it is before its cluster is joined with another."""
        return self._block_of.get(block.outputs[0]) is block

    def _apply_inside(self, wires: Iterable[str]) -> None:
        """Before clusters are joined, apply what waits inside of each: afterwards the vector is longer."""
        slots = dict.fromkeys(self.clusters.slot_of[wire] for wire in wires)
        for slot in slots if len(slots) > 1 else ():
            for wire in list(self.clusters.slots[slot]):
                block = self._block_of.get(wire)
                if block is not None and len(block.inputs) > 1 and self.clusters.slots_of(block.inputs) == {slot}:
                    self._apply(block)

    def _holding(self, inputs: tuple[str, ...]) -> _Block | None:
        """The small block that holds all of these wires, as it does of most gates; it stays as small with another."""
        block = self._block_of.get(inputs[0])
        if block is None or block.size > BLOCK_ENTRIES:
            return None
        return block if all([self._block_of.get(wire) is block for wire in inputs[1:]]) else None

    def _gathered(self, inputs: tuple[str, ...], rows: int) -> _Block:
        """One block with all inputs of a matrix of so many rows; blocks that would be too large with it are applied."""
        touching = list(dict.fromkeys([self._block_of[w] for w in inputs if w in self._block_of]))
        if len(touching) > 1:
            touching.sort(key=lambda block: (block.columns, block.rows))
        taken: list[_Block] = []
        for block in touching:
            if self._fits([*taken, block], inputs, rows):
                taken.append(block)
            elif self._waits(block):
                self._apply(block)
        taken = [block for block in taken if self._waits(block)]
        if len(taken) == 1 and all([wire in taken[0].outputs for wire in inputs]):
            return taken[0]
        return self._joined(taken, inputs)

    def _fits(self, blocks: list[_Block], inputs: tuple[str, ...], rows: int) -> bool:
        held = [w for block in blocks for w in block.outputs]
        columns = entries(self._sizes([w for w in inputs if w not in held]))
        for block in blocks:
            columns *= block.columns
        return max(columns, rows * entries(self._sizes([w for w in held if w not in inputs]))) <= BLOCK_ENTRIES

    def _sizes(self, wires: Iterable[str]) -> tuple[int, ...]:
        return tuple([self.dims[w] for w in wires])

    def _joined(self, blocks: list[_Block], inputs: tuple[str, ...]) -> _Block:
        """One block for several, and the identity on the wires that are in none."""
        held = [w for block in blocks for w in block.outputs]
        free = tuple([w for w in dict.fromkeys(inputs) if w not in held])
        size = entries(self._sizes(free))
        parts = [_Block(free, free, size, size), *blocks] if free else blocks
        joined = _Block(
            tuple([w for part in parts for w in part.inputs]),
            tuple([w for part in parts for w in part.outputs]),
            math.prod([part.rows for part in parts]),
            math.prod([part.columns for part in parts]),
            None if all(part.start is None for part in parts) else reduce(kron, map(_start, parts)),
            [factor for part in parts for factor in part.factors],
        )
        self._block_of |= dict.fromkeys(joined.outputs, joined)
        return joined

    def _follow(
        self, block: _Block, inputs: tuple[str, ...], outputs: tuple[str, ...], matrix: Any, dims: dict[str, int]
    ) -> None:
        """`matrix`, which moves wires, after `block`."""
        for wire in block.outputs:
            self._block_of.pop(wire, None)
        rest = tuple(w for w in block.outputs if w not in inputs)
        product = self._after(block, self._matrix(block), inputs, matrix)
        for wire in set(inputs) - set(outputs):
            del self.dims[wire]
        self.dims |= {w: 2 for w in outputs if w not in self.dims} | dims
        rows, columns = product.shape
        new = _Block(block.inputs, outputs + rest, rows, columns, product)
        self._block_of |= dict.fromkeys(new.outputs, new)
        if not new.outputs and new.inputs:
            self._apply(new)

    def _after(self, block: _Block, before: Any, inputs: tuple[str, ...], matrix: Any) -> Any:
        """A matrix on some outputs of a block, of matrix `before`, after it; the rows of the others come last."""
        rest = tuple(w for w in block.outputs if w not in inputs)
        order = [block.outputs.index(w) for w in (*inputs, *rest)]
        spread = before.reshape(*self._sizes(block.outputs), -1).transpose([*order, len(order)])
        product = matmul(matrix, spread.reshape(matrix.shape[1], -1))
        return product.reshape(-1, before.shape[1])

    def _matrix(self, block: _Block) -> Any:
        """What a block does, shape (prod(outputs), prod(inputs))."""
        if not block.factors:
            return _start(block)
        product = self._product(block.factors, block.outputs)
        return product if block.start is None else matmul(product, block.start)

    def _product(self, factors: Factors, wires: tuple[str, ...]) -> Any:
        return self._products.of(factors, wires, self._sizes(wires))

    def _apply(self, block: _Block) -> None:
        for wire in block.outputs:
            del self._block_of[wire]
        self._apply_inside(block.inputs)
        if block.start is None:
            self._update(block)
            return
        dims, matrix = {w: self.dims[w] for w in block.outputs}, self._matrix(block)
        if block.inputs:
            self.clusters.transfer(block.inputs, dims, matrix)
        else:
            self.clusters.load(dims, matrix[:, 0])

    def _update(self, block: _Block) -> None:
        """Apply a block whose wires stay, in the order that they have in their vector."""
        wires = self.clusters.in_order(block.outputs)
        factors = block.factors if len(block.factors) <= MOST_FACTORS else None
        self.clusters.update(wires, self._product(block.factors, wires), factors)


def _start(block: _Block) -> Any:
    return np.eye(block.columns) if block.start is None else block.start
