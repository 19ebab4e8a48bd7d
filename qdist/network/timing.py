"""Time during a run: moments, and who waited how long, exactly averaged or drawn for each shot."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import numpy as np

from qdist.errors import QdistError
from qdist.machine.instructions import EachShot
from qdist.network.draws import Draws
from qdist.network.waiting import Race
from qdist_kernels.namespace import is_jax, namespace


class RandomOrderError(QdistError):
    """Two moments whose order or distance is random were compared in exact mode."""

    def __init__(self) -> None:
        super().__init__(
            "The time between two events must be known or be averaged by one `Generate` step in exact mode, but here "
            "it depends on the random attempts of links that did not wait for one another. Generate these pairs in "
            'one step, make one follow the other (`after`), or use mode = "sampled".'
        )


class TracedOrderError(QdistError):
    """Which of two events comes first hangs on a value that JAX traces."""

    def __init__(self) -> None:
        super().__init__(
            "The order of an event and the end of a random wait must be known, but it depends on a duration that JAX "
            "traces. Give that duration as a number."
        )


class Clock(Protocol):
    """How moments are written and compared: one implementation with exact averages, one with drawn times.

    Attributes:
        drawn_times: How many points in time were made that each shot has its own of.
    """

    drawn_times: int

    def zero(self) -> Any: ...
    def later(self, moment: Any, duration: Any) -> Any: ...
    def latest(self, moments: list[Any]) -> Any: ...
    def earlier(self, a: Any, b: Any) -> Any: ...
    def elapsed(self, start: Any, end: Any) -> Any: ...
    def mean(self, moment: Any) -> Any: ...


@dataclass(frozen=True, eq=False)
class Frame:
    """A random point in time: the moment when all links of a race were up. Moments count from it.

    Attributes:
        parent: The point from which the race was counted.
        earliest: Seconds after the parent that it is at least.
        mean: Seconds since the start, on average.
        depth: How many points are before it.
        jump: A point far before it, so that a chain of thousands of races is climbed in a few steps.
        over_jump: Seconds after `jump` that it is at least.
    """

    parent: "Frame | None" = None
    earliest: Any = 0.0
    mean: Any = 0.0
    depth: int = 0
    jump: "Frame | None" = None
    over_jump: Any = 0.0

    def after(self, earliest: Any, mean: Any) -> "Frame":
        """The end of a race that is counted from this point.

        Two jumps of one length become one of twice the length and one more (Myers, Inf. Process. Lett. 17, 241 (1983)).
        """
        near = self.jump
        if near is not None and near.jump is not None and self.depth - near.depth == near.depth - near.jump.depth:
            over = earliest + self.over_jump + near.over_jump
            return Frame(self, earliest, mean, self.depth + 1, near.jump, over)
        return Frame(self, earliest, mean, self.depth + 1, self, earliest)


@dataclass(frozen=True)
class Moment:
    """`offset` seconds after the random point `frame`: a `Frame`, or a `DrawnTime` or the start in sampled mode."""

    frame: Any
    offset: Any

    def later(self, duration: Any) -> "Moment":
        """The moment after a duration; the same value after none, which is what most gates take."""
        if not is_jax(duration) and duration == 0:
            return self
        return Moment(self.frame, self.offset + duration)


class ExactClock:
    """Moments relative to random frames; only distances inside a frame are numbers."""

    drawn_times = 0

    def __init__(self) -> None:
        self._zero = Moment(Frame(), 0.0)

    def zero(self) -> Moment:
        return self._zero

    def later(self, moment: Moment, duration: Any) -> Moment:
        return moment.later(duration)

    def latest(self, moments: list[Moment]) -> Moment:
        """The latest moment, where every order is certain.

        Raises:
            RandomOrderError: Some order is not.
        """
        best = moments[0]
        for moment in moments[1:]:
            best = self._later_of(best, moment)
        return best

    def _later_of(self, a: Moment, b: Moment) -> Moment:
        if a is b:
            return a
        if a.frame is b.frame:
            if namespace(a.offset, b.offset) is np:
                return a if a.offset >= b.offset else b
            return Moment(a.frame, namespace(a.offset, b.offset).maximum(a.offset, b.offset))
        old, new = (a, b) if a.frame.depth < b.frame.depth else (b, a)
        lead, frame = new.offset, new.frame
        while frame.depth > old.frame.depth:
            if frame.jump.depth >= old.frame.depth:
                lead, frame = lead + frame.over_jump, frame.jump
            else:
                lead, frame = lead + frame.earliest, frame.parent
        if frame is not old.frame:
            raise RandomOrderError()
        if namespace(lead, old.offset) is not np:
            if namespace(old.offset) is np and old.offset == 0:
                return new
            raise TracedOrderError()
        if old.offset > lead * (1 + 1e-12):
            raise RandomOrderError()
        return new

    def earlier(self, a: Moment, b: Moment) -> Moment:
        """The earlier of two moments, where their order is certain."""
        if a.frame is b.frame:
            return Moment(a.frame, namespace(a.offset, b.offset).minimum(a.offset, b.offset))
        return a if self._later_of(a, b) is b else b

    def elapsed(self, start: Moment, end: Moment) -> Any:
        if start.frame is not end.frame:
            raise RandomOrderError()
        return end.offset - start.offset

    def mean(self, moment: Moment) -> Any:
        """The mean of a moment in seconds since the start."""
        return moment.frame.mean + moment.offset

    def after_race(self, frame: Frame, race: Race) -> Moment:
        """The random moment at which a race that started in `frame` is over."""
        mean = frame.mean + race.start + race.mean()
        return Moment(frame.after(race.earliest, mean), 0.0)


SEARCH = 16
"""Random times that are looked through for a certain order; beyond them times are compared in each shot."""


@dataclass(frozen=True, eq=False)
class DrawnTime:
    """A point in time that is another one in each shot. Moments count from it.

    Attributes:
        after: Moments that it follows from; it is not before any of them, except if it is the earliest of them.
        rule: From their times in seconds, one row for each, and the random numbers.
        delay: How much later than they it is at least.
        earliest: The least that it can be, in seconds since the start.
    """

    after: "tuple[Moment, ...]"
    rule: Callable[[list[Any], Draws], np.ndarray]
    delay: float
    earliest: float
    is_earliest: bool = False

    def seconds(self, draws: Draws) -> np.ndarray:
        """Since the start, shape (shots,). Without recursion: a chain of thousands of links has as many of these."""
        waiting = [self]
        while waiting:
            time = waiting[-1]
            sources = {m.frame for m in time.after if m.frame is not None and m.frame not in draws.known}
            if not sources and time not in draws.known:
                draws.known[time] = time.rule([seconds(moment, draws) for moment in time.after], draws)
            waiting += sources
            if not sources:
                waiting.pop()
        return draws.known[self]


def seconds(moment: Moment, draws: Draws) -> Any:
    """When a moment of a `DrawnClock` is, in seconds since the start: a number, or one for each shot."""
    return moment.offset if moment.frame is None else moment.frame.seconds(draws) + moment.offset


class DrawnClock:
    """Moments relative to the start (`None`) or to drawn times.

    Distances from the same point are numbers, and the same in all shots; others are computed shot by shot in a run.
    """

    def __init__(self) -> None:
        self.drawn_times = 0
        self._zero = Moment(None, 0.0)

    def zero(self) -> Moment:
        return self._zero

    def later(self, moment: Moment, duration: Any) -> Moment:
        return moment.later(duration)

    def after_attempts(self, start: Moment, step: int, link: int, probability: float, duration: float) -> Moment:
        """The random moment at which a link is up."""

        def rule(times: list[Any], draws: Draws) -> np.ndarray:
            return times[0] + draws.attempts(step, link, probability) * duration

        return self._drawn(DrawnTime((start,), rule, duration, _earliest(start) + duration))

    def latest(self, moments: list[Moment]) -> Moment:
        """The latest moment: one of them where that is certain, else a drawn time."""
        last: dict[DrawnTime | None, Moment] = {}
        for moment in moments:
            known = last.get(moment.frame)
            last[moment.frame] = moment if known is None or known.offset <= moment.offset else known
        left = list(last.values())
        if len(left) <= SEARCH:
            left = _latest_of(left)
        if len(left) == 1:
            return left[0]
        return self._drawn(DrawnTime(tuple(left), _largest, 0.0, max(map(_earliest, left))))

    def earlier(self, a: Moment, b: Moment) -> Moment:
        if _surely_before(a, b):
            return a
        if _surely_before(b, a):
            return b
        return self._drawn(DrawnTime((a, b), _smallest, 0.0, min(_earliest(a), _earliest(b)), is_earliest=True))

    def _drawn(self, time: DrawnTime) -> Moment:
        self.drawn_times += 1
        return Moment(time, 0.0)

    def elapsed(self, start: Moment, end: Moment) -> Any:
        """Seconds between two moments: a number, or one for each shot."""
        if start.frame is end.frame:
            return end.offset - start.offset
        return EachShot(np.zeros(()), lambda draws: np.maximum(seconds(end, draws) - seconds(start, draws), 0.0))

    def mean(self, moment: Moment) -> Any:
        """Seconds since the start: a number, or one for each shot."""
        if moment.frame is None:
            return moment.offset
        return EachShot(np.zeros(()), lambda draws: seconds(moment, draws))


def _largest(times: list[Any], draws: Draws) -> np.ndarray:
    return reduce(np.maximum, times)


def _smallest(times: list[Any], draws: Draws) -> np.ndarray:
    return reduce(np.minimum, times)


def _earliest(moment: Moment) -> Any:
    return moment.offset if moment.frame is None else moment.frame.earliest + moment.offset


def _latest_of(moments: list[Moment]) -> list[Moment]:
    """Those of which no other one is surely after them."""
    left: list[Moment] = []
    for moment in moments:
        if not any(_surely_before(moment, other) for other in left):
            left = [other for other in left if not _surely_before(other, moment)] + [moment]
    return left


def _surely_before(early: Moment, late: Moment) -> bool:
    """Whether a moment is not after another one in any shot: from how they came about, never from drawn numbers."""
    if early.frame is late.frame:
        return bool(early.offset <= late.offset)
    if early.frame is None:
        return bool(early.offset <= _earliest(late))
    looked, found = 0, [(late.frame, late.offset)]
    while found and looked < SEARCH:
        time, lead = found.pop()
        looked += 1
        for moment in () if time is None or time.is_earliest else time.after[:SEARCH]:
            before = lead + time.delay + moment.offset
            if moment.frame is early.frame and early.offset <= before:
                return True
            found.append((moment.frame, before))
    return False


def check_before(ready: Any, race: Race) -> None:
    """Raise unless a qubit that is ready at this offset surely waits for the end of a race in the same frame.

    Raises:
        RandomOrderError: It may be ready later than the race is over.
        TracedOrderError: A traced value decides.
    """
    if namespace(ready, race.start) is np and ready <= race.start:
        return
    if namespace(ready, race.earliest) is not np:
        raise TracedOrderError()
    if ready > race.earliest:
        raise RandomOrderError()
