"""Pieces of a vector: read one out, write one back in place."""

from collections.abc import Callable
from functools import cache
from typing import Any

from qdist_kernels.namespace import is_jax


def read_piece(vector: Any, shape: tuple[int, ...], starts: tuple[int, ...], sizes: tuple[int, ...]) -> Any:
    """A copy of the box that begins at `starts` and has `sizes` in the vector seen as `shape`."""
    if is_jax(vector):
        return _compiled_read()(vector, starts, shape=shape, sizes=sizes)
    return vector.reshape(shape)[_box(starts, sizes)].copy()


def write_piece(
    vector: Any, piece: Any, shape: tuple[int, ...], starts: tuple[int, ...], sizes: tuple[int, ...]
) -> Any:
    """Write a box back; in place, so `vector` must not be used again."""
    if is_jax(vector):
        return _compiled_write()(vector, piece, starts, shape=shape)
    vector.reshape(shape)[_box(starts, sizes)] = piece
    return vector


def _box(starts: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))


@cache
def _compiled_read() -> Callable[..., Any]:
    import jax

    def call(vector: Any, starts: Any, shape: tuple[int, ...], sizes: tuple[int, ...]) -> Any:
        return jax.lax.dynamic_slice(vector.reshape(shape), starts, sizes)

    return jax.jit(call, static_argnames=("shape", "sizes"))


@cache
def _compiled_write() -> Callable[..., Any]:
    import jax

    def call(vector: Any, piece: Any, starts: Any, shape: tuple[int, ...]) -> Any:
        return jax.lax.dynamic_update_slice(vector.reshape(shape), piece, starts).reshape(vector.shape)

    return jax.jit(call, static_argnames=("shape",), donate_argnames=("vector",))
