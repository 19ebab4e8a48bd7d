"""Small runs that can be stopped: jobs of every kind, ranks that are threads or processes, and how two ends compare."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from qdist.runs.checkpoints import files
from qdist.runs.checkpoints.keeper import Stopped
from qdist.runs.checkpoints.resuming import Checkpoints, folder_of
from qdist.runs.cli import main
from qdist.runs.execute import run
from qdist.runs.jobfiles.reader import read_job
from qdist.runs.results import read_result
from tests.threads import run_ranks
from tests.tolerances import TOLERANCE

ROOT = Path(__file__).parents[2]
MPIEXEC = Path(sys.executable).parent / "mpiexec"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"}
SECONDS = 60
"""For one process."""
GROUPS = ("results", "metrics", "ledger", "network", "sweep")

under_mpi = pytest.mark.skipif(not MPIEXEC.exists(), reason="no mpiexec beside this Python: pip install 'qdist[mpich]'")

RUN = '[run]\ntitle = "a run"\nprecision = "float64"\nseed = 3\n'
CIRCUIT = f'{RUN}[program]\ncircuit = "circuit.qasm"\n[record]\nprobabilities = true\ncorrelators = ["ZZIIIIIXX"]\n'
NOISE = "[noise]\none_qubit = { depolarizing = 0.01 }\ntwo_qubit = { depolarizing = 0.02 }\n"
CHAIN = """[network]
topology = "chain"
nodes = 3
qubits = 2
device = { preset = "trapped_ion", t1 = inf, t2 = 1.0 }
link = { length = 10e3, fidelity = 0.94, success_probability = 0.01 }
[program]
protocol = "repeater_chain"
[record]
probabilities = true
correlators = ["XX", "ZZ"]
metrics = ["fidelity", "log_negativity"]
"""
JOBS = {
    "exact": CIRCUIT + NOISE + "[checkpoint]\nevery_steps = 4\n",
    "chain": RUN + CHAIN + "[checkpoint]\nevery_steps = 2\n",
    "sampled": RUN + 'mode = "sampled"\nshots = 90000\n' + CHAIN + "[checkpoint]\nevery_steps = 1\n",
    "postselected": CIRCUIT.replace("seed", 'mode = "postselected"\npostselect = { "c[0]" = 0 }\nseed')
    + NOISE
    + "[checkpoint]\nevery_steps = 4\n",
    "sweep": RUN
    + CHAIN
    + '[sweep]\n"network.link.length" = { start = 5e3, stop = 75e3, num = 12 }\n[checkpoint]\nevery_steps = 2\n',
}
"""By kind; the circuit has a cluster that ranks split."""


def circuit(angle=0.3, qubits=9):
    """Two rounds of rotations and entangling gates over nine qubits, measured at the end."""
    lines = ["OPENQASM 2.0;", 'include "qelib1.inc";', f"qreg q[{qubits}];", f"creg c[{qubits}];"]
    for turn in range(2):
        lines += [f"u3({angle + 0.1 * q},{0.2 * turn},{0.05 * q}) q[{q}];" for q in range(qubits)]
        lines += [
            f"cx q[{(q * (turn + 1)) % qubits}],q[{(q * (turn + 1) + 1 + turn) % qubits}];" for q in range(qubits)
        ]
    return "\n".join([*lines, "measure q -> c;"])


def write_job(folder, kind, **changes):
    """A job file of a kind in a folder, with some words replaced by others; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "circuit.qasm").write_text(circuit())
    text = JOBS[kind]
    for old, new in changes.pop("replaced", {}).items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "job.toml"
    path.write_text(text)
    return path


def on_ranks(ranks, job, *, stop_after=None, named=False, **options):
    """Run a job file with checkpoints in its folder, on ranks that are threads; what rank 0 returned and was told.

    With `stop_after`, somebody asks to stop at so many steps; the path of the checkpoint is returned then.
    """
    told, path = [], job
    # Before there are threads: the parser of circuits silences stdout, which all of them share.
    job = read_job(path)

    def work(comm):
        count = [0]

        def asked():
            count[0] += 1
            return "SIGUSR1" if stop_after is not None and count[0] >= stop_after else None

        kept = Checkpoints(
            folder_of(path.with_suffix(".h5")),
            asked=asked,
            tell=told.append if comm.rank == 0 else lambda _: None,
            live=path.with_suffix(".h5"),
            job=str(path) if named else "",
            **options,
        )
        try:
            return run(job, comm=comm, keep_state=False, checkpoints=kept)
        except Stopped as stopped:
            return stopped.path

    return run_ranks(ranks, work)[0], told


def assert_same(found, wanted, *, exactly):
    """The numbers of two results, bit for bit or to rounding; counts and texts always alike."""
    paths = {path for path in (*found.data, *wanted.data) if path.partition("/")[0] in GROUPS}
    assert paths
    for path in sorted(paths):
        one, other = found.data[path], wanted.data[path]
        assert (one.dtype, one.shape) == (other.dtype, other.shape), path
        if exactly or one.dtype.kind != "f":
            assert one.tobytes() == other.tobytes(), path
        else:
            assert np.allclose(one, other, TOLERANCE["float64"], TOLERANCE["float64"], equal_nan=True), path


def qdist_(capsys, *arguments):
    """`qdist` in this process: exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return (end.value.code, *capsys.readouterr())


def masters(job):
    """Paths of the checkpoints of a job file's run, the oldest first."""
    return [path for _, path in reversed(files.masters(folder_of(job.with_suffix(".h5"))))]


@contextmanager
def started(*arguments, ranks=1, **options):
    """`qdist` as a process, or as several; ended at the end of the block, whatever happens."""
    launcher = [str(MPIEXEC), "-n", str(ranks)] if ranks > 1 else []
    process = subprocess.Popen(
        [*launcher, sys.executable, "-m", "qdist", *map(str, arguments)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    finally:
        # A process that has ended may have left its number to another.
        for pid in (process.pid, *family(process.pid)) if process.poll() is None else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def family(pid):
    """All processes that come from one."""
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [each for child in children for each in (child, *family(child))]


def rank_processes(process):
    """The process numbers of the ranks."""
    found = []
    for pid in [process.pid, *family(process.pid)]:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == sys.executable.encode() and b"qdist" in words:
            found.append(pid)
    return found


def wait_until(is_so, process=None):
    """Until something is so; fails if the process ends before."""
    until = time.monotonic() + SECONDS
    while not is_so():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)


def ended(process):
    """Exit code, stdout and stderr of a process that is to end soon."""
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def result_of(job):
    return read_result(job.with_suffix(".h5"))
