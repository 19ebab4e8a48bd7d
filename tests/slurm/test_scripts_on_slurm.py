"""The Slurm scripts of `jobs/`, submitted to a real Slurm as they are: signaled, requeued, resumed, done, right.

`scancel --signal=USR1 --batch` stands in for the time limit. Slurm sends the same signal in the same way then, but only
to the minute.
"""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.slurm.cluster import ROOT, left_over, started, why_not
from tests.tolerances import TOLERANCE

QUBITS, LAYERS = 10, 20
"""A run of several seconds and about 90 steps: long enough for a signal in the middle."""
ERRORS = np.linspace(0.001, 0.01, 10)
"""The points of a sweep that takes as long."""

JOB = """
[run]
precision = "float64"

[program]
circuit = "brickwork.qasm"

[noise]
one_qubit = {{ depolarizing = 0.001 }}
two_qubit = {{ depolarizing = 0.01 }}

[record]
correlators = ["{all_z}", "{two}"]
{sweep}
[checkpoint]
every_steps = {every}
"""
SWEPT = "noise.two_qubit.depolarizing"
COMMAND = """#!/bin/sh
echo "GPU $CUDA_VISIBLE_DEVICES" >&2
export PYTHONPATH={root}:{root}/kernels
exec {python} -P -m qdist "$@"
"""


def brickwork(qubits, layers):
    """A circuit in which nothing can be left out."""
    draw = random.Random(1)
    lines = ["OPENQASM 2.0;", 'include "qelib1.inc";', f"qreg q[{qubits}];"]
    for layer in range(layers):
        for qubit in range(qubits):
            angles = ",".join(f"{draw.uniform(0, 3):.4f}" for _ in range(3))
            lines.append(f"u3({angles}) q[{qubit}];")
        lines += [f"cx q[{qubit}],q[{qubit + 1}];" for qubit in range(layer % 2, qubits - 1, 2)]
    return "\n".join(lines)


def write_job(path, qubits=QUBITS, layers=LAYERS, errors=(), every=8):
    sweep = f'\n[sweep]\n"{SWEPT}" = {list(map(float, errors))}\n' if len(errors) else ""
    text = JOB.format(all_z="Z" * qubits, two="ZX" + "I" * (qubits - 2), sweep=sweep, every=every)
    path.write_text(text)
    (path.parent / "brickwork.qasm").write_text(brickwork(qubits, layers))
    return path


def command(*words):
    """Run a command without Slurm."""
    done = subprocess.run(words, timeout=120, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run_here(qdist, job):
    """Run a job without Slurm; its correlators."""
    command(qdist, "run", str(job))
    return correlators(job.with_suffix(".h5"))


def masters(folder):
    """The whole checkpoints of a folder, the newest last."""
    return sorted(path.name for path in folder.glob("????????.h5"))


def correlators(path):
    with h5py.File(path) as file:
        return file["results/correlators"][:]


def attributes(path):
    with h5py.File(path) as file:
        return dict(file.attrs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("slurm")


@pytest.fixture(scope="module")
def qdist(folder):
    """The command that is tested: this checkout's, or the one that the variable QDIST names."""
    command = folder / "qdist"
    command.write_text(COMMAND.format(root=ROOT, python=sys.executable))
    command.chmod(0o755)
    return os.environ.get("QDIST", str(command))


@pytest.fixture(scope="module")
def cluster(folder, qdist):
    if reason := why_not():
        pytest.skip(f"No Slurm: {reason}.")
    with started(folder, QDIST=qdist) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def uninterrupted(folder, qdist):
    """The result of the job that takes long, run at once."""
    (folder / "uninterrupted").mkdir()
    return run_here(qdist, write_job(folder / "uninterrupted" / "long.toml"))


def until_a_checkpoint(cluster, number, checkpoints):
    """Wait until a job is in the middle."""
    cluster.until_state(number, "RUNNING")
    cluster.until(lambda: masters(checkpoints), f"there is a checkpoint in {checkpoints.name}", while_running=number)


def interrupt(cluster, number, result):
    """Signal a job in the middle, see it go back into the queue, and let it end."""
    checkpoints = result.with_suffix(".checkpoints")
    until_a_checkpoint(cluster, number, checkpoints)
    cluster.signal(number)
    cluster.start_again(number)
    cluster.until_state(number, "COMPLETED")
    job = cluster.job(number)
    assert (job["Restarts"], job["ExitCode"]) == ("1", "0:0")
    assert not checkpoints.exists()
    assert (attributes(result)["finished"], attributes(result)["resumed"]) == (1, 1)


def test_a_job_on_one_gpu_is_signaled_requeued_and_ends_with_the_numbers_of_an_uninterrupted_one(
    cluster, uninterrupted, tmp_path
):
    job = write_job(tmp_path / "long.toml")
    number = cluster.submit("one_gpu.sbatch", "long.toml", cwd=tmp_path)
    interrupt(cluster, number, job.with_suffix(".h5"))
    np.testing.assert_array_equal(correlators(job.with_suffix(".h5")), uninterrupted)
    log = (tmp_path / f"qdist-{number}.log").read_text()
    assert log.count("GPU 0\n") == 2, "the file of the second start was appended, and both had the GPU"


def test_a_job_over_two_nodes_is_signaled_requeued_and_ends_with_the_same_numbers(cluster, uninterrupted, tmp_path):
    job = write_job(tmp_path / "long.toml")
    number = cluster.submit("several_nodes.sbatch", "long.toml", cwd=tmp_path)
    interrupt(cluster, number, job.with_suffix(".h5"))
    assert cluster.job(number)["NodeList"] == "n[1-2]"
    assert attributes(job.with_suffix(".h5"))["ranks"] == 2
    np.testing.assert_allclose(correlators(job.with_suffix(".h5")), uninterrupted, rtol=0, atol=TOLERANCE["float64"])


def test_an_array_over_a_sweep_gives_the_points_of_the_sweep_and_its_tasks_are_requeued_one_by_one(
    cluster, qdist, tmp_path
):
    (tmp_path / "sweep").mkdir()
    whole = write_job(tmp_path / "whole.toml", qubits=9, layers=8, errors=ERRORS, every=1)
    parts = [
        write_job(tmp_path / "sweep" / f"{name}.toml", qubits=9, layers=8, errors=errors, every=1)
        for name, errors in (("first", ERRORS[:2]), ("second", ERRORS[2:]))
    ]
    number = cluster.submit("sweep_array.sbatch", "sweep", cwd=tmp_path, options=["--array=0-1"])
    interrupt(cluster, f"{number}_1", parts[1].with_suffix(".h5"))
    cluster.until_state(f"{number}_0", "COMPLETED")
    assert cluster.job(f"{number}_0")["Restarts"] == "0"
    results = [str(part.with_suffix(".h5")) for part in parts]
    command(qdist, "merge", *results, "--out", str(tmp_path / "all.h5"))
    np.testing.assert_array_equal(correlators(tmp_path / "all.h5"), run_here(qdist, whole))


def test_a_canceled_job_leaves_a_checkpoint_is_not_requeued_and_goes_on_when_submitted_again(cluster, qdist, tmp_path):
    (tmp_path / "at once").mkdir()
    uninterrupted = run_here(qdist, write_job(tmp_path / "at once" / "long.toml", every=30))
    job = write_job(tmp_path / "long.toml", every=30)
    number = cluster.submit("one_gpu.sbatch", "long.toml", cwd=tmp_path)
    checkpoints = tmp_path / "long.checkpoints"
    until_a_checkpoint(cluster, number, checkpoints)
    before = masters(checkpoints)
    cluster.ask("scancel", number)
    cluster.until_state(number, "CANCELLED")
    cluster.until(lambda: not cluster.ask("squeue", "--noheader"), "the job has left the queue")
    # The next one of its own accord would have come much later.
    assert max(masters(checkpoints)) > max(before)
    again = cluster.submit("one_gpu.sbatch", "long.toml", cwd=tmp_path)
    cluster.until_state(again, "COMPLETED")
    assert attributes(job.with_suffix(".h5"))["resumed"] == 1
    np.testing.assert_array_equal(correlators(job.with_suffix(".h5")), uninterrupted)


def test_a_lost_rank_ends_the_others_and_the_job_which_is_not_requeued(cluster, tmp_path):
    write_job(tmp_path / "long.toml")
    number = cluster.submit("several_nodes.sbatch", "long.toml", cwd=tmp_path)
    until_a_checkpoint(cluster, number, tmp_path / "long.checkpoints")
    (second,) = (process for process in left_over(cluster.folder) if is_rank(process, 1))
    os.kill(second, signal.SIGKILL)
    cluster.until_state(number, "FAILED", seconds=15)
    assert (cluster.job(number)["ExitCode"], cluster.job(number)["Restarts"]) == ("137:0", "0")


def is_rank(process, rank):
    environ = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    return f"SLURM_PROCID={rank}".encode() in environ and b"long.toml" in command


@pytest.mark.parametrize(
    ("script", "arguments", "options", "words"),
    [
        ("one_gpu.sbatch", [], [], "Name the job file: sbatch one_gpu.sbatch JOB.toml"),
        ("several_nodes.sbatch", ["missing.toml"], [], "'missing.toml' does not exist in"),
        ("sweep_array.sbatch", ["."], ["--array=1"], "'.' has 1 job files: submit with --array=0-0."),
    ],
)
def test_a_script_says_what_is_missing(cluster, tmp_path, script, arguments, options, words):
    (tmp_path / "only.toml").touch()
    number = cluster.submit(script, *arguments, cwd=tmp_path, options=options)
    cluster.until_state(number, "FAILED")
    assert cluster.job(number)["ExitCode"] == "2:0"
    assert words in next(tmp_path.glob("qdist-*.log")).read_text()
