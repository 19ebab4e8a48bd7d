"""Batches of shots in one call: the same outcomes, vectors and results as step by step on the host."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

import qdist as qd
from jobs.benchmarks.trajectories import KINDS, chain_of_four
from qdist.errors import QdistError
from qdist.machine.sharding import shard
from qdist.machine.tiling import tiled
from qdist.network.draws import Draws
from qdist.runs.at_once import at_once, check_possible
from qdist.runs.evolve import evolve
from qdist_kernels import native, shots
from tests.random_plans import SHOTS, random_plan, seen

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}

prepare = importlib.import_module("qdist.runs.prepare")
execute = importlib.import_module("qdist.runs.execute")


def same(one, other, tolerance):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
        assert np.abs(a - b).max(initial=0.0) <= tolerance


def same_evolution(plan, precision, draws):
    program = at_once(plan, precision)
    assert program is not None
    expected, found = evolve(plan, np.dtype(precision), draws=draws), program.evolve(draws)
    found.drawn = {**expected.drawn, **found.drawn}  # only bits that are asked for are given
    same(seen(plan, plan, found, draws), seen(plan, plan, expected, draws), TOLERANCE[precision])
    return found


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("seed", range(12))
def test_random_programs_lead_where_they_do_step_by_step(seed, precision):
    plan = random_plan(seed, 3 + seed % 3, 25, shots=SHOTS, precision=precision)
    same_evolution(plan, precision, Draws(seed, 0, SHOTS))
    same_evolution(tiled(plan), precision, Draws(seed, 4 * SHOTS, SHOTS))


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize(("generation", "purification"), KINDS)
def test_repeater_chains_lead_where_they_do_step_by_step(generation, purification, precision):
    job = chain_of_four(generation, purification, precision, 400)
    plan = qd.prepare(job, keep_state=False).plan
    found = same_evolution(plan, precision, Draws(2**63 + 5, 400, 400))
    assert any(len(np.unique(bits)) == 2 for bits in found.drawn.values())


@pytest.fixture
def taken(monkeypatch):
    """Jobs of any size are taken by the device, in batches of 128 and several lanes' turns; gives the batches."""
    calls = []

    def run(program, values, where, lanes):
        calls.append(values.shape)
        return native_run(program, values, where, 48)

    native_run = native.run_shots
    for name, value in {"is_used_for": lambda shots: True, "BATCH": 128}.items():
        monkeypatch.setattr(shots, name, value)
    monkeypatch.setattr(native, "run_shots", run)
    return calls


@pytest.mark.parametrize("purification", ["none", "dejmps"])
def test_a_job_has_the_results_that_it_has_on_the_host(purification, taken, monkeypatch):
    job = chain_of_four("parallel", purification, "float64", 1000)
    found = qd.run(job, keep_state=False)
    assert [count for _, count in taken] == [128] * 8
    monkeypatch.setattr(shots, "is_used_for", lambda shots: False)
    expected = qd.run(job, keep_state=False)
    assert len(taken) == 8
    same_data(found, expected)


def same_data(found, expected):
    assert found.data.keys() == expected.data.keys()
    for name in expected.data:
        if not name.startswith(("traffic/", "plan/")):
            one, other = (np.asarray(result[name]) for result in (found, expected))
            if one.dtype.kind in "fc":
                assert np.allclose(one, other, atol=1e-12, equal_nan=True), name
            else:
                assert np.array_equal(one, other), name


@pytest.mark.parametrize("begins_on_device", [True, False])
def test_a_run_that_was_stopped_goes_on_where_there_is_no_device_and_where_there_is_one(
    begins_on_device, taken, monkeypatch, tmp_path
):
    asked = iter([None, "the test", *[None] * 20])
    monkeypatch.setattr(prepare, "MAX_BATCH", 64)
    options = qd.Checkpoints(tmp_path, resume=True, asked=lambda: next(asked))
    job = chain_of_four("parallel", "none", "float64", 1000)
    monkeypatch.setattr(shots, "is_used_for", lambda shots: begins_on_device)
    monkeypatch.setattr(execute, "_batches_at_once", lambda *arguments: 1)
    with pytest.raises(qd.Stopped):
        qd.run(job, keep_state=False, checkpoints=options)
    before = len(taken)
    monkeypatch.setattr(shots, "is_used_for", lambda shots: not begins_on_device)

    found = qd.run(job, keep_state=False, checkpoints=options)

    assert found.attributes["resumed"] == 1
    assert (before > 0, len(taken) > before) == (begins_on_device, not begins_on_device)
    same_data(found, qd.run(job, keep_state=False))


def test_a_cluster_that_ranks_share_is_not_taken():
    plan = random_plan(1, 4, 10, shots=SHOTS)
    assert at_once(plan, "float64") is not None
    assert at_once(shard(plan, ranks=2, threshold=4**2), "float64") is None


def test_clusters_that_a_thread_cannot_hold_are_not_taken(monkeypatch):
    plan = random_plan(1, 4, 10, shots=SHOTS)
    monkeypatch.setattr(shots, "LARGEST", 8)
    assert at_once(plan, "float64") is None


def test_a_draw_without_a_possible_outcome_is_named():
    check_possible(np.zeros(3), ("a", "b"))
    with pytest.raises(QdistError, match="Bit 'b' must have a possible outcome"):
        check_possible(np.array([0.0, 2.0, 0.0]), ("a", "b"))


def test_few_shots_stay_on_the_host(monkeypatch):
    monkeypatch.setattr(native, "is_used_on_gpu", lambda: True)
    few = chain_of_four("parallel", "none", "float32", 1000)
    many = replace(few, shots=shots.LEAST_SHOTS)
    assert qd.prepare(few).at_once is None
    assert qd.prepare(many).at_once is not None
    assert qd.prepare(many).batch == shots.BATCH
    monkeypatch.setattr(native, "is_used_on_gpu", lambda: False)
    assert qd.prepare(many).at_once is None
