"""The format page of the README: all that it lists is in real results, with its dimensions and units; no more is."""

import re
from functools import cache
from pathlib import Path

import h5py
import pytest

from qdist.physics.metrics import METRICS
from qdist.runs.execute import run
from qdist.runs.jobfiles.reader import parse_job
from qdist.runs.results import write_result
from tests.threads import run_ranks

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ALL_METRICS = "metrics = [" + ", ".join(f'"{name}"' for name in METRICS) + "]\n"
PURIFIED = """
[run]
title = "purified pair"
{mode}
[network]
topology = "chain"
nodes = 2
qubits = 2
[network.link]
length = 1e3
fidelity = 0.9
success_probability = 1.0
[program]
protocol = "purification"
between = ["n0", "n1"]
[record]
correlators = ["XX", "ZZ"]
"""
EXACT, SAMPLED = (PURIFIED.format(mode=mode) for mode in ("", 'mode = "sampled"\nshots = 40'))
CIRCUIT = '[program]\ncircuit = "circuits/qft_n4.qasm"\n'
JOBS = {
    "exact": EXACT + ALL_METRICS,
    "sampled": SAMPLED + ALL_METRICS,
    "sweep": EXACT + '[sweep]\n"network.link.fidelity" = [0.8, 0.9]\n',
    "sampled sweep": SAMPLED + '[sweep]\n"network.link.length" = [1e3, 2e3]\n"run.seed" = [1, 2]\n',
    "circuit": CIRCUIT,
    "two ranks": EXACT,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A result file of each kind of job."""
    folder = tmp_path_factory.mktemp("results")
    for name, text in JOBS.items():
        job = parse_job(text, folder=ROOT / "jobs")
        found = run_ranks(2, lambda comm, job=job: run(job, comm=comm))[0] if "ranks" in name else run(job)
        write_result(found, folder / f"{name}.h5")
    return {name: folder / f"{name}.h5" for name in JOBS}


@cache
def page(marker):
    """The rows of a generated table: the first cell without quotes, and the others."""
    part = re.search(rf"<!-- {marker} -->\n(.*?)<!-- end -->", README, re.DOTALL)[1]
    rows = [re.split(r" (?<!\\)\| ", line.strip("| \n")) for line in part.splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in rows}


def swept(file):
    return file.attrs["sweep"].decode().split() if "sweep" in file.attrs else []


def datasets(path):
    """What a file holds by its name on the page: path, dimensions and units."""
    found = {}
    with h5py.File(path) as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        axes = swept(file)
        for name in names:
            group, _, last = name.partition("/")
            dataset = file[name]
            own = dataset.attrs["units"].decode() if "units" in dataset.attrs else "–"
            dims = [last] if dataset.is_scale else [scale[0].name.rpartition("/")[2] for scale in dataset.dims]
            if last in axes:
                assert group == "sweep" or f"sweep/{last}" in file
                found["sweep/NAME"] = "NAME", "its own"
            else:
                found[name] = ", ".join(dim for dim in dims if dim not in axes) or "scalar", own
    return found


@pytest.mark.parametrize("name", JOBS)
def test_no_result_has_an_array_that_is_not_on_the_page(files, name):
    for path, meaning in datasets(files[name]).items():
        assert path in page("schema"), path
        dims, _, units, _ = page("schema")[path]
        assert meaning == (dims, units), path


def test_every_array_on_the_page_is_in_some_result(files):
    found = {path for file in files.values() for path in datasets(file)}
    assert set(page("schema")) - found == set()


def test_the_attributes_on_the_page_are_those_of_results(files):
    found, everywhere = set(), []
    for path in files.values():
        with h5py.File(path) as file:
            found |= set(file.attrs)
            everywhere.append(set(file.attrs) | {"seed" for name in swept(file) if name == "run_seed"})
    assert set(page("attributes")) == found
    assert {name for name, row in page("attributes").items() if row[1] == "yes"} <= set.intersection(*everywhere)


def test_a_file_holds_groups_and_arrays_and_nothing_else(files):
    for path in files.values():
        with h5py.File(path) as file:
            assert set(file) <= {name.partition("/")[0] for name in page("schema")}
            assert all(isinstance(file[group], h5py.Group) for group in file)
            assert all(isinstance(item, h5py.Dataset) for group in file.values() for item in group.values())
