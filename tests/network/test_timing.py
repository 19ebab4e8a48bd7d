"""Who waits for what, and how long: hand-computed times and the decoherence that goes with them, in both clocks."""

import math

import numpy as np
import pytest

from qdist.network.devices import Device
from qdist.network.draws import Draws
from qdist.network.graph import Network, Node, chain
from qdist.network.links import SPEED_OF_LIGHT_IN_FIBER, Link
from qdist.network.program import (
    Apply,
    Combine,
    Generate,
    Measure,
    Prepare,
    Program,
    Record,
    Reset,
    Send,
    Wait,
    apply,
    bit_is,
    parity_is,
)
from qdist.network.timing import DrawnClock, DrawnTime, ExactClock, Moment, RandomOrderError, seconds
from qdist.network.waiting import Race
from qdist.physics.channels import dephasing
from qdist.physics.states import bell
from qdist.runs.execute import run
from qdist.runs.job import Job

T1, T2 = 7.0, 5.0
SLOW = Device(
    name="slow",
    t1=T1,
    t2=T2,
    one_qubit_duration=0.1,
    two_qubit_duration=0.4,
    readout_duration=0.7,
    preparation_duration=0.3,
)
LIGHT_SECOND = SPEED_OF_LIGHT_IN_FIBER
MODES = ("exact", "sampled")


def results(steps, network, pairs=()):
    """The same program with both clocks; nothing in it is random but outcomes."""
    program = Program(tuple(steps), pairs=pairs)
    return [run(Job(program=program, network=network, precision="float64", mode=m, shots=4)) for m in MODES]


def one_node(qubits, device=SLOW):
    return Network((Node("a", qubits, device),))


def pair_entries(result, record=-1, pair=0):
    """Correlators of a recorded pair by name."""
    table = result["metrics/correlations"][record, pair]
    return {a + b: table["IXYZ".index(a), "IXYZ".index(b)] for a in "IXYZ" for b in "IXYZ"}


def test_a_recorded_pair_has_waited_since_each_of_its_qubits_was_last_touched():
    """a/0 is ready after 0.3 + 0.1 s, a/1 after 0.3 + 3 · 0.1 s, which is the moment of the record."""
    steps = [
        Prepare(("a/0", "a/1")),
        apply("h", "a/0"),
        *[apply("h", "a/1")] * 3,
        Record("now"),
    ]

    for result in results(steps, one_node(2), (("a/0", "a/1"),)):
        found = pair_entries(result)
        assert result["metrics/time"] == pytest.approx([0.6])
        assert found["XI"] == pytest.approx(math.exp(-0.2 / T2))
        assert found["ZI"] == pytest.approx(1 - math.exp(-0.2 / T1))
        assert found["IX"] == pytest.approx(1.0)
        assert found["IZ"] == pytest.approx(0.0, abs=1e-12)


def test_a_two_qubit_gate_waits_for_the_later_qubit_and_the_earlier_one_decoheres():
    """a/0 is in |+⟩ from 0.4 s on, a/1 is ready at 0.3 + 2.0 s; cz leaves ⟨XZ⟩ of the control with the target's |0⟩."""
    steps = [
        Prepare(("a/0", "a/1")),
        apply("h", "a/0"),
        Wait(("a/1",), 2.0),
        apply("cz", "a/0", "a/1"),
        Record("gate done"),
    ]

    for result in results(steps, one_node(2), (("a/0", "a/1"),)):
        found = pair_entries(result)
        assert result["metrics/time"] == pytest.approx([2.7])
        assert found["XI"] == pytest.approx(math.exp(-1.9 / T2))
        assert found["ZI"] == pytest.approx(1 - math.exp(-1.9 / T1))
        assert found["IZ"] == pytest.approx(1.0)


def test_waiting_relaxes_towards_the_equilibrium_of_the_device():
    device = Device(name="warm", t1=T1, t2=T2, excited_population=0.2)
    steps = [Prepare(("a/0", "a/1")), apply("x", "a/0"), apply("h", "a/1"), Wait(("a/0", "a/1"), 3.0), Record("now")]

    for result in results(steps, one_node(2, device), (("a/0", "a/1"),)):
        found, decay = pair_entries(result), math.exp(-3.0 / T1)
        assert found["ZI"] == pytest.approx(-decay + 0.6 * (1 - decay))
        assert found["IX"] == pytest.approx(math.exp(-3.0 / T2))
        assert found["IZ"] == pytest.approx(0.6 * (1 - decay))


def test_waits_in_a_row_are_one_long_wait_and_channels_take_no_time():
    once = [Prepare(("a/0", "a/1")), apply("h", "a/0"), Wait(("a/0",), 1.5), Record("now")]
    steps = [Wait(("a/0",), 0.5), Apply(dephasing(0.0), ("a/0",))] * 3
    thrice = [*once[:2], *steps, Record("now")]

    for whole, parts in zip(
        results(once, one_node(2), (("a/0", "a/1"),)), results(thrice, one_node(2), (("a/0", "a/1"),)), strict=True
    ):
        assert np.allclose(whole["metrics/correlations"], parts["metrics/correlations"], atol=1e-12)
        assert np.allclose(whole["metrics/time"], parts["metrics/time"])


def far_nodes(*lengths, device=SLOW):
    """A chain a–b–c… of nodes with two qubits and fibers of these lengths in seconds of light."""
    names = "abcd"[: len(lengths) + 1]
    links = tuple(
        Link(between=(names[i], names[i + 1]), length=t * LIGHT_SECOND, success_probability=1.0, attempt_duration=0.0)
        for i, t in enumerate(lengths)
    )
    return Network(tuple(Node(name, 4, device) for name in names), links)


MESSAGES = {
    # The readout ends at 0.3 + 0.7 s; the last number is the time that the fastest message needs.
    "over a link": ((2.0,), (Send(("m",), "a", "b"),), "b", 1.0 + 2.0),
    "over two links": ((2.0, 0.5), (Send(("m",), "a", "c"),), "c", 1.0 + 2.5),
    "handed on": ((2.0, 0.5), (Send(("m",), "a", "b"), Send(("m",), "b", "c")), "c", 1.0 + 2.5),
    "by a slow and a fast way": (
        (2.0, 0.5),
        (Wait(("a/2",), 4.0), Measure("a/2", "late"), Send(("m", "late"), "a", "b"), Send(("m",), "a", "b")),
        "b",
        1.0 + 2.0,
    ),
    "handed on and sent back": ((2.0, 0.5), (Send(("m",), "a", "b"), Send(("m",), "b", "a")), "a", 1.0),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_a_conditional_gate_waits_for_its_bit(case):
    lengths, sends, node, arrival = MESSAGES[case]
    steps = [
        Prepare(("a/0", "a/2", f"{node}/1", f"{node}/3")),
        apply("h", f"{node}/1"),
        Measure("a/0", "m"),
        *sends,
        apply("z", f"{node}/1", when=bit_is("m")),
        Record("corrected"),
    ]

    for result in results(steps, far_nodes(*lengths), ((f"{node}/1", f"{node}/3"),)):
        assert result["metrics/time"] == pytest.approx([arrival + 0.1])
        assert pair_entries(result)["XI"] == pytest.approx(math.exp(-(arrival - 0.4) / T2))


def test_a_sum_of_bits_is_known_when_the_last_of_them_has_arrived():
    """At b: the own bit at 1.0 s, that of a at 1.0 + 2.0 s. Its sum goes on to c, 0.5 s away."""
    steps = [
        Prepare(("a/0", "b/0", "c/1", "c/2")),
        Measure("a/0", "m"),
        Measure("b/0", "n"),
        Send(("m",), "a", "b"),
        Combine("sum", ("m", "n")),
        Send(("sum",), "b", "c"),
        apply("x", "c/1", when=bit_is("sum")),
        Record("now"),
    ]

    for result in results(steps, far_nodes(2.0, 0.5), (("c/1", "c/2"),)):
        assert result["metrics/time"] == pytest.approx([3.0 + 0.5 + 0.1])


def test_several_bits_of_a_message_leave_together():
    steps = [
        Prepare(("a/0", "a/1", "b/1", "b/2")),
        Wait(("a/1",), 4.0),
        Measure("a/0", "early"),
        Measure("a/1", "late"),
        Send(("early", "late"), "a", "b"),
        apply("x", "b/1", when=bit_is("early")),
        Record("now"),
    ]

    for result in results(steps, far_nodes(2.0), (("b/1", "b/2"),)):
        assert result["metrics/time"] == pytest.approx([0.3 + 4.0 + 0.7 + 2.0 + 0.1])


def test_a_conditional_gate_takes_its_time_whether_or_not_it_is_made():
    base = [Prepare(("a/0", "a/1", "a/2")), apply("h", "a/1")]
    for flip in ((), (apply("x", "a/0"),)):
        steps = [*base, *flip, Measure("a/0", "m"), apply("cx", "a/1", "a/2", when=bit_is("m")), Record("now")]

        for result in results(steps, one_node(3), (("a/1", "a/2"),)):
            assert result["metrics/time"] == pytest.approx([0.3 + 0.1 * len(flip) + 0.7 + 0.4])


def test_conditional_measurements_and_resets_wait_for_their_bits():
    """The first readout ends at 1.0 s; then a readout of 0.7 s, or a preparation of 0.3 s, on a qubit that waited."""
    start = [Prepare(("a/0", "a/1", "a/2")), Measure("a/0", "m")]
    for step, takes in (
        (Measure("a/1", "n", keep=True, when=bit_is("m", 0)), 0.7),
        (Reset("a/1", bit_is("m", 0)), 0.3),
    ):
        for result in results([*start, step, Record("now")], one_node(3), (("a/1", "a/2"),)):
            assert result["metrics/time"] == pytest.approx([1.0 + takes])


def test_a_bit_that_a_conditional_measurement_leaves_alone_is_known_when_the_old_one_has_arrived():
    steps = [
        Prepare(("a/0", "b/0", "b/1", "b/2")),
        Measure("a/0", "m"),
        Send(("m",), "a", "b"),
        Measure("b/0", "never"),
        Measure("b/1", "m", keep=True, when=bit_is("never")),
        apply("x", "b/2", when=bit_is("m")),
        Record("now"),
    ]

    for result in results(steps, far_nodes(2.0), (("b/1", "b/2"),)):
        assert result["metrics/time"] == pytest.approx([1.0 + 2.0 + 0.1])


def test_tests_of_several_bits_wait_for_all_of_them():
    steps = [
        Prepare(("a/0", "b/0", "b/1", "b/2")),
        Measure("a/0", "m"),
        Measure("b/0", "n"),
        Send(("m",), "a", "b"),
        apply("x", "b/1", when=parity_is(("n", "m"))),
        Record("now"),
    ]

    for result in results(steps, far_nodes(2.0), (("b/1", "b/2"),)):
        assert result["metrics/time"] == pytest.approx([1.0 + 2.0 + 0.1])


def certain(durations, device=SLOW):
    """A chain whose links succeed at once, each after its duration."""
    names = [f"n{i}" for i in range(len(durations) + 1)]
    links = tuple(
        Link(between=(names[i], names[i + 1]), success_probability=1.0, attempt_duration=d)
        for i, d in enumerate(durations)
    )
    return Network(tuple(Node(name, 4, device) for name in names), links)


def test_a_pair_that_is_up_early_waits_in_its_memories_for_the_last_one():
    """Werner-like decay of Φ⁺ in two memories: ⟨XX⟩ by e^(−2t/T2), ⟨ZZ⟩ by e^(−2t/T1) + (1 − e^(−t/T1))²."""
    steps = [Generate((("n0/0", "n1/0"), ("n1/1", "n2/0"))), Record("up")]
    waited, decay = 2.5 - 1.0, math.exp(-1.5 / T1)

    for result in results(steps, certain((1.0, 2.5)), (("n0/0", "n1/0"), ("n1/1", "n2/0"))):
        early, last = pair_entries(result), pair_entries(result, pair=1)
        assert result["metrics/time"] == pytest.approx([2.5])
        assert early["XX"] == pytest.approx(math.exp(-2 * waited / T2))
        assert early["YY"] == pytest.approx(-math.exp(-2 * waited / T2))
        assert early["ZZ"] == pytest.approx(decay**2 + (1 - decay) ** 2)
        assert early["ZI"] == pytest.approx(1 - decay)
        assert last["XX"] == pytest.approx(1.0)


def test_a_link_makes_one_pair_at_a_time():
    steps = [Generate((("n0/0", "n1/0"),)), Generate((("n0/1", "n1/1"),)), Record("up")]

    for result in results(steps, certain((2.0,)), (("n0/0", "n1/0"), ("n0/1", "n1/1"))):
        assert result["metrics/time"] == pytest.approx([4.0])
        assert pair_entries(result)["XX"] == pytest.approx(math.exp(-2 * 2.0 / T2))
        assert pair_entries(result, pair=1)["XX"] == pytest.approx(1.0)


def test_a_link_is_busy_until_the_step_that_made_its_last_pair_is_over():
    """The first pair of n0-n1 is up after 1 s, but its step ends with the other link, after 2.5 s."""
    steps = [Generate((("n0/0", "n1/0"), ("n1/1", "n2/0"))), Generate((("n0/1", "n1/2"),)), Record("up")]

    for result in results(steps, certain((1.0, 2.5)), (("n0/1", "n1/2"),)):
        assert result["metrics/time"] == pytest.approx([2.5 + 1.0])


def test_a_link_starts_after_the_qubits_that_it_is_told_to_wait_for():
    steps = [
        Prepare(("n0/2", "n1/2")),
        Wait(("n0/2",), 5.0),
        Generate((("n0/0", "n1/0"),), after=("n0/2",)),
        Record("up"),
    ]

    for result in results(steps, certain((2.0,)), (("n0/0", "n1/0"),)):
        assert result["metrics/time"] == pytest.approx([0.3 + 5.0 + 2.0])


def test_memories_are_reused_when_they_are_free_again():
    """The first pair is up after 2 s, its near half is read out until 2.7 s, then the link can start again."""
    steps = [
        Generate((("n0/0", "n1/0"),)),
        Measure("n0/0", "m"),
        Measure("n1/0", "n"),
        Generate((("n0/0", "n1/0"),)),
        Record("up"),
    ]

    for result in results(steps, certain((2.0,)), (("n0/0", "n1/0"),)):
        assert result["metrics/time"] == pytest.approx([2.0 + 0.7 + 2.0])
        assert pair_entries(result)["XX"] == pytest.approx(1.0)


def test_a_joint_state_is_prepared_when_all_its_qubits_are_free():
    """a/0 is busy until 0.3 + 3.0 + 0.7 s; a/1 never was."""
    steps = [
        Prepare(("a/0",)),
        Wait(("a/0",), 3.0),
        Measure("a/0", "m"),
        Prepare(("a/0", "a/1"), bell()),
        Record("now"),
    ]

    for result in results(steps, one_node(2), (("a/0", "a/1"),)):
        assert result["metrics/time"] == pytest.approx([4.0 + 0.3])
        assert result["metrics/fidelity"] == pytest.approx(1.0)


def test_a_wide_gate_takes_the_time_of_the_gates_it_is_made_of():
    """Six cx and nine one-qubit gates; by hand, the longest path through them on one clock per qubit."""
    device = Device(name="d", one_qubit_duration=1.0, two_qubit_duration=10.0)
    ready = {"a": 0.0, "b": 0.0, "c": 0.0}
    for gate in [
        "h:c",
        "cx:bc",
        "tdg:c",
        "cx:ac",
        "t:c",
        "cx:bc",
        "tdg:c",
        "cx:ac",
        "t:b",
        "t:c",
        "h:c",
        "cx:ab",
        "t:a",
        "tdg:b",
        "cx:ab",
    ]:
        name, qubits = gate.split(":")
        end = max(ready[q] for q in qubits) + (10.0 if name == "cx" else 1.0)
        ready |= dict.fromkeys(qubits, end)

    steps = [Prepare(("a/0", "a/1", "a/2")), apply("ccx", "a/0", "a/1", "a/2"), Record("now")]

    for result in results(steps, one_node(3, device), (("a/0", "a/1"), ("a/1", "a/2"))):
        assert result["metrics/time"] == pytest.approx([max(ready.values())])


# -- the clocks themselves


def test_moments_of_one_frame_are_ordered_by_their_numbers():
    clock = ExactClock()
    start = clock.zero()
    late = clock.later(start, 3.0)

    assert clock.latest([start, late, clock.later(start, 2.0)]) == late
    assert clock.elapsed(start, late) == 3.0
    assert clock.mean(late) == 3.0


def test_what_follows_a_race_is_later_than_what_was_over_before_its_earliest_end():
    clock = ExactClock()
    start = clock.zero()
    race = Race((1.0, 2.0), (0.5, 1.5), (0.3, 0.4))
    end = clock.after_race(start.frame, race)
    after = clock.later(end, 1.0)

    assert clock.latest([clock.later(start, 3.5), end]) == end
    assert clock.latest([clock.later(start, 4.5), after]) == after
    with pytest.raises(RandomOrderError):
        clock.latest([clock.later(start, 3.6), end])
    with pytest.raises(RandomOrderError):
        clock.elapsed(start, end)
    assert clock.mean(after) == pytest.approx(1.0 + race.mean() + 1.0)


def test_the_earlier_of_two_moments_is_found_inside_a_frame_and_across_a_race():
    exact, drawn = ExactClock(), DrawnClock()
    start = exact.zero()
    end = exact.after_race(start.frame, Race((0.0,), (2.0,), (0.5,)))
    early, late = exact.later(start, 1.0), exact.later(start, 3.0)

    assert exact.earlier(early, late).offset == 1.0
    assert exact.earlier(early, end) is early
    assert exact.earlier(end, early) is early
    with pytest.raises(RandomOrderError):
        exact.earlier(late, end)
    first = drawn.earlier(drawn_at(drawn, [1.0, 4.0]), drawn.later(drawn.zero(), 2.0))
    assert seconds(first, SHOTS).tolist() == [1.0, 2.0, 0.0, 0.0]


def test_ends_of_independent_races_cannot_be_compared_but_those_of_later_ones_can():
    clock = ExactClock()
    start = clock.zero()
    race = Race((0.0,), (2.0,), (0.5,))
    one, other = clock.after_race(start.frame, race), clock.after_race(start.frame, race)
    second = clock.after_race(one.frame, race)

    assert clock.latest([one, second]) is second
    assert clock.latest([Moment(start.frame, 4.0), second]) is second
    assert clock.mean(second) == pytest.approx(8.0)
    for unknown in (other, second):
        with pytest.raises(RandomOrderError):
            clock.latest([other, one] if unknown is other else [other, second])


SHOTS = Draws(seed=0, first=0, shots=4)


def drawn_at(clock, times, after=None):
    """A moment that is at these times in the first shots, and at 0 in the others."""
    values = np.array([*times, *[0.0] * (SHOTS.shots - len(times))])
    return Moment(DrawnTime((after or clock.zero(),), lambda known, draws: values, 0.0, 0.0), 0.0)


def test_drawn_moments_are_compared_shot_by_shot():
    clock = DrawnClock()
    one, other = drawn_at(clock, [0.5, 2.0]), drawn_at(clock, [3.0, 0.0])

    latest = clock.latest([clock.later(clock.zero(), 1.0), one, other])

    assert seconds(latest, SHOTS).tolist() == [3.0, 2.0, 1.0, 1.0]
    assert clock.elapsed(one, latest).of(SHOTS).tolist() == [2.5, 0.0, 1.0, 1.0]


def test_a_drawn_moment_that_surely_follows_another_is_the_latest_of_them_without_a_comparison():
    clock = DrawnClock()
    start = clock.later(clock.zero(), 0.5)
    up = clock.after_attempts(start, 0, 0, 0.3, 2.0)
    again = clock.after_attempts(clock.later(up, 1.0), 1, 0, 0.3, 2.0)

    assert clock.latest([start, up]) is up
    assert clock.latest([again, clock.later(up, 2.5)]) is again
    assert clock.latest([again, clock.later(up, 3.5)]) is not again
    assert clock.elapsed(clock.later(up, 0.25), clock.later(up, 1.0)) == 0.75
    assert (seconds(again, SHOTS) >= seconds(up, SHOTS) + 3.0).all()


def test_a_drawn_time_at_the_end_of_a_long_chain_is_worked_out():
    clock = DrawnClock()
    moment = clock.zero()
    for link in range(5000):
        moment = clock.after_attempts(clock.later(moment, 1.0), link, 0, 0.5, 2.0)

    times = seconds(moment, SHOTS)

    assert clock.drawn_times == 5000
    assert (times >= 15_000).all()
    assert len(set(times.tolist())) == SHOTS.shots


def test_the_delay_of_a_message_is_length_over_the_speed_in_fiber():
    network = chain(3, link={"length": 30e3})

    assert network.message_delay("n0", "n2") == pytest.approx(60e3 * 1.468 / 299_792_458)
