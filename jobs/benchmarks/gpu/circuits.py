"""Whole noisy circuits by `qd.run`: seconds of the evolution, and single precision against double."""

import time
from pathlib import Path
from typing import Any

import numpy as np

import qdist as qd
from jobs.benchmarks.gpu.large import memory
from jobs.benchmarks.gpu.processes import attempt
from jobs.benchmarks.peers.circuits import build
from jobs.benchmarks.peers.contestants.ours import Warm, job_of

FILES = Path(__file__).with_name("dm_bench")
DEVICE = "dummy_ibmq16.json"


def main(precision: str, cases: list[str]) -> None:
    """Print a row for each case: `brickwork:14`, or the name of a file, which runs with a device's noise."""
    for name in cases:
        attempt({"circuit": name, "precision": precision}, lambda name=name: measured(job(name, precision)))


def job(name: str, precision: str) -> qd.Job:
    """A case with what can be compared: correlators, or all probabilities of a file."""
    from dataclasses import replace

    family, _, qubits = name.partition(":")
    if qubits:
        found = job_of(build(family, int(qubits)), precision)
        strings = [("I" * k + "ZZ" + "I" * int(qubits))[: int(qubits)] for k in range(int(qubits) - 1)]
        return replace(found, record=qd.Recording(correlators=tuple(strings), probabilities=False))
    return with_device_noise(name, precision)


def with_device_noise(stem: str, precision: str) -> qd.Job:
    """A file of DM-Sim's suite (or any other of the project), with the noise of a device that qdist ships."""
    from jobs.benchmarks.peers.circuits import qasm_path
    from qdist.network.noise import find_device_file

    path = FILES / f"{stem}.qasm"
    circuit = qd.read_qasm(path if path.exists() else qasm_path(stem))
    program, network = qd.circuit_program(circuit, noise=qd.read_device_noise(find_device_file(DEVICE)))
    return qd.Job(program=program, network=network, precision=precision)


def measured(job: qd.Job) -> dict[str, Any]:
    """The first run, the second, and what it found."""
    began = time.perf_counter()
    qd.run(job, keep_state=False)
    first = time.perf_counter() - began
    result = qd.run(job, keep_state=False)
    facts = Warm(job, keep_state=False).facts()
    evolving = float(np.max(result["traffic/compute_seconds"]))
    return {
        "seconds_cold": first,
        "seconds": float(result.attributes["wall_seconds"]),
        "seconds_evolving": evolving,
        "ms_per_operation": 1e3 * evolving / facts["operations"],
        **facts,
        **memory(),
        "numbers": numbers(result),
    }


def numbers(result: qd.Result) -> list[float]:
    """Correlators, or the sum of all probabilities and the largest ones."""
    if "results/correlators" in result.data:
        return [*map(float, result["results/correlators"])]
    outcomes = dict(zip(result["results/outcome"].tolist(), map(float, result["results/probabilities"]), strict=True))
    return [sum(outcomes.values()), *sorted(outcomes.values(), reverse=True)[:16]]
