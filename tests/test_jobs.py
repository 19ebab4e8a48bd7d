"""The example jobs: every field is explained, every job runs, and the numbers are those of the physics."""

import re
from functools import cache
from pathlib import Path

import pytest

from qdist.runs.execute import run
from qdist.runs.jobfiles.reader import parse_job, read_job

JOBS = Path(__file__).parents[1] / "jobs"
NAMES = [path.stem for path in sorted(JOBS.glob("*.toml"))]


@cache
def result(name):
    return run(read_job(JOBS / f"{name}.toml"), keep_state=False)


def final(name, pair, metric):
    """The last value of a metric of a pair."""
    found = result(name)
    values = found[f"metrics/{metric}"][:, list(found["metrics/pair"]).index(pair)]
    return values[values == values][-1]


def test_the_examples_are_there():
    assert {"repeater_chain", "ghz_star", "cut_adder", "long_chain", "qft_n4"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_has_a_comment(name):
    lines = (JOBS / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# "), "the first line says what the job is"
    for number, line in enumerate(lines, 1):
        assert len(line) <= 120, f"line {number}"
        if re.match(r"\s*[\w\"]+\s*=", line):
            assert re.search(r"\s# \S", line), f"line {number}: {line}"


@pytest.mark.parametrize("name", NAMES)
def test_every_job_runs(name):
    assert result(name).attributes["title"]


@pytest.mark.parametrize("name", NAMES)
def test_a_line_that_is_switched_off_is_right_when_switched_on(name):
    """A field in a comment is an offer: with the fields that it replaces removed it must be accepted."""
    text = (JOBS / f"{name}.toml").read_text(encoding="utf-8")
    offers = re.findall(r"^# (\w+ = .*)$", text, re.MULTILINE)
    for offer in offers:
        assert offer.startswith("device = ")
        switched = re.sub(r"^(one_qubit|two_qubit|readout) = .*\n", "", text, flags=re.MULTILINE)
        parse_job(switched.replace(f"# {offer}", offer), folder=JOBS)


def test_the_ends_of_the_repeater_chain_are_bell_nonlocal():
    assert 0.75 < final("repeater_chain", "n0/0-n3/0", "fidelity") < final("repeater_chain", "n0/0-n1/0", "fidelity")
    assert final("repeater_chain", "n0/0-n3/0", "chsh") > 2


def test_the_long_chain_loses_what_its_links_gates_and_memories_lose():
    """Werner links: w^L; a noisy CNOT costs 16/15 p on each correlator; only the first qubit waits long, 2 µs·L/v."""
    links, w = 999, (4 * 0.9999 - 1) / 3
    upper = 0.25 + 0.75 * w**links
    lower = 0.25 + 0.75 * (w * (1 - 16 / 15 * 1e-5)) ** links * 0.995
    assert lower < final("long_chain", "n0/0-n999/0", "fidelity") < upper


def test_the_ghz_state_has_its_stabilizers_and_no_entangled_pair():
    found = result("ghz_star")
    correlators = dict(zip(found["results/pauli"], found["results/correlators"], strict=True))
    assert correlators["XXXXX"] > 0.5
    assert correlators["ZZIII"] > correlators["IIIZZ"] > 0.8
    assert final("ghz_star", "hub/0-n0/0", "fidelity") < 0.5


def test_the_cut_adder_adds_and_uses_a_pair_for_each_gate_between_the_nodes():
    found = result("cut_adder")
    whole = run(parse_job('[program]\ncircuit = "circuits/adder_n4.qasm"\n', folder=JOBS))
    likely = found["results/outcome"][found["results/probabilities"].argmax()]
    assert whole.probability(likely) == pytest.approx(1, abs=1e-5)
    assert 0.7 < found.probability(likely) < 0.95
    assert found.attributes["total_pairs_used"] == 3


def test_the_fourier_transform_of_a_basis_state_is_nearly_uniform():
    assert result("qft_n4")["results/probabilities"] == pytest.approx([1 / 16] * 16, abs=0.01)
