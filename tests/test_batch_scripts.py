"""The batch scripts in `jobs/` are shell that parses, say what is missing, and pass on the signal that ends a run.

Those for Slurm are submitted to a real one in `tests/slurm`. Here stand-ins play qdist, the launcher and PBS.
"""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qdist.runs.cli import app
from qdist.runs.jobfiles.reader import parse_job, read_job

JOBS = Path(__file__).parents[1] / "jobs"
SCRIPTS = sorted(path for path in JOBS.iterdir() if path.suffix in {".sbatch", ".pbs", ".sh"})
SLURM = [path for path in SCRIPTS if path.suffix == ".sbatch"]

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
each_slurm_script = pytest.mark.parametrize("script", SLURM, ids=lambda path: path.name)

STAND_INS = {
    # Runs until it is signaled, as `qdist run` does; says how it was called.
    "qdist": 'echo "$@" >> called; trap "echo USR1 >> heard; exit 75" USR1; trap "echo INT >> heard; exit 130" INT; '
    "touch running; while :; do sleep 0.05; done",
    # -n RANKS COMMAND …
    "mpirun": 'echo "ranks $2" >> called; shift 2; exec "$@"',
    "qstat": 'echo "    Resource_List.walltime = 00:02:02"',
    "qsub": 'printf "%s\\n" "$@" > submitted',
}


@pytest.fixture
def folder(tmp_path):
    """A folder with a job file, and stand-ins in `bin`."""
    (tmp_path / "bin").mkdir()
    for name, body in STAND_INS.items():
        command = tmp_path / "bin" / name
        command.write_text(f"#!/bin/bash\n{body}\n")
        command.chmod(0o755)
    (tmp_path / "chain.toml").touch()
    (tmp_path / "nodes").write_text("a\nb\n")
    return tmp_path


def environment(folder, **variables):
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "PBS"))}
    return plain | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"} | variables


def as_in_a_terminal():
    """Whoever started the tests in the background made them deaf to these, and a shell cannot undo that."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def start(folder, script, *arguments, **variables):
    """A script that runs in a session of its own, as one that was typed in a terminal."""
    return subprocess.Popen(
        ["bash", str(JOBS / script), *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        preexec_fn=as_in_a_terminal,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def lines(path):
    return path.read_text().splitlines()


@each_script
def test_a_script_is_shell_that_parses(script):
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="no shellcheck")
def test_shellcheck_finds_nothing():
    done = subprocess.run(["shellcheck", *map(str, SCRIPTS)], capture_output=True, text=True)
    assert done.stdout == ""


@each_script
def test_a_script_calls_a_command_and_options_that_exist(script):
    found = re.search(r'"\$qdist" (\w+)((?: --\w+)*) "\$job"( --out)?', script.read_text())
    assert found is not None
    help_text = CliRunner().invoke(app, [found[1], "--help"]).output
    options = [*found[2].split(), *filter(None, [(found[3] or "").strip()])]
    assert [option for option in options if option not in help_text] == []


@each_script
def test_a_script_fits_on_a_screen(script):
    assert max(map(len, lines(script))) <= 124
    assert len(lines(script)) < 60


@each_slurm_script
def test_a_slurm_script_is_signaled_before_its_limit_and_requeued_with_one_log(script):
    asked = re.findall(r"^#SBATCH (--\S+)", script.read_text(), re.MULTILINE)
    assert {"--signal=B:USR1@120", "--requeue", "--open-mode=append"} <= set(asked)


def test_slurm_scripts_wait_and_requeue_in_the_same_way():
    def wait(script):
        body = script.read_text()
        return body[body.index("step=$!") : body.index("# 75:")].replace("all ranks", "qdist")

    assert len({wait(script) for script in SLURM}) == 1


@pytest.mark.parametrize(
    ("script", "arguments", "variables", "words"),
    [
        ("one_gpu.sbatch", ["chain.toml"], {}, "Submit this script: sbatch one_gpu.sbatch JOB.toml"),
        ("one_gpu.sbatch", [], {"SLURM_JOB_ID": "1"}, "Name the job file: sbatch one_gpu.sbatch JOB.toml"),
        ("several_nodes.sbatch", ["chain.toml"], {}, "Submit this script: sbatch several_nodes.sbatch JOB.toml"),
        ("several_nodes.sbatch", ["no.toml"], {"SLURM_JOB_ID": "1"}, "'no.toml' does not exist in"),
        (
            "several_nodes.sbatch",
            ["chain.toml"],
            {"SLURM_JOB_ID": "1", "QDIST": "qd1st"},
            "'qd1st' is no command here. Try: QDIST=/path/to/qdist sbatch …",
        ),
        ("sweep_array.sbatch", ["."], {"SLURM_JOB_ID": "1"}, "Submit an array: sbatch --array=0-7"),
        ("sweep_array.sbatch", ["bin"], {"SLURM_ARRAY_TASK_ID": "0"}, "There are no job files (*.toml) in 'bin'"),
        ("sweep_array.sbatch", ["."], {"SLURM_ARRAY_TASK_ID": "3"}, "'.' has 1 job files: submit with --array=0-0."),
        ("several_nodes.pbs", [], {}, "Submit this script: qsub -v JOB=JOB.toml several_nodes.pbs"),
        ("several_nodes.pbs", [], {"PBS_JOBID": "1", "PBS_O_WORKDIR": "."}, "Name the job file: qsub -v JOB=JOB.toml"),
        (
            "several_nodes.pbs",
            [],
            {"PBS_JOBID": "1", "PBS_O_WORKDIR": ".", "JOB": "chain.toml"},
            "'several_nodes.pbs' is not in",
        ),
        ("workstation.sh", [], {}, "Name the job file and the number of ranks: ./workstation.sh JOB.toml 4"),
        ("workstation.sh", ["no.toml"], {}, "'no.toml' does not exist in"),
        ("workstation.sh", ["chain.toml"], {"MPIRUN": "mp1run"}, "'mp1run' is no command here. Try: QDIST=…"),
    ],
)
def test_a_script_says_what_is_missing(folder, script, arguments, variables, words):
    process = start(folder, script, *arguments, **variables)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


def until_it_runs(folder):
    end = time.monotonic() + 20
    while not (folder / "running").exists():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_whatever_ends_the_workstation_script_is_one_signal_to_the_ranks(folder, number):
    process = start(folder, "workstation.sh", "chain.toml", "2")
    until_it_runs(folder)
    # To the group, as a terminal does.
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 75
    assert lines(folder / "heard") == ["USR1"]
    assert lines(folder / "called") == ["ranks 2", "run --resume chain.toml"]
    assert err.endswith(f"A checkpoint was written. Go on with: {JOBS / 'workstation.sh'} chain.toml 2\n")


def start_on_pbs(folder):
    shutil.copy(JOBS / "several_nodes.pbs", folder)
    variables = {"PBS_JOBID": "7.server", "PBS_O_WORKDIR": str(folder), "PBS_NODEFILE": str(folder / "nodes")}
    return start(folder, "several_nodes.pbs", JOB="chain.toml", MPIEXEC="mpirun", **variables)


def test_the_pbs_script_is_not_submitted_again_when_its_job_is_deleted(folder):
    process = start_on_pbs(folder)
    until_it_runs(folder)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert not (folder / "submitted").exists()


def test_the_pbs_script_signals_itself_before_its_limit_and_submits_itself_again(folder):
    process = start_on_pbs(folder)
    process.communicate(timeout=20)
    assert process.returncode == 75
    assert lines(folder / "heard") == ["USR1"]
    assert lines(folder / "called") == ["ranks 2", "run --resume chain.toml"]
    again = "JOB=chain.toml,QDIST=qdist,MPIEXEC=mpirun,SCRIPT=several_nodes.pbs"
    assert lines(folder / "submitted") == ["-v", again, "several_nodes.pbs"]


def test_the_lines_that_make_a_folder_of_an_array_make_one_job_for_each_value(tmp_path):
    shutil.copy(JOBS / "link_sweep.toml", tmp_path)
    text = (JOBS / "sweep_array.sbatch").read_text()
    typed = "\n".join(re.findall(r"^#     (.*)", text, re.MULTILINE))
    for name in ("sbatch", "qdist"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["bash", "-euc", typed], cwd=tmp_path, env=os.environ | {"PATH": path}, check=True)
    made = sorted((tmp_path / "sweep").iterdir())
    count = int(re.search(r"sbatch --array=0-(\d+) ", typed)[1]) + 1
    assert len(made) == count
    whole = read_job(JOBS / "link_sweep.toml")
    parts = [parse_job(job.read_text(), folder=JOBS) for job in made]
    assert sum(map(len, parts)) == len(whole)
