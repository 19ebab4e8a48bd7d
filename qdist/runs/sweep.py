"""A sweep: one job for each point of a grid of numbers, and `run_sweep`, which deals the points to groups of ranks."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from qdist.errors import QdistError
from qdist.machine.comm import SERIAL, Comm
from qdist.machine.memory import available_bytes, in_units
from qdist.runs.checkpoints.keeper import NOTHING, Keeps
from qdist.runs.checkpoints.standing import BEGINNING, Outline, Standing
from qdist.runs.progress import Progress, silent
from qdist.runs.results import Result
from qdist.runs.schema import Axis
from qdist.runs.stacking import stacked
from qdist.runs.strides import strides

if TYPE_CHECKING:
    from qdist.runs.job import Job

MAX_POINTS = 100_000
SMALL = 2**26
"""Bytes of results for which nobody asks how much memory there is."""

RunPoint = Callable[["Job", Comm, Keeps, Standing], Result]


@dataclass(frozen=True)
class Sweep:
    """One job for each point of a grid.

    Attributes:
        axes: The swept fields; the points are all combinations of their values, the last field changing fastest.
        make: The job of a point, from one value for each axis. Called again whenever the job is asked for.
        title: For the result.
        text: The job file, if there was one.

    Raises:
        QdistError: There is no axis, two have one name, or there are too many points.
    """

    axes: tuple[Axis, ...]
    make: "Callable[[tuple[float, ...]], Job]" = field(repr=False)
    title: str = ""
    text: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        if not self.axes or len({axis.name for axis in self.axes}) != len(self.axes):
            found = "two have the same name" if self.axes else "there are none"
            raise QdistError(f"A sweep must have different axes, but {found}. Change them.")
        if len(self) > MAX_POINTS:
            raise QdistError(
                f"A sweep must have at most {MAX_POINTS:,} points, but has "
                f"{' × '.join(f'{size:,}' for size in self.shape)} = {len(self):,}. Give fewer values."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of values of each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    def __len__(self) -> int:
        return math.prod(self.shape)

    @property
    def paths(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """Path and values of each axis."""
        return tuple((axis.path, axis.values) for axis in self.axes)

    def point(self, number: int) -> tuple[float, ...]:
        """The value of each axis at a point, numbered from 0."""
        if not 0 <= number < len(self):
            raise IndexError(f"The number of a point must be from 0 to {len(self) - 1}, but is {number}.")
        places = np.unravel_index(number, self.shape)
        return tuple(axis.values[place] for axis, place in zip(self.axes, places, strict=True))

    def job(self, number: int) -> "Job":
        """The job of a point, made anew.

        Raises:
            QdistError: The values do not fit the job: the message says at which point.
        """
        with self.located(number):
            return self.make(self.point(number))

    @contextmanager
    def located(self, number: int) -> Iterator[None]:
        """Say in every `QdistError` at which point it was found."""
        try:
            yield
        except QdistError as error:
            values = zip(self.axes, self.point(number), strict=True)
            where = ", ".join(f"`{axis.path}` = {value}" for axis, value in values)
            raise QdistError(f"{error} This is at {where}.") from None


def run_sweep(
    sweep: Sweep,
    run_point: RunPoint,
    comm: Comm = SERIAL,
    *,
    ranks_per_point: int = 1,
    progress: Progress | None = None,
    keeper: Keeps = NOTHING,
    standing: Standing = BEGINNING,
    outline: Callable[[], Outline | None] = lambda: None,
) -> Result:
    """Run all points and stack their results.

    P ranks are P/G groups of G = `ranks_per_point`; of the points that are left, group g runs number g, g + P/G, … .
    Every rank gets the same result. It does not depend on the number of ranks if those of `run_point` do not; only the
    attributes `ranks` and `wall_seconds`, both of the whole sweep, do. Final states are not kept.

    Args:
        sweep: What to run.
        run_point: Runs one job on the ranks of a group, all of which return the same or raise the same; or goes on
            with it from where it stands.
        comm: All ranks.
        ranks_per_point: How many ranks share a point, a power of two.
        progress: Counts points.
        keeper: Told when points are done, and by `run_point` what goes on inside of one if there is one group.
        standing: Which points are done, and where one under way stands.
        outline: Of the plan of the first point, to tell one sweep from another.

    Raises:
        QdistError: A point failed: every rank raises the message of the first that did, which says where it is. Or the
            results do not fit into memory.
    """
    groups, group = _number_of_groups(comm, ranks_per_point), comm.rank // ranks_per_point
    axes = sweep.paths
    started = time.perf_counter()
    bar = silent() if progress is None else progress
    part = comm.split(group)
    found: dict[int, Result] = dict(standing.points)
    left = [number for number in range(len(sweep)) if number not in found and number != standing.point]
    bar.start(len(sweep) - len(found))
    keeper.begin(len(found))

    def now(point: int | None = None, inner: Standing = BEGINNING) -> Standing:
        return replace(inner, axes=axes, points=found, point=point, first=outline())

    def run_inside(number: int, ranks: Comm, inner: Standing) -> Result:
        with sweep.located(number), keeper.inside(partial(now, number)):
            return replace(run_point(sweep.make(sweep.point(number)), ranks, keeper, inner), final=None)

    def run_alone(number: int) -> Result:
        with sweep.located(number):
            return replace(run_point(sweep.make(sweep.point(number)), part, NOTHING, BEGINNING), final=None)

    try:
        if standing.point is not None:
            found[standing.point] = run_inside(standing.point, comm, standing)
            bar.advance(1)
        run = run_alone if groups > 1 else lambda number: run_inside(number, comm, BEGINNING)
        for rounds in strides(comm, 0, -(-len(left) // groups)):
            numbers = [left[group + k * groups] for k in rounds if group + k * groups < len(left)]
            batch = _run_batch(numbers, run, partial(bar.advance, groups))
            new = _shared(batch, comm, ranks_per_point)
            _check_memory(new, len(sweep), comm)
            found |= new
            if len(found) < len(sweep):
                keeper.step(len(found), now, len(found), partial(_stacked_so_far, sweep, found))
    finally:
        bar.close()
    result = stacked(sweep.axes, [found[number] for number in range(len(sweep))])
    seconds = comm.broadcast(time.perf_counter() - started)
    attributes = {**result.attributes, **_named(sweep), "ranks": comm.size, "wall_seconds": seconds}
    return replace(result, attributes=attributes)


def _named(sweep: Sweep) -> dict[str, str]:
    return {name: text for name, text in (("title", sweep.title), ("job", sweep.text)) if text}


def _stacked_so_far(sweep: Sweep, found: Mapping[int, Result]) -> Result:
    """With the points that are not done as if they had recorded nothing."""
    some = next(iter(found.values()))
    nothing = Result(some.attributes, {})
    result = stacked(sweep.axes, [found.get(number, nothing) for number in range(len(sweep))])
    return replace(result, attributes={**result.attributes, **_named(sweep)})


def _number_of_groups(comm: Comm, ranks_per_point: int) -> int:
    if ranks_per_point < 1 or comm.size % ranks_per_point:
        raise QdistError(
            f"`per_state` must be a power of two that is at most the number of ranks, {comm.size}, but is "
            f"{ranks_per_point}. Lower it, or run with more ranks."
        )
    return comm.size // ranks_per_point


@dataclass
class _Batch:
    """What a group found in one stride: results by point, and the first error with its point."""

    results: dict[int, Result] = field(default_factory=dict)
    error: tuple[int, str] | None = None


def _run_batch(numbers: list[int], run: Callable[[int], Result], advance: Callable[[], object]) -> _Batch:
    batch = _Batch()
    for number in numbers:
        try:
            batch.results[number] = run(number)
        except QdistError as error:
            batch.error = (number, str(error))
            return batch
        advance()
    return batch


def _shared(batch: _Batch, comm: Comm, ranks_per_point: int) -> dict[int, Result]:
    """The results of all groups, from the first rank of each; raises the error of the first point that has one."""
    is_first = comm.rank % ranks_per_point == 0
    batches = comm.gather(batch if is_first else _Batch(error=batch.error))
    errors = [other.error for other in batches if other.error is not None]
    if errors:
        raise QdistError(min(errors)[1])
    return {number: result for other in batches for number, result in other.results.items()}


def _check_memory(new: Mapping[int, Result], points: int, comm: Comm) -> None:
    """Raise if the results of all points, and once more as they are stacked, will not fit beside one another."""
    largest = max(sum(array.nbytes for array in result.data.values()) for result in new.values())
    needed = 2 * largest * points * comm.local_size
    if needed > SMALL and needed > (available := min(comm.gather(available_bytes()))):
        raise QdistError(
            f"The results of a sweep must fit into memory, {in_units(available)}, but {points:,} points of "
            f"{in_units(largest)} take {in_units(needed)} on {comm.local_size} ranks of a host. Record less "
            "(`probabilities = false`, fewer metrics), or split the sweep into several jobs."
        )
