import itertools
import math

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import DensityMatrix, SparsePauliOp, Statevector, partial_trace, random_density_matrix
from qutip.core import states as qutip_states

from qdist.errors import QdistError
from qdist.physics import states
from qdist.physics.states import State

# A few dozen float64 operations on numbers of size 1.
EXACT = 1e-13
FLOAT32 = 2e-6

KETS = {"phi+": (1, 0, 0, 1), "phi-": (1, 0, 0, -1), "psi+": (0, 1, 1, 0), "psi-": (0, 1, -1, 0)}
QUTIP_BELL = {"phi+": "00", "phi-": "01", "psi+": "10", "psi-": "11"}
EDGES = {"line": [(0, 1), (1, 2), (2, 3)], "star": [(0, 1), (0, 2), (0, 3)], "ring": [(0, 1), (1, 2), (2, 3), (3, 0)]}


def random_matrix(num_qubits, seed):
    return random_density_matrix(2**num_qubits, seed=seed).data


def projector(amplitudes):
    ket = np.asarray(amplitudes, complex)
    return np.outer(ket, ket.conj()) / np.vdot(ket, ket).real


@given(st.integers(1, 5), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_a_density_matrix_survives_the_round_trip(num_qubits, seed):
    rho = random_matrix(num_qubits, seed)
    state = states.from_matrix(rho)
    assert state.num_qubits == num_qubits
    assert state.qubits == tuple(f"q/{i}" for i in range(num_qubits))
    assert state.trace == pytest.approx(1, abs=EXACT)
    np.testing.assert_allclose(state.matrix(), rho, atol=EXACT)


@given(st.integers(1, 4), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_qutip_and_qiskit_hand_back_the_same_state(num_qubits, seed):
    state = states.from_matrix(random_matrix(num_qubits, seed))
    for back in (states.from_qutip(state.to_qutip()), states.from_qiskit(state.to_qiskit())):
        np.testing.assert_allclose(back.vector, state.vector, atol=EXACT)
        assert back.qubits == state.qubits


def test_the_first_qubit_is_the_first_factor_in_qutip_and_qubit_0_in_qiskit():
    state = states.basis_state("100", ["a/0", "b/0", "c/0"])
    assert state.to_qutip() == qutip.ket2dm(qutip.tensor([qutip.basis(2, 1), qutip.basis(2, 0), qutip.basis(2, 0)]))
    assert state.to_qiskit() == DensityMatrix.from_label("001")
    assert state.to_qutip().dims == [[2, 2, 2], [2, 2, 2]]


def test_kets_of_other_programs_become_pure_states():
    rng = np.random.default_rng(3)
    amplitudes = rng.normal(size=8) + 1j * rng.normal(size=8)
    amplitudes /= np.linalg.norm(amplitudes)
    ours = states.from_ket(amplitudes)
    from_qutip = states.from_qutip(qutip.Qobj(amplitudes, dims=[[2] * 3, [1] * 3]))
    from_qiskit = states.from_qiskit(Statevector(amplitudes).reverse_qargs())
    for state in (ours, from_qutip, from_qiskit):
        np.testing.assert_allclose(state.matrix(), projector(amplitudes), atol=EXACT)


def test_a_ket_is_normalized():
    np.testing.assert_allclose(states.from_ket([3, 4j]).matrix(), projector([0.6, 0.8j]), atol=EXACT)


def test_bell_states_are_those_of_qutip():
    for kind in states.BELL_STATES:
        matrix = states.bell(kind).matrix()
        np.testing.assert_allclose(matrix, projector(KETS[kind]), atol=EXACT)
        np.testing.assert_allclose(matrix, qutip.ket2dm(qutip_states.bell_state(QUTIP_BELL[kind])).full(), atol=EXACT)


def test_bell_diagonal_weights_have_the_order_of_the_names():
    weights = (0.4, 0.3, 0.2, 0.1)
    expected = sum(w * projector(KETS[kind]) for w, kind in zip(weights, states.BELL_STATES, strict=True))
    np.testing.assert_allclose(states.bell_diagonal(weights).matrix(), expected, atol=EXACT)


@pytest.mark.parametrize("fidelity", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_a_werner_state_is_a_mixture_with_noise_and_has_its_fidelity(fidelity):
    matrix = states.werner(fidelity).matrix()
    w = (4 * fidelity - 1) / 3
    np.testing.assert_allclose(matrix, w * projector(KETS["phi+"]) + (1 - w) / 4 * np.eye(4), atol=EXACT)
    ket = qutip_states.bell_state("00")
    found = qutip.fidelity(qutip.Qobj(matrix, dims=[[2, 2], [2, 2]]), ket) ** 2
    assert found == pytest.approx(fidelity, abs=1e-7)
    assert np.linalg.eigvalsh(matrix)[0] > -EXACT


def test_ghz_and_w_states_are_those_of_qutip():
    for n in (2, 3, 4):
        np.testing.assert_allclose(states.ghz(n).matrix(), qutip.ket2dm(qutip.ghz_state(n)).full(), atol=EXACT)
        np.testing.assert_allclose(states.w_state(n).matrix(), qutip.ket2dm(qutip.w_state(n)).full(), atol=EXACT)


def test_graph_states_are_stabilized_by_their_graph():
    for edges in EDGES.values():
        state = states.graph_state(4, edges)
        assert state.correlator("IIII") == pytest.approx(1)
        for vertex in range(4):
            neighbors = {j for edge in edges if vertex in edge for j in edge} - {vertex}
            stabilizer = "".join("X" if i == vertex else "Z" if i in neighbors else "I" for i in range(4))
            assert state.correlator(stabilizer) == pytest.approx(1, abs=EXACT), stabilizer


def test_a_graph_without_edges_is_all_plus():
    plus = projector([1] * 8)
    np.testing.assert_allclose(states.graph_state(3, []).matrix(), plus, atol=EXACT)


def test_basis_states_and_the_maximally_mixed_state():
    for bits in ("0", "1", "01", "110"):
        expected = np.zeros((2 ** len(bits), 2 ** len(bits)))
        expected[int(bits, 2), int(bits, 2)] = 1
        np.testing.assert_allclose(states.basis_state(bits).matrix(), expected, atol=EXACT)
    np.testing.assert_allclose(states.maximally_mixed(3).matrix(), np.eye(8) / 8, atol=EXACT)


def test_the_named_correlators_define_the_state():
    state = states.from_pauli({"XX": 1, "ZZ": 1, "YY": -1})
    np.testing.assert_allclose(state.vector, states.bell().vector, atol=EXACT)
    unnormalized = states.from_pauli({"II": 0.5, "ZZ": 0.5})
    assert unnormalized.trace == 0.5
    np.testing.assert_allclose(unnormalized.normalized().correlator("ZZ"), 1)


def test_every_correlator_is_the_expectation_value_of_qiskit():
    rho = random_matrix(3, 8)
    state = states.from_matrix(rho)
    for labels in itertools.product("IXYZ", repeat=3):
        expected = DensityMatrix(rho).expectation_value(SparsePauliOp("".join(labels))).real
        assert state.correlator("".join(labels)) == pytest.approx(expected, abs=EXACT)


def test_the_correlation_matrix_has_rows_and_columns_x_y_z():
    state = states.from_matrix(random_matrix(2, 9))
    expected = [[state.correlator(a + b) for b in "XYZ"] for a in "XYZ"]
    np.testing.assert_array_equal(state.correlation_matrix(), expected)
    np.testing.assert_allclose(states.bell("psi-").correlation_matrix(), -np.eye(3), atol=EXACT)


def test_a_partial_trace_is_the_one_of_qutip_in_any_order():
    names = ("a/0", "b/0", "c/0", "d/0")
    state = states.from_matrix(random_matrix(4, 10), names)
    full = state.to_qutip()
    for size in range(1, 5):
        for kept in itertools.permutations(range(4), size):
            reduced = state.reduced([names[i] for i in kept])
            expected = full.ptrace(sorted(kept)).permute([sorted(kept).index(i) for i in kept])
            assert reduced.qubits == tuple(names[i] for i in kept)
            np.testing.assert_allclose(reduced.matrix(), expected.full(), atol=EXACT)


def test_a_partial_trace_is_the_one_of_qiskit():
    state = states.from_matrix(random_matrix(3, 4))
    theirs = partial_trace(state.to_qiskit(), [1])
    assert state.reduced(["q/0", "q/2"]).to_qiskit() == theirs


def test_the_trace_over_everything_is_the_trace():
    state = states.from_pauli({"I": 0.25, "Z": 0.1})
    assert state.reduced([]).vector.tolist() == [0.25]


def test_joining_states_is_the_kronecker_product():
    left, right = random_matrix(1, 1), random_matrix(2, 2)
    joined = states.from_matrix(left, ["a/0"]).tensor(states.from_matrix(right, ["b/0", "b/1"]))
    np.testing.assert_allclose(joined.matrix(), np.kron(left, right), atol=EXACT)
    assert joined.qubits == ("a/0", "b/0", "b/1")
    np.testing.assert_allclose(joined.reduced(["b/0", "b/1"]).matrix(), right, atol=EXACT)


def test_names_are_changed_without_touching_the_state():
    state = states.bell().named(["alice/0", "bob/0"])
    assert state.qubits == ("alice/0", "bob/0")
    np.testing.assert_array_equal(state.vector, states.bell().vector)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: State(np.ones(4), ("a/0", "b/0")), "must have 4ⁿ = 16 entries for 2 qubits, but has shape (4,)."),
        (lambda: states.bell().reduced(["q/7"]), "The state has no qubit 'q/7'. Did you mean"),
        (lambda: states.bell().reduced(["q/0", "q/0"]), "must be given once each, but got ['q/0', 'q/0']."),
        (lambda: states.bell().tensor(states.bell()), "different qubits, but both have ['q/0', 'q/1']."),
        (lambda: states.bell().correlator("XXX"), "one letter per qubit (2), but 'XXX' has 3."),
        (lambda: states.bell().correlator("XW"), "made of I, X, Y and Z, but got 'XW'."),
        (lambda: states.ghz(3).correlation_matrix(), "needs exactly 2 qubits, but the state has 3."),
        (lambda: states.from_matrix(np.ones((2, 4))), "power-of-two size, but has shape (2, 4)."),
        (lambda: states.from_matrix(np.eye(3) / 3), "power-of-two size, but has shape (3, 3)."),
        (lambda: states.from_matrix([[0.5, 1j], [1j, 0.5]]), "must be Hermitian, but is not."),
        (lambda: states.from_matrix(np.diag([1.1, -0.1])), "no negative eigenvalue, but has -0.1."),
        (lambda: states.from_ket([1, 0, 0]), "must have 2ⁿ amplitudes, but has 3."),
        (lambda: states.from_pauli({"XX": 1, "Z": 1}), "same length, but have lengths [1, 2]."),
        (lambda: states.basis_state("012"), "string of 0 and 1, but is '012'."),
        (lambda: states.basis_state(""), "string of 0 and 1, but is ''."),
        (lambda: states.bell("phi"), "must be one of phi+, phi-, psi+, psi-, but is 'phi'."),
        (lambda: states.bell_diagonal([0.5, 0.5]), "must be four numbers (phi+, phi-, psi+, psi-), but got 2."),
        (lambda: states.bell_diagonal([0.5, 0.6, -0.1, 0]), "`weight of psi+` must be a probability in [0, 1]"),
        (lambda: states.bell_diagonal([0.5, 0.4, 0, 0]), "must add up to 1, but add up to 0.9."),
        (lambda: states.werner(1 + 1e-9), "`fidelity` must be a probability in [0, 1]"),
        (lambda: states.werner(math.nan), "`fidelity` must be a probability in [0, 1], but is nan."),
    ],
)
def test_a_mistake_is_named_with_what_was_found(call, message):
    with pytest.raises(QdistError) as caught:
        call()
    assert message in str(caught.value)


def test_rounding_is_not_a_mistake():
    states.bell_diagonal([0.1, 0.2, 0.3, 0.4 + 1e-12])
    states.from_matrix(np.diag([1 + 1e-9, -1e-9]))
    states.from_matrix(random_matrix(2, 3) + 1e-9 * 1j * np.ones((4, 4)))


def test_states_trace_and_differentiate():
    jax = pytest.importorskip("jax")
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        traced = jax.jit(lambda f: states.werner(f).vector)(jax.numpy.float32(0.9))
        slope = jax.grad(lambda f: states.werner(f).correlator("YY"))(0.9)
        amplitudes = jax.numpy.asarray([0.6, 0, 0, 0.8j], "complex64")
        pure = jax.jit(lambda ket: states.from_ket(ket).vector)(amplitudes)
        matrix = jax.jit(lambda f: states.werner(f).matrix())(jax.numpy.float32(0.9))
        joined = states.werner(jax.numpy.float32(0.9), ["a/0", "b/0"]).tensor(states.bell())
    np.testing.assert_allclose(traced, states.werner(0.9).vector, atol=FLOAT32)
    assert slope == pytest.approx(-4 / 3, rel=1e-6)
    np.testing.assert_allclose(pure, states.from_ket([0.6, 0, 0, 0.8j]).vector, atol=FLOAT32)
    np.testing.assert_allclose(matrix, states.werner(0.9).matrix(), atol=FLOAT32)
    assert joined.vector.dtype == np.float32
