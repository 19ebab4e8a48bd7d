"""Links deliver the pair they promise, at the rate and after the time that their documentation states."""

import itertools
import math

import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.network.links import (
    SPEED_OF_LIGHT_IN_FIBER,
    Link,
    check_node_name,
    repeaterless_bound,
    transmission,
)

AB = ("alice", "bob")
PAULIS = {"I": np.eye(2), "X": np.eye(2)[::-1], "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}
PHI_PLUS = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]) / 2

REFUSED = [
    ({"between": "alice"}, '`between` must be the names of two nodes such as ["alice", "bob"], but is \'alice\'.'),
    ({"between": ("a",)}, '`between` must be the names of two nodes such as ["alice", "bob"], but is (\'a\',).'),
    ({"between": ("a", "a")}, "`between` must name two different nodes, but names 'a' twice."),
    ({"between": ("a/0", "b")}, "A node name must be a letter followed by letters, digits, '_', '.' or '-', but is"),
    ({"length": -1.0}, "`length` must be at least 0 m, but is -1.0."),
    ({"length": math.inf}, "`length` must be finite (m), but is inf."),
    ({"length": "10 km"}, "`length` must be a number, but is '10 km'."),
    ({"loss_db_per_km": -0.1}, "`loss_db_per_km` must be at least 0 dB/km, but is -0.1."),
    ({"attempt_duration": math.nan}, "`attempt_duration` must be at least 0 s, but is nan."),
    (
        {"success_probability": 0.0},
        "`success_probability` must be positive and at most 1, but is 0.0. "
        "Leave it out for the transmission of the fiber.",
    ),
    ({"success_probability": 1.5}, "`success_probability` must be positive and at most 1, but is 1.5."),
    ({"success_probability": math.nan}, "`success_probability` must be positive and at most 1, but is nan."),
    (
        {"length": 1e8},
        "`length` must let some light through, but 1e+08 m at 0.2 dB/km lets none. "
        "Shorten the link or give `success_probability`.",
    ),
    ({"fidelity": 1.1}, "`fidelity` must be a probability in [0, 1], but is 1.1."),
    ({"fidelity": "high"}, "`fidelity` must be a number, but is 'high'."),
    ({"weights": [0.5, 0.5]}, "Bell-diagonal weights must be four numbers (phi+, phi-, psi+, psi-), but got 2."),
    ({"weights": [0.5, 0.5, 0.5, 0]}, "Bell-diagonal weights must add up to 1, but add up to 1.5."),
    ({"weights": "phi+"}, "`weights` must be four numbers (phi+, phi-, psi+, psi-), but is 'phi+'."),
    ({"weights": ["a", 0, 0, 0]}, "`weights` must be a number, but is 'a'."),
    ({"matrix": np.eye(2) / 2}, "`matrix` must be a 4×4 table of numbers, but has shape (2, 2)."),
    ({"matrix": [["a"]]}, "`matrix` must be a 4×4 table of numbers, but has other entries."),
    ({"matrix": np.full((4, 4), np.nan)}, "`matrix` must be finite, but has an entry that is infinite"),
    ({"matrix": PHI_PLUS / 4}, "`matrix` must have trace 1, but has 0.25. Divide it by its trace"),
    ({"matrix": np.diag([1.5, -0.5, 0, 0])}, "A density matrix must have no negative eigenvalue, but has -0.5."),
    (
        {"fidelity": 0.9, "weights": [1, 0, 0, 0]},
        "The pair of a link must be given by one of `fidelity`, `weights` and `matrix`, "
        "but has `fidelity` and `weights`. Remove all but one.",
    ),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_a_wrong_link_is_refused_with_its_sentence(values, sentence):
    with pytest.raises(QdistError) as error:
        Link(**({"between": AB} | values))
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("name", ["alice", "a", "n0_1", "lab-2.left", "A"])
def test_usual_node_names_are_allowed(name):
    check_node_name(name)


@pytest.mark.parametrize("name", ["", "0a", "a b", "a/0", "-a", "é", "a\n", None, 3])
def test_node_names_that_could_be_misread_are_refused(name):
    with pytest.raises(QdistError, match=r"^A node name must be a letter followed by .* The '/' is kept for qubits"):
        check_node_name(name)


def _werner(fidelity):
    return fidelity * PHI_PLUS + (1 - fidelity) / 3 * (np.eye(4) - PHI_PLUS)


def _bell_diagonal(weights):
    kets = np.array([[1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0], [0, 1, -1, 0]]) / np.sqrt(2)
    return sum(weight * np.outer(ket, ket) for weight, ket in zip(weights, kets, strict=True))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, PHI_PLUS),
        ({"fidelity": 0.8}, _werner(0.8)),
        ({"weights": [0.6, 0.3, 0.1, 0.0]}, _bell_diagonal([0.6, 0.3, 0.1, 0.0])),
        ({"matrix": np.diag([0.1, 0.2, 0.3, 0.4]).tolist()}, np.diag([0.1, 0.2, 0.3, 0.4])),
    ],
)
def test_the_pair_is_the_one_that_was_given(values, expected):
    pair = Link(between=AB, **values).pair_state(("alice/0", "bob/0"))
    for first, second in itertools.product(PAULIS, repeat=2):
        correlator = np.trace(expected @ np.kron(PAULIS[first], PAULIS[second])).real
        assert pair.correlator(first + second) == pytest.approx(correlator, abs=1e-12)
    assert pair.qubits == ("alice/0", "bob/0")


@pytest.mark.parametrize(
    ("length", "loss", "eta"),
    [(0.0, 0.2, 1.0), (50e3, 0.2, 0.1), (10e3, 0.0, 1.0), (1e3, 3.0, 10**-0.3)],
)
def test_transmission_is_the_loss_in_decibels(length, loss, eta):
    assert transmission(length, loss) == pytest.approx(eta, rel=1e-14)
    assert Link(between=AB, length=length, loss_db_per_km=loss).probability_per_attempt == pytest.approx(eta)


def test_fifty_kilometers_allow_the_published_repeaterless_rate():
    assert repeaterless_bound(transmission(50e3)) == pytest.approx(0.152, abs=5e-4)


@pytest.mark.parametrize(("eta", "bound"), [(0.0, 0.0), (0.5, 1.0), (0.75, 2.0), (1.0, math.inf)])
def test_the_repeaterless_bound_has_its_known_values(eta, bound):
    assert repeaterless_bound(eta) == pytest.approx(bound, abs=1e-15)


def test_the_repeaterless_bound_of_weak_light_is_the_loss_over_ln2():
    assert repeaterless_bound(1e-18) == pytest.approx(1e-18 / math.log(2), rel=1e-12)


def test_the_repeaterless_bound_refuses_what_is_no_probability():
    with pytest.raises(QdistError, match=r"^`eta` must be a probability in \[0, 1\], but is 2\.$"):
        repeaterless_bound(2)


def test_a_kilometer_of_fiber_takes_4_9_microseconds():
    link = Link(between=AB, length=1000.0)
    assert link.classical_delay == pytest.approx(4.897e-6, rel=1e-4)
    assert link.duration_per_attempt == link.classical_delay
    assert link.classical_delay * SPEED_OF_LIGHT_IN_FIBER == pytest.approx(1000.0, rel=1e-15)


def test_given_values_replace_the_defaults_of_the_fiber():
    link = Link(between=AB, length=50e3, success_probability=0.25, attempt_duration=1e-6)
    assert (link.probability_per_attempt, link.duration_per_attempt) == (0.25, 1e-6)


def test_a_link_is_named_by_its_ends():
    assert Link(between=["alice", "bob"]).name == "alice-bob"


def test_links_with_equal_values_are_equal_and_hash_alike():
    one = Link(between=["alice", "bob"], matrix=PHI_PLUS)
    two = Link(between=("alice", "bob"), matrix=PHI_PLUS.tolist())
    assert one == two
    assert hash(one) == hash(two)


def test_gradients_go_through_a_link():
    import jax

    def rate(length):
        link = Link(between=AB, length=length)
        return link.probability_per_attempt / link.duration_per_attempt

    def singlet_part(fidelity):
        return Link(between=AB, fidelity=fidelity).pair_state().correlator("ZZ")

    def flipped(weight):
        return Link(between=AB, weights=[1 - weight, 0.0, weight, 0.0]).pair_state().correlator("ZZ")

    def mixed(weight):
        matrix = (1 - weight) * jax.numpy.asarray(PHI_PLUS) + weight * jax.numpy.eye(4) / 4
        return Link(between=AB, matrix=matrix).pair_state().correlator("ZZ")

    slope = (rate_value(20.001e3) - rate_value(19.999e3)) / 2
    assert jax.grad(rate)(20e3) == pytest.approx(slope, rel=1e-4)
    assert jax.grad(singlet_part)(0.9) == pytest.approx(4 / 3, rel=1e-6)
    assert jax.grad(flipped)(0.1) == pytest.approx(-2.0, rel=1e-6)
    assert jax.grad(mixed)(0.1) == pytest.approx(-1.0, rel=1e-6)


def rate_value(length):
    return 10 ** (-0.02 * length / 1e3) / (length * 1.468 / 299792458.0)
