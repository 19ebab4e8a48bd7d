"""Every kernel on random numbers against NumPy in float64, on vectors of odd sizes that lie on the device."""

import time
from typing import Any

import numpy as np

from jobs.benchmarks.gpu.processes import attempt, emit

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
"""Of the largest entry."""


def main(largest: int) -> None:
    """Print a row for each kernel, precision and size."""
    import jax

    from qdist_kernels import native

    began = time.perf_counter()
    # Both are compiled here, so that no other part waits for it.
    used = native.is_used() and (native.is_used_on_gpu() or not native.has_accelerator())
    emit(native=used, capability=native.capability(), seconds_to_compile=time.perf_counter() - began)
    for precision in TOLERANCE:
        with jax.enable_x64(precision == "float64"):
            for dims in _sizes(largest):
                for name, kernel in KERNELS.items():
                    row = {"kernel": name, "precision": precision, "dims": "".join(map(str, dims))}
                    attempt(row, lambda kernel=kernel, p=precision, d=dims: {"error": kernel(np.dtype(p), d)})


def _sizes(largest: int) -> list[tuple[int, ...]]:
    """Qubits alone, an odd number of them, and qubits among classical bits."""
    return [(4,) * 5, (4,) * (largest - 1), (2, *(4,) * (largest - 2), 2, 2), (4, 2, *(4,) * (largest - 1))]


def _update(dtype: np.dtype, dims: tuple[int, ...]) -> float:
    """Matrices on the first and last digit, on neighbors in the middle, and on one digit, one after another."""
    from qdist_kernels import update

    rng, middle = np.random.default_rng(0), len(dims) // 2
    wanted = rng.normal(size=np.prod(dims))
    vector = _on_device(wanted, dtype)
    for axes in ((0, len(dims) - 1), (middle - 1, middle), (middle,)):
        matrix = _matrix(rng, np.prod([dims[axis] for axis in axes]))
        vector = update(vector, matrix.astype(dtype), dims=dims, axes=axes)
        wanted = moved(wanted, matrix, dims, axes)
    return _error(vector, wanted)


def _scale(dtype: np.dtype, dims: tuple[int, ...]) -> float:
    from qdist_kernels import scale

    rng, axes = np.random.default_rng(1), (1, len(dims) - 1)
    vector, factors = rng.normal(size=np.prod(dims)), rng.normal(size=np.prod([dims[axis] for axis in axes]))
    found = scale(_on_device(vector, dtype), factors.astype(dtype), dims=dims, axes=axes)
    return _error(found, moved(vector, np.diag(factors), dims, axes))


def _transfer(dtype: np.dtype, dims: tuple[int, ...]) -> float:
    """Two digits become one of two entries, in front."""
    from qdist_kernels import transfer

    rng, axes = np.random.default_rng(2), (1, 3)
    vector, matrix = rng.normal(size=np.prod(dims)), rng.normal(size=(2, dims[1] * dims[3]))
    found = transfer(_on_device(vector, dtype), matrix.astype(dtype), dims=dims, axes=axes)
    array = np.moveaxis(vector.reshape(dims), axes, (0, 1))
    return _error(found, matrix @ array.reshape(matrix.shape[1], -1))


def _select(dtype: np.dtype, dims: tuple[int, ...]) -> float:
    from qdist_kernels import select

    vector = np.random.default_rng(3).normal(size=np.prod(dims))
    found = select(_on_device(vector, dtype), dims=dims, axes=(0, 2), indices=(1, 1))
    return _error(found, vector.reshape(dims)[1, :, 1])


def _outer(dtype: np.dtype, dims: tuple[int, ...]) -> float:
    from qdist_kernels import outer

    rng = np.random.default_rng(4)
    first, second = rng.normal(size=np.prod(dims[:-1])), rng.normal(size=dims[-1])
    return _error(outer(_on_device(first, dtype), second.astype(dtype)), np.multiply.outer(first, second))


def _inner(dtype: np.dtype, dims: tuple[int, ...]) -> float:
    from qdist_kernels import inner

    rng = np.random.default_rng(5)
    first, second = (rng.normal(size=np.prod(dims)) for _ in range(2))
    return abs(inner(_on_device(first, dtype), _on_device(second, dtype)) - first @ second) / first.size


def _run_passes(dtype: np.dtype, dims: tuple[int, ...]) -> float:
    """Dense, diagonal and permuting steps of one to three digits, as the planner groups them."""
    from qdist.machine.tiling import groups_of
    from qdist_kernels import Program, Step, run_passes
    from qdist_kernels.program import ON_CUDA, bits_of

    rng, steps = np.random.default_rng(6), []
    wanted = vector = rng.normal(size=np.prod(dims))
    for number in range(12):
        axes = tuple(sorted(map(int, rng.choice(len(dims), 1 + number % 3, replace=False))))
        side = int(np.prod([dims[axis] for axis in axes]))
        kinds = _matrix(rng, side), np.diag(rng.normal(size=side)), np.eye(side)[rng.permutation(side)]
        matrix = kinds[number // 3 % 3]
        total, bits = bits_of(dims, axes)
        steps.append(Step(bits, np.diagonal(matrix).copy() if number // 3 % 3 == 1 else matrix))
        wanted = moved(wanted, matrix, dims, axes)
    program = Program(total, tuple(groups_of(steps, total, dtype.itemsize, ON_CUDA)))
    return _error(run_passes(_on_device(vector, dtype), program), wanted)


KERNELS = {
    "run_passes": _run_passes,
    "update": _update,
    "scale": _scale,
    "transfer": _transfer,
    "select": _select,
    "outer": _outer,
    "inner": _inner,
}


def moved(vector: np.ndarray, matrix: np.ndarray, dims: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """The digits at `axes` contracted with a matrix, by plain NumPy."""
    front = np.moveaxis(vector.reshape(dims), axes, range(len(axes)))
    product = (matrix @ front.reshape(len(matrix), -1)).reshape(front.shape)
    return np.moveaxis(product, range(len(axes)), axes).reshape(-1)


def _matrix(rng: np.random.Generator, side: int) -> np.ndarray:
    return rng.normal(size=(side, side)) / side**0.5


def _on_device(vector: np.ndarray, dtype: np.dtype) -> Any:
    import jax.numpy as jnp

    return jnp.array(vector.astype(dtype))


def _error(found: Any, wanted: np.ndarray) -> float:
    wanted = wanted.reshape(-1)
    return float(np.abs(np.asarray(found, float).reshape(-1) - wanted).max() / np.abs(wanted).max())
