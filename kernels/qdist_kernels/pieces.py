"""Pieces of a vector: read entries or a box of them, write a box back in place."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from qdist_kernels import batches
from qdist_kernels.namespace import is_jax, is_traced, precision_of

Box = tuple[tuple[int, ...], tuple[int, ...]]
"""Where a box begins along each axis of a vector's view, and its size there."""

LOW_BITS = 15
"""JAX counts in 32 bits unless told otherwise: the position of an entry is given in two parts."""


def take(vector: Any, positions: np.ndarray) -> Any:
    """A copy of the entries at k positions of the last axis: shape (…, k), on the host unless traced."""
    if not is_jax(vector):
        return vector[..., positions] if vector.ndim == 1 else batches.taken(vector, positions)
    low = min(LOW_BITS, (vector.shape[-1] - 1).bit_length())
    parts = (positions >> low).astype(np.int32), (positions % 2**low).astype(np.int32)
    if is_traced(vector):
        return _taken(vector, *parts, low=low)
    with precision_of(vector):
        return np.array(_compiled_take()(vector, *parts, low=low))


def _taken(vector: Any, high: Any, low_part: Any, low: int) -> Any:
    return vector.reshape(*vector.shape[:-1], -1, 2**low)[..., high, low_part]


@cache
def _compiled_take() -> Callable[..., Any]:
    import jax

    return jax.jit(_taken, static_argnames=("low",))


def read_piece(vector: Any, shape: tuple[int, ...], starts: tuple[int, ...], sizes: tuple[int, ...]) -> Any:
    """A copy of the box that begins at `starts` and has `sizes` in the vector seen as `shape`; it is flat."""
    if is_jax(vector):
        return _compiled_read()(vector, starts, shape=shape, sizes=sizes)
    box = vector.reshape(shape)[_box(starts, sizes)]
    return np.array(box, order="C").reshape(-1)


def write_piece(
    vector: Any, piece: Any, shape: tuple[int, ...], starts: tuple[int, ...], sizes: tuple[int, ...]
) -> Any:
    """Write a box back; in place, so `vector` must not be used again."""
    if is_jax(vector):
        return _compiled_write()(vector, piece, starts, shape=shape, sizes=sizes)
    vector.reshape(shape)[_box(starts, sizes)] = piece.reshape(sizes)
    return vector


def _box(starts: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))


@cache
def _compiled_read() -> Callable[..., Any]:
    import jax

    def call(vector: Any, starts: Any, shape: tuple[int, ...], sizes: tuple[int, ...]) -> Any:
        return jax.lax.dynamic_slice(vector.reshape(shape), starts, sizes).reshape(-1)

    return jax.jit(call, static_argnames=("shape", "sizes"))


@cache
def _compiled_write() -> Callable[..., Any]:
    import jax

    def call(vector: Any, piece: Any, starts: Any, shape: tuple[int, ...], sizes: tuple[int, ...]) -> Any:
        into = vector.reshape(shape)
        return jax.lax.dynamic_update_slice(into, piece.reshape(sizes), starts).reshape(vector.shape)

    return jax.jit(call, static_argnames=("shape", "sizes"), donate_argnames=("vector",))
