"""The native kernels: whether they are used, and calls to them, by ctypes for NumPy's arrays and by XLA for JAX's."""

import ctypes
import importlib.util
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from qdist_kernels import build, cuda, settings
from qdist_kernels.memory import address
from qdist_kernels.namespace import is_jax, is_traced, precision_of
from qdist_kernels.program import Program

OLDEST_CAPABILITY = 8.0

SUFFIXES = {np.dtype(np.float32): "f32", np.dtype(np.float64): "f64"}


@cache
def is_used() -> bool:
    """Whether vectors on this machine's processor are moved by native kernels.

    Raises:
        ValueError: The user asked for them and they cannot be had.
    """
    return _is_there(_host, "its native kernels")


@cache
def is_used_on_gpu() -> bool:
    """Whether vectors on the GPU that JAX computes on are moved by native kernels.

    Raises:
        ValueError: The user asked for them and they cannot be had.
    """
    return capability() is not None and _is_there(_in_cuda, "its native kernels for GPUs")


def is_used_for(vector: Any, bits: int) -> bool:
    """Whether native kernels move vectors of 2^bits entries that lie where this array lies. Never for traced ones."""
    if is_traced(vector):
        return False
    return cuda.is_fit(bits) and is_used_on_gpu() if is_on_device(vector) else is_used()


def _is_there(load: Callable[[], Any], name: str) -> bool:
    wanted = settings.chosen()
    if wanted == "jax":
        return False
    try:
        load()
    except (build.BuildError, OSError) as problem:
        if wanted:
            raise ValueError(f"Native kernels must be there for `{settings.KERNELS}=native`, but {problem}.") from None
        warnings.warn(
            f"qdist computes without {name}, many times slower: {problem}. Set `{settings.KERNELS}=jax` to hide this.",
            stacklevel=3,
        )
        return False
    return True


def must_compile() -> bool:
    """Whether the next use of native kernels compiles them first."""
    if settings.chosen() == "jax":
        return False
    return not _is_built(lambda: build.where("host")) or (capability() is not None and not _is_built(_where_in_cuda))


def _is_built(where: Callable[[], Path]) -> bool:
    """Whether a library is there, or cannot be made."""
    try:
        return where().exists()
    except build.BuildError:
        return True


@cache
def has_accelerator() -> bool:
    """Whether JAX computes on something other than the processor. JAX is not loaded where it has no plugin for one."""
    if "jax" not in sys.modules and not any(map(importlib.util.find_spec, ("jax_plugins", "libtpu"))):
        return False
    import jax

    return jax.default_backend() != "cpu"


@cache
def capability() -> str | None:
    """The compute capability, such as "9.0", of the GPU that JAX computes on, if the CUDA kernels run there.

    Below 8.0 a multiprocessor has less shared memory than a tile and its matrices need.
    """
    if not has_accelerator():
        return None
    import jax

    found = str(getattr(jax.devices()[0], "compute_capability", ""))
    return found if re.fullmatch(r"\d+\.\d+", found) and float(found) >= OLDEST_CAPABILITY else None


def is_on_device(vector: Any) -> bool:
    """Whether an array lies in the memory of an accelerator."""
    return is_jax(vector) and next(iter(vector.devices())).platform != "cpu"


@cache
def _host() -> Any:
    return opened(build.library("host"))


def opened(path: Path) -> Any:
    """A build of the library that knows what its functions take: whoever calls them makes no object of every number."""
    library = ctypes.CDLL(str(path))
    pointer, int64, int32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    for suffix in SUFFIXES.values():
        getattr(library, f"qdist_passes_{suffix}").argtypes = (pointer, int64, int32, pointer, pointer, int32)
        getattr(library, f"qdist_outer_{suffix}").argtypes = (pointer, int64, pointer, int64, pointer, int32)
        getattr(library, f"qdist_contract_{suffix}").argtypes = (pointer,) * 8
    return library


def run(vector: Any, program: Program) -> Any:
    """Run a program on each of the vectors of 2^bits entries that lie in a contiguous array, in place.

    Args:
        vector: float32 or float64, shape (…, 2^bits), NumPy's or JAX's; it must not be used again.
        program: What to do.

    Returns:
        `vector`, or where JAX says that it is now.
    """
    if not is_jax(vector):
        call(_host(), vector, program.bits, *program.encoded(vector.dtype))
        return vector
    with precision_of(vector):
        if is_on_device(vector):
            for launch in program.encoded(vector.dtype, cuda.launches):
                vector = _in_cuda()(vector, launch.code, launch.numbers, tile_bits=launch.tile_bits)
            return vector
        code, numbers = map(_padded, program.encoded(vector.dtype))
        return _in_xla()(vector, code, numbers, bits=program.bits, threads=settings.threads())


def call(library: Any, vector: np.ndarray, bits: int, code: np.ndarray, numbers: np.ndarray) -> None:
    """The same for NumPy's, by a build of the library that `opened` gave."""
    if not vector.flags.c_contiguous:
        raise ValueError("A vector must be contiguous to be changed by native kernels, but is a slice. Copy it.")
    function = getattr(library, f"qdist_passes_{SUFFIXES[vector.dtype]}")
    function(address(vector), vector.size >> bits, bits, address(code), address(numbers), settings.threads())


def outer(first: np.ndarray, second: np.ndarray, out: np.ndarray) -> None:
    """The tensor product of two vectors into `out`, which may begin where `first` does, but not overlap `second`."""
    function = getattr(_host(), f"qdist_outer_{SUFFIXES[out.dtype]}")
    function(address(first), first.size, address(second), second.size, address(out), settings.threads())


class Sums:
    """What is added to what when a batch is contracted; `sources/batches.h` says how it is read.

    Args:
        places: Of the result, of the vector, and of the other one of which the tensor product is taken: where the
            values of its contracted digits are, and those of its other digits.
        groups: Row, column of the other vector, first entry and number of entries of each group.
        columns: Of each entry.
    """

    def __init__(self, places: Sequence[Any], groups: Sequence[Any], columns: Sequence[int]) -> None:
        self._kept = [np.array(part, np.int64) for each in places for part in each]
        self._kept += [np.array(groups, np.int64).reshape(-1, 4), np.array(columns, np.int64)]
        self.places = tuple(_pointers(map(address, self._kept[k:6:2])) for k in (0, 1))
        self.rest = [len(array) for array in self._kept[1:6:2]]
        self.rows, self.groups = len(self._kept[0]), len(groups)
        self.lists = tuple(map(address, self._kept[6:]))


def contract(arrays: Sequence[np.ndarray | None], sums: Sums, values: Sequence[Any]) -> None:
    """Contract batches that are stored entry by entry.

    Args:
        arrays: The result, the vector, and the other one or `None`; shape (entries, shots), or (entries, 1) if all
            shots share it.
        sums: What is added to what.
        values: Of each entry: an array with one a shot, or a number.
    """
    result = arrays[0]
    assert result is not None
    dtype, shots = result.dtype, [1 if array is None else array.shape[1] for array in arrays]
    sizes = np.array([*shots, *sums.rest, sums.rows, sums.groups], np.int64)
    alike = [not isinstance(value, np.ndarray) for value in values]
    numbers = np.array([value if one else 0 for value, one in zip(values, alike, strict=True)], dtype)
    known = {id(v): np.ascontiguousarray(v, dtype) for v in values if isinstance(v, np.ndarray)}
    places = {key: address(array) for key, array in known.items()}
    start, step = address(numbers), dtype.itemsize
    addresses = [places.get(id(value), start + k * step) for k, value in enumerate(values)]
    same = np.array(alike, np.int8)
    getattr(_host(), f"qdist_contract_{SUFFIXES[dtype]}")(
        _pointers(None if array is None else address(array) for array in arrays),
        *sums.places,
        address(sizes),
        *sums.lists,
        _pointers(addresses),
        address(same),
    )


def run_shots(program: Any, values: np.ndarray, where: np.ndarray, lanes: int) -> Any:
    """A batch of shots where JAX computes; `sources/shots.h` says what the arrays are."""
    import jax

    with jax.enable_x64(values.dtype.itemsize == 8):
        call = _shots(values.dtype.name, program.results, values.shape[1], program.work, lanes)
        return call(program.code, program.numbers, values, where)


@cache
def _shots(dtype: str, results: int, shots: int, work: int, lanes: int) -> Callable[..., Any]:
    import jax

    _in_xla() if jax.default_backend() == "cpu" else _in_cuda()
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape in ((results, shots), (work, lanes))]
    function = jax.ffi.ffi_call(f"qdist_shots_{SUFFIXES[np.dtype(dtype)]}", shapes)
    return jax.jit(lambda *arrays: function(*arrays)[0])


def _pointers(addresses: Iterable[int | None]) -> Any:
    given = list(addresses)
    return (ctypes.c_void_p * len(given))(*given)


@cache
def _in_xla() -> Callable[..., Any]:
    """A call of XLA on a processor, in place. Programs are padded to powers of two: few shapes are compiled."""
    import jax

    return _handlers(build.library("xla", includes=(jax.ffi.include_dir(),)), "qdist_passes", "cpu")


@cache
def _in_cuda() -> Callable[..., Any]:
    """A call of XLA on a GPU, in place: one pass. All programs have the same few shapes."""
    return _handlers(build.library(**_cuda_library()), "qdist_tiles", "CUDA")


def _where_in_cuda() -> Path:
    return build.where(**_cuda_library())


def _cuda_library() -> dict[str, Any]:
    import jax

    machine = build.cuda_machine(capability() or "")
    return {"name": "cuda", "includes": (jax.ffi.include_dir(),), "machine": machine}


def _handlers(path: Path, name: str, platform: str) -> Callable[..., Any]:
    """A jitted call of a library's handlers that overwrites its first argument; the others are read."""
    import jax

    library = ctypes.CDLL(str(path))
    for target in (f"{kind}_{suffix}" for kind in (name, "qdist_shots") for suffix in SUFFIXES.values()):
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(getattr(library, target)), platform=platform)

    def call(vector: Any, code: Any, numbers: Any, **attributes: int) -> Any:
        result = jax.ShapeDtypeStruct(vector.shape, vector.dtype)
        target = f"{name}_{SUFFIXES[np.dtype(vector.dtype)]}"
        function = jax.ffi.ffi_call(target, result, input_output_aliases={0: 0})
        return function(vector, code, numbers, **{key: np.int32(value) for key, value in attributes.items()})

    return jax.jit(call, static_argnames=("bits", "threads", "tile_bits"), donate_argnames=("vector",))


def _padded(array: np.ndarray) -> np.ndarray:
    length = 1 << max(6, (array.size - 1).bit_length())
    return np.concatenate([array, np.zeros(length - array.size, array.dtype)])
