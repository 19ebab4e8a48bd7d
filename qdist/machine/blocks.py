"""Fusion: what happens to a few wires is gathered in one small matrix before a vector is touched.

A *block* is a matrix from wires that exist to wires that will exist, of at most two qubits. It is applied to the vector
only when something else needs one of its wires, so a gate, its noise, the waiting before it, the creation of its
qubits and a measurement after it cost one pass.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdist.machine.classical import kron
from qdist.machine.clusters import Clusters
from qdist.machine.instructions import EachShot, Observe, Test
from qdist.machine.plan import entries
from qdist_kernels import matmul

BLOCK_ENTRIES = 16
"""Dense blocks stop at two qubits: a three-qubit block costs more than two of these."""


Factors = tuple[tuple[tuple[str, ...], Any], ...]
"""Matrices whose product a block is, the first to act first, each with the wires that it leaves where they are."""


MOST_FACTORS = 32
"""More are not kept: they would be a list that grows with every gate, and of use to nobody."""


@dataclass(eq=False)
class _Block:
    """A matrix (prod(out), prod(in)) that waits to be applied; `None` for the factors of one that moves wires."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    matrix: Any
    factors: Factors | None = None


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
        self._free_names(wire for wire in outputs if wire not in inputs)
        touching = list(dict.fromkeys(self._block_of[w] for w in inputs if w in self._block_of))
        touching.sort(key=lambda b: (b.matrix.shape[-1], b.matrix.shape[-2]))
        taken: list[_Block] = []
        for block in touching:
            if self._fits([*taken, block], inputs, matrix):
                taken.append(block)
            elif self._waits(block):
                self._apply(block)
        taken = [block for block in taken if self._waits(block)]
        self._follow(self._product(taken, inputs), inputs, outputs, matrix, dims or {})

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
            block = _Block((qubit,), (qubit,), np.eye(4))
        rest = tuple(w for w in block.outputs if w != qubit)
        for wire in block.outputs:
            self._block_of.pop(wire, None)
        first, second = (self._after(block, (qubit,), matrix) for matrix in observe.outcomes)
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

    def _fits(self, blocks: list[_Block], inputs: tuple[str, ...], matrix: Any) -> bool:
        held = {w for block in blocks for w in block.outputs}
        before = [w for block in blocks for w in block.inputs] + [w for w in inputs if w not in held]
        size_in = entries(self.clusters.dims_of(w for w in before if w in self.clusters.dims))
        size_out = matrix.shape[-2] * entries(tuple(self.dims[w] for w in held if w not in inputs))
        return max(size_in, size_out) <= BLOCK_ENTRIES

    def _product(self, blocks: list[_Block], inputs: tuple[str, ...]) -> _Block:
        """One block for several, and the identity on the wires that are in none."""
        if len(blocks) == 1 and set(inputs) <= set(blocks[0].outputs):
            return blocks[0]
        free = tuple(w for w in dict.fromkeys(inputs) if not any(w in block.outputs for block in blocks))
        joined = _Block(free, free, np.eye(entries(tuple(self.dims[w] for w in free))), ())
        for block in blocks:
            matrix, factors = kron(joined.matrix, block.matrix), _together(joined.factors, block.factors)
            joined = _Block(joined.inputs + block.inputs, joined.outputs + block.outputs, matrix, factors)
        return joined

    def _follow(
        self, block: _Block, inputs: tuple[str, ...], outputs: tuple[str, ...], matrix: Any, dims: dict[str, int]
    ) -> None:
        """`matrix` after `block`."""
        for wire in block.outputs:
            self._block_of.pop(wire, None)
        rest = tuple(w for w in block.outputs if w not in inputs)
        product = self._after(block, inputs, matrix)
        for wire in set(inputs) - set(outputs):
            del self.dims[wire]
        self.dims |= {w: 2 for w in outputs if w not in self.dims} | dims
        factors = _together(block.factors, ((inputs, matrix),)) if inputs == outputs and not dims else None
        new = _Block(block.inputs, outputs + rest, product, factors)
        self._block_of |= dict.fromkeys(new.outputs, new)
        if not new.outputs and new.inputs:
            self._apply(new)

    def _after(self, block: _Block, inputs: tuple[str, ...], matrix: Any) -> Any:
        """A matrix on some outputs of a block after it; the rows of the others come last."""
        rest = tuple(w for w in block.outputs if w not in inputs)
        sizes = [self.dims[w] for w in block.outputs]
        order = [block.outputs.index(w) for w in (*inputs, *rest)]
        spread = block.matrix.reshape(*sizes, -1).transpose([*order, len(sizes)])
        product = matmul(matrix, spread.reshape(matrix.shape[1], -1))
        return product.reshape(-1, block.matrix.shape[1])

    def _apply(self, block: _Block) -> None:
        for wire in block.outputs:
            del self._block_of[wire]
        dims = {w: self.dims[w] for w in block.outputs}
        if block.inputs:
            self._apply_inside(block.inputs)
            self.clusters.transfer(block.inputs, dims, block.matrix, factors=block.factors)
        else:
            self.clusters.load(dims, block.matrix[:, 0])


def _together(first: Factors | None, second: Factors | None) -> Factors | None:
    if first is None or second is None or len(first) + len(second) > MOST_FACTORS:
        return None
    return first + second
