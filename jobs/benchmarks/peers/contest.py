"""Contestants as processes that wait for their turn, and the rounds in which they take turns."""

import json
import math
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jobs.benchmarks.peers.circuits import ROOT

PATIENCE = 200.0
"""Seconds after which a contestant that does not answer is ended: twice the longest run, and some."""
SETTLE = 0.2
"""Seconds between two turns. Threads of OpenMP and OpenBLAS keep their cores for a while after their last work: for
0.1 s after quantumsim's turns, our runs took twice as long."""
TURN = 0.2
"""Seconds that a turn takes at least, as with `timeit`: shorter runs are repeated in it, and find warm caches."""


class Silent(Exception):
    """A contestant cannot do what it was asked; says why."""


class Contestant:
    """A process that runs cases of one program when it is told to."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self._process: subprocess.Popen[str] | None = None

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            Silent: There is none, or it is a mistake.
        """
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            self._end("it ended by itself")
        if not select.select([process.stdout], [], [], PATIENCE)[0]:
            self._end(f"no answer in {PATIENCE:.0f} s")
        line = process.stdout.readline()
        if not line:
            self._end("it ended by itself")
        answer = json.loads(line)
        if "error" in answer:
            raise Silent(answer["error"])
        return answer

    def probabilities(self) -> np.ndarray:
        """Of all outcomes of the case that is ready."""
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "probabilities.npy")
            self.ask(do="check", path=path)
            return np.load(path)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            command = [sys.executable, "-m", "jobs.benchmarks.peers.worker", self.name, str(self.threads)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)  # type: ignore[call-overload]
        return self._process  # type: ignore[return-value]

    def _end(self, why: str) -> None:
        self.close()
        raise Silent(why)


@dataclass
class Times:
    """What one contestant took, a number a repetition, in seconds."""

    wall: list[float] = field(default_factory=list)
    reported: list[float] = field(default_factory=list)
    loops: int = 1
    value: float | None = None
    error: str | None = None


def limit_threads(threads: int) -> None:
    """This process and those that it starts use so many cores, and libraries start so many threads."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for name in ("OMP", "OPENBLAS", "MKL", "QULACS", "NUMEXPR"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)


def rounds(contestants: Sequence[Contestant], *, repetitions: int, most_seconds: float) -> dict[str, dict[str, Any]]:
    """Run all of them in turn, again and again, each time beginning with another one.

    Two runs of each come first and do not count (one, if it is long). If all repetitions would take more than
    `most_seconds`, there are fewer, but at least two.

    Returns:
        `Times` of each, as dictionaries.
    """
    times = {one.name: Times() for one in contestants}
    first: dict[str, float] = {}
    for one in contestants:
        first[one.name] = _turn(one, times[one.name], most_seconds, warming=True)
    racing = [one for one in contestants if times[one.name].error is None]
    for one in racing:
        times[one.name].loops = runs_a_turn(first[one.name])
    seconds = sum(max(TURN, first[one.name]) + SETTLE for one in racing)
    for repetition in range(max(2, min(repetitions, int(most_seconds / seconds))) if racing else 0):
        start = repetition % len(racing)
        for one in racing[start:] + racing[:start]:
            time.sleep(SETTLE)
            _turn(one, times[one.name], most_seconds)
    return {name: asdict(found) for name, found in times.items()}


def runs_a_turn(seconds: float) -> int:
    """How many runs of so many seconds a turn has, so that it takes at least `TURN`."""
    return max(1, math.ceil(TURN / max(seconds, 1e-6)))


def _turn(one: Contestant, times: Times, most_seconds: float, *, warming: bool = False) -> float:
    """One turn; its seconds are kept unless it is only for warming up."""
    seconds = 0.0
    try:
        for _ in range(2 if warming else 1):
            answer = one.ask(do="run", loops=times.loops)
            seconds, times.value = answer["wall"], answer["value"]
            if seconds > most_seconds / 10:
                break
    except Silent as error:
        times.error = str(error)
        return seconds
    if not warming:
        times.wall.append(seconds)
        times.reported += [] if answer["reported"] is None else [answer["reported"]]
    return seconds


def fairest(times: dict[str, Any]) -> float | None:
    """The median that is best for a contestant: of the clock on the wall, or of what it reports itself."""
    medians = [statistics.median(times[key]) for key in ("wall", "reported") if times[key]]
    return None if times["error"] else min(medians, default=None)
