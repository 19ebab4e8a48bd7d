"""Where a vector is best computed with, the host or an accelerator, and how it gets there.

NumPy's arrays stay on the host where native kernels are used. Without those, or with an accelerator, those of more than
`HOST_ENTRIES` entries go to the device: smaller ones are cheaper on the host than one dispatch, and compile nothing.
"""

import math
from typing import Any

import numpy as np

from qdist_kernels import native
from qdist_kernels.namespace import is_concrete_jax, is_jax
from qdist_kernels.program import ON_CUDA, ON_HOST, Tiles

HOST_ENTRIES = 4**10
"""Vectors with at most this many entries (batch included) stay in NumPy wherever they could go. On two cores at 4¹⁰
entries NumPy takes 0.7–3.7 ms a contraction and a jitted one 0.9–2.3 ms, plus 70–90 ms to compile each position."""


def stays_on_host(entries: int) -> bool:
    """Whether a NumPy array with this many entries (batch included) is better left where it is."""
    return entries <= HOST_ENTRIES or (native.is_used() and not native.has_accelerator())


def placed(vector: Any) -> Any:
    """A vector where it is best computed with: a large array of NumPy's goes to an accelerator."""
    return vector if is_jax(vector) or stays_on_host(vector.size) else on_device(vector)


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


def on_device(vector: Any) -> Any:
    """An array as one of JAX's, where JAX computes."""
    import jax.numpy as jnp

    return vector if is_jax(vector) else jnp.asarray(vector)


def has_room(vector: Any, entries: int) -> bool:
    """Whether the device of a vector of JAX's has room for so many entries beside all that it holds."""
    stats = next(iter(vector.devices())).memory_stats() or {}
    free = stats.get("bytes_limit", math.inf) - stats.get("bytes_in_use", 0)
    return entries * vector.dtype.itemsize <= free


def settle(vector: Any) -> Any:
    """The end of an operation on a concrete vector: a small one comes back to the host, a large one is waited for.

    On the host the next operations on a small vector are cheaper. Without waiting, the outputs of many operations
    that have not begun would be allocated at the same time.
    """
    if not is_concrete_jax(vector):
        return vector
    return np.array(vector) if vector.size <= HOST_ENTRIES else vector.block_until_ready()
