"""Several ranks as one program: what is said once, how a lost rank ends all, and which exit code comes out."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qdist.errors import QdistError
from qdist.machine.comm import Serial
from qdist.runs import launch
from qdist.runs.launch import Agreed, agree, guard, on_first
from tests.threads import run_ranks

ROOT = Path(__file__).parents[2]
MPIEXEC = Path(sys.executable).parent / "mpiexec"
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"}
JOB = ROOT / "jobs" / "ghz_star.toml"
SECONDS = 10
"""In which a job ends when one of its ranks does."""
QDIST = ("-m", "qdist")

under_mpi = pytest.mark.skipif(not MPIEXEC.exists(), reason="no mpiexec beside this Python: pip install 'qdist[mpich]'")

FAKE_RUN = """
import os, signal, sys, time
from qdist.errors import QdistError
from qdist.machine.comm import Serial
from qdist.runs import cli, execute
def run(described, *, comm, **options):
    {body}
execute.run = run
cli.main(["run", sys.argv[1]])
"""


COMPUTED_ALREADY = """
import os
import qdist as qd
from qdist_kernels import settings
settings.threads()
with qd.connected(os.environ) as comm:
    found = comm.gather((settings.threads(), os.environ["NPROC"]))
    if comm.rank == 0:
        print(all(str(threads) == share for threads, share in found), len(found))
"""


def python(*arguments, ranks=0, **variables):
    """Run Python, on several ranks if so asked: exit code, stdout, stderr."""
    start = [str(MPIEXEC), "-n", str(ranks)] if ranks else []
    environment = {name: value for name, value in (ENVIRONMENT | variables).items() if value is not None}
    done = subprocess.run(
        [*start, sys.executable, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def run_as(body, ranks=2, **variables):
    """`qdist run` on ranks, with something else instead of the run; and the seconds that it takes."""
    started = time.monotonic()
    code, out, err = python("-c", FAKE_RUN.format(body=body), JOB, ranks=ranks, **variables)
    return code, out, err, time.monotonic() - started


@under_mpi
def test_two_ranks_run_a_job_and_one_of_them_speaks(tmp_path):
    code, out, err = python(*QDIST, "run", JOB, "--out", tmp_path / "ghz.h5", ranks=2)
    assert (code, err) == (0, "")
    assert out.startswith(f"Wrote {tmp_path / 'ghz.h5'} after ")
    assert len(out.splitlines()) == 1
    assert os.listdir(tmp_path) == ["ghz.h5"]


@under_mpi
def test_three_ranks_are_refused_once_with_what_to_type():
    sentence = "The number of ranks must be a power of two, but is 3. Run with `-n 2` or `-n 4`.\n"
    assert python(*QDIST, "run", JOB, ranks=3) == (2, "", sentence)


@under_mpi
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "missing.toml"), "'missing.toml' does not exist"),
        (("run", str(JOB), "--out", "/nowhere/x.h5"), "The output folder must exist"),
        (("show", "missing.h5"), "'missing.h5' does not exist"),
        (("run", "--bogus"), "No such option"),
    ],
)
def test_a_mistake_that_all_ranks_can_see_is_told_once(arguments, words):
    code, out, err = python(*QDIST, *arguments, ranks=2)
    assert (code, out) == (2, "")
    assert err.count(words) == 1
    assert "Rank" not in err


@under_mpi
def test_a_job_that_does_not_fit_is_told_once_by_its_name():
    code, out, err, _ = run_as("raise QdistError('The memory must be larger.')")
    assert (code, out, err) == (2, "", f"{JOB}: The memory must be larger.\n")


@under_mpi
@pytest.mark.parametrize(("command", "words"), [(("plan", JOB), "This job fits."), (("--version",), "qdist ")])
def test_other_commands_are_run_by_one_rank(command, words):
    code, out, err = python(*QDIST, *command, ranks=2)
    assert (code, err) == (0, "")
    assert out.count(words) == 1


@under_mpi
def test_a_rank_that_raises_ends_the_job_and_says_which_nodes_it_hosts():
    code, out, err, seconds = run_as("if comm.rank == 1: raise RuntimeError('lost')\n    comm.barrier()")
    assert (code, out) == (1, "")
    assert "Rank 1 of 2, which hosts n0, n2, ended the job:\nTraceback" in err
    assert "RuntimeError: lost" in err
    assert "Rank 0" not in err
    assert seconds < SECONDS


@under_mpi
def test_a_mistake_that_only_one_rank_meets_ends_the_job_without_a_traceback():
    code, _, err, seconds = run_as("if comm.rank == 1: raise QdistError('x must be y.')\n    comm.barrier()")
    assert code == 2
    assert f"Rank 1 of 2, which hosts n0, n2, ended the job: {JOB}: x must be y.\n" in err
    assert "Traceback" not in err
    assert seconds < SECONDS


@under_mpi
def test_a_bug_on_all_ranks_has_one_traceback():
    code, _, err, seconds = run_as("raise RuntimeError('a bug')")
    assert code == 1
    assert err.count("RuntimeError: a bug") == err.count("Traceback") == 1
    assert "Every rank ended the job:" in err
    assert seconds < SECONDS


@under_mpi
def test_a_killed_rank_ends_the_job_with_a_message():
    body = "if comm.rank == 1: os.kill(os.getpid(), signal.SIGKILL)\n    comm.barrier()"
    code, out, err, seconds = run_as(body)
    assert code != 0
    assert "KILLED" in (out + err).upper()
    assert seconds < SECONDS


@under_mpi
def test_an_exit_code_survives_the_launcher():
    assert run_as("raise SystemExit(75)")[0] == 75


@under_mpi
def test_ctrl_c_is_told_once_and_a_second_one_ends_all_ranks():
    # Both ranks are there, and know what to do with a signal, before one of them says so.
    body = "comm.barrier()\n    print('computing', flush=True)\n    while True: time.sleep(0.02); comm.barrier()"
    command = [str(MPIEXEC), "-n", "2", sys.executable, "-c", FAKE_RUN.format(body=body), str(JOB)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True, **pipes)
    assert process.stdout.readline() == "computing\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    lines = iter(process.stdout.readline, "")
    assert any("SIGINT: stopping with a checkpoint at the next step" in line for line in lines)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode not in (0, 75)
    assert "stopping with a checkpoint" not in out
    assert "Traceback" not in out


@under_mpi
def test_a_rank_leaves_cores_to_the_others_before_anything_counts_them():
    body = "print(*(os.environ.get(n) for n in ('NPROC', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS')), flush=True)"
    code, out, _, _ = run_as(
        f"assert 'jax' not in sys.modules\n    {body}\n    raise SystemExit(0)", OMP_NUM_THREADS=None
    )
    share = max(1, len(os.sched_getaffinity(0)) // 2) if hasattr(os, "sched_getaffinity") else None
    assert code == 0
    assert share is None or out == f"{share} {share} {share}\n"
    assert run_as(f"{body}\n    raise SystemExit(0)", OMP_NUM_THREADS="3")[1].split()[1:] == ["3", "None"]


@under_mpi
def test_a_script_that_has_computed_already_leaves_cores_to_the_others_as_well():
    assert python("-c", COMPUTED_ALREADY, ranks=2) == (0, "True 2\n", "")


@under_mpi
def test_a_script_of_several_ranks_ends_when_one_of_them_fails():
    script = "import os, sys\nfrom qdist.runs.launch import connected\nwith connected(os.environ) as comm:\n"
    for failure in ("raise RuntimeError('lost')", "sys.exit('lost')"):
        started = time.monotonic()
        code, _, err = python("-c", f"{script}    if comm.rank == 1: {failure}\n    comm.barrier()", ranks=2)
        assert code == 1
        assert "lost" in err
        assert time.monotonic() - started < SECONDS
    assert python("-c", f"{script}    assert comm.gather(comm.rank) == [0, 1]", ranks=2) == (0, "", "")


@pytest.mark.parametrize(
    ("size", "rank", "launcher"),
    [
        ("PMI_SIZE", "PMI_RANK", "a launcher of MPICH's family"),
        ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "mpirun of Open MPI"),
        ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"),
    ],
)
def test_a_launcher_of_another_kind_is_refused_by_the_first_of_its_ranks(size, rank, launcher):
    pytest.importorskip("mpi4py")
    code, out, err = python(*QDIST, "run", JOB, **{size: "2", rank: "0"})
    assert (code, out) == (2, "")
    assert f"but {launcher}" in err
    assert "started 2 ranks, and the library of mpi4py (" in err
    assert len(err.splitlines()) == 1


def test_a_refused_rank_that_is_not_the_first_says_nothing():
    assert python(*QDIST, "run", JOB, PMI_SIZE="3", PMI_RANK="2") == (2, "", "")


def test_without_mpi4py_ranks_are_refused_with_what_to_install(tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ModuleNotFoundError('mpi4py')")
    path = f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"
    code, out, err = python(*QDIST, "run", JOB, PYTHONPATH=path, PMI_SIZE="2", PMI_RANK="0")
    assert (code, out) == (2, "")
    assert "`pip install 'qdist[mpi]'`" in err
    assert len(err.splitlines()) == 1


def test_one_rank_needs_no_mpi4py(tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ModuleNotFoundError('mpi4py')")
    path = f"{tmp_path}{os.pathsep}{ENVIRONMENT['PYTHONPATH']}"
    assert python(*QDIST, "plan", JOB, PYTHONPATH=path, PMI_SIZE="1", PMI_RANK="0")[0] == 0


def test_without_an_mpi_library_ranks_are_refused_with_what_to_install():
    pytest.importorskip("mpi4py")
    code, out, err = python(*QDIST, "run", JOB, MPI4PY_LIBMPI="/nowhere/libmpi.so", PMI_SIZE="2", PMI_RANK="0")
    assert (code, out) == (2, "")
    assert "/nowhere/libmpi.so" in err
    assert "`pip install 'qdist[mpich]'`" in err
    assert len(err.splitlines()) == 1


def test_ranks_go_on_only_if_all_found_nothing_wrong():
    assert run_ranks(4, lambda comm: agree(comm, lambda: comm.rank**2)) == [0, 1, 4, 9]

    def body(comm, wrong):
        def check():
            if comm.rank in wrong:
                raise QdistError(f"x must be y, but is {comm.rank}.")

        with pytest.raises(QdistError) as found:
            agree(comm, check)
        return str(found.value)

    for wrong, where in (((0, 1, 2, 3), ""), ((2,), "On rank 2: "), ((1, 3), "On ranks 1, 3: ")):
        sentences = run_ranks(4, lambda comm, wrong=wrong: body(comm, wrong))
        assert set(sentences) == {f"{where}x must be y, but is {wrong[0]}."}


def test_what_the_first_rank_finds_wrong_is_raised_on_all():
    called = []

    def body(comm):
        on_first(comm, lambda: called.append(comm.rank))

        def wrong():
            raise QdistError("The disk must not be full.")

        with pytest.raises(QdistError, match="disk"):
            on_first(comm, wrong)

    run_ranks(4, body)
    assert called == [0]


def test_a_mistake_that_all_ranks_make_without_telling_one_another_is_raised_on_all():
    def body(comm):
        with pytest.raises(Agreed, match="must fit"), guard(comm):
            raise QdistError("The job must fit.")

    run_ranks(4, body)


def test_a_lost_rank_says_its_name_and_ends_the_others(monkeypatch):
    monkeypatch.setattr(launch, "PATIENCE", 0.1)
    monkeypatch.setattr(sys, "__stderr__", told := io.StringIO())

    def body(comm):
        with guard(comm) as nodes:
            nodes += ["alice", "bob"] if comm.rank == 2 else ["carol"]
            if comm.rank == 2:
                raise QdistError("The link \x1b must be up.")
            comm.barrier()

    with pytest.raises(SystemExit, match="2"):
        run_ranks(4, body)
    assert told.getvalue() == "Rank 2 of 4, which hosts alice, bob, ended the job: The link ? must be up.\n"


def test_one_rank_alone_keeps_its_exceptions():
    for error in (QdistError("x"), RuntimeError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as found, guard(launch.connect({})):
            raise error
        assert found.value is error


def test_ranks_of_a_script_share_a_gpu_as_those_of_the_command_line_do(monkeypatch):
    monkeypatch.setattr(launch, "connect", lambda environ: Serial(size=2, local_size=2, local_rank=1))
    monkeypatch.setattr(launch, "gpu_count", lambda: 1)
    environ = {}

    launch.start(environ)

    assert environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert int(environ["NPROC"]) >= 1
