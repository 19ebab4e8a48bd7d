"""What a measurement of Pauli operators would show: correlators, correlations and outcome probabilities."""

from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.physics.metrics.parties import Party, entries, normalized, two_parties
from qdist.physics.pauli import DIGIT_ORDER
from qdist.physics.states import State
from qdist_kernels.namespace import namespace


def correlator(state: State, string: str) -> Any:
    """Correlator ⟨P⟩ of a Pauli string such as `"XXI"`, for a state of any trace.

    ⟨P⟩ = Tr(P ρ) / Tr ρ = c_P / c_I…I

    Cost: two entries. Linear in a state of trace 1.
    """
    return normalized(state).correlator(string)


def connected_correlation(state: State, string: str, part_a: Party | None = None, part_b: Party | None = None) -> Any:
    """Correlation between two parties: the part of a correlator that their own averages do not explain.

    ⟨AB⟩ − ⟨A⟩⟨B⟩, where A and B are the letters of the Pauli string on the qubits of each party

    Two qubits are a party each. For more, this stays a two-party quantity (not a joint cumulant of n qubits): by
    default the first ⌊n/2⌋ qubits against the others. It is 0 for every string exactly when ρ_AB = ρ_A ⊗ ρ_B.
    Cost: four entries.

    Args:
        state: The state of all qubits in the string.
        string: One letter of I, X, Y, Z per qubit; I on qubits in neither party.
        part_a: Qubit names of A; by default the first ⌊n/2⌋ qubits, or all that are not in `part_b`.
        part_b: Qubit names of B; by default all that are not in A.
    """
    names_a, names_b = two_parties("a connected correlation", state, part_a, part_b)
    state.correlator(string)  # Checks the string's length and letters.
    for name, letter in zip(state.qubits, string, strict=True):
        if letter != "I" and name not in names_a + names_b:
            raise QdistError(f"The letter on '{name}' must be I, since it is in neither party, but is {letter}.")
    only_a, only_b = (
        "".join(letter if name in names else "I" for name, letter in zip(state.qubits, string, strict=True))
        for names in (names_a, names_b)
    )
    return correlator(state, string) - correlator(state, only_a) * correlator(state, only_b)


def outcome_probabilities(state: State, basis: str | None = None) -> Any:
    """Probabilities of the 2ⁿ outcomes when every qubit is measured.

    p(b) = 2⁻ⁿ Σ_s (−1)^(b·s) ⟨Π_i P_i^(s_i)⟩, s ∈ {0,1}ⁿ, with P_i the letter of `basis` on qubit i

    Outcome bit 0 is the eigenvalue +1. In the Z basis these are the x = 0 entries and a Walsh–Hadamard transform;
    no density matrix is formed: cost n·2ⁿ, any size. Rounding is not clipped, so an entry may be −1e-7 in float32.

    Args:
        state: A state of n qubits; outcomes are conditional on its branch (it is divided by its trace).
        basis: One letter X, Y or Z per qubit, such as `"ZX"`; by default all Z.

    Returns:
        Real array of shape (2ⁿ,), qubit 0 the most significant bit of the outcome.
    """
    number = state.num_qubits
    basis = "Z" * number if basis is None else basis
    if len(basis) != number or set(basis) - set("XYZ"):
        raise QdistError(f"`basis` must have one letter X, Y or Z per qubit ({number}), but is '{basis}'.")
    positions = np.zeros(1, int)
    for letter in basis:
        positions = (4 * positions[:, None] + [0, DIGIT_ORDER.index(letter)]).reshape(-1)
    values = entries(normalized(state), positions)
    xp = namespace(values)
    for qubit in range(number):
        values = values.reshape(2**qubit, 2, -1)
        plus, minus = values[:, 0] + values[:, 1], values[:, 0] - values[:, 1]
        values = xp.stack([plus, minus], axis=1) / 2
    return values.reshape(-1)
