"""The plan of a batch of shots as one program for a GPU: what `evolve.py` does step by step, in one call.

Vectors that all shots share are moved on the host, once, when the program is written. What differs from shot to shot
becomes steps of the program (`qdist_kernels/shots.py`): it knows rows of numbers, neither slots nor wires.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdist.machine.comm import SERIAL
from qdist.machine.instructions import EachShot, Test
from qdist.machine.plan import Draw, Keep, Load, Merge, Part, Passes, Plan, Read, Scale, Stop, Transfer, Xor
from qdist.network.draws import Draws
from qdist.runs.evolution import Evolution, KeptBranch, Reading
from qdist.runs.evolve import Run, impossible
from qdist.runs.reading import positions_of
from qdist_kernels import Entries, is_jax, shots
from qdist_kernels.batches import entries_of
from qdist_kernels.shots import NUMBERS, Place, UnfitError, Value

Matrix = list[tuple[int, int, Value]]


@dataclass(frozen=True, eq=False)
class Recipe:
    """A matrix of each shot, and which rows its entries that differ by shot become."""

    of: EachShot
    rows: tuple[tuple[tuple[int, int], int], ...]


@dataclass(frozen=True, eq=False)
class AtOnce:
    """A program, and what its rows are.

    Attributes:
        program: For a GPU.
        dtype: Of the vectors.
        recipes: Of the numbers that come with a batch.
        vectors: By slot: rows of the result, or the vector that all shots share.
        drawn: Rows by bit.
        kept: Label, whether it is a herald, and the row.
        readings: Label, time, rows or vectors, and the row of what was accepted before.
        draws: Bits in the order in which they are drawn, for an error.
    """

    program: shots.Shots
    dtype: np.dtype
    recipes: tuple[Recipe, ...]
    vectors: dict[int, Any]
    drawn: dict[str, Place]
    kept: tuple[tuple[str, bool, Place | None], ...]
    readings: tuple[tuple[str, Any, tuple[Any, ...], Place | None], ...]
    draws: tuple[str, ...]

    def evolve(self, draws: Draws) -> Evolution:
        """Where the plan leads with these random numbers: what `evolve` gives, as far as anything is read of it."""
        values = np.zeros((self.program.values, draws.shots), self.dtype)
        for recipe in self.recipes:
            given = _of_shots(recipe.of, draws)
            for place, row in recipe.rows:
                values[row] = given.get(place, 0.0)
        rows = shots.run(self.program, values, seed=draws.seed, first=draws.first)
        check_possible(rows[0], self.draws)

        def seen(of: Any) -> Any:
            return rows[of.base : of.base + of.size].T if isinstance(of, Place) else of

        def flags(of: Place | None) -> np.ndarray:
            return np.ones(draws.shots, bool) if of is None else rows[of.base] > 0

        return Evolution(
            vectors={slot: seen(of) for slot, of in self.vectors.items()},
            drawn={bit: rows[of.base].astype(np.int8) for bit, of in self.drawn.items()},
            accepted=flags(self.kept[-1][2] if self.kept else None),
            kept=[KeptBranch(label, is_herald, accepted=flags(of)) for label, is_herald, of in self.kept],
            readings=[
                Reading(
                    label, time.of(draws) if isinstance(time, EachShot) else time, tuple(map(seen, of)), flags(then)
                )
                for label, time, of, then in self.readings
            ],
        )


def check_possible(failed: np.ndarray, bits: Sequence[str]) -> None:
    """Raise if a draw of some shot, from 1, had no possible outcome."""
    if failed.any():
        raise impossible(bits[int(failed[failed > 0].min()) - 1])


def at_once(plan: Plan, dtype: Any) -> AtOnce | None:
    """The program of a plan, or nothing if a GPU cannot run it so: it has large clusters, or ranks share them."""
    writer = _Writer(plan, np.dtype(dtype))
    try:
        for operation in plan.operations:
            writer.write(operation)
        return writer.finish()
    except UnfitError:
        return None


def _by_place(entries: Entries) -> dict[tuple[int, int], Any]:
    return dict(zip(entries.places, entries.values, strict=True))


def _of_shots(matrix: EachShot, draws: Draws) -> dict[tuple[int, int], Any]:
    """The entries that may differ from 0 in some shot: which these are does not depend on the random numbers."""
    found = matrix.of(draws)
    if isinstance(found, Entries):
        return _by_place(found)
    return {(row, column): found[..., row, column] for row, column in np.argwhere(matrix.like).tolist()}


class _Writer:
    def __init__(self, plan: Plan, dtype: np.dtype) -> None:
        self._plan = plan
        self._dtype = dtype
        self._to = shots.Writer(dtype)
        self._shared = Run(dtype, SERIAL, None)
        self._places: dict[int, Place] = {}
        self._bits: dict[str, Place] = {}
        self._recipes: dict[int, tuple[Recipe, Matrix]] = {}
        self._draws: list[str] = []
        self._accepted: tuple[Place, Place] | None = None  # for the next test, and for the host
        self._kept: list[tuple[str, bool, Place | None]] = []
        self._readings: list[Any] = []

    def write(self, operation: Any) -> None:
        slots = [getattr(operation, name, None) for name in ("slot", "other")]
        differs = isinstance(operation, Transfer) and operation.differs_by_shot
        is_shared = not differs and not any(slot in self._places for slot in slots)
        match operation:
            case Draw():
                self._draw(operation)
            case Xor(bit=bit, of=of):
                self._bits[bit] = self._to.test([self._bits[each] for each in of], parity=1)
            case Keep(test=Test() as test):
                self._keep(operation, test)
            case Read():
                self._read(operation)
            case Stop():
                pass
            case Load() | Merge() | Transfer() | Scale() | Passes() if is_shared:
                self._shared.execute(operation)
                if is_jax(self._shared.state.vectors[operation.slot]) or np.ndim(getattr(operation, "vector", 0)) > 1:
                    raise UnfitError("A vector is large.")
            case Merge(slot=slot, other=other):
                first, second = self._taken(slot), self._taken(other)
                self._set(slot, self._to.multiply(first, range(first.size), second, range(second.size)), first, second)
            case Transfer(slot=slot, dims=dims, axes=axes, in_place=in_place):
                flag = None if operation.test is None else self._holds(operation.test)
                choices = operation.otherwise, operation.matrix
                matrix = self._of(operation.matrix) if flag is None else self._chosen(choices, flag)
                self._contract(slot, matrix, dims, axes, in_place, operation.matrix.shape[-2])
                if flag is not None:
                    self._to.free(flag)
            case Scale(slot=slot, dims=dims, axes=axes, factors=factors):
                self._contract(slot, self._constant(np.diag(factors)), dims, axes, True)
            case Passes(slot=slot, program=program):
                dims = (2,) * program.bits
                for step in program.steps:
                    numbers = np.diag(step.numbers) if step.is_diagonal else step.numbers
                    axes = tuple(program.bits - 1 - bit for bit in step.bits)
                    self._contract(slot, self._constant(numbers), dims, axes, True)
            case _:
                raise UnfitError("Ranks share a state.")

    # -- vectors

    def _vector(self, slot: int) -> Place:
        """Where a vector is: a shared one is a part of the numbers."""
        if slot in self._places:
            return self._places[slot]
        return self._to.shared(self._shared.state.vectors[slot])

    def _taken(self, slot: int) -> Place:
        place = self._vector(slot)
        self._places.pop(slot, None)
        self._shared.state.vectors.pop(slot, None)
        return place

    def _set(self, slot: int, new: Place, *old: Place) -> None:
        """What follows may write where the old ones were."""
        self._places[slot] = new
        for place in old:
            self._to.free(place)

    def _contract(
        self, slot: int, matrix: Matrix, dims: tuple[int, ...], axes: tuple[int, ...], in_place: bool, rows: int = 0
    ) -> None:
        old = self._taken(slot)
        self._set(slot, self._contracted(old, matrix, dims, axes, in_place, rows), old)

    def _contracted(
        self, old: Place, matrix: Matrix, dims: tuple[int, ...], axes: tuple[int, ...], in_place: bool, rows: int = 0
    ) -> Place:
        rest = tuple(size for k, size in enumerate(dims) if k not in axes)
        into = (dims, axes) if in_place else ((rows, *rest), (0,))
        return self._to.contract(matrix, into, (old, dims, axes))

    # -- matrices

    def _of(self, matrix: Any) -> Matrix:
        if not isinstance(matrix, EachShot):
            return self._constant(matrix)
        if id(matrix) not in self._recipes:
            # Which entries are numbers, and which are equal, is the same for any random numbers.
            known: dict[int, Value] = {}
            entries: Matrix = []
            rows = []
            for place, value in _of_shots(matrix, Draws(0, 0, 4)).items():
                if not isinstance(value, np.ndarray):
                    entries.append((*place, self._to.number(value)))
                    continue
                if id(value) not in known:
                    known[id(value)] = self._to.given()
                    rows.append((place, known[id(value)].index))
                entries.append((*place, known[id(value)]))
            self._recipes[id(matrix)] = Recipe(matrix, tuple(rows)), entries
        return self._recipes[id(matrix)][1]

    def _constant(self, matrix: Any) -> Matrix:
        return [(*place, self._to.number(value)) for place, value in _by_place(entries_of(np.asarray(matrix))).items()]

    def _chosen(self, matrices: Sequence[Any], by: Place) -> Matrix:
        table = np.stack([np.asarray(matrix) for matrix in matrices])
        choices = {place: tuple(table[(slice(None), *place)].tolist()) for place in np.ndindex(*table.shape[1:])}
        return [(*place, self._to.choice(each, by)) for place, each in choices.items() if any(each)]

    # -- bits

    def _holds(self, test: Test) -> Place:
        bits = [self._bits[bit] for bit in test.bits]
        if test.parity is not None:
            return self._to.test(bits, parity=test.parity)
        if len(bits) > shots.MOST_BITS:
            raise UnfitError("A test asks for many bits.")
        return self._to.test(bits, answers=[value in (test.values or ()) for value in range(2 ** len(bits))])

    def _keep(self, keep: Keep, test: Test) -> None:
        holds = self._holds(test)
        here = holds if self._accepted is None else self._to.both(self._accepted[0], holds)
        self._accepted = here, self._to.take(here, [0], out=self._to.result())
        self._kept.append((keep.label, keep.is_herald, self._accepted[1]))

    def _draw(self, draw: Draw) -> None:
        if draw.split is not None:
            raise UnfitError("Ranks share a state.")
        cut = len(draw.dims) if draw.other is None else draw.cut
        first = tuple(axis for axis in draw.axes if axis < cut)
        second = tuple(axis - cut for axis in draw.axes if axis >= cut)
        left = self._vector(draw.slot), draw.dims[:cut], first
        right = None if draw.other is None else (self._vector(draw.other), draw.dims[cut:], second)
        flips = draw.confusion[1][0], draw.confusion[0][1]
        flag = None if draw.when is None else self._holds(draw.when)
        bit, outcome, factor = self._to.draw(
            (left[0], _places(*left[1:])),
            None if right is None else (right[0], _places(*right[1:])),
            np.stack([np.asarray(row, float).reshape(-1) for row in draw.chances]),
            purpose=draw.purpose,
            flips=flips if any(flips) else None,
            flag=flag,
            otherwise=self._otherwise(draw),
        )
        self._draws.append(draw.bit)
        matrices = [*draw.outcomes] + ([] if flag is None else [np.eye(len(draw.outcomes[0]))])
        rest = tuple(size for axis, size in enumerate(draw.dims) if axis not in draw.axes)
        into = (len(draw.outcomes[0]), *rest), (0,)
        new = self._to.contract(self._chosen(matrices, outcome), into, left, right, factor=factor)
        old = [self._taken(slot) for slot in (draw.slot, draw.other) if slot is not None]
        self._set(draw.slot, new, *old, *([] if flag is None else [flag]), Place(outcome.kind, outcome.base, 2))
        self._bits[draw.bit] = bit

    def _otherwise(self, draw: Draw) -> Place | None:
        if draw.when is None:
            return None
        if isinstance(draw.otherwise, str):
            return self._bits[draw.otherwise]
        return self._to.shared([float(draw.otherwise or 0)])

    # -- what is read

    def _read(self, read: Read) -> None:
        groups = zip(read.groups, read.parts, read.relaxations, strict=True)
        seen = tuple(self._reduced(*each) if each[0] else None for each in groups)
        accepted = None if self._accepted is None else self._accepted[1]
        self._readings.append((read.label, read.time, seen, accepted))

    def _reduced(self, group: tuple[str, ...], parts: tuple[Part, ...], relaxations: tuple[Any, ...]) -> Place:
        """As `reading.reduced`, and what the qubits still suffer."""
        joint: Place | None = None
        names: list[str] = []
        for part in parts:
            inside = [wire for wire in group if wire in part.wires]
            if not inside:
                continue
            if any(part.size(wire) != 4 for wire in inside):
                raise UnfitError("A qubit has collapsed.")
            vector = self._vector(part.slot)
            positions = positions_of(part, [(wire, kind) for wire in inside for kind in "xz"]).tolist()
            old, joint = (
                joint,
                (
                    self._to.take(vector, positions)
                    if joint is None
                    else self._to.multiply(joint, range(joint.size), vector, positions)
                ),
            )
            names += inside
            if old is not None:
                self._to.free(old)
        assert joint is not None
        dims = (4,) * len(group)
        order = np.arange(joint.size).reshape(dims).transpose([names.index(wire) for wire in group]).reshape(-1)
        for wire, matrix in zip(group, relaxations, strict=True):
            if matrix is not None:
                old = joint
                joint = self._contracted(old, self._of(matrix), dims, (names.index(wire),), True)
                self._to.free(old)
        seen = self._to.take(joint, order.tolist(), out=self._to.result(joint.size))
        self._to.free(joint)
        return seen

    def finish(self) -> AtOnce:
        """The program, with the clusters and bits that are asked for at the end."""
        vectors: dict[int, Any] = {}
        for part in self._plan.final:
            place = self._vector(part.slot)
            if place.kind == NUMBERS:
                vectors[part.slot] = self._shared.state.vectors[part.slot]
            else:
                vectors[part.slot] = self._to.take(place, range(place.size), out=self._to.result(place.size))
        wanted = {each.drawn for each in self._plan.bits.values() if each.drawn is not None}
        drawn = {bit: self._to.take(self._bits[bit], [0], out=self._to.result()) for bit in sorted(wanted)}
        recipes = tuple(recipe for recipe, _ in self._recipes.values())
        program = self._to.program()
        kept, readings = tuple(self._kept), tuple(self._readings)
        return AtOnce(program, self._dtype, recipes, vectors, drawn, kept, readings, tuple(self._draws))


def _places(dims: tuple[int, ...], axes: tuple[int, ...]) -> list[int]:
    """Where the entries are whose other digits are 0."""
    strides = [int(np.prod(dims[axis + 1 :], initial=1)) for axis in axes]
    return [sum(map(int, np.multiply(index, strides))) for index in np.ndindex(*(dims[axis] for axis in axes))]
