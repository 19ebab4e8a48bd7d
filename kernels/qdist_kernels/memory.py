"""NumPy arrays for vectors: aligned to the cache, with room to grow in place."""

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

LINE_BYTES = 128
"""Arrays begin at a multiple of it. Cores that write to neighboring tiles must not share lines of the cache, which are
64 bytes and are fetched in twos: on arrays 16 bytes off, two cores took twice as long."""

SMALL_BYTES = 2**12
"""Arrays that one core works on alone: where they begin does not matter."""


def address(array: Any) -> int:
    """Where the entries of an array of NumPy's begin, as `array.ctypes.data`, which takes four times as long."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (BufferError, TypeError, ValueError):  # read-only, not contiguous, or without entries
        return int(array.ctypes.data)


def empty(shape: Sequence[int], dtype: Any, *, room: int = 0) -> np.ndarray:
    """A new array with undefined entries.

    Args:
        shape: Of the array.
        dtype: Of its entries.
        room: Entries that `grow` may give it later. The operating system provides memory when it is first written.
    """
    itemsize = np.dtype(dtype).itemsize
    size = math.prod(shape) * itemsize
    if max(size, room * itemsize) <= SMALL_BYTES:
        return np.empty(shape, dtype)
    try:
        raw = np.empty(max(size, room * itemsize) + LINE_BYTES, np.uint8)
    except MemoryError:  # a system that does not lend what it may not have
        raw = np.empty(size + LINE_BYTES, np.uint8)
    start = -address(raw) % LINE_BYTES
    return np.ndarray(shape, dtype, raw, start)


def grow(array: np.ndarray, entries: int) -> np.ndarray | None:
    """A longer array at the same place, if `array` is a vector that was made with the room for it.

    The entries of `array` are the first ones.
    """
    raw = array
    while isinstance(raw.base, np.ndarray):
        raw = raw.base
    if array.ndim != 1 or raw.dtype != np.uint8 or not array.flags.c_contiguous or not array.flags.writeable:
        return None
    begin = address(raw)
    start = address(array) - begin
    end = start + entries * array.itemsize
    is_first = start == -begin % LINE_BYTES
    return raw[start:end].view(array.dtype) if is_first and end <= raw.nbytes else None
