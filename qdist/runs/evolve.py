"""The executor: reads a plan from front to back and moves vectors. It knows slots and digits, nothing of protocols."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.machine.instructions import Test
from qdist.machine.plan import Draw, Keep, Load, Merge, Part, Plan, Read, Scale, Transfer, Xor
from qdist.network.draws import Draws
from qdist_kernels import is_jax, namespace, outer, scale, select, settle, transfer


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
        vectors: By slot, normalized to trace 1; shape (entries,) or (shots, entries).
        drawn: Outcomes by bit, integers of shape (shots,).
        accepted: For each shot whether all heralds held, or `None` if every branch is carried.
        kept: The branches that were kept, in order.
        readings: In the order of the program.
    """

    vectors: dict[int, Any] = field(default_factory=dict)
    drawn: dict[str, np.ndarray] = field(default_factory=dict)
    accepted: np.ndarray | None = None
    kept: list["KeptBranch"] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)


def evolve(
    plan: Plan, dtype: Any, *, draws: Draws | None = None, progress: Callable[[int], object] | None = None
) -> Evolution:
    """Run a plan.

    Args:
        plan: What to do.
        dtype: NumPy dtype of the vectors.
        draws: Random numbers, if the plan was made for shots.
        progress: Called with 1 after each operation.
    """
    run = _Run(dtype, draws)
    for operation in plan.operations:
        run.execute(operation)
        if progress is not None:
            progress(1)
    return run.state


class _Run:
    def __init__(self, dtype: Any, draws: Draws | None) -> None:
        self.dtype = dtype
        self.draws = draws
        self.state = Evolution()
        if draws is not None:
            self.state.accepted = np.ones(draws.shots, bool)

    def execute(self, operation: Any) -> None:
        vectors = self.state.vectors
        match operation:
            case Load(slot=slot, vector=vector):
                vectors[slot] = self._cast(vector)
            case Merge(slot=slot, other=other):
                vectors[slot] = settle(outer(vectors[slot], vectors.pop(other)))
            case Transfer(slot=slot, dims=dims, axes=axes):
                matrix = self._matrix(operation)
                vectors[slot] = settle(transfer(vectors[slot], matrix, dims=dims, axes=axes))
            case Scale(slot=slot, dims=dims, axes=axes, factors=factors):
                vectors[slot] = settle(scale(vectors[slot], self._cast(factors), dims=dims, axes=axes))
            case Draw():
                self._draw(operation)
            case Xor(bit=bit, of=of):
                self.state.drawn[bit] = sum(self.state.drawn[b] for b in of) % 2  # type: ignore[assignment]
            case Keep():
                self._keep(operation)
            case Read():
                self._read(operation)

    def _cast(self, array: Any) -> Any:
        return array.astype(self.dtype) if is_jax(array) else np.asarray(array, self.dtype)

    def _holds(self, test: Test) -> np.ndarray:
        return np.asarray(test.holds([self.state.drawn[bit] for bit in test.bits]), bool)

    def _matrix(self, operation: Transfer) -> Any:
        if operation.test is None:
            return self._cast(operation.matrix)
        flags = self._holds(operation.test)[:, None, None]
        return self._cast(np.where(flags, operation.matrix, operation.otherwise))

    def _draw(self, draw: Draw) -> None:
        """One outcome a shot: probabilities from the trace row, then one projection matrix a shot."""
        assert self.draws is not None
        vector = self.state.vectors[draw.slot]
        others = tuple(a for a in range(len(draw.dims)) if a != draw.axis)
        digit = np.asarray(select(vector, dims=draw.dims, axes=others), float)
        chance = np.stack([digit @ np.asarray(w[0], float) for w in draw.outcomes], axis=-1)
        chance = np.clip(chance, 0.0, None)
        total = chance.sum(axis=-1)
        if np.any(total <= 0):
            raise QdistError(f"Bit '{draw.bit}' must have a possible outcome, but both have probability 0.")
        u = self.draws.uniform(draw.purpose)
        threshold = chance[..., 0] / total
        outcome = np.broadcast_to((u >= threshold).astype(int), u.shape)
        read = self._read_out(outcome, draw)
        chosen = np.take_along_axis(np.broadcast_to(chance, (*u.shape, 2)), outcome[:, None], axis=-1)
        matrices = np.stack(draw.outcomes)[outcome] / np.where(chosen > 0, chosen, 1.0)[:, :, None]
        if draw.when is not None:
            flags = self._holds(draw.when)
            old = self.state.drawn[draw.otherwise] if isinstance(draw.otherwise, str) else draw.otherwise or 0
            read = np.where(flags, read, old)
            matrices = np.where(flags[:, None, None], matrices, np.eye(4))
        self.state.drawn[draw.bit] = read
        self.state.vectors[draw.slot] = settle(
            transfer(vector, self._cast(matrices), dims=draw.dims, axes=(draw.axis,))
        )

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
            vector = self.state.vectors[keep.slot]
            probability = vector[..., 0]
            if not is_jax(probability) and not np.all(probability > 0):
                raise QdistError(
                    f"'{keep.label}' must be possible, but has probability 0. Nothing is left to simulate."
                )
            self.state.vectors[keep.slot] = vector / vector[..., :1]
        self.state.kept.append(KeptBranch(keep.label, keep.is_herald, probability=probability))

    def _read(self, read: Read) -> None:
        vectors = []
        for group, parts, relaxations in zip(read.groups, read.parts, read.relaxations, strict=True):
            vectors.append(self._reduced(group, parts, relaxations) if group else None)
        self.state.readings.append(Reading(read.label, read.time, tuple(vectors), self.state.accepted))

    def _reduced(self, group: tuple[str, ...], parts: tuple[Part, ...], relaxations: tuple[Any, ...]) -> Any:
        vector = reduced(self.state.vectors, parts, group)
        dims = (4,) * len(group)
        for k, matrix in enumerate(relaxations):
            if matrix is not None:
                moved = transfer(vector, self._cast(matrix), dims=dims, axes=(k,))
                vector = transpose(moved, dims, [*range(1, k + 1), 0, *range(k + 1, len(group))])
        return vector


def transpose(vector: Any, dims: tuple[int, ...], order: list[int]) -> Any:
    """Reorder digits, keeping a batch axis in front."""
    lead = vector.shape[:-1]
    axes = [*range(len(lead)), *(k + len(lead) for k in order)]
    return vector.reshape(*lead, *dims).transpose(axes).reshape(*lead, -1)


def reduced(vectors: dict[int, Any], parts: tuple[Part, ...], wires: tuple[str, ...]) -> Any:
    """The joint vector of some wires, in their order: partial traces, then tensor products.

    A qubit that collapsed to two entries is widened to four: its X and Y are 0.
    """
    joint: Any = None
    names: list[str] = []
    dims: list[int] = []
    for part in parts:
        others = tuple(a for a in range(len(part.dims)) if a not in part.axes)
        piece = select(vectors[part.slot], dims=part.dims, axes=others) if others else vectors[part.slot]
        joint = piece if joint is None else outer(joint, piece)
        names += part.wires
        dims += [part.dims[a] for a in part.axes]
    order = [names.index(wire) for wire in wires]
    return transpose(joint, tuple(dims), order)


def widened(vector: Any, dims: tuple[int, ...]) -> Any:
    """Every digit with four entries: zeros where a digit has only I and Z."""
    lead = vector.shape[:-1]
    xp = namespace(vector)
    padding = [(0, 0)] * len(lead) + [(0, 4 - d) for d in dims]
    return xp.pad(vector.reshape(*lead, *dims), padding).reshape(*lead, -1)
