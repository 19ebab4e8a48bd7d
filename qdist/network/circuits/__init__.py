"""Circuits from OpenQASM files."""

from qdist.network.circuits.circuit import Circuit, Condition, Instruction, Register
from qdist.network.circuits.expand import expand_wide_gates
from qdist.network.circuits.qasm import parse_qasm, read_qasm

__all__ = ["Circuit", "Condition", "Instruction", "Register", "expand_wide_gates", "parse_qasm", "read_qasm"]
