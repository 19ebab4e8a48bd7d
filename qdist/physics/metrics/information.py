"""How mixed a state is, how near it is to another, and how much two parties know about each other."""

from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.physics import pauli
from qdist.physics.metrics.parties import Party, check_at_most, is_traced, normalized, two_parties
from qdist.physics.metrics.spectra import entropy_of, overlap_roots
from qdist.physics.states import State
from qdist_kernels.namespace import namespace


def _aligned(state: State, target: State) -> tuple[Any, Any]:
    """Both normalized vectors, the target's qubits in the order of the state's."""
    if state.num_qubits != target.num_qubits:
        raise QdistError(
            f"`target` must have as many qubits as the state ({state.num_qubits}), but has {target.num_qubits}."
        )
    if set(state.qubits) == set(target.qubits) and state.qubits != target.qubits:
        target = target.reduced(state.qubits)
    xp = namespace(state.vector, target.vector)
    first = xp.asarray(normalized(state).vector)
    return first, xp.asarray(normalized(target).vector, first.dtype)


def _is_pure(target: State) -> bool:
    # A target of purity 1 − ε has fidelities that differ from those of a pure one by up to about √ε.
    limit = 1e-12 if target.vector.dtype == np.float64 else 1e-6
    return not is_traced(target.vector) and bool(1 - purity(target) < limit)


def fidelity(state: State, target: State, *, pure: bool | None = None) -> Any:
    """Fidelity of two states of the same qubits.

    F = (tr √(√ρ σ √ρ))², which is ⟨ψ|ρ|ψ⟩ = 2⁻ⁿ Σ_P c_P t_P when σ = |ψ⟩⟨ψ|

    This is the squared (Jozsa) fidelity; `qutip.fidelity` returns √F. For a pure target the cost is one dot product
    of the two correlation vectors, of any size, linear in ρ; otherwise two decompositions of a 2ⁿ × 2ⁿ matrix, for
    up to 12 qubits. Source: Jozsa, J. Mod. Opt. 41, 2315 (1994).

    Args:
        state: The state ρ.
        target: The state σ. If both name the same qubits in another order, they are matched by name; otherwise by
            position, so that `bell()` can be the target of any pair.
        pure: Whether the target is pure. By default its purity decides (1 − Tr σ² below 1e-12 in float64 and
            1e-6 in float32); a traced target cannot be looked at and counts as mixed.

    Returns:
        A number in [0, 1], up to rounding.
    """
    pure = _is_pure(target) if pure is None else pure
    if not pure:
        check_at_most("a fidelity with a mixed target", state)
    first, second = _aligned(state, target)
    xp = namespace(first)
    if pure:
        return xp.sum(first * second) / 2**state.num_qubits
    return xp.sum(overlap_roots(pauli.matrix_from_vector(first), pauli.matrix_from_vector(second))) ** 2


def purity(state: State) -> Any:
    """Purity: 1 for a pure state, 2⁻ⁿ for the fully mixed one.

    Tr ρ² = 2⁻ⁿ Σ_P c_P²

    Cost: one pass over the 4ⁿ entries, any size. Source: the definition, Tr PQ = 2ⁿ δ_PQ.
    """
    vector = normalized(state).vector
    return namespace(vector).sum(vector * vector) / 2**state.num_qubits


def trace_distance(state: State, target: State) -> Any:
    """Trace distance: the best bias with which one measurement tells the two states apart.

    T = ½ ‖ρ − σ‖₁ = ½ Σ_i |λ_i(ρ − σ)|

    In [0, 1], with the ½ as in QuTiP and Nielsen and Chuang (eq. 9.11). The target's qubits are matched as in
    `fidelity`. Cost: the eigenvalues of a 2ⁿ × 2ⁿ matrix, up to 12 qubits.
    """
    check_at_most("a trace distance", state)
    first, second = _aligned(state, target)
    xp = namespace(first)
    return xp.sum(xp.abs(xp.linalg.eigvalsh(pauli.matrix_from_vector(first - second)))) / 2


def von_neumann_entropy(state: State) -> Any:
    """Von Neumann entropy in bits.

    S = −Tr ρ log₂ ρ = −Σ_i λ_i log₂ λ_i

    In [0, n]; 0 log 0 = 0, and eigenvalues that rounding made negative add nothing. Cost: the eigenvalues of a
    2ⁿ × 2ⁿ matrix, up to 12 qubits. Source: Nielsen and Chuang, eq. 11.51.
    """
    check_at_most("an entropy", state)
    matrix = normalized(state).matrix()
    return entropy_of(namespace(matrix).linalg.eigvalsh(matrix))


def renyi2_entropy(state: State) -> Any:
    """Rényi entropy of order 2 in bits.

    S₂ = −log₂ Tr ρ²

    In [0, n], never above the von Neumann entropy. Cost: one pass over the 4ⁿ entries, any size.
    """
    value = purity(state)
    return namespace(value).log2(1 / value)


def mutual_information(state: State, part_a: Party | None = None, part_b: Party | None = None) -> Any:
    """Quantum mutual information of two parties in bits: all correlation between them, classical and quantum.

    I(A:B) = S(A) + S(B) − S(AB)

    0 if and only if ρ_AB = ρ_A ⊗ ρ_B; 1 for a shared random bit, 2 for a Bell pair. Qubits in neither party are
    traced out. Cost: eigenvalues of three matrices, AB of up to 12 qubits. Source: Nielsen and Chuang, eq. 11.59.

    Args:
        state: The state that both parties are in.
        part_a: Qubit names of A; by default the first ⌊n/2⌋ qubits, or all that are not in `part_b`.
        part_b: Qubit names of B; by default all that are not in A.
    """
    names_a, names_b = two_parties("mutual information", state, part_a, part_b)
    joint = state.reduced(names_a + names_b)
    alone = von_neumann_entropy(joint.reduced(names_a)) + von_neumann_entropy(joint.reduced(names_b))
    return alone - von_neumann_entropy(joint)


def renyi2_mutual_information(state: State, part_a: Party | None = None, part_b: Party | None = None) -> Any:
    """Mutual information of two parties from Rényi-2 entropies, in bits.

    I₂(A:B) = S₂(A) + S₂(B) − S₂(AB)

    Needs no diagonalization: three passes over entries, any size. Unlike `mutual_information` it can be negative
    (Rényi entropies are not subadditive), so 0 does not prove a product state. Parties as in `mutual_information`.
    """
    names_a, names_b = two_parties("mutual information", state, part_a, part_b)
    joint = state.reduced(names_a + names_b)
    return renyi2_entropy(joint.reduced(names_a)) + renyi2_entropy(joint.reduced(names_b)) - renyi2_entropy(joint)
