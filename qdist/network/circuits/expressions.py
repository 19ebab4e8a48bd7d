"""Classical expressions, evaluated while the program is read."""

from collections.abc import Callable
from typing import Any

from openqasm3 import ast

from qdist.network.circuits import operands, values
from qdist.network.circuits.limits import MAX_REGISTER_SIZE
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.names import Bitstore, Deferred, Scope, Variable
from qdist.network.circuits.values import Bits, Seconds, Value

# How many make a second: 100/1e9 is 1e-7 exactly, 100*1e-9 is not.
_PER_SECOND = {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1.0}


def evaluate(node: Any, scope: Scope) -> Value:
    """The value of an expression; a measured bit in it is a mistake unless its value is being assumed."""
    evaluator = _EVALUATORS.get(type(node))
    if evaluator is None:
        raise Mistake(f"An expression must be made of numbers and bits, but this is a {type(node).__name__}.")
    return evaluator(node, scope)


def size(node: ast.Expression | None, scope: Scope, what: str) -> int | None:
    """A width in brackets, None if there is none."""
    if node is None:
        return None
    width = values.whole(evaluate(node, scope), f"The size of {what}")
    if not 1 <= width <= MAX_REGISTER_SIZE:
        raise Mistake(f"The size of {what} must be in [1, {MAX_REGISTER_SIZE}], but is {width}.")
    return width


def cast(value: Value, kind: ast.ClassicalType | None, scope: Scope, *, explicit: bool = False) -> Value:
    """The value as a type holds it; only an explicit cast may round."""
    match kind:
        case None:
            return value
        case ast.IntType() | ast.UintType():
            signed = isinstance(kind, ast.IntType)
            return values.as_int(value, size(kind.size, scope, "an integer"), signed=signed, explicit=explicit)
        case ast.FloatType():
            return values.real(int(value) if isinstance(value, bool) else value, "A float")
        case ast.AngleType():
            return values.as_angle(value, size(kind.size, scope, "an angle"))
        case ast.BoolType():
            return bool(value)
        case ast.BitType():
            return values.as_bits(value, size(kind.size, scope, "a bit register") or 1)
        case ast.DurationType():
            return values.as_seconds(value)
    name = type(kind).__name__.removesuffix("Type").lower()
    raise Mistake(f"A type must be bit, bool, int, uint, float, angle or duration, but is {name}.")


def _literal(node: Any, scope: Scope) -> Value:
    return node.value


def _bitstring(node: ast.BitstringLiteral, scope: Scope) -> Bits:
    return Bits(node.value, node.width)


def _duration(node: ast.DurationLiteral, scope: Scope) -> Seconds:
    if node.unit.name not in _PER_SECOND:
        raise Mistake("A duration must be in s, ms, us or ns, but is in dt, which depends on the device.")
    return Seconds(node.value / _PER_SECOND[node.unit.name])


def _identifier(node: ast.Identifier, scope: Scope) -> Value:
    symbol = scope.find(node.name)
    if isinstance(symbol, Variable):
        return _content(node.name, symbol, scope.reader.bits)
    if symbol.quantum:
        raise Mistake(f"A classical value is needed here, but '{node.name}' is a qubit. Measure it into a bit first.")
    return scope.reader.bits.read(symbol.numbers)


def _content(name: str, variable: Variable, bits: Bitstore) -> Value:
    if variable.value is None:
        raise Mistake(f"'{name}' must have a value before it is used, but has none.")
    if not isinstance(variable.value, Deferred):
        return variable.value
    kept = variable.value
    if any(bits.writes[number] != count for number, count in zip(kept.numbers, kept.writes, strict=True)):
        raise Mistake(f"'{name}' was computed from bits that have been measured again since. Measure into other bits.")
    return kept.table[bits.read(kept.numbers)]


def _index(node: ast.IndexExpression, scope: Scope) -> Value:
    wires = operands.as_wires(node, scope)
    if wires is not None:
        if wires.quantum:
            raise Mistake("A classical value is needed here, but this is a qubit. Measure it into a bit first.")
        return scope.reader.bits.read(wires.numbers)
    value = evaluate(node.collection, scope)
    if not isinstance(value, Bits):
        raise Mistake(f"Only bits can be indexed, but this is {values.described(value)}.")
    positions, _ = operands.positions(node.index, value.width, "the bits", scope)
    return Bits(sum((int(value) >> position & 1) << k for k, position in enumerate(positions)), len(positions))


def _unary(node: ast.UnaryExpression, scope: Scope) -> Value:
    return values.unary(node.op.name, evaluate(node.expression, scope))


def _binary(node: ast.BinaryExpression, scope: Scope) -> Value:
    symbol = node.op.name
    left = evaluate(node.lhs, scope)
    if symbol == "&&":
        return bool(left) and bool(evaluate(node.rhs, scope))
    if symbol == "||":
        return bool(left) or bool(evaluate(node.rhs, scope))
    return values.binary(symbol, left, evaluate(node.rhs, scope), scope.reader.dialect.version)


def _call(node: ast.FunctionCall, scope: Scope) -> Value:
    name = node.name.name
    functions = scope.reader.dialect.functions
    if name not in functions:
        return scope.reader.call(node, scope)
    function, arity = functions[name]
    if len(node.arguments) != arity:
        raise Mistake(f"Function '{name}' must have {arity} argument(s), but got {len(node.arguments)}.")
    return values.checked(function, *(evaluate(argument, scope) for argument in node.arguments), what=name)


def _cast(node: ast.Cast, scope: Scope) -> Value:
    return cast(evaluate(node.argument, scope), node.type, scope, explicit=True)


def _sizeof(node: ast.SizeOf, scope: Scope) -> int:
    wires = operands.as_wires(node.target, scope)
    if wires is None or not wires.is_register or node.index is not None:
        raise Mistake("`sizeof` must be given a register, but is not.")
    return len(wires.numbers)


_EVALUATORS: dict[type, Callable[[Any, Scope], Value]] = {
    ast.FloatLiteral: _literal,
    ast.IntegerLiteral: _literal,
    ast.BooleanLiteral: _literal,
    ast.BitstringLiteral: _bitstring,
    ast.DurationLiteral: _duration,
    ast.Identifier: _identifier,
    ast.IndexExpression: _index,
    ast.UnaryExpression: _unary,
    ast.BinaryExpression: _binary,
    ast.FunctionCall: _call,
    ast.Cast: _cast,
    ast.SizeOf: _sizeof,
}
