"""Exact circuits for unitaries on three and more qubits, as gates `x`, `cx`, `ccx`, … and `cu`.

A unitary is a product of rotations of two basis states each (Reck et al., PRL 73, 58 (1994)). Such a rotation is a
one-qubit gate under controls, which Barenco et al., PRA 52, 3457 (1995), Lemma 7.5, reduce to one control. A gate that
is one-qubit under controls already, such as `ctrl(2) @ h`, needs one rotation only.
"""

import math
from collections.abc import Iterator

import numpy as np

from qdist.physics import gates
from qdist.physics.gates import Step

# Entries below this are what rounding leaves of a zero.
ROUNDING = 1e-12
_CONTROLLED_X = {1: "cx", 2: "ccx", 3: "c3x", 4: "c4x"}
_X = np.array([[0, 1], [1, 0]], complex)


def synthesized(unitary: np.ndarray) -> Iterator[Step]:
    """The gates that make up a unitary, in order of time, as (name, angles, positions of qubits)."""
    num_qubits = len(unitary).bit_length() - 1
    for first, second, rotation in reversed(_two_level_factors(unitary)):
        yield from _two_level(first, second, rotation, num_qubits)


def _two_level_factors(unitary: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """Rotations (i, j, V) of basis states i < j whose product, from left to right, is the unitary."""
    rest = np.array(unitary, complex)
    factors = []
    for column in range(len(rest) - 1):
        for row in range(column + 1, len(rest)):
            last = row == len(rest) - 1
            if abs(rest[row, column]) > ROUNDING or (last and abs(rest[column, column] - 1) > ROUNDING):
                rotation = _eliminating(rest[column, column], rest[row, column])
                pair = [column, row]
                rest[pair] = rotation @ rest[pair]
                factors.append((column, row, rotation.conj().T))
    if abs(rest[-1, -1] - 1) > ROUNDING:
        factors.append((len(rest) - 2, len(rest) - 1, np.diag([1, rest[-1, -1]])))
    return factors


def _eliminating(kept: complex, removed: complex) -> np.ndarray:
    """The unitary that takes (kept, removed) to (norm, 0)."""
    norm = math.hypot(abs(kept), abs(removed))
    a, b = kept / norm, removed / norm
    return np.array([[a.conjugate(), b.conjugate()], [-b, a]])


def _two_level(first: int, second: int, rotation: np.ndarray, num_qubits: int) -> Iterator[Step]:
    """A rotation of two basis states: other differing qubits are aligned, then it is a gate under controls."""
    bits = [(first >> num_qubits - 1 - qubit & 1, second >> num_qubits - 1 - qubit & 1) for qubit in range(num_qubits)]
    differing = [qubit for qubit, (one, other) in enumerate(bits) if one != other]
    target = differing[-1]
    if bits[target][0] == 1:
        rotation = rotation[::-1, ::-1]
    aligned = [("cx", (), (target, qubit)) for qubit in differing[:-1]]
    # `cx` changes the state whose target bit is 1, so both end up with the bits of the other one.
    pattern = {qubit: one if bits[target][0] == 0 else other for qubit, (one, other) in enumerate(bits)}
    controls = [qubit for qubit in range(num_qubits) if qubit != target]
    flips = [("x", (), (qubit,)) for qubit in controls if pattern[qubit] == 0]
    yield from (*aligned, *flips)
    yield from _under_controls(rotation, controls, target)
    yield from (*flips, *aligned)


def _under_controls(matrix: np.ndarray, controls: list[int], target: int) -> Iterator[Step]:
    """A one-qubit gate that happens where all controls are 1."""
    if len(controls) in _CONTROLLED_X and np.allclose(matrix, _X, rtol=0, atol=ROUNDING):
        yield _CONTROLLED_X[len(controls)], (), (*controls, target)
        return
    if len(controls) == 1:
        yield "cu", _euler_angles(matrix), (controls[0], target)
        return
    *others, last = controls
    root = gates.power(gates.Gate("", matrix), 0.5).unitary
    yield "cu", _euler_angles(root), (last, target)
    yield from _under_controls(_X, others, last)
    yield "cu", _euler_angles(root.conj().T), (last, target)
    yield from _under_controls(_X, others, last)
    yield from _under_controls(root, others, target)


def _euler_angles(matrix: np.ndarray) -> tuple[float, float, float, float]:
    """(θ, φ, λ, γ) with e^(iγ) u(θ, φ, λ) equal to the matrix, the parameters of `cu`."""
    theta = 2 * math.atan2(abs(matrix[1, 0]), abs(matrix[0, 0]))
    if abs(matrix[0, 0]) > abs(matrix[1, 0]):
        gamma = np.angle(matrix[0, 0])
        total = np.angle(matrix[1, 1]) - gamma
        phi = np.angle(matrix[1, 0]) - gamma if abs(matrix[1, 0]) > ROUNDING else 0.0
        return theta, float(phi), float(total - phi), float(gamma)
    gamma = np.angle(matrix[0, 0]) if abs(matrix[0, 0]) > ROUNDING else 0.0
    return theta, float(np.angle(matrix[1, 0]) - gamma), float(np.angle(-matrix[0, 1]) - gamma), float(gamma)
