"""Trajectories per second, and many states at once: where qdist runs them, and on the device."""

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

import qdist as qd
from jobs.benchmarks.gpu.accuracy import TOLERANCE
from jobs.benchmarks.gpu.processes import attempt
from jobs.benchmarks.gpu.timings import brickwork, seconds_of
from jobs.benchmarks.peers.circuits import Gate, build
from jobs.benchmarks.peers.contestants.ours import job_of
from jobs.benchmarks.trajectories import chain_of_four

LARGE = 1e-3
"""A larger error of a shot is another outcome, not rounding."""


def main(few: int, many: int, copies: int, qubits: int, points: int) -> None:
    """Print rows: the chain on the host and on the device, and what is done to many states there."""
    from qdist_kernels import native, shots

    # In a dry run JAX's processor takes what a GPU would.
    dry = {"BATCH": min(many, shots.BATCH), "is_used_for": lambda count: count >= many}
    with nullcontext() if native.has_accelerator() else patch.multiple(shots, **dry):
        chains(few, many)
    row = {"what": "one program on many vectors", "vectors": copies, "qubits": qubits}
    attempt(row, lambda: many_vectors(copies, qubits))
    attempt({"what": "noise strengths by vmap", "points": points, "qubits": 6}, lambda: sweep(points, 6))


def chains(few: int, many: int) -> None:
    """Against NumPy, whole runs of few and of many shots, and the device's part of them alone."""
    from qdist_kernels import shots

    for precision in ("float32", "float64"):
        row = {"what": "chain of four nodes, a batch against NumPy", "precision": precision}
        attempt(row, lambda p=precision: against_numpy(p, min(many, 2**12)))
        for count in (few, many):
            row = {"what": "chain of four nodes, a whole run", "precision": precision, "shots": count}
            attempt(row, lambda p=precision, n=count: trajectories(p, n))
        row = {"what": "chain of four nodes, batches in one call", "precision": precision, "shots": shots.BATCH}
        attempt(row, lambda p=precision: one_call(p))


KIND = "parallel", "dejmps"


def trajectories(precision: str, shots: int) -> dict[str, Any]:
    """From a job to its result; few shots stay on the host, accelerator or not."""
    from qdist_kernels.placement import stays_on_host

    job = chain_of_four(*KIND, precision, shots)
    prepared = qd.prepare(job, keep_state=False)
    qd.run(job if prepared.at_once else replace(job, shots=100), keep_state=False)
    began = time.perf_counter()
    qd.run(job, keep_state=False)
    on_host = prepared.at_once is None and stays_on_host(2**prepared.plan.largest * prepared.plan.shots)
    return {"per_second": shots / (time.perf_counter() - began), "ran_on": "host" if on_host else _device()}


def one_call(precision: str) -> dict[str, Any]:
    """The program alone, with the copies of its numbers to the device and back: what threads of the host wait for."""
    from qdist.runs.at_once import at_once
    from qdist_kernels import shots

    plan = qd.prepare(chain_of_four(*KIND, precision, 100), keep_state=False).plan
    program = at_once(plan, precision).program
    values = np.full((program.values, shots.BATCH), 0.5, precision)
    values[0] = np.random.default_rng(0).random(shots.BATCH)

    def call(_: Any) -> Any:
        return shots.run(program, values, seed=0, first=0)

    took, _ = seconds_of(call, None, 3, 0.03)
    moved = (program.values + program.results) * shots.BATCH * values.itemsize
    return {"per_second": shots.BATCH / took, "bytes_moved_per_second": moved / took, "ran_on": _device()}


def against_numpy(precision: str, shots: int) -> dict[str, Any]:
    """Everything that is read of each shot, beside what NumPy finds in float64 with the same random numbers.

    A chance that is rounded otherwise may give another outcome, to one shot of very many.
    """
    from qdist.network.draws import Draws
    from qdist.runs.at_once import at_once
    from qdist.runs.evolve import evolve
    from qdist_kernels import native

    plan = qd.prepare(chain_of_four(*KIND, precision, shots), keep_state=False).plan
    found = at_once(plan, precision).evolve(Draws(1, 0, shots))
    is_used, native.is_used = native.is_used, lambda: False
    try:
        exact = evolve(plan, np.dtype(float), draws=Draws(1, 0, shots))
    finally:
        native.is_used = is_used
    errors = np.zeros(shots)
    for one, other in zip(found.readings, exact.readings, strict=True):
        errors = np.maximum(errors, one.accepted != other.accepted)
        for a, b in zip(one.vectors, other.vectors, strict=True):
            if a is not None:
                errors = np.maximum(errors, np.abs(np.asarray(a, float) - b).max(axis=-1))
    same = errors < LARGE
    error = float(errors[same].max())
    is_right = error <= TOLERANCE[precision] and np.count_nonzero(~same) <= shots // 1000
    return {"error": error, "other_outcomes": int(np.count_nonzero(~same)), "is_right": bool(is_right)}


def many_vectors(copies: int, qubits: int) -> dict[str, Any]:
    """One launch a pass for all of them."""
    import jax.numpy as jnp

    from qdist_kernels import run_passes

    program = brickwork(qubits, 4)
    vectors = jnp.array(np.random.default_rng(0).normal(size=(copies, 4**qubits)).astype(np.float32))
    took, _ = seconds_of(lambda v: run_passes(v, program), vectors, 3, 0.03)
    return {"per_second": copies / took, "operations": len(program.steps), "ran_on": _device()}


def sweep(points: int, qubits: int) -> dict[str, Any]:
    """One compiled program for all strengths of the noise: this is JAX's, not the native kernels'."""
    import jax
    import jax.numpy as jnp

    case = build("brickwork", qubits, 4)
    template = job_of(case, "float32")
    noisy = [k for k, one in enumerate(case.operations, 1) if not isinstance(one, Gate) and len(one.qubits) == 2]
    strings = dict.fromkeys(template.program.qubits, "Z")

    def correlator(strength: Any) -> Any:
        channel, steps = qd.CHANNELS["depolarizing2"].function(strength), list(template.program.steps)
        for k in noisy:
            steps[k] = qd.Apply(channel, steps[k].qubits)
        program = qd.Program(tuple(steps), qubits=template.program.qubits)
        return qd.final_states(program, template.network).correlator(strings)

    compiled, strengths = jax.jit(jax.vmap(correlator)), jnp.linspace(0.0, 0.1, points, dtype=jnp.float32)
    began = time.perf_counter()
    compiled(strengths).block_until_ready()
    compiling = time.perf_counter() - began
    took, _ = seconds_of(lambda s: s + 0 * compiled(s), strengths, 3, 0.03)
    return {"per_second": points / took, "seconds_to_compile": compiling, "ran_on": _device()}


def _device() -> str:
    import jax

    return str(jax.devices()[0])
