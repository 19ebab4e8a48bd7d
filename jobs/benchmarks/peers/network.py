"""Networks: trajectories of a chain of four nodes with sampled heralding, and how long chains grow.

Runs in processes of their own: `python -m jobs.benchmarks.peers.network REQUEST`, where the request is JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from jobs.benchmarks.peers.circuits import ROOT

LENGTHS = (10, 100, 1_000, 10_000)
PATIENCE = 240
"""Seconds for a chain, all repetitions; a longer one is recorded as too long."""
TRAJECTORIES = """[run]
seed = {seed}
precision = "{precision}"
mode = "sampled"
shots = {shots}
[network]
topology = "chain"
nodes = 4
qubits = 2
device = "trapped_ion"
[network.link]
length = 10e3
fidelity = 0.94
success_probability = 7e-5
[program]
protocol = "repeater_chain"
[record]
probabilities = false
metrics = ["fidelity"]
"""
"""`jobs/repeater_chain.toml` without purification: attempts, swaps and corrections are drawn for each trajectory."""

CHAIN = """[run]
precision = "{precision}"
[network]
topology = "chain"
nodes = {nodes}
qubits = 2
[network.device]
t1 = inf
t2 = 100.0
two_qubit_error = 1e-5
[network.link]
length = 1e3
fidelity = 0.9999
success_probability = 0.5
[program]
protocol = "repeater_chain"
generation = "sequential"
[record]
probabilities = false
metrics = ["fidelity"]
"""
"""`jobs/long_chain.toml` with any number of nodes."""


def run(names: Sequence[str], threads: int, *, quick: bool, say: Any) -> list[dict[str, Any]]:
    """Trajectories a second, warm, of whole runs through the public API; then seconds for chains of many lengths."""
    repetitions = 2 if quick else 5
    requests: list[dict[str, Any]] = [
        {"what": "trajectories", "precision": precision, "shots": 2**14 if quick else 2**17, "repetitions": repetitions}
        for precision in ("float32", "float64")
    ]
    requests += [
        {"what": "chain", "precision": "float64", "nodes": nodes, "repetitions": 1 if quick else 3}
        for nodes in (LENGTHS[:3] if quick else LENGTHS)
    ]
    if "sequence" in names:
        requests.append({"what": "sequence", "repetitions": 1 if quick else repetitions})
    found = []
    for request in requests:
        row = request | _in_process(request)
        found.append(row)
        say(line(row))
    return found


def _in_process(request: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, "-m", "jobs.benchmarks.peers.network", json.dumps(request)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return {"wall": [], "out": f"more than {PATIENCE} s"}
    if done.returncode:
        return {"wall": [], "out": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def line(row: dict[str, Any]) -> str:
    """One row in words."""
    label = f"{row['what']} {row.get('nodes', '')} {row.get('precision', '')}"
    if not row["wall"]:
        return f"{label}: {row['out']}"
    seconds = sorted(row["wall"])[len(row["wall"]) // 2]
    if row["what"] == "chain":
        return f"{label}: {seconds:.3g} s, {seconds / row['nodes'] * 1e3:.3g} ms a node"
    return f"{label}: {row['shots'] / seconds:,.0f} trajectories a second"


def timed(what: str, repetitions: int, **request: Any) -> dict[str, Any]:
    """Seconds of each run; the first does not count."""
    if what == "sequence":
        from jobs.benchmarks.peers.contestants import sequence

        return sequence.timed(repetitions)
    from qdist import run as run_job
    from qdist.runs.jobfiles.reader import parse_job

    wall = []
    for repetition in range(repetitions + 1):
        text = (CHAIN if what == "chain" else TRAJECTORIES).format(seed=repetition + 1, **request)
        job = parse_job(text)
        started = time.perf_counter()
        result = run_job(job, keep_state=False)
        wall.append(time.perf_counter() - started)
    fidelity = result["metrics/fidelity"].reshape(-1)
    return {"wall": wall[1:], "fidelity": float(fidelity[fidelity == fidelity][-1])}


if __name__ == "__main__":
    print(json.dumps(timed(**json.loads(sys.argv[1]))))
