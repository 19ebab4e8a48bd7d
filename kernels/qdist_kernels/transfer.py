"""The kernels that move a correlation vector: contract some of its digits, scale it, or slice it.

A vector is a flat array whose last axis has prod(dims) entries, one digit per entry of `dims`; leading axes, if any,
are a batch. Every function is pure and runs in NumPy or JAX, whichever its arguments are: vectors of up to
`HOST_ENTRIES` entries are cheaper on the host than one dispatch to a device, and cost no compilation.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from qdist_kernels.namespace import is_jax, namespace

HOST_ENTRIES = 4**8
"""Concrete vectors with at most this many entries (batch included) stay in NumPy. Measured on two CPU cores: at 4⁸
entries NumPy takes 0.07–0.27 ms a contraction and a jitted one 0.14–0.27 ms, plus 20–60 ms to compile each position."""


def _view(dims: tuple[int, ...], axes: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Merge neighboring digits that are not in `axes` (ascending): the shape of at most 2k+1 axes, where `axes` lie."""
    shape: list[int] = []
    places: list[int] = []
    start = 0
    for axis in axes:
        if axis > start:
            shape.append(math.prod(dims[start:axis]))
        places.append(len(shape))
        shape.append(dims[axis])
        start = axis + 1
    if start < len(dims):
        shape.append(math.prod(dims[start:]))
    return shape, places


def _contract(vector: Any, matrix: Any, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """One vector: the digits `axes` leave, those of the matrix's rows come in front; the rest keep their order."""
    xp = namespace(vector, matrix)
    shape, places = _view(dims, axes)
    array = vector.reshape(shape)
    rest = [i for i in range(len(shape)) if i not in places]
    product = xp.matmul if xp is np else partial(xp.matmul, precision="highest")
    if places == list(range(len(places))):
        return product(matrix, array.reshape(matrix.shape[1], -1)).reshape(-1)
    columns = array.transpose(rest + places).reshape(-1, matrix.shape[1])
    if xp is np:
        return product(matrix, columns.T).reshape(-1)
    return xp.einsum("ab,lb->al", matrix, columns, precision="highest").reshape(-1)


def _contract_batch(vector: Any, matrix: Any, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """NumPy over a batch: vector (b, N), matrix (rows, columns) or (b, rows, columns)."""
    shape, places = _view(dims, axes)
    array = vector.reshape([vector.shape[0], *shape])
    rest = [i + 1 for i in range(len(shape)) if i not in places]
    columns = array.transpose([0] + [i + 1 for i in places] + rest).reshape(vector.shape[0], matrix.shape[-1], -1)
    return np.matmul(matrix, columns).reshape(vector.shape[0], -1)


@cache
def _compiled(batched_vector: bool, batched_matrix: bool) -> Callable[..., Any]:
    import jax

    def call(vector: Any, matrix: Any, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
        kernel = partial(_contract, dims=dims, axes=axes)
        if batched_vector or batched_matrix:
            kernel = jax.vmap(kernel, in_axes=(0 if batched_vector else None, 0 if batched_matrix else None))
        return kernel(vector, matrix)

    return jax.jit(call, static_argnames=("dims", "axes"))


def transfer(vector: Any, matrix: Any, *, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """Contract the digits `axes` with a matrix and put the new digits in front.

    v'[a, rest] = Σ_b W[a, b] v[b, rest]

    Writing the result in front costs no second transposition; the caller keeps track of the digit order.

    Args:
        vector: Shape (prod(dims),) or (batch, prod(dims)).
        matrix: Shape (rows, prod(dims[a] for a in axes)), or with a leading batch axis: one matrix per vector.
        dims: Size of each digit.
        axes: Which digits, ascending.

    Returns:
        Shape (rows · rest,) or (batch, rows · rest).
    """
    batched_vector, batched_matrix = vector.ndim == 2, matrix.ndim == 3
    if is_jax(vector) or is_jax(matrix) or _entries(vector, matrix, dims, axes) > HOST_ENTRIES:
        return _compiled(batched_vector, batched_matrix)(vector, matrix, dims=dims, axes=axes)
    if batched_matrix and not batched_vector:
        vector = np.broadcast_to(vector, (matrix.shape[0], *vector.shape))
    if vector.ndim == 2:
        return _contract_batch(vector, matrix, dims, axes)
    return _contract(vector, matrix, dims, axes)


def _entries(vector: Any, matrix: Any, dims: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """The larger of the entries read and written, over the whole batch."""
    batch = max(vector.shape[0] if vector.ndim == 2 else 1, matrix.shape[0] if matrix.ndim == 3 else 1)
    rest = math.prod(dims) // math.prod(dims[a] for a in axes)
    return batch * max(math.prod(dims), rest * matrix.shape[-2])


def scale(vector: Any, factors: Any, *, dims: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """Multiply each entry by the factor of its digits at `axes` (ascending); every digit stays where it is.

    v'[b, rest] = f[b] v[b, rest]

    Args:
        vector: Shape (prod(dims),) or (batch, prod(dims)).
        factors: Shape (prod(dims[a] for a in axes),).
        dims: Size of each digit.
        axes: Which digits, ascending.
    """
    shape, places = _view(dims, axes)
    spread = [size if i in places else 1 for i, size in enumerate(shape)]
    lead = vector.shape[:-1]
    return (vector.reshape(*lead, *shape) * factors.reshape(spread)).reshape(*lead, -1)


def select(vector: Any, *, dims: tuple[int, ...], axes: tuple[int, ...], index: int = 0) -> Any:
    """Keep the entries whose digits at `axes` (ascending) equal `index`; index 0 is the partial trace.

    v'[rest] = v[index…, rest]
    """
    shape, places = _view(dims, axes)
    lead = vector.shape[:-1]
    taken = tuple(index if i in places else slice(None) for i in range(len(shape)))
    return vector.reshape(*lead, *shape)[(..., *taken)].reshape(*lead, -1)


def outer(first: Any, second: Any) -> Any:
    """Tensor product of two vectors, the digits of the second one last; either may have a batch axis.

    v[a, b] = v₁[a] v₂[b]
    """
    xp = namespace(first, second)
    if xp is np and max(first.size, second.size) * min(first.shape[-1], second.shape[-1]) > HOST_ENTRIES:
        import jax.numpy as xp  # type: ignore[no-redef]
    product = xp.einsum("...a,...b->...ab", first, second)
    return product.reshape(*product.shape[:-2], -1)


def settle(vector: Any) -> Any:
    """The end of an operation on a concrete vector: a small one comes back to the host, a large one is waited for.

    On the host the next operations on a small vector are cheaper. Without waiting, the outputs of many operations
    that have not begun would be allocated at the same time.
    """
    if not is_jax(vector):
        return vector
    import jax

    if isinstance(vector, jax.core.Tracer):
        return vector
    return np.asarray(vector) if vector.size <= HOST_ENTRIES else vector.block_until_ready()
