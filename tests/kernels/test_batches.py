"""Kernels of small batches against einsum, shot by shot; what they give is stored entry by entry."""

import itertools

import numpy as np
import pytest

import qdist_kernels as kernels
from qdist_kernels import batches, placement
from qdist_kernels.batches import Entries, chosen, entries_of

pytestmark = pytest.mark.usefixtures("kernel_set")

DIMS = (4, 2, 4, 2)
SHOTS = 5
AXES = [a for k in (1, 2) for a in itertools.combinations(range(4), k)]
STORED = {"shot by shot": np.ascontiguousarray, "entry by entry": np.asfortranarray}


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def side(axes):
    return int(np.prod([DIMS[a] for a in axes]))


def one_a_shot(rows, columns):
    """Matrices of which half of the entries are 0 in all shots."""
    return random(SHOTS, rows, columns) * (random(rows, columns, seed=1) > 0)


def expected(vector, matrix, axes, dims=DIMS):
    """One vector: the digits to the front, multiplied."""
    array = np.moveaxis(vector.reshape(dims), axes, range(len(axes)))
    return (matrix @ array.reshape(matrix.shape[-1], -1)).reshape(-1)


def is_stored_by_entry(batch):
    return batch.T.flags.c_contiguous


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
@pytest.mark.parametrize("kind", ["one for all", "one a shot", "entries"])
def test_a_contraction_is_that_of_each_shot(axes, stored, kind):
    vectors = stored(random(SHOTS, 64))
    matrices = one_a_shot(3, side(axes)) if kind != "one for all" else random(1, 3, side(axes)).repeat(SHOTS, axis=0)
    given = {"one for all": matrices[0], "one a shot": matrices, "entries": entries_of(matrices)}[kind]

    found = batches.contract(vectors, given, dims=DIMS, axes=axes)

    assert is_stored_by_entry(found)
    for shot in range(SHOTS):
        assert np.allclose(found[shot], expected(vectors[shot], matrices[shot], axes))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("same", [True, False])
def test_digits_that_stay_stay_where_they_are(axes, same):
    vectors = random(SHOTS, 64)
    matrices = one_a_shot(side(axes), side(axes))
    matrices = matrices[:1].repeat(SHOTS, axis=0) if same else matrices

    found = batches.replace(vectors, matrices[0] if same else entries_of(matrices), dims=DIMS, axes=axes)

    for shot in range(SHOTS):
        front = expected(vectors[shot], matrices[shot], axes).reshape(*(DIMS[a] for a in axes), -1)
        rest = [size for k, size in enumerate(DIMS) if k not in axes]
        back = np.moveaxis(front.reshape(*front.shape[:-1], *rest), range(len(axes)), axes)
        assert np.allclose(found[shot], back.reshape(-1))


@pytest.mark.parametrize("first_axes", [(0,), (1,), (0, 1), ()])
@pytest.mark.parametrize("second_axes", [(2,), (3,), (2, 3)])
@pytest.mark.parametrize("batched", [(True, True), (True, False), (False, False)])
def test_two_vectors_are_contracted_as_their_product_would_be(first_axes, second_axes, batched):
    axes = (*first_axes, *second_axes)
    vectors = [random(*([SHOTS] if is_batch else []), 8, seed=k) for k, is_batch in enumerate(batched)]
    matrices = one_a_shot(3, side(axes))

    found = kernels.transfer(vectors[0], entries_of(matrices), dims=DIMS, axes=axes, other=vectors[1], cut=2)

    first, second = (np.broadcast_to(vector, (SHOTS, 8)) for vector in vectors)
    for shot in range(SHOTS):
        assert np.allclose(found[shot], expected(np.kron(first[shot], second[shot]), matrices[shot], axes))


def test_a_matrix_with_many_entries_is_applied_as_one():
    vectors, matrix = random(SHOTS, 64), random(16, 16)
    assert np.count_nonzero(matrix) > batches.SPARSE

    moved = batches.contract(vectors, matrix, dims=DIMS, axes=(0, 2))
    stayed = batches.replace(vectors, matrix, dims=DIMS, axes=(0, 2))

    for shot in range(SHOTS):
        front = expected(vectors[shot], matrix, (0, 2))
        assert np.allclose(moved[shot], front)
        assert np.allclose(stayed[shot].reshape(DIMS).transpose(0, 2, 1, 3).reshape(-1), front)


def test_a_vector_that_all_shots_share_becomes_a_batch_under_one_matrix_a_shot():
    vector, matrices = random(64), one_a_shot(4, 4)

    found = batches.contract(vector, entries_of(matrices), dims=DIMS, axes=(2,))

    assert found.shape == (SHOTS, 64)
    assert all(np.allclose(found[shot], expected(vector, matrices[shot], (2,))) for shot in range(SHOTS))


def test_one_of_a_few_matrices_is_chosen_in_each_shot():
    matrices, which, factor = [random(2, 4, seed=k) for k in range(3)], np.array([2, 0, 1, 1, 0]), random(SHOTS)
    matrices[0][1, 2] = matrices[1][1, 2] = matrices[2][1, 2] = 0

    plain, scaled = chosen(matrices, which), chosen(matrices, which, factor)

    assert (1, 2) not in plain.places
    assert np.allclose(plain.dense(SHOTS), np.stack(matrices)[which])
    assert np.allclose(scaled.dense(SHOTS), np.stack(matrices)[which] * factor[:, None, None])


def test_entries_that_are_the_same_in_all_shots_are_numbers():
    same = chosen([np.diag([1.0, 2.0]), np.diag([1.0, 3.0])], np.array([0, 1, 1]))

    assert [np.ndim(value) for value in same.values] == [0, 1]
    assert same.shots == 3
    assert Entries((1, 1), ((0, 0),), (1.0,)).shots == 1


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
def test_products_slices_and_orders_of_batches_are_those_of_each_shot(stored):
    first, second, single = stored(random(SHOTS, 8)), stored(random(SHOTS, 8, seed=1)), random(8)

    joined, half = kernels.outer(first, second), kernels.outer(single, second)
    sliced = kernels.select(joined, dims=DIMS, axes=(0, 3), indices=(2, 1))
    turned = kernels.reordered(joined, DIMS, (3, 1, 0, 2))
    some = kernels.take(joined, np.array([3, 0, 9]))

    for batch in (joined, half, sliced, turned, some):
        assert is_stored_by_entry(batch)
    for shot in range(SHOTS):
        whole = np.kron(first[shot], second[shot])
        assert np.allclose(joined[shot], whole)
        assert np.allclose(half[shot], np.kron(single, second[shot]))
        assert np.allclose(sliced[shot], whole.reshape(DIMS)[2, :, :, 1].reshape(-1))
        assert np.allclose(turned[shot], whole.reshape(DIMS).transpose(3, 1, 0, 2).reshape(-1))
        assert np.allclose(some[shot], whole[[3, 0, 9]])


def test_a_large_batch_with_one_matrix_a_shot_is_the_same_on_a_device(monkeypatch):
    vectors, matrices = random(SHOTS, 64).astype(np.float32), one_a_shot(4, 4)
    monkeypatch.setattr(placement, "stays_on_host", lambda entries: False)

    found = kernels.transfer(vectors, entries_of(matrices), dims=DIMS, axes=(0,))

    assert kernels.is_jax(found)
    for shot in range(SHOTS):
        assert np.allclose(found[shot], expected(vectors[shot], matrices[shot], (0,)), atol=1e-4)


@pytest.mark.parametrize("shots", [1, 255, 256, 257, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_shots_in_either_precision(shots, dtype):
    vectors, others = random(shots, 16).astype(dtype), random(shots, 8, seed=1).astype(dtype)
    matrices = random(shots, 2, 8)

    one = batches.contract(vectors, entries_of(matrices[:, :, :4]), dims=(4, 4), axes=(1,))
    two = kernels.transfer(vectors, entries_of(matrices), dims=(4, 4, 2, 4), axes=(0, 2), other=others, cut=2)

    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    assert one.dtype == two.dtype == dtype
    for shot in range(shots):
        assert np.allclose(one[shot], expected(vectors[shot], matrices[shot, :, :4], (1,), (4, 4)), atol=tolerance)
        whole = np.kron(vectors[shot], others[shot])
        assert np.allclose(two[shot], expected(whole, matrices[shot], (0, 2), (4, 4, 2, 4)), atol=tolerance)


def test_rows_without_entries_are_zero():
    found = batches.contract(np.ones((SHOTS, 8)), np.diag([0.0, 2, 0, 0]), dims=(4, 2), axes=(0,))

    assert np.array_equal(found, np.tile([0, 0, 2, 2, 0, 0, 0, 0], (SHOTS, 1)))
