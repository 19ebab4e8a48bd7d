"""Instructions of one qubit that are not gates: measurements, resets and delays, and barriers."""

import math

from openqasm3 import ast

from qdist.network.circuits import operands, values
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.names import Wires
from qdist.network.circuits.reader import ProgramReader


def measure(reader: ProgramReader, node: ast.QuantumMeasurementStatement) -> None:
    """`measure q -> c;`, `c = measure q;` and `measure q;`."""
    qubits = operands.qubits(node.measure.qubit, reader.scope)
    if node.target is None:
        measure_unseen(reader, qubits)
    else:
        measure_into(reader, qubits, operands.bits(node.target, reader.scope))


def measure_into(reader: ProgramReader, qubits: Wires, bits: Wires) -> None:
    """Measure qubits into as many bits, one after the other."""
    if len(qubits.numbers) != len(bits.numbers):
        raise Mistake(
            f"A measurement must have one bit for each qubit, but has {len(qubits.numbers)} qubit(s) "
            f"and {len(bits.numbers)} bit(s)."
        )
    if bits.read_only:
        raise Mistake(
            "A measurement must write to a bit of its own block, but this bit belongs to the caller. Return it."
        )
    for qubit, bit in zip(qubits.numbers, bits.numbers, strict=True):
        reader.emit("measure", "measure", (), (qubit,), (bit,))


def measure_unseen(reader: ProgramReader, qubits: Wires) -> None:
    """Measure qubits and drop the outcomes."""
    for qubit in qubits.numbers:
        reader.emit("measure", "measure", (), (qubit,))


def reset(reader: ProgramReader, node: ast.QuantumReset) -> None:
    """`reset q;`."""
    for qubit in operands.qubits(node.qubits, reader.scope).numbers:
        reader.emit("reset", "reset", (), (qubit,))


def barrier(reader: ProgramReader, node: ast.QuantumBarrier) -> None:
    """`barrier q, r[0];` or `barrier;` for all qubits."""
    parts = [operands.qubits(operand, reader.scope) for operand in node.qubits] or [reader.all_qubits()]
    reader.emit("barrier", "barrier", (), tuple(dict.fromkeys(number for part in parts for number in part.numbers)))


def delay(reader: ProgramReader, node: ast.DelayInstruction) -> None:
    """`delay[100ns] q;`: each qubit waits; without operands all do."""
    duration = float(values.as_seconds(reader.evaluate(node.duration)))
    if not 0 <= duration < math.inf:
        raise Mistake(f"A delay must be finite and at least 0 s, but is {duration:g} s.")
    parts = [operands.qubits(operand, reader.scope) for operand in node.qubits] or [reader.all_qubits()]
    for part in parts:
        for qubit in part.numbers:
            reader.emit("delay", "delay", (), (qubit,), duration=duration)
