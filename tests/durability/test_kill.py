"""Runs that are killed at random moments: `jobs/benchmarks/kill_and_resume.py`, here with few kills."""

import subprocess
import sys

import pytest

from tests.durability.runs import ENVIRONMENT, MPIEXEC, ROOT


@pytest.mark.timeout(3600)
def test_runs_that_are_killed_and_resumed_end_as_undisturbed_ones(kills):
    ranks = "1,2" if MPIEXEC.exists() else "1"
    command = [ROOT / "jobs" / "benchmarks" / "kill_and_resume.py", "--kills", kills, "--ranks", ranks]
    done = subprocess.run(
        [sys.executable, *map(str, command)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} of {kills} kills" in done.stdout
