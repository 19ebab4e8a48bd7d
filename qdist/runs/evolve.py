"""The executor: reads a plan from front to back and moves vectors. It knows slots and digits, nothing of protocols."""

from collections.abc import Callable
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.machine import exchange
from qdist.machine.comm import SERIAL, Comm
from qdist.machine.instructions import EachShot, Test
from qdist.machine.plan import (
    Draw,
    Drop,
    Gather,
    Keep,
    Load,
    Merge,
    Part,
    Passes,
    Plan,
    Read,
    Remap,
    Scale,
    Split,
    Spread,
    Stop,
    Take,
    Transfer,
    Xor,
    entries,
)
from qdist.network.draws import Draws
from qdist.runs.evolution import Evolution, KeptBranch, Reading
from qdist.runs.reading import reduced
from qdist_kernels import (
    Entries,
    chosen,
    is_jax,
    namespace,
    outer,
    run_passes,
    scale,
    select,
    settle,
    transfer,
    update,
    zeros,
)


def evolve(
    plan: Plan,
    dtype: Any,
    *,
    comm: Comm = SERIAL,
    draws: Draws | None = None,
    progress: Callable[[int], object] | None = None,
    state: Evolution | None = None,
    first: int = 0,
    pause: Callable[[Evolution, int, tuple[Part, ...]], object] | None = None,
) -> Evolution:
    """Run a plan, or the rest of one.

    Args:
        plan: What to do; under several ranks, each has its own (`qdist.machine.sharding.shard`).
        dtype: NumPy dtype of the vectors.
        comm: The ranks that run the plan together.
        draws: Random numbers, if the plan was made for shots.
        progress: Called with 1 after each operation.
        state: Where the operations before `first` have led; nothing yet unless given.
        first: The operation to begin with.
        pause: Called where the run can be interrupted, with the state, how many operations of the plan for one process
            are done, and this rank's parts of split clusters.
    """
    run = Run(dtype, comm, draws, room=2**plan.largest // plan.ranks)
    if state is not None:
        run.state = state
    for operation in plan.operations[first:]:
        run.execute(operation)
        if progress is not None:
            progress(1)
        if pause is not None and isinstance(operation, Stop):
            pause(run.state, operation.done, operation.parts)
    return run.state


def impossible(bit: str) -> QdistError:
    """What to say of a draw without a possible outcome."""
    return QdistError(f"Bit '{bit}' must have a possible outcome, but both have probability 0.")


class Run:
    """A plan under way: the state, and what an operation does to it."""

    def __init__(self, dtype: Any, comm: Comm, draws: Draws | None, room: int = 0) -> None:
        self.dtype = dtype
        self.comm = comm
        self.draws = draws
        self.room = room
        self.state = Evolution(comm=comm)
        if draws is not None:
            self.state.accepted = np.ones(draws.shots, bool)

    def execute(self, operation: Any) -> None:
        """Do one operation."""
        vectors, comm = self.state.vectors, self.comm
        match operation:
            case Load(slot=slot, vector=vector):
                # A copy: it may be overwritten, and it is the job's.
                vectors[slot] = namespace(vector).array(vector, self.dtype)
            case Merge(slot=slot, other=other):
                vectors[slot] = settle(outer(vectors.pop(slot), vectors.pop(other), room=self.room))
            case Transfer(slot=slot, dims=dims, axes=axes, in_place=in_place):
                kernel = update if in_place else transfer
                vectors[slot] = settle(kernel(vectors.pop(slot), self._matrix(operation), dims=dims, axes=axes))
            case Passes(slot=slot, program=program):
                vectors[slot] = run_passes(vectors.pop(slot), program)
            case Scale(slot=slot, dims=dims, axes=axes, factors=factors):
                vectors[slot] = settle(scale(vectors.pop(slot), self._cast(factors), dims=dims, axes=axes))
            case Remap(slot=slot, dims=dims, axes=axes, partners=partners):
                vectors[slot] = exchange.remap(vectors.pop(slot), comm, dims=dims, axes=axes, partners=partners)
            case Spread(slot=slot, dims=dims, axis=axis, partner=partner, sends=True):
                vectors[slot] = exchange.share(vectors.pop(slot), comm, dims=dims, axis=axis, partner=partner)
            case Spread(slot=slot, dims=dims, axis=axis, partner=partner, batch=batch):
                block = zeros(self._shape((*dims[:axis], *dims[axis + 1 :]), batch), self.dtype)
                vectors[slot] = exchange.take_share(block, comm, dims=dims, axis=axis, partner=partner)
            case Gather(slot=slot, dims=dims, ranks=ranks, order=order):
                shape = self._shape(dims, operation.batch)
                block = np.zeros(shape, self.dtype) if operation.is_empty else vectors.pop(slot)
                vectors[slot] = exchange.gather(block, comm, dims=dims, ranks=ranks, order=order)
            case Take(slot=slot, dims=dims, axes=axes, values=values):
                vectors[slot] = settle(select(vectors.pop(slot), dims=dims, axes=axes, indices=values))
            case Drop(slot=slot):
                del vectors[slot]
            case Draw():
                self._draw(operation)
            case Xor(bit=bit, of=of):
                self.state.drawn[bit] = sum(self.state.drawn[b] for b in of) % 2  # type: ignore[assignment]
            case Keep():
                self._keep(operation)
            case Read():
                self._read(operation)

    def _cast(self, array: Any) -> Any:
        array = self._of_shots(array)
        if isinstance(array, Entries):
            return array
        return array.astype(self.dtype) if is_jax(array) else np.asarray(array, self.dtype)

    def _of_shots(self, value: Any) -> Any:
        return value.of(self.draws) if isinstance(value, EachShot) else value

    def _holds(self, test: Test) -> np.ndarray:
        return np.asarray(test.holds([self.state.drawn[bit] for bit in test.bits]), bool)

    def _matrix(self, operation: Transfer) -> Any:
        if operation.test is None:
            return self._cast(operation.matrix)
        return chosen((operation.otherwise, operation.matrix), self._holds(operation.test).astype(int))

    def _shape(self, dims: tuple[int, ...], batch: int | None) -> tuple[int, ...]:
        return (entries(dims),) if batch is None else (batch, entries(dims))

    def _shared(self, value: Any, split: Split | None) -> Any:
        """What the first rank, which holds the entries without any x bit, reads off its block."""
        if split is None:
            return value
        return self.comm.sum(np.asarray(value, float) if self.comm.rank == 0 else np.zeros(np.shape(value)))

    def _draw(self, draw: Draw) -> None:
        """One outcome a shot: probabilities from the trace row, then one projection matrix a shot."""
        assert self.draws is not None
        u = self.draws.uniform(draw.purpose)
        chance = np.zeros((*u.shape, 2))
        is_first = draw.split is None or self.comm.rank == 0
        if is_first:
            digit = np.asarray(self._digits(draw), float)
            chance = chance + np.stack([digit @ np.asarray(row, float) for row in draw.chances], axis=-1)
        chance = np.clip(self._shared(chance, draw.split), 0.0, None)
        total = chance.sum(axis=-1)
        if np.any(total <= 0):
            raise impossible(draw.bit)
        outcome = (u >= chance[..., 0] / total).astype(int)
        read = self._read_out(outcome, draw)
        probability = np.take_along_axis(chance, outcome[:, None], axis=-1)[:, 0]
        matrices: tuple[Any, ...] = draw.outcomes
        factor = 1 / np.where(probability > 0, probability, 1.0)
        if draw.when is not None:
            flags = self._holds(draw.when)
            old = self.state.drawn[draw.otherwise] if isinstance(draw.otherwise, str) else draw.otherwise or 0
            read = np.where(flags, read, old)
            matrices = (*matrices, np.eye(len(matrices[0])))
            outcome, factor = np.where(flags, outcome, 2), np.where(flags, factor, 1.0)
        self.state.drawn[draw.bit] = read.astype(np.int8)
        if draw.slot in self.state.vectors:
            vector = self.state.vectors.pop(draw.slot)
            other = None if draw.other is None else self.state.vectors.pop(draw.other)
            matrix = chosen(matrices, outcome, factor)
            new = transfer(vector, matrix, dims=draw.dims, axes=draw.axes, other=other, cut=draw.cut)
            self.state.vectors[draw.slot] = settle(new)

    def _digits(self, draw: Draw) -> Any:
        """The digits that a draw takes, the others traced out."""
        zeros = [a for a in range(len(draw.dims)) if a not in draw.axes]
        vector = self.state.vectors[draw.slot]
        if draw.other is None:
            return select(vector, dims=draw.dims, axes=tuple(zeros))
        first = select(vector, dims=draw.dims[: draw.cut], axes=tuple(a for a in zeros if a < draw.cut))
        last = tuple(a - draw.cut for a in zeros if a >= draw.cut)
        return outer(first, select(self.state.vectors[draw.other], dims=draw.dims[draw.cut :], axes=last))

    def _read_out(self, outcome: np.ndarray, draw: Draw) -> np.ndarray:
        assert self.draws is not None
        flip = np.array([draw.confusion[1][0], draw.confusion[0][1]])
        if not flip.any():
            return outcome
        return np.where(self.draws.uniform(draw.purpose, 1) < flip[outcome], 1 - outcome, outcome)

    def _keep(self, keep: Keep) -> None:
        probability: Any = 1.0
        if keep.test is not None:
            self.state.accepted = self.state.accepted & self._holds(keep.test)
            self.state.kept.append(KeptBranch(keep.label, keep.is_herald, accepted=self.state.accepted))
            return
        if keep.slot is not None:
            vector = self.state.vectors.get(keep.slot)
            probability = 0.0 if vector is None else vector[..., 0] + 0
            if keep.split is not None:
                probability = self._shared(probability, keep.split)
            if not is_jax(probability) and not np.all(probability > 0):
                raise QdistError(
                    f"'{keep.label}' must be possible, but has probability 0. Nothing is left to simulate."
                )
            if vector is not None:
                self.state.vectors[keep.slot] = self._normalized(vector, probability)
        self.state.kept.append(KeptBranch(keep.label, keep.is_herald, probability=probability))

    def _normalized(self, vector: Any, probability: Any) -> Any:
        if is_jax(vector):
            return vector / probability[..., None]
        vector /= np.asarray(probability, vector.dtype)[..., None]
        return vector

    def _read(self, read: Read) -> None:
        vectors = []
        for group, parts, relaxations in zip(read.groups, read.parts, read.relaxations, strict=True):
            vectors.append(self._reduced(group, parts, relaxations) if group else None)
        self.state.readings.append(Reading(read.label, self._of_shots(read.time), tuple(vectors), self.state.accepted))

    def _reduced(self, group: tuple[str, ...], parts: tuple[Part, ...], relaxations: tuple[Any, ...]) -> Any:
        vector = reduced(self.state, parts, group)
        dims = (4,) * len(group)
        for k, matrix in enumerate(relaxations):
            if matrix is not None:
                vector = update(vector, self._cast(matrix), dims=dims, axes=(k,))
        return vector
