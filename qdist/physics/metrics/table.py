"""The table of metrics that a job can name: what each is, in which unit and convention, and what it costs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qdist.physics.metrics.discord import LARGEST_DISCORD, geometric_discord
from qdist.physics.metrics.entanglement import concurrence, entanglement_of_formation, log_negativity, negativity
from qdist.physics.metrics.information import (
    mutual_information,
    purity,
    renyi2_entropy,
    renyi2_mutual_information,
    trace_distance,
    von_neumann_entropy,
)
from qdist.physics.metrics.nonlocality import chsh, mermin
from qdist.physics.metrics.parties import LARGEST_MATRIX, LARGEST_VECTOR, check_exactly
from qdist.physics.metrics.sensing import quantum_fisher_information
from qdist.physics.metrics.stabilizers import bell_fidelity, ghz_fidelity
from qdist.physics.metrics.verdict import VERDICTS, verdict_code
from qdist.physics.states import State, bell


@dataclass(frozen=True)
class Metric:
    """A number that a job can record for the state of some qubits.

    Attributes:
        name: What a job file calls it.
        function: From a state, of any positive trace, to a real number.
        unit: `"1"` or `"bit"`.
        description: One sentence on what it says.
        convention: What other programs or papers may define differently; how the qubits are split into parties.
        cost: How the work grows with the number of qubits n.
        min_qubits: The fewest qubits it is defined for.
        max_qubits: The most qubits it is meant for.
        linear: Whether it is linear in ρ, so that the mean over shots is its value and has a standard error.
        pair: Whether it compares two parties: the first ⌊n/2⌋ qubits and the others, or the two qubits of a pair.
    """

    name: str
    function: Callable[[State], Any]
    unit: str
    description: str
    convention: str
    cost: str
    min_qubits: int
    max_qubits: int
    linear: bool = False
    pair: bool = False


def _distance_from_phi_plus(state: State) -> Any:
    check_exactly("a trace distance from Φ⁺", state, 2)
    return trace_distance(state, bell("phi+"))


_HALVES = "A is the first ⌊n/2⌋ qubits, B the others."
_DIAGONALIZE = "8ⁿ, a matrix of 2ⁿ × 2ⁿ is diagonalized"

_ROWS = [
    Metric(
        "fidelity",
        bell_fidelity,
        "1",
        "Fidelity of a pair with the Bell state Φ⁺.",
        "Squared (Jozsa): ⟨Φ⁺|ρ|Φ⁺⟩.",
        "4 entries",
        2,
        2,
        linear=True,
        pair=True,
    ),
    Metric(
        "purity",
        purity,
        "1",
        "Tr ρ², 1 for a pure state.",
        "2⁻ⁿ for the fully mixed state, not rescaled to 0.",
        "4ⁿ",
        1,
        LARGEST_VECTOR,
    ),
    Metric(
        "trace_distance",
        _distance_from_phi_plus,
        "1",
        "Trace distance of a pair from the Bell state Φ⁺.",
        "With the ½: 1 for orthogonal states.",
        "a 4 × 4 matrix",
        2,
        2,
        pair=True,
    ),
    Metric(
        "entropy",
        von_neumann_entropy,
        "bit",
        "Von Neumann entropy of the state.",
        "Base 2; 0 for a pure state, n for the fully mixed one.",
        _DIAGONALIZE,
        1,
        LARGEST_MATRIX,
    ),
    Metric(
        "renyi2_entropy",
        renyi2_entropy,
        "bit",
        "Rényi-2 entropy −log₂ Tr ρ².",
        "Base 2.",
        "4ⁿ",
        1,
        LARGEST_VECTOR,
    ),
    Metric(
        "mutual_information",
        mutual_information,
        "bit",
        "All correlation between two parties, classical and quantum.",
        "S(A) + S(B) − S(AB), base 2. " + _HALVES,
        _DIAGONALIZE,
        2,
        LARGEST_MATRIX,
        pair=True,
    ),
    Metric(
        "renyi2_mutual_information",
        renyi2_mutual_information,
        "bit",
        "Correlation between two parties, from purities.",
        "S₂(A) + S₂(B) − S₂(AB), base 2; may be negative. " + _HALVES,
        "4ⁿ",
        2,
        LARGEST_VECTOR,
        pair=True,
    ),
    Metric(
        "concurrence",
        concurrence,
        "1",
        "Wootters concurrence of a pair.",
        "1 for a Bell state; not squared (that is the tangle).",
        "4 × 4 matrices",
        2,
        2,
        pair=True,
    ),
    Metric(
        "negativity",
        negativity,
        "1",
        "Weight of the negative eigenvalues of the partial transpose.",
        "½ for a Bell pair; misses bound entanglement. " + _HALVES,
        _DIAGONALIZE,
        2,
        LARGEST_MATRIX,
        pair=True,
    ),
    Metric(
        "log_negativity",
        log_negativity,
        "bit",
        "log₂(2N + 1), a bound on distillable entanglement.",
        "1 for a Bell pair; misses bound entanglement. " + _HALVES,
        _DIAGONALIZE,
        2,
        LARGEST_MATRIX,
        pair=True,
    ),
    Metric(
        "entanglement_of_formation",
        entanglement_of_formation,
        "bit",
        "Bell pairs needed per copy to prepare the pair.",
        "From the concurrence; 1 for a Bell state.",
        "4 × 4 matrices",
        2,
        2,
        pair=True,
    ),
    Metric(
        "geometric_discord",
        geometric_discord,
        "1",
        "Squared distance of a pair to a state that measuring its first qubit leaves as it is.",
        "Measured on the first qubit; ½ for a Bell state, not rescaled to 1.",
        "a 3 × 3 matrix",
        2,
        2,
        pair=True,
    ),
    Metric(
        "chsh",
        chsh,
        "1",
        "Largest CHSH value over all directions; local models reach 2.",
        "At most 2√2.",
        "a 3 × 3 matrix",
        2,
        2,
        pair=True,
    ),
    Metric(
        "verdict",
        verdict_code,
        "1",
        "Kind of correlation: " + ", ".join(f"{code} {word}" for code, word in enumerate(VERDICTS)) + ".",
        "The strongest kind that holds; misses bound entanglement. " + _HALVES,
        _DIAGONALIZE + "; about 11ⁿ for commutators",
        2,
        LARGEST_DISCORD,
        pair=True,
    ),
    Metric(
        "mermin",
        mermin,
        "1",
        "Mermin polynomial in X and Y; local models reach 2^⌊n/2⌋.",
        "2ⁿ⁻¹ for GHZ; fixed directions, no maximum.",
        "2ⁿ⁻¹ entries",
        2,
        LARGEST_VECTOR,
        linear=True,
    ),
    Metric(
        "ghz_fidelity",
        ghz_fidelity,
        "1",
        "Fidelity with (|0…0⟩ + |1…1⟩)/√2.",
        "Squared (Jozsa).",
        "2ⁿ entries",
        2,
        LARGEST_VECTOR,
        linear=True,
    ),
    Metric(
        "quantum_fisher_information",
        quantum_fisher_information,
        "1",
        "Sensitivity to a common phase; product states reach n, GHZ n².",
        "Generator J_z = ½ Σ Z; 4 Var J_z for a pure state.",
        _DIAGONALIZE,
        1,
        LARGEST_MATRIX,
    ),
]

METRICS: dict[str, Metric] = {row.name: row for row in _ROWS}
