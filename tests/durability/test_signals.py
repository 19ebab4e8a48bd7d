"""Signals that ask a run to stop: it ends with a checkpoint and code 75, and a second signal ends it at once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from qdist.runs.checkpoints import files
from qdist.runs.checkpoints.resuming import folder_of
from qdist.runs.checkpoints.signals import listening
from qdist.runs.checkpoints.stored import read_checkpoint
from qdist.runs.execute import run
from qdist.runs.results import read_result
from tests.durability.runs import (
    ENVIRONMENT,
    assert_same,
    circuit,
    ended,
    masters,
    qdist_,
    rank_processes,
    result_of,
    started,
    under_mpi,
    wait_until,
    write_job,
)

AGAIN = 75
LONG = {"every_steps = 4": "every_steps = 1\nkeep = 3"}


@pytest.fixture
def job(tmp_path):
    """A run of several seconds, with many small steps."""
    path = write_job(tmp_path, "exact", replaced=LONG)
    text = circuit().splitlines()
    gates = [line for line in text if line.startswith(("u3", "cx"))]
    (tmp_path / "circuit.qasm").write_text("\n".join([*text[:4], *gates * 6, text[-1]]))
    return path


def is_computing(job):
    return lambda: len(masters(job)) >= 2


def is_listening(pid):
    """Whether a process has a handler for SIGUSR1."""
    with open(f"/proc/{pid}/status") as stream:
        caught = next(line for line in stream if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_stops_a_run_with_a_checkpoint(job, capsys, number):
    with started("run", job) as process:
        wait_until(is_computing(job), process)
        process.send_signal(number)
        code, out, err = ended(process)
    again = "Ctrl-C again" if number is signal.SIGINT else "Another signal"
    assert (code, out) == (AGAIN, "")
    assert f"{number.name}: stopping with a checkpoint at the next step. {again} ends the run at once.\n" in err
    assert err.endswith(f"Stopped by {number.name} with a checkpoint, '{masters(job)[-1]}'.\n")
    assert qdist_(capsys, "check", masters(job)[0].parent)[0] == 0
    assert qdist_(capsys, "resume", job.with_suffix(".h5"))[0] == 0
    assert result_of(job).attributes["resumed"] == 1
    assert_same(result_of(job), run(job, keep_state=False), exactly=True)


def test_a_signal_while_the_job_is_read_is_remembered(job, capsys):
    with started("run", job) as process:
        wait_until(lambda: is_listening(process.pid), process)
        assert not masters(job)
        process.send_signal(signal.SIGUSR1)
        code, _, _ = ended(process)
    assert code == AGAIN
    assert [path.name for path in masters(job)] == ["00000001.h5"]
    assert qdist_(capsys, "check", masters(job)[0])[0] == 0


def test_a_second_signal_ends_a_run_at_once_and_leaves_the_checkpoints_whole(job, capsys):
    """The first is stuck behind a step that takes long; here, a process that is stopped and wakes up to both."""
    with started("run", job) as process:
        wait_until(is_computing(job), process)
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(process.pid, signal.SIGUSR1)
        os.kill(process.pid, signal.SIGTERM)
        os.kill(process.pid, signal.SIGCONT)
        code, _, err = ended(process)
    assert code in (128 + signal.SIGUSR1, 128 + signal.SIGTERM)
    assert "Traceback" not in err
    files.tidy(folder_of(job.with_suffix(".h5")))
    assert len(masters(job)) >= 2
    assert qdist_(capsys, "check", masters(job)[0].parent)[0] == 0


def test_a_second_signal_is_heard_inside_of_a_long_step():
    """Python itself hears of a signal between two instructions only: a kernel may take minutes."""
    said = []
    with listening(said.append) as asked:
        os.kill(os.getpid(), signal.SIGUSR1)
        until = time.monotonic() + 10
        while not said and time.monotonic() < until:
            time.sleep(0.001)
        assert (asked.by, said) == ("SIGUSR1", ["SIGUSR1"])
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


DEAF = """
import os, signal, time
from qdist.runs.checkpoints.signals import listening
def say(_):
    raise BrokenPipeError
with listening(say):
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGUSR1)
    time.sleep(10)
"""


def test_a_message_that_cannot_be_told_stops_nobody_from_listening():
    """The terminal is gone, or the disk of the log is full."""
    done = subprocess.run([sys.executable, "-c", DEAF], env=ENVIRONMENT, check=False, timeout=60)
    assert done.returncode == 128 + signal.SIGUSR1


def test_a_run_whose_stderr_is_gone_still_ends_with_its_code(job):
    with started("run", job) as process:
        wait_until(is_computing(job), process)
        process.stderr.close()
        process.send_signal(signal.SIGUSR1)
        assert process.wait(60) == AGAIN
    assert read_checkpoint(masters(job)[-1])


@under_mpi
@pytest.mark.parametrize("to", ["both", "rank 1"])
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_to_any_rank_stops_all_of_them_together(job, capsys, to, number):
    with started("run", job, ranks=2) as process:
        wait_until(is_computing(job), process)
        ranks = rank_processes(process)
        assert len(ranks) == 2
        for pid in ranks if to == "both" else ranks[1:]:
            os.kill(pid, number)
        code, out, err = ended(process)
    assert code == AGAIN, (out, err)
    assert err.count("Stopped by") == 1
    assert "Traceback" not in err
    assert qdist_(capsys, "check", masters(job)[0].parent)[0] == 0
    assert read_checkpoint(masters(job)[-1]).attributes["ranks"] == 2
    assert qdist_(capsys, "run", job, "--resume")[0] == 0
    assert_same(result_of(job), run(job, keep_state=False), exactly=False)


@under_mpi
def test_a_second_signal_to_one_rank_ends_all(job, capsys):
    with started("run", job, ranks=2) as process:
        wait_until(is_computing(job), process)
        pid = rank_processes(process)[1]
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGUSR1)
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        code, _, _ = ended(process)
    assert code not in (0, AGAIN)
    files.tidy(folder_of(job.with_suffix(".h5")))
    assert qdist_(capsys, "check", masters(job)[0].parent)[0] == 0


def test_the_growing_result_can_be_read_at_any_time(tmp_path):
    """It is replaced as a whole: a reader finds the old one or the new one, and which it is."""
    job = write_job(tmp_path, "sampled", replaced={"shots = 90000": "shots = 1500000"})
    path, seen = job.with_suffix(".h5"), []
    with started("run", job) as process:
        while process.poll() is None:
            if path.exists():
                seen.append(read_result(path))
            time.sleep(0.01)
        code, _, err = ended(process)
    assert (code, err) == (0, "")
    finished = [result.attributes["finished"] for result in seen]
    assert finished == sorted(finished)
    assert finished[0] == 0
    assert seen[0]["results/counts"].sum() < 1500000 if "results/counts" in seen[0].data else True
    assert read_result(path).attributes["finished"] == 1
