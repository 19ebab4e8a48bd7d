"""How many steps groups of ranks take between two meetings: few enough to be stopped soon, many enough to be cheap."""

import time
from collections.abc import Iterator

from qdist.machine.comm import Comm

SHORT, LONG = 0.5, 2.0
"""Seconds between two meetings: below the one the stride is doubled, above the other it is halved."""
LONGEST = 64


def strides(comm: Comm, first: int, count: int) -> Iterator[range]:
    """Ranges that follow one another from `first` to `count`; all ranks get the same, by the clock of rank 0."""
    stride = 1
    while first < count:
        started = time.monotonic()
        yield range(first, min(first + stride, count))
        first += stride
        seconds = comm.broadcast(time.monotonic() - started)
        if seconds < SHORT:
            stride = min(2 * stride, LONGEST)
        elif seconds > LONG:
            stride = max(1, stride // 2)
