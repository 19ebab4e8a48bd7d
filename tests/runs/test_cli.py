"""The program as a person meets it: what it prints where, its exit codes, and that it starts quickly."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import qdist
from qdist.runs import progress, validation
from qdist.runs.cli import main
from qdist.runs.jobfiles import reader
from qdist.runs.results import read_result
from qdist.runs.validation import Row

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"}
JOB = """[run]
title = "Bell pair"
precision = "float64"
[program]
circuit = "bell.qasm"
[record]
correlators = ["ZZ"]
pairs = [["q[0]", "q[1]"]]
"""
WIDE = f'correlators = ["{"X" * 40}"]\n'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "bell.qasm").write_text('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0];\ncx q[0],q[1];\n')
    (tmp_path / "bell.toml").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def qdist_(capsys, *arguments):
    """Exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return (end.value.code, *capsys.readouterr())


def test_run_writes_the_result_beside_the_job_and_says_where(folder, capsys):
    code, out, err = qdist_(capsys, "run", "bell.toml")
    assert (code, err) == (0, "")
    assert out.startswith("Wrote bell.h5 after ")
    assert "qdist show bell.h5" in out
    result = read_result("bell.h5")
    assert result.probability("00") == pytest.approx(0.5)
    assert result["results/correlators"] == pytest.approx([1.0])
    assert result.attributes["job"] == JOB


def test_run_writes_where_it_is_told(folder, capsys):
    (folder / "out").mkdir()
    for option in ("--out", "-o"):
        assert qdist_(capsys, "run", "bell.toml", option, f"out/{option[1]}.h5")[0] == 0
    assert sorted(os.listdir("out")) == ["-.h5", "o.h5"]
    assert not (folder / "bell.h5").exists()


def test_a_second_run_replaces_the_result_of_the_first(folder, capsys):
    qdist_(capsys, "run", "bell.toml")
    (folder / "bell.toml").write_text(JOB.replace("[run]", "[run]\nseed = 5"))
    assert qdist_(capsys, "run", "bell.toml")[0] == 0
    assert read_result("bell.h5").attributes["seed"] == 5


def test_show_and_plot_read_what_run_wrote(folder, capsys):
    qdist_(capsys, "run", "bell.toml")
    code, out, err = qdist_(capsys, "show", "bell.h5")
    assert (code, err) == (0, "")
    assert "Bell pair" in out
    assert "bell-nonlocal" in out
    assert qdist_(capsys, "plot", "bell.h5") == (0, "Wrote bell.png.\n", "")
    assert qdist_(capsys, "plot", "bell.h5", "--out", "x.svg")[0] == 0
    assert (folder / "bell.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (folder / "x.svg").read_bytes()


def test_plan_prints_clusters_bytes_and_last_uses_without_running(folder, capsys):
    code, out, err = qdist_(capsys, "plan", "bell.toml")
    assert (code, err) == (0, "")
    for words in (
        "Bell pair",
        "exact, float64, seed 0",
        "1 node, 0 links, 2 qubits",
        "5 steps",
        "at most 2 qubits",
        "128 B",
    ):
        assert words in out
    assert "At most 2 qubits in use at one time" in out
    assert out.endswith("This job fits.\n")
    assert sorted(os.listdir(folder)) == ["bell.qasm", "bell.toml"]


def test_plan_says_how_many_shots_run_at_a_time(folder, capsys):
    (folder / "bell.toml").write_text(JOB.replace("[run]", '[run]\nmode = "sampled"\nshots = 20000'))
    assert "20,000 shots in batches of 4,096" in qdist_(capsys, "plan", "bell.toml")[1]


def test_a_plan_that_does_not_fit_is_printed_and_says_so(folder, capsys):
    lines = [f"cx q[{i}],q[{i + 1}];" for i in range(39)]
    (folder / "bell.qasm").write_text("\n".join(['OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[40];', *lines]))
    (folder / "bell.toml").write_text('[program]\ncircuit = "bell.qasm"\n[record]\nprobabilities = false\n' + WIDE)
    code, out, err = qdist_(capsys, "plan", "bell.toml")
    assert (code, err) == (0, "")
    assert "Clusters over time, 20 of " in out
    assert "the 20 that last longest" in out
    last = out.splitlines()[-1]
    assert last.startswith("This job does not fit.")
    assert "Clusters of up to" in last
    assert len(out.splitlines()) < 60


def test_a_long_run_shows_its_progress_on_a_terminal_only(folder, capsys, monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    assert qdist_(capsys, "run", "bell.toml")[2] == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "qdist:" in qdist_(capsys, "run", "bell.toml")[2]


def test_validate_prints_the_table_and_fails_if_a_number_is_off(capsys, monkeypatch):
    good = Row(1, "swap", 0.9, 0.9, 1e-6, "a paper")
    bad = Row(2, "chain", 0.9, 0.8, 1e-6, "another paper")
    for rows, expected in (([good], 0), ([good, bad], 1)):
        monkeypatch.setattr(validation, "run_validation", lambda rows=rows: rows)
        code, out, _ = qdist_(capsys, "validate")
        assert code == expected
        assert "a paper" in out


def test_help_tells_a_stranger_what_to_type(capsys):
    code, out, _ = qdist_(capsys, "--help")
    assert code == 0
    for words in ("qdist run jobs/", "qdist show", "TOML", "run ", "plan ", "show ", "plot ", "validate "):
        assert words in out
    assert "..." not in out.split("Commands:")[1], "a summary is cut"
    for command in ("run", "plan", "show", "plot", "validate"):
        assert qdist_(capsys, command, "--help")[0] == 0


def test_without_arguments_the_help_is_shown_as_a_mistake(capsys):
    code, out, err = qdist_(capsys)
    assert code == 2
    assert "Commands:" in out + err


def test_version(capsys):
    assert qdist_(capsys, "--version") == (0, f"qdist {qdist.__version__}\n", "")


def test_a_bug_keeps_its_traceback(folder, monkeypatch):
    def broken(path):
        raise RuntimeError("a bug")

    monkeypatch.setattr(reader, "read_job", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["run", "bell.toml"])


def test_interrupting_in_the_middle_is_one_line_and_code_130(folder, capsys, monkeypatch):
    def interrupted(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(reader, "read_job", interrupted)
    assert qdist_(capsys, "run", "bell.toml") == (130, "", "Stopped by Ctrl-C.\n")


def test_the_module_is_the_same_program(folder):
    run = [sys.executable, "-m", "qdist", "run", "bell.toml"]
    done = subprocess.run(run, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Wrote bell.h5")


def test_ctrl_c_stops_a_process_with_a_checkpoint_and_keeps_the_old_result(folder):
    (folder / "bell.toml").write_text(JOB.replace("[run]", '[run]\nmode = "sampled"\nshots = 1000000000'))
    (folder / "bell.h5").write_bytes(b"\x89HDF old")
    code = "from qdist.runs import execute; evolve = execute.evolve\n"
    code += "def told(*a, **k): print('computing\\n', end='', flush=True); return evolve(*a, **k)\n"
    code += "execute.evolve = told\nfrom qdist.runs.cli import main\nmain(['run', 'bell.toml'])"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "computing\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 75
    assert "SIGINT: stopping with a checkpoint at the next step. Ctrl-C again ends the run at once." in err
    assert "Stopped by SIGINT with a checkpoint" in err
    assert (folder / "bell.h5").read_bytes() == b"\x89HDF old"
    assert sorted(os.listdir(folder)) == ["bell.checkpoints", "bell.h5", "bell.qasm", "bell.toml"]


def test_help_imports_nothing_heavy():
    code = "import sys\nfrom qdist.runs.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit(', '.join(sorted({'jax', 'matplotlib', 'xarray', 'pandas', 'scipy'} & set(sys.modules))) or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_words_that_a_terminal_cannot_show_do_not_stop_the_program(folder):
    run = [sys.executable, "-m", "qdist", "plan", "bell.toml"]
    (folder / "bell.toml").write_text(JOB.replace("Bell pair", "Φ⁺"), encoding="utf-8")
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
