"""Operands of statements: names, indices, slices and concatenations as numbers of qubits or bits."""

from collections.abc import Iterator, Sequence
from typing import Any

from openqasm3 import ast

from qdist.network.circuits import values
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.names import Scope, Wires


def as_wires(node: Any, scope: Scope) -> Wires | None:
    """The qubits or bits that an operand or expression refers to, None if it is a value."""
    match node:
        case ast.Identifier():
            return _named(node.name, scope)
        case ast.IndexedIdentifier():
            return _indexed(_named(node.name.name, scope), node.indices, node.name.name, scope)
        case ast.IndexExpression():
            return _indexed(as_wires(node.collection, scope), [node.index], "the register", scope)
        case ast.Concatenation():
            return _joined(as_wires(node.lhs, scope), as_wires(node.rhs, scope))
    return None


def qubits(node: Any, scope: Scope) -> Wires:
    """The qubits that an operand stands for."""
    wires = as_wires(node, scope)
    if wires is None or not wires.quantum:
        raise Mistake(f"An operand must be a qubit or a register of qubits, but {_shown(node)} is not.")
    return wires


def bits(node: Any, scope: Scope) -> Wires:
    """The bits that an operand stands for."""
    wires = as_wires(node, scope)
    if wires is None or wires.quantum:
        raise Mistake(f"An outcome must go to a bit or a register of bits, but {_shown(node)} is not.")
    return wires


def broadcast(parts: Sequence[Wires]) -> Iterator[tuple[int, ...]]:
    """The qubits of each application of a gate: single qubits are repeated along registers of one size."""
    sizes = {len(part.numbers) for part in parts if part.is_register}
    if not sizes:
        yield tuple([part.numbers[0] for part in parts])
        return
    if len(sizes) > 1:
        raise Mistake(f"The registers of one statement must have the same size, but have sizes {sorted(sizes)}.")
    for k in range(sizes.pop()):
        yield tuple([part.numbers[k if part.is_register else 0] for part in parts])


def positions(index: Any, length: int, name: str, scope: Scope) -> tuple[list[int], bool]:
    """The elements that one pair of brackets selects, and whether they form a register."""
    if isinstance(index, ast.DiscreteSet):
        chosen = [_position(scope.reader.evaluate(value, scope), length, name, scope) for value in index.values]
    elif len(index) != 1:
        raise Mistake(f"'{name}' must have one index, but has {len(index)}.")
    elif not isinstance(index[0], ast.RangeDefinition):
        return [_position(scope.reader.evaluate(index[0], scope), length, name, scope)], False
    else:
        chosen = [_position(value, length, name, scope) for value in _slice(index[0], length, scope)]
    if not chosen or len(set(chosen)) != len(chosen):
        raise Mistake(f"A part of '{name}' must have one or more elements, each once, but is {chosen}.")
    return chosen, True


def span(node: ast.RangeDefinition, start: int, end: int, scope: Scope) -> range:
    """The integers of `start:step:end`, both ends included."""
    parts = [
        default if part is None else values.whole(scope.reader.evaluate(part, scope), "A bound of a range")
        for part, default in ((node.start, start), (node.step, 1), (node.end, end))
    ]
    first, step, last = parts
    if step == 0:
        raise Mistake("The step of a range must not be zero, but is.")
    return range(first, last + (1 if step > 0 else -1), step)


def _slice(node: ast.RangeDefinition, length: int, scope: Scope) -> range:
    """A range of indices; a negative bound counts from the end."""
    chosen = span(node, 0, length - 1, scope)
    first, last = chosen.start, chosen.stop - (1 if chosen.step > 0 else -1)
    if not (-length <= first < length and -length <= last < length):
        raise Mistake(f"A slice must lie in [0, {length - 1}], but goes from {first} to {last}.")
    return range(first % length, last % length + (1 if chosen.step > 0 else -1), chosen.step)


def _position(value: Any, length: int, name: str, scope: Scope) -> int:
    position = values.whole(value, f"An index of '{name}'")
    lowest = -length if scope.reader.dialect.version == 3 else 0
    if not lowest <= position < length:
        raise Mistake(f"An index of '{name}' must be in [0, {length - 1}], but is {position}.")
    return position % length


def _named(name: str, scope: Scope) -> Wires | None:
    if name.startswith("$"):
        return Wires(True, (scope.reader.physical_qubit(name),), False)
    symbol = scope.find(name)
    return symbol if isinstance(symbol, Wires) else None


def _indexed(wires: Wires | None, indices: list[Any], name: str, scope: Scope) -> Wires | None:
    for index in indices:
        if wires is None:
            return None
        if not wires.is_register:
            raise Mistake(f"Only a register can be indexed, but '{name}' is a single {'qu' * wires.quantum}bit.")
        chosen, is_register = positions(index, len(wires.numbers), name, scope)
        wires = Wires(wires.quantum, tuple([wires.numbers[k] for k in chosen]), is_register, wires.read_only)
    return wires


def _joined(left: Wires | None, right: Wires | None) -> Wires:
    if left is None or right is None or left.quantum != right.quantum:
        raise Mistake("`++` must join registers of qubits or registers of bits, but does not.")
    numbers = left.numbers + right.numbers
    if len(set(numbers)) != len(numbers):
        raise Mistake("`++` must join registers that share nothing, but an element is in both.")
    return Wires(left.quantum, numbers, True, left.read_only or right.read_only)


def _shown(node: Any) -> str:
    name = getattr(node, "name", None)
    return f"'{getattr(name, 'name', name)}'" if name is not None else "this"
