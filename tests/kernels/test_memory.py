"""Arrays that are aligned and can grow, and where they begin."""

import numpy as np
import pytest

from qdist_kernels.memory import LINE_BYTES, SMALL_BYTES, address, empty, grow


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (1025,), (3, 700), (2**16,)])
def test_arrays_begin_at_lines_of_the_cache_unless_they_are_small(shape, dtype):
    array = empty(shape, dtype)
    assert array.ctypes.data % LINE_BYTES == 0 or array.nbytes <= SMALL_BYTES
    assert array.shape == shape
    assert array.dtype == dtype


def test_an_array_grows_into_its_room_and_no_further():
    array = empty((4,), np.float32, room=2**12)
    array[:] = range(4)
    longer = grow(array, 2**12)
    assert longer.ctypes.data == array.ctypes.data
    assert longer.tolist()[:4] == [0, 1, 2, 3]
    assert grow(array, 2**12 + LINE_BYTES) is None


@pytest.mark.parametrize("is_writable", [True, False])
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4)])
def test_addresses_are_those_of_numpy(shape, is_writable):
    array = np.ones(shape)
    array.setflags(write=is_writable)
    assert address(array) == array.ctypes.data
    assert address(array.T) == array.ctypes.data
    if shape:
        assert address(array[..., ::-1]) == array[..., ::-1].ctypes.data


def test_arrays_that_were_made_elsewhere_do_not_grow():
    roomy = empty((8,), np.float32, room=2**12)
    for array in (np.ones(4, np.float32), roomy[4:], roomy[::2], roomy.reshape(2, 4)):
        assert grow(array, 64) is None
