"""A run that is stopped and goes on ends as one that never stopped, in any layout and on any number of ranks."""

import itertools

import h5py
import numpy as np
import pytest

import qdist as qd
from qdist.machine import sharding, stops
from qdist.machine.plan import Stop
from qdist.machine.planner import make_plan
from qdist.machine.sharding import shard
from qdist.network.lowering import lower
from qdist.runs.checkpoints import keeper as keeping
from qdist.runs.checkpoints.keeper import Stopped
from qdist.runs.checkpoints.resuming import Checkpoints
from qdist.runs.checkpoints.stored import read_checkpoint
from qdist.runs.evolve import evolve
from qdist.runs.job import Saving
from qdist.runs.reading import reduced
from tests.programs import RandomProgram
from tests.threads import run_ranks

THRESHOLD = 4**3


@pytest.fixture(autouse=True)
def small_clusters_are_split_and_stored_in_files(monkeypatch):
    monkeypatch.setattr(sharding, "SPLIT_ENTRIES", THRESHOLD)
    monkeypatch.setattr(keeping, "INLINE_BYTES", 64)


def random_job(seed, every=3, qubits=5, length=40):
    found = RandomProgram(seed, num_qubits=qubits, length=length)
    steps = list(found.steps)
    pair = tuple(found.names[:2])
    for place in (len(steps) // 3, 2 * len(steps) // 3):
        steps.insert(place, qd.Record("middle"))
    program = qd.Program(tuple(steps), "random", tuple(found.bits), (pair,), tuple(found.live))
    network = qd.Network((qd.Node("a", qubits),))
    record = qd.Recording(correlators=("Z" * len(found.live),))
    return qd.Job(
        program=program, network=network, precision="float64", record=record, saving=Saving(every_steps=every)
    )


class AskedAt:
    """Asks the run to stop at the n-th step that somebody looks."""

    def __init__(self, number):
        self.left = number

    def __call__(self):
        self.left -= 1
        return "SIGUSR1" if self.left < 0 else None


def numbers(result):
    return {
        path: array for path, array in result.data.items() if path.split("/")[0] in ("results", "metrics", "ledger")
    }


def same(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for path, array in expected.items():
        if array.dtype.kind in "fc" and tolerance:
            np.testing.assert_allclose(found[path], array, atol=tolerance, err_msg=path)
        else:
            np.testing.assert_array_equal(found[path], array, err_msg=path)


def in_legs(job, folder, ranks, number):
    """The result of a run that stops after some steps, again and again, on these numbers of ranks in turn."""
    for leg in itertools.count():
        size = ranks[leg % len(ranks)]

        def body(comm, leg=leg):
            options = Checkpoints(folder, resume=leg > 0, asked=AskedAt(number))
            try:
                return qd.run(job, comm=comm, keep_state=False, checkpoints=options)
            except Stopped:
                return None

        results = run_ranks(size, body)
        assert all((result is None) == (results[0] is None) for result in results)
        if results[0] is not None:
            return results[0], leg


@pytest.mark.parametrize("ranks", [(1,), (2,), (4,)])
@pytest.mark.parametrize("seed", range(3))
def test_a_run_in_legs_on_one_number_of_ranks_has_the_same_bits(tmp_path, seed, ranks):
    job = random_job(seed)
    whole = run_ranks(ranks[0], lambda comm: qd.run(job, comm=comm, keep_state=False))[0]
    result, legs = in_legs(job, tmp_path / "c", ranks, 3)
    assert legs > 1
    assert result.attributes["resumed"] == legs
    same(numbers(result), numbers(whole), 0)


@pytest.mark.parametrize("ranks", [(1, 4), (4, 2), (2, 1, 4)])
@pytest.mark.parametrize("seed", range(3, 6))
def test_a_run_in_legs_on_other_numbers_of_ranks_has_the_same_numbers(tmp_path, seed, ranks):
    job = random_job(seed)
    result, legs = in_legs(job, tmp_path / "c", ranks, 4)
    assert legs > 0
    same(numbers(result), numbers(qd.run(job)), 1e-12)


def test_a_state_written_by_ranks_is_the_state_of_one_rank(on_ranks, comm, tmp_path):
    """Every cluster at a stop, read back by one rank and in the layout of these ranks."""
    folder = comm.broadcast(tmp_path / "c") if comm.size > 1 else tmp_path / "c"
    job = random_job(7, every=1, length=25)

    def body(ranks):
        place = folder.with_name(f"c{ranks.size}")
        try:
            qd.run(job, comm=ranks, keep_state=False, checkpoints=Checkpoints(place, asked=AskedAt(10)))
        except Stopped as stopped:
            checkpoint = read_checkpoint(stopped.path, ranks)
            states = checkpoint.states()
            return checkpoint.done, {names: states.state(names).vector for names in states.clusters}
        raise AssertionError("it did not stop")

    for done, found in on_ranks(body):
        lowered = lower(job.program, job.network, groups=job.pairs)
        plan = make_plan(lowered.instructions, outputs=dict(lowered.bits), keep=job.program.qubits, itemsize=8)
        part = type(plan)(**{**vars(plan), "operations": plan.operations[:done]})
        state = evolve(part, np.dtype("float64"))
        for cluster in stops.parts_at(plan, done):
            names = cluster.wires
            expected = reduced(state, [cluster], names)
            other = next(vector for key, vector in found.items() if set(key) == set(names))
            order = next(key for key in found if set(key) == set(names))
            if all(cluster.size(name) == 4 for name in names):
                again = reduced(state, [cluster], order)
                np.testing.assert_allclose(np.asarray(other).reshape(-1), again, atol=1e-12)
            assert expected.shape == np.prod([cluster.size(name) for name in names])


def test_stops_are_the_same_for_every_rank_and_nothing_is_late_or_early_there():
    job = random_job(8)
    lowered = lower(job.program, job.network)
    plan = make_plan(lowered.instructions, outputs=dict(lowered.bits), itemsize=8)
    chosen = stops.stops_of(plan, 4, every=5)
    assert chosen >= set(range(5, len(plan.operations), 5))
    plans = [shard(stops.with_stops(plan, chosen), ranks=4, rank=rank, threshold=THRESHOLD) for rank in range(4)]
    for mine in plans:
        assert [op.done for op in mine.operations if isinstance(op, Stop)] == sorted(chosen)
    for several in zip(*([op for op in mine.operations if isinstance(op, Stop)] for mine in plans), strict=True):
        assert len({tuple(part.bits for part in stop.parts) for stop in several}) == 1


def test_a_long_plan_can_be_stopped_without_being_asked_to(monkeypatch):
    job = random_job(9)
    lowered = lower(job.program, job.network)
    plan = make_plan(lowered.instructions, itemsize=8)
    assert not stops.stops_of(plan, 2)
    monkeypatch.setattr(stops, "OVERHEAD", 0)
    monkeypatch.setattr(stops, "SPACING", 1)
    monkeypatch.setattr(stops, "SPACING_PASSES", 2)
    for ranks in (1, 2):
        assert 0 < len(stops.stops_of(plan, ranks)) < len(plan.operations) / 2


def entangled_job(every):
    names = [f"a/{k}" for k in range(5)]
    steps = [qd.Prepare(tuple(names))]
    for layer in range(3):
        steps += [qd.apply("u3", name, params=(0.3 + k, 0.7 * layer, 1.1)) for k, name in enumerate(names)]
        steps += [qd.apply("cx", *names[k : k + 2]) for k in range(layer % 2, 4, 2)]
    program = qd.Program(tuple(steps), qubits=tuple(names))
    return qd.Job(program=program, network=qd.Network((qd.Node("a", 5),)), saving=Saving(every_steps=every, keep=100))


def test_a_master_shows_whole_vectors_to_a_reader_that_knows_hdf5_alone(tmp_path):
    run_ranks(4, lambda comm: qd.run(entangled_job(1), comm=comm, checkpoints=Checkpoints(tmp_path / "c")))
    shown = 0
    for path in (tmp_path / "c").glob("????????.h5"):
        states = read_checkpoint(path).states()
        with h5py.File(path) as file:
            for dataset in file.get("clusters", {}).values():
                bits = dataset.attrs["bits"].decode().split()
                names = tuple(bit[2:-1] for bit in bits if bit[0] == "z")
                order = [bits.index(f"{kind}({name})") for name in names for kind in "xz"]
                vector = dataset[()].reshape((2,) * len(bits)).transpose(order).reshape(-1)
                np.testing.assert_array_equal(vector, np.asarray(states.state(names).vector).reshape(-1))
                shown += dataset.shape[0] == 4
    assert shown


def test_all_but_the_newest_checkpoints_go(tmp_path):
    job = entangled_job(1)
    job = type(job)(**{**vars(job), "saving": Saving(every_steps=1, keep=2)})
    options = Checkpoints(tmp_path / "c")
    run_ranks(2, lambda comm: qd.run(job, comm=comm, checkpoints=options))
    kept = sorted(path.name for path in (tmp_path / "c").glob("????????.h5"))
    assert len(kept) == 2
    assert {path.name[:8] for path in (tmp_path / "c").iterdir()} == {name[:8] for name in kept}
    options.clear()
    assert not (tmp_path / "c").exists()
