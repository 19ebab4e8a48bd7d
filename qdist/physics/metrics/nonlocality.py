"""Bell inequalities: what no model with local hidden variables can reach."""

from functools import cache
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.physics.metrics.parties import check_at_least, check_exactly, entries, normalized
from qdist.physics.metrics.spectra import safe_sqrt
from qdist.physics.states import State
from qdist_kernels import matmul
from qdist_kernels.namespace import namespace


def chsh(state: State) -> Any:
    """CHSH value of two qubits, maximized over all measurement directions.

    S = 2√(m₁ + m₂), m₁ ≥ m₂ the two largest eigenvalues of TᵀT, T_ij = ⟨σ_i ⊗ σ_j⟩

    S > 2 rules out local hidden variables; at most 2√2, by Bell states. A Werner pair gives 2√2·w. This is what the
    best directions for this state would show, not a value at fixed ones; S ≤ 2 proves nothing about entanglement.
    Cost: a 3 × 3 matrix. Source: Horodecki, PLA 200, 340 (1995).
    """
    check_exactly("a CHSH value", state, 2)
    matrix = normalized(state).correlation_matrix()
    values = namespace(matrix).linalg.eigvalsh(matmul(matrix.T, matrix))
    return 2 * safe_sqrt(values[1] + values[2])


@cache
def coherence_strings(num_qubits: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and signs of the strings of X and Y with an even number of Y: those of Re ⊗(X + iY)."""
    bits = (np.arange(2**num_qubits)[:, None] >> np.arange(num_qubits)[::-1]) & 1
    bits = bits[bits.sum(axis=1) % 2 == 0]
    positions = (2 + bits) @ 4 ** np.arange(num_qubits)[::-1]
    return positions, 1.0 - bits.sum(axis=1) % 4


def mermin(state: State) -> Any:
    """Value of the Mermin polynomial in the X and Y directions of every qubit.

    M = ½⟨⊗(X+iY) + ⊗(X−iY)⟩ = Σ (−1)^(k/2) ⟨P⟩ over strings P of X and Y with an even number k of Y

    2ⁿ⁻¹ for GHZ, and M = 2ⁿ Re⟨1…1|ρ|0…0⟩ for any state; local models reach `mermin_local_bound(n)`. The directions
    are fixed (this is no maximum), so a local phase lowers M. Above the bound only from n = 3; for n = 2 it is
    ⟨XX⟩ − ⟨YY⟩. Cost: 2ⁿ⁻¹ entries, any size. Source: Mermin, PRL 65, 1838 (1990).
    """
    check_at_least("a Mermin value", state, 2)
    positions, signs = coherence_strings(state.num_qubits)
    values = entries(normalized(state), positions)
    xp = namespace(values)
    return xp.sum(values * xp.asarray(signs, values.dtype))


def mermin_local_bound(num_qubits: int) -> float:
    """The largest Mermin value of local hidden variables.

    2^(n/2) for even n, 2^((n−1)/2) for odd n

    Source: Mermin, PRL 65, 1838 (1990), eq. 5.
    """
    if num_qubits < 2:
        raise QdistError(f"`num_qubits` must be at least 2, but is {num_qubits}.")
    return float(2 ** (num_qubits // 2))
