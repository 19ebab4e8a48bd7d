"""The kernels that move a correlation vector: contract some of its digits, scale it, or slice it.

A vector is a flat array whose last axis has prod(dims) entries, one digit per entry of `dims`; leading axes, if any,
are a batch. Every function runs in NumPy or JAX, whichever its arguments are, or where `placement` finds best.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np

from qdist_kernels import batches, native, placement
from qdist_kernels.batches import Entries
from qdist_kernels.memory import empty
from qdist_kernels.namespace import is_concrete_jax, is_jax, is_traced, matmul
from qdist_kernels.products import outer
from qdist_kernels.program import LARGEST_STEP, Step, bits_of, one_step

NATIVE_ENTRIES = 2**10
"""Entries up to which NumPy is faster than writing a program for one matrix."""

TILE = 2**18
"""Entries that a large contraction holds beside its vector: few enough for the L2 cache in float32."""

GPU_TILE = 2**22
"""The same on a GPU, where a tile is a few launches: on an H200 8 times as fast as `TILE`, and 10 % slower than 2²⁴."""


def view(dims: tuple[int, ...], axes: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Merge neighboring digits that are, or are not, in `axes` (ascending): the shape, and where `axes` lie in it."""
    shape: list[int] = []
    places: list[int] = []
    chosen = set(axes)
    for axis, size in enumerate(dims):
        if axis and (axis in chosen) == (axis - 1 in chosen):
            shape[-1] *= size
            continue
        if axis in chosen:
            places.append(len(shape))
        shape.append(size)
    return shape, places


def _blocked(shape: list[int], places: list[int], most: int) -> tuple[list[int], list[int]]:
    """A tile of `shape` that holds all of the digits at `places` and at most `most` entries, and how many there are.

    Digits that are not contracted are cut from the front, so that a tile is as contiguous as it can be.
    """
    left = max(1, most // math.prod(shape[i] for i in places))
    tile = list(shape)
    for i in reversed(range(len(shape))):
        if i not in places:
            tile[i] = math.gcd(shape[i], left) if shape[i] > left else shape[i]
            left = max(1, left // tile[i])
    return tile, [size // part for size, part in zip(shape, tile, strict=True)]


def _contract(vector: Any, matrix: Any, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """One vector: the digits `axes` leave, those of the matrix's rows come in front; the rest keep their order."""
    shape, places = view(dims, axes)
    rest = [i for i in range(len(shape)) if i not in places]
    columns = vector.reshape(shape).transpose(places + rest).reshape(matrix.shape[1], -1)
    return matmul(matrix, columns).reshape(-1)


def _contract_tiles(vector: Any, matrix: Any, dims: tuple[int, ...], axes: tuple[int, ...], in_place: bool) -> Any:
    """`_contract` in JAX, tile by tile: no transposed copy of the vector is ever made.

    With `in_place`, each tile goes back to where it came from, and a donated vector is overwritten.
    """
    import jax
    import jax.numpy as jnp

    shape, places = view(dims, axes)
    rest = [i for i in range(len(shape)) if i not in places]
    tile, counts = _blocked(shape, places, TILE if jax.default_backend() == "cpu" else GPU_TILE)
    order = places + rest
    back = sorted(range(len(order)), key=lambda k: order[k])
    array = vector.reshape(shape)
    into = array if in_place else jnp.zeros([matrix.shape[0], *(shape[i] for i in rest)], vector.dtype)

    def step(number: Any, into: Any) -> Any:
        starts = []
        for size, count in zip(reversed(tile), reversed(counts), strict=True):
            starts.append(number % count * size)
            number = number // count
        starts.reverse()
        part = jax.lax.dynamic_slice(into if in_place else array, starts, tile)
        columns = part.transpose(order).reshape(matrix.shape[1], -1)
        product = matmul(matrix, columns)
        if in_place:
            part = product.reshape([tile[i] for i in order]).transpose(back)
            return jax.lax.dynamic_update_slice(into, part, starts)
        part = product.reshape([matrix.shape[0], *(tile[i] for i in rest)])
        return jax.lax.dynamic_update_slice(into, part, [0, *(starts[i] for i in rest)])

    return jax.lax.fori_loop(0, math.prod(counts), step, into).reshape(-1)


@cache
def _compiled(batched_vector: bool, batched_matrix: bool) -> Callable[..., Any]:
    import jax

    def call(vector: Any, matrix: Any, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
        if not batched_vector and not batched_matrix:
            return _contract_tiles(vector, matrix, dims, axes, in_place=False)
        kernel = partial(_contract, dims=dims, axes=axes)
        return jax.vmap(kernel, in_axes=(0 if batched_vector else None, 0 if batched_matrix else None))(vector, matrix)

    return jax.jit(call, static_argnames=("dims", "axes"))


@cache
def _compiled_in_place() -> Callable[..., Any]:
    import jax

    def call(vector: Any, matrix: Any, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
        return _contract_tiles(vector, matrix, dims, axes, in_place=True).reshape(vector.shape)

    return jax.jit(call, static_argnames=("dims", "axes"), donate_argnames=("vector",))


def transfer(
    vector: Any, matrix: Any, *, dims: tuple[int, ...], axes: tuple[int, ...], other: Any = None, cut: int = 0
) -> Any:
    """Contract the digits `axes` with a matrix and put the new digits in front.

    v'[a, rest] = Σ_b W[a, b] v[b, rest]

    For digits that appear or go away; `update` is for those that stay. The caller keeps track of the digit order.

    Args:
        vector: Shape (prod(dims),) or (batch, prod(dims)).
        matrix: Shape (rows, prod(dims[a] for a in axes)), or with a leading batch axis, or `Entries`: one per vector.
        dims: Size of each digit.
        axes: Which digits, ascending.
        other: If given, the vector is the tensor product with this one, which has the digits from `cut` on.
        cut: How many digits `vector` has itself then.

    Returns:
        Shape (rows · rest,) or (batch, rows · rest).
    """
    if isinstance(matrix, Entries):
        shots = max(matrix.shots, *(v.shape[0] for v in (vector, other) if v is not None and v.ndim == 2), 1)
        if not is_jax(vector) and not is_jax(other) and placement.stays_on_host(shots * math.prod(dims)):
            if other is None:
                return batches.contract(vector, matrix, dims=dims, axes=axes)
            return batches.contract_two(vector, other, matrix, dims=dims, axes=axes, cut=cut)
        matrix = matrix.dense(shots).astype(vector.dtype)
    if other is not None:
        vector = outer(vector, other)
    batched_vector, batched_matrix = vector.ndim == 2, matrix.ndim == 3
    if is_traced(vector) or is_traced(matrix):
        kernel: Callable[..., Any] = _contract
        if batched_vector or batched_matrix:
            kernel = _compiled(batched_vector, batched_matrix)
        return kernel(vector, matrix, dims=dims, axes=axes)
    if is_jax(vector) or is_jax(matrix) or not placement.stays_on_host(_entries(vector, matrix, dims, axes)):
        return _compiled(batched_vector, batched_matrix)(vector, matrix, dims=dims, axes=axes)
    if batched_vector or batched_matrix:
        return batches.contract(vector, matrix, dims=dims, axes=axes)
    return _contract_on_host(vector, matrix, dims, axes)


def update(vector: Any, matrix: Any, *, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """Contract the digits `axes` with a square matrix; the new digits stand where the old ones did.

    v'[…, a, …] = Σ_b W[a, b] v[…, b, …]

    In place: `vector` must not be used again, and beside it only two tiles (`TILE`, `GPU_TILE`) are held. Derivatives
    go through: a traced vector is copied instead.

    Args:
        vector: Shape (prod(dims),) or (batch, prod(dims)).
        matrix: Shape (m, m) with m = prod(dims[a] for a in axes); or `Entries` of that shape, one matrix per vector.
        dims: Size of each digit.
        axes: Which digits, ascending.

    Returns:
        The shape of `vector`.
    """
    lead = vector.shape[:-1]
    is_entries = isinstance(matrix, Entries)
    if is_entries or (lead and not is_jax(vector) and not is_jax(matrix) and placement.stays_on_host(vector.size)):
        return batches.replace(np.asarray(vector), matrix, dims=dims, axes=axes)
    if not is_jax(matrix):
        vector = placement.placed(vector)
        done = _by_native(vector, matrix, dims, axes)
        if done is not None:
            return done
    dims, axes = (*lead, *dims), tuple(a + len(lead) for a in axes)
    if is_traced(vector) or is_traced(matrix):
        front = _contract(vector.reshape(-1), matrix, dims, axes)
        order = [*axes, *(k for k in range(len(dims)) if k not in axes)]
        return front.reshape([dims[k] for k in order]).transpose(np.argsort(order)).reshape(*lead, -1)
    if is_jax(vector) or is_jax(matrix):
        return _compiled_in_place()(placement.on_device(vector), matrix, dims=dims, axes=axes)
    _update_on_host(vector.reshape(-1), matrix, dims, axes)
    return vector


def _by_native(vector: Any, numbers: np.ndarray, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """The vector with a matrix, or with factors, on some digits, in place; nothing if native kernels do not do it."""
    bits, chosen = bits_of(dims, axes)
    is_long = vector.size > NATIVE_ENTRIES
    if not is_long or len(chosen) > LARGEST_STEP or not native.is_used_for(vector, bits):
        return None
    return native.run(
        vector, one_step(Step(chosen, numbers), bits, vector.dtype.itemsize, placement.tiles_for(vector.size))
    )


def _boxes(tile: list[int], counts: list[int]) -> Iterator[tuple[slice, ...]]:
    """The tiles of an array, one after another."""
    if math.prod(counts) == 1:
        yield (slice(None),) * len(counts)
        return
    for number in np.ndindex(*counts):
        yield tuple(slice(n * size, (n + 1) * size) for n, size in zip(number, tile, strict=True))


@lru_cache(maxsize=4096)
def _tiling(dims: tuple[int, ...], axes: tuple[int, ...], most: int) -> tuple[list[int], ...]:
    """The view of a vector, where its contracted digits are and the others, a tile, and how many there are."""
    shape, places = view(dims, axes)
    rest = [i for i in range(len(shape)) if i not in places]
    return shape, places, rest, *_blocked(shape, places, most)


def _contract_on_host(vector: np.ndarray, matrix: np.ndarray, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """`_contract` in NumPy, tile by tile if there are many entries."""
    shape, places, rest, tile, counts = _tiling(dims, axes, TILE)
    array = vector.reshape(shape)
    out = empty([matrix.shape[0], *(shape[i] for i in rest)], np.result_type(vector, matrix))
    for box in _boxes(tile, counts):
        columns = array[box].transpose(places + rest).reshape(matrix.shape[1], -1)
        product = matmul(matrix, columns).reshape([matrix.shape[0], *(tile[i] for i in rest)])
        out[(slice(None), *(box[i] for i in rest))] = product
    return out.reshape(-1)


def _update_on_host(vector: np.ndarray, matrix: np.ndarray, dims: tuple[int, ...], axes: tuple[int, ...]) -> None:
    shape, places, rest, tile, counts = _tiling(dims, axes, TILE)
    order, array = places + rest, vector.reshape(shape)
    for box in _boxes(tile, counts):
        part = array[box].transpose(order)
        part[...] = (matrix @ part.reshape(matrix.shape[1], -1)).reshape(part.shape)


def _entries(vector: Any, matrix: Any, dims: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """The larger of the entries read and written, over the whole batch."""
    batch = max(vector.shape[0] if vector.ndim == 2 else 1, matrix.shape[0] if matrix.ndim == 3 else 1)
    rest = math.prod(dims) // math.prod(dims[a] for a in axes)
    return batch * max(math.prod(dims), rest * matrix.shape[-2])


def scale(vector: Any, factors: Any, *, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """Multiply each entry by the factor of its digits at `axes` (ascending); every digit stays where it is.

    v'[b, rest] = f[b] v[b, rest]

    In place, as `update`: `vector` must not be used again.

    Args:
        vector: Shape (prod(dims),) or (batch, prod(dims)).
        factors: Shape (prod(dims[a] for a in axes),).
        dims: Size of each digit.
        axes: Which digits, ascending.
    """
    if is_concrete_jax(vector):
        done = None if is_jax(factors) else _by_native(vector, factors, dims, axes)
        return _compiled_scale()(vector, factors, dims=dims, axes=axes) if done is None else done
    if is_jax(vector) or is_jax(factors):
        return _scaled(vector, factors, dims, axes)
    shape, spread = _spread(factors, dims, axes)
    array = vector.reshape(*vector.shape[:-1], *shape)
    array *= spread
    return vector


def _scaled(vector: Any, factors: Any, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    shape, spread = _spread(factors, dims, axes)
    lead = vector.shape[:-1]
    return (vector.reshape(*lead, *shape) * spread).reshape(*lead, -1)


def _spread(factors: Any, dims: tuple[int, ...], axes: tuple[int, ...]) -> tuple[list[int], Any]:
    """The view in which digits are scaled, and the factors along it."""
    shape, places = view(dims, axes)
    return shape, factors.reshape([size if i in places else 1 for i, size in enumerate(shape)])


def select(vector: Any, *, dims: tuple[int, ...], axes: tuple[int, ...], indices: tuple[int, ...] | None = None) -> Any:
    """A new vector of the entries whose digits at `axes` (ascending) equal `indices`; zeros are the partial trace.

    v'[rest] = v[indices…, rest]
    """
    indices = (0,) * len(axes) if indices is None else indices
    if vector.ndim == 2 and not is_jax(vector):
        return batches.select(vector, dims=dims, axes=axes, indices=indices)
    if is_concrete_jax(vector):
        return _compiled_select()(vector, dims=dims, axes=axes, indices=indices)
    selected = _selected(vector, dims, axes, indices)
    return selected if is_jax(selected) else selected.copy()


def _selected(vector: Any, dims: tuple[int, ...], axes: tuple[int, ...], indices: tuple[int, ...]) -> Any:
    shape, places = view(dims, axes)
    lead = vector.shape[:-1]
    taken: list[Any] = [slice(None)] * len(shape)
    for place in places:
        taken[place] = 0
    place, before = -1, -2
    for axis, index in zip(axes, indices, strict=True):
        place += axis != before + 1
        taken[places[place]] = taken[places[place]] * dims[axis] + index
        before = axis
    return vector.reshape(*lead, *shape)[(..., *taken)].reshape(*lead, -1)


@cache
def _compiled_scale() -> Callable[..., Any]:
    import jax

    return jax.jit(_scaled, static_argnames=("dims", "axes"), donate_argnames=("vector",))


@cache
def _compiled_select() -> Callable[..., Any]:
    import jax

    return jax.jit(_selected, static_argnames=("dims", "axes", "indices"))
