"""How well a state can sense a parameter."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.physics import pauli
from qdist.physics.metrics.parties import check_at_most, normalized
from qdist.physics.states import State
from qdist_kernels import matmul
from qdist_kernels.namespace import namespace


def _operator(num_qubits: int, coefficients: dict[str, float]) -> np.ndarray:
    """The matrix Σ a_P P."""
    vector = np.zeros(4**num_qubits)
    for string, value in coefficients.items():
        if len(string) != num_qubits:
            raise QdistError(
                f"A Pauli string of `generator` must have one letter per qubit ({num_qubits}), but '{string}' has "
                f"{len(string)}."
            )
        vector[pauli.digit_index(string)] += value * 2**num_qubits
    return pauli.matrix_from_vector(vector)


def _fisher(matrix: Any, operator: Any) -> tuple[Any, Any]:
    """F_Q and the symmetric logarithmic derivative L, which solves ½(ρL + Lρ) = −i[H, ρ]."""
    xp = namespace(matrix)
    values, vectors = xp.linalg.eigh(matrix)
    elements = matmul(matmul(vectors.conj().T, operator), vectors)
    sums, differences = values[:, None] + values[None, :], values[:, None] - values[None, :]
    counted = sums > len(matrix) * xp.finfo(values.dtype).eps
    ratios = xp.where(counted, differences / xp.where(counted, sums, 1), 0)
    derivative = matmul(matmul(vectors, 2j * ratios.astype(elements.dtype) * elements), vectors.conj().T)
    return 2 * xp.sum(ratios * differences * xp.abs(elements) ** 2), derivative


@cache
def _differentiable_fisher() -> Callable[[Any, Any], Any]:
    """F_Q with a derivative that exists where eigenvalues coincide.

    F_Q = max over X of 2 Tr(X D) − Tr(ρ X²), D = −i[H, ρ], reached at X = L: so dF = 2 Tr(L dD) − Tr(L² dρ).
    """
    import jax

    @jax.custom_jvp
    def fisher(matrix: Any, operator: Any) -> Any:
        return _fisher(matrix, operator)[0]

    @fisher.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        matrix, operator = primals
        value, derivative = _fisher(matrix, operator)
        change = -1j * (matmul(operator, tangents[0]) - matmul(tangents[0], operator))
        slope = 2 * matmul(derivative, change) - matmul(matmul(derivative, derivative), tangents[0])
        return value, jax.numpy.real(jax.numpy.trace(slope))

    return fisher


def quantum_fisher_information(state: State, generator: dict[str, float] | None = None) -> Any:
    """Quantum Fisher information about θ in exp(−iθH) ρ exp(iθH).

    F_Q = 2 Σ_ij (λ_i − λ_j)²/(λ_i + λ_j) |⟨i|H|j⟩|², over eigenvalues with λ_i + λ_j > 0

    The variance of any unbiased estimate from ν copies is at least 1/(ν F_Q). For a pure state F_Q = 4 Var H, so with
    the default J_z = ½ Σ Z_i product states reach n and GHZ n². Unit: 1/(unit of θ)². Cost: an eigen-decomposition
    of a 2ⁿ × 2ⁿ matrix, up to 12 qubits. Source: Braunstein, Caves, PRL 72, 3439 (1994); Tóth, Apellaniz, J. Phys. A
    47, 424006 (2014).

    Args:
        state: The state ρ that senses.
        generator: H as Pauli strings with real coefficients, such as `{"ZI": 0.5, "IZ": 0.5}`; by default J_z.
    """
    check_at_most("a quantum Fisher information", state)
    number = state.num_qubits
    if generator is None:
        generator = {"I" * i + "Z" + "I" * (number - 1 - i): 0.5 for i in range(number)}
    matrix = normalized(state).matrix()
    xp = namespace(matrix)
    operator = xp.asarray(_operator(number, generator), matrix.dtype)
    return _fisher(matrix, operator)[0] if xp is np else _differentiable_fisher()(matrix, operator)
