"""Gates on three and more qubits as gates on one and two."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

from qdist.network.circuits.circuit import Circuit, Instruction
from qdist.network.circuits.synthesis import synthesized
from qdist.physics.gates import GATES, Step


def expand_wide_gates(circuit: Circuit) -> Circuit:
    """The circuit with only gates of one and two qubits.

    A library gate becomes its definition in the gate table; a wide unitary is synthesized from `x`, `cx`, `cu` and
    library gates. Each new gate keeps condition and line of the old one.
    """
    instructions = tuple(new for old in circuit.instructions for new in _expanded(old))
    return replace(circuit, instructions=instructions)


def _expanded(instruction: Instruction) -> Iterable[Instruction]:
    if len(instruction.qubits) <= 2 or instruction.kind not in ("gate", "unitary"):
        return (instruction,)
    old, condition, line = instruction.qubits, instruction.condition, instruction.line
    if instruction.unitary is None:
        steps = _narrow(instruction.name)
    else:
        steps = tuple(_narrowed(synthesized(instruction.unitary)))
    return [
        Instruction("gate", name, params, tuple([old[place] for place in places]), (), condition, line)
        for name, params, places in steps
    ]


@cache
def _narrow(name: str) -> tuple[Step, ...]:
    """A wide gate of the library in gates of one and two qubits."""
    return tuple(_narrowed(GATES[name].definition))


def _narrowed(steps: Iterable[Step]) -> Iterator[Step]:
    for name, params, places in steps:
        if len(places) <= 2:
            yield name, params, places
            continue
        for inner, angles, positions in _narrow(name):
            yield inner, angles, tuple([places[position] for position in positions])
