"""Where vectors are computed with, and what has room there."""

import jax.numpy as jnp
import numpy as np

import qdist_kernels as kernels
from qdist_kernels import native, placement
from qdist_kernels.placement import HOST_ENTRIES


def test_a_large_vector_moves_to_the_device_and_a_small_one_comes_back_unless_native_kernels_have_it(kernel_set):
    vector = np.ones(4 * HOST_ENTRIES, np.float32)
    row = np.array([[1, 0, 0, 0]], np.float32)

    large = kernels.transfer(vector, np.eye(4, dtype=np.float32), dims=(4, HOST_ENTRIES), axes=(0,))
    small = kernels.settle(kernels.transfer(large, row, dims=(4, HOST_ENTRIES), axes=(0,)))

    assert kernels.is_jax(large) == (kernel_set == "jax" or native.has_accelerator())
    assert isinstance(small, np.ndarray)


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
    assert placement.has_room(OnDevice(Device(limit, 2**20)), 4**17)
    assert not placement.has_room(OnDevice(Device(limit, 4 * 4**16)), 4**17)
    assert placement.has_room(jnp.zeros(4), 4**17)
