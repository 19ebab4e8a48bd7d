"""Gates on three and more qubits as gates on one and two."""

from collections.abc import Iterator
from dataclasses import replace

from qdist.network.circuits.circuit import Circuit, Instruction
from qdist.network.circuits.synthesis import synthesized
from qdist.physics.gates import GATES


def expand_wide_gates(circuit: Circuit) -> Circuit:
    """The circuit with only gates of one and two qubits.

    A library gate becomes its definition in the gate table; a wide unitary is synthesized from `x`, `cx`, `cu` and
    library gates. Each new gate keeps condition and line of the old one.
    """
    instructions = tuple(new for old in circuit.instructions for new in _expanded(old))
    return replace(circuit, instructions=instructions)


def _expanded(instruction: Instruction) -> Iterator[Instruction]:
    if instruction.kind not in ("gate", "unitary") or len(instruction.qubits) <= 2:
        yield instruction
        return
    if instruction.unitary is None:
        steps = GATES[instruction.name].definition
    else:
        steps = tuple(synthesized(instruction.unitary))
    for name, params, positions in steps:
        qubits = tuple(instruction.qubits[position] for position in positions)
        step = Instruction("gate", name, params, qubits, (), instruction.condition, instruction.line)
        yield from _expanded(step)
