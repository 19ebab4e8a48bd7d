"""Fidelities with stabilizer states, averaged over their 2ⁿ stabilizers instead of all 4ⁿ entries."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.physics.metrics.nonlocality import coherence_strings
from qdist.physics.metrics.parties import check_at_least, check_exactly, entries, normalized
from qdist.physics.states import State, bell
from qdist_kernels.namespace import namespace


def _average(state: State, positions: np.ndarray, signs: np.ndarray) -> Any:
    values = entries(normalized(state), positions)
    xp = namespace(values)
    return xp.sum(values * xp.asarray(signs, values.dtype)) / 2**state.num_qubits


def _bits(num_qubits: int) -> np.ndarray:
    """All bit strings, shape (2ⁿ, n), qubit 0 first."""
    return (np.arange(2**num_qubits)[:, None] >> np.arange(num_qubits)[::-1]) & 1


def bell_fidelity(state: State, kind: str = "phi+") -> Any:
    """Squared fidelity of a pair with a Bell state.

    F = ¼ (1 ± ⟨XX⟩ ± ⟨YY⟩ ± ⟨ZZ⟩), for Φ⁺: ¼ (1 + ⟨XX⟩ − ⟨YY⟩ + ⟨ZZ⟩)

    A pair is entangled if F > ½ for some Bell state. Cost: four entries. Linear in the state.

    Args:
        state: The state of two qubits.
        kind: One of `"phi+"`, `"phi-"`, `"psi+"`, `"psi-"`.
    """
    check_exactly("a Bell fidelity", state, 2)
    target = bell(kind).vector
    positions = np.flatnonzero(target)
    return _average(state, positions, target[positions])


def ghz_fidelity(state: State) -> Any:
    """Squared fidelity with (|0…0⟩ + |1…1⟩)/√2.

    F = 2⁻ⁿ Σ_S ⟨S⟩, S: Z strings of even weight, and (−1)^(k/2) times strings of X and Y with an even number k of Y

    F > ½ proves entanglement of all n qubits. Cost: 2ⁿ entries, any size. Linear in the state. Source: Gühne, Tóth,
    Phys. Rep. 474, 1 (2009), sec. 6.
    """
    check_at_least("a GHZ fidelity", state, 2)
    bits = _bits(state.num_qubits)
    even = bits[bits.sum(axis=1) % 2 == 0] @ 4 ** np.arange(state.num_qubits)[::-1]
    coherent, signs = coherence_strings(state.num_qubits)
    return _average(state, np.concatenate([even, coherent]), np.concatenate([np.ones(len(even)), signs]))


def graph_state_fidelity(state: State, edges: Iterable[tuple[int, int]]) -> Any:
    """Squared fidelity with the graph state Π_(i,j) CZ_ij |+⟩ⁿ.

    F = 2⁻ⁿ Σ_s ⟨Π_(i∈s) X_i Π_(j∈N(i)) Z_j⟩ over all subsets s of the qubits

    With e edges inside s and y letters Y, the stabilizer is (−1)^(e + y/2) times its Pauli string. Cost: 2ⁿ entries,
    any size. Linear in the state. Source: Hein, Eisert, Briegel, PRA 69, 062311 (2004).

    Args:
        state: A state of n qubits.
        edges: Pairs of positions in `state.qubits`; an edge given twice cancels, as its CZ gates do.
    """
    number = state.num_qubits
    adjacency = np.zeros((number, number), int)
    for i, j in edges:
        if not (0 <= i < number and 0 <= j < number) or i == j:
            raise QdistError(f"An edge must join two different qubits of 0 … {number - 1}, but is ({i}, {j}).")
        adjacency[i, j] ^= 1
        adjacency[j, i] ^= 1
    x = _bits(number)
    neighbors = x @ adjacency
    z = neighbors % 2
    edges_inside = (x * neighbors).sum(axis=1) // 2
    signs = 1.0 - 2 * ((edges_inside + (x * z).sum(axis=1) // 2) % 2)
    return _average(state, (2 * x + z) @ 4 ** np.arange(number)[::-1], signs)
