import itertools

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import PTM as QiskitPTM
from qiskit.quantum_info import Operator, Pauli, SuperOp

from qdist.errors import QdistError
from qdist.physics import pauli

# A few dozen float64 operations on numbers of size 1.
EXACT = 1e-13
FLOAT32 = 2e-6

SINGLE = {"I": qutip.qeye(2), "X": qutip.sigmax(), "Y": qutip.sigmay(), "Z": qutip.sigmaz()}


def random_density_matrix(num_qubits, seed):
    rng = np.random.default_rng(seed)
    size = 2**num_qubits
    root = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    return root @ root.conj().T / np.trace(root @ root.conj().T).real


def string(labels):
    return qutip.tensor([SINGLE[label] for label in labels]).full()


def test_the_basis_holds_the_pauli_strings_in_the_order_asked_for():
    for order in ("IXYZ", "IZXY"):
        for num_qubits in (1, 2, 3):
            basis = pauli.basis(num_qubits, order)
            for column, labels in zip(basis.T, itertools.product(order, repeat=num_qubits), strict=True):
                np.testing.assert_array_equal(column.reshape(2**num_qubits, -1), string(labels))


def test_the_letters_mean_what_they_mean_in_qiskit():
    for label, matrix in pauli.MATRICES.items():
        np.testing.assert_array_equal(matrix, Pauli(label).to_matrix())


def test_a_digit_is_the_two_bits_x_and_z():
    # I = 00, Z = 01, X = 10, Y = 11, x the more significant: Qiskit's symplectic bits of the same letter.
    for label in "IXYZ":
        operator = Pauli(label)
        assert pauli.digit_index(label) == 2 * int(operator.x[0]) + int(operator.z[0])


def test_the_first_letter_is_the_most_significant_digit():
    for labels in itertools.product("IXYZ", repeat=3):
        expected = sum(4 ** (2 - i) * pauli.DIGIT_ORDER.index(label) for i, label in enumerate(labels))
        assert pauli.digit_index("".join(labels)) == expected


@pytest.mark.parametrize("bad", ["XQ", "x", "X I"])
def test_another_letter_is_refused(bad):
    with pytest.raises(QdistError, match=f"made of I, X, Y and Z, but got '{bad}'"):
        pauli.digit_index(bad)


def test_reordering_sends_each_string_to_its_place_and_back():
    for num_qubits in (1, 2, 3):
        public = ["".join(labels) for labels in itertools.product("IXYZ", repeat=num_qubits)]
        labels = np.array(public)
        stored = pauli.digit_order(labels, num_qubits)
        assert [pauli.digit_index(label) for label in stored] == list(range(4**num_qubits))
        assert (pauli.public_order(stored, num_qubits) == labels).all()


def test_reordering_a_matrix_moves_rows_and_columns():
    matrix = np.arange(256).reshape(16, 16)
    stored = pauli.digit_order(matrix, 2)
    assert stored[pauli.digit_index("ZX"), pauli.digit_index("YI")] == matrix[3 * 4 + 1, 2 * 4]
    assert (pauli.public_order(stored, 2) == matrix).all()


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_a_density_matrix_survives_the_round_trip(num_qubits, seed):
    rho = random_density_matrix(num_qubits, seed)
    vector = pauli.vector_from_matrix(rho)
    assert vector.shape == (4**num_qubits,)
    assert vector.dtype == np.float64
    back = pauli.matrix_from_vector(vector)
    assert back.shape == rho.shape
    np.testing.assert_allclose(back, rho, atol=EXACT)


def test_every_entry_of_the_vector_is_an_expectation_value():
    for num_qubits in (1, 2, 3):
        rho = random_density_matrix(num_qubits, 7)
        vector = pauli.vector_from_matrix(rho)
        for labels in itertools.product("IXYZ", repeat=num_qubits):
            expected = np.trace(string(labels) @ rho).real
            assert vector[pauli.digit_index("".join(labels))] == pytest.approx(expected, abs=EXACT)


def test_no_qubits_is_a_number():
    assert pauli.vector_from_matrix(np.array([[0.25]])).tolist() == [0.25]
    assert pauli.matrix_from_vector(np.array([0.25])).tolist() == [[0.25]]


@given(st.integers(1, 2), st.integers(1, 3), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_transfer_matrix_of_kraus_operators_maps_states_as_they_do(num_qubits, num_operators, seed):
    rng = np.random.default_rng(seed)
    size = 2**num_qubits
    kraus = rng.normal(size=(num_operators, size, size)) + 1j * rng.normal(size=(num_operators, size, size))
    rho = random_density_matrix(num_qubits, seed)
    expected = sum(k @ rho @ k.conj().T for k in kraus)
    ptm = pauli.digit_order(pauli.ptm_from_kraus(kraus), num_qubits)
    found = pauli.matrix_from_vector(ptm @ pauli.vector_from_matrix(rho))
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(ptm).max())
    np.testing.assert_array_equal(pauli.ptm_from_kraus(list(kraus)), pauli.ptm_from_kraus(kraus))


def test_the_transfer_matrix_of_a_unitary_is_the_one_of_qiskit():
    rng = np.random.default_rng(3)
    swapped = np.arange(16).reshape(4, 4).T.reshape(-1)
    for size in (2, 4):
        unitary = np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]
        expected = QiskitPTM(SuperOp(Operator(unitary).reverse_qargs())).data.real
        if size == 4:
            expected = expected[np.ix_(swapped, swapped)]
        np.testing.assert_allclose(pauli.ptm_from_unitary(unitary), expected, atol=EXACT)


@pytest.mark.parametrize(("x64", "real", "compound"), [(0, "float32", "complex64"), (1, "float64", "complex128")])
def test_conversions_trace_in_either_precision(x64, real, compound):
    jax = pytest.importorskip("jax")
    rho = random_density_matrix(2, 11)
    unitary = np.linalg.qr(rho + np.eye(4))[0]
    with jax.enable_x64(bool(x64)), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        vector = jax.jit(pauli.vector_from_matrix)(jax.numpy.asarray(rho, compound))
        matrix = jax.jit(pauli.matrix_from_vector)(vector)
        ptm = jax.jit(pauli.ptm_from_unitary)(jax.numpy.asarray(unitary, compound))
    assert (vector.dtype, matrix.dtype, ptm.dtype) == (real, compound, real)
    np.testing.assert_allclose(vector, pauli.vector_from_matrix(rho), atol=FLOAT32)
    np.testing.assert_allclose(matrix, rho, atol=FLOAT32)
    np.testing.assert_allclose(ptm, pauli.ptm_from_unitary(unitary), atol=FLOAT32)


def test_float32_values_stay_float32_beside_float64_ones():
    jax = pytest.importorskip("jax")
    rho = random_density_matrix(2, 12)
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        vector = pauli.vector_from_matrix(jax.numpy.asarray(rho, "complex64"))
        matrix = pauli.matrix_from_vector(vector)
        ptm = pauli.ptm_from_unitary(jax.numpy.eye(4, dtype="complex64"))
    assert (vector.dtype, matrix.dtype, ptm.dtype) == ("float32", "complex64", "float32")
