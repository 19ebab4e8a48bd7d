"""A state over ranks is the state of one rank, whatever the program, the layout and the number of ranks."""

import itertools
import threading
from dataclasses import replace

import jax
import numpy as np
import pytest

from qdist.machine import exchange, sharding
from qdist.machine.comm import Traffic
from qdist.machine.instructions import Create
from qdist.machine.plan import Remap, Spread
from qdist.machine.planner import make_plan
from qdist.machine.schedule import Schedule
from qdist.machine.sharding import shard
from qdist.network.draws import Draws
from qdist.network.graph import Network, Node
from qdist.network.lowering import lower
from qdist.network.program import Apply, Discard, Herald, Measure, Prepare, Program, Reset, apply, bit_is
from qdist.physics import channels
from qdist.physics.gates import unitary_gate
from qdist.physics.states import from_matrix
from qdist.runs.evolve import evolve
from qdist.runs.reading import entry
from qdist_kernels import is_jax, native, placement, staging
from tests.devices import put_on_device
from tests.random_plans import (
    SHOTS,
    AllSteps,
    joint_relax,
    random_plan,
    run_alone,
    seen,
)

TOLERANCE = {"float64": 1e-12, "float32": 1e-6}
SPLIT = {1: 4**3, 2: 4**3, 4: 4**4, 8: 4**4}
"""Entries from which clusters are split, by the number of ranks: as few as leave a qubit of a gate on each rank."""


def run_shared(comm, plan, precision="float64", draws=None, threshold=None):
    """What is seen with ranks; and that they moved what the plan said, no more."""
    mine = shard(plan, ranks=comm.size, rank=comm.rank, threshold=threshold or SPLIT[comm.size])
    with jax.enable_x64(precision == "float64"):
        state = evolve(mine, np.dtype(precision), comm=comm, draws=draws)
        found = seen(plan, mine, state, draws)
    assert comm.traffic.bytes_sent == mine.bytes_sent
    # A rank whose part is empty takes no part in a change of layout.
    moves = sum(isinstance(one, Remap | Spread) for one in mine.operations)
    assert comm.traffic.remaps == moves <= mine.remaps
    sent, received = comm.sum(np.array([comm.traffic.bytes_sent, comm.traffic.bytes_received], float))
    assert sent == received
    return found


def check(found, expected, tolerance):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert np.abs(np.asarray(a, float) - np.asarray(b, float)).max(initial=0.0) <= tolerance


def wandering(seed):
    """Schedules that obey the rules, and nothing else: a random task of those that may run, a random next layout."""

    def make_schedule(tasks, live, rank_bits):
        rng = np.random.default_rng([seed, len(tasks), live])

        def layout():
            bits = [1 << k for k in range(live.bit_length()) if live >> k & 1]
            return sum(int(bit) for bit in rng.choice(bits, rank_bits, replace=False))

        def may_run(number, left):
            task = tasks[number]
            waits = any(tasks[earlier].wires & task.wires for earlier in left if earlier < number)
            is_full = split.bit_count() == rank_bits or not task.needs_all
            return not waits and is_full and split & task.qubits in task.moves

        split = layout()
        layouts, runs, left = [split], [[]], list(range(len(tasks)))
        while left:
            allowed = [number for number in left if may_run(number, left)]
            if not allowed or rng.random() < 0.15:
                split = layout()
                layouts.append(split)
                runs.append([])
                continue
            number = int(rng.choice(allowed))
            here = split & tasks[number].qubits
            split = split & ~here | tasks[number].moves[here]
            live = (live | tasks[number].creates) & ~tasks[number].removes
            left.remove(number)
            runs[-1].append(number)
        return Schedule(tuple(layouts), tuple(map(tuple, runs)), 0.0)

    return make_schedule


@pytest.fixture(params=range(3), ids=lambda seed: f"schedule {seed}")
def any_schedule(request, monkeypatch):
    monkeypatch.setattr(sharding, "make_schedule", wandering(request.param))


def same_as_alone(on_ranks, plan, precision="float64", **options):
    expected = run_alone(plan, precision, options.get("draws"))
    for found in on_ranks(lambda comm: run_shared(comm, plan, precision, **options)):
        check(found, expected, TOLERANCE[precision])


@pytest.mark.parametrize(
    ("seed", "precision"), [*((k, "float64") for k in range(10)), (10, "float32"), (11, "float32")]
)
def test_a_state_over_ranks_is_the_state_of_one_rank(on_ranks, seed, precision):
    same_as_alone(on_ranks, random_plan(seed, 4 + seed % 3, 35, precision=precision), precision)


@pytest.mark.parametrize("seed", range(100, 106))
def test_every_layout_gives_the_same_state(on_ranks, any_schedule, seed):
    same_as_alone(on_ranks, random_plan(seed, 4 + seed % 3, 30))


@pytest.mark.parametrize("seed", range(200, 208))
def test_the_outcomes_of_each_shot_are_those_of_one_rank(on_ranks, seed):
    plan, draws = random_plan(seed, 4 + seed % 3, 30, shots=SHOTS), Draws(seed, 0, SHOTS)
    same_as_alone(on_ranks, plan, draws=draws)


@pytest.mark.parametrize("shots", [None, SHOTS])
@pytest.mark.parametrize("seed", range(4))
def test_ranks_that_split_nothing_need_the_memory_of_one_rank(seed, shots):
    plan = random_plan(seed, 5, 25, shots=shots)
    found = shard(plan, ranks=2, threshold=4**9).peak_bytes
    assert plan.peak_bytes <= found <= 1.25 * plan.peak_bytes  # with what a merge reads, up to a quarter of its result


@pytest.mark.parametrize("seed", range(300, 302))
def test_every_layout_gives_the_same_outcomes(on_ranks, any_schedule, seed):
    plan, draws = random_plan(seed, 5, 30, shots=SHOTS), Draws(seed, 0, SHOTS)
    same_as_alone(on_ranks, plan, draws=draws)


@pytest.mark.parametrize("value", [0, 1])
def test_postselected_outcomes_give_the_same_state(on_ranks, value):
    written = AllSteps(5, num_qubits=5, length=12)
    qubit = written.live[0]
    steps = [*written.steps, apply("h", qubit), Measure(qubit, "last", "X", True, (0.1, 0.2))]
    written.steps = steps
    for _ in range(8):
        written.random_step()
    lowered = lower(written.program() + Program((), bits=("last",)), Network((Node("a", 5),)))
    plan = make_plan(lowered.instructions, postselect={lowered.wires["last"]: value}, itemsize=8)
    same_as_alone(on_ranks, plan)


def test_blocks_on_a_device_are_the_same(on_ranks, monkeypatch):
    put_on_device(monkeypatch, 4**3)
    same_as_alone(on_ranks, random_plan(1, 4, 8, shots=SHOTS), draws=Draws(1, 0, SHOTS))


def test_blocks_go_from_device_to_device_where_mpi_can(comm, monkeypatch):
    if comm.size == 1:
        pytest.skip("threads take NumPy arrays only")
    if jax.default_backend() != "cpu" and not comm.is_gpu_aware:
        pytest.skip("this MPI takes no memory of a GPU")
    put_on_device(monkeypatch, 4)
    monkeypatch.setattr(sharding, "make_schedule", wandering(1))
    plan = random_plan(101, 5, 12)
    found = run_shared(replace(comm, traffic=Traffic(), is_gpu_aware=True), plan)
    check(found, run_alone(plan, "float64"), TOLERANCE["float64"])


@pytest.mark.parametrize("is_pinned", [True, False])
@pytest.mark.parametrize(("piece", "several"), [(8, 3), (16, 8), (96, 2), (2**20, 1)])
def test_blocks_pass_through_the_host_in_slices_of_any_size(on_ranks, monkeypatch, piece, several, is_pinned):
    put_on_device(monkeypatch, 4)
    for module in (native, staging):
        monkeypatch.setattr(module, "is_on_device", is_jax)
    monkeypatch.setattr(staging, "has_pinned_memory", lambda device: is_pinned)
    monkeypatch.setattr(exchange, "PIECE_BYTES", piece)
    monkeypatch.setattr(exchange, "SLICE_BYTES", several * piece)
    monkeypatch.setattr(sharding, "make_schedule", wandering(1))
    same_as_alone(on_ranks, random_plan(11, 5, 15))
    same_as_alone(on_ranks, random_plan(12, 4, 15, shots=SHOTS), draws=Draws(12, 0, SHOTS))


def test_a_rank_with_a_device_and_one_without_understand_each_other(on_ranks, monkeypatch):
    here = threading.local()
    monkeypatch.setattr(native, "is_used", lambda: False)
    monkeypatch.setattr(placement, "stays_on_host", lambda entries: here.rank % 2 == 0 or entries <= 4)
    monkeypatch.setattr(exchange, "PIECE_BYTES", 64)
    monkeypatch.setattr(sharding, "make_schedule", wandering(2))
    plan = random_plan(13, 5, 15)
    here.rank = 0
    expected = run_alone(plan, "float64")

    def body(comm):
        here.rank = comm.rank
        return run_shared(comm, plan)

    for found in on_ranks(body):
        check(found, expected, TOLERANCE["float64"])


@pytest.mark.parametrize("piece", [8, 96, 1000])
def test_messages_of_any_size_bring_the_same_blocks(on_ranks, monkeypatch, piece):
    monkeypatch.setattr(exchange, "PIECE_BYTES", piece)
    monkeypatch.setattr(sharding, "make_schedule", wandering(1))
    same_as_alone(on_ranks, random_plan(11, 5, 15))
    same_as_alone(on_ranks, random_plan(12, 4, 15, shots=SHOTS), draws=Draws(12, 0, SHOTS))


def random_state(rng, qubits):
    real, imaginary = rng.normal(size=(2, 2**qubits, 2**qubits))
    root = real + 1j * imaginary
    matrix = root @ root.conj().T
    return from_matrix(matrix / np.trace(matrix).real)


def coming_and_going(seed, group, shots=None):
    """Clusters of `group` qubits that are split, become one, lose most of their qubits, and meet another one."""
    written = AllSteps(seed, num_qubits=0, length=0)
    written.condition = lambda: (None, None)  # each bit that is asked later would be one more digit
    rng, old = written.rng, []
    for meeting in range(3):
        new = [f"a/{meeting * group + k}" for k in range(group)]
        written.steps.append(Prepare(tuple(new), random_state(rng, group)))
        written.live = list(new)
        for kind in ("general", "one", "general", "noise_on_pair"):
            getattr(written, kind)()
        if old:
            written.steps.append(apply("crx", new[0], old[0], params=(1.0,)))
        written.live = old + new
        for kind in ("general", "relax", "two", "general"):
            getattr(written, kind)()
        leaving = [str(q) for q in rng.permutation(written.live)[: (0, group, group + 1)[meeting]]]
        for number, qubit in enumerate(leaving):
            if number % 2:
                written.steps.append(Discard(qubit))
            else:
                written.bits.append(f"m{len(written.bits)}")
                written.steps.append(Measure(qubit, written.bits[-1], "ZX"[number % 4 // 2]))
            written.live.remove(qubit)
            written.general()
        old = list(written.live)
    lowered = lower(written.program(), Network((Node("a", 3 * group),)), sampled=shots is not None)
    few = {bit: lowered.bits[bit] for bit in written.bits[-2:]}
    return make_plan(lowered.instructions, outputs=few, itemsize=8, shots=shots)


GROUP = {1: 3, 2: 3, 4: 4, 8: 5}
"""Qubits that leave room for a gate of two beside the rank bits."""


@pytest.mark.parametrize("shots", [None, 4])
@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_split_merged_emptied_and_filled_again(on_ranks, monkeypatch, seed, shots):
    if seed % 2:
        monkeypatch.setattr(sharding, "make_schedule", wandering(seed))

    def body(comm):
        group, draws = GROUP[comm.size], None if shots is None else Draws(seed, 0, shots)
        if shots is not None and comm.size > 4:
            return  # the same again, and long
        plan = coming_and_going(seed, group, shots)
        check(run_shared(comm, plan, draws=draws, threshold=4**group), run_alone(plan, "float64", draws), 1e-12)

    on_ranks(body)


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_those_clusters_were_split_merged_emptied_and_filled_again(monkeypatch, ranks):
    monkeypatch.setattr(sharding, "make_schedule", wandering(1))
    kinds = set()
    for seed in range(4):
        plan = coming_and_going(seed, GROUP[ranks])
        mine = shard(plan, ranks=ranks, rank=ranks - 1, threshold=4 ** GROUP[ranks])
        kinds |= {type(operation).__name__ for operation in mine.operations}
    assert kinds >= {"Gather", "Merge", "Drop", "Spread", "Remap"}


def test_a_rank_that_has_nothing_yet_counts_only_the_remaps_that_it_takes_part_in(on_ranks, monkeypatch):
    """All rank bits are idle when a new qubit comes: blocks are halved, first for some ranks and then for more."""
    monkeypatch.setattr(sharding, "make_schedule", stubborn(NAMES[:3]))
    start = random_state(np.random.default_rng(1), 5)

    def body(comm):
        idle = NAMES[: comm.size.bit_length() - 1]
        steps = [Prepare(tuple(NAMES), start), *(Discard(qubit) for qubit in idle), Prepare(("a/5", "a/6"))]
        steps += [apply("u3", "a/5", params=(1, 2, 3)), apply("rxx", NAMES[3], "a/5", params=(0.3,))]
        plan = make_plan(lower(Program(tuple(steps)), Network((Node("a", 7),))).instructions, itemsize=8)
        monkeypatch.setattr(sharding, "make_schedule", stubborn(idle))
        check(run_shared(comm, plan, threshold=4**2), run_alone(plan, "float64"), 1e-12)

    on_ranks(body)


# What moves nothing, and what moves one part.

NAMES = [f"a/{k}" for k in range(5)]
ROTATION = np.linalg.qr(np.random.default_rng(7).normal(size=(4, 8)).view(complex))[0]


def noise(name, *arguments, **options):
    return lambda *qubits: (Apply(channels.CHANNELS[name].function(*arguments, **options), qubits),)


def turn(name, *params):
    return lambda *qubits: (apply(name, *qubits, params=params),)


def measured(basis="Z", keep=True, readout=(0.1, 0.2)):
    return lambda qubit: (Measure(qubit, "m", basis, keep, readout),)


PAULIS = {"XX": 0.1, "ZI": 0.2, "YZ": 0.05}
FREE = {
    # one qubit
    **{name: turn(name) for name in ("z", "s", "sdg", "t", "x", "y")},
    **{name: turn(name, 0.3) for name in ("rz", "p")},
    **{name: noise(name, 0.3) for name in ("depolarizing", "dephasing", "bit_flip", "bit_phase_flip")},
    "pauli_channel": noise("pauli_channel", x=0.1, y=0.2, z=0.3),
    "amplitude_damping": noise("amplitude_damping", 0.3),
    "generalized_amplitude_damping": noise("generalized_amplitude_damping", 0.3, 0.2),
    "thermal_relaxation": noise("thermal_relaxation", 1.0, 2.0, 3.0, excited_population=0.1),
    "over_rotation about z": noise("over_rotation", "Z", 0.3),
    "reset": lambda qubit: (Reset(qubit),),
    "discard": lambda qubit: (Discard(qubit),),
    "measurement": measured(),
    "measurement and a use": lambda qubit: (*measured()(qubit), apply("z", qubit)),
    "measurement and a condition": lambda qubit: (*measured()(qubit), apply("x", qubit, when=bit_is("m"))),
    "destructive measurement": measured(keep=False),
    "herald": lambda qubit: (*measured()(qubit), Herald(bit_is("m"))),
    # two qubits
    **{name: turn(name) for name in ("cz", "swap")},
    **{name: turn(name, 0.3) for name in ("cp", "crz", "rzz")},
    "depolarizing2": noise("depolarizing2", 0.3),
    "pauli_channel2": noise("pauli_channel2", PAULIS),
    "zz_crosstalk": noise("zz_crosstalk", 0.3),
}
MIXING = {
    "h": turn("h"),
    "sx": turn("sx"),
    "rx": turn("rx", 0.3),
    "ry": turn("ry", 0.3),
    "u3": turn("u3", 0.3, 0.4, 0.5),
    "over_rotation about x": noise("over_rotation", "X", 0.3),
    "measurement of X": measured("X"),
    "destructive measurement of Y": measured("Y", False),
    "a general gate": lambda *qubits: (Apply(unitary_gate(ROTATION), qubits),),
    "rxx and ryy": lambda *qubits: (apply("rxx", *qubits, params=(0.3,)), apply("ryy", *qubits, params=(0.4,))),
}
PAIRS = {"a general gate", "rxx and ryy", "cz", "swap", "cp", "crz", "rzz", "depolarizing2", "pauli_channel2"}
PAIRS |= {"zz_crosstalk"}


def stubborn(first):
    """Starts with a given layout, and remaps only for a task that cannot run, with as few x bits as possible."""

    def make_schedule(tasks, live, rank_bits):
        split = sum(1 << NAMES.index(name) for name in first)
        layouts, runs = [split], [[]]
        for number, task in enumerate(tasks):
            if split & task.qubits not in task.moves or (task.needs_all and split.bit_count() < rank_bits):
                options = [sum(1 << k for k in ks) for ks in itertools.combinations(range(5), rank_bits)]
                options = [o for o in options if o & task.qubits in task.moves and not o & ~live]
                split = min(options, key=lambda o: (split & ~o).bit_count())
                layouts.append(split)
                runs.append([])
            here = split & task.qubits
            split = split & ~here | task.moves[here]
            live = (live | task.creates) & ~task.removes
            runs[-1].append(number)
        return Schedule(tuple(layouts), tuple(map(tuple, runs)), 0.0)

    return make_schedule


class Watched:
    """Ranks, and how many bytes are sent to which of them."""

    def __init__(self, comm):
        self.comm = comm
        self.to = {}

    def __getattr__(self, name):
        return getattr(self.comm, name)

    def exchange(self, partner, send, receive):
        self.to[partner] = self.to.get(partner, 0) + send.nbytes
        self.comm.exchange(partner, send, receive)


def run_from_every_layout(on_ranks, monkeypatch, steps):
    """For each set of qubits that is split at first: the plans, and what each rank sent to whom."""
    start = random_state(np.random.default_rng(1), 5)
    program = Program((Prepare(tuple(NAMES), start), *steps))
    lowered = lower(program, Network((Node("a", 5),)))
    plan = make_plan(lowered.instructions, outputs={bit: lowered.wires[bit] for bit in lowered.wires}, itemsize=8)
    expected = run_alone(plan, "float64")

    def body(comm):
        # The other numbers of ranks have nothing to say about this layout.
        if comm.size != 2 ** len(first):
            return None
        watched = Watched(comm)
        check(run_shared(watched, plan, threshold=4**3), expected, 1e-12)
        return shard(plan, ranks=comm.size, rank=comm.rank, threshold=4**3), watched.to

    for count in (1, 2, 3):
        for first in itertools.combinations(NAMES, count):
            monkeypatch.setattr(sharding, "make_schedule", stubborn(first))
            yield from ((set(first), *found) for found in on_ranks(body) if found is not None)


def touched_by(name):
    return NAMES[1:3] if name in PAIRS else NAMES[1:2]


@pytest.mark.parametrize("name", FREE)
def test_no_layout_makes_it_move_a_byte(on_ranks, monkeypatch, name):
    steps = FREE[name](*touched_by(name))
    for _, plan, sent in run_from_every_layout(on_ranks, monkeypatch, steps):
        assert (plan.bytes_sent, plan.remaps, sent) == (0, 0, {})


def test_waiting_together_moves_no_byte(on_ranks, monkeypatch):
    plain = make_plan

    def with_waiting(found, **options):
        return plain([*found, joint_relax(np.random.default_rng(3), NAMES[1:4])], **options)

    monkeypatch.setitem(globals(), "make_plan", with_waiting)
    for _, plan, _ in run_from_every_layout(on_ranks, monkeypatch, ()):
        assert (plan.bytes_sent, plan.remaps) == (0, 0)


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_x_bits_moves_them_once_and_only_those(on_ranks, monkeypatch, name):
    qubits = touched_by(name)
    for split, plan, sent in run_from_every_layout(on_ranks, monkeypatch, MIXING[name](*qubits)):
        bits = len(split & set(qubits))
        block = 8 * 4**5 // plan.ranks
        assert plan.remaps == (bits > 0)
        assert plan.bytes_sent == sum(sent.values()) == block - block // 2**bits
        assert sorted(sent.values()) == [block // 2**bits] * (2**bits - 1)


@pytest.mark.parametrize(("control", "target"), [(1, 3), (3, 1)])
def test_a_cnot_moves_half_a_block_from_a_local_control_to_a_split_target_and_else_nothing(
    on_ranks, monkeypatch, control, target
):
    steps = (apply("cx", NAMES[control], NAMES[target]),)
    for split, plan, sent in run_from_every_layout(on_ranks, monkeypatch, steps):
        must = NAMES[target] in split and NAMES[control] not in split
        assert (plan.remaps, len(sent)) == (must, must)
        assert plan.bytes_sent == must * 8 * 4**5 // plan.ranks // 2


# Scaling.


def brickwork(qubits, depth, seed=0):
    """Random U3 and depolarizing on every qubit, CNOT bricks and depolarizing of pairs."""
    rng, names = np.random.default_rng(seed), [f"a/{k}" for k in range(qubits)]
    steps = [Prepare(tuple(names))]
    for layer in range(depth):
        for name in names:
            steps += [apply("u3", name, params=tuple(6 * rng.random(3))), *noise("depolarizing", 0.001)(name)]
        for k in range(layer % 2, qubits - 1, 2):
            pair = names[k], names[k + 1]
            steps += [apply("cx", *pair), *noise("depolarizing2", 0.01)(*pair)]
    return Program(tuple(steps), qubits=tuple(names))


def brickwork_plan(qubits, depth, itemsize=8, start=None):
    found = list(lower(brickwork(qubits, depth), Network((Node("a", qubits),))).instructions)
    if start is not None:
        found = [Create(tuple(f"a/{k}" for k in range(qubits)), start), *found]
        found = [step for step in found if not isinstance(step, Create) or step is found[0]]
    return make_plan(found, itemsize=itemsize)


@pytest.mark.parametrize("scaling", ["strong", "weak"])
def test_each_rank_sends_what_the_plan_says_however_many_there_are(on_ranks, scaling):
    def body(comm):
        qubits = 7 if scaling == "strong" else 6 + (comm.size.bit_length() - 1) // 2
        plan = brickwork_plan(qubits, 6)
        run_shared(comm, plan, threshold=4**5)  # compares them
        return comm.size, qubits, shard(plan, ranks=comm.size, rank=comm.rank, threshold=4**5)

    for size, qubits, mine in on_ranks(body):
        assert mine.bytes_sent > 0 or size == 1
        assert mine.block_bytes == (8 * 4**qubits // size if size > 1 else 0)


def in_and_out(program, split):
    """Bytes for each entry that a rank holds, on the mean of all ranks, for a complex double matrix (QuEST).

    A CNOT with both qubits distributed moves the blocks of the half of the ranks where the control is 1.
    """
    total = 0
    for step in program.steps[1:]:
        here = [qubit in split for qubit in step.qubits]
        if step.operation.name.startswith("depolarizing"):
            total += 8 * any(here)
        elif step.operation.name == "cx":
            total += {(0, 0): 0, (1, 0): 0, (0, 1): 16, (1, 1): 8}[tuple(here)]
        else:
            total += 16 * any(here)
    return total


@pytest.mark.parametrize("entangled", [False, True], ids=["from the ground state", "from a state of all qubits"])
@pytest.mark.parametrize(("itemsize", "times"), [(8, 12), (4, 25)], ids=["float64", "float32"])
def test_noisy_brickwork_sends_far_fewer_bytes_than_a_matrix_moved_in_and_out(itemsize, times, entangled):
    plan = brickwork_plan(10, 10, itemsize, np.zeros(4**10) if entangled else None)
    sent = [shard(plan, ranks=4, rank=rank).bytes_sent for rank in range(4)]

    moved = in_and_out(brickwork(10, 10), {"a/8", "a/9"}) * 4**10 // 4

    print(f"{moved} bytes in and out, {max(sent)} by x bits: {moved / max(sent):.1f} times fewer")
    assert max(sent) * times <= moved


def test_ten_qubits_of_noisy_brickwork_on_four_ranks_are_those_of_one_rank(on_ranks):
    plan = brickwork_plan(10, 10, 4)
    letters = [dict(zip(plan.final[0].wires, string, strict=True)) for string in ("ZZIIIIIIII", "XXYIIIIIIZ")]

    def body(comm):
        if comm.size != 4:
            return None
        mine = shard(plan, ranks=4, rank=comm.rank)
        state = evolve(mine, np.float32, comm=comm)
        assert (comm.traffic.bytes_sent, comm.traffic.remaps) == (mine.bytes_sent, mine.remaps)
        return [float(np.ravel(entry(state, mine.final[0], string))[0]) for string in letters]

    found = [numbers for numbers in on_ranks(body) if numbers is not None]
    if found:
        state = evolve(plan, np.float32)
        expected = [float(np.ravel(entry(state, plan.final[0], string))[0]) for string in letters]
        assert np.abs(np.array(found) - expected).max() <= TOLERANCE["float32"]
