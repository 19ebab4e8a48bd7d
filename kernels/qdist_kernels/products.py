"""Products of two vectors: the tensor product, which joins clusters, and the inner product."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from qdist_kernels import batches, native, placement
from qdist_kernels.memory import empty, grow
from qdist_kernels.namespace import is_concrete_jax, is_jax, is_traced, precision_of
from qdist_kernels.pieces import write_piece

PIECE = 2**16
"""Entries of a product that are written at a time where it overwrites a factor."""

GPU_PIECE = 2**22
"""Entries that are written at a time where a product fills the device."""


def outer(first: Any, second: Any, *, room: int = 0) -> Any:
    """Tensor product of two vectors, the digits of the second one last; either may have a batch axis.

    v[a, b] = v₁[a] v₂[b]

    Args:
        first: Shape (…, m). If it has room for the result, it is overwritten; if the device does not have it, both are
            deleted.
        second: Shape (…, n).
        room: Entries that the result may grow to by further products: memory that costs nothing until it is used.
    """
    size = max(first.size * second.shape[-1], second.size * first.shape[-1])
    if not is_jax(first) and not is_jax(second):
        if placement.stays_on_host(size):
            is_batch = first.ndim + second.ndim > 2
            return batches.product(first, second) if is_batch else _outer_on_host(first, second, room)
        first = placement.on_device(first)
    if is_concrete_jax(first) and first.ndim + second.ndim == 2 and not placement.has_room(first, size):
        return _outer_by_pieces(first, second)
    if is_concrete_jax(first) or is_concrete_jax(second):
        return _compiled_outer()(first, second)
    return _outer(first, second)


def _outer_by_pieces(first: Any, second: Any) -> Any:
    """The same without factors beside the result: they wait on the host, and come back piece by piece.

    Nothing else is left on the device that could lie in the middle of what the result needs.
    """
    import jax.numpy as jnp

    factor, other = np.asarray(first), np.asarray(second)
    with precision_of(first):
        for vector in filter(is_jax, (first, second)):
            vector.delete()
        size = factor.size * other.size
        pieces = factor.reshape(min(factor.size, max(1, size // GPU_PIECE)), -1)
        shape = len(pieces), size // len(pieces)
        product = jnp.zeros(size, factor.dtype)
        for number, piece in enumerate(pieces):
            part = _compiled_outer()(piece, other).reshape(1, -1)
            # Waiting, or parts that are still to be made would be allocated at the same time.
            product = write_piece(product, part, shape, (number, 0), part.shape).block_until_ready()
    return product


def _outer_on_host(first: np.ndarray, second: np.ndarray, room: int) -> np.ndarray:
    shape, entries = (first.size, second.size), first.size * second.size
    dtype = np.result_type(first, second)
    grown = grow(first, entries) if first.dtype == dtype else None
    room = room if entries > PIECE else 0
    if entries and dtype in native.SUFFIXES and native.is_used():
        out = empty((entries,), dtype, room=room) if grown is None else grown
        native.outer(np.ascontiguousarray(first, dtype), np.ascontiguousarray(second, dtype), out)
        return out
    if grown is None:
        out = empty(shape, dtype, room=room)
        return np.multiply(first[:, None], second, out=out).reshape(-1)
    # From the end: what is read has not been overwritten yet.
    out, step = grown.reshape(shape), max(1, PIECE // shape[1])
    for end in range(shape[0], 0, -step):
        start = max(0, end - step)
        np.multiply(first[start:end, None].copy(), second, out=out[start:end])
    return grown


def _outer(first: Any, second: Any) -> Any:
    product = first[..., :, None] * second[..., None, :]
    return product.reshape(*product.shape[:-2], -1)


@cache
def _compiled_outer() -> Callable[..., Any]:
    import jax

    return jax.jit(_outer)


ROW = 2**10
"""Products that are summed in the vectors' own precision; the sums of rows are added up in float64 on the host."""


def inner(first: Any, second: Any) -> Any:
    """Inner product of two vectors of one length, without a copy of either.

    Σ_i v₁[i] v₂[i]
    """
    if not is_jax(first) and not is_jax(second):
        rows = np.einsum("ab,ab->a", *(np.asarray(v).reshape(-1, min(ROW, v.size)) for v in (first, second)))
        return float(rows.sum(dtype=float))
    if is_traced(first) or is_traced(second):
        return (first * second).sum()
    with precision_of(first if is_jax(first) else second):
        return float(np.asarray(_compiled_inner()(first, second)).sum(dtype=float))


def _row_sums(first: Any, second: Any) -> Any:
    return (first * second).reshape(-1, min(ROW, first.size)).sum(axis=1)


@cache
def _compiled_inner() -> Callable[..., Any]:
    import jax

    return jax.jit(_row_sums)
