"""Names of a program: what they stand for, where they can be seen, and what classical bits are known to hold."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from openqasm3 import ast

from qdist.errors import did_you_mean
from qdist.network.circuits.dialects import Dialect
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.values import Bits, Value


@dataclass(frozen=True)
class Wires:
    """Qubits or bits: what a register, an alias, an argument or a part of one stands for.

    Attributes:
        quantum: Qubits, not bits.
        numbers: Their numbers.
        is_register: Gates broadcast over it, even if it has one element.
        read_only: Bits that a subroutine was given by value.
    """

    quantum: bool
    numbers: tuple[int, ...]
    is_register: bool
    read_only: bool = False


@dataclass(frozen=True)
class Deferred:
    """A value that depends on measured bits, kept until a condition asks for it.

    Attributes:
        numbers: The bits.
        table: The value for each integer that they make, the first bit least significant.
        writes: How often each of them had been written; a later write makes the value unusable.
    """

    numbers: tuple[int, ...]
    table: tuple[Value, ...]
    writes: tuple[int, ...]


@dataclass
class Variable:
    """A classical value.

    Attributes:
        value: A value, an expression of measured bits, or None before the first assignment.
        type: What assigned values are cast to.
        constant: It cannot be assigned.
        depth: Number of tests of measured bits around its declaration; inside one more it cannot be assigned.
    """

    value: Value | Deferred | None
    type: ast.ClassicalType | None = None
    constant: bool = True
    depth: int = 0


Symbol = Wires | Variable


@dataclass
class Bitstore:
    """What is known of the classical bits while the program is read.

    Attributes:
        writes: How often each bit has been written by a measurement; a bit that is not in it is 0.
        assumed: Values of measured bits while a condition is worked out; None otherwise.
    """

    writes: dict[int, int] = field(default_factory=dict)
    assumed: Mapping[int, int] | None = None

    def read(self, numbers: Iterable[int]) -> Bits:
        """The bits as an integer, the first least significant."""
        word = width = 0
        for number in numbers:
            word |= self._bit(number) << width
            width += 1
        return Bits(word, width)

    def _bit(self, number: int) -> int:
        if number not in self.writes:
            return 0
        if self.assumed is None or number not in self.assumed:
            raise Mistake(
                "A value that is needed here must be known before the program runs, but depends on a measurement. "
                "Measured bits can be used in the condition of `if` and `switch`."
            )
        return self.assumed[number]


class Reader(Protocol):
    """What expressions need to know of the program around them."""

    dialect: Dialect
    bits: Bitstore

    def evaluate(self, node: Any, scope: "Scope") -> Value:
        """The value of an expression."""

    def call(self, node: ast.FunctionCall, scope: "Scope") -> Value:
        """The value of a subroutine, whose body happens now."""

    def physical_qubit(self, name: str) -> int:
        """The number of the qubit `$0`."""


class Scope:
    """The names of one block, and of the blocks around it."""

    def __init__(self, reader: Reader, parent: "Scope | None" = None, *, body_of: str = "") -> None:
        """A block; the body of a `"gate"` or a `"subroutine"` cannot change what is outside of it."""
        self.reader = reader
        self.parent = parent
        self.body_of = body_of
        self.names: dict[str, Symbol] = {}

    def declare(self, name: str, symbol: Symbol) -> None:
        """Give a name its meaning in this block."""
        if name in self.names:
            raise Mistake(f"A name must be declared once in a block, but '{name}' is declared again.")
        self.names[name] = symbol

    def find(self, name: str) -> Symbol:
        """What a name means here."""
        body_of = ""
        for scope in self._around():
            symbol = scope.names.get(name)
            if symbol is not None:
                return _from_inside(name, symbol, body_of) if body_of else symbol
            body_of = body_of or scope.body_of
        known = {known for scope in self._around() for known in scope.names}
        raise Mistake(f"'{name}' must be declared before it is used, but is not.{did_you_mean(name, known)}")

    def _around(self) -> Iterator["Scope"]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent


def _from_inside(name: str, symbol: Symbol, body_of: str) -> Symbol:
    """A symbol as the body of a gate or a subroutine sees it: constant."""
    if isinstance(symbol, Variable) and symbol.constant:
        return symbol
    if body_of == "gate" or (isinstance(symbol, Wires) and symbol.quantum):
        raise Mistake(
            f"The body of a {body_of} must use its own arguments and constants, but '{name}' is declared outside. "
            "Pass it as an argument."
        )
    return replace(symbol, constant=True) if isinstance(symbol, Variable) else replace(symbol, read_only=True)
