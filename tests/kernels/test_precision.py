"""No product of float32 numbers is rounded to TF32, as some GPUs do unless they are told not to."""

import jax.numpy as jnp
import numpy as np
import pytest

import qdist_kernels as kernels

FINE = 1 + 2.0**-12
"""One bit more than TF32 keeps: it would come back as 1."""
EYE = np.eye(16, dtype=np.float32)
DIMS = (4,) * 5


@pytest.mark.parametrize(
    "call",
    [
        lambda vector: kernels.update(vector, EYE, dims=DIMS, axes=(1, 3)),
        lambda vector: kernels.transfer(vector, EYE, dims=DIMS, axes=(0, 1)),
        lambda vector: kernels.transfer(vector[None], EYE[None], dims=DIMS, axes=(0, 1))[0],
        lambda vector: kernels.matmul(EYE, vector.reshape(16, -1)).reshape(-1),
    ],
    ids=["update", "transfer", "batch", "matmul"],
)
def test_a_number_that_needs_more_bits_than_tf32_has_comes_back_as_it_was(call):
    assert np.array_equal(call(jnp.full(4**5, FINE, jnp.float32)), np.full(4**5, FINE, np.float32))
