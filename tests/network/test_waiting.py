"""Averages over random waiting are the sums over attempts that they stand for, and exact runs are means of shots."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.network.devices import Device
from qdist.network.graph import Network, Node, chain, ring, star
from qdist.network.links import Link
from qdist.network.program import (
    Generate,
    Herald,
    Measure,
    Prepare,
    Program,
    Record,
    Send,
    Wait,
    apply,
    bell_measurement,
    bit_is,
)
from qdist.network.protocols import build_protocol
from qdist.network.timing import RandomOrderError
from qdist.network.waiting import Race
from qdist.physics.states import werner
from qdist.runs.execute import run
from qdist.runs.job import Job, Recording
from tests.reference import kron
from tests.tolerances import TOLERANCE

EXACT = TOLERANCE["float64"]

RACES = {
    "in step": Race((0.0, 0.0), (1.0, 1.0), (0.3, 0.5)),
    "in step, three": Race((2.0, 2.0, 2.0), (0.7, 0.7, 0.7), (0.3, 0.5, 0.8)),
    "one certain": Race((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (1.0, 0.4, 0.6)),
    "other durations": Race((0.0, 0.0), (1.0, math.sqrt(2)), (0.4, 0.5)),
    "ties": Race((0.0, 1.0, 0.0), (2.0, 1.0, 3.0), (0.5, 0.6, 0.4)),
    "other starts": Race((0.0, 0.35), (1.0, 1.0), (0.4, 0.5)),
    "late start": Race((0.0, 7.5), (1.0, 0.5), (0.3, 0.9)),
    "late and certain": Race((0.0, 7.5, 1.0), (1.0, 0.5, 2.0), (0.3, 1.0, 0.6)),
    "alone": Race((3.0,), (0.5,), (0.3,)),
}


def attempts_of(race, tail=1e-14):
    """All combinations of attempt numbers that matter: (times of success, shape (links, k); probabilities)."""
    most = [1 if p == 1 else math.ceil(math.log(tail) / math.log1p(-p)) for p in race.probabilities]
    grids = np.meshgrid(*(np.arange(1, m + 1) for m in most), indexing="ij")
    chance, times = 1.0, []
    for grid, s, d, p in zip(grids, race.starts, race.durations, race.probabilities, strict=True):
        chance = chance * p * (1 - p) ** (grid - 1)
        times.append(s + grid * d)
    return np.array(times).reshape(len(race.starts), -1), np.asarray(chance, float).reshape(-1)


@pytest.mark.parametrize("name", RACES)
def test_average_is_the_sum_over_all_attempts(name):
    race = RACES[name]
    rng = np.random.default_rng(1)
    rates, common = rng.uniform(0, 0.8, (7, len(race.starts))), rng.uniform(0, 0.5, 7)
    rates[0], common[1], rates[2], common[2] = 0.0, 0.0, 0.0, 0.0

    found = race.average(rates, common)

    times, chance = attempts_of(race)
    end = times.max(axis=0)
    for k in range(len(common)):
        exponent = -(rates[k][:, None] * (end - times)).sum(axis=0) - common[k] * (end - min(race.starts))
        assert found[k] == pytest.approx(np.sum(chance * np.exp(exponent)), abs=1e-11)
    assert found[2] == pytest.approx(1.0, abs=1e-11)


@pytest.mark.parametrize("name", RACES)
def test_mean_is_the_sum_over_all_attempts(name):
    race = RACES[name]

    times, chance = attempts_of(race)

    assert race.mean() == pytest.approx(np.sum(chance * (times.max(axis=0) - min(race.starts))), rel=1e-10)
    assert race.earliest == times.max(axis=0).min()


def test_average_agrees_with_drawn_attempts():
    race = Race((0.0, 0.4, 0.1), (1.0, 0.73, 1.9), (0.05, 0.02, 0.2))
    rates, common = np.array([[0.02, 0.05, 0.01], [0.3, 0.0, 0.1]]), np.array([0.01, 0.02])
    rng = np.random.default_rng(5)
    shots = 200_000
    times = np.array(
        [
            s + d * rng.geometric(p, shots)
            for s, d, p in zip(race.starts, race.durations, race.probabilities, strict=True)
        ]
    )
    end = times.max(axis=0)

    found = race.average(rates, common)

    for k in range(2):
        values = np.exp(-(rates[k][:, None] * (end - times)).sum(axis=0) - common[k] * end)
        assert abs(found[k] - values.mean()) < 5 * values.std() / math.sqrt(shots)
    assert abs(race.mean() - end.mean()) < 5 * end.std() / math.sqrt(shots)


@pytest.mark.parametrize(("links", "expected"), [(1, 10.0), (2, 14.7368), (4, 20.2734)])
def test_equal_links_take_the_mean_of_the_largest_of_geometric_numbers(links, expected):
    race = Race((0.0,) * links, (1.0,) * links, (0.1,) * links)

    closed = sum(math.comb(links, k) * (-1) ** (k + 1) / (1 - 0.9**k) for k in range(1, links + 1))

    assert race.mean() == pytest.approx(closed, rel=1e-13)
    assert closed == pytest.approx(expected, abs=5e-5)


def test_a_slightly_different_duration_gives_nearly_the_same_average():
    rates, common = np.array([[0.2, 0.3], [0.0, 0.1]]), np.array([0.05, 0.0])
    equal = Race((0.0, 0.0), (1.0, 1.0), (0.1, 0.2))
    close = Race((0.0, 0.0), (1.0, 1.0 + 1e-7), (0.1, 0.2))

    assert np.allclose(equal.average(rates, common), close.average(rates, common), atol=1e-6)
    assert equal.mean() == pytest.approx(close.mean(), rel=1e-6)


def test_rare_success_keeps_its_precision():
    """Two links, p = 10⁻⁵: P-weighted sums of 10⁶ attempts must not lose digits by cancellation."""
    p, rate = 1e-5, 1e-6
    race = Race((0.0, 0.0), (1.0, 1.0), (p, p))

    both = p * p / (1 - (1 - p) ** 2)
    one = 2 * p * (1 - p) / (1 - (1 - p) ** 2)
    later = p * math.exp(-rate) / (1 - (1 - p) * math.exp(-rate))

    assert race.average(np.full((1, 2), rate), np.zeros(1))[0] == pytest.approx(both + one * later, rel=1e-12)


def test_too_many_terms_are_refused_with_a_way_out():
    race = Race((0.0, 0.0), (1.0, 1.1), (1e-6, 0.5))

    with pytest.raises(QdistError, match=r"must need at most 4000000 attempts, but a success probability of 1e-06"):
        race.average(np.zeros((1, 2)), np.zeros(1))


# -- joint waiting against a brute-force average of density matrices

PHI = np.array([1, 0, 0, 1]) / math.sqrt(2)


def werner_matrix(fidelity):
    w = (4 * fidelity - 1) / 3
    return w * np.outer(PHI, PHI) + (1 - w) * np.eye(4) / 4


def relaxation_kraus(device, time):
    """Exchange with a bath that holds the excited population, then pure dephasing for the rest of T2."""
    gamma, q = -math.expm1(-time / device.t1), device.excited_population
    keep, loss = math.sqrt(1 - gamma), math.sqrt(gamma)
    damping = [
        math.sqrt(1 - q) * np.diag([1, keep]),
        math.sqrt(1 - q) * np.array([[0, loss], [0, 0]]),
        math.sqrt(q) * np.diag([keep, 1]),
        math.sqrt(q) * np.array([[0, 0], [loss, 0]]),
    ]
    coherence = math.exp(-time / device.t2 + time / (2 * device.t1))
    flips = [math.sqrt((1 + coherence) / 2) * np.eye(2), math.sqrt((1 - coherence) / 2) * np.diag([1, -1])]
    return [f @ d for f in flips for d in damping]


def relaxed(rho, devices, time):
    for k, device in enumerate(devices):
        operators = [
            kron(*(op if i == k else np.eye(2) for i in range(len(devices)))) for op in relaxation_kraus(device, time)
        ]
        rho = sum(op @ rho @ op.conj().T for op in operators)
    return rho


WARM = Device(name="warm", t1=9.0, t2=7.0, excited_population=0.2)
HOT = Device(name="hot", t1=5.0, t2=10.0, excited_population=0.45)
COLD = Device(name="cold", t1=20.0, t2=4.0)


def test_joint_waiting_is_the_average_over_all_attempts_of_the_relaxed_states():
    nodes = (Node("a", 2, WARM), Node("b", 2, HOT), Node("c", 1, COLD))
    links = (
        Link(between=("a", "b"), fidelity=0.95, success_probability=0.4, attempt_duration=1.0),
        Link(between=("b", "c"), fidelity=0.9, success_probability=0.6, attempt_duration=1.5),
    )
    steps = (Prepare(("a/1",)), apply("h", "a/1"), Generate((("a/0", "b/0"), ("b/1", "c/0"))), Record("up"))
    program = Program(steps, pairs=(("a/1", "a/0"), ("b/1", "c/0")))

    found = run(Job(program=program, network=Network(nodes, links), precision="float64")).state(
        ("a/1", "a/0", "b/0", "b/1", "c/0")
    )

    expected = np.zeros((32, 32), complex)
    starts = (np.full((2, 2), 0.5), [WARM]), (werner_matrix(0.95), [WARM, HOT]), (werner_matrix(0.9), [HOT, COLD])
    part = cache(lambda which, time: relaxed(*starts[which], time))
    times, chances = attempts_of(Race((0.0, 0.0), (1.0, 1.5), (0.4, 0.6)), tail=1e-11)
    for (first, second), chance in zip(times.T, chances, strict=True):
        end = max(first, second)
        expected += chance * kron(part(0, end), part(1, end - first), part(2, end - second))
    assert np.allclose(found.matrix(), expected, atol=1e-9)


def test_qubits_that_wait_together_become_correlated_by_the_common_random_time():
    """Halves of different pairs share nothing but the time that they waited."""
    network = chain(
        3, qubits=2, device=Device(name="d", t1=3.0, t2=2.0), link={"success_probability": 0.3, "attempt_duration": 1.0}
    )
    program = Program(
        (
            Prepare(("n0/1",)),
            apply("x", "n0/1"),
            Prepare(("n2/1",)),
            apply("x", "n2/1"),
            Generate((("n0/0", "n1/0"),)),
            Record("up"),
        ),
        pairs=(("n0/1", "n2/1"), ("n0/1", "n0/0")),
    )

    state = run(Job(program=program, network=network, precision="float64")).state(("n0/1", "n2/1"))

    def moment(rate):
        return 0.3 * math.exp(-rate) / (1 - 0.7 * math.exp(-rate))

    single, double = 1 - 2 * moment(1 / 3), 1 - 4 * moment(1 / 3) + 4 * moment(2 / 3)
    assert state.correlator("ZI") == pytest.approx(single, abs=EXACT)
    assert state.correlator("ZZ") == pytest.approx(double, abs=EXACT)
    assert double - single**2 > 0.1


# -- exact runs against means of shots

NOISY = Device(
    name="noisy", t1=40.0, t2=25.0, two_qubit_error=0.01, readout_p01=0.01, readout_p10=0.02, excited_population=0.1
)
SLOW = Device(name="slow", t1=70.0, t2=90.0, one_qubit_duration=0.05, two_qubit_duration=0.4, readout_duration=0.3)


def mixed(network):
    """The same network with unequal devices and links."""
    nodes = tuple(replace(node, device=(NOISY, SLOW)[k % 2]) for k, node in enumerate(network.nodes))
    links = tuple(
        replace(
            link, success_probability=0.2 + 0.1 * k, attempt_duration=1.0 + 0.3 * k, fidelity=0.97, length=1e7 * (k + 1)
        )
        for k, link in enumerate(network.links)
    )
    return Network(nodes, links)


def equal(network):
    """The same network with equal lossy links."""
    links = tuple(replace(link, success_probability=0.2, attempt_duration=1.0, fidelity=0.97) for link in network.links)
    return Network(tuple(replace(node, device=NOISY) for node in network.nodes), links)


def busy_link(network):
    """A second pair over a link whose first pair had to wait for another link."""
    steps = (Generate((("n0/0", "n1/0"), ("n1/1", "n2/0"))), Generate((("n0/1", "n1/2"),)), Record("up"))
    return Program(steps, pairs=(("n0/1", "n1/2"), ("n0/0", "n1/0"), ("n1/1", "n2/0")))


def second_pair(network):
    """A qubit that is only used with the second pair of a link waits for the first one too."""
    steps = (
        Prepare(("n0/2",)),
        apply("h", "n0/2"),
        Generate((("n0/0", "n1/0"),)),
        Generate((("n0/1", "n1/1"),)),
        apply("cx", "n0/2", "n0/1"),
        Record("joined"),
    )
    return Program(steps, pairs=(("n0/2", "n1/1"), ("n0/0", "n1/0")))


def bit_of_two(network):
    """A bit is written by half of a pair, then by a qubit that has nothing to do with it."""
    steps = (
        Prepare(("n0/2",)),
        apply("h", "n0/2"),
        Prepare(("n1/1",)),
        Generate((("n0/0", "n1/0"),)),
        Measure("n0/0", "m"),
        Measure("n0/2", "m", basis="X"),
        Record("end"),
    )
    return Program(steps, bits=("m",), pairs=(("n1/0", "n1/1"),))


def mixed_message(network):
    """A bit that was known early goes into one message with a late one; a qubit at home uses it early."""
    steps = (
        Prepare(("n0/1", "n0/2")),
        Prepare(("n1/1",)),
        apply("h", "n0/1"),
        apply("h", "n0/2"),
        Measure("n0/1", "early"),
        Generate((("n0/0", "n1/0"),)),
        Measure("n0/0", "late"),
        Send(("early", "late"), "n0", "n1"),
        apply("x", "n0/2", when=bit_is("early")),
        Measure("n0/2", "result", basis="X"),
        Record("end"),
    )
    return Program(steps, bits=("result",), pairs=(("n1/0", "n1/1"),))


def half_heralded(network):
    """A herald holds back two qubits, of which only one waits for a pair."""
    steps = (
        Prepare(("n0/1", "n0/2")),
        apply("h", "n0/1"),
        Measure("n0/2", "flag", basis="X"),
        Generate((("n0/0", "n1/0"),)),
        Herald(bit_is("flag", 0), qubits=("n0/0", "n0/1")),
        Measure("n0/1", "result", basis="X"),
        Record("end"),
    )
    return Program(steps, bits=("result",), pairs=(("n0/0", "n1/0"),))


def record_beside(network):
    """A record of what waits for nothing more, written after a pair that starts when it is over."""
    steps = (
        Generate((("n0/2", "n1/0"), ("n1/1", "n2/0"))),
        Generate((("n1/2", "n2/2"),), after=("n0/2",)),
        Record("first"),
        apply("cx", "n1/0", "n1/2"),
        Record("second"),
    )
    return Program(steps, pairs=(("n0/2", "n1/0"), ("n1/0", "n1/1")))


def bystanders(network):
    """A local pair waits, half of it is used with a later pair, and a third qubit has its own past."""
    steps = (
        Prepare(("n0/1",)),
        Prepare(("n0/2",)),
        apply("h", "n0/1"),
        apply("cx", "n0/1", "n0/2"),
        Wait(("n0/2",), 0.7),
        Generate((("n0/0", "n1/0"),)),
        *bell_measurement("n0/2", "n0/0", "z", "x"),
        Send(("z", "x"), "n0", "n1"),
        apply("x", "n1/0", when=bit_is("x")),
        apply("z", "n1/0", when=bit_is("z")),
        Record("moved"),
    )
    return Program(steps, bits=("z", "x"), pairs=(("n0/1", "n1/0"),))


def protocol(name, **parameters):
    return lambda network: build_protocol(name, network, parameters)


RUNS = {
    "sequential chain": (mixed(chain(4, qubits=2)), protocol("repeater_chain", generation="sequential")),
    "parallel chain": (mixed(chain(4, qubits=2)), protocol("repeater_chain")),
    "parallel chain in step": (equal(chain(5, qubits=2)), protocol("repeater_chain")),
    "purified chain": (
        mixed(chain(3, qubits=4)),
        protocol("repeater_chain", generation="sequential", purification="dejmps"),
    ),
    "two rounds": (
        mixed(chain(2, qubits=3)),
        protocol("purification", between=("n0", "n1"), scheme="bbpssw", rounds=2),
    ),
    "teleportation": (mixed(chain(2, qubits=3)), protocol("teleportation", source="n0", destination="n1")),
    "remote gate and back": (
        mixed(chain(2, qubits=4)),
        protocol("remote_cnot", control="n0", target="n1", scheme="teleport_back"),
    ),
    "ghz": (mixed(star(3, qubits=4)), protocol("ghz_state")),
    "graph state": (mixed(ring(3, qubits=2)), protocol("graph_state")),
    "superdense coding": (
        mixed(chain(2, qubits=2)),
        protocol("superdense_coding", sender="n0", receiver="n1", message="10"),
    ),
    "busy link": (mixed(chain(3, qubits=3)), busy_link),
    "second pair of a link": (mixed(chain(2, qubits=3)), second_pair),
    "a bit written twice": (equal(chain(2, qubits=3)), bit_of_two),
    "a message of early and late bits": (mixed(chain(2, qubits=3)), mixed_message),
    "a herald of early and late qubits": (mixed(chain(2, qubits=3)), half_heralded),
    "a record beside a race": (mixed(chain(3, qubits=3)), record_beside),
    "bystanders": (mixed(chain(2, qubits=3)), bystanders),
}


@pytest.mark.parametrize("name", RUNS)
def test_exact_averages_are_the_means_of_sampled_shots(name):
    network, build = RUNS[name]
    program = build(network)
    shots = 2000

    exact = run(Job(program=program, network=network, precision="float64"))
    sampled = run(Job(program=program, network=network, precision="float64", mode="sampled", shots=shots, seed=11))

    difference = np.abs(exact["metrics/fidelity"] - sampled["metrics/fidelity"])
    assert np.array_equal(np.isnan(exact["metrics/fidelity"]), np.isnan(sampled["metrics/fidelity"]))
    assert np.nanmax(difference - 5 * sampled["metrics/fidelity_stderr"]) < 1e-9
    if program.bits:
        found = [sampled.probability(outcome) for outcome in exact["results/outcome"]]
        chance = exact["results/probabilities"]
        spread = np.sqrt(chance * (1 - chance) / (shots * exact["results/success_probability"]))
        assert np.all(np.abs(chance - found) <= 5 * spread + 1e-9)
    assert np.nanmax(np.abs(exact["metrics/correlations"] - sampled["metrics/correlations"])) < 5 / math.sqrt(shots)
    assert np.allclose(exact["metrics/time"], sampled["metrics/time"], rtol=0.1)
    p = exact["results/success_probability"]
    assert abs(p - sampled["results/success_probability"]) <= 5 * math.sqrt(p * (1 - p) / shots) + 1e-12
    assert np.allclose(exact["ledger/attempts"], sampled["ledger/attempts"], rtol=0.1)
    assert np.allclose(exact["ledger/pairs_made"], sampled["ledger/pairs_made"], rtol=0.1)


def test_recorded_times_have_the_mean_of_shots():
    network, build = RUNS["sequential chain"]
    program, shots = build(network), 20_000
    record = Recording(metrics=("fidelity",), probabilities=False)

    exact = run(Job(program=program, network=network, precision="float64", record=record))
    sampled = run(Job(program=program, network=network, mode="sampled", shots=shots, record=record))

    # Each link waits 1/p attempts with spread √(1−p)/p.
    spread = math.sqrt(sum((1 - p) / p**2 * d**2 for p, d in ((0.2, 1.0), (0.3, 1.3), (0.4, 1.6))))
    assert np.all(np.abs(exact["metrics/time"] - sampled["metrics/time"]) < 5 * spread / math.sqrt(shots))


def test_what_is_recorded_does_not_change_the_run():
    network, build = RUNS["sequential chain"]
    program = build(network)
    others = Recording(pairs=(*program.pairs, ("n0/0", "n2/0"), ("n1/1", "n3/0")))

    own = run(Job(program=program, network=network, precision="float64"))
    more = run(Job(program=program, network=network, precision="float64", record=others))

    assert np.allclose(own["metrics/fidelity"][-1, 0], more["metrics/fidelity"][-1, 0], atol=EXACT)
    assert np.allclose(own["results/probabilities"], more["results/probabilities"], atol=EXACT)


def test_records_and_heralds_keep_their_order_around_random_waiting():
    """A record before a herald sees all branches, in every mode, even if only the record waits for a pair."""
    lossy = {"success_probability": 0.3, "attempt_duration": 1.0}
    flip = (Prepare(("n0/2",)), apply("ry", "n0/2", params=(1.0,)), apply("cx", "n0/2", "n0/1"))
    steps = (
        Prepare(("n0/0", "n0/1"), werner(1.0)),
        *flip,
        Record("early"),
        Generate((("n1/0", "n2/0"),)),
        Record("pair up"),
        Measure("n0/2", "flag"),
        Herald(bit_is("flag", 0)),
        Record("heralded"),
    )
    program = Program(steps, pairs=(("n0/0", "n0/1"), ("n1/0", "n2/0")))
    network = chain(3, qubits=3, link=lossy)

    results = [
        run(Job(program=program, network=network, precision="float64", mode=m, shots=2000))
        for m in ("exact", "sampled")
    ]

    expected = [math.cos(0.5) ** 2, math.cos(0.5) ** 2, 1.0]
    for result in results:
        assert np.allclose(result["metrics/fidelity"][:, 0], expected, atol=1e-9)


LOSSY = {"success_probability": 0.3, "attempt_duration": 1.0, "length": 1e9}
ALONE = (Generate((("n0/0", "n1/0"),)), Generate((("n1/1", "n2/0"),)))

UNORDERED = {
    "a gate on halves of pairs that did not wait": ((*ALONE, apply("cx", "n1/0", "n1/1")), ()),
    "a record of such pairs": ((*ALONE, Record("both")), (("n0/0", "n1/0"), ("n1/1", "n2/0"))),
    "a qubit that may still be busy when the pair is up": (
        (Prepare(("n0/1",)), Wait(("n0/1",), 1.5), Generate((("n0/0", "n1/0"),)), apply("cx", "n0/0", "n0/1")),
        (),
    ),
    "a message that may come before or after the pair": (
        (
            Prepare(("n0/1",)),
            Measure("n0/1", "z"),
            Send(("z",), "n0", "n1"),
            Generate((("n1/1", "n2/0"),)),
            apply("z", "n1/1", when=bit_is("z")),
        ),
        (),
    ),
    "a record of a qubit that starts one pair and did not wait for another": (
        (Prepare(("n1/2",)), *ALONE[:1], Generate((("n1/1", "n2/0"),), after=("n1/2",)), Record("both")),
        (("n0/0", "n1/2"),),
    ),
    "a gate before a pair that is written after its record": (
        (
            Prepare(("n0/1",)),
            Generate((("n0/0", "n1/0"),)),
            Record("up"),
            apply("h", "n0/1"),
            apply("cx", "n0/1", "n0/0"),
        ),
        (("n0/1", "n1/0"),),
    ),
}


@pytest.mark.parametrize("case", UNORDERED)
def test_unknown_order_is_refused_in_exact_mode_and_drawn_in_sampled_mode(case):
    steps, pairs = UNORDERED[case]
    network = chain(3, qubits=3, device=Device(name="d", t1=9.0, t2=5.0), link=LOSSY)
    program = Program(steps, pairs=pairs)

    with pytest.raises(
        RandomOrderError, match="The time between two events must be known or be averaged by one `Generate` step"
    ):
        run(Job(program=program, network=network))

    assert run(Job(program=program, network=network, mode="sampled", shots=8))["results/success_probability"] == 1.0
