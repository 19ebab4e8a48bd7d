"""What a user of Aer would run: read a QASM file, add noise after every gate, simulate, print probabilities.

    python aer_script.py FILE.qasm single|double THREADS

A process of its own that loads nothing of qdist. It prints one JSON object: outcomes, the first bit declared leftmost,
and their probabilities: exact ones or, where gates depend on outcomes, so that Aer must draw them, of 1,024 shots.
"""

import json
import sys

from qiskit import QuantumCircuit, qasm2
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import Operator
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, depolarizing_error

NOISE = {1: 0.001, 2: 0.01}
ONE_QUBIT = ("h", "p", "rx", "ry", "rz", "s", "sdg", "sx", "t", "tdg", "u", "u1", "u2", "u3", "x", "y", "z")
TWO_QUBIT = ("cx", "cy", "cz", "cp", "rzz", "swap")
"""Gates that Aer knows by name; the others are given as matrices."""
SHOTS = 1024


def cswap():
    """As in qelib1.inc; Qiskit's own definition is written in another way."""
    circuit = QuantumCircuit(3)
    circuit.cx(2, 1)
    circuit.ccx(0, 1, 2)
    circuit.cx(2, 1)
    return circuit


def noise_model():
    """Qiskit's parameter is p·4ⁿ/(4ⁿ−1), since it counts the identity among the errors."""
    model = NoiseModel()
    for k, names in ((1, [*ONE_QUBIT, "other 1"]), (2, [*TWO_QUBIT, "other 2"])):
        model.add_all_qubit_quantum_error(depolarizing_error(NOISE[k] * 4**k / (4**k - 1), k), names)
    return model


class Writer:
    """Copies a circuit gate by gate, wide and self-made gates by their definition, so that noise follows each."""

    def __init__(self):
        self.parts = {}

    def written(self, gate):
        """The instructions that a gate becomes, each with the places of its qubits."""
        key = gate.name, tuple(gate.params)
        if key not in self.parts:
            self.parts[key] = list(self._parts(gate))
        return self.parts[key]

    def _parts(self, gate):
        places = tuple(range(gate.num_qubits))
        library = gate.base_class.__module__.startswith("qiskit.circuit.library")
        if not library or gate.num_qubits > 2:
            definition = cswap() if gate.name == "cswap" else gate.definition
            for item in definition.data:
                inner = [definition.find_bit(qubit).index for qubit in item.qubits]
                for part, local in self.written(item.operation):
                    yield part, tuple(inner[i] for i in local)
        elif gate.name != "id":
            is_known = gate.name in ONE_QUBIT + TWO_QUBIT
            yield gate if is_known else UnitaryGate(Operator(gate), label=f"other {gate.num_qubits}"), places

    def circuit(self, old):
        new = old.copy_empty_like()
        for item in old.data:
            if item.operation.name in ("measure", "reset", "if_else"):
                new.append(self.conditional(item.operation), item.qubits, item.clbits)
            elif item.operation.name != "barrier":
                for part, places in self.written(item.operation):
                    new.append(part, [item.qubits[i] for i in places])
        return new

    def conditional(self, operation):
        if operation.name != "if_else":
            return operation
        return operation.replace_blocks([self.circuit(block) for block in operation.blocks])


def is_drawn(circuit):
    """Whether anything happens after a measurement of the same qubit, or depends on one."""
    measured: set = set()
    for item in circuit.data:
        if item.operation.name == "if_else" or (item.operation.name != "measure" and measured & set(item.qubits)):
            return True
        measured |= set(item.qubits) if item.operation.name == "measure" else set()
    return False


def without_measurements(circuit):
    """The circuit with probabilities in place of measurements, and the bit that each saved qubit is for."""
    new, bits = circuit.copy_empty_like(), {}
    for item in circuit.data:
        if item.operation.name == "measure":
            bits[circuit.find_bit(item.clbits[0]).index] = circuit.find_bit(item.qubits[0]).index
        else:
            new.append(item.operation, item.qubits, item.clbits)
    bits = bits or {i: i for i in range(circuit.num_qubits)}
    order = sorted(bits)
    new.save_probabilities_dict([bits[bit] for bit in order])
    return new, order


def main():
    path, precision, threads = sys.argv[1:]
    circuit = Writer().circuit(qasm2.load(path, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS))
    simulator = AerSimulator(
        method="density_matrix", precision=precision, max_parallel_threads=int(threads), noise_model=noise_model()
    )
    if is_drawn(circuit):
        counts = simulator.run(circuit, shots=SHOTS).result().get_counts()
        table = {word.replace(" ", "")[::-1]: count / SHOTS for word, count in counts.items()}
    else:
        width = circuit.num_clbits if any(item.operation.name == "measure" for item in circuit.data) else None
        circuit, order = without_measurements(circuit)
        found = simulator.run(circuit, shots=1).result().data(0)["probabilities"]
        table = {}
        for number, probability in found.items():
            word = ["0"] * (width or circuit.num_qubits)
            for k, bit in enumerate(order):
                word[bit] = str(number >> k & 1)
            table["".join(word)] = probability
    print(json.dumps(table))


if __name__ == "__main__":
    main()
