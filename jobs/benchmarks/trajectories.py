"""How many trajectories a second a Monte-Carlo of a repeater chain makes, and what a node costs in a long chain.

    python jobs/benchmarks/trajectories.py            # everything, a few minutes
    python jobs/benchmarks/trajectories.py --quick    # fewer shots, chains of up to 1,000 nodes

In one process, warm: after a run of a few shots, so that nothing is loaded or compiled. A run is everything from a job
to its result: lowering, planning, drawing, evolving, summing, metrics. The best of `REPEATS` counts, since others may
use the machine; the time of cores that a trajectory takes says how much of them it was. The exit code is 1 if a chain
of four nodes makes fewer than `FLOOR` trajectories a second, or if a node of the longest chain costs more than `GROWTH`
times as much as one of a tenth of its length.
"""

import platform
import sys
import tempfile
import time
from pathlib import Path

import qdist as qd
from qdist.network.lowering import lower
from qdist.runs.prepare import _plan

FLOOR = 100_000
"""Trajectories a second on two cores: four nodes, heralded links whose attempts are drawn, memories that decay."""
GROWTH = 1.5
REPEATS = 3
JOBS = Path(__file__).parents[1]
KINDS = [(g, p) for p in ("none", "dejmps") for g in ("parallel", "sequential")]


def chain_of_four(generation, purification, precision, shots):
    """`jobs/repeater_chain.toml`, sampled."""
    text = (JOBS / "repeater_chain.toml").read_text()
    for old, new in {
        'mode = "exact"': f'mode = "sampled"\nshots = {shots}',
        'precision = "float64"': f'precision = "{precision}"',
        'generation = "sequential"': f'generation = "{generation}"',
        'purification = "dejmps"': f'purification = "{purification}"',
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    return job_of(text)


def long_chain(nodes, shots=None):
    """`jobs/long_chain.toml` with another number of nodes, exact or sampled."""
    text = (JOBS / "long_chain.toml").read_text().replace("nodes = 1000 ", f"nodes = {nodes} ")
    return text if shots is None else text.replace('mode = "exact"', f'mode = "sampled"\nshots = {shots}')


def job_of(text):
    from qdist.runs.jobfiles.reader import parse_job

    return parse_job(text)


def seconds(function):
    """Of one call, and what it gives."""
    started = time.perf_counter()
    value = function()
    return time.perf_counter() - started, value


def trajectories(shots):
    """Print a row for each kind of chain; the least of all rates."""
    columns = "float64, per second | µs of a core each | float32, per second | µs of a core each"
    print(f"\n| chain of four nodes, {shots:,} shots | {columns} |\n|---|---|---|---|---|")
    least = float("inf")
    for generation, purification in KINDS:
        rates, row = [], []
        for precision in ("float64", "float32"):
            qd.run(chain_of_four(generation, purification, precision, 100), keep_state=False)
            job = chain_of_four(generation, purification, precision, shots)
            runs = []
            for _ in range(REPEATS):
                used = time.process_time()
                wall, _ = seconds(lambda job=job: qd.run(job, keep_state=False))
                runs.append((wall, time.process_time() - used))
            best, used = (min(column) for column in zip(*runs, strict=True))
            rates.append(shots / best)
            row += [f"{shots / best:,.0f}", f"{1e6 * used / shots:.1f}"]
        least = min(least, *rates)
        print(f"| {generation}, purification {purification} | {' | '.join(row)} |", flush=True)
    return least


def stages(nodes, shots):
    """Seconds that each stage of a long chain takes."""
    text, found = long_chain(nodes, shots), {}
    found["read"], job = seconds(lambda: job_of(text))
    sampled = shots is not None
    found["lower"], lowered = seconds(lambda: lower(job.program, job.network, groups=job.pairs, sampled=sampled))
    found["plan"], _ = seconds(lambda: _plan(job, lowered, shots, False))
    found["run"], result = seconds(lambda: qd.run(job, keep_state=False))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.h5"
        found["write"], _ = seconds(lambda: qd.write_result(result, path))
        found["open"], _ = seconds(lambda: qd.read_result(path))
    return found


def long_chains(lengths, shots):
    """Print a row for each length; milliseconds for a node of each (reading, running, writing, opening)."""
    what = "exact" if shots is None else f"{shots} shots"
    columns = ["read", "lower", "plan", "run", "write", "open"]
    print(f"\n| nodes, {what} | {' | '.join(columns)} | ms per node |\n|---|{'---|' * (len(columns) + 1)}")
    stages(10, shots)
    each = []
    for nodes in lengths:
        found = stages(nodes, shots)
        # The run lowers and plans once more.
        each.append(1e3 * (found["read"] + found["run"] + found["write"] + found["open"]) / nodes)
        row = " | ".join(f"{found[name]:.2f}" for name in columns)
        print(f"| {nodes:,} | {row} | {each[-1]:.2f} |", flush=True)
    return each


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    print(f"Python {platform.python_version()}, qdist {qd.__version__}, {platform.machine()}")
    least = trajectories(2**15 if quick else 2**18)
    lengths = [10, 100, 1000] if quick else [10, 100, 1000, 10_000]
    growth = 0.0
    for shots in (None, 1000):
        each = long_chains(lengths, shots)
        growth = max(growth, each[-1] / each[-2])
    print(f"\nSlowest chain of four: {least:,.0f} trajectories a second; at least {FLOOR:,} on two cores are wanted.")
    print(f"A node of the longest chain costs {growth:.2f} × one of a tenth of its length; at most {GROWTH} is wanted.")
    sys.exit(least < FLOOR or growth > GROWTH)


if __name__ == "__main__":
    main()
