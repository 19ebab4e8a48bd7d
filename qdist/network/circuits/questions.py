"""What the condition of a statement asks: truth values, and conditions found by trying all values of measured bits."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from openqasm3 import ast

from qdist.network.circuits import conditions, operands
from qdist.network.circuits.circuit import Condition
from qdist.network.circuits.expressions import evaluate
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.names import Deferred, Scope, Variable
from qdist.network.circuits.values import Seconds, Value


def test(node: Any, scope: Scope) -> bool | Condition:
    """What a condition asks: a truth value if no bits are in it, otherwise the values of measured bits that fulfil it.

    A bit that has not been measured yet is 0 and does not appear.
    """
    bits = scope.reader.bits
    read = bits_in(node, scope)
    if not read:
        return _truth(evaluate(node, scope))
    asked = sorted(number for number in read if number in bits.writes)
    equality = _register_equals(node, asked, scope)
    if equality is not None:
        return equality
    table = tabulated(lambda: _truth(evaluate(node, scope)), asked, scope)
    return conditions.simplest(tuple(asked), [word for word, holds in enumerate(table) if holds])


def tabulated(compute: Callable[[], Value], numbers: Sequence[int], scope: Scope) -> list[Value]:
    """What a computation gives for each integer that measured bits can make, the first bit least significant."""
    conditions.check_number(len(numbers))
    bits = scope.reader.bits
    outer = bits.assumed
    table = []
    try:
        for word in range(1 << len(numbers)):
            bits.assumed = {number: word >> k & 1 for k, number in enumerate(numbers)}
            table.append(compute())
    finally:
        bits.assumed = outer
    return table


def bits_in(node: Any, scope: Scope) -> set[int]:
    """The numbers of all bits that an expression reads."""
    if isinstance(node, ast.Identifier | ast.IndexExpression):
        wires = operands.as_wires(node, scope)
        if wires is not None:
            return set() if wires.quantum else set(wires.numbers)
    if isinstance(node, ast.Identifier):
        return _bits_behind(node.name, scope)
    children = node.arguments if isinstance(node, ast.FunctionCall) else _children(node)
    return {number for child in children for number in bits_in(child, scope)}


def _truth(value: Any) -> bool:
    if isinstance(value, Seconds | float):
        raise Mistake(
            f"A condition must be true or false, but is the number {float(value):g}. Compare it with another."
        )
    return bool(value)


def _register_equals(node: Any, asked: list[int], scope: Scope) -> Condition | None:
    """`c == 5`, the only condition of OpenQASM 2, without trying all values of the register."""
    if (
        not isinstance(node, ast.BinaryExpression)
        or node.op.name != "=="
        or not isinstance(node.rhs, ast.IntegerLiteral)
    ):
        return None
    wires = operands.as_wires(node.lhs, scope)
    return None if wires is None else conditions.equals(wires.numbers, node.rhs.value, asked)


def _bits_behind(name: str, scope: Scope) -> set[int]:
    symbol = scope.find(name)
    value = symbol.value if isinstance(symbol, Variable) else None
    return set(value.numbers) if isinstance(value, Deferred) else set()


def _children(node: Any) -> Iterator[Any]:
    for value in vars(node).values():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.Expression | ast.RangeDefinition | ast.DiscreteSet):
                yield child
