"""Qiskit Aer: method `density_matrix` with fusion, the noise bound beforehand."""

import math
import time
from typing import Any

import numpy as np

from jobs.benchmarks.peers.circuits import NOISE, Case, Gate

PACKAGES = ("qiskit", "qiskit-aer")
PRECISIONS = ("float32", "float64")
PRECISION_NAMES = {"float32": "single", "float64": "double"}
ONE_QUBIT = ("h", "p", "rx", "ry", "rz", "s", "sdg", "sx", "t", "tdg", "u", "u1", "u2", "u3", "x", "y", "z")
TWO_QUBIT = ("cx", "cy", "cz", "cp", "rzz", "swap")
"""Gates that Aer knows by name; the others are given as matrices under the label "other", and `id` is left out."""

FEW_QUBITS = 9
"""Up to here all of `WAYS` are tried and the fastest is taken; on more qubits it was always the first (on 10 qubits by
1.5 times and more), which fuses gates and noise into superoperators on two qubits."""

WAYS: tuple[dict[str, Any], ...] = ({"noise": "model"}, {"noise": "model", "fusion_threshold": 1}, {"noise": "circuit"})
"""A noise model, fused where Aer fuses by itself or from the first qubit on; or superoperators in the circuit."""


class Ready:
    """Noise and observable are bound to the circuit and the simulator before any run."""

    def __init__(self, case: Case, precision: str, threads: int) -> None:
        from qiskit.quantum_info import Pauli

        self.case = case
        self.settings = {
            "method": "density_matrix",
            "precision": PRECISION_NAMES[precision],
            "fusion_enable": True,
            "max_parallel_threads": threads,
        }
        seconds = []
        for way in WAYS[: None if case.num_qubits <= FEW_QUBITS else 1]:
            circuit = written(case, way["noise"] == "model")
            circuit.save_expectation_value(Pauli("Z" * case.num_qubits), range(case.num_qubits))
            self.circuit, self.simulator = circuit, self._simulator(**way)
            seconds.append((self._best_of_three(), way, self.circuit, self.simulator))
        _, self.way, self.circuit, self.simulator = min(seconds, key=lambda entry: entry[0])

    def _simulator(self, noise: str, **options: Any) -> Any:
        from qiskit_aer import AerSimulator

        bound = {"noise_model": noise_model()} if noise == "model" else {}
        return AerSimulator(**self.settings, **options, **bound)

    def _best_of_three(self) -> float:
        """Seconds; forever if Aer fails, as it does where it makes Kraus operators of fused superoperators."""
        if self.case.num_qubits > FEW_QUBITS:
            return 0.0
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            if not self.simulator.run(self.circuit, shots=1).result().success:
                return math.inf
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    def run(self) -> tuple[float, float]:
        result = self.simulator.run(self.circuit, shots=1).result()
        return float(result.data(0)["expectation_value"]), result.results[0].time_taken

    def probabilities(self) -> np.ndarray:
        circuit = written(self.case, is_model=True)
        circuit.save_probabilities()
        result = self._simulator("model").run(circuit, shots=1).result()
        n = self.case.num_qubits
        return np.asarray(result.data(0)["probabilities"], float).reshape((2,) * n).transpose().reshape(-1)

    def facts(self) -> dict[str, Any]:
        return self.way


def written(case: Case, is_model: bool) -> Any:
    """The circuit for Aer, with its noise unless a noise model adds it."""
    from qiskit import QuantumCircuit
    from qiskit.circuit.library import get_standard_gate_name_mapping
    from qiskit.circuit.library.standard_gates import U1Gate, U2Gate, U3Gate
    from qiskit.quantum_info import Operator, SuperOp

    gates = {name: type(gate) for name, gate in get_standard_gate_name_mapping().items()}
    gates |= {"u1": U1Gate, "u2": U2Gate, "u3": U3Gate}
    channels = {k: SuperOp(depolarizing(k)).to_instruction() for k in NOISE}
    circuit = QuantumCircuit(case.num_qubits)
    for one in case.operations:
        if not isinstance(one, Gate):
            if not is_model:
                circuit.append(channels[len(one.qubits)], one.qubits)
            continue
        gate = gates[one.name](*one.params)
        if one.name in ONE_QUBIT + TWO_QUBIT:
            circuit.append(gate, one.qubits)
        elif one.name != "id":
            circuit.unitary(Operator(gate), one.qubits, label=f"other {len(one.qubits)}")
    return circuit


def depolarizing(num_qubits: int) -> Any:
    """The error of the cases; Qiskit's parameter is p·4ⁿ/(4ⁿ−1), since it counts the identity among the errors."""
    from qiskit_aer.noise import depolarizing_error

    return depolarizing_error(NOISE[num_qubits] * 4**num_qubits / (4**num_qubits - 1), num_qubits)


def noise_model() -> Any:
    from qiskit_aer.noise import NoiseModel

    model = NoiseModel()
    model.add_all_qubit_quantum_error(depolarizing(1), [*ONE_QUBIT, "other 1"])
    model.add_all_qubit_quantum_error(depolarizing(2), [*TWO_QUBIT, "other 2"])
    return model


def ready(case: Case, precision: str, threads: int) -> Ready:
    return Ready(case, precision, threads)
