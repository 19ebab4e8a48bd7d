"""No product of float32 numbers is rounded to TF32, as some GPUs do unless they are told not to."""

import jax.numpy as jnp
import numpy as np
import pytest

import qdist_kernels as kernels

FINE = 1 + 2.0**-12
"""One bit more than TF32 keeps: it would come back as 1."""
EYE = np.eye(16, dtype=np.float32)
DIMS = (4,) * 6
EXACT = 3e-7
"""Relative error of 16 products in float32; in TF32 it is 3e-4."""


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
    assert np.array_equal(call(jnp.full(4**6, FINE, jnp.float32)), np.full(4**6, FINE, np.float32))


@pytest.mark.usefixtures("kernel_set")
@pytest.mark.parametrize("axes", [(0, 1), (2, 4), (4, 5)])
def test_products_of_random_numbers_are_as_exact_as_float32_allows(axes):
    rng = np.random.default_rng(0)
    matrix, vector = rng.normal(size=(16, 16)).astype(np.float32), rng.normal(size=4**6).astype(np.float32)
    columns = np.moveaxis(vector.reshape(DIMS).astype(float), axes, (0, 1)).reshape(16, -1)

    found = kernels.update(jnp.array(vector), matrix, dims=DIMS, axes=axes)

    moved = np.moveaxis(np.asarray(found).reshape(DIMS), axes, (0, 1)).reshape(16, -1)
    wanted = matrix.astype(float) @ columns
    assert np.linalg.norm(moved - wanted) < EXACT * np.linalg.norm(wanted)
