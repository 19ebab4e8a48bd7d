"""Conditions on measured bits, worked out as the set of bit values that fulfil them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from openqasm3 import ast

from qdist.network.circuits import operands
from qdist.network.circuits.circuit import Condition
from qdist.network.circuits.expressions import evaluate
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.names import Deferred, Scope, Variable
from qdist.network.circuits.values import Seconds, Value

MAX_CONDITION_BITS = 12

ALWAYS = Condition((), frozenset({0}))
NEVER = Condition((), frozenset())


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
    return _simplest(tuple(asked), [word for word, holds in enumerate(table) if holds])


def tabulated(compute: Callable[[], Value], numbers: Sequence[int], scope: Scope) -> list[Value]:
    """What a computation gives for each integer that measured bits can make, the first bit least significant."""
    check_number(len(numbers))
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


def negation(condition: Condition) -> Condition:
    """The condition that holds where this one does not."""
    every = frozenset(range(1 << len(condition.bits)))
    return _simplest(condition.bits, every - condition.values)


def conjunction(left: Condition, right: Condition) -> Condition:
    """The condition that holds where both do."""
    bits = tuple(sorted({*left.bits, *right.bits}))
    check_number(len(bits))
    words = np.arange(1 << len(bits))
    holds = np.ones(len(words), bool)
    for part in (left, right):
        own = sum((words >> bits.index(number) & 1) << k for k, number in enumerate(part.bits))
        holds &= np.isin(own, list(part.values))
    return _simplest(bits, words[holds].tolist())


def check_number(number: int) -> None:
    """Raise if a condition asks more bits than it may."""
    if number > MAX_CONDITION_BITS:
        raise Mistake(
            f"A condition must ask at most {MAX_CONDITION_BITS} measured bits, but asks {number}. "
            "Use smaller registers, one for each condition."
        )


def _simplest(bits: tuple[int, ...], accepted: Any) -> Condition:
    if len(accepted) in (0, 1 << len(bits)):
        return ALWAYS if accepted else NEVER
    return Condition(bits, frozenset(accepted))


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
    if wires is None:
        return None
    check_number(len(asked))
    value = node.rhs.value
    ones = [number for k, number in enumerate(wires.numbers) if value >> k & 1]
    if value >> len(wires.numbers) or not set(ones) <= set(asked):
        return NEVER
    return _simplest(tuple(asked), [sum(1 << asked.index(number) for number in ones)])


def _bits_behind(name: str, scope: Scope) -> set[int]:
    symbol = scope.find(name)
    value = symbol.value if isinstance(symbol, Variable) else None
    return set(value.numbers) if isinstance(value, Deferred) else set()


def _children(node: Any) -> Iterator[Any]:
    for value in vars(node).values():
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.Expression | ast.RangeDefinition | ast.DiscreteSet):
                yield child
