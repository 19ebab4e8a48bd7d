"""The kernel for GPUs: its source on a processor against plain NumPy, its banks, and that it compiles.

Where JAX computes on a GPU, the other tests of kernels run it there.
"""

import ctypes
import itertools
import mmap
import resource
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdist_kernels as kernels
from qdist.machine.tiling import groups_of
from qdist_kernels import build, cuda, native
from qdist_kernels.native import SUFFIXES
from qdist_kernels.placement import tiles_for
from qdist_kernels.program import ON_CUDA, in_one_group, one_step
from tests.kernels.programs import expected, random_program

TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 4e-14}
"""Of the largest entry, after some tens of steps."""
DTYPES = [np.float32, np.float64]
LARGEST_TILE = {dtype: ON_CUDA.bits(34, np.dtype(dtype).itemsize) for dtype in DTYPES}
MAP_NORESERVE = 0x4000
"""Linux gives memory when it is written. Python names the flag since 3.13."""


@pytest.fixture(scope="module")
def emulated():
    """Runs a program as a GPU would, its threads in either order."""

    def run(vector, program, **options):
        for launch in program.encoded(vector.dtype, cuda.launches):
            emulate(vector, launch.code, launch.numbers, tile_bits=launch.tile_bits, **options)
        return vector

    return run


def emulate(vector, code, numbers, *, tile_bits, backwards=False, tiles=None):
    """What a call of the kernel does to an array of NumPy's."""
    library = ctypes.CDLL(str(build.library("emulated")))
    vectors, *others = (ctypes.c_void_p(array.ctypes.data) for array in (vector, code, numbers))
    count = ctypes.c_int64(tiles or vector.size >> tile_bits)
    function = getattr(library, f"qdist_tiles_{SUFFIXES[vector.dtype]}")
    function(vectors, count, *others, tile_bits, code.size, numbers.size, int(backwards))


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
        program = random_program(bits, rng, groups=1, passes=2, steps=steps)
        check(emulated, rng.normal(size=2**bits).astype(dtype), program)
        low = tuple(range(ON_CUDA.bits(bits, np.dtype(dtype).itemsize)))
        inside = random_program(len(low), rng, groups=1, passes=1, steps=steps).steps
        whole = in_one_group(bits, (kernels.Pass(low, inside),))
        check(emulated, rng.normal(size=2**bits).astype(dtype), whole)


@pytest.mark.skipif(sys.platform != "linux", reason="64 GiB that are not there are Linux's")
def test_offsets_have_more_than_32_bits(emulated):
    tile = (*range(4), *range(24, 34))
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    vector = np.frombuffer(mmap.mmap(-1, 2**36, flags=flags), np.float32)
    assert vector.size == 2**34
    rng = np.random.default_rng(0)
    entries = rng.normal(size=2**14).astype(np.float32)
    numbers = rng.normal(size=(16, 16)) / 4
    vector.reshape(2**10, 2**20, 2**4)[:, 0] = entries.reshape(2**10, 2**4)

    emulated(vector, in_one_group(34, (kernels.Pass(tile, (kernels.Step((33, 32, 25, 24), numbers),)),)), tiles=1)

    alone = in_one_group(14, (kernels.Pass(tuple(range(14)), (kernels.Step((13, 12, 5, 4), numbers),)),))
    assert np.array_equal(vector.reshape(2**10, 2**20, 2**4)[:, 0].reshape(-1), emulated(entries, alone))


@pytest.fixture
def pretended_gpu(monkeypatch):
    """JAX's arrays count as those of a GPU, on which the emulated kernel runs; gives the list of its calls."""
    calls = []

    def on_gpu(vector, code, numbers, *, tile_bits):
        calls.append(vector.shape)
        array = np.array(vector)
        emulate(array, code, numbers, tile_bits=tile_bits)
        return jnp.array(array)

    for name, value in {"has_accelerator": True, "is_used_on_gpu": True, "_in_cuda": on_gpu}.items():
        monkeypatch.setattr(native, name, lambda value=value: value)
    monkeypatch.setattr(native, "is_on_device", kernels.is_jax)
    return calls


def test_large_vectors_go_to_the_gpu_and_its_kernel_moves_them(pretended_gpu):
    rng, bits, dims = np.random.default_rng(0), 22, (4,) * 11
    vector, matrix, factors = rng.normal(size=2**bits).astype(np.float32), rng.normal(size=(16, 16)), rng.normal(size=4)
    steps = kernels.Step((21, 20, 9, 8), matrix), kernels.Step((13, 12), factors)
    wanted = expected(vector, in_one_group(bits, (kernels.Pass(tuple(range(bits)), steps),)))

    moved = kernels.update(vector.copy(), matrix, dims=dims, axes=(0, 6))
    scaled = kernels.scale(moved, factors, dims=dims, axes=(4,))
    planned = tuple(groups_of(steps, bits, 4, tiles_for(2**bits)))
    at_once = kernels.run_passes(vector.copy(), kernels.Program(bits, planned))

    assert len(planned) == 1
    assert pretended_gpu == [vector.shape] * 3
    for found in (scaled, at_once):
        assert kernels.is_jax(found)
        assert np.allclose(found, wanted, atol=TOLERANCE[vector.dtype] * np.abs(wanted).max())


def test_small_vectors_stay_on_the_host_and_batches_on_the_gpu_are_one_call(pretended_gpu):
    rng, dims, matrix = np.random.default_rng(0), (4,) * 6, np.random.default_rng(1).normal(size=(16, 16))
    batch = rng.normal(size=(3, 4**6)).astype(np.float32)

    alone = kernels.update(batch[0].copy(), matrix, dims=dims, axes=(1, 3))
    assert isinstance(alone, np.ndarray)
    assert not pretended_gpu
    together = kernels.update(jnp.array(batch), matrix, dims=dims, axes=(1, 3))
    assert pretended_gpu == [batch.shape]
    assert np.allclose(together[0], alone, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gpu_does_the_same_in_place_on_any_digits(dtype):
    if not native.is_used_on_gpu():
        pytest.skip("JAX does not compute on a GPU that runs CUDA, or there is no nvcc")
    rng = np.random.default_rng(0)
    with jax.enable_x64(dtype == np.float64):
        for bits in pairs_of_digits(22):
            vector, matrix = rng.normal(size=2**22).astype(dtype), rng.normal(size=(16, 16)) / 4
            program = single(kernels.Step(bits, matrix), 22, dtype)
            on_gpu = jnp.array(vector)
            place = on_gpu.unsafe_buffer_pointer()
            found = kernels.run_passes(on_gpu, program)
            assert found.unsafe_buffer_pointer() == place
            wanted = expected(vector, program)
            assert np.allclose(found, wanted, atol=TOLERANCE[vector.dtype] * np.abs(wanted).max())


def banks(parts, dtype):
    """How often the most wanted bank is wanted, by lanes that are served at the same time, in words of an entry."""
    lanes = 32 if dtype == np.float32 else 16
    wanted = np.zeros(lanes, int)
    for lane in range(lanes):
        address = 0
        for bit, part in enumerate(parts):
            address ^= part * (lane >> bit & 1)
        wanted[address // np.dtype(dtype).itemsize % lanes] += 1
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
        itemsize = np.dtype(dtype).itemsize
        at = cuda.addresses(size, itemsize)
        assert sorted(cuda._sums(at)) == list(range(0, itemsize * 2**size, itemsize))
        assert banks(at[{4: 2, 8: 1}[itemsize] :], dtype) == 1


def test_a_pass_of_eight_operations_leaves_room_for_three_blocks():
    step = kernels.Step((7, 6, 5, 4), np.ones((16, 16)))
    (launch,) = cuda.launches(in_one_group(30, (kernels.Pass(tuple(range(14)), (step,) * 8),)), np.float32)
    rounds = 2**14 // 4 // 128
    shared = 4 * 2**14 + 4 * launch.code.size + 4 * launch.numbers.size + 16 * rounds
    assert 3 * (shared + 1024) <= 228 * 1024


def test_all_programs_have_few_shapes():
    rng, shapes = np.random.default_rng(0), set()
    for _ in range(20):
        program = random_program(20, rng, passes=3, steps=6)
        shapes |= {(each.code.shape, each.numbers.shape) for each in program.encoded(np.float32, cuda.launches)}
    assert len(shapes) <= 2


def test_the_kernels_compile_without_spills_in_less_than_a_minute(tmp_path):
    try:
        compiler = build.cuda_compiler()
    except build.BuildError as problem:
        pytest.skip(str(problem))
    source, include = build.SOURCES / "cuda.cu", f"-I{jax.ffi.include_dir()}"
    command = [compiler, *build.CUDA_FLAGS, *build.cuda_machine("9.0"), "-Xptxas", "-v", include, source]
    began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([*command, "-o", tmp_path / "cuda.so"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began < 60  # of a core: others may use the machine
    said = [line for line in done.stderr.splitlines() if "spill stores" in line]
    assert len(said) == 2 * len(DTYPES)  # passes over tiles, and batches of shots
    assert all("0 bytes spill stores, 0 bytes spill loads" in line for line in said)
