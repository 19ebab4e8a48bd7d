"""What a split cluster moves: nothing where the table says so, and otherwise what the plan said and no more."""

import itertools
import random

import numpy as np
import pytest

import qdist as qd
from qdist.machine import exchange, in_and_out, sharding
from qdist.machine.planner import make_plan
from qdist.machine.schedule import Schedule, _Point, advance
from qdist.machine.sharding import shard
from qdist.network.lowering import lower
from qdist.runs.evolve import evolve
from qdist.runs.reading import reduced
from tests.programs import RandomProgram

TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


def network(num_qubits):
    return qd.Network((qd.Node("a", num_qubits),))


def names(num_qubits):
    return [f"a/{i}" for i in range(num_qubits)]


def planned(program, num_qubits, precision="float64"):
    lowered = lower(program, network(num_qubits))
    return make_plan(lowered.instructions, outputs=dict(lowered.bits), itemsize=np.dtype(precision).itemsize)


def whole_vectors(plan, order, precision, **options):
    """Every cluster's vector, its wires in the order of the plan of one rank."""
    state = evolve(plan, np.dtype(precision), **options)
    return [reduced(state, [part], wires) for part, wires in zip(plan.final, order, strict=True)]


def same_on_ranks(on_ranks, plan, precision, threshold):
    order = [part.wires for part in plan.final]
    expected = whole_vectors(plan, order, precision)

    def body(comm):
        mine = shard(plan, ranks=comm.size, rank=comm.rank, threshold=threshold)
        found = whole_vectors(mine, order, precision, comm=comm)
        assert (comm.traffic.bytes_sent, comm.traffic.remaps) == (mine.bytes_sent, counted_remaps(mine))
        return found, mine

    plans = []
    for found, mine in on_ranks(body):
        for one, other in zip(found, expected, strict=True):
            assert np.allclose(one, other, atol=TOLERANCE[precision])
        plans.append(mine)
    return plans[0]


def counted_remaps(plan):
    return sum(type(operation).__name__ in ("Remap", "Spread") for operation in plan.operations)


def heralded(seed, length):
    """A random program with a herald in the middle and one at the end."""
    found = RandomProgram(seed, num_qubits=5, length=length)
    steps, bits = found.steps, found.bits
    first = next((k for k, step in enumerate(steps) if isinstance(step, qd.Measure) and step.when is None), None)
    if first is not None:
        steps.insert(first + 1, qd.Herald(qd.bit_is(steps[first].bit, 0), "early"))
    if bits:
        steps.append(qd.Herald(qd.bit_is(bits[-1], 0), "late"))
    return found.program()


def any_schedule(seed):
    """A valid schedule that is not planned ahead: at each stop another layout by lot."""

    def make(tasks, live, rank_bits, **_):
        lot = random.Random(seed)
        layouts, runs = [], []
        point = _Point(0, 0, 0, live)
        while point.count < len(tasks) or not layouts:
            qubits = [1 << k for k in range(point.live.bit_length()) if point.live >> k & 1]
            options = [sum(chosen) for chosen in itertools.combinations(qubits, rank_bits)]
            layout = lot.choice([option for option in options if option != point.split or not layouts] or options)
            point, ran = advance(tasks, _Point(point.base, point.done, layout, point.live, 0, point.count), rank_bits)
            layouts.append(layout)
            runs.append(ran)
        return Schedule(tuple(layouts), tuple(runs), 0.0)

    return make


@pytest.mark.parametrize("seed", range(8))
def test_every_layout_gives_the_same_state(seed, on_ranks, monkeypatch):
    monkeypatch.setattr(sharding, "make_schedule", any_schedule(seed))
    same_on_ranks(on_ranks, planned(heralded(seed + 100, 25), 5), "float64", 4**3)


def two_bricks(num_qubits, seed):
    rng = np.random.default_rng(seed)
    q = names(num_qubits)
    half = num_qubits // 2
    steps = [qd.Prepare(tuple(q))]
    for group in (q[:half], q[half:]):
        for layer in range(3):
            steps += [qd.apply("u3", name, params=tuple(6 * rng.random(3))) for name in group]
            steps += [qd.apply("cx", *group[i : i + 2]) for i in range(layer % 2, len(group) - 1, 2)]
    steps += [qd.apply("cx", q[0], q[-1]), qd.apply("h", q[half]), qd.apply("cx", q[half], q[1])]
    return qd.Program(tuple(steps), qubits=tuple(q))


def test_two_split_clusters_merge_into_one(on_ranks):
    mine = same_on_ranks(on_ranks, planned(two_bricks(8, 1), 8), "float64", 4**4)
    if mine.ranks in (2, 4):  # on more there is no room in a cluster of four
        assert "Gather" in [type(operation).__name__ for operation in mine.operations]


def entangled(num_qubits, seed=0):
    """A general state of all qubits, so that the next step finds one split cluster."""
    rng = np.random.default_rng(seed)
    q = names(num_qubits)
    steps = [qd.Prepare(tuple(q))]
    for layer in range(4):
        steps += [qd.apply("u3", name, params=tuple(6 * rng.random(3))) for name in q]
        steps += [qd.apply("cx", q[i], q[i + 1]) for i in range(layer % 2, num_qubits - 1, 2)]
    return steps


CHANNELS = qd.CHANNELS
FREE = {
    **{gate: [qd.apply(gate, "a/0")] for gate in ("z", "s", "t", "x", "y")},
    "rz": [qd.apply("rz", "a/0", params=(0.3,))],
    "cz": [qd.apply("cz", "a/0", "a/1")],
    "cz with a local qubit": [qd.apply("cz", "a/0", "a/5")],
    "cp": [qd.apply("cp", "a/0", "a/1", params=(0.3,))],
    "dephasing": [qd.Apply(CHANNELS["dephasing"].function(0.1), ("a/0",))],
    "depolarizing": [qd.Apply(CHANNELS["depolarizing"].function(0.1), ("a/0",))],
    "depolarizing2": [qd.Apply(CHANNELS["depolarizing2"].function(0.1), ("a/0", "a/5"))],
    "amplitude damping": [qd.Apply(CHANNELS["amplitude_damping"].function(0.1), ("a/0",))],
    "reset": [qd.Reset("a/0")],
    "measurement": [qd.Measure("a/0", "m", keep=True), qd.Measure("a/0", "n", keep=False)],
    "cx from a split control": [qd.apply("cx", "a/0", "a/5")],
    "cx between split qubits": [qd.apply("cx", "a/0", "a/1")],
    "swap": [qd.apply("swap", "a/0", "a/5")],
}
MIXING = {
    "h": [qd.apply("h", "a/0")],
    "ry": [qd.apply("ry", "a/0", params=(0.3,))],
    "ry by very little": [qd.apply("ry", "a/0", params=(1e-10,))],
    "cx onto a split target": [qd.apply("cx", "a/5", "a/0")],
}


def run_split(comm, steps, num_qubits=6):
    """A state whose first qubits are split, then some steps; their bytes and operations."""
    start = qd.final_states(qd.Program(tuple(entangled(num_qubits))), network(num_qubits)).state(names(num_qubits))
    program = qd.Program((qd.Prepare(tuple(names(num_qubits)), start), *steps))
    plan = planned(program, num_qubits)
    order = [part.wires for part in plan.final]
    mine = shard(plan, ranks=comm.size, rank=comm.rank, threshold=4**3)
    found = whole_vectors(mine, order, "float64", comm=comm)
    expected = whole_vectors(plan, order, "float64")
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, other, atol=1e-12)
    assert comm.traffic.bytes_sent == mine.bytes_sent
    return mine


@pytest.fixture
def first_layout_is_given(monkeypatch):
    def make(tasks, live, rank_bits, **_):
        layout = 2**rank_bits - 1
        point, ran = advance(tasks, _Point(0, 0, layout, live), rank_bits)
        if point.count == len(tasks):
            return Schedule((layout,), (ran,), 0.0)
        # The layout that brings the last local qubits in.
        after = live & ~((live.bit_length() and live) >> rank_bits)
        point, rest = advance(tasks, _Point(point.base, point.done, after, point.live, 0, point.count), rank_bits)
        assert point.count == len(tasks)
        return Schedule((layout, after), (ran, rest), 0.0)

    monkeypatch.setattr(sharding, "make_schedule", make)


@pytest.mark.parametrize("step", FREE)
def test_no_byte_moves_for(step, on_ranks, first_layout_is_given):
    for mine in on_ranks(lambda comm: run_split(comm, FREE[step])):
        assert (mine.bytes_sent, mine.remaps) == (0, 0)
        assert mine.ranks == 1 or mine.block_bytes == 8 * 4**6 // mine.ranks


@pytest.mark.parametrize("step", MIXING)
def test_one_remap_moves_just_the_part_that_must_for(step, on_ranks, first_layout_is_given):
    for mine in on_ranks(lambda comm: run_split(comm, MIXING[step])):
        rank_bits = mine.ranks.bit_length() - 1
        assert mine.remaps == (1 if rank_bits else 0)
        assert mine.bytes_sent == (1 - 2**-rank_bits) * mine.block_bytes


def brickwork(num_qubits, depth, seed=0):
    """Random U3 and depolarizing on every qubit, CNOT bricks with two-qubit depolarizing."""
    rng = np.random.default_rng(seed)
    q = names(num_qubits)
    steps = [qd.Prepare(tuple(q))]
    for layer in range(depth):
        for name in q:
            steps.append(qd.apply("u3", name, params=tuple(6 * rng.random(3))))
            steps.append(qd.Apply(CHANNELS["depolarizing"].function(0.001), (name,)))
        for i in range(layer % 2, num_qubits - 1, 2):
            steps.append(qd.apply("cx", q[i], q[i + 1]))
            steps.append(qd.Apply(CHANNELS["depolarizing2"].function(0.01), (q[i], q[i + 1])))
    return qd.Program(tuple(steps), qubits=tuple(q))


def in_and_out_bytes(program, num_qubits, ranks):
    """QuEST's scheme, a complex128 matrix moved in and out, gate by gate from the table of what each sends.

    The most significant qubits are distributed. A CNOT moves data only for its target.
    """
    split = set(names(num_qubits)[: ranks.bit_length() - 1])
    entries = 4**num_qubits // ranks
    total = 0
    for step in program.steps:
        if not isinstance(step, qd.Apply):
            continue
        touched = step.qubits if isinstance(step.operation, qd.Channel) else step.qubits[-1:]
        if split & set(touched):
            total += (8 if isinstance(step.operation, qd.Channel) else 16) * entries
    return total


@pytest.mark.parametrize(("precision", "times"), [("float64", 12), ("float32", 25)])
def test_a_noisy_brickwork_circuit_sends_far_less_than_moving_data_in_and_out(precision, times):
    program = brickwork(10, 10)
    plan = planned(program, 10, precision)
    sent = max(shard(plan, ranks=4, rank=rank).bytes_sent for rank in range(4))

    ratio = in_and_out_bytes(program, 10, 4) / sent
    modeled = in_and_out.in_and_out_bytes(lower(program, network(10)).instructions, set(names(2)), 4**10 // 4)
    assert modeled == in_and_out_bytes(program, 10, 4)

    print(f"{precision}: {sent} bytes sent by each rank, {ratio:.0f} times fewer than in and out")
    assert ratio >= times


def test_a_brickwork_circuit_sends_what_its_plan_said(on_ranks):
    plan = planned(brickwork(8, 8), 8)
    mine = same_on_ranks(on_ranks, plan, "float64", 4**6)
    assert mine.ranks == 1 or mine.bytes_sent > 0


def test_pieces_that_do_not_divide_a_block_evenly_arrive(on_ranks, monkeypatch):
    monkeypatch.setattr(exchange, "PIECE_BYTES", 96)
    same_on_ranks(on_ranks, planned(brickwork(6, 3), 6), "float64", 4**4)
