"""The kernels that move a correlation vector: contract some of its digits, scale it, or slice it.

A vector is a flat array whose last axis has prod(dims) entries, one digit per entry of `dims`; leading axes, if any,
are a batch. Every function runs in NumPy or JAX, whichever its arguments are. NumPy's arrays stay on the host where
native kernels are used; without those, or with an accelerator, those of more than `HOST_ENTRIES` entries go to the
device: smaller ones are cheaper on the host than one dispatch, and cost no compilation.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, partial
from typing import Any

import numpy as np

from qdist_kernels import batches, native
from qdist_kernels.batches import Entries
from qdist_kernels.memory import empty, grow
from qdist_kernels.namespace import is_concrete_jax, is_jax, is_traced, matmul, precision_of
from qdist_kernels.pieces import write_piece
from qdist_kernels.program import LARGEST_STEP, ON_CUDA, ON_HOST, Step, Tiles, bits_of, one_step

HOST_ENTRIES = 4**10
"""Vectors with at most this many entries (batch included) stay in NumPy wherever they could go. On two cores at 4¹⁰
entries NumPy takes 0.7–3.7 ms a contraction and a jitted one 0.9–2.3 ms, plus 70–90 ms to compile each position."""

NATIVE_ENTRIES = 2**10
"""Entries up to which NumPy is faster than writing a program for one matrix."""

TILE = 2**18
"""Entries that a large contraction holds beside its vector: few enough for the L2 cache in float32."""

GPU_TILE = 2**22
"""The same on a GPU, where a tile is a few launches: on an H200 8 times as fast as `TILE`, and 10 % slower than 2²⁴."""


def stays_on_host(entries: int) -> bool:
    """Whether a NumPy array with this many entries (batch included) is better left where it is."""
    return entries <= HOST_ENTRIES or (native.is_used() and not native.has_accelerator())


def placed(vector: Any) -> Any:
    """A vector where it is best computed with: a large array of NumPy's goes to an accelerator."""
    return vector if is_jax(vector) or stays_on_host(vector.size) else _on_device(vector)


def zeros(shape: tuple[int, ...], dtype: Any) -> Any:
    """A vector, or a batch of them, where it is best computed with."""
    if stays_on_host(math.prod(shape)):
        return np.zeros(shape, dtype)
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(np.dtype(dtype).itemsize == 8):
        return jnp.zeros(shape, dtype)


def tiles_for(entries: int) -> Tiles:
    """How a vector with this many entries is cut into tiles, by where it is best computed with."""
    return ON_CUDA if not stays_on_host(entries) and native.has_accelerator() else ON_HOST


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
        if not is_jax(vector) and not is_jax(other) and stays_on_host(shots * math.prod(dims)):
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
    if is_jax(vector) or is_jax(matrix) or not stays_on_host(_entries(vector, matrix, dims, axes)):
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
    if is_entries or (lead and not is_jax(vector) and not is_jax(matrix) and stays_on_host(vector.size)):
        return batches.replace(np.asarray(vector), matrix, dims=dims, axes=axes)
    if not is_jax(matrix):
        vector = placed(vector)
        done = _by_native(vector, matrix, dims, axes)
        if done is not None:
            return done
    dims, axes = (*lead, *dims), tuple(a + len(lead) for a in axes)
    if is_traced(vector) or is_traced(matrix):
        front = _contract(vector.reshape(-1), matrix, dims, axes)
        order = [*axes, *(k for k in range(len(dims)) if k not in axes)]
        return front.reshape([dims[k] for k in order]).transpose(np.argsort(order)).reshape(*lead, -1)
    if is_jax(vector) or is_jax(matrix):
        return _compiled_in_place()(_on_device(vector), matrix, dims=dims, axes=axes)
    _update_on_host(vector.reshape(-1), matrix, dims, axes)
    return vector


def _by_native(vector: Any, numbers: np.ndarray, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """The vector with a matrix, or with factors, on some digits, in place; nothing if native kernels do not do it."""
    bits, chosen = bits_of(dims, axes)
    is_long = vector.size > NATIVE_ENTRIES
    if not is_long or len(chosen) > LARGEST_STEP or not native.is_used_for(vector, bits):
        return None
    return native.run(vector, one_step(Step(chosen, numbers), bits, vector.dtype.itemsize, tiles_for(vector.size)))


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


def _on_device(vector: Any) -> Any:
    import jax.numpy as jnp

    return vector if is_jax(vector) else jnp.asarray(vector)


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
        if stays_on_host(size):
            is_batch = first.ndim + second.ndim > 2
            return batches.product(first, second) if is_batch else _outer_on_host(first, second, room)
        first = _on_device(first)
    if is_concrete_jax(first) and first.ndim + second.ndim == 2 and not has_room(first, size):
        return _outer_by_pieces(first, second)
    if is_concrete_jax(first) or is_concrete_jax(second):
        return _compiled_outer()(first, second)
    return _outer(first, second)


def has_room(vector: Any, entries: int) -> bool:
    """Whether the device of a vector of JAX's has room for so many entries beside all that it holds."""
    stats = next(iter(vector.devices())).memory_stats() or {}
    free = stats.get("bytes_limit", math.inf) - stats.get("bytes_in_use", 0)
    return entries * vector.dtype.itemsize <= free


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
        pieces = factor.reshape(min(factor.size, max(1, size // GPU_TILE)), -1)
        shape = len(pieces), size // len(pieces)
        product = jnp.zeros(size, factor.dtype)
        for number, piece in enumerate(pieces):
            part = _compiled_outer()(piece, other).reshape(1, -1)
            # Waiting, or parts that are still to be made would be allocated at the same time.
            product = write_piece(product, part, shape, (number, 0), part.shape).block_until_ready()
    return product


PIECE = 2**16
"""Entries of a product that are written at a time where it overwrites a factor."""


def _outer_on_host(first: np.ndarray, second: np.ndarray, room: int) -> np.ndarray:
    shape, entries = (first.size, second.size), first.size * second.size
    dtype = np.result_type(first, second)
    grown = grow(first, entries) if first.dtype == dtype else None
    room = room if entries > PIECE else 0
    if dtype in native.SUFFIXES and native.is_used():
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


def settle(vector: Any) -> Any:
    """The end of an operation on a concrete vector: a small one comes back to the host, a large one is waited for.

    On the host the next operations on a small vector are cheaper. Without waiting, the outputs of many operations
    that have not begun would be allocated at the same time.
    """
    if not is_concrete_jax(vector):
        return vector
    return np.array(vector) if vector.size <= HOST_ENTRIES else vector.block_until_ready()
