"""Contractions, scalings and slices against plain einsum, on the host and on the device, alone and in batches."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import qdist_kernels as kernels

DIMS = (4, 2, 4, 2, 4)


def expected(vector, matrix, dims, axes):
    """Move the digits to the front, multiply, flatten."""
    array = np.moveaxis(vector.reshape(dims), axes, range(len(axes)))
    return (matrix @ array.reshape(matrix.shape[-1], -1)).reshape(-1)


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape)


@pytest.mark.parametrize("axes", [a for k in (1, 2, 3) for a in itertools.combinations(range(5), k)])
@pytest.mark.parametrize("library", [np, jnp], ids=["host", "device"])
def test_a_transfer_contracts_any_digits_and_puts_the_new_ones_in_front(axes, library):
    size = int(np.prod([DIMS[a] for a in axes]))
    vector, matrix = random(256).astype(np.float32), random(3, size).astype(np.float32)

    found = kernels.transfer(library.asarray(vector), library.asarray(matrix), dims=DIMS, axes=axes)

    assert np.allclose(found, expected(vector, matrix, DIMS, axes), atol=1e-5)


@pytest.mark.parametrize("library", [np, jnp], ids=["host", "device"])
@pytest.mark.parametrize(("batched_vector", "batched_matrix"), [(True, False), (False, True), (True, True)])
def test_a_batch_is_the_same_as_one_after_the_other(library, batched_vector, batched_matrix):
    vectors, matrices = random(3, 256).astype(np.float32), random(3, 4, 16).astype(np.float32)
    vector = vectors if batched_vector else vectors[0]
    matrix = matrices if batched_matrix else matrices[0]

    found = kernels.transfer(library.asarray(vector), library.asarray(matrix), dims=DIMS, axes=(0, 4))

    for k in range(3):
        one = expected(vectors[k * batched_vector], matrices[k * batched_matrix], DIMS, (0, 4))
        assert np.allclose(found[k], one, atol=1e-5)


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 2, 4)])
def test_scaling_multiplies_each_entry_by_the_factor_of_its_digits(axes):
    shape = [DIMS[a] for a in axes]
    vector, factors = random(2, 256), random(*shape)
    spread = np.ones(DIMS)
    spread = spread * factors.reshape([DIMS[a] if a in axes else 1 for a in range(5)])

    wanted = vector * spread.reshape(-1)

    found = kernels.scale(vector, factors.reshape(-1), dims=DIMS, axes=axes)

    assert found is vector
    assert np.allclose(found, wanted)


def test_selecting_index_zero_is_a_slice():
    vector = random(256)

    found = kernels.select(vector, dims=DIMS, axes=(1, 4))

    assert np.array_equal(found, vector.reshape(DIMS)[:, 0, :, :, 0].reshape(-1))


@pytest.mark.parametrize("library", [np, jnp], ids=["host", "device"])
@pytest.mark.parametrize("axes", [a for k in (1, 2, 3, 4, 5) for a in itertools.combinations(range(5), k)])
def test_selecting_keeps_the_entries_with_these_digits(library, axes):
    vector = random(2, 256).astype(np.float32)
    for indices in itertools.product(*(range(DIMS[a]) for a in axes)):
        place = [slice(None)] * 5
        for axis, index in zip(axes, indices, strict=True):
            place[axis] = index
        wanted = vector.reshape(2, *DIMS)[(slice(None), *place)].reshape(2, -1)
        assert np.array_equal(kernels.select(library.array(vector), dims=DIMS, axes=axes, indices=indices), wanted)
