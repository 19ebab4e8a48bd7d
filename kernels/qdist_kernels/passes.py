"""Passes: many small matrices and factors applied while a tile of a vector is in the cache."""

from typing import Any

import numpy as np

from qdist_kernels import native
from qdist_kernels.contraction import scale, update
from qdist_kernels.namespace import is_jax
from qdist_kernels.placement import placed, settle
from qdist_kernels.program import Program

DOUBLE_ENTRIES = 2**16
"""Vectors with at most this many entries are computed in float64 by programs of many steps: they are in a cache, and
circuits on few qubits have tens of thousands of operations, whose rounding errors add up."""

MANY_STEPS = 16
"""Steps of a program from which on it pays to convert its vector."""


def run_passes(vector: Any, program: Program) -> Any:
    """Run a program on each vector of a batch, in place: `vector` must not be used again.

    v'[…, a, …] = Σ_b W[a, b] v[…, b, …] for each step W, one after another

    With native kernels a tile is read from memory once a pass. Otherwise, and for batches on the host, step by step, by
    `update` and `scale`; derivatives go through those. After many steps, small float32 vectors on the host are rounded
    once, at the end.

    Args:
        vector: Shape (2^bits,) or (batch, 2^bits).
        program: What to do.

    Returns:
        The shape of `vector`.
    """
    vector = placed(vector)
    is_batch_on_host = vector.ndim == 2 and not is_jax(vector)
    is_small = not is_jax(vector) and vector.size <= DOUBLE_ENTRIES
    if is_small and vector.dtype == np.float32 and len(program.steps) >= MANY_STEPS:
        vector[...] = run_passes(vector.astype(float), program)
        return vector
    if not is_batch_on_host and native.is_used_for(vector, program.bits):
        return native.run(vector, program)
    for step in program.steps:
        axes = tuple(program.bits - 1 - bit for bit in step.bits)
        numbers = np.asarray(step.numbers, vector.dtype)
        kernel = scale if step.is_diagonal else update
        vector = settle(kernel(vector, numbers, dims=(2,) * program.bits, axes=axes))
    return vector
