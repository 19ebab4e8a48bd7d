"""Rounding: float32 against float64, and both against published distributions, on the deepest random circuits.

Runs in a process of its own: `python -m jobs.benchmarks.peers.accuracy STEM`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from jobs.benchmarks.peers.circuits import ROOT, qasm_path

STEMS = ("0", "40", "8", "16", "24")
"""Up to 44,285 gates on 8 qubits, 853 on 10."""


def run(names: Sequence[str], threads: int, *, quick: bool, say: Any) -> list[dict[str, Any]]:
    """For each circuit the largest differences of probabilities and correlators, and the seconds of each run."""
    found = []
    for stem in STEMS[:1] if quick else STEMS:
        command = [sys.executable, "-m", "jobs.benchmarks.peers.accuracy", stem]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        row = {"file": stem, **json.loads(done.stdout.splitlines()[-1])}
        found.append(row)
        say(f"accuracy {stem}: float32 is off by {row['probabilities']:.1e} (P), {row['correlators']:.1e} (one qubit)")
    return found


def measure(stem: str) -> dict[str, Any]:
    import qdist as qd

    program, network = qd.circuit_program(qd.read_qasm(qasm_path(stem)))
    n = len(program.qubits)
    letters = ["I" * i + letter + "I" * (n - 1 - i) for i in range(n) for letter in "XYZ"]
    found, wall = {}, {}
    for precision in ("float32", "float64"):
        record = qd.Recording(correlators=tuple(letters))
        started = time.perf_counter()
        found[precision] = qd.run(qd.Job(program=program, network=network, precision=precision, record=record))
        wall[precision] = time.perf_counter() - started
    gaps = {
        name: float(np.abs(found["float32"][f"results/{name}"] - found["float64"][f"results/{name}"]).max())
        for name in ("probabilities", "correlators")
    }
    published = _published(stem, found["float64"])
    return {"qubits": n, "steps": len(program.steps), **gaps, "published": published, "wall": wall}


def _published(stem: str, result: Any) -> float | None:
    """The largest difference to the file beside a circuit without resets: rounded to 1e-6, qubit 0 last."""
    path = qasm_path(stem)
    if "reset" in path.read_text(encoding="utf-8"):
        return None
    lines = path.with_name(f"{stem}_result.txt").read_text(encoding="utf-8").split()
    published = dict(zip(lines[::2], map(float, lines[1::2]), strict=True))
    return max(abs(result.probability(word[::-1]) - probability) for word, probability in published.items())


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
