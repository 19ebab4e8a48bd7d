"""Products of two vectors against NumPy's: in place, in batches, and where the device has no room for the factors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdist_kernels as kernels
from qdist_kernels import placement, products


def random(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape)


@pytest.mark.parametrize("sizes", [(4**8, 4, 4), (16, 4**7, 4), (2**17, 2, 2), (2**17, 1, 1)], ids=str)
def test_products_that_grow_in_place_are_those_of_numpy(sizes, kernel_set):
    rng = np.random.default_rng(0)
    factors = [rng.normal(size=size).astype(np.float32) for size in sizes]
    wanted = np.kron(np.kron(factors[0], factors[1]), factors[2])

    first = kernels.outer(factors[0], factors[1], room=wanted.size)
    found = kernels.outer(first, factors[2], room=wanted.size)

    assert np.allclose(found, wanted)
    assert found.ctypes.data == first.ctypes.data


def test_a_product_with_nothing_is_nothing(kernel_set):
    assert kernels.outer(np.ones(4), np.ones(0)).shape == (0,)


@pytest.mark.parametrize("dtype", [np.int64, np.complex128])
def test_large_products_of_other_numbers_are_those_of_numpy(dtype):
    first, second = np.arange(2**15).astype(dtype), np.arange(4).astype(dtype)
    assert np.array_equal(kernels.outer(first, second), np.kron(first, second))


@pytest.mark.parametrize(("first", "second"), [((4,), (8,)), ((3, 4), (8,)), ((4,), (3, 8)), ((3, 4), (3, 8))])
def test_the_tensor_product_keeps_a_batch(first, second):
    a, b = random(*first), random(*second)

    found = kernels.outer(a, b)

    rows = np.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    for index in np.ndindex(*rows):
        one = np.kron(np.broadcast_to(a, (*rows, 4))[index], np.broadcast_to(b, (*rows, 8))[index])
        assert np.allclose(found[index], one)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("first", "second"), [(4**7, 4), (16, 4**6), (2**13, 2)])
def test_factors_of_a_product_that_fills_the_device_wait_on_the_host(first, second, dtype, monkeypatch):
    monkeypatch.setattr(products, "GPU_PIECE", 2**10)
    monkeypatch.setattr(placement, "has_room", lambda vector, entries: False)
    a, b = random(first).astype(dtype), random(second).astype(dtype)
    with jax.enable_x64(dtype == np.float64):
        on_device = jnp.array(a), jnp.array(b)

        found = kernels.outer(*on_device)

    assert found.dtype == dtype
    assert np.array_equal(found, np.multiply.outer(a, b).reshape(-1))
    assert all(array.is_deleted() for array in on_device)


@pytest.mark.parametrize("library", [np, jnp], ids=["host", "device"])
def test_a_long_inner_product_is_summed_in_double_precision(library):
    ones = np.full(2**22, 0.1, np.float32)
    found = kernels.inner(library.array(ones), library.array(ones))
    assert found == pytest.approx(float(np.float32(0.1)) ** 2 * 2**22, rel=1e-6)
