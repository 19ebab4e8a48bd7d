"""The kind of correlation that two parties share, in one word."""

import itertools

import numpy as np

from qdist.physics.metrics.discord import LARGEST_DISCORD, has_zero_discord
from qdist.physics.metrics.entanglement import negativity
from qdist.physics.metrics.nonlocality import chsh
from qdist.physics.metrics.parties import Party, check_at_most, normalized, tolerance_of, two_parties
from qdist.physics.states import State

VERDICTS = ("uncorrelated", "classical", "discordant", "entangled", "bell-nonlocal")


def verdict(
    state: State, part_a: Party | None = None, part_b: Party | None = None, tolerance: float | None = None
) -> str:
    """The kind of correlation between two parties, to tell entangled states from those that only look entangled.

    The strongest that holds, each a stronger claim than those before it:

    - `"uncorrelated"`: ρ_AB = ρ_A ⊗ ρ_B.
    - `"classical"`: zero discord on both sides, so a shared table of random bits, in some local bases, explains all.
      ½|00⟩⟨00| + ½|11⟩⟨11| is one: perfectly correlated in Z, with no entanglement.
    - `"discordant"`: measuring disturbs one side at least, but the partial transpose is positive: no entanglement is
      found. Werner pairs with F ≤ ½ are here, correlated in X, Y and Z alike, and look entangled in any one basis.
    - `"entangled"`: the partial transpose has a negative eigenvalue, but no CHSH test is passed.
    - `"bell-nonlocal"`: CHSH > 2 for the best directions, which no local hidden variables explain.

    For one qubit a side each test is exact. For more, negativity misses bound-entangled states (they are called
    discordant), and CHSH is the largest over pairs of one qubit of each party. Cost: diagonalizing, and the
    commutators of `has_zero_discord`: up to 8 qubits. Not for traced states. Source: Peres 1996; Horodecki 1995, 1996;
    Dakić, Vedral, Brukner, PRL 105, 190502 (2010).

    Args:
        state: The state of both parties; other qubits are traced out.
        part_a: Qubit names of A; by default the first ⌊n/2⌋ qubits, or all that are not in `part_b`.
        part_b: Qubit names of B; by default all that are not in A.
        tolerance: How far a correlator may be off; by default 1e-9 in float64 and 1e-5 in float32.

    Returns:
        A word of `VERDICTS`.
    """
    tolerance = tolerance_of(state.vector) if tolerance is None else tolerance
    names_a, names_b = two_parties("a verdict", state, part_a, part_b)
    joint = state.reduced(names_a + names_b)
    check_at_most("a verdict", joint, LARGEST_DISCORD)
    joint = State(np.asarray(normalized(joint).vector, float), joint.qubits)
    table = joint.vector.reshape(4 ** len(names_a), -1)
    if np.abs(table - np.outer(table[:, 0], table[0])).max() <= tolerance:
        return "uncorrelated"
    if max(chsh(joint.reduced(pair)) for pair in itertools.product(names_a, names_b)) > 2 + tolerance:
        return "bell-nonlocal"
    if negativity(joint, names_a) > tolerance:
        return "entangled"
    if has_zero_discord(joint, names_a, names_b, tolerance) and has_zero_discord(joint, names_b, names_a, tolerance):
        return "classical"
    return "discordant"


def verdict_code(state: State) -> float:
    """The position of `verdict(state)` in `VERDICTS`, 0 to 4, for a column of numbers."""
    return float(VERDICTS.index(verdict(state)))
