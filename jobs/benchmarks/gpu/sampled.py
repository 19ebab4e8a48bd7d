"""Trajectories per second, and many states at once: where qdist runs them, and on the device."""

import time
from typing import Any

import numpy as np

import qdist as qd
from jobs.benchmarks.gpu.processes import attempt
from jobs.benchmarks.gpu.timings import brickwork, seconds_of
from jobs.benchmarks.peers.circuits import Gate, build
from jobs.benchmarks.peers.contestants.ours import job_of
from jobs.benchmarks.trajectories import chain_of_four


def main(shots: int, copies: int, qubits: int, points: int) -> None:
    for precision in ("float32", "float64"):
        row = {"what": "chain of four nodes, shot by shot", "precision": precision, "shots": shots}
        attempt(row, lambda p=precision: trajectories(p, shots))
    row = {"what": "one program on many vectors", "vectors": copies, "qubits": qubits}
    attempt(row, lambda: many_vectors(copies, qubits))
    attempt({"what": "noise strengths by vmap", "points": points, "qubits": 6}, lambda: sweep(points, 6))


def trajectories(precision: str, shots: int) -> dict[str, Any]:
    """Batches of small clusters stay on the host, accelerator or not."""
    from qdist_kernels.transfer import stays_on_host

    qd.run(chain_of_four("parallel", "none", precision, 100), keep_state=False)
    job = chain_of_four("parallel", "none", precision, shots)
    prepared = qd.prepare(job, keep_state=False)
    began = time.perf_counter()
    qd.run(job, keep_state=False)
    on_host = stays_on_host(2**prepared.plan.largest * prepared.plan.shots)
    return {"per_second": shots / (time.perf_counter() - began), "ran_on": "host" if on_host else _device()}


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
