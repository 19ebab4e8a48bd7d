"""Native sources become libraries once: they are compiled for this machine and kept in the user's cache."""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from qdist_kernels.settings import cache_folder, compilers, cuda_compilers

SOURCES = Path(__file__).with_name("sources")
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC", "-pthread")
FOR_THIS_MACHINE = ("-march=native",)
CUDA_FLAGS = ("-std=c++17", "-O3", "--shared", "-Xcompiler", "-fPIC")
SECONDS = 600
"""Longest that a compiler may take."""


class BuildError(Exception):
    """A native library cannot be made here; the message says why."""


@cache
def compiler() -> Path:
    """The C++ compiler that is used."""
    found = _first(compilers())
    if found is None:
        raise BuildError("no C++ compiler was found (install g++, or name one in `CXX`)")
    return found.resolve()


@cache
def cuda_compiler() -> Path:
    """The CUDA compiler that is used. What it needs lies beside it, so links to it are not followed."""
    found = _first(cuda_compilers())
    if found is None:
        raise BuildError("no CUDA compiler was found (install nvcc, or name one in `NVCC`)")
    return found


def _first(names: Iterable[str]) -> Path | None:
    return next((Path(found) for found in map(shutil.which, names) if found), None)


def _command(name: str) -> tuple[Path, Path, tuple[str, ...]]:
    """The source of a library, its compiler, and the flags that do not depend on the machine."""
    source = SOURCES / f"{name}.cu"
    if source.exists():
        return source, cuda_compiler(), CUDA_FLAGS
    return source.with_suffix(".cc"), compiler(), FLAGS


def cuda_machine(capability: str) -> tuple[str, ...]:
    """The flags for GPUs of a compute capability, such as "9.0"."""
    return (f"-arch=sm_{capability.replace('.', '')}",)


def library(
    name: str,
    *,
    includes: tuple[str, ...] = (),
    machine: tuple[str, ...] = FOR_THIS_MACHINE,
    folder: Path | None = None,
) -> Path:
    """The library of `sources/<name>.cc`, or `.cu`, compiled unless it is in the cache.

    Its name is a digest of everything that it is made from: sources, compiler, flags and kind of processor, so a folder
    that several machines share holds one for each. Processes that compile at the same time do not disturb each other.

    Args:
        name: Of the source.
        includes: Folders of headers.
        machine: Flags that say which instructions may be used.
        folder: The cache; the user's unless given.

    Raises:
        BuildError: There is no compiler, or it failed.
    """
    path = where(name, includes=includes, machine=machine, folder=folder)
    if not path.exists():
        source, tool, flags = _command(name)
        _compile([str(tool), *flags, *machine, *(f"-I{include}" for include in includes), str(source)], path)
    return path


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time compiles, and the others find what it made; where files cannot be locked, all do."""
    with open(folder / "lock", "w") as lock:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def where(
    name: str,
    *,
    includes: tuple[str, ...] = (),
    machine: tuple[str, ...] = FOR_THIS_MACHINE,
    folder: Path | None = None,
) -> Path:
    """Where a library is, or will be."""
    _, tool, flags = _command(name)
    state = tool.stat()
    parts = [name, str(tool), str(state.st_size), str(state.st_mtime_ns), *flags, *machine, *includes, _processor()]
    digest = hashlib.sha256("\0".join(parts).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    return (folder or cache_folder() / "native") / f"{name}-{digest.hexdigest()[:24]}.so"


def _processor() -> str:
    """The kind of processor, with the instructions that it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    return "\n".join(line for line in lines if line.startswith(("flags", "model name", "Features", "CPU")))


def _compile(command: Sequence[str], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.parent), tempfile.TemporaryDirectory(dir=path.parent, prefix="building-") as scratch:
            if path.exists():
                return
            made = Path(scratch) / path.name
            done = subprocess.run([*command, "-o", str(made)], capture_output=True, text=True, timeout=SECONDS)
            if done.returncode:
                raise BuildError(f"{command[0]} failed: {_first_error(done.stderr)}")
            os.replace(made, path)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise BuildError(str(problem)) from problem


def _first_error(text: str) -> str:
    lines = text.strip().splitlines() or ["it said nothing"]
    return next((line for line in lines if "error" in line), lines[-1])
