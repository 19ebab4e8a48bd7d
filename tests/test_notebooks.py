"""Each notebook runs from its first cell to its last on a small result, and is kept without outputs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from qdist.runs.results import write_result
from tests.sample_results import repeater_chain

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


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
    write_result(repeater_chain(4), tmp_path / "small.h5")
    assert contents(execute(path, tmp_path / "small.h5"))


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


def test_the_first_notebook_says_how_to_make_a_file_that_is_missing(execute, tmp_path):
    with pytest.raises(CellExecutionError, match=r"qdist run jobs/repeater_chain\.toml"):
        execute(NOTEBOOKS[0], tmp_path / "missing.h5")
