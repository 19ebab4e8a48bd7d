"""Protocols: functions that return programs."""

from qdist.network.protocols.catalog import PROTOCOLS, Protocol, build_protocol
from qdist.network.protocols.links import generate_pairs, pauli_correction, swap, teleport
from qdist.network.protocols.multipartite import ghz_state, graph_state
from qdist.network.protocols.purification import bbpssw, dejmps, purified_pair
from qdist.network.protocols.remote_gates import cat_disentangle, cat_entangle, remote_gate
from qdist.network.protocols.repeaters import repeater_chain

__all__ = [
    "PROTOCOLS",
    "Protocol",
    "bbpssw",
    "build_protocol",
    "cat_disentangle",
    "cat_entangle",
    "dejmps",
    "generate_pairs",
    "ghz_state",
    "graph_state",
    "pauli_correction",
    "purified_pair",
    "remote_gate",
    "repeater_chain",
    "swap",
    "teleport",
]
