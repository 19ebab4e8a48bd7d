"""Metrics have their known values, agree with QuTiP, Qiskit and dense NumPy, and keep their bounds."""

import itertools
import math

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import entanglement_of_formation as qiskit_formation
from qiskit.quantum_info import mutual_information as qiskit_mutual_information
from qiskit.quantum_info import random_unitary

from qdist.errors import QdistError
from qdist.physics import metrics
from qdist.physics.metrics import METRICS
from qdist.physics.states import (
    State,
    basis_state,
    bell,
    bell_diagonal,
    from_ket,
    from_matrix,
    from_pauli,
    ghz,
    graph_state,
    maximally_mixed,
    w_state,
    werner,
)

# Float64 eigenvalues; the root of a rounding error is about 1e-8.
EXACT = 1e-12
ROOTS = 1e-7

SIGMA = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}


def dense(string: str) -> np.ndarray:
    matrix = np.eye(1)
    for letter in string:
        matrix = np.kron(matrix, SIGMA[letter])
    return matrix


def random_state(number: int, seed: int, rank: int | None = None) -> State:
    rng = np.random.default_rng(seed)
    shape = (2**number, rank or 2**number)
    factor = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    matrix = factor @ factor.conj().T
    return from_matrix(matrix / np.trace(matrix).real)


def rotated(state: State, seed: int) -> State:
    """The state after a random unitary on each qubit."""
    unitary = np.eye(1)
    for qubit in range(state.num_qubits):
        unitary = np.kron(unitary, random_unitary(2, seed=1000 * seed + qubit).data)
    return from_matrix(unitary @ state.matrix() @ unitary.conj().T, state.qubits)


def mixed(first: State, second: State, weight: float = 0.5) -> State:
    return State(weight * first.vector + (1 - weight) * second.vector, first.qubits)


def entropy(*weights: float) -> float:
    return -sum(p * math.log2(p) for p in weights if p > 0)


# ---- name: (Φ⁺, Werner w = .9, |00⟩, fully mixed, ½|00⟩⟨00| + ½|11⟩⟨11|)
_S = entropy(0.925, 0.025, 0.025, 0.025)
_P = 0.925**2 + 3 * 0.025**2
_E = (1 + math.sqrt(1 - 0.85**2)) / 2
KNOWN = {
    "fidelity": (1, 0.925, 0.5, 0.25, 0.5),
    "purity": (1, _P, 1, 0.25, 0.5),
    "trace_distance": (0, 0.075, math.sqrt(0.5), 0.75, 0.5),
    "entropy": (0, _S, 0, 2, 1),
    "renyi2_entropy": (0, -math.log2(_P), 0, 2, 1),
    "mutual_information": (2, 2 - _S, 0, 0, 1),
    "renyi2_mutual_information": (2, 2 + math.log2(_P), 0, 0, 1),
    "concurrence": (1, 0.85, 0, 0, 0),
    "negativity": (0.5, 0.425, 0, 0, 0),
    "log_negativity": (1, math.log2(1.85), 0, 0, 0),
    "entanglement_of_formation": (1, entropy(_E, 1 - _E), 0, 0, 0),
    "geometric_discord": (0.5, 0.9**2 / 2, 0, 0, 0),
    "chsh": (2 * math.sqrt(2), 2.5455844122715714, 2, 0, 2),
    "verdict": (4, 4, 0, 0, 1),
    "mermin": (2, 1.8, 0, 0, 0),
    "ghz_fidelity": (1, 0.925, 0.5, 0.25, 0.5),
    "quantum_fisher_information": (4, 4 * 0.9**2 / 0.95, 0, 0, 0),
}


def test_every_metric_of_the_table_has_its_known_value():
    states = (bell(), werner(0.925), basis_state("00"), maximally_mixed(2), from_pauli({"ZZ": 1}))
    assert set(KNOWN) == set(METRICS)
    for name, values in KNOWN.items():
        for state, value in zip(states, values, strict=True):
            assert METRICS[name].function(state) == pytest.approx(value, abs=ROOTS), (name, value)


def test_every_metric_is_a_number_and_ignores_the_trace():
    for name, metric in METRICS.items():
        for number in range(metric.min_qubits, min(metric.max_qubits, 4) + 1):
            state = random_state(number, seed=number)
            value = metric.function(state)
            assert np.shape(value) == (), name
            branch = State(0.003 * state.vector, state.qubits)
            assert float(metric.function(branch)) == pytest.approx(float(value), abs=ROOTS), name


def test_only_the_metrics_marked_linear_are_linear():
    cases = [(bell(), bell("phi-")), (bell(), basis_state("01")), (random_state(2, 1, 1), random_state(2, 2, 1))]
    for name, metric in METRICS.items():
        gaps = [
            metric.function(mixed(first, second, 0.3)) - 0.3 * metric.function(first) - 0.7 * metric.function(second)
            for first, second in cases
        ]
        assert (np.abs(gaps).max() < EXACT) == metric.linear, name


def test_the_table_names_each_row_by_its_key_and_fills_every_text():
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.unit in ("1", "bit")
        assert metric.description.endswith(".")
        assert metric.convention.endswith(".")
        assert metric.cost


# ---- other programs


def test_pair_metrics_agree_with_qutip_and_qiskit():
    for seed, rank in itertools.product(range(8), (1, 2, 3, 4)):
        state, target = random_state(2, seed, rank), random_state(2, 100 + seed, 5 - rank)
        rho, sigma = state.to_qutip(), target.to_qutip()
        cases = {
            "fidelity": (metrics.fidelity(state, target), qutip.fidelity(rho, sigma) ** 2),
            "trace distance": (metrics.trace_distance(state, target), qutip.tracedist(rho, sigma)),
            "concurrence": (metrics.concurrence(state), qutip.concurrence(rho)),
            "negativity": (metrics.negativity(state), qutip.negativity(rho, 0)),
            "log negativity": (metrics.log_negativity(state), qutip.negativity(rho, 0, logarithmic=True)),
            "formation": (metrics.entanglement_of_formation(state), qiskit_formation(state.to_qiskit())),
        }
        for name, (ours, theirs) in cases.items():
            assert ours == pytest.approx(theirs, abs=2e-6), (name, seed, rank)


def test_metrics_of_two_to_four_qubits_agree_with_qutip_and_qiskit():
    for number, rank in itertools.product((2, 3, 4), (1, 2, 5)):
        state, target = random_state(number, 7 * number + rank, rank), random_state(number, 50 + rank)
        rho, sigma = state.to_qutip(), target.to_qutip()
        half = number // 2
        mask = [1] * half + [0] * (number - half)
        norm = np.abs(np.linalg.eigvalsh(qutip.partial_transpose(rho, mask).full())).sum()
        cases = {
            "fidelity": (metrics.fidelity(state, target), qutip.fidelity(rho, sigma) ** 2),
            "trace distance": (metrics.trace_distance(state, target), qutip.tracedist(rho, sigma)),
            "entropy": (metrics.von_neumann_entropy(state), qutip.entropy_vn(rho, base=2)),
            "purity": (metrics.purity(state), rho.purity()),
            "negativity": (metrics.negativity(state), (norm - 1) / 2),
            "mutual information": (
                metrics.mutual_information(state),
                qutip.entropy_mutual(rho, list(range(half)), list(range(half, number)), base=2),
            ),
        }
        if number == 2:
            theirs = qiskit_mutual_information(state.to_qiskit(), base=2)
            cases["Qiskit mutual information"] = (metrics.mutual_information(state), theirs)
        for name, (ours, theirs) in cases.items():
            assert ours == pytest.approx(theirs, abs=2e-6), (name, number, rank)


# ---- fidelity


def test_fidelity_with_a_pure_target_is_the_same_by_overlap_and_by_decomposition():
    for number in (1, 2, 3):
        state, target = random_state(number, number), random_state(number, 20 + number, 1)
        assert metrics.fidelity(state, target) == pytest.approx(metrics.fidelity(state, target, pure=False), abs=ROOTS)


def test_fidelity_sees_that_a_mixed_target_is_mixed_and_is_symmetric():
    state, target = werner(0.8), werner(0.7)
    expected = (math.sqrt(0.8 * 0.7) + math.sqrt(0.2 * 0.3)) ** 2
    assert metrics.fidelity(state, target) == pytest.approx(expected, abs=EXACT)
    assert metrics.fidelity(target, state) == pytest.approx(expected, abs=EXACT)


def test_fidelity_matches_qubits_by_name_and_otherwise_by_position():
    state = basis_state("01", ["alice/0", "bob/0"])
    assert metrics.fidelity(state, basis_state("10", ["bob/0", "alice/0"])) == 1
    assert metrics.fidelity(state, basis_state("01")) == 1


def test_bell_fidelity_is_the_weight_of_that_bell_state():
    weights = (0.4, 0.3, 0.2, 0.1)
    state = bell_diagonal(weights)
    for kind, weight in zip(("phi+", "phi-", "psi+", "psi-"), weights, strict=True):
        assert metrics.bell_fidelity(state, kind) == pytest.approx(weight, abs=EXACT)


# ---- parties


def test_parties_may_be_named_in_any_order_and_others_are_traced_out():
    pair = bell("psi-", ["a/0", "b/0"])
    state = basis_state("0", ["c/0"]).tensor(pair).tensor(basis_state("1", ["d/0"]))
    for part_a, part_b, bits in ((["a/0"], ["b/0"], 2), (["b/0", "c/0"], ["a/0"], 2), (["c/0"], None, 0)):
        assert metrics.mutual_information(state, part_a, part_b) == pytest.approx(bits, abs=EXACT)
        assert metrics.renyi2_mutual_information(state, part_a, part_b) == pytest.approx(bits, abs=EXACT)
    assert metrics.mutual_information(state, None, ["b/0", "d/0"]) == pytest.approx(2, abs=EXACT)
    for part, value in ((["a/0"], 0.5), (["d/0", "b/0"], 0.5), (["a/0", "b/0"], 0)):
        assert metrics.negativity(state, part) == pytest.approx(value, abs=EXACT)


def test_log_negativity_counts_bell_pairs_across_the_cut():
    pairs = bell(qubits=["a/0", "b/0"]).tensor(bell(qubits=["a/1", "b/1"]))
    assert metrics.log_negativity(pairs, ["a/0", "a/1"]) == pytest.approx(2, abs=EXACT)


# ---- correlators and outcomes


def test_correlators_and_correlations_agree_with_dense_traces():
    state = random_state(3, seed=5)
    matrix, names = state.matrix(), state.qubits
    for string in ("XYZ", "ZIZ", "IYX"):
        mean = np.trace(dense(string) @ matrix).real
        first = np.trace(dense(string[0] + "II") @ matrix).real
        rest = np.trace(dense("I" + string[1:]) @ matrix).real
        last = np.trace(dense("II" + string[2]) @ matrix).real
        middle = np.trace(dense(string[:2] + "I") @ matrix).real
        assert metrics.correlator(state, string) == pytest.approx(mean, abs=EXACT)
        assert metrics.connected_correlation(state, string) == pytest.approx(mean - first * rest, abs=EXACT)
        split = metrics.connected_correlation(state, string, part_b=names[2:])
        assert split == pytest.approx(mean - middle * last, abs=EXACT)


def test_connected_correlation_vanishes_on_products_where_the_correlator_does_not():
    state = random_state(1, 1).tensor(random_state(1, 2).named(["b/0"]))
    assert abs(metrics.correlator(state, "ZX")) > 0.01
    assert metrics.connected_correlation(state, "ZX") == pytest.approx(0, abs=EXACT)


def test_outcome_probabilities_are_those_of_the_rotated_density_matrix():
    root = 1 / math.sqrt(2)
    to_z = {"Z": np.eye(2), "X": root * np.array([[1, 1], [1, -1]]), "Y": root * np.array([[1, -1j], [1, 1j]])}
    for basis in ("ZZZ", "XYZ", "YXX"):
        state = random_state(3, seed=3)
        unitary = np.kron(np.kron(to_z[basis[0]], to_z[basis[1]]), to_z[basis[2]])
        expected = np.diag(unitary @ state.matrix() @ unitary.conj().T).real
        np.testing.assert_allclose(metrics.outcome_probabilities(state, basis), expected, atol=EXACT)
    np.testing.assert_array_equal(metrics.outcome_probabilities(basis_state("011")), np.eye(8)[3])


# ---- Bell inequalities


def test_chsh_is_reached_by_directions_from_the_singular_vectors_and_never_exceeded():
    rng = np.random.default_rng(4)
    for seed in range(5):
        state = random_state(2, seed, 2)
        table = np.array([[np.trace(dense(a + b) @ state.matrix()).real for b in "XYZ"] for a in "XYZ"])
        value = metrics.chsh(state)
        left, sizes, right = np.linalg.svd(table)
        angle = math.atan2(sizes[1], sizes[0])
        b, b2 = (math.cos(angle) * right[0] + sign * math.sin(angle) * right[1] for sign in (1, -1))
        best = left[:, 0] @ table @ (b + b2) + left[:, 1] @ table @ (b - b2)
        assert best == pytest.approx(value, abs=EXACT)
        for _ in range(200):
            a, a2, b, b2 = (v / np.linalg.norm(v) for v in rng.normal(size=(4, 3)))
            assert a @ table @ (b + b2) + a2 @ table @ (b - b2) <= value + EXACT


def test_werner_pairs_violate_chsh_above_the_known_fidelity():
    assert metrics.chsh(werner(0.925)) == pytest.approx(2.545584, abs=1e-6)
    assert metrics.chsh(werner(0.780329)) < 2 < metrics.chsh(werner(0.780331))


def test_mermin_value_is_that_of_the_dense_polynomial():
    for number in (2, 3, 4):
        raising = np.eye(1)
        for _ in range(number):
            raising = np.kron(raising, SIGMA["X"] + 1j * SIGMA["Y"])
        state = random_state(number, number, 1)
        expected = np.trace((raising + raising.conj().T) / 2 @ state.matrix()).real
        assert metrics.mermin(state) == pytest.approx(expected, abs=EXACT)


def test_noisy_ghz_states_reach_the_mermin_value_of_quantum_theory():
    for number, quantum, local in ((3, 4, 2), (4, 8, 4), (5, 16, 4), (6, 32, 8)):
        visibility = 0.7
        state = mixed(ghz(number), maximally_mixed(number), visibility)
        assert metrics.mermin(state) == pytest.approx(quantum * visibility, abs=EXACT)
        assert metrics.mermin_local_bound(number) == local


def test_mermin_local_bound_is_the_best_of_all_deterministic_answers():
    for number in (2, 3, 4, 5):
        answers = itertools.product((1, -1), repeat=2 * number)
        best = max(np.prod([complex(x, y) for x, y in zip(a[::2], a[1::2], strict=True)]).real for a in answers)
        assert metrics.mermin_local_bound(number) == pytest.approx(best)


# ---- stabilizer states


def test_stabilizer_averages_are_overlaps_with_the_dense_kets():
    graphs = {
        2: [(0, 1)],
        3: [(0, 1), (1, 2), (0, 2)],
        4: [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)],
        5: [(0, 4), (1, 3)],
    }
    for number, edges in graphs.items():
        state = random_state(number, number)
        for ours, target in (
            (metrics.ghz_fidelity(state), ghz(number)),
            (metrics.graph_state_fidelity(state, edges), graph_state(number, edges)),
        ):
            assert ours == pytest.approx(np.trace(target.matrix() @ state.matrix()).real, abs=EXACT)
        assert metrics.ghz_fidelity(ghz(number)) == pytest.approx(1, abs=EXACT)
        assert metrics.graph_state_fidelity(graph_state(number, edges), edges) == pytest.approx(1, abs=EXACT)


def test_an_edge_given_twice_cancels_as_its_gates_do():
    edges = [(0, 1), (1, 2), (1, 0)]
    assert metrics.graph_state_fidelity(graph_state(3, edges), edges) == pytest.approx(1, abs=EXACT)


# ---- monogamy


def test_concurrence_is_monogamous_with_equality_for_w_states():
    for state, pairwise in ((w_state(3), 2 / 3), (ghz(3), 0)):
        a, b, c = state.qubits
        shared = [metrics.concurrence(state.reduced(pair)) for pair in ((a, b), (a, c))]
        one_to_rest = 2 * (1 - metrics.purity(state.reduced([a])))  # C²(A|BC) of a pure state
        np.testing.assert_allclose(shared, pairwise, atol=ROOTS)
        assert one_to_rest == pytest.approx(2 * (2 / 3) ** 2 if pairwise else 1, abs=EXACT)
    for seed in range(10):
        state = random_state(3, seed, 1)
        a, b, c = state.qubits
        shared = sum(metrics.concurrence(state.reduced(pair)) ** 2 for pair in ((a, b), (a, c)))
        assert shared <= 2 * (1 - metrics.purity(state.reduced([a]))) + ROOTS


# ---- sensing


def test_fisher_information_is_n_for_products_and_n_squared_for_ghz():
    for number in (1, 2, 3, 4):
        plus = from_ket(np.ones(2**number))
        assert metrics.quantum_fisher_information(plus) == pytest.approx(number, abs=EXACT)
        assert metrics.quantum_fisher_information(ghz(number)) == pytest.approx(number**2, abs=1e-10)


def test_fisher_information_of_a_pure_state_is_four_times_the_variance():
    generator = {"XI": 0.3, "ZY": -1.1, "IZ": 0.5}
    operator = sum(value * dense(string) for string, value in generator.items())
    for seed in range(4):
        state = random_state(2, seed, 1)
        mean, square = (np.trace(power @ state.matrix()).real for power in (operator, operator @ operator))
        expected = 4 * (square - mean**2)
        assert metrics.quantum_fisher_information(state, generator) == pytest.approx(expected, abs=1e-10)


def test_fisher_information_is_the_curvature_of_the_fidelity():
    state, angle = random_state(2, 3), 1e-3
    phases = np.exp(-1j * angle * np.array([1, 0, 0, -1]))
    turned = from_matrix(phases[:, None] * state.matrix() * phases.conj())
    expected = 8 * (1 - qutip.fidelity(state.to_qutip(), turned.to_qutip())) / angle**2
    assert metrics.quantum_fisher_information(state) == pytest.approx(expected, rel=1e-4)


# ---- properties

BOUNDS = {
    "fidelity": (0, 1),
    "purity": (0.25, 1),
    "trace_distance": (0, 1),
    "entropy": (0, 2),
    "renyi2_entropy": (0, 2),
    "mutual_information": (0, 2),
    "concurrence": (0, 1),
    "negativity": (0, 0.5),
    "log_negativity": (0, 1),
    "entanglement_of_formation": (0, 1),
    "geometric_discord": (0, 0.5),
    "chsh": (0, 2 * math.sqrt(2)),
    "mermin": (-2, 2),
    "ghz_fidelity": (0, 1),
    "quantum_fisher_information": (0, 4),
}
DEPEND_ON_AXES = {"fidelity", "trace_distance", "mermin", "ghz_fidelity", "quantum_fisher_information"}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), rank=st.integers(1, 4))
def test_pair_metrics_keep_their_bounds_and_do_not_see_local_unitaries(seed, rank):
    state = random_state(2, seed, rank)
    turned = rotated(state, seed % 1000)
    for name, metric in METRICS.items():
        value = metric.function(state)
        low, high = BOUNDS.get(name, (-math.inf, math.inf))
        assert low - ROOTS <= value <= high + ROOTS, name
        if name not in DEPEND_ON_AXES:
            assert metric.function(turned) == pytest.approx(value, abs=1e-6), name


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), rank=st.integers(1, 4))
def test_fidelity_and_trace_distance_obey_fuchs_and_van_de_graaf(seed, rank):
    state, target = random_state(2, seed, rank), random_state(2, seed + 1, 1 + seed % 4)
    root = math.sqrt(max(metrics.fidelity(state, target), 0))
    distance = metrics.trace_distance(state, target)
    assert 1 - root <= distance + ROOTS
    assert distance <= math.sqrt(max(1 - root**2, 0)) + 1e-5


# ---- mistakes of a user


def test_states_of_the_wrong_size_are_refused_before_any_work():
    for metric in METRICS.values():
        if metric.max_qubits < 13:
            number = metric.max_qubits + 1
            vector = np.broadcast_to(np.float32(1), (4**number,))
            with pytest.raises(QdistError, match=f"must have (at most|exactly) {metric.max_qubits} qubits"):
                metric.function(State(vector, tuple(f"a/{i}" for i in range(number))))
        if metric.min_qubits == 2:
            with pytest.raises(QdistError, match=r"must have (at least|exactly) 2 qubits, but has 1"):
                metric.function(basis_state("0"))


def test_mistakes_are_named():
    pair, three = bell(), ghz(3)
    cases = [
        (lambda: metrics.purity(State(np.zeros(4), ("a/0",))), "trace of a state must be positive, but is 0"),
        (lambda: metrics.fidelity(pair, three), r"`target` must have as many qubits as the state \(2\), but has 3"),
        (lambda: metrics.outcome_probabilities(pair, "ZI"), "`basis` must have one letter"),
        (lambda: metrics.outcome_probabilities(pair, "Z"), "`basis` must have one letter"),
        (lambda: metrics.mutual_information(pair, ["q/0"], ["q/0"]), "must have different qubits, but both"),
        (lambda: metrics.negativity(pair, pair.qubits), "at least one qubit, but one has none"),
        (lambda: metrics.negativity(pair, ["q/7"]), "has no qubit 'q/7'. Did you mean"),
        (lambda: metrics.mutual_information(pair, ["q/0", "q/0"]), "given once each"),
        (lambda: metrics.connected_correlation(three, "XXX", ["q/0"], ["q/1"]), "letter on 'q/2' must be I"),
        (lambda: metrics.correlator(pair, "XXX"), "one letter per qubit"),
        (lambda: metrics.graph_state_fidelity(pair, [(0, 2)]), r"join two different qubits of 0 … 1, but is \(0, 2\)"),
        (lambda: metrics.graph_state_fidelity(pair, [(1, 1)]), "join two different qubits"),
        (lambda: metrics.quantum_fisher_information(pair, {"Z": 1.0}), "`generator` must have one letter per qubit"),
        (lambda: metrics.mermin_local_bound(1), "`num_qubits` must be at least 2"),
    ]
    for mistake, sentence in cases:
        with pytest.raises(QdistError, match=sentence):
            mistake()
