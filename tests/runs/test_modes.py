"""One program, three ways to treat a measurement, one dense reference."""

import numpy as np
import pytest

from qdist.network.graph import Network, Node
from qdist.runs import prepare
from qdist.runs.execute import run
from qdist.runs.job import Job
from tests.programs import RandomProgram
from tests.tolerances import TOLERANCE


def job(random, **kwargs):
    return Job(program=random.program(), network=Network((Node("a", 3),)), **kwargs)


@pytest.mark.parametrize("seed", range(60))
def test_exact_runs_of_random_programs_agree_with_the_dense_reference(seed):
    random = RandomProgram(seed)

    result = run(job(random, precision="float64"))

    expected = random.reference.distribution(random.program().bits)
    if random.bits:
        found = {
            outcome: p for outcome, p in zip(result["results/outcome"], result["results/probabilities"], strict=True)
        }
        assert set(expected) <= set(found)
        assert all(abs(p - expected.get(outcome, 0.0)) < TOLERANCE["float64"] for outcome, p in found.items())
    matrix = result.state(random.live).matrix()
    assert np.allclose(matrix, random.reference.state(random.live), atol=TOLERANCE["float64"])


@pytest.mark.parametrize("seed", range(8))
def test_float32_stays_close_to_float64(seed):
    random = RandomProgram(seed, num_qubits=4, length=60)

    low, high = (run(job_of_four(random, precision)) for precision in ("float32", "float64"))

    difference = low.state(random.live).vector - high.state(random.live).vector
    assert np.abs(difference).max() < TOLERANCE["float32"]


def job_of_four(random, precision):
    return Job(program=random.program(), network=Network((Node("a", 4),)), precision=precision)


@pytest.mark.parametrize("seed", range(10))
def test_the_trace_stays_exactly_one(seed):
    random = RandomProgram(seed)

    result = run(job(random, precision="float32"))

    assert result.state(random.live).trace == 1.0


@pytest.mark.parametrize("seed", range(12))
def test_sampled_outcomes_follow_the_exact_distribution(seed):
    random = RandomProgram(seed)
    shots = 4000

    exact = run(job(random, precision="float64"))
    sampled = run(job(random, mode="sampled", shots=shots, seed=seed))

    if not random.bits:
        return
    expected = dict(zip(exact["results/outcome"], exact["results/probabilities"], strict=True))
    counts = dict(zip(sampled["results/outcome"], sampled["results/counts"], strict=True))
    assert sum(counts.values()) == shots
    for outcome, p in expected.items():
        spread = np.sqrt(shots * p * (1 - p))
        assert abs(counts.get(outcome, 0) - shots * p) <= 5 * spread + 1e-6


@pytest.mark.parametrize("seed", range(12))
def test_postselected_branches_add_up_to_the_exact_state(seed):
    random = RandomProgram(seed, length=18)
    written_once = [bit for bit in random.bits if _plain_writes(random, bit) == 1]
    if not written_once:
        return
    exact = run(job(random, precision="float64")).state(random.live)
    total = np.zeros_like(exact.vector)
    for value in (0, 1):
        expected = sum(b.rho.trace().real for b in random.reference.branches if b.bits[written_once[0]] == value)
        if expected < 1e-12:
            continue
        branch = run(job(random, precision="float64", mode="postselected", postselect={written_once[0]: value}))
        assert abs(branch["results/success_probability"] - expected) < TOLERANCE["float64"]
        total += branch["results/success_probability"] * branch.state(random.live).vector

    assert np.abs(total - exact.vector).max() < TOLERANCE["float64"]


def _plain_writes(random, bit):
    """How many steps write a bit; conditional measurements and sums count twice, since they cannot be postselected."""
    writes = 0
    for step in random.steps:
        if getattr(step, "bit", getattr(step, "flag", None)) == bit:
            plain = getattr(step, "when", None) is None and hasattr(step, "qubit")
            writes += 1 if plain else 2
    return writes


def test_the_same_seed_gives_the_same_outcomes_in_batches_of_any_size(monkeypatch):
    random = RandomProgram(3)
    whole = run(job(random, mode="sampled", shots=400, seed=7))

    monkeypatch.setattr(prepare, "MAX_BATCH", 64)
    parts = run(job(random, mode="sampled", shots=400, seed=7))

    assert list(whole["results/outcome"]) == list(parts["results/outcome"])
    assert list(whole["results/counts"]) == list(parts["results/counts"])


def test_another_seed_gives_other_outcomes():
    random = RandomProgram(3)

    first, second = (run(job(random, mode="sampled", shots=400, seed=seed)) for seed in (1, 2))

    assert list(first["results/counts"]) != list(second["results/counts"])
