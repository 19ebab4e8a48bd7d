"""Each notebook runs from its first cell to its last on a small result, and is kept without outputs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from qdist.runs.execute import run
from qdist.runs.jobfiles.reader import parse_job
from qdist.runs.results import write_result
from tests.sample_results import repeater_chain

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SWEEP = "02_draw_a_sweep"
FIGURES = {"01_read_a_result": 2, SWEEP: 2, "03_follow_correlations": 1, "04_open_a_checkpoint": 2}


def link_sweep(lengths="[5e3, 35e3, 75e3]", lifetimes="[0.003, 0.03]"):
    """The example job at a few of its points."""
    text = (ROOT / "jobs" / "link_sweep.toml").read_text(encoding="utf-8")
    before, _, _ = text.partition("[sweep]")
    return run(parse_job(f'{before}[sweep]\n"network.link.length" = {lengths}\n"network.device.t2" = {lifetimes}\n'))


@pytest.fixture
def execute(monkeypatch):
    """A function that runs a notebook in its folder, where `QDIST_RESULT` is the result it should look at."""
    # The kernel is another process: it does not inherit the paths that pytest has added to this one.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "kernels")]))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")

    def executed(path, result):
        monkeypatch.setenv("QDIST_RESULT", str(result))
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}})
        client.execute()
        return notebook

    return executed


def contents(notebook):
    return [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ())]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_a_small_result(path, execute, tmp_path):
    write_result(link_sweep() if path.stem == SWEEP else repeater_chain(4), tmp_path / "small.h5")
    found = contents(execute(path, tmp_path / "small.h5"))
    assert sum("image/png" in content for content in found) == FIGURES[path.stem]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_first_notebook_draws_correlations_and_fidelities_and_prints_the_ledger(execute, tmp_path):
    result = repeater_chain(4, sampled=True)
    for path in ("metrics/mutual_information", "metrics/mutual_information_stderr"):
        del result.data[path]  # the drawing takes the next metric
    write_result(result, tmp_path / "small.h5")
    notebook = execute(NOTEBOOKS[0], tmp_path / "small.h5")
    assert sum("image/png" in content for content in contents(notebook)) == 2
    tables = " ".join(content.get("text/plain", "") for content in contents(notebook))
    assert "pairs_made" in tables
    assert "r1->bob" in tables


@pytest.mark.parametrize(("number", "job"), [(0, "repeater_chain"), (1, "link_sweep")])
def test_a_notebook_says_how_to_make_a_file_that_is_missing(execute, tmp_path, number, job):
    with pytest.raises(CellExecutionError, match=rf"qdist run jobs/{job}\.toml"):
        execute(NOTEBOOKS[number], tmp_path / "missing.h5")


@pytest.mark.parametrize("lifetimes", ["[1.0, 0.1]", "[1e-6, 2e-6]"])
def test_a_sweep_with_a_key_everywhere_or_nowhere_is_drawn_too(execute, tmp_path, lifetimes):
    write_result(link_sweep("[40e3, 5e3]", lifetimes), tmp_path / "small.h5")
    notebook = execute(NOTEBOOKS[1], tmp_path / "small.h5")
    assert sum("image/png" in content for content in contents(notebook)) == 2


def test_notebooks_use_public_names_only():
    for path in NOTEBOOKS:
        code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
        assert "qdist.runs" not in code, path.name
        assert "import qdist as qd\n" in code, path.name
