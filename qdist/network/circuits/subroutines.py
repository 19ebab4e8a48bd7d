"""Subroutines (`def`): each call reads the body again, on the qubits and values that it was given."""

from dataclasses import dataclass
from typing import Any

from openqasm3 import ast

from qdist.errors import did_you_mean
from qdist.network.circuits import operands, questions
from qdist.network.circuits.control_flow import check_certain
from qdist.network.circuits.expressions import cast, size
from qdist.network.circuits.measurements import measure_unseen
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.names import Deferred, Scope, Symbol, Variable, Wires
from qdist.network.circuits.reader import ProgramReader
from qdist.network.circuits.values import Value

MAX_DEPTH = 64


@dataclass(frozen=True)
class Outcome:
    """What `return measure q;` gives back: qubits that the caller measures into its own bits."""

    qubits: Wires


Result = Value | Deferred | Outcome | Wires | None


class Return(Exception):
    """`return`."""

    def __init__(self, result: Result) -> None:
        """Carries the result to the call."""
        super().__init__()
        self.result = result


def define_subroutine(reader: ProgramReader, node: ast.SubroutineDefinition) -> None:
    """`def name(qubit q, int n) -> bit { … }`."""
    name = node.name.name
    if name in reader.subroutines or name in reader.definitions or name in reader.scope.names:
        raise Mistake(f"A name must be declared once, but '{name}' is declared again. Rename the subroutine.")
    reader.subroutines[name] = node


def statement(reader: ProgramReader, node: ast.ExpressionStatement) -> None:
    """`name(q, 3);`."""
    if not isinstance(node.expression, ast.FunctionCall):
        raise Mistake("A statement must do something, but this is only an expression. Remove it.")
    result = call(reader, node.expression, reader.scope)
    if isinstance(result, Outcome):
        measure_unseen(reader, result.qubits)


def leave(reader: ProgramReader, node: ast.ReturnStatement) -> None:
    """`return measure q;`, `return n + 1;`, `return;`."""
    check_certain(reader, reader.body.calls[-1].guards, "return")
    expression = node.expression
    if isinstance(expression, ast.QuantumMeasurement):
        raise Return(Outcome(operands.qubits(expression.qubit, reader.scope)))
    raise Return(_returned(reader, expression))


def call(reader: ProgramReader, node: ast.FunctionCall, scope: Scope) -> Result:
    """Read the body of a subroutine; its instructions happen now."""
    name = node.name.name
    definition = reader.subroutines.get(name)
    if definition is None:
        known = {*reader.dialect.functions, *reader.subroutines}
        raise Mistake(
            f"A function must be defined before it is called, but '{name}' is not.{did_you_mean(name, known)}"
        )
    if reader.bits.assumed is not None:
        raise Mistake(f"A condition must not call a subroutine, but calls '{name}'. Store its result first.")
    if len(reader.body.calls) >= MAX_DEPTH:
        raise Mistake(f"Subroutines must call each other at most {MAX_DEPTH} deep, but '{name}' goes deeper.")
    if len(node.arguments) != len(definition.arguments):
        raise Mistake(
            f"Subroutine '{name}' must have {len(definition.arguments)} argument(s), but got {len(node.arguments)}."
        )
    pairs = zip(definition.arguments, node.arguments, strict=True)
    arguments = [(formal.name.name, _argument(reader, formal, actual, scope)) for formal, actual in pairs]
    with reader.inside_call(definition) as inner:
        for argument, symbol in arguments:
            inner.declare(argument, symbol)
        try:
            reader.run(definition.body)
        except Return as returned:
            return returned.result
    return None


def call_for_value(reader: ProgramReader, node: ast.FunctionCall, scope: Scope) -> Value:
    """The result of a call inside of an expression, which must not depend on a measurement."""
    result = call(reader, node, scope)
    if isinstance(result, Outcome | Wires | Deferred):
        raise Mistake(
            f"A value that is computed with must be known before the program runs, but '{node.name.name}' measures. "
            "Assign its result to a bit first."
        )
    return some(result)


def some(result: Any) -> Any:
    """The result, which must not be nothing."""
    if result is None:
        raise Mistake("A subroutine whose result is used must return one, but does not. Add a `return`.")
    return result


def value_of(reader: ProgramReader, expression: Any, kind: ast.ClassicalType | None, scope: Scope) -> Value | Deferred:
    """What a variable of a type holds after `= expression`; an expression of measured bits is kept as a table."""
    if isinstance(expression, ast.FunctionCall) and expression.name.name in reader.subroutines:
        result = call(reader, expression, scope)
        if isinstance(result, Wires | Outcome):
            raise Mistake("The outcome of a measurement must be kept in a bit, but is assigned to another type.")
        return result if isinstance(result, Deferred) else cast(some(result), kind, scope)
    measured = tuple(sorted(n for n in questions.bits_in(expression, scope) if n in reader.bits.writes))
    if not measured:
        return cast(reader.evaluate(expression, scope), kind, scope)
    if not isinstance(kind, ast.BoolType | ast.IntType | ast.UintType):
        raise Mistake("A value of this type must be known before the program runs, but depends on a measurement.")
    table = questions.tabulated(lambda: cast(reader.evaluate(expression, scope), kind, scope), measured, scope)
    return Deferred(measured, tuple(table), tuple(reader.bits.writes[number] for number in measured))


def _argument(reader: ProgramReader, formal: Any, actual: Any, scope: Scope) -> Symbol:
    name = formal.name.name
    if isinstance(formal, ast.QuantumArgument):
        return _fitting(name, operands.qubits(actual, scope), size(formal.size, scope, f"argument '{name}'"))
    if isinstance(formal.type, ast.BitType):
        wires = operands.as_wires(actual, scope)
        if wires is not None and not wires.quantum:
            return _fitting(name, wires, size(formal.type.size, scope, f"argument '{name}'"))
    depth = len(reader.body.guards)
    return Variable(value_of(reader, actual, formal.type, scope), formal.type, constant=False, depth=depth)


def _fitting(name: str, wires: Wires, width: int | None) -> Wires:
    """An argument by reference, checked against its declared size; a single one can stand for one element."""
    if len(wires.numbers) != (width or 1):
        raise Mistake(f"Argument '{name}' must have {width or 1} element(s), but got {len(wires.numbers)}.")
    return Wires(wires.quantum, wires.numbers, width is not None, read_only=not wires.quantum)


def _returned(reader: ProgramReader, expression: Any) -> Result:
    if expression is None:
        return None
    current = reader.body.calls[-1]
    wires = operands.as_wires(expression, reader.scope)
    if wires is None or wires.quantum or not any(number in reader.bits.writes for number in wires.numbers):
        return value_of(reader, expression, current.return_type, reader.scope)
    if min(wires.numbers) < current.first_bit:
        raise Mistake("A subroutine must return a bit that it has measured itself, but returns one of the caller's.")
    return wires
