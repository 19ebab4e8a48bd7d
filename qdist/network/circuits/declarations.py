"""Declarations and assignments: registers, variables, constants and aliases."""

from typing import Any

from openqasm3 import ast

from qdist.network.circuits import operands, subroutines, values
from qdist.network.circuits.expressions import cast, size
from qdist.network.circuits.measurements import measure_into
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.names import Variable, Wires
from qdist.network.circuits.reader import ProgramReader
from qdist.network.circuits.subroutines import Outcome, value_of
from qdist.network.circuits.values import Value


def declare_qubits(reader: ProgramReader, node: ast.QubitDeclaration) -> None:
    """`qreg q[2];`, `qubit[2] q;` and `qubit q;`."""
    name = node.qubit.name
    width = size(node.size, reader.scope, f"register '{name}'")
    _check_name(reader, name)
    numbers = reader.new_qubits(name, width or 1)
    reader.scope.declare(name, Wires(True, numbers, width is not None))


def declare_classical(reader: ProgramReader, node: ast.ClassicalDeclaration) -> None:
    """`creg c[2];`, `bit b = measure q;`, `int i = 3;` and the like."""
    name, kind = node.identifier.name, node.type
    _check_name(reader, name)
    if isinstance(kind, ast.BitType):
        _declare_bits(reader, name, kind, node.init_expression)
        return
    if isinstance(node.init_expression, ast.QuantumMeasurement):
        raise Mistake(f"The outcome of a measurement must be kept in a bit, but '{name}' is none. Declare it as `bit`.")
    variable = Variable(None, kind, constant=False, depth=len(reader.body.guards))
    if node.init_expression is None:
        cast(_zero(kind), kind, reader.scope)
    else:
        variable.value = value_of(reader, node.init_expression, kind, reader.scope)
    reader.scope.declare(name, variable)


def declare_constant(reader: ProgramReader, node: ast.ConstantDeclaration) -> None:
    """`const int n = 3;`."""
    _check_name(reader, node.identifier.name)
    value = cast(reader.evaluate(node.init_expression), node.type, reader.scope)
    reader.scope.declare(node.identifier.name, Variable(value, node.type))


def declare_io(reader: ProgramReader, node: ast.IODeclaration) -> None:
    """`output bit[2] c;`, which is an ordinary declaration here; an `input` has no value to compute with."""
    if node.io_identifier is ast.IOKeyword.input:
        name = node.identifier.name
        raise Mistake(f"A program must be complete, but '{name}' is an input. Write `const` and its value instead.")
    declare_classical(reader, ast.ClassicalDeclaration(node.type, node.identifier, None))


def declare_alias(reader: ProgramReader, node: ast.AliasStatement) -> None:
    """`let a = q[0:1] ++ r;`."""
    wires = operands.as_wires(node.value, reader.scope)
    if wires is None:
        raise Mistake(f"An alias must be one of qubits or bits, but '{node.target.name}' is not.")
    _check_name(reader, node.target.name)
    reader.scope.declare(node.target.name, wires)


def assign(reader: ProgramReader, node: ast.ClassicalAssignment) -> None:
    """`i += 1;`, `c = subroutine(q);`."""
    target = node.lvalue
    wires = operands.as_wires(target, reader.scope)
    if wires is not None:
        _assign_bits(reader, operands.bits(target, reader.scope), node)
        return
    if not isinstance(target, ast.Identifier):
        raise Mistake("A part of a number must not be assigned, but is. Assign the whole number.")
    symbol = reader.scope.find(target.name)
    if not isinstance(symbol, Variable) or symbol.constant:
        raise Mistake(f"A constant must not be assigned, but '{target.name}' is one here.")
    if symbol.depth < len(reader.body.guards):
        raise Mistake(
            f"A value must be known before the program runs, but '{target.name}' is assigned where a measured bit is "
            "tested. Put the gates that depend on it into the body of the `if`."
        )
    symbol.value = value_of(reader, _right_side(node), symbol.type, reader.scope)


def _declare_bits(reader: ProgramReader, name: str, kind: ast.BitType, initial: Any) -> None:
    width = size(kind.size, reader.scope, f"register '{name}'")
    if isinstance(initial, ast.FunctionCall) and initial.name.name in reader.subroutines:
        outcome = subroutines.call(reader, initial, reader.scope)
        if isinstance(outcome, Wires):
            _check_equal_size(len(outcome.numbers), width or 1)
            reader.scope.declare(name, Wires(False, outcome.numbers, width is not None))
            return
    else:
        outcome = initial
    source = outcome
    if isinstance(outcome, ast.QuantumMeasurement):
        source = Outcome(operands.qubits(outcome.qubit, reader.scope))
    elif isinstance(outcome, ast.Expression):
        source = cast(reader.evaluate(outcome), kind, reader.scope)
    wires = Wires(False, reader.new_bits(name, width or 1), width is not None)
    reader.scope.declare(name, wires)
    if source is not None:
        _store(reader, wires, source)


def _assign_bits(reader: ProgramReader, target: Wires, node: ast.ClassicalAssignment) -> None:
    source: Any = node.rvalue
    if isinstance(source, ast.FunctionCall) and source.name.name in reader.subroutines and node.op.name == "=":
        source = subroutines.call(reader, source, reader.scope)
        if isinstance(source, Wires):
            raise Mistake(
                "A subroutine must return the measurement itself to an existing bit, but returns a bit of its own. "
                "Write `return measure q;`, or declare the result as in `bit r = f(q);`."
            )
    else:
        source = reader.evaluate(_right_side(node))
    _store(reader, target, source)


def _store(reader: ProgramReader, target: Wires, source: Any) -> None:
    """Put the outcome of a measurement, or the 0 that is there anyway, into bits."""
    if isinstance(source, Outcome):
        measure_into(reader, source.qubits, target)
        return
    value = values.as_bits(subroutines.some(source), len(target.numbers))
    if value != 0 or any(number in reader.bits.writes for number in target.numbers):
        raise Mistake(
            f"Bits must be written by measurements (they start as 0), but are set to {values.described(value)}. "
            "Use an int or a bool for computed values."
        )


def _right_side(node: ast.ClassicalAssignment) -> Any:
    """`x + 1` for `x += 1`."""
    operator = node.op.name.removesuffix("=")
    if not operator:
        return node.rvalue
    if operator == "~":
        raise Mistake("The operator of an assignment must be one of two operands, but is `~=`. Write `x = ~x;`.")
    return ast.BinaryExpression(op=ast.BinaryOperator[operator], lhs=_as_expression(node.lvalue), rhs=node.rvalue)


def _as_expression(target: ast.Identifier | ast.IndexedIdentifier) -> Any:
    if isinstance(target, ast.Identifier):
        return target
    expression: Any = target.name
    for index in target.indices:
        expression = ast.IndexExpression(collection=expression, index=index)
    return expression


def _check_name(reader: ProgramReader, name: str) -> None:
    if name in reader.definitions or name in reader.subroutines:
        raise Mistake(
            f"A name must be declared once, but '{name}' is already a gate or subroutine. Choose another name."
        )


def _check_equal_size(found: int, wanted: int) -> None:
    if found != wanted:
        raise Mistake(f"A register must be as long as what is stored in it, but {wanted} bit(s) receive {found}.")


def _zero(kind: Any) -> Value:
    return values.Seconds(0) if isinstance(kind, ast.DurationType) else 0
