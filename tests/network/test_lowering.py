"""Steps become what the hardware does: gates with errors, wide gates in parts, readouts, bits, and their order."""

import itertools
import math

import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.machine.instructions import Act, Create, JointRelax, Look, Observe, Remove
from qdist.network.devices import Device
from qdist.network.graph import Network, Node, chain
from qdist.network.links import Link
from qdist.network.lowering import lower
from qdist.network.ordering import races_last
from qdist.network.program import (
    Apply,
    Discard,
    Generate,
    Herald,
    Lose,
    Measure,
    Prepare,
    Program,
    Record,
    Reset,
    Twirl,
    Wait,
    apply,
    bit_is,
)
from qdist.physics.channels import amplitude_damping
from qdist.physics.gates import GATES, gate, unitary_gate
from qdist.physics.states import from_matrix, werner
from qdist.runs.execute import run
from qdist.runs.job import Job
from tests.programs import depolarizing_kraus
from tests.reference import PAULI, Reference, kron
from tests.tolerances import TOLERANCE

EXACT = TOLERANCE["float64"]


def node(qubits, device):
    return Network((Node("a", qubits, device),))


def simulate(steps, network, bits=(), **options):
    return run(Job(program=Program(tuple(steps), bits=bits), network=network, precision="float64", **options))


def random_matrix(seed, num_qubits):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(2**num_qubits,) * 2) + 1j * rng.normal(size=(2**num_qubits,) * 2)
    matrix = root @ root.conj().T
    return matrix / np.trace(matrix).real


def pauli_kraus(p, num_qubits):
    strings = ["".join(s) for s in itertools.product("IXYZ", repeat=num_qubits)]
    weights = [1 - p] + [p / (4**num_qubits - 1)] * (4**num_qubits - 1)
    return [math.sqrt(w) * kron(*(PAULI[x] for x in s)) for w, s in zip(weights, strings, strict=True)]


def two_qubit_parts(name, qubits):
    """The definition of a wide gate, and of the wide gates in it."""
    if not GATES[name].definition:
        return [(name, (), qubits)]
    parts = []
    for part, params, places in GATES[name].definition:
        where = [qubits[i] for i in places]
        parts += two_qubit_parts(part, where) if len(where) > 2 else [(part, params, where)]
    return parts


DEVICE = Device(name="rough", one_qubit_error=0.03, two_qubit_error=0.07)


@pytest.mark.parametrize("name", ["ccx", "cswap", "ccz", "rccx"])
def test_a_wide_gate_has_the_errors_of_the_gates_it_is_made_of(name):
    names = ["a/0", "a/1", "a/2"]
    start = random_matrix(4, 3)
    reference = Reference()
    reference.add(names, start)
    for part, params, qubits in two_qubit_parts(name, names):
        reference.apply([gate(part, *params).unitary], qubits)
        reference.apply(pauli_kraus((0.03, 0.07)[len(qubits) - 1], len(qubits)), qubits)

    found = simulate([Prepare(tuple(names), from_matrix(start)), apply(name, *names)], node(3, DEVICE)).state(names)

    assert np.allclose(found.matrix(), reference.state(names), atol=EXACT)


def test_gate_errors_follow_the_gate_only_where_it_is_made():
    """A conditional gate that is not made has no error; the branches of a fair coin mix half and half."""
    start = random_matrix(1, 1)
    steps = [
        Prepare(("a/0",)),
        Apply(gate("h"), ("a/0",)),
        Measure("a/0", "coin"),
        Prepare(("a/1",), from_matrix(start)),
        apply("y", "a/1", when=bit_is("coin")),
    ]

    found = simulate(steps, node(2, DEVICE)).state(("a/1",)).matrix()

    flipped = PAULI["Y"] @ start @ PAULI["Y"].conj().T
    noisy = sum(k @ flipped @ k.conj().T for k in depolarizing_kraus(0.03))
    assert np.allclose(found, (start + noisy) / 2, atol=EXACT)


def test_channels_and_the_identity_have_no_error_of_the_device():
    start = random_matrix(2, 1)
    steps = [Prepare(("a/0",), from_matrix(start)), apply("id", "a/0"), Apply(amplitude_damping(0.3), ("a/0",))]

    found = simulate(steps, node(1, DEVICE)).state(("a/0",)).matrix()

    damping = [np.diag([1, math.sqrt(0.7)]), np.array([[0, math.sqrt(0.3)], [0, 0]])]
    assert np.allclose(found, sum(k @ start @ k.conj().T for k in damping), atol=EXACT)


def test_a_wide_gate_that_is_not_in_the_library_needs_an_ideal_device():
    wide = unitary_gate(np.eye(8)[[0, 1, 2, 3, 4, 6, 5, 7]], "mine")
    steps = [Prepare(("a/0", "a/1", "a/2")), Apply(wide, ("a/0", "a/1", "a/2"))]

    assert simulate(steps, node(3, Device(name="ideal"))).state(("a/0",)).correlator("Z") == 1.0
    for device in (DEVICE, Device(name="rough", one_qubit_duration=1e-6)):
        with pytest.raises(QdistError) as error:
            simulate(steps, node(3, device))
        assert str(error.value) == (
            "Step 1 (apply): A gate on 3 qubits must be in the gate library to run on device 'rough', whose errors are "
            "for one and two qubits, but is 'mine'. Write it in gates on one and two qubits."
        )


READOUTS = [
    # device p01, p10, override, prepared in |1⟩, chance to read 1
    (0.1, 0.3, None, False, 0.1),
    (0.1, 0.3, None, True, 0.7),
    (0.1, 0.3, (0.0, 0.05), False, 0.0),
    (0.1, 0.3, (0.0, 0.05), True, 0.95),
]


@pytest.mark.parametrize(("p01", "p10", "readout", "excited", "expected"), READOUTS)
def test_readout_errors_are_those_of_the_device_unless_the_step_has_its_own(p01, p10, readout, excited, expected):
    device = Device(name="d", readout_p01=p01, readout_p10=p10)
    flips = [apply("x", "a/0")] * excited
    steps = [Prepare(("a/0",)), *flips, Measure("a/0", "m", readout=readout)]

    result = simulate(steps, node(1, device), bits=("m",))

    assert result.probability("1") == pytest.approx(expected, abs=EXACT)


def test_a_readout_error_touches_the_bit_and_not_the_qubit_that_is_kept():
    device = Device(name="d", readout_p01=0.25)
    steps = [Prepare(("a/0",)), Measure("a/0", "m", keep=True), Measure("a/0", "n", keep=True, readout=(0.0, 0.0))]

    result = simulate(steps, node(1, device), bits=("m", "n"))

    assert result.probability("10") == pytest.approx(0.25)
    assert result.probability("00") == pytest.approx(0.75)
    assert result.probability("01") + result.probability("11") == pytest.approx(0.0, abs=EXACT)


def test_preparations_and_resets_flip_with_the_preparation_error():
    device = Device(name="d", preparation_error=0.2)
    steps = [Prepare(("a/0", "a/1")), apply("x", "a/1"), Reset("a/1")]

    state = simulate(steps, node(2, device)).state(("a/0", "a/1"))

    assert state.correlator("ZI") == pytest.approx(0.6)
    assert state.correlator("IZ") == pytest.approx(0.6)
    assert state.correlator("ZZ") == pytest.approx(0.36)


def test_a_reset_cuts_what_the_qubit_shared():
    steps = [Prepare(("a/0", "a/1")), apply("h", "a/0"), apply("cx", "a/0", "a/1"), Reset("a/0")]

    state = simulate(steps, node(2, Device(name="ideal"))).state(("a/0", "a/1"))

    assert np.allclose(state.matrix(), np.kron(np.diag([1, 0]), np.eye(2) / 2), atol=EXACT)


def test_a_lost_qubit_is_flagged_and_replaced():
    steps = [Prepare(("a/0",)), apply("x", "a/0"), Lose("a/0", "flag", 0.3), Measure("a/0", "m")]

    result = simulate(steps, node(1, Device(name="ideal")), bits=("flag", "m"))

    assert result.probability("01") == pytest.approx(0.7)
    assert result.probability("10") == pytest.approx(0.3)


@pytest.mark.parametrize("seed", range(3))
def test_a_twirl_leaves_the_werner_state_of_the_same_fidelity(seed):
    matrix = random_matrix(seed, 2)
    fidelity = (matrix[0, 0] + matrix[3, 3] + matrix[0, 3] + matrix[3, 0]).real / 2
    pair = ("n0/0", "n1/0")

    state = simulate([Prepare(pair, from_matrix(matrix)), Twirl(pair)], chain(2)).state(pair)

    assert np.allclose(state.vector, werner(fidelity).vector, atol=EXACT)


def test_a_link_lays_its_pair_with_the_first_half_at_its_first_end_whatever_the_order_in_the_step():
    matrix = np.kron(np.diag([1.0, 0.0]), np.diag([0.25, 0.75]))
    network = Network((Node("a"), Node("b")), (Link(between=("a", "b"), matrix=matrix.tolist()),))
    for pair in (("a/0", "b/0"), ("b/0", "a/0")):
        state = simulate([Generate((pair,))], network).state(("a/0", "b/0"))

        assert np.allclose(state.matrix(), matrix, atol=EXACT)


def test_a_bit_that_is_written_again_keeps_its_old_value_for_the_steps_before():
    """M = 1 flips a/1; then m is measured anew, as 0, and must not flip a/2."""
    steps = [
        Prepare(("a/0", "a/1", "a/2")),
        apply("x", "a/0"),
        Measure("a/0", "m"),
        apply("x", "a/1", when=bit_is("m")),
        Prepare(("a/0",)),
        Measure("a/0", "m"),
        apply("x", "a/2", when=bit_is("m")),
    ]

    result = simulate(steps, node(3, Device(name="ideal")), bits=("m",))

    assert result.state(("a/1", "a/2")).matrix()[2, 2] == pytest.approx(1.0)
    assert result.probability("0") == pytest.approx(1.0)


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_a_conditional_measurement_that_is_not_made_leaves_the_bit_as_it_was(mode):
    for made in (0, 1):
        steps = [
            Prepare(("a/0", "a/1", "a/2")),
            apply("x", "a/0"),
            *[apply("x", "a/1")] * made,
            Measure("a/0", "m"),
            Measure("a/1", "made"),
            Measure("a/2", "m", keep=True, when=bit_is("made")),
        ]

        result = simulate(steps, node(3, Device(name="ideal")), bits=("m",), mode=mode, shots=8)

        assert result.probability("0" if made else "1") == pytest.approx(1.0)


def test_devices_without_noise_need_one_instruction_a_step():
    steps = (Prepare(("a/0", "a/1")), apply("h", "a/0"), Wait(("a/0",), 1.0), apply("cx", "a/0", "a/1"))
    rest = (Measure("a/0", "m"), Discard("a/1"), Record("end"))

    lowered = lower(Program(steps + rest), node(2, Device(name="ideal")))

    assert [type(i) for i in lowered.instructions] == [Create, Create, Act, Act, Observe, Remove, Look]


def test_memories_that_do_not_decay_need_no_joint_waiting():
    network = chain(3, qubits=2, link={"success_probability": 0.1, "attempt_duration": 1.0})
    program = Program((Generate((("n0/0", "n1/0"), ("n1/1", "n2/0"))),))

    lowered = lower(program, network)

    assert not any(isinstance(i, JointRelax) for i in lowered.instructions)


def test_too_many_memories_that_wait_for_one_random_time_are_refused():
    device = Device(name="d", t1=1.0, t2=1.0)
    network = chain(8, qubits=2, device=device, link={"success_probability": 0.1, "attempt_duration": 1.0})
    pairs = tuple((f"n{i}/{int(i > 0)}", f"n{i + 1}/0") for i in range(7))

    with pytest.raises(QdistError) as error:
        lower(Program((Generate(pairs),)), network)

    assert str(error.value) == (
        "Step 0 (generate): At most 12 qubits can wait for one random time in exact mode, but 14 do. "
        'Generate the pairs one after the other, or use mode = "sampled".'
    )


# -- the order of cause and effect

LOSSY = chain(4, qubits=3, link={"success_probability": 0.3, "attempt_duration": 1.0})


def order(*steps, groups=()):
    return races_last(Program(steps), LOSSY, groups)


def test_a_race_comes_after_everything_that_does_not_depend_on_it():
    race, local = Generate((("n0/0", "n1/0"),)), Prepare(("n3/0",))
    after_race = Measure("n0/0", "m")

    assert order(race, local, after_race, apply("h", "n3/0")) == [1, 3, 0, 2]


def test_what_depends_on_a_race_stays_after_it_in_order():
    steps = [
        Generate((("n0/0", "n1/0"),)),
        Prepare(("n0/1",)),
        apply("cx", "n0/0", "n0/1"),
        Measure("n0/1", "m"),
        apply("x", "n0/0", when=bit_is("m")),
    ]

    assert order(*steps) == [1, 0, 2, 3, 4]


def test_two_pairs_of_a_link_and_a_link_that_waits_for_a_qubit_keep_their_order():
    first, second = Generate((("n0/0", "n1/0"),)), Generate((("n0/1", "n1/1"),))
    waiting = Generate((("n2/0", "n3/0"),), after=("n1/1",))

    assert order(first, second, waiting) == [0, 1, 2]


def test_a_record_stays_between_the_heralds_that_surround_it():
    race, coins = Generate((("n0/0", "n1/0"),)), [Prepare(("n3/0", "n3/1")), Measure("n3/0", "m"), Measure("n3/1", "k")]
    steps = [*coins, race, Herald(bit_is("m")), Record("up"), Herald(bit_is("k"))]

    found = order(*steps, groups=(("n0/0", "n1/0"),))

    assert [found.index(n) for n in (4, 5, 6)] == sorted(found.index(n) for n in (4, 5, 6))
    assert found.index(3) < found.index(5)


@pytest.mark.parametrize("seed", range(20))
def test_the_new_order_keeps_every_pair_of_steps_that_share_a_name(seed):
    rng = np.random.default_rng(seed)
    steps, live = [], []
    for _ in range(40):
        kind = rng.integers(4)
        qubits = [f"n{n}/{k}" for n in range(4) for k in range(3)]
        if kind == 0:
            n, (a, b) = int(rng.integers(3)), rng.integers(0, 3, 2)
            steps.append(Generate(((f"n{n}/{a}", f"n{n + 1}/{b}"),), after=(str(rng.choice(qubits)),)))
        elif kind == 1:
            steps.append(Measure(str(rng.choice(qubits)), f"m{rng.integers(3)}", keep=True))
        elif kind == 2:
            steps.append(apply("x", str(rng.choice(qubits)), when=bit_is(f"m{rng.integers(3)}")))
        else:
            steps.append(Record(f"r{len(steps)}"))
    live = (("n0/0", "n1/0"), ("n2/2", "n3/1"))

    found = order(*steps, groups=live)

    assert sorted(found) == list(range(40))
    place = {n: k for k, n in enumerate(found)}
    for i, j in itertools.combinations(range(40), 2):
        (seen, changed), (seen_later, changed_later) = names(steps[i], live), names(steps[j], live)
        if changed & (seen_later | changed_later) or seen & changed_later:
            assert place[i] < place[j]


def names(step, groups):
    """What a step looks at and what it changes, by hand."""
    match step:
        case Generate(pairs=pairs, after=after):
            ends = sorted(q.partition("/")[0] for q in pairs[0])
            return set(after), {*pairs[0], f"link {ends}"}
        case Measure(qubit=qubit, bit=bit):
            return set(), {qubit, bit}
        case Apply(qubits=qubits, when=when):
            return set(), {*qubits, *when.bits}
    return {q for group in groups for q in group}, {"records"}
