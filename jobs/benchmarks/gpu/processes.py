"""Processes with a time limit: each prints rows of numbers as JSON, and those that it printed before it ended count."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LEAST_SECONDS = 8.0
"""With less left nothing is started: Python, JAX and the driver take about as long."""
PATIENCE = 3.0
"""Seconds that a process has to end, and its ranks with it, before it is killed."""
CARD = {"XLA_PYTHON_CLIENT_MEM_FRACTION": ".95"}
"""For the one process that has the GPU; what several share is taken as it is needed."""


@dataclass(frozen=True)
class Deadline:
    """When the whole must have ended."""

    at: float

    def left(self) -> float:
        return self.at - time.monotonic()


@dataclass
class Ended:
    """How a part ended: `done`, `failed`, `timed out` or `skipped`, and what it printed until then."""

    status: str
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    said: str = ""

    def as_record(self) -> dict[str, Any]:
        """Without what it said, if it did what it should."""
        found = asdict(self) | {"seconds": round(self.seconds, 1)}
        is_silent = self.status == "done" or not self.said
        return {name: value for name, value in found.items() if name != "said" or not is_silent}


def emit(**row: Any) -> None:
    """Print a row; what follows may be lost."""
    print(json.dumps(row), flush=True)


def attempt(row: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> None:
    """Print a row with what `measure` finds, or why it found nothing: what does not fit is no reason to end."""
    try:
        emit(**row, **measure())
    except Exception as error:
        emit(**row, failed=" ".join(f"{type(error).__name__}: {error}".split())[:500])


def part(name: str, *arguments: object) -> list[str]:
    """The arguments of Python for a part of this package."""
    return ["-m", "jobs.benchmarks.gpu", "--part", name, *map(str, arguments)]


def start(arguments: list[str], ranks: int = 0, **environ: str) -> subprocess.Popen[str]:
    """A process of this Python, or some ranks of it."""
    command = [_mpiexec(), "-n", str(ranks)] if ranks else []
    pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    all_of = os.environ | ({} if ranks else CARD) | environ
    return subprocess.Popen([*command, sys.executable, *arguments], env=all_of, start_new_session=True, **pipe)


def finish(process: subprocess.Popen[str], seconds: float) -> Ended:
    """Wait for it, but no longer; then it and all that it started are ended."""
    began = time.monotonic()
    try:
        said, _ = process.communicate(timeout=max(1.0, seconds))
        status = "failed" if process.returncode else "done"
    except subprocess.TimeoutExpired:
        said, status = _stopped(process), "timed out"
    rows, others = [], []
    for line in said.splitlines():
        try:
            rows.append(json.loads(line)) if line.startswith("{") else others.append(line)
        except ValueError:
            others.append(line)
    return Ended(status, time.monotonic() - began, rows, "\n".join(others[-30:]))


def run(arguments: list[str], deadline: Deadline, limit: float, ranks: int = 0, **environ: str) -> Ended:
    """Start it and wait, for `limit` seconds at most, or until the deadline."""
    if deadline.left() < LEAST_SECONDS:
        return Ended("skipped")
    return finish(start(arguments, ranks, **environ), min(limit, deadline.left()))


def _stopped(process: subprocess.Popen[str]) -> str:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=PATIENCE)[0]
    return ""


def _mpiexec() -> str:
    """The launcher of this Python's MPI."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = os.environ.get("MPIEXEC") or (str(beside) if beside.exists() else shutil.which("mpiexec"))
    if found is None:
        raise SystemExit(
            "There must be an mpiexec, but none was found. Install qdist[mpich], or name one in `MPIEXEC`."
        )
    return found
