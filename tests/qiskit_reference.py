"""Probabilities of OpenQASM 2 circuits from Qiskit: Aer's density matrices, or dense branches for conditions.

Noise is written into the circuit as channels after each library gate, so that no basis translation can move it.
Qiskit takes up to a minute for circuits on ten qubits; `python -m tests.qiskit_reference FILE…` keeps what it finds.
"""

import sys
from pathlib import Path

import numpy as np
from qiskit import QuantumCircuit, qasm2
from qiskit.quantum_info import Operator
from qiskit_aer import AerSimulator
from qiskit_aer.noise import pauli_error

from tests.programs import RESET_KRAUS, projectors
from tests.reference import PAULI, Reference, kron

ONE_QUBIT, TWO_QUBIT, P01, P10 = 0.001, 0.01, 0.02, 0.03
KEPT = Path(__file__).parent / "data" / "circuits" / "probabilities.npz"
KINDS = ("ideal", "noisy")
MADE_OF_GATES = ("measure", "reset", "barrier", "if_else")


def load(text):
    circuit = qasm2.loads(text, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
    return unrolled(circuit)


def unrolled(circuit):
    """Only library gates on one and two qubits, each by Qiskit's own definition of the wider ones."""
    new = circuit.copy_empty_like()
    for item in circuit.data:
        operation = item.operation
        library = str(operation.base_class.__module__).startswith("qiskit.circuit.library")
        if operation.name in MADE_OF_GATES or (library and operation.num_qubits <= 2):
            new.append(operation, item.qubits, item.clbits)
            continue
        inner = unrolled(definition(operation))
        places = dict(zip(inner.qubits, item.qubits, strict=True))
        for part in inner.data:
            new.append(part.operation, [places[q] for q in part.qubits], [])
    return new


def definition(operation):
    """As in qelib1.inc: Qiskit's own `cswap` differs from it in how it is written, not in what it does."""
    if operation.name == "cswap":
        circuit = QuantumCircuit(3)
        circuit.cx(2, 1)
        circuit.ccx(0, 1, 2)
        circuit.cx(2, 1)
        return circuit
    return operation.definition


def depolarizing_error(num_qubits, p):
    strings = [a if num_qubits == 1 else a + b for a in "IXYZ" for b in ("IXYZ" if num_qubits == 2 else "I")]
    errors = [s for s in strings if set(s) != {"I"}]
    return pauli_error([(s, p / len(errors)) for s in errors] + [("I" * num_qubits, 1 - p)])


def kraus_of(num_qubits, p):
    labels = list(np.ndindex(*(4,) * num_qubits))
    weights = [1 - p if not any(label) else p / (4**num_qubits - 1) for label in labels]
    return [np.sqrt(w) * kron(*(PAULI["IXYZ"[i]] for i in label)) for w, label in zip(weights, labels, strict=True)]


def probabilities(text, *, noise):
    """P(outcome), the first classical bit declared most significant; of all qubits where nothing is measured."""
    circuit = load(text)
    if any(item.operation.name == "if_else" for item in circuit.data) or measured_early(circuit):
        return branches(circuit, noise)
    return aer(circuit, noise)


def kept_probabilities():
    """By the name of a circuit and whether there is noise."""
    with np.load(KEPT) as arrays:
        return {(name.rpartition("-")[0], name.endswith("-noisy")): arrays[name] for name in arrays}


def keep(paths):
    found = {f"{p.stem}-{kind}": probabilities(p.read_text(), noise=kind == "noisy") for p in paths for kind in KINDS}
    np.savez_compressed(KEPT, **found)


def measured_early(circuit):
    measured = set()
    for item in circuit.data:
        if item.operation.name == "measure":
            measured |= set(item.qubits)
        elif item.operation.name != "barrier" and measured & set(item.qubits):
            return True
    return False


def aer(circuit, noise):
    n = circuit.num_qubits
    run = QuantumCircuit(*circuit.qregs, *circuit.cregs)
    measured = {}
    for item in circuit.data:
        if item.operation.name == "measure":
            measured[circuit.find_bit(item.qubits[0]).index] = circuit.find_bit(item.clbits[0]).index
        elif item.operation.name == "reset":
            run.reset(item.qubits)
        elif item.operation.name != "barrier":
            run.unitary(Operator(item.operation), item.qubits)
            if noise and item.operation.name != "id":
                k = len(item.qubits)
                run.append(depolarizing_error(k, ONE_QUBIT if k == 1 else TWO_QUBIT), item.qubits)
    run.save_probabilities(run.qubits)
    data = AerSimulator(method="density_matrix", fusion_enable=False).run(run, shots=1).result().data()
    table = np.array(data["probabilities"]).reshape((2,) * n).transpose()
    if not measured:
        return table.reshape(-1)
    kept = sorted(measured)
    table = table.sum(axis=tuple(q for q in range(n) if q not in measured))
    if noise:
        confusion = np.array([[1 - P01, P10], [P01, 1 - P10]])
        for axis in range(len(kept)):
            table = np.moveaxis(np.tensordot(confusion, table, (1, axis)), 0, axis)
    full = np.zeros((2,) * circuit.num_clbits)
    order = sorted(range(len(kept)), key=lambda k: measured[kept[k]])
    written = {measured[q] for q in kept}
    full[tuple(slice(None) if bit in written else 0 for bit in range(circuit.num_clbits))] = table.transpose(order)
    return full.reshape(-1)


def branches(circuit, noise):
    """Every history of outcomes with its own density matrix."""
    reference = Reference()
    names = [f"q{i}" for i in range(circuit.num_qubits)]
    for name in names:
        reference.add([name], np.diag([1, 0]).astype(complex))
    for item in circuit.data:
        _follow(reference, circuit, item, names, noise, lambda bits: True)
    table = reference.distribution(range(circuit.num_clbits))
    return np.array([table.get(format(k, f"0{circuit.num_clbits}b"), 0.0) for k in range(2**circuit.num_clbits)])


def _follow(reference, circuit, item, names, noise, when):
    operation = item.operation
    qubits = [names[circuit.find_bit(q).index] for q in item.qubits]
    if operation.name == "measure":
        bit = circuit.find_bit(item.clbits[0]).index
        reference.measure(qubits[0], bit, projectors("Z"), (P01, P10) if noise else (0.0, 0.0), when)
    elif operation.name == "reset":
        reference.apply(RESET_KRAUS, qubits, when)
    elif operation.name == "if_else":
        register, value = operation.condition
        asked = [circuit.find_bit(register[k]).index for k in range(len(register))]

        def holds(bits):
            return sum(bits.get(b, 0) << k for k, b in enumerate(asked)) == value

        block = operation.blocks[0]
        places = dict(zip(block.qubits, item.qubits, strict=True))
        for part in block.data:
            _follow(reference, circuit, part.replace(qubits=[places[q] for q in part.qubits]), names, noise, holds)
    elif operation.name != "barrier":
        # Qiskit's first qubit is the least significant factor of its matrices
        reference.apply([Operator(operation).data], qubits[::-1], when)
        if noise and operation.name != "id":
            k = len(qubits)
            reference.apply(kraus_of(k, ONE_QUBIT if k == 1 else TWO_QUBIT), qubits, when)


if __name__ == "__main__":
    keep(map(Path, sys.argv[1:]))
