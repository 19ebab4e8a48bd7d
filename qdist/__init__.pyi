"""The public names, grouped by room. Read by type checkers, and by `__init__.py` when a name is first used."""

from .errors import QdistError
from .machine.instructions import Test
from .network import protocols as protocols
from .network.circuit_program import circuit_program
from .network.circuits import Circuit, parse_qasm, read_qasm
from .network.devices import IDEAL, Device, device, device_names
from .network.graph import Network, Node, chain, complete, grid, random_network, ring, star
from .network.links import Link
from .network.noise import CircuitNoise, read_device_noise, uniform_noise
from .network.program import (
    Apply,
    Combine,
    Discard,
    Generate,
    Herald,
    Lose,
    Measure,
    Prepare,
    Program,
    Record,
    Reset,
    Send,
    Twirl,
    Wait,
    apply,
    bell_measurement,
    bit_is,
    parity_is,
    register_is,
)
from .physics.channels import CHANNELS, Channel
from .physics.gates import GATES, Gate, gate, unitary_gate
from .physics.metrics import METRICS, chsh, concurrence, fidelity, negativity, purity, verdict
from .physics.states import (
    State,
    basis_state,
    bell,
    bell_diagonal,
    from_ket,
    from_matrix,
    from_pauli,
    from_qiskit,
    from_qutip,
    ghz,
    graph_state,
    maximally_mixed,
    w_state,
    werner,
)
from .runs.checkpoints.keeper import Stopped
from .runs.checkpoints.resuming import Checkpoints
from .runs.checkpoints.stored import Checkpoint, read_checkpoint
from .runs.execute import run
from .runs.final import FinalStates, final_states
from .runs.job import Job, Recording, Saving
from .runs.launch import connected
from .runs.opening import open
from .runs.prepare import prepare
from .runs.results import Result, read_result, write_result
from .runs.sweep import Sweep
from .version import __version__

__all__ = [
    "CHANNELS",
    "GATES",
    "IDEAL",
    "METRICS",
    "Apply",
    "Channel",
    "Checkpoint",
    "Checkpoints",
    "Circuit",
    "CircuitNoise",
    "Combine",
    "Device",
    "Discard",
    "FinalStates",
    "Gate",
    "Generate",
    "Herald",
    "Job",
    "Link",
    "Lose",
    "Measure",
    "Network",
    "Node",
    "Prepare",
    "Program",
    "QdistError",
    "Record",
    "Recording",
    "Reset",
    "Result",
    "Saving",
    "Send",
    "State",
    "Stopped",
    "Sweep",
    "Test",
    "Twirl",
    "Wait",
    "__version__",
    "apply",
    "basis_state",
    "bell",
    "bell_diagonal",
    "bell_measurement",
    "bit_is",
    "chain",
    "chsh",
    "circuit_program",
    "complete",
    "concurrence",
    "connected",
    "device",
    "device_names",
    "fidelity",
    "final_states",
    "from_ket",
    "from_matrix",
    "from_pauli",
    "from_qiskit",
    "from_qutip",
    "gate",
    "ghz",
    "graph_state",
    "grid",
    "maximally_mixed",
    "negativity",
    "open",
    "parity_is",
    "parse_qasm",
    "prepare",
    "protocols",
    "purity",
    "random_network",
    "read_checkpoint",
    "read_device_noise",
    "read_qasm",
    "read_result",
    "register_is",
    "ring",
    "run",
    "star",
    "uniform_noise",
    "unitary_gate",
    "verdict",
    "w_state",
    "werner",
    "write_result",
]
