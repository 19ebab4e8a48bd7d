"""What checkpoints cost: against writing the same bytes with h5py, and as a share of a long run.

    python jobs/benchmarks/checkpoints.py            # about three minutes
    python jobs/benchmarks/checkpoints.py --quick    # without the long run

The exit code is 1 if a checkpoint of 12 qubits in float64 takes more than 1.3 times as long as h5py with fsync, or if
checkpoints every 60 seconds take more than 3 % of a run.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from ranks import brickwork

import qdist as qd
from qdist.machine.comm import Serial
from qdist.machine.plan import Part
from qdist.runs.checkpoints.keeper import Identity, Keeper
from qdist.runs.checkpoints.standing import Standing
from qdist.runs.evolution import Evolution

QUBITS, REPEATS = 12, 9
MOST_TIMES, MOST_SHARE = 1.3, 0.03
SECONDS, INTERVAL = 130, 60


def write_plain(path, vector):
    """The same bytes with h5py and fsync, and nothing else."""
    with h5py.File(path, "w") as file:
        file.create_dataset("vector", data=vector)
    handle = os.open(path, os.O_RDWR)
    os.fsync(handle)
    os.close(handle)


def compare(folder):
    """Seconds of both ways, in alternation."""
    vector = np.random.default_rng(0).normal(size=4**QUBITS)
    names = [f"a/{k}" for k in range(QUBITS)]
    part = Part(0, tuple((name, kind) for name in names for kind in "xz"))
    standing = Standing(done=1, evolution=Evolution({0: vector}), parts=(part,))
    identity = Identity("", "", "", "float64", "exact", 0)
    keeper = Keeper(Serial(), folder / "c", qd.Saving(every_steps=1, keep=1), identity, asked=lambda: None)
    seconds = {"h5py and fsync": [], "checkpoint": []}
    for number in range(1, REPEATS + 1):
        started = time.perf_counter()
        write_plain(folder / "plain.h5", vector)
        between = time.perf_counter()
        keeper.step(number, lambda: standing, 0, lambda: None)
        seconds["h5py and fsync"].append(between - started)
        seconds["checkpoint"].append(time.perf_counter() - between)
    return seconds, vector.nbytes


def share_of_a_run(folder):
    """The share of a run's time that it spends in being asked and in writing checkpoints, and how many it wrote."""
    program, network = brickwork(11, 2000)
    saving = qd.Saving(every_seconds=INTERVAL, keep=1)
    job = qd.Job(
        program=program, network=network, precision="float64", saving=saving, record=qd.Recording(probabilities=False)
    )
    spent, written, step = [], [], Keeper.step
    until = time.monotonic() + SECONDS

    def timed(self, *arguments):
        serial, started = self._serial, time.perf_counter()
        try:
            step(self, *arguments)
        finally:
            spent.append(time.perf_counter() - started)
            written.append(self._serial - serial)

    Keeper.step = timed
    asked = lambda: "the clock" if time.monotonic() > until else None  # noqa: E731
    started = None
    try:
        started = time.perf_counter()
        qd.run(job, keep_state=False, checkpoints=qd.Checkpoints(folder / "long", asked=asked))
    except Exception as error:
        if type(error).__name__ != "Stopped":
            raise
    whole = time.perf_counter() - started
    # The last one was asked for by the clock, not by the interval.
    return sum(spent[:-1]) / whole, sum(written[:-1]), len(spent), whole


def main():
    wrong = False
    with tempfile.TemporaryDirectory() as name:
        seconds, size = compare(Path(name))
        medians = {way: statistics.median(each) for way, each in seconds.items()}
        print(f"{QUBITS} qubits in float64, {size / 2**20:.0f} MiB, medians of {REPEATS} in alternation\n")
        print("| way | seconds | fastest | slowest | GB/s |\n|---|---|---|---|---|")
        for way, each in seconds.items():
            middle = medians[way]
            print(f"| {way} | {middle:.3f} | {min(each):.3f} | {max(each):.3f} | {size / middle / 1e9:.2f} |")
        times = medians["checkpoint"] / medians["h5py and fsync"]
        print(f"\nA checkpoint takes {times:.2f} times as long as h5py with fsync (at most {MOST_TIMES}).")
        wrong = times > MOST_TIMES
        if "--quick" not in sys.argv:
            share, count, steps, whole = share_of_a_run(Path(name))
            print(
                f"11 qubits in float64 for {whole:.0f} s, `every_seconds = {INTERVAL}`: {steps} steps and {count} "
                f"checkpoints took {100 * share:.2f} % of the time (at most {100 * MOST_SHARE:.0f} %)."
            )
            wrong = wrong or share > MOST_SHARE or not count
    raise SystemExit(wrong)


if __name__ == "__main__":
    main()
