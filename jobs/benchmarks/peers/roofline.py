"""How near one operation comes to the memory's speed: a dense two-qubit PTM against an in-place scaling, in turn.

Runs in a process of its own: `python -m jobs.benchmarks.peers.roofline REQUEST`, where the request is JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from jobs.benchmarks.peers.circuits import ROOT, brickwork
from jobs.benchmarks.peers.contest import runs_a_turn
from jobs.benchmarks.peers.contestants.ours import Ready

QUBITS = 12
A_SCALING = 6
"""Pairs between two scalings."""
GROWTH = (9, 10, 11, 12, 13)
FACTOR = 0.999
"""Of the scaling: not 1, which could be left out, and far from numbers so small that they are slow."""


def run(names: Sequence[str], threads: int, *, quick: bool, say: Any) -> list[dict[str, Any]]:
    """Time every pair of digits, and whole circuits per operation, in each precision.

    Returns:
        For each precision `scaling` (seconds of each repetition, by how it is done), `pairs` (digits and seconds) and
        `growth` (of noisy brickworks: qubits, operations on the state of all, passes, seconds of all and of these).
    """
    found = []
    for precision in ("float32",) if quick else ("float32", "float64"):
        request = {"precision": precision, "threads": threads, "quick": quick}
        command = [sys.executable, "-m", "jobs.benchmarks.peers.roofline", json.dumps(request)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
        row = {"precision": precision, **json.loads(done.stdout.splitlines()[-1])}
        found.append(row)
        scaling = best_scaling(row)
        slowest = max(row["pairs"], key=lambda pair: median(pair["wall"]))
        factor = median(slowest["wall"]) / scaling
        say(
            f"roofline {precision}: scaling {scaling * 1e3:.2f} ms, slowest pair {slowest['digits']} {factor:.1f} times"
        )
    return found


def median(values: Sequence[float]) -> float:
    return float(np.median(values))


def best_scaling(row: dict[str, Any]) -> float:
    """Seconds of an in-place scaling in the faster of the two ways to do it."""
    return min(median(seconds) for seconds in row["scaling"].values())


def measure(precision: str, threads: int, quick: bool) -> dict[str, Any]:
    import jax

    with jax.enable_x64(precision == "float64"):
        pairs = list(combinations(range(QUBITS), 2))
        pairs = pairs[::13] if quick else pairs
        found = _in_turn(pairs, precision, threads, repetitions=3 if quick else 21)
    return found | {"growth": _growth(GROWTH[:3] if quick else GROWTH, precision, repetitions=3 if quick else 15)}


def _in_turn(pairs: list[tuple[int, int]], precision: str, threads: int, *, repetitions: int) -> dict[str, Any]:
    """Every pair between scalings of an array of the same size, again and again; the first round is for compiling."""
    import jax
    import jax.numpy as jnp

    from qdist_kernels import update
    from qdist_kernels.memory import empty

    matrix = dense(precision)
    factor = np.asarray(FACTOR, precision)
    scale = jax.jit(lambda array: array * factor, donate_argnums=0)
    vector: Any = jax.block_until_ready(jnp.full(4**QUBITS, 1.0, precision))
    array = empty((4**QUBITS,), precision)
    array.fill(1.0)
    scaling: dict[str, list[float]] = {"jax": [], "numpy": []}
    rows: list[dict[str, Any]] = [{"digits": list(pair), "wall": []} for pair in pairs]
    with ThreadPoolExecutor(threads) as pool:
        for repetition in range(repetitions + 1):
            for number, row in enumerate(rows):
                if number % A_SCALING == 0:
                    vector, on_device = _timed(scale, vector)
                    _, on_host = _timed(partial(_scale_parts, pool=pool, threads=threads), array)
                    scaling["jax"].append(on_device)
                    scaling["numpy"].append(on_host)
                apply = partial(update, matrix=matrix, dims=(4,) * QUBITS, axes=tuple(row["digits"]))
                array, wall = _timed(apply, array)
                row["wall"].append(wall)
            if repetition == 0:
                for seconds in (*scaling.values(), *(row["wall"] for row in rows)):
                    seconds.clear()
    return {"qubits": QUBITS, "scaling": scaling, "pairs": rows}


def dense(precision: str) -> np.ndarray:
    """A random trace-preserving matrix without zeros below its first row, scaled so that vectors keep their size."""
    matrix = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))[0]
    matrix[0] = np.eye(16)[0]
    matrix[1:] *= 0.9
    return matrix.astype(precision)


def _scale_parts(array: np.ndarray, pool: ThreadPoolExecutor, threads: int) -> np.ndarray:
    parts = np.array_split(array, threads)
    list(pool.map(lambda part: np.multiply(part, part.dtype.type(FACTOR), out=part), parts))
    return array


def _timed(function: Callable[[Any], Any], array: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = function(array)
    if hasattr(result, "block_until_ready"):
        result.block_until_ready()
    return result, time.perf_counter() - started


def _growth(sizes: Sequence[int], precision: str, *, repetitions: int) -> list[dict[str, Any]]:
    """Whole circuits of all sizes in turn, since a machine that others share has fast and slow minutes.

    The first run of each is for its memory; small ones are run often enough that they are as long as other turns.
    """
    rows, runs = [], []
    for size in sizes:
        ready = Ready(brickwork(size), precision)
        growth, seconds = peak_growth(ready.run), ready.warm.seconds()[0]
        state = 4**size * np.dtype(precision).itemsize
        rows.append(
            {"qubits": size, **ready.facts(), "state_bytes": state, "peak_bytes": growth, "wall": [], "operating": []}
        )
        runs.append((ready, runs_a_turn(seconds)))
    for _ in range(repetitions):
        for row, (ready, count) in zip(rows, runs, strict=True):
            wall, operating = np.mean([ready.warm.seconds() for _ in range(count)], axis=0)
            row["wall"].append(float(wall))
            row["operating"].append(float(operating))
    return rows


def peak_growth(function: Callable[[], Any]) -> int | None:
    """By how many bytes the memory of this process grows at most; `None` where the system does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        function()
        return None
    before = _kilobytes("VmRSS")
    function()
    return 1024 * (_kilobytes("VmHWM") - before)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    print(json.dumps(measure(**json.loads(sys.argv[1]))))
