"""Vectors that nearly fill the GPU: operations in place, the memory they take, and what is refused."""

import time
from itertools import pairwise
from typing import Any

import numpy as np

from jobs.benchmarks.gpu.processes import attempt
from jobs.benchmarks.gpu.timings import brickwork, filled, places, random_half

NOISE = 0.01


def main(precision: str, qubits: int, refused: int) -> None:
    """Print rows for a vector of so many qubits, a whole run of a state with known correlators, and one too many."""
    import jax

    with jax.enable_x64(precision == "float64"):
        row = {"qubits": qubits, "precision": precision}
        attempt(row | {"what": "in place"}, lambda: in_place(precision, qubits))
        attempt(row | {"what": "brickwork in place"}, lambda: whole_program(precision, qubits))
    attempt(row | {"what": "run"}, lambda: noisy_ghz(precision, qubits))
    if refused:
        attempt({"what": "refused", "qubits": refused, "precision": precision}, lambda: refusal(precision, refused))


def in_place(precision: str, qubits: int) -> dict[str, Any]:
    """A dense step at each place; of a product of two vectors every entry is known before the first."""
    from qdist_kernels import update

    dtype, dims = np.dtype(precision), (4,) * qubits
    matrix = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))[0]
    vector, took, error = filled(qubits, dtype), {}, 0.0
    address, is_same = _address(vector), True
    for where, axes in places(qubits).items():
        if where == "first and last":
            vector = None  # what was known has been moved
            vector = filled(qubits, dtype)
            address = _address(vector)
        began = time.perf_counter()
        vector = update(vector, matrix.astype(dtype), dims=dims, axes=axes).block_until_ready()
        took[where] = 1e3 * (time.perf_counter() - began)
        is_same = is_same and _address(vector) == address
        if where in ("first", "first and last"):
            error = max(error, _error(vector, matrix, qubits, axes))
    return {"ms_once": took, "error": error, "is_in_place": is_same, **memory()}


def whole_program(precision: str, qubits: int) -> dict[str, Any]:
    import jax

    from qdist_kernels import run_passes

    program = brickwork(qubits, np.dtype(precision).itemsize)
    vector = run_passes(filled(qubits, np.dtype(precision)), program)
    jax.block_until_ready(vector)
    began = time.perf_counter()
    jax.block_until_ready(run_passes(vector, program))
    took = 1e3 * (time.perf_counter() - began)
    return {"ms": took, "ms_per_operation": took / len(program.steps), "passes": len(program.passes), **memory()}


def noisy_ghz(precision: str, qubits: int) -> dict[str, Any]:
    """A whole run: ⟨X…X⟩ = (1 − 2p)ⁿ and ⟨ZZI…I⟩ = 1 of a GHZ state with dephasing p on each of its n qubits."""
    import qdist as qd

    names = tuple(f"a/{i}" for i in range(qubits))
    steps: list[Any] = [qd.Prepare(names), qd.apply("h", names[0])]
    steps += [qd.apply("cx", first, second) for first, second in pairwise(names)]
    steps += [qd.Apply(qd.CHANNELS["dephasing"].function(NOISE), (name,)) for name in names]
    job = qd.Job(
        program=qd.Program(tuple(steps), qubits=names),
        network=qd.Network((qd.Node("a", qubits),)),
        precision=precision,
        record=qd.Recording(correlators=("X" * qubits, "ZZ" + "I" * (qubits - 2)), probabilities=False),
    )
    result = qd.run(job, keep_state=False)
    found = np.asarray(result["results/correlators"], float)
    error = float(np.abs(found - [(1 - 2 * NOISE) ** qubits, 1.0]).max())
    seconds = {"wall_seconds": float(result.attributes["wall_seconds"])}
    return {"error": error, **seconds, **memory()}


def refusal(precision: str, qubits: int) -> dict[str, Any]:
    """What qdist says of a state that does not fit; nothing is allocated."""
    import qdist as qd
    from jobs.benchmarks.ranks import brickwork as program_of

    program, network = program_of(qubits, 4)
    try:
        qd.run(qd.Job(program=program, network=network, precision=precision, record=qd.Recording(probabilities=False)))
    except qd.QdistError as error:
        return {"is_refused": True, "message": str(error)}
    return {"is_refused": False}


def memory() -> dict[str, Any]:
    """Bytes that JAX held at most on the device so far, and may hold."""
    import jax

    stats = jax.devices()[0].memory_stats() or {}
    return {"peak_bytes": stats.get("peak_bytes_in_use"), "limit_bytes": stats.get("bytes_limit")}


def _address(vector: Any) -> int | None:
    return vector.unsafe_buffer_pointer() if hasattr(vector, "unsafe_buffer_pointer") else None


def _error(vector: Any, matrix: np.ndarray, qubits: int, axes: tuple[int, int]) -> float:
    """Of some entries, against those of the product that the step was applied to."""
    from qdist_kernels import take

    dtype, rng = vector.dtype, np.random.default_rng(1)
    halves = [random_half(count, dtype).astype(float) for count in (qubits // 2, qubits - qubits // 2)]
    digits = rng.integers(0, 4, (64, qubits))
    weights = 4 ** np.arange(qubits - 1, -1, -1, dtype=np.int64)
    found = np.asarray(take(vector, digits @ weights), float)
    wanted = np.zeros(len(digits))
    for column in range(16):
        before = digits.copy()
        before[:, axes[0]], before[:, axes[1]] = column // 4, column % 4
        index = before @ weights
        values = halves[0][index // len(halves[1])] * halves[1][index % len(halves[1])]
        wanted += matrix[4 * digits[:, axes[0]] + digits[:, axes[1]], column] * values
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())
