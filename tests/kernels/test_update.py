"""Kernels that act in place, and pieces of vectors, against plain NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdist_kernels as kernels
from qdist_kernels import contraction
from qdist_kernels.pieces import read_piece, write_piece

DIMS = (4, 2, 2, 4, 2)


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def expected(vector, matrix, axes):
    """The digits to the front, multiplied, and back."""
    array = np.moveaxis(vector.reshape(DIMS), axes, range(len(axes)))
    moved = (matrix @ array.reshape(len(matrix), -1)).reshape(array.shape)
    return np.moveaxis(moved, range(len(axes)), axes).reshape(-1)


@pytest.mark.parametrize("axes", [a for k in (1, 2, 3) for a in itertools.combinations(range(5), k)])
@pytest.mark.parametrize("library", [np, jnp], ids=["host", "device"])
@pytest.mark.parametrize("tile", [2**18, 24], ids=["one tile", "many tiles"])
def test_an_update_leaves_the_digits_where_they_are(axes, library, tile, monkeypatch):
    monkeypatch.setattr(contraction, "TILE", tile)
    monkeypatch.setattr(contraction, "GPU_TILE", tile)
    contraction._compiled_in_place.cache_clear()
    size = int(np.prod([DIMS[a] for a in axes]))
    vector, matrix = random(128), random(size, size)
    wanted = expected(vector, matrix, axes)

    found = kernels.update(library.array(vector), matrix, dims=DIMS, axes=axes)

    assert np.allclose(found, wanted, atol=1e-4)
    contraction._compiled_in_place.cache_clear()


def test_an_update_overwrites_the_vector_that_it_is_given():
    on_host = random(128)
    on_device = jnp.array(on_host)

    found = kernels.update(on_host, random(4, 4), dims=DIMS, axes=(0,))
    kernels.update(on_device, random(4, 4), dims=DIMS, axes=(0,))

    assert found is on_host
    assert on_device.is_deleted()


def test_an_update_of_a_batch_is_that_of_each_vector(kernel_set):
    vectors, matrix = random(3, 128), random(16, 16)
    wanted = [expected(vector, matrix, (0, 3)) for vector in vectors]

    assert np.allclose(kernels.update(jnp.array(vectors), matrix, dims=DIMS, axes=(0, 3)), wanted, atol=1e-4)
    assert np.allclose(kernels.update(vectors.copy(), matrix, dims=DIMS, axes=(0, 3)), wanted, atol=1e-4)


def test_an_update_can_be_differentiated():
    vector, matrix = random(128), random(4, 4)

    def total(vector):
        return (kernels.update(vector, matrix, dims=DIMS, axes=(3,)) ** 2).sum()

    step = random(128, seed=1)
    slope = jax.grad(total)(jnp.array(vector)) @ step
    moved = [expected(vector.astype(float) + h * step, matrix, (3,)) for h in (1e-3, -1e-3)]
    assert slope == pytest.approx(((moved[0] ** 2).sum() - (moved[1] ** 2).sum()) / 2e-3, rel=1e-3)


@pytest.mark.parametrize("library", [np, jnp], ids=["host", "device"])
def test_taking_entries_and_boxes_and_writing_boxes_back(library):
    vector = random(2, 128)
    positions = np.array([0, 127, 5, 64])
    start, size = (1, 1, 2), (1, 2, 3)
    box = (slice(1, 2), slice(1, 3), slice(2, 5))

    assert np.array_equal(kernels.take(library.array(vector), positions), vector[:, positions])
    piece = read_piece(library.array(vector), (2, 8, 16), start, size)
    written = write_piece(library.array(vector), np.full(6, 9, np.float32), (2, 8, 16), start, size)

    assert np.array_equal(piece, vector.reshape(2, 8, 16)[box].reshape(-1))
    wanted = vector.reshape(2, 8, 16).copy()
    wanted[box] = 9
    assert np.array_equal(written, wanted.reshape(2, 128))
