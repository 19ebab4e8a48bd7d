"""Discord: how far a state is from one that a measurement of one party leaves as it is."""

from typing import Any

import numpy as np

from qdist.physics import pauli
from qdist.physics.metrics.parties import Party, check_at_most, check_exactly, normalized, tolerance_of, two_parties
from qdist.physics.states import State
from qdist_kernels import matmul
from qdist_kernels.namespace import namespace

# Pairwise commutators of up to 2ⁿ operators: 8 qubits take 0.2 s, and two more take about 100 times as long.
LARGEST_DISCORD = 8


def geometric_discord(state: State) -> Any:
    """Geometric discord of two qubits, measured on the first.

    D = ¼ (‖a‖² + ‖T‖² − k), k the largest eigenvalue of aaᵀ + TTᵀ, a_i = ⟨σ_i ⊗ 1⟩, T_ij = ⟨σ_i ⊗ σ_j⟩

    The squared Hilbert–Schmidt distance to the nearest state of zero discord: 0 if and only if some measurement of
    the first qubit leaves the state as it is, ½ for a Bell state, w²/2 for a Werner pair. It is not normalized to 1
    and differs from entropic discord, but is 0 for the same states. Swap the qubits for the other side. Cost: a
    3 × 3 matrix. Source: Dakić, Vedral, Brukner, PRL 105, 190502 (2010), eq. 6.
    """
    check_exactly("a geometric discord", state, 2)
    table = pauli.public_order(normalized(state).vector.reshape(4, 4), 1)[1:]
    xp = namespace(table)
    values = xp.linalg.eigvalsh(matmul(table, table.T))
    return xp.sum(values[:2]) / 4


def has_zero_discord(
    state: State, part_a: Party | None = None, part_b: Party | None = None, tolerance: float | None = None
) -> bool:
    """Whether some measurement of party A leaves the state of A and B as it is.

    ρ = Σ_k A_k ⊗ B_k has zero discord on A ⟺ [A_k, A_l] = 0 for all k, l

    The A_k come from the singular value decomposition of the table ⟨P_A ⊗ P_B⟩. Zero discord on both sides means a
    shared table of classical probabilities. For two qubits this is: the 3 × 4 table of ⟨σ_i ⊗ P⟩ has rank ≤ 1. Cost:
    the commutators of at most 4^min(a, b) matrices of A, up to 8 qubits in all. Not for traced states. Source: Dakić,
    Vedral, Brukner, PRL 105, 190502 (2010), eq. 3.

    Args:
        state: The state of both parties; other qubits are traced out.
        part_a: Qubit names of A; by default the first ⌊n/2⌋ qubits, or all that are not in `part_b`.
        part_b: Qubit names of B; by default all that are not in A.
        tolerance: How far a correlator may be off; by default 1e-9 in float64 and 1e-5 in float32.
    """
    tolerance = tolerance_of(state.vector) if tolerance is None else tolerance
    names_a, names_b = two_parties("discord", state, part_a, part_b)
    joint = state.reduced(names_a + names_b)
    check_at_most("discord", joint, LARGEST_DISCORD)
    table = np.asarray(normalized(joint).vector, float).reshape(4 ** len(names_a), -1)
    table[0] = 0  # The identity on A commutes with everything.
    left, sizes, _ = np.linalg.svd(table, full_matrices=False)
    # Entries that are each off by the tolerance change a singular value by at most about this much.
    limit = tolerance * sum(table.shape) ** 0.5
    columns = (left * sizes).T[sizes > limit]
    operators = np.array([2 ** len(names_a) * pauli.matrix_from_vector(column) for column in columns])
    return all(_largest_commutator(one, operators[k:]) <= 4 * limit * sizes[k] for k, one in enumerate(operators))


def _largest_commutator(one: np.ndarray, others: np.ndarray) -> float:
    """The largest ‖[A, B]‖ over `others`, as the root mean square of its eigenvalues."""
    commutators = one @ others - others @ one
    return float(np.sqrt((np.abs(commutators) ** 2).sum(axis=(1, 2)).max() / len(one)))
