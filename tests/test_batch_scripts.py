"""The batch scripts in `jobs/` are shell that parses, and call a command that exists."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qdist.runs.cli import app

SCRIPTS = sorted((Path(__file__).parents[1] / "jobs").glob("*.sbatch"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_batch_script_is_shell_that_parses(script):
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_batch_script_calls_a_command_that_exists_and_ends_all_ranks_with_one(script):
    text = script.read_text()
    command = re.search(r'"\$qdist" (\w+) "\$job"', text)
    assert command is not None
    assert CliRunner().invoke(app, [command[1], "--help"]).exit_code == 0
    assert "srun -K" in text
