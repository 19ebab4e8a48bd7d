"""Passes by every set of kernels, and every way to compile them, against plain NumPy."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qdist_kernels as kernels
from qdist_kernels import build, native, passes, settings
from qdist_kernels.program import in_one_group
from tests.kernels.programs import expected, lone_program, random_program, trading_program

TOLERANCE = {np.dtype(np.float32): 2e-4, np.dtype(np.float64): 1e-11}
DTYPES = [np.float32, np.float64]
MACHINES = {
    "plain": ((), "sse2"),
    "AVX2": (("-mavx2", "-mfma"), "avx2"),
    "AVX-512": (("-mavx512f", "-mavx512dq", "-mfma"), "avx512f"),
    "this machine": (build.FOR_THIS_MACHINE, ""),
}


@pytest.fixture(autouse=True)
def every_vector_in_its_own_precision(monkeypatch):
    """Small float32 vectors are computed in float64 otherwise."""
    monkeypatch.setattr(passes, "DOUBLE_ENTRIES", 0)


def has_instructions(name):
    cpu = Path("/proc/cpuinfo")
    return not name or (cpu.exists() and name in cpu.read_text().split())


@pytest.mark.parametrize("library", [np, jnp], ids=["host", "device"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("bits", "batch"), list(itertools.product([1, 2, 3, 5, 8, 13], [(), (3,)])))
def test_a_program_does_what_its_steps_do_one_after_another(bits, batch, dtype, library, kernel_set):
    rng = np.random.default_rng([bits, len(batch)])
    program = random_program(bits, rng)
    with jax.enable_x64(dtype == np.float64):
        vector = library.array(rng.normal(size=(*batch, 2**bits)), dtype)
        wanted = expected(np.asarray(vector), program)
        found = kernels.run_passes(vector, program)
        assert found.dtype == dtype
        assert np.allclose(found, wanted, atol=TOLERANCE[np.dtype(dtype)])


@pytest.mark.parametrize("machine", MACHINES)
def test_every_build_gives_the_same(machine, tmp_path):
    flags, needed = MACHINES[machine]
    if machine != "this machine" and native.build.platform.machine() != "x86_64":
        pytest.skip("these instructions are those of x86-64")
    path = build.library("host", machine=flags, folder=tmp_path)
    if not has_instructions(needed):
        pytest.skip(f"compiled, but this processor has no {machine}")
    library, rng = native.opened(path), np.random.default_rng(0)
    programs = [random_program(bits, rng, passes=8) for bits in (1, 4, 11)]
    programs += [make(np.random.default_rng(seed)) for seed in range(60) for make in (trading_program, lone_program)]
    for program, dtype in itertools.product(programs, DTYPES):
        bits = program.bits
        vector = rng.normal(size=(2, 2**bits)).astype(dtype)
        wanted = expected(vector, program)
        native.call(library, vector, bits, *program.encoded(dtype))
        assert np.allclose(vector, wanted, atol=TOLERANCE[np.dtype(dtype)])


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_does_not_change_a_bit(threads, kernel_set, monkeypatch):
    rng = np.random.default_rng(1)
    program, vector = random_program(15, rng), rng.normal(size=2**15).astype(np.float32)
    monkeypatch.setattr(settings, "threads", lambda: 1)
    wanted = kernels.run_passes(vector.copy(), program)
    monkeypatch.setattr(settings, "threads", lambda: threads)
    assert np.array_equal(kernels.run_passes(vector.copy(), program), wanted)


@pytest.mark.parametrize(("asked", "given"), [("3", 3), ("0", None), ("many", None), ("", None)])
def test_the_environment_says_how_many_threads_there_are(asked, given, monkeypatch):
    monkeypatch.setenv("NPROC", asked)
    assert settings.threads.__wrapped__() == (given or len(os.sched_getaffinity(0)))


def test_passes_overwrite_the_vector_that_they_are_given():
    rng = np.random.default_rng(2)
    program, on_host = random_program(6, rng), rng.normal(size=2**6).astype(np.float32)
    on_device = jnp.array(on_host)
    assert kernels.run_passes(on_host, program) is on_host
    kernels.run_passes(on_device, program)
    assert on_device.is_deleted()


def test_passes_can_be_differentiated():
    rng = np.random.default_rng(3)
    program, vector, step = random_program(6, rng), rng.normal(size=2**6), rng.normal(size=2**6)
    with jax.enable_x64(True):
        slope = jax.grad(lambda v: (kernels.run_passes(v, program) ** 2).sum())(jnp.array(vector)) @ step
    h = 1e-5
    moved = [(expected(vector + sign * h * step, program) ** 2).sum() for sign in (1, -1)]
    assert slope == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-6)


def python(script, tmp_path, **environment):
    """Run a script in a process of its own, with a cache of its own."""
    clean = {name: value for name, value in os.environ.items() if name not in ("CXX", settings.KERNELS)}
    paths = os.pathsep.join([str(Path(kernels.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    clean |= {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": paths}
    return subprocess.run(
        [sys.executable, "-c", script], env=clean | environment, capture_output=True, text=True, timeout=120
    )


USED = "from qdist_kernels import native; print(native.is_used())"


def test_without_a_compiler_the_other_kernels_are_used_and_it_is_said_once(tmp_path):
    done = python(USED, tmp_path, PATH="/nowhere")
    assert done.stdout.split() == ["False"]
    assert "without its native kernels" in done.stderr
    assert "no C++ compiler was found" in done.stderr


def test_native_kernels_that_were_asked_for_and_are_not_there_are_an_error(tmp_path):
    done = python(USED, tmp_path, PATH="/nowhere", QDIST_KERNELS="native")
    assert done.returncode == 1
    assert "`QDIST_KERNELS=native`, but no C++ compiler was found" in done.stderr


def test_a_compiler_that_fails_is_said_with_its_first_error(tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'passes.h: error: too modern' >&2\nexit 1\n")
    broken.chmod(0o755)
    done = python(USED, tmp_path, CXX=str(broken), QDIST_KERNELS="native")
    assert "passes.h: error: too modern" in done.stderr


def test_another_name_of_kernels_is_an_error(tmp_path):
    done = python(USED, tmp_path, QDIST_KERNELS="cuda")
    assert "must be `native` or `jax`, but is 'cuda'" in done.stderr


def test_the_library_is_compiled_once_and_found_again_without_jax(tmp_path):
    script = f"import sys; {USED}; print('jax' in sys.modules)"
    quick = tmp_path / "quick"
    quick.write_text(f'#!/bin/sh\nexec {build.compiler()} "$@" -O0\n')
    quick.chmod(0o755)
    assert python(script, tmp_path, CXX=str(quick)).stdout.split() == ["True", "False"]
    (library,) = (tmp_path / "qdist" / "native").glob("host-*.so")
    made = library.stat().st_mtime_ns
    assert python(script, tmp_path, CXX=str(quick)).stdout.split() == ["True", "False"]
    assert library.stat().st_mtime_ns == made


def test_small_float32_vectors_are_rounded_once(monkeypatch, kernel_set):
    """Ten thousand rotations in float32 would be off by 1e-4."""
    monkeypatch.setattr(passes, "DOUBLE_ENTRIES", 2**8)
    rotation = np.eye(4)
    rotation[1:3, 1:3] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    step = kernels.Step((3, 2), rotation)
    program = in_one_group(8, (kernels.Pass(tuple(range(8)), (step,) * 10**4),))
    vector = np.random.default_rng(0).normal(size=2**8).astype(np.float32)
    wanted = kernels.run_passes(vector.astype(float), program)
    assert np.allclose(kernels.run_passes(vector.copy(), program), wanted, rtol=0, atol=1e-6)
    monkeypatch.setattr(passes, "MANY_STEPS", 10**4 + 1)
    assert not np.allclose(kernels.run_passes(vector, program), wanted, rtol=0, atol=1e-6)
