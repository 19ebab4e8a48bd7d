"""What is read off a split state without gathering it, against the same of one rank."""

import numpy as np
import pytest

import qdist as qd
from qdist.errors import QdistError
from qdist.machine import sharding
from tests.devices import put_on_device

NAMES = [f"a/{i}" for i in range(5)]


@pytest.fixture(autouse=True)
def small_clusters_are_split(monkeypatch):
    monkeypatch.setattr(sharding, "SPLIT_ENTRIES", 4**4)


def brickwork(error):
    rng = np.random.default_rng(3)
    steps = [qd.Prepare(tuple(NAMES))]
    for layer in range(3):
        for name in NAMES:
            steps.append(qd.apply("u3", name, params=tuple(6 * rng.random(3))))
            steps.append(qd.Apply(qd.CHANNELS["depolarizing"].function(error), (name,)))
        steps += [qd.apply("cx", NAMES[i], NAMES[i + 1]) for i in range(layer % 2, 4, 2)]
    return qd.Program(tuple(steps), qubits=tuple(NAMES))


def final(error, **options):
    network = qd.Network((qd.Node("a", 5),))
    return qd.run(qd.Job(program=brickwork(error), network=network, precision="float64"), **options).final


def test_whatever_is_read_off_a_split_state_is_that_of_the_whole_one(on_ranks):
    ideal, noisy = final(0.0), final(0.05)
    whole = noisy.state(NAMES)
    letters = {NAMES[0]: "X", NAMES[2]: "Y", NAMES[4]: "Z"}

    def body(comm):
        first, second = final(0.0, comm=comm), final(0.05, comm=comm)
        assert all(part.is_split == (comm.size > 1) for part in second.parts)
        numbers = [second.purity(), second.overlap(first), second.overlap(ideal.state(NAMES[::-1]))]
        return [*numbers, second.correlator(letters), *second.probabilities([NAMES[3], NAMES[1]])]

    from_state = np.diag(whole.matrix().reshape((2,) * 10).transpose([3, 1, 0, 2, 4, 8, 6, 5, 7, 9]).reshape(32, 32))
    expected = [qd.purity(whole), *[qd.fidelity(whole, ideal.state(NAMES))] * 2, noisy.correlator(letters)]
    expected += list(from_state.real.reshape(4, 8).sum(axis=1))
    for found in on_ranks(body):
        assert np.allclose(found, expected, atol=1e-12)


def test_a_state_on_the_device_is_read_in_its_own_precision(monkeypatch):
    expected = final(0.05).state(NAMES).vector
    put_on_device(monkeypatch, 16)

    states = final(0.05)

    assert np.allclose(states.state(NAMES).vector, expected, atol=1e-14, rtol=0)
    assert states.purity() == pytest.approx(expected @ expected / 2**5, abs=1e-14)
    assert states.overlap(states.state(NAMES)) == pytest.approx(expected @ expected / 2**5, abs=1e-14)


def test_no_rank_moves_a_block_to_read_off_a_number(on_ranks):
    def body(comm):
        states = final(0.05, comm=comm)
        before = comm.traffic.bytes_sent
        states.purity()
        states.state(NAMES[:2])
        states.probabilities(NAMES)
        return comm.traffic.bytes_sent - before

    assert set(on_ranks(body)) == {0}


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda states: states.correlator({"a/0": "Q"}), "must be I, X, Y or Z"),
        (lambda states: states.correlator({"a/9": "X"}), "'a/9' must be alive at the end"),
        (lambda states: states.probabilities("a/0"), "must be a list of different qubits"),
        (lambda states: states.overlap(qd.bell("phi+")), "must be a state of the 5 qubits that are alive"),
    ],
)
def test_a_wrong_question_is_one_error(ask, message):
    with pytest.raises(QdistError, match=message):
        ask(final(0.0))
