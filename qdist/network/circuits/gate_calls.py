"""Calls of gates: from the standard library as they stand, from the program unrolled, both under modifiers."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from openqasm3 import ast

from qdist.errors import did_you_mean
from qdist.network.circuits import modifiers, operands, values
from qdist.network.circuits.circuit import Instruction
from qdist.network.circuits.mistakes import ArithmeticMistake, Mistake
from qdist.network.circuits.names import Variable, Wires
from qdist.network.circuits.reader import GateDefinition, ProgramReader
from qdist.physics.gates import GATES


def include(reader: ProgramReader, node: ast.Include) -> None:
    """`include "stdgates.inc";`: the gates of the standard library may be used from here."""
    dialect = reader.dialect
    if node.filename != dialect.library:
        raise Mistake(
            f"An included file must be '{dialect.library}' in OpenQASM {dialect.version}, but is '{node.filename}'. "
            "Copy its definitions into the program."
        )
    clash = sorted(dialect.official & set(reader.definitions))
    if clash:
        raise Mistake(
            f"Gate '{clash[0]}' must be defined once, but '{dialect.library}' defines it again. Rename yours."
        )
    reader.library |= {name: GATES[name] for name in dialect.official | dialect.extended}


def define(reader: ProgramReader, node: ast.QuantumGateDefinition) -> None:
    """`gate name(params) qubits { … }`, checked here even if it is never called."""
    name = node.name.name
    protected = reader.dialect.official | reader.dialect.builtin
    if name in reader.definitions or (name in protected and name in reader.library):
        raise Mistake(f"Gate '{name}' must be defined once, but is defined again. Rename this one.")
    if name in reader.scope.names:
        raise Mistake(f"A gate must have a name of its own, but '{name}' is declared already. Rename the gate.")
    definition = GateDefinition(node)
    # Any numbers will do to find mistakes of the text; no two equal, none special.
    with suppress(ArithmeticMistake):
        _unrolled(reader, definition, tuple(0.5 + 0.01 * k for k in range(definition.num_params)))
    reader.definitions[name] = definition


def call(reader: ProgramReader, node: ast.QuantumGate) -> None:
    """`name(params) qubits;`, broadcast over registers."""
    name = node.name.name
    if node.duration is not None:
        raise Mistake(f"A gate must not be given a duration, but '{name}' is. Put a `delay` after it.")
    definition = reader.definitions.get(name)
    known = definition or reader.library.get(name)
    if known is None:
        raise _unknown_gate(reader, name)
    scope = reader.scope
    params = tuple([_angle(reader, argument, name) for argument in node.arguments])
    if len(params) != known.num_params:
        raise Mistake(f"Gate '{name}' must have {known.num_params} parameter(s), but got {len(params)}.")
    parts = [operands.qubits(operand, scope) for operand in node.qubits]
    if node.modifiers:
        body = [Instruction("gate", name, params, tuple(range(known.num_qubits)))]
        if definition is not None:
            body = list(_unrolled(reader, definition, params))
        _modified(reader, node, body, known.num_qubits, parts)
    elif definition is not None:
        _check_count(name, definition.num_qubits, parts)
        _emit_body(reader, name, _unrolled(reader, definition, params), parts)
    else:
        _check_count(name, known.num_qubits, parts)
        for qubits in operands.broadcast(parts):
            _check_distinct(reader, name, qubits)
            reader.emit("gate", name, params, qubits)


def global_phase(reader: ProgramReader, node: ast.QuantumPhase) -> None:
    """`gphase(angle);`, which only a control makes visible."""
    parts = [operands.qubits(operand, reader.scope) for operand in node.qubits]
    body = [Instruction("gphase", "gphase", (_angle(reader, node.argument, "gphase"),))]
    _modified(reader, node, body, 0, parts)


def _angle(reader: ProgramReader, node: Any, name: str) -> float:
    return values.real(reader.evaluate(node), f"A parameter of gate '{name}'")


def _unknown_gate(reader: ProgramReader, name: str) -> Mistake:
    dialect = reader.dialect
    gate = reader.body.gate
    if gate is not None and gate.node.name.name == name:
        return Mistake(f"A gate must not call itself, but '{name}' does.")
    if name in dialect.official | dialect.extended:
        return Mistake(f"Gate '{name}' must be defined, but is not. Add `include \"{dialect.library}\";` at the top.")
    known = {*reader.library, *reader.definitions}
    return Mistake(f"Gate '{name}' must be defined before it is used, but is not.{did_you_mean(name, known)}")


def _unrolled(reader: ProgramReader, definition: GateDefinition, params: tuple[float, ...]) -> Sequence[Instruction]:
    """What a gate of the program consists of, as gates of the library on qubits 0, 1, …."""
    node = definition.node
    key = (node.name.name, params)
    if key in reader.unrolled:
        return reader.unrolled[key]
    with reader.inside_gate(definition) as scope:
        for argument, value in zip(node.arguments, params, strict=True):
            scope.declare(argument.name, Variable(value))
        for number, qubit in enumerate(node.qubits):
            scope.declare(qubit.name, Wires(True, (number,), False))
        reader.run(node.body)
        reader.unrolled[key] = tuple(reader.body.instructions)
    return reader.unrolled[key]


def _modified(
    reader: ProgramReader,
    node: ast.QuantumGate | ast.QuantumPhase,
    body: list[Instruction],
    num_qubits: int,
    parts: list[Wires],
) -> None:
    name = node.name.name if isinstance(node, ast.QuantumGate) else "gphase"
    for modifier in reversed(node.modifiers):
        kind = modifier.modifier.name
        if kind == "inv":
            body = modifiers.inverse(body)
        elif kind == "pow":
            exponent = values.real(reader.evaluate(modifier.argument), "The exponent of `pow`")
            if exponent.is_integer():
                reader.check_room(max(0, len(body) - 1) * int(abs(exponent)))
            body = modifiers.power(body, exponent, name, num_qubits)
        else:
            controls = _number_of_controls(reader, modifier)
            for _ in range(controls):
                body = modifiers.controlled(body, negative=kind == "negctrl")
            num_qubits += controls
    _check_count(name, num_qubits, parts)
    _emit_body(reader, name, body, parts)


def _number_of_controls(reader: ProgramReader, modifier: ast.QuantumGateModifier) -> int:
    if modifier.argument is None:
        return 1
    number = values.whole(reader.evaluate(modifier.argument), "The number of controls")
    if not 1 <= number < modifiers.MAX_UNITARY_QUBITS:
        raise Mistake(f"The number of controls must be in [1, {modifiers.MAX_UNITARY_QUBITS - 1}], but is {number}.")
    return number


def _check_count(name: str, num_qubits: int, parts: Sequence[Wires]) -> None:
    if len(parts) != num_qubits:
        raise Mistake(f"Gate '{name}' must act on {num_qubits} qubit(s), but got {len(parts)}.")


def _check_distinct(reader: ProgramReader, name: str, qubits: tuple[int, ...]) -> None:
    if len(set(qubits)) != len(qubits):
        twice = next(qubit for qubit in qubits if qubits.count(qubit) > 1)
        raise Mistake(f"Gate '{name}' must act on different qubits, but got '{reader.qubit_label(twice)}' twice.")


def _emit_body(reader: ProgramReader, name: str, body: Sequence[Instruction], parts: Sequence[Wires]) -> None:
    """The instructions of a gate, on the qubits that it was called with."""
    for qubits in operands.broadcast(parts):
        _check_distinct(reader, name, qubits)
        for step in body:
            if step.kind == "gphase" and reader.body.gate is None:
                continue
            own = tuple([qubits[qubit] for qubit in step.qubits])
            reader.emit(step.kind, step.name, step.params, own, duration=step.duration, unitary=step.unitary)
