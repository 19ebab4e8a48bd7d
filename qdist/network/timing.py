"""Time during a run: moments, and who waited how long, exactly averaged or drawn for each shot."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from qdist.errors import QdistError
from qdist.network.waiting import Race
from qdist_kernels.namespace import namespace


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
    """How moments are written and compared: one implementation with exact averages, one with drawn times."""

    def zero(self) -> Any: ...
    def later(self, moment: Any, duration: Any) -> Any: ...
    def latest(self, moments: list[Any]) -> Any: ...
    def earlier(self, a: Any, b: Any) -> Any: ...
    def elapsed(self, start: Any, end: Any) -> Any: ...
    def mean(self, moment: Any) -> Any: ...


@dataclass(frozen=True, eq=False)
class Frame:
    """A random point in time: the moment when all links of a race were up. Moments count from it."""

    parent: "Frame | None" = None
    earliest: Any = 0.0
    mean: Any = 0.0
    depth: int = 0


@dataclass(frozen=True)
class Moment:
    """`offset` seconds after the random point `frame`."""

    frame: Frame
    offset: Any


class ExactClock:
    """Moments relative to random frames; only distances inside a frame are numbers."""

    def __init__(self) -> None:
        self._origin = Frame()

    def zero(self) -> Moment:
        return Moment(self._origin, 0.0)

    def later(self, moment: Moment, duration: Any) -> Moment:
        return Moment(moment.frame, moment.offset + duration)

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
        if a.frame is b.frame:
            if namespace(a.offset, b.offset) is np:
                return a if a.offset >= b.offset else b
            return Moment(a.frame, namespace(a.offset, b.offset).maximum(a.offset, b.offset))
        old, new = (a, b) if a.frame.depth < b.frame.depth else (b, a)
        lead = new.offset
        frame: Frame | None = new.frame
        while frame is not None and frame is not old.frame:
            lead = lead + frame.earliest
            frame = frame.parent
        if frame is None:
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
        return Moment(Frame(frame, race.earliest, mean, frame.depth + 1), 0.0)


class DrawnClock:
    """Moments are seconds, one number for all shots or one per shot."""

    def zero(self) -> float:
        return 0.0

    def later(self, moment: Any, duration: Any) -> Any:
        return moment + duration

    def latest(self, moments: list[Any]) -> Any:
        best = moments[0]
        for moment in moments[1:]:
            best = np.maximum(best, moment)
        return best

    def earlier(self, a: Any, b: Any) -> Any:
        return np.minimum(a, b)

    def elapsed(self, start: Any, end: Any) -> Any:
        return end - start

    def mean(self, moment: Any) -> Any:
        return moment


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
