"""What the cases share: networks without noise of their own, and numbers read off a run in float64."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from qdist.network.graph import Network, chain
from qdist.network.program import Apply, Prepare, Program, Step, apply
from qdist.physics.states import State
from qdist.runs.execute import run
from qdist.runs.job import Job
from qdist.runs.results import Result

CARDINAL: tuple[tuple[str, ...], ...] = ((), ("x",), ("h",), ("h", "z"), ("h", "s"), ("h", "sdg"))
"""Gates that turn |0⟩ into the six eigenstates of Z, X and Y: a 2-design, so their mean is that over all states."""


def simulate(steps: Program | Iterable[Step], network: Network, **options: Any) -> Result:
    """Run steps exactly in float64, or as the options of `Job` say."""
    program = steps if isinstance(steps, Program) else Program(tuple(steps))
    return run(Job(program=program, network=network, precision="float64", **options))


def laboratory(num_qubits: int) -> tuple[Network, tuple[str, ...]]:
    """One ideal node and the names of its qubits."""
    network = chain(1, qubits=num_qubits)
    return network, network.qubit_names


def prepared(qubits: Iterable[str]) -> list[Step]:
    """Each qubit in |0⟩."""
    return [Prepare((qubit,)) for qubit in qubits]


def gates(names: Iterable[str], qubit: str) -> list[Apply]:
    """Gates without angles on one qubit, in this order."""
    return [apply(name, qubit) for name in names]


def final_state(steps: Program | Iterable[Step], network: Network, qubits: Sequence[str]) -> State:
    """The state of some qubits after the steps."""
    return simulate(steps, network).state(qubits)


def overlap(state: State, pure: State) -> float:
    """⟨ψ|ρ|ψ⟩ = Tr ρσ for a pure σ, the squared fidelity."""
    return float(np.dot(state.vector, pure.vector)) / 2**state.num_qubits


def outcomes(steps: Iterable[Step], network: Network, bits: Sequence[str]) -> np.ndarray:
    """P(bits), shape (2, …, 2), one axis a bit, given that every herald succeeded."""
    result = simulate(Program(tuple(steps), bits=tuple(bits)), network)
    return result["results/probabilities"].reshape((2,) * len(bits))


def parity(probabilities: np.ndarray) -> float:
    """⟨(−1)^(b₀+b₁+…)⟩: the correlator of the outcomes."""
    signs = (-1.0) ** np.indices(probabilities.shape).sum(axis=0)
    return float(np.sum(signs * probabilities))
