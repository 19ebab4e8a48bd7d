"""qulacs: gates and noise one after the other on its `DensityMatrix`, which is complex128."""

from typing import Any

import numpy as np

from jobs.benchmarks.peers.circuits import Case, Depolarizing, Gate

PACKAGES = ("qulacs",)
PRECISIONS = ("float64",)
ITS_OWN = {"cx": "CNOT", "swap": "SWAP"} | {name: name.upper() for name in ("cz", "h", "s", "t", "x", "y", "z")}
ITS_OWN |= {name: name.upper() for name in ("u1", "u2", "u3")}


class Ready:
    """Its optimizer cannot merge noise, so the circuit is as written, with qulacs' own gates where it has them."""

    def __init__(self, case: Case) -> None:
        from qulacs import DensityMatrix, Observable, QuantumCircuit

        self.state = DensityMatrix(case.num_qubits)
        self.circuit = QuantumCircuit(case.num_qubits)
        for one in case.operations:
            self.circuit.add_gate(gate(one))
        self.reading = Observable(case.num_qubits)
        self.reading.add_operator(1.0, " ".join(f"Z {i}" for i in range(case.num_qubits)))

    def run(self) -> tuple[float, None]:
        self._evolve()
        return self.reading.get_expectation_value(self.state), None

    def probabilities(self) -> np.ndarray:
        self._evolve()
        n = self.state.get_qubit_count()
        return np.diag(self.state.get_matrix()).real.reshape((2,) * n).transpose().reshape(-1)

    def _evolve(self) -> None:
        self.state.set_zero_state()
        self.circuit.update_quantum_state(self.state)


def gate(one: Gate | Depolarizing) -> Any:
    from qulacs import gate as gates

    if not isinstance(one, Gate):
        if len(one.qubits) == 1:
            return gates.DepolarizingNoise(one.qubits[0], one.probability)
        return gates.TwoQubitDepolarizingNoise(one.qubits[0], one.qubits[1], one.probability)
    if one.name in ITS_OWN:
        return getattr(gates, ITS_OWN[one.name])(*one.qubits, *one.params)
    from qdist import gate as library

    # qulacs' first qubit is the least significant one of a matrix, qdist's the most significant.
    return gates.DenseMatrix(list(reversed(one.qubits)), np.asarray(library(one.name, *one.params).unitary))


def ready(case: Case, precision: str, threads: int) -> Ready:
    """The threads are set by the environment of the process."""
    return Ready(case)
