"""Each notebook runs from its first cell to its last on a small result, and is kept without outputs."""

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import qdist as qd
from qdist.machine import sharding
from qdist.runs.checkpoints import keeper
from qdist.runs.execute import run
from qdist.runs.jobfiles.reader import parse_job
from qdist.runs.results import write_result
from tests.sample_results import repeater_chain
from tests.threads import run_ranks

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
    monkeypatch.delenv("QDIST_CHECKPOINT", raising=False)
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")

    def executed(path, result=""):
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


def printed(notebook):
    return " ".join(
        output.get("text", output.get("data", {}).get("text/plain", ""))
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )


def test_the_fourth_notebook_shows_the_clusters_and_ends_as_a_run_that_never_stopped(execute):
    notebook = execute(NOTEBOOKS[3])
    text = printed(notebook)
    assert "Stopped by the reader with the checkpoint 00000014.h5." in text
    assert re.search(r"n0/0 n1/0 n2/0 n3/0 +a +512 +4096", text)
    same, names = map(int, re.search(r"(\d+) of (\d+) arrays are equal bit for bit", text).groups())
    assert same == names > 20


@pytest.mark.parametrize("name", ["ring.checkpoints", "ring.checkpoints/00000002.h5"])
def test_the_fourth_notebook_opens_a_checkpoint_that_several_ranks_wrote_and_leaves_it_alone(
    execute, monkeypatch, tmp_path, name
):
    monkeypatch.setattr(sharding, "SPLIT_ENTRIES", 64)
    monkeypatch.setattr(keeper, "INLINE_BYTES", 64)
    folder = tmp_path / "ring.checkpoints"
    network = qd.ring(4, qubits=2, device=qd.device("neutral_atom"), link={"length": 1e3, "success_probability": 1.0})
    program = qd.protocols.ghz_state(network)
    job = qd.Job(program=program, network=network, saving=qd.Saving(every_steps=4))
    run_ranks(2, lambda comm: qd.run(job, comm=comm, keep_state=False, checkpoints=qd.Checkpoints(folder)))
    assert list(folder.glob("*.rank1.h5"))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setenv("QDIST_CHECKPOINT", str(tmp_path / name))
    notebook = execute(NOTEBOOKS[3])
    assert sum("image/png" in content for content in contents(notebook)) == 2
    assert "ranks          2" in printed(notebook)
    assert "To go on with this one: qdist resume" in printed(notebook)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
