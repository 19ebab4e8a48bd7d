"""Boxes of a vector on their way to another process: copied off it, received, and written back.

Where the vector lies on a device, they pass through pinned memory of the host, to and from which a device copies by
itself, at 25–55 GB/s and without the processor. Nothing is waited for before it is needed: while one box is on the
wire, the next one is copied off the device and the last one onto it. JAX has such memory as a kind (`pinned_host`);
where a backend does not, boxes pass through pageable memory, in the same order.

Computing on boxes that have come, while others are on the wire, would not pay: a pass over them takes a hundredth of
the time that they take to come (2 TB/s against 20 GB/s).
"""

import ctypes
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Protocol

import numpy as np

from qdist_kernels.namespace import is_jax, precision_of
from qdist_kernels.native import is_on_device
from qdist_kernels.pieces import Box, read_piece, write_piece

PINNED = "pinned_host"
SPARES = 2
"""Buffers that wait to be filled again: one is on its way to the device while the other is received into."""


class Passage(Protocol):
    """A vector that gives and takes boxes, as flat arrays.

    Attributes:
        vector: As it is now; it is changed in place.
        ahead: How many boxes are asked for before the first one is needed.
    """

    vector: Any
    ahead: int

    def fetch(self, box: Box) -> Any:
        """Begin to copy a box."""

    def arrived(self, fetched: Any) -> Any:
        """The copy, once it is there."""

    def room(self, entries: int) -> Any:
        """An array to be filled with what comes; then it must be given to `put`, once."""

    def put(self, box: Box, came: Any) -> None:
        """Write a filled array to a box."""


def passage(vector: Any, shape: tuple[int, ...], *, is_direct: bool = False) -> Passage:
    """A way for boxes of a vector seen as `shape`.

    Args:
        vector: It must not be used again.
        shape: Of the view.
        is_direct: Whether a device's boxes are wanted where they are.
    """
    if not is_jax(vector):
        return OnHost(vector, shape)
    return OnDevice(vector, shape) if is_direct else ThroughHost(vector, shape)


def in_order(through: Passage, boxes: Iterable[Box]) -> Iterator[tuple[Box, Any]]:
    """Boxes and copies of them, in order; boxes that were asked for ahead must not be written to."""
    waiting: deque[tuple[Box, Any]] = deque()
    for box in boxes:
        waiting.append((box, through.fetch(box)))
        if len(waiting) > through.ahead:
            first, copy = waiting.popleft()
            yield first, through.arrived(copy)
    for first, copy in waiting:
        yield first, through.arrived(copy)


class OnHost:
    """A vector of NumPy's, whose copies are in the cache when they are sent: one at a time, and one buffer."""

    ahead = 0

    def __init__(self, vector: np.ndarray, shape: tuple[int, ...]) -> None:
        self.vector = vector
        self._shape = shape
        self._buffer = np.empty(0, vector.dtype)

    def fetch(self, box: Box) -> np.ndarray:
        return read_piece(self.vector, self._shape, *box)

    def arrived(self, fetched: np.ndarray) -> np.ndarray:
        return fetched

    def room(self, entries: int) -> np.ndarray:
        if self._buffer.size < entries:
            self._buffer = np.empty(entries, self.vector.dtype)
        return self._buffer[:entries]

    def put(self, box: Box, came: np.ndarray) -> None:
        self.vector = write_piece(self.vector, came, self._shape, *box)


class OnDevice:
    """A vector of JAX's, and processes that talk from device to device: they do not wait for JAX, so this does."""

    ahead = 1

    def __init__(self, vector: Any, shape: tuple[int, ...]) -> None:
        self.vector = vector
        self._shape = shape

    def fetch(self, box: Box) -> Any:
        return read_piece(self.vector, self._shape, *box)

    def arrived(self, fetched: Any) -> Any:
        return fetched.block_until_ready()

    def room(self, entries: int) -> Any:
        import jax.numpy as jnp

        with precision_of(self.vector):
            return jnp.empty(entries, self.vector.dtype).block_until_ready()

    def put(self, box: Box, came: Any) -> None:
        self.vector = write_piece(self.vector, came, self._shape, *box)


class ThroughHost:
    """A vector of JAX's whose boxes pass through the host, or lie there: then there is nothing to do ahead.

    A buffer that has carried a box out is filled with a later one that comes, so hardly any is made for those. On the
    device there are at most two boxes that leave and two that have come.
    """

    def __init__(self, vector: Any, shape: tuple[int, ...]) -> None:
        self.vector = vector
        self._shape = shape
        self._device = vector.sharding
        self.ahead = int(is_on_device(vector))
        self._is_pinned = self.ahead > 0 and has_pinned_memory(next(iter(vector.devices())))
        self._host = self._device.with_memory_kind(PINNED) if self._is_pinned else None
        self._leaving: Any = None
        self._filling: Any = None
        # With what is being copied from each.
        self._spare: deque[tuple[Any, Any]] = deque(maxlen=SPARES)

    def fetch(self, box: Box) -> Any:
        piece = read_piece(self.vector, self._shape, *box)
        if not self._is_pinned:
            piece.copy_to_host_async()
            return piece
        return self._moved(piece, self._host)

    def arrived(self, fetched: Any) -> np.ndarray:
        if self._leaving is not None:  # it has been sent by now
            self._spare.append((self._leaving, None))
        self._leaving = fetched if self._is_pinned else None
        return np.asarray(fetched)

    def room(self, entries: int) -> np.ndarray:
        if not self._is_pinned:
            return np.empty(entries, self.vector.dtype)
        self._filling = self._buffer(entries)
        return memory_of(self._filling)

    def put(self, box: Box, came: Any) -> None:
        if self._is_pinned:
            came = self._moved(self._filling, self._device)
            self._spare.append((self._filling, came))
        self.vector = write_piece(self.vector, came, self._shape, *box)

    def _buffer(self, entries: int) -> Any:
        """The one that has waited longest, if what was copied from it has arrived or two are there; else a new one."""
        for k, (spare, copy) in enumerate(self._spare):
            if spare.size == entries and (copy is None or len(self._spare) == SPARES):
                del self._spare[k]
                if copy is not None:
                    copy.block_until_ready()
                return spare
        return self._moved(np.empty(entries, self.vector.dtype), self._host).block_until_ready()

    def _moved(self, array: Any, place: Any) -> Any:
        import jax

        with precision_of(self.vector):
            return jax.device_put(array, place)


def on_host(array: Any) -> np.ndarray:
    """An array of JAX's for reading, copied once by the device itself where it can."""
    import jax

    if is_on_device(array) and has_pinned_memory(next(iter(array.devices()))):
        with precision_of(array):
            array = jax.device_put(array, array.sharding.with_memory_kind(PINNED))
    return np.asarray(array)


def memory_of(array: Any) -> np.ndarray:
    """The memory of an array of JAX's on the host, to be written to: JAX itself gives it for reading only."""
    memory = (ctypes.c_char * array.nbytes).from_address(array.unsafe_buffer_pointer())
    return np.frombuffer(memory, array.dtype)


@cache
def has_pinned_memory(device: Any) -> bool:
    """Whether a device copies from and to pinned memory that NumPy sees as it is: found out by a few numbers."""
    import jax

    try:
        where = jax.sharding.SingleDeviceSharding(device)
        pinned = where.with_memory_kind(PINNED)
        out = jax.device_put(jax.device_put(np.arange(4, dtype=np.float32), where), pinned).block_until_ready()
        seen = np.asarray(out)
        is_same = seen.ctypes.data == out.unsafe_buffer_pointer() and seen.tolist() == [0, 1, 2, 3]
        memory_of(out)[...] = 7
        back = jax.device_put(out, where).block_until_ready()
        is_copied = back.unsafe_buffer_pointer() != out.unsafe_buffer_pointer()
        return bool(is_same and is_copied and np.asarray(back).tolist() == [7] * 4)
    except (ValueError, NotImplementedError, RuntimeError):
        return False
