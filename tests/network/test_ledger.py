"""The ledger counts what a run spends: pairs made, used and wasted, attempts and bits, each with its probability."""

import numpy as np
import pytest

from qdist.network.graph import Network, Node, chain
from qdist.network.links import Link
from qdist.network.program import (
    Discard,
    Generate,
    Herald,
    Measure,
    Prepare,
    Program,
    Record,
    Reset,
    Send,
    apply,
    bit_is,
)
from qdist.network.protocols import build_protocol, swap
from qdist.runs.execute import run
from qdist.runs.job import Job

FIRST, SECOND = ("n0/0", "n1/0"), ("n1/1", "n2/0")


def ledger(steps, network=None, **options):
    """Totals by name, from an exact run or the options given."""
    program = steps if isinstance(steps, Program) else Program(tuple(steps))
    result = run(Job(program=program, network=network or chain(3, qubits=3), precision="float64", **options))
    return {
        name: result.attributes[f"total_{name}"] for name in ("pairs_made", "pairs_used", "pairs_wasted", "bits_sent")
    }


FATES = {
    "kept": ((Generate((FIRST,)),), (1, 0, 0)),
    "measured at both ends": ((Generate((FIRST,)), Measure("n0/0", "a"), Measure("n1/0", "b")), (1, 1, 0)),
    "measured at one end": ((Generate((FIRST,)), Measure("n0/0", "a")), (1, 1, 0)),
    "discarded": ((Generate((FIRST,)), Discard("n0/0"), Discard("n1/0")), (1, 0, 1)),
    "discarded at one end": ((Generate((FIRST,)), Discard("n0/0")), (1, 0, 1)),
    "measured, then the other half discarded": ((Generate((FIRST,)), Measure("n0/0", "a"), Discard("n1/0")), (1, 1, 0)),
    "discarded, then the other half measured": ((Generate((FIRST,)), Discard("n0/0"), Measure("n1/0", "a")), (1, 0, 1)),
    "reset": ((Generate((FIRST,)), Reset("n0/0")), (1, 0, 1)),
    "reset, then measured as a new qubit": ((Generate((FIRST,)), Reset("n0/0"), Measure("n0/0", "a")), (1, 0, 1)),
    "measured and kept": ((Generate((FIRST,)), Measure("n0/0", "a", keep=True)), (1, 0, 0)),
    "used in a gate": ((Generate((FIRST,)), Prepare(("n0/1",)), apply("cx", "n0/0", "n0/1")), (1, 0, 0)),
    "swapped": ((Generate((FIRST, SECOND)), *swap(FIRST, SECOND).steps), (2, 2, 0)),
    "made twice in one memory": (
        (Generate((FIRST,)), Measure("n0/0", "a"), Discard("n1/0"), Generate((FIRST,)), Discard("n0/0")),
        (2, 1, 1),
    ),
}


@pytest.mark.parametrize("mode", ["exact", "sampled"])
@pytest.mark.parametrize("fate", FATES)
def test_a_pair_is_used_when_measured_and_wasted_when_given_up(fate, mode):
    steps, (made, used, wasted) = FATES[fate]

    found = ledger(steps, mode=mode, shots=4)

    assert (found["pairs_made"], found["pairs_used"], found["pairs_wasted"]) == (made, used, wasted)


def heralded(probability):
    """A herald that succeeds with a probability, at node n0."""
    angle = 2 * np.arcsin(np.sqrt(1 - probability))
    coin = (Prepare(("n0/2",)), apply("ry", "n0/2", params=(angle,)), Measure("n0/2", "coin"))
    return (*coin, Herald(bit_is("coin", 0)))


def test_a_failed_herald_wastes_the_pairs_made_before_it_and_saves_those_after_it():
    """P = 0.6: the first pair is always made, the second in 60 % of the runs; both are used where all went well."""
    steps = (
        Generate((FIRST,)),
        Send(("coin",), "n0", "n1"),
        Generate((SECOND,)),
        *swap(FIRST, SECOND).steps,
    )
    first, send, *rest = steps

    found = ledger((first, *heralded(0.6), send, *rest))

    assert found["pairs_made"] == pytest.approx(1 + 0.6)
    assert found["pairs_used"] == pytest.approx(2 * 0.6)
    assert found["pairs_wasted"] == pytest.approx(0.4)
    assert found["bits_sent"] == pytest.approx(0.6 * (1 + 2))


def test_heralds_in_a_row_multiply():
    steps = (Generate((FIRST,)), *heralded(0.5), *heralded(0.2), Generate((SECOND,)), Send(("coin",), "n0", "n2"))

    found = ledger(steps)

    assert found["pairs_made"] == pytest.approx(1 + 0.1)
    assert found["pairs_wasted"] == pytest.approx(0.9)
    assert found["bits_sent"] == pytest.approx(0.1)


def test_sampled_ledgers_count_the_shots_that_came_so_far():
    steps, shots = (Generate((FIRST,)), *heralded(0.6), Generate((SECOND,)), *swap(FIRST, SECOND).steps), 4000

    found = ledger(steps, mode="sampled", shots=shots, seed=3)

    spread = 5 * np.sqrt(0.6 * 0.4 / shots)
    assert found["pairs_made"] == pytest.approx(1.6, abs=spread)
    assert found["pairs_used"] == pytest.approx(1.2, abs=2 * spread)
    assert found["pairs_made"] == pytest.approx(found["pairs_used"] + found["pairs_wasted"])


@pytest.mark.parametrize(("scheme", "rounds"), [("bbpssw", 1), ("dejmps", 2), ("dejmps", 3)])
def test_purification_spends_pairs_until_a_round_fails(scheme, rounds):
    """A tree of rounds, made one pair after the other: a pair is made if every round before it succeeded."""
    network = chain(2, qubits=rounds + 1, link={"fidelity": 0.8})
    parameters = {"between": ("n0", "n1"), "scheme": scheme, "rounds": rounds}
    program = build_protocol("purification", network, parameters)

    result = run(Job(program=program, network=network, precision="float64"))

    chances = iter(result["results/herald_probability"])
    reached, made, bits = 1.0, 0.0, 0.0
    for step in program.steps:
        made += reached if isinstance(step, Generate) else 0.0
        bits += reached if isinstance(step, Send) else 0.0
        reached *= next(chances) if isinstance(step, Herald) else 1.0
    assert result.attributes["total_pairs_made"] == pytest.approx(made)
    assert result.attributes["total_bits_sent"] == pytest.approx(bits)
    assert result.attributes["total_pairs_used"] == pytest.approx((2**rounds - 1) * reached)
    assert result.attributes["total_pairs_wasted"] == pytest.approx(made - 2**rounds * reached)


def test_bits_are_counted_by_route_and_not_inside_a_node():
    steps = (
        Prepare(("n0/0", "n0/1")),
        Measure("n0/0", "a"),
        Measure("n0/1", "b"),
        Send(("a", "b"), "n0", "n2"),
        Send(("a",), "n2", "n0"),
        Send(("b",), "n0", "n2"),
        Send(("a", "b"), "n0", "n0"),
    )

    result = run(Job(program=Program(steps), network=chain(3, qubits=2)))

    routes = dict(zip(result["ledger/route"], result["ledger/bits_sent"], strict=True))
    assert routes == {"n0->n2": 3.0, "n2->n0": 1.0}


def test_pairs_and_attempts_are_counted_by_link_under_the_names_of_the_links():
    nodes = (Node("alice", 2), Node("bob", 2), Node("charlie", 2))
    links = (
        Link(between=("bob", "alice"), success_probability=0.25, attempt_duration=1.0),
        Link(between=("bob", "charlie"), success_probability=0.1, attempt_duration=1.0),
    )
    steps = (Generate((("alice/0", "bob/0"),)), Generate((("alice/1", "bob/1"),)), Record("up"))

    result = run(Job(program=Program(steps), network=Network(nodes, links)))

    assert result["ledger/link"].tolist() == ["bob-alice", "bob-charlie"]
    assert result["ledger/pairs_made"].tolist() == [2.0, 0.0]
    assert result["ledger/attempts"].tolist() == [8.0, 0.0]


def test_attempts_after_a_herald_count_with_its_probability():
    network = chain(3, qubits=3, link={"success_probability": 0.25, "attempt_duration": 1.0})
    steps = (Generate((FIRST,)), *heralded(0.6), Generate((SECOND,), after=("n1/0",)))

    result = run(Job(program=Program(steps), network=network, precision="float64"))

    assert result["ledger/attempts"] == pytest.approx([4.0, 0.6 * 4.0])
