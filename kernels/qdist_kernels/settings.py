"""What the environment says about kernels: the only place of this package that reads it."""

import os
import platform
from functools import cache
from pathlib import Path

KERNELS = "QDIST_KERNELS"
"""`native` or `jax`; unless it is set, native kernels are used where they can be compiled, on processors and GPUs."""


def chosen() -> str:
    """Which kernels the user asked for: `"native"`, `"jax"`, or nothing."""
    name = os.environ.get(KERNELS, "").strip().lower()
    if name not in ("", "native", "jax"):
        raise ValueError(f"`{KERNELS}` must be `native` or `jax`, but is '{name}'.")
    return name


@cache
def threads() -> int:
    """How many cores this process may keep busy: those of its affinity mask, or `NPROC`, as XLA does; asked once."""
    wanted = os.environ.get("NPROC", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compilers() -> tuple[str, ...]:
    """C++ compilers in the order in which they are looked for."""
    return tuple(name for name in (os.environ.get("CXX", ""), "g++", "clang++", "c++") if name)


def cuda_compilers() -> tuple[str, ...]:
    """CUDA compilers in the order in which they are looked for."""
    home = os.environ.get("CUDA_HOME", "")
    found = (os.environ.get("NVCC", ""), "nvcc", home and f"{home}/bin/nvcc", "/usr/local/cuda/bin/nvcc")
    return tuple(name for name in found if name)


def cache_folder() -> Path:
    """Where compiled things are kept between processes."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home else Path.home() / ".cache") / "qdist"


def of_jax() -> dict[str, str]:
    """Variables with which JAX keeps what it compiles between processes; they must be set before it is loaded."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(cache_folder() / f"jax-{platform.node()}"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
