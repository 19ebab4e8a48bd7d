"""Metrics: numbers computed from a state. Each is one function; `METRICS` names those that a job can record."""

from qdist.physics.metrics.discord import geometric_discord, has_zero_discord
from qdist.physics.metrics.entanglement import concurrence, entanglement_of_formation, log_negativity, negativity
from qdist.physics.metrics.information import (
    fidelity,
    mutual_information,
    purity,
    renyi2_entropy,
    renyi2_mutual_information,
    trace_distance,
    von_neumann_entropy,
)
from qdist.physics.metrics.nonlocality import chsh, mermin, mermin_local_bound
from qdist.physics.metrics.outcomes import connected_correlation, correlator, outcome_probabilities
from qdist.physics.metrics.sensing import quantum_fisher_information
from qdist.physics.metrics.stabilizers import bell_fidelity, ghz_fidelity, graph_state_fidelity
from qdist.physics.metrics.table import METRICS, Metric
from qdist.physics.metrics.verdict import VERDICTS, verdict, verdict_code

__all__ = [
    "METRICS",
    "VERDICTS",
    "Metric",
    "bell_fidelity",
    "chsh",
    "concurrence",
    "connected_correlation",
    "correlator",
    "entanglement_of_formation",
    "fidelity",
    "geometric_discord",
    "ghz_fidelity",
    "graph_state_fidelity",
    "has_zero_discord",
    "log_negativity",
    "mermin",
    "mermin_local_bound",
    "mutual_information",
    "negativity",
    "outcome_probabilities",
    "purity",
    "quantum_fisher_information",
    "renyi2_entropy",
    "renyi2_mutual_information",
    "trace_distance",
    "verdict",
    "verdict_code",
    "von_neumann_entropy",
]
