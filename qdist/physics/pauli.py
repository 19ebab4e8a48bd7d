"""The Pauli basis: labels, the (x, z) order of digits, and conversions from and to complex matrices.

A state of n qubits is the real vector c_P = Tr(P ρ), so ρ = 2⁻ⁿ Σ_P c_P P. Public matrices and labels use the
field's order I, X, Y, Z. Stored vectors use the order of the two bits (x, z) of a digit, x the more significant:
I = 00, Z = 01, X = 10, Y = 11, that is I, Z, X, Y. Qubit 0 is the leftmost tensor factor (most significant digit).
"""

import itertools
from functools import cache
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist_kernels.namespace import matmul, namespace

PUBLIC_ORDER = "IXYZ"
DIGIT_ORDER = "IZXY"

SMALL = 2**12
"""Entries up to which sums over indices are taken as they are written."""

MATRICES = {
    "I": np.array([[1, 0], [0, 1]], complex),
    "X": np.array([[0, 1], [1, 0]], complex),
    "Y": np.array([[0, -1j], [1j, 0]], complex),
    "Z": np.array([[1, 0], [0, -1]], complex),
}


@cache
def basis(num_qubits: int, order: str = PUBLIC_ORDER) -> np.ndarray:
    """All Pauli strings as the columns vec(P) (row-major) of one matrix of shape (4ⁿ, 4ⁿ)."""
    columns = []
    for labels in itertools.product(order, repeat=num_qubits):
        matrix = np.ones((1, 1), complex)
        for label in labels:
            matrix = np.kron(matrix, MATRICES[label])
        columns.append(matrix.reshape(-1))
    return np.stack(columns, axis=1)


@cache
def _dual_basis(num_qubits: int) -> np.ndarray:
    """The rows vec(P)† of all Pauli strings, shape (4ⁿ, 4ⁿ)."""
    return np.ascontiguousarray(basis(num_qubits).conj().T)


@cache
def _public_positions(num_qubits: int) -> np.ndarray:
    """For each entry in digit order, its position in the public order."""
    one = np.array([PUBLIC_ORDER.index(label) for label in DIGIT_ORDER])
    positions = np.zeros(1, int)
    for _ in range(num_qubits):
        positions = (positions[:, None] * 4 + one[None, :]).reshape(-1)
    return positions.astype(np.int32)  # of one type, whether JAX computes in 64 bits or not


@cache
def _digit_positions(num_qubits: int) -> np.ndarray:
    """For each entry in the public order, its position in digit order."""
    return np.argsort(_public_positions(num_qubits)).astype(np.int32)


def digit_order(array: Any, num_qubits: int) -> Any:
    """Reorder every axis of length 4ⁿ of a public-order vector or matrix to the stored order I, Z, X, Y.

    Other axes stay: the single row of a matrix that destroys its qubits, a batch.
    """
    return _reordered(array, _public_positions(num_qubits))


def public_order(array: Any, num_qubits: int) -> Any:
    """The inverse of `digit_order`."""
    return _reordered(array, _digit_positions(num_qubits))


def _reordered(array: Any, positions: np.ndarray) -> Any:
    for axis in range(array.ndim):
        if array.shape[axis] == len(positions):
            array = array.take(positions, axis=axis)
    return array


def digit_index(string: str) -> int:
    """The position of a Pauli string such as `"XZI"` in a stored vector."""
    index = 0
    for label in string:
        if label not in DIGIT_ORDER:
            raise QdistError(f"A Pauli string must be made of I, X, Y and Z, but got '{string}'.")
        index = 4 * index + DIGIT_ORDER.index(label)
    return index


def ptm_from_kraus(kraus: Any) -> Any:
    """Pauli transfer matrix of Kraus operators.

    R_ij = 2⁻ⁿ Σ_k Tr(P_i K_k P_j K_k†)

    Args:
        kraus: Array of shape (k, 2ⁿ, 2ⁿ), or a sequence of such matrices.

    Returns:
        Real array of shape (4ⁿ, 4ⁿ) in the public order I, X, Y, Z.
    """
    if not hasattr(kraus, "ndim"):
        xp = namespace(*kraus)
        kraus = xp.stack([xp.asarray(k) for k in kraus])
    xp = namespace(kraus)
    kraus = _complex(kraus, kraus)
    return _ptm(_einsum("kab,kcd->acbd", kraus, xp.conj(kraus)))


def _ptm(super_operator: Any) -> Any:
    """R = 2⁻ⁿ V† S V of maps on matrix entries (…, a, c, b, d), from entry (b, d) to entry (a, c)."""
    dimension = super_operator.shape[-1]
    num_qubits = dimension.bit_length() - 1
    square = super_operator.reshape(*super_operator.shape[:-4], dimension**2, dimension**2)
    vectors, duals = (_complex(strings, square) for strings in (basis(num_qubits), _dual_basis(num_qubits)))
    return matmul(matmul(duals, square), vectors).real / dimension


def _complex(array: Any, like: Any) -> Any:
    """`array` in the namespace and precision of `like`, complex."""
    return namespace(like).asarray(array, np.result_type(like.dtype, np.complex64))


def _einsum(formula: str, *arrays: Any) -> Any:
    """Full precision: the default of some GPUs rounds float32 factors to 10 bits (TF32)."""
    xp = namespace(*arrays)
    if xp is not np:
        return xp.einsum(formula, *arrays, precision="highest")
    # For small arrays the search for a fast way takes longer than a slow one.
    return np.einsum(formula, *arrays, optimize=max(array.size for array in arrays) > SMALL)


def ptm_from_unitary(unitary: Any) -> Any:
    """Pauli transfer matrix R_ij = 2⁻ⁿ Tr(P_i U P_j U†), real, shape (4ⁿ, 4ⁿ), public order; of many at once too."""
    unitary = _complex(unitary, unitary)
    return _ptm(unitary[..., :, None, :, None] * unitary.conj()[..., None, :, None, :])


def vector_from_matrix(matrix: Any) -> Any:
    """Correlation vector c_P = Tr(P ρ) in stored order, from a density matrix of shape (2ⁿ, 2ⁿ).

    One qubit at a time: cost 4ⁿ·n, no basis of all Pauli strings is formed.
    """
    num_qubits = (matrix.shape[0] - 1).bit_length()
    transform = _complex(basis(1, DIGIT_ORDER).conj().T.reshape(4, 2, 2), matrix)
    array = _complex(matrix, matrix).reshape(1, 2**num_qubits, 2**num_qubits)
    for _ in range(num_qubits):
        done, half = array.shape[0], array.shape[1] // 2
        array = array.reshape(done, 2, half, 2, half)
        array = _einsum("pab,daxby->dpxy", transform, array).reshape(done * 4, half, half)
    return namespace(array).real(array.reshape(-1))


def matrix_from_vector(vector: Any) -> Any:
    """Density matrix ρ = 2⁻ⁿ Σ_P c_P P of shape (2ⁿ, 2ⁿ), from a correlation vector in stored order."""
    num_qubits = (vector.shape[0].bit_length() - 1) // 2
    transform = _complex(basis(1, DIGIT_ORDER).T.reshape(4, 2, 2) / 2, vector)
    array = _complex(vector, vector).reshape(4**num_qubits, 1, 1)
    for _ in range(num_qubits):
        rest, size = array.shape[0] // 4, array.shape[1]
        array = array.reshape(rest, 4, size, size)
        array = _einsum("pab,rpxy->raxby", transform, array).reshape(rest, 2 * size, 2 * size)
    return array[0]
