"""Milliseconds of operations in place on a vector of the device, and as fractions of a copy's bandwidth."""

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from jobs.benchmarks.gpu.processes import attempt, emit

DEPTH = 10
COPY_BYTES = 2**31
ALL_PAIRS = (13, 15)
"""Qubits at which two digits are tried at every two places."""


def main(precision: str, copied: int, sizes: list[int]) -> None:
    """Print the copy bandwidth, then rows for each number of qubits."""
    import jax

    from qdist_kernels import native

    with jax.enable_x64(precision == "float64"):
        best = copy_bandwidth(copied, precision)
        rng, dtype = np.random.default_rng(0), np.dtype(precision)
        matrix = np.linalg.qr(rng.normal(size=(16, 16)))[0].astype(dtype)
        for qubits in sizes:
            vector = Held(qubits, dtype)
            for where, axes in places(qubits).items():
                row = {"what": "dense step", "qubits": qubits, "digits": where}
                attempt(row, lambda v=vector, a=axes: _step(v, matrix, a, best))
            if qubits in ALL_PAIRS and native.is_used_on_gpu():
                row = {"what": "slowest of all pairs", "qubits": qubits}
                attempt(row, lambda v=vector, n=qubits: _slowest(v, matrix, n, best))
            attempt({"what": "brickwork", "qubits": qubits}, lambda v=vector, n=qubits: _brickwork(v, n, best))
            vector.drop()


class Held:
    """A vector that operations overwrite, made when it is first needed and again if one of them failed."""

    def __init__(self, qubits: int, dtype: np.dtype) -> None:
        self.qubits, self.dtype, self.vector = qubits, dtype, None

    def seconds(self, call: Callable[[Any], Any], repeats: int = 5, least: float = 0.03) -> float:
        vector, self.vector = self.vector, None
        if vector is None:
            vector = filled(self.qubits, self.dtype)
        took, self.vector = seconds_of(call, vector, repeats, least)
        return took

    def drop(self) -> None:
        self.vector = None


def filled(qubits: int, dtype: np.dtype) -> Any:
    """The tensor product of two random vectors, made without anything large beside it."""
    import jax.numpy as jnp

    from qdist_kernels import outer

    halves = [random_half(count, dtype) for count in (qubits // 2, qubits - qubits // 2)]
    return outer(*map(jnp.array, halves))


def random_half(digits: int, dtype: np.dtype) -> np.ndarray:
    return np.random.default_rng(digits).normal(size=4**digits).astype(dtype)


def seconds_of(call: Callable[[Any], Any], state: Any, repeats: int, least: float) -> tuple[float, Any]:
    """Median seconds of `state = call(state)`, each repeated until it takes a while; and the state."""
    import jax

    state = jax.block_until_ready(call(call(state)))
    took: list[float] = []
    count = 1
    while len(took) < repeats:
        began = time.perf_counter()
        for _ in range(count):
            state = call(state)
        jax.block_until_ready(state)
        spent = time.perf_counter() - began
        if spent < least and not took:
            count = max(2 * count, int(count * least / max(spent, 1e-6)))
            continue
        took.append(spent / count)
    return statistics.median(took), state


def copy_bandwidth(num_bytes: int, precision: str) -> float:
    """Bytes per second, read and written, of the fastest way to copy a large array; printed."""
    import jax
    import jax.numpy as jnp

    source = jnp.ones(num_bytes // np.dtype(precision).itemsize, precision)
    copies = {"copy": jnp.copy, "negation": jax.jit(lambda x: -x)}
    found = {name: 2 * num_bytes / seconds_of(call, source, 5, 0.03)[0] for name, call in copies.items()}
    emit(what="copy", bytes=num_bytes, bytes_per_second=found)
    return max(found.values())


def places(qubits: int) -> dict[str, tuple[int, int]]:
    """Two digits: where their names say that they are."""
    middle = qubits // 2
    return {
        "first": (0, 1),
        "middle": (middle - 1, middle),
        "last": (qubits - 2, qubits - 1),
        "first and last": (0, qubits - 1),
    }


def _step(vector: Held, matrix: np.ndarray, axes: tuple[int, int], best: float, repeats: int = 5) -> dict[str, Any]:
    from qdist_kernels import update

    dims = (4,) * vector.qubits
    took = vector.seconds(lambda v: update(v, matrix, dims=dims, axes=axes), repeats)
    return {"ms": 1e3 * took, "of_copy": 2 * matrix.itemsize * 4**vector.qubits / took / best}


def _slowest(vector: Held, matrix: np.ndarray, qubits: int, best: float) -> dict[str, Any]:
    pairs = list(itertools.combinations(range(qubits), 2))
    found = {axes: _step(vector, matrix, axes, best, 2) for axes in pairs}
    slowest = max(found, key=lambda axes: found[axes]["ms"])
    return {"pairs": len(pairs), "digits": f"{slowest[0]} and {slowest[1]}", **found[slowest]}


def brickwork(qubits: int, itemsize: int) -> Any:
    """Layers of dense steps on every other two neighbors, as the planner groups them for GPUs."""
    from qdist.machine.tiling import groups_of
    from qdist_kernels import Program, Step
    from qdist_kernels.program import ON_CUDA, bits_of

    rng, steps = np.random.default_rng(qubits), []
    for layer in range(DEPTH):
        for first in range(layer % 2, qubits - 1, 2):
            _, bits = bits_of((4,) * qubits, (first, first + 1))
            steps.append(Step(bits, np.linalg.qr(rng.normal(size=(16, 16)))[0]))
    return Program(2 * qubits, tuple(groups_of(steps, 2 * qubits, itemsize, ON_CUDA)))


def _brickwork(vector: Held, qubits: int, best: float) -> dict[str, Any]:
    from qdist_kernels import cuda, native, run_passes

    program = brickwork(qubits, vector.dtype.itemsize)
    count, passes = len(program.steps), len(program.passes)
    if native.is_used_on_gpu():  # a pass with many numbers becomes several launches
        passes = len(cuda.launches(program, vector.dtype))
    took = vector.seconds(lambda v: run_passes(v, program), 3)
    return {
        "operations": count,
        "passes": passes,
        "operations_per_pass": count / passes,
        "ms": 1e3 * took,
        "ms_per_operation": 1e3 * took / count,
        "of_copy_per_pass": 2 * vector.dtype.itemsize * 4**qubits * passes / took / best,
    }
