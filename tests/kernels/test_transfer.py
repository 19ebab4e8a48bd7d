"""The kernels against plain einsum, on the host and on the device, alone and in batches."""

import importlib
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdist_kernels as kernels
from qdist_kernels import native
from qdist_kernels.transfer import HOST_ENTRIES

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


def test_a_large_vector_moves_to_the_device_and_a_small_one_comes_back_unless_native_kernels_have_it(kernel_set):
    vector = np.ones(4 * HOST_ENTRIES, np.float32)
    row = np.array([[1, 0, 0, 0]], np.float32)

    large = kernels.transfer(vector, np.eye(4, dtype=np.float32), dims=(4, HOST_ENTRIES), axes=(0,))
    small = kernels.settle(kernels.transfer(large, row, dims=(4, HOST_ENTRIES), axes=(0,)))

    assert kernels.is_jax(large) == (kernel_set == "jax" or native.has_accelerator())
    assert isinstance(small, np.ndarray)


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("first", "second"), [(4**7, 4), (16, 4**6), (2**13, 2)])
def test_factors_of_a_product_that_fills_the_device_wait_on_the_host(first, second, dtype, monkeypatch):
    # The package has a function of the same name.
    module = importlib.import_module("qdist_kernels.transfer")
    monkeypatch.setattr(module, "GPU_TILE", 2**10)
    monkeypatch.setattr(module, "has_room", lambda vector, entries: False)
    a, b = random(first).astype(dtype), random(second).astype(dtype)
    with jax.enable_x64(dtype == np.float64):
        on_device = jnp.array(a), jnp.array(b)

        found = kernels.outer(*on_device)

    assert found.dtype == dtype
    assert np.array_equal(found, np.multiply.outer(a, b).reshape(-1))
    assert all(array.is_deleted() for array in on_device)


class Device:
    """A GPU of which JAX may have some bytes and holds some."""

    device_kind, platform = "NVIDIA H100 80GB HBM3", "gpu"

    def __init__(self, limit, held):
        self._stats = {"bytes_limit": limit, "bytes_in_use": held}

    def memory_stats(self):
        return self._stats


class OnDevice:
    dtype = np.dtype(np.float32)

    def __init__(self, device):
        self._device = device

    def devices(self):
        return {self._device}


def test_seventeen_qubits_have_room_on_80_gb_but_not_beside_sixteen():
    limit = int(0.95 * 81559 * 2**20)
    has_room = importlib.import_module("qdist_kernels.transfer").has_room
    assert has_room(OnDevice(Device(limit, 2**20)), 4**17)
    assert not has_room(OnDevice(Device(limit, 4 * 4**16)), 4**17)
    assert has_room(jnp.zeros(4), 4**17)


@pytest.mark.parametrize(("first", "second"), [((4,), (8,)), ((3, 4), (8,)), ((4,), (3, 8)), ((3, 4), (3, 8))])
def test_the_tensor_product_keeps_a_batch(first, second):
    a, b = random(*first), random(*second)

    found = kernels.outer(a, b)

    rows = np.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    for index in np.ndindex(*rows):
        one = np.kron(np.broadcast_to(a, (*rows, 4))[index], np.broadcast_to(b, (*rows, 8))[index])
        assert np.allclose(found[index], one)
