"""Circuits: flat lists of instructions on numbered qubits and bits, as a QASM file describes them."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Register:
    """Qubits or bits that were declared together."""

    name: str
    size: int


@dataclass(frozen=True)
class Condition:
    """A test of classical bits.

    It holds if the integer made of `bits`, the first least significant, is one of `values`. No value means never.
    """

    bits: tuple[int, ...]
    values: frozenset[int]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One thing that happens, where and when.

    Attributes:
        kind: `"gate"` (in the gate table under `name`), `"unitary"` (a gate that only a matrix describes), `"measure"`,
            `"reset"`, `"barrier"` or `"delay"`.
        name: The gate's name as written, with its modifiers for a unitary (`"pow(0.5) @ swap"`); otherwise the kind.
        params: Angles in radians.
        qubits: Numbers of the qubits, in the order of their declaration. A measurement, a reset and a delay have one.
        bits: The number of the bit that a measurement writes; empty if its outcome is dropped.
        condition: The instruction happens only where this holds; None for always.
        line: Where it is in the file.
        duration: Of a delay, in seconds.
        unitary: Of a unitary, complex, shape (2ⁿ, 2ⁿ), the first of `qubits` most significant. Not compared, since
            name and params say the same.
    """

    kind: str
    name: str
    params: tuple[float, ...] = ()
    qubits: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()
    condition: Condition | None = None
    line: int = 0
    duration: float | None = None
    unitary: np.ndarray | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Circuit:
    """A quantum program without loops and subroutines.

    Attributes:
        name: What tables and messages call it.
        qubits: Its registers of qubits, in the order of declaration; all start in |0⟩.
        bits: Its registers of bits; all start as 0.
        instructions: What happens, in order.
        path: The file it was read from, or empty.
    """

    name: str
    qubits: tuple[Register, ...]
    bits: tuple[Register, ...]
    instructions: tuple[Instruction, ...]
    path: str = ""

    @property
    def num_qubits(self) -> int:
        return sum(register.size for register in self.qubits)

    @property
    def num_bits(self) -> int:
        return sum(register.size for register in self.bits)

    def qubit_name(self, qubit: int) -> str:
        """`"q[0]"`, or `"$0"` for a physical qubit."""
        return element_name(self.qubits, qubit)

    def bit_name(self, bit: int) -> str:
        """`"c[0]"`."""
        return element_name(self.bits, bit)


def element_name(registers: tuple[Register, ...] | list[Register], number: int) -> str:
    """The name of the qubit or bit with this number, counted through all registers."""
    for register in registers:
        if number < register.size:
            return register.name if register.name.startswith("$") else f"{register.name}[{number}]"
        number -= register.size
    raise IndexError(number)
