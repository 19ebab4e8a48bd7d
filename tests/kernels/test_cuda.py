"""The kernel for GPUs: its source on a processor against plain NumPy, its banks, and that it compiles.

Where JAX computes on a GPU, the other tests of kernels run it there.
"""

import ctypes
import itertools
import subprocess
import time

import numpy as np
import pytest

import qdist_kernels as kernels
from qdist_kernels import build, cuda
from qdist_kernels.native import SUFFIXES
from qdist_kernels.program import ON_CUDA, one_step
from tests.kernels.programs import expected, random_program

TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 4e-14}
"""Of the largest entry, after some tens of steps."""
DTYPES = [np.float32, np.float64]
LARGEST_TILE = {dtype: ON_CUDA.bits(34, np.dtype(dtype).itemsize) for dtype in DTYPES}


@pytest.fixture(scope="module")
def emulated():
    """Runs a program as a GPU would, its threads in either order."""
    library = ctypes.CDLL(str(build.library("emulated")))

    def run(vector, program, *, backwards=False):
        function = getattr(library, f"qdist_tiles_{SUFFIXES[vector.dtype]}")
        for launch in program.encoded(vector.dtype, cuda.launches):
            addresses = (ctypes.c_void_p(array.ctypes.data) for array in (launch.code, launch.numbers))
            sizes = (launch.tile_bits, launch.code.size, launch.numbers.size, int(backwards))
            tiles = ctypes.c_int64(vector.size >> launch.tile_bits)
            function(ctypes.c_void_p(vector.ctypes.data), tiles, *addresses, *sizes)
        return vector

    return run


def check(emulated, vector, program):
    wanted = expected(vector, program)
    found = emulated(vector.copy(), program)
    assert np.allclose(found, wanted, atol=TOLERANCE[vector.dtype] * np.abs(wanted).max())
    assert np.array_equal(emulated(vector, program, backwards=True), found)


def single(step, bits, dtype):
    return one_step(step, bits, np.dtype(dtype).itemsize, ON_CUDA)


def pairs_of_digits(bits):
    """Bits of each two digits, descending."""
    for low, high in itertools.combinations(range(0, bits - 1, 2), 2):
        yield high + 1, high, low + 1, low


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_two_qubit_operation_on_any_digits_is_that_of_the_matrix(dtype, emulated):
    rng = np.random.default_rng(0)
    for bits in pairs_of_digits(16):
        vector = rng.normal(size=2**16).astype(dtype)
        check(emulated, vector, single(kernels.Step(bits, rng.normal(size=(16, 16)) / 4), 16, dtype))


def dense(side, rng):
    return rng.normal(size=(side, side)) / side**0.5


def factors(side, rng):
    return rng.normal(size=side)


def signed_permutation(side, rng):
    return np.eye(side)[rng.permutation(side)] * rng.choice([-1.0, 1.0], side)[:, None]


def projection(side, rng):
    """Rows without an entry, and columns with several."""
    return np.eye(side)[rng.integers(0, side, side)] * rng.choice([0.0, 1.0], side)[:, None]


@pytest.mark.parametrize("numbers", [dense, factors, signed_permutation, projection])
@pytest.mark.parametrize("count", range(1, 7))
@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_of_every_kind_and_size_on_one_vector_and_on_batches(numbers, count, dtype, emulated):
    rng = np.random.default_rng(count)
    for bits, batch in itertools.product((ON_CUDA.least_bits, 13, 17), [(), (3,)]):
        chosen = tuple(map(int, np.sort(rng.choice(bits, count, replace=False))[::-1]))
        vector = rng.normal(size=(*batch, 2**bits)).astype(dtype)
        check(emulated, vector, single(kernels.Step(chosen, numbers(2**count, rng)), bits, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("steps", [1, 6, 40])
def test_passes_of_many_steps_and_those_that_were_planned_for_other_tiles(steps, dtype, emulated):
    rng = np.random.default_rng(steps)
    for bits in (11, 16):
        program = random_program(bits, rng, passes=2, steps=steps)
        check(emulated, rng.normal(size=2**bits).astype(dtype), program)
        low = tuple(range(ON_CUDA.bits(bits, np.dtype(dtype).itemsize)))
        inside = random_program(len(low), rng, passes=1, steps=steps).steps
        whole = kernels.Program(bits, (kernels.Pass(low, inside),))
        check(emulated, rng.normal(size=2**bits).astype(dtype), whole)


def banks(parts, dtype):
    """How often the most wanted bank is wanted, by lanes that are served at the same time, in words of an entry."""
    lanes = 32 if dtype == np.float32 else 16
    wanted = np.zeros(lanes, int)
    for lane in range(lanes):
        address = 0
        for bit, part in enumerate(parts):
            address ^= part * (lane >> bit & 1)
        wanted[address % lanes] += 1
    return wanted.max()


@pytest.mark.parametrize("dtype", DTYPES)
def test_lanes_do_not_meet_in_a_bank_whichever_bits_a_step_has(dtype):
    size, itemsize = LARGEST_TILE[dtype], np.dtype(dtype).itemsize
    for count in range(1, 7):
        for places in itertools.combinations(range(size), count):
            _, lanes = cuda._addressed(places[::-1], size, itemsize)
            assert banks(lanes, dtype) <= (1 if count < 6 else 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles_of_any_size_are_loaded_and_stored_without_meeting_in_a_bank(dtype):
    for size in range(ON_CUDA.least_bits, LARGEST_TILE[dtype] + 1):
        at = cuda.addresses(size, np.dtype(dtype).itemsize)
        assert sorted(cuda._sums(at)) == list(range(2**size))
        assert banks(at[{4: 2, 8: 1}[np.dtype(dtype).itemsize] :], dtype) == 1


def test_a_pass_of_eight_operations_leaves_room_for_three_blocks():
    step = kernels.Step((7, 6, 5, 4), np.ones((16, 16)))
    (launch,) = cuda.launches(kernels.Program(30, (kernels.Pass(tuple(range(14)), (step,) * 8),)), np.float32)
    rounds = 2**14 // 4 // 128
    shared = 4 * 2**14 + 4 * launch.code.size + 4 * launch.numbers.size + 16 * rounds
    assert 3 * (shared + 1024) <= 228 * 1024


def test_all_programs_have_few_shapes():
    rng, shapes = np.random.default_rng(0), set()
    for _ in range(20):
        program = random_program(20, rng, passes=3, steps=6)
        shapes |= {(each.code.shape, each.numbers.shape) for each in program.encoded(np.float32, cuda.launches)}
    assert len(shapes) <= 2


def test_the_kernel_compiles_without_spills_in_less_than_a_minute(tmp_path):
    try:
        compiler = build.cuda_compiler()
    except build.BuildError as problem:
        pytest.skip(str(problem))
    import jax

    source, include = build.SOURCES / "cuda.cu", f"-I{jax.ffi.include_dir()}"
    command = [compiler, *build.CUDA_FLAGS, *build.cuda_machine("9.0"), "-Xptxas", "-v", include, source]
    began = time.perf_counter()
    done = subprocess.run([*command, "-o", tmp_path / "cuda.so"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - began < 60
    said = [line for line in done.stderr.splitlines() if "spill stores" in line]
    assert len(said) == len(DTYPES)
    assert all("0 bytes spill stores, 0 bytes spill loads" in line for line in said)
