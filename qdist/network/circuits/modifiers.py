"""The gate modifiers inv, pow, ctrl and negctrl, as functions from instructions to instructions.

A modified gate is a gate of the library where one says the same, with the phase of `qdist.physics.gates`: `ctrl @ x`
is `cx`, `inv @ s` is `sdg`. Otherwise it is a matrix. A gate that the program defines is modified gate by gate.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from qdist.network.circuits.circuit import Instruction
from qdist.network.circuits.mistakes import Mistake
from qdist.physics import gates

MAX_UNITARY_QUBITS = 6

Params = tuple[float, ...]
Rewrite = Callable[..., tuple[str, Params]]


def _to(name: str) -> Rewrite:
    """The library gate of another name and the same parameters."""
    return lambda *params: (name, params)


_SELF_INVERSE = ("id", "x", "y", "z", "h", "cx", "CX", "cy", "cz", "ch", "swap", "ccx", "ccz", "cswap", "c3x", "c4x")
_ADJOINT = (("s", "sdg"), ("t", "tdg"), ("sx", "sxdg"))
_ROTATIONS = (
    *("rx", "ry", "rz", "p", "phase", "u1"),
    *("crx", "cry", "crz", "cp", "cphase", "cu1", "rxx", "ryy", "rzz", "rzx"),
)

_INVERSES: dict[str, Rewrite] = {
    **{name: _to(name) for name in _SELF_INVERSE},
    **{name: _to(adjoint) for pair in _ADJOINT for name, adjoint in (pair, pair[::-1])},
    **{name: lambda angle, name=name: (name, (-angle,)) for name in _ROTATIONS},
    **{name: lambda theta, phi, lam, name=name: (name, (-theta, -lam, -phi)) for name in ("U", "u", "u3", "cu3")},
    "u2": lambda phi, lam: ("u3", (-math.pi / 2, -lam, -phi)),
    "cu": lambda theta, phi, lam, gamma: ("cu", (-theta, -lam, -phi, -gamma)),
}

_CONTROLLED: dict[str, Rewrite] = {
    **{name: _to(f"c{name}") for name in ("x", "y", "z", "h", "sx", "swap", "p", "rx", "ry", "rz", "phase", "u1")},
    "cx": _to("ccx"),
    "CX": _to("ccx"),
    "cz": _to("ccz"),
    "ccx": _to("c3x"),
    "c3x": _to("c4x"),
    "u": lambda theta, phi, lam: ("cu", (theta, phi, lam, 0.0)),
    "U": lambda theta, phi, lam: ("cu", (theta, phi, lam, theta / 2)),
    "u2": lambda phi, lam: ("cu", (math.pi / 2, phi, lam, -(phi + lam) / 2)),
    "u3": lambda theta, phi, lam: ("cu", (theta, phi, lam, -(phi + lam) / 2)),
}


def inverse(body: Sequence[Instruction]) -> list[Instruction]:
    """U†: every instruction inverted, in the opposite order."""
    return [_inverse(instruction) for instruction in reversed(body)]


def power(body: Sequence[Instruction], exponent: float, name: str, num_qubits: int) -> list[Instruction]:
    """Uᵏ: repetitions of a body for an integer k, one matrix for a single instruction or a fraction."""
    if len(body) <= 1:
        return [_power(instruction, exponent) for instruction in body]
    if float(exponent).is_integer():
        once = list(body) if exponent >= 0 else inverse(body)
        return once * int(abs(exponent))
    _check_size(num_qubits)
    matrix = matrix_of(body, num_qubits)
    raised = gates.power(gates.Gate(name, matrix), exponent)
    return [_from_gate(raised, tuple(range(num_qubits)))]


def controlled(body: Sequence[Instruction], *, negative: bool = False) -> list[Instruction]:
    """The body under one more control, which becomes qubit 0."""
    return [_controlled(_shifted(instruction), negative) for instruction in body]


def matrix_of(body: Sequence[Instruction], num_qubits: int) -> np.ndarray:
    """The matrix of a body, phases included, qubit 0 most significant."""
    result = np.eye(2**num_qubits, dtype=complex).reshape((2,) * num_qubits + (-1,))
    for instruction in body:
        if instruction.kind == "barrier":
            continue
        matrix = _gate(instruction).unitary
        count = len(instruction.qubits)
        axes = list(instruction.qubits)
        result = np.tensordot(matrix.reshape((2,) * (2 * count)), result, axes=(range(count, 2 * count), axes))
        result = np.moveaxis(result, range(count), axes)
    return result.reshape(2**num_qubits, -1)


def _gate(instruction: Instruction) -> gates.Gate:
    """The instruction as a gate of the physics room; a global phase is a gate on no qubit."""
    if instruction.kind == "gphase":
        return gates.Gate("gphase", np.exp(1j * np.array([[instruction.params[0]]])), instruction.params)
    if instruction.kind == "gate":
        return gates.gate(instruction.name, *instruction.params)
    if instruction.unitary is None:
        raise Mistake(f"A modifier must act on gates only, but the gate has a {instruction.kind} in its body.")
    return gates.Gate(instruction.name, instruction.unitary, instruction.params)


def _from_gate(gate: gates.Gate, qubits: tuple[int, ...]) -> Instruction:
    gate.unitary.setflags(write=False)
    return Instruction("unitary", gate.name, gate.params, qubits, unitary=gate.unitary)


def _rewritten(instruction: Instruction, rules: dict[str, Rewrite]) -> Instruction | None:
    """The library gate that a table knows for a modified one."""
    if instruction.kind != "gate" or instruction.name not in rules:
        return None
    name, params = rules[instruction.name](*instruction.params)
    return replace(instruction, name=name, params=params)


def _inverse(instruction: Instruction) -> Instruction:
    if instruction.kind == "barrier":
        return instruction
    if instruction.kind == "gphase":
        return replace(instruction, params=(-instruction.params[0],))
    known = _rewritten(instruction, _INVERSES)
    return known or _from_gate(gates.inverse(_gate(instruction)), instruction.qubits)


def _power(instruction: Instruction, exponent: float) -> Instruction:
    if instruction.kind == "barrier" or exponent == 1:
        return instruction
    if instruction.kind == "gphase":
        return replace(instruction, params=(exponent * instruction.params[0],))
    if instruction.kind == "gate" and instruction.name in _ROTATIONS and float(exponent).is_integer():
        return replace(instruction, params=(exponent * instruction.params[0],))
    return _from_gate(gates.power(_gate(instruction), exponent), instruction.qubits)


def _shifted(instruction: Instruction) -> Instruction:
    return replace(instruction, qubits=tuple(qubit + 1 for qubit in instruction.qubits))


def _controlled(instruction: Instruction, negative: bool) -> Instruction:
    if instruction.kind == "barrier":
        return instruction
    qubits = (0, *instruction.qubits)
    if instruction.kind == "gphase" and not negative:
        return Instruction("gate", "p", instruction.params, qubits)
    known = None if negative else _rewritten(instruction, _CONTROLLED)
    if known is not None:
        return replace(known, qubits=qubits)
    _check_size(len(qubits))
    return _from_gate(gates.controlled(_gate(instruction), negative=negative), qubits)


def _check_size(num_qubits: int) -> None:
    if num_qubits > MAX_UNITARY_QUBITS:
        raise Mistake(
            f"A gate with modifiers must act on at most {MAX_UNITARY_QUBITS} qubits, but acts on {num_qubits}. "
            "Write it as a circuit of smaller gates."
        )
