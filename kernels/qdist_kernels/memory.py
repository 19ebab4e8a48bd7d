"""NumPy arrays for vectors: aligned to the cache, with room to grow in place."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

LINE_BYTES = 128
"""Arrays begin at a multiple of it. Cores that write to neighboring tiles must not share lines of the cache, which are
64 bytes and are fetched in twos: on arrays 16 bytes off, two cores took twice as long."""


def empty(shape: Sequence[int], dtype: Any, *, room: int = 0) -> np.ndarray:
    """A new array with undefined entries.

    Args:
        shape: Of the array.
        dtype: Of its entries.
        room: Entries that `grow` may give it later. The operating system provides memory when it is first written.
    """
    itemsize = np.dtype(dtype).itemsize
    size = math.prod(shape) * itemsize
    try:
        raw = np.empty(max(size, room * itemsize) + LINE_BYTES, np.uint8)
    except MemoryError:  # a system that does not lend what it may not have
        raw = np.empty(size + LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % LINE_BYTES
    return raw[start : start + size].view(dtype).reshape(shape)


def grow(array: np.ndarray, entries: int) -> np.ndarray | None:
    """A longer array at the same place, if `array` is a vector that was made with the room for it.

    The entries of `array` are the first ones.
    """
    raw = array
    while isinstance(raw.base, np.ndarray):
        raw = raw.base
    if array.ndim != 1 or raw.dtype != np.uint8 or not array.flags.c_contiguous or not array.flags.writeable:
        return None
    start = array.ctypes.data - raw.ctypes.data
    end = start + entries * array.itemsize
    is_first = start == -raw.ctypes.data % LINE_BYTES
    return raw[start:end].view(array.dtype) if is_first and end <= raw.nbytes else None
