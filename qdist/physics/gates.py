"""Gates: the OpenQASM standard library as one table, gates from matrices, and the modifiers ctrl, inv and pow.

Qubit 0, the first argument, is the leftmost tensor factor (most significant), so the control of `cx` selects the
lower right block of its matrix.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial
from typing import Any

import numpy as np

from qdist.errors import QdistError, did_you_mean
from qdist.physics import pauli
from qdist_kernels.namespace import is_jax, matmul, namespace

Step = tuple[str, tuple[float, ...], tuple[int, ...]]

# What float64 arithmetic leaves of a 0 or a ±1 in a PTM of up to five qubits.
ROUNDING = 1e-14
# Gates whose PTMs are formed together: a few MB of numbers.
AT_ONCE = 512
# How far a user's matrix may be from a unitary: what survives printing with seven digits, or float32.
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Gate:
    """A unitary with a name.

    Attributes:
        name: What it is called in circuits and noise tables.
        unitary: Complex array of shape (2ⁿ, 2ⁿ), NumPy or JAX, qubit 0 most significant.
        params: The angles it was made from, in radians.
    """

    name: str
    unitary: Any
    params: tuple[Any, ...] = ()

    @property
    def num_qubits(self) -> int:
        return self.unitary.shape[0].bit_length() - 1

    @cached_property
    def ptm(self) -> Any:
        """Pauli transfer matrix R_ij = 2⁻ⁿ Tr(P_i U P_j U†), real, shape (4ⁿ, 4ⁿ), order I, X, Y, Z.

        The first row is exactly (1, 0, …, 0). Of a concrete gate, entries that rounding alone keeps from −1, 0 or 1
        are set to it, so a Clifford gate is exactly a signed permutation.
        """
        if is_jax(self.unitary):
            return with_exact_trace(pauli.ptm_from_unitary(self.unitary))
        return _exact_ptms(self.unitary)


@dataclass(frozen=True)
class GateRule:
    """A row of the gate table.

    Attributes:
        name: The name in OpenQASM.
        num_qubits: Number of qubits.
        num_params: Number of angles.
        unitary: Function from that many complex scalars (NumPy or JAX) to the matrix.
        definition: For three and more qubits, the gates it is made of, as (name, angles, positions of its qubits):
            noise follows each of them. Empty for one and two qubits, which count as one physical gate.
    """

    name: str
    num_qubits: int
    num_params: int
    unitary: Callable[..., Any]
    definition: tuple[Step, ...] = ()


def ptms(gates: Sequence[Gate]) -> dict[Gate, np.ndarray]:
    """The PTMs of concrete gates, many at once: in a tenth of the time that they take one by one."""
    found: dict[Gate, np.ndarray] = {}
    for num_qubits in {gate.num_qubits for gate in gates}:
        alike = [gate for gate in gates if gate.num_qubits == num_qubits]
        for first in range(0, len(alike), AT_ONCE):
            some = alike[first : first + AT_ONCE]
            found |= zip(some, _exact_ptms(np.stack([gate.unitary for gate in some])), strict=True)
    return found


def _exact_ptms(unitaries: np.ndarray) -> np.ndarray:
    """Of shape (…, 4ⁿ, 4ⁿ): what rounding keeps from −1, 0 or 1 is set to it, and the first row to (1, 0, …, 0)."""
    ptm = pauli.ptm_from_unitary(unitaries)
    whole = np.rint(ptm)
    ptm = np.where(np.abs(ptm - whole) < ROUNDING, whole, ptm) + 0.0
    ptm[..., 0, :] = np.eye(1, ptm.shape[-1])
    ptm.setflags(write=False)
    return ptm


def with_exact_trace(ptm: Any) -> Any:
    """The PTM of a trace-preserving map with its first row set to exactly (1, 0, …, 0)."""
    xp = namespace(ptm)
    return xp.concatenate([xp.eye(1, ptm.shape[1], dtype=ptm.dtype), ptm[1:]])


def together(*arrays: Any) -> tuple[Any, list[Any]]:
    """The common namespace of arrays, and the arrays in it, NumPy ones cast to the dtype of the JAX ones."""
    xp = namespace(*arrays)
    if xp is np:
        return xp, list(arrays)
    dtype = np.result_type(*(array.dtype for array in arrays if is_jax(array)))
    return xp, [xp.asarray(array, dtype) for array in arrays]


def product(left: Any, right: Any) -> Any:
    """Matrix product of arrays that may be of two libraries."""
    _, (left, right) = together(left, right)
    return matmul(left, right)


def gate(name: str, *params: Any) -> Gate:
    """A gate of the OpenQASM standard library.

    Definitions are those of qelib1.inc and stdgates.inc (`GATES` lists them). The global phase, which only a control
    makes visible, is that of stdgates.inc and OpenQASM 3.1: det `u2` = det `u3` = det `rz` = 1, and
    U(θ,φ,λ) = e^(iθ/2) [[cos θ/2, −e^(iλ) sin θ/2], [e^(iφ) sin θ/2, e^(i(φ+λ)) cos θ/2]]. `u` has no factor
    e^(iθ/2), as in Qiskit.

    Args:
        name: Such as `"cx"`; upper and lower case differ.
        *params: Angles in radians. Equal gates with plain numbers are the same object; JAX values may be traced.

    Raises:
        QdistError: The name is unknown, the number of angles is wrong, or an angle is not finite.
    """
    rule = GATES.get(name)
    if rule is None:
        raise QdistError(f"A gate must be one of the OpenQASM standard library, but is '{name}'.{_advice(name)}")
    if len(params) != rule.num_params:
        raise QdistError(
            f"Gate '{name}' must have {rule.num_params} parameter{'' if rule.num_params == 1 else 's'}, "
            f"but got {len(params)}."
        )
    if any(is_jax(value) for value in params):
        return Gate(name, rule.unitary(*_complex_scalars(params)), params)
    params = tuple(float(value) for value in params)
    for value in params:
        if not math.isfinite(value):
            raise QdistError(f"A parameter of gate '{name}' must be a finite angle in radians, but is {value}.")
    return _concrete_gate(name, params)


@lru_cache(maxsize=65536)
def _concrete_gate(name: str, params: tuple[float, ...]) -> Gate:
    unitary = GATES[name].unitary(*_complex_scalars(params))
    unitary.setflags(write=False)
    return Gate(name, unitary, params)


def _complex_scalars(params: tuple[Any, ...]) -> list[Any]:
    """Angles as complex scalars of one dtype, so that formulas with i need no promotion (JAX's may be strict)."""
    if namespace(*params) is np:
        return [np.complex128(value) for value in params]
    xp, scalars = together(*(value if is_jax(value) else np.float64(value) for value in params))
    return [xp.asarray(value, np.result_type(value.dtype, np.complex64)) for value in scalars]


def _advice(name: str) -> str:
    near = did_you_mean(name, GATES) or did_you_mean(name.lower(), GATES)
    return near or " Define it in the circuit, or make it from its matrix with `unitary_gate`."


def unitary_gate(matrix: Any, name: str = "unitary") -> Gate:
    """A gate from any unitary on one to three qubits.

    Args:
        matrix: Shape (2, 2), (4, 4) or (8, 8), qubit 0 most significant. Values of a JAX array are not checked.
        name: What noise tables and printed circuits call it.

    Raises:
        QdistError: Another shape, or U†U is not the identity.
    """
    if not is_jax(matrix):
        matrix = np.array(matrix, complex)
        matrix.setflags(write=False)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] not in (2, 4, 8):
        raise QdistError(
            f"A gate's matrix must have shape (2, 2), (4, 4) or (8, 8), but has {tuple(matrix.shape)}. "
            "Split a larger gate into gates on at most 3 qubits."
        )
    if not is_jax(matrix):
        error = np.abs(matrix.conj().T @ matrix - np.eye(len(matrix))).max()
        if not error <= TOLERANCE:
            raise QdistError(
                f"A gate's matrix must be unitary, but U†U differs from the identity by {error:.2g}. "
                "Use `kraus_channel` for a map that is not unitary."
            )
    return Gate(name, matrix)


def controlled(gate: Gate, *, negative: bool = False) -> Gate:
    """The gate under one more control, which becomes qubit 0.

    |0⟩⟨0| ⊗ 1 + |1⟩⟨1| ⊗ U, or with `negative` |0⟩⟨0| ⊗ U + |1⟩⟨1| ⊗ 1
    """
    identity = namespace(gate.unitary).eye(gate.unitary.shape[0], dtype=gate.unitary.dtype)
    blocks = (gate.unitary, identity) if negative else (identity, gate.unitary)
    return Gate(f"{'negctrl' if negative else 'ctrl'} @ {gate.name}", _block_diagonal(*blocks), gate.params)


def inverse(gate: Gate) -> Gate:
    """U†."""
    return Gate(f"inv @ {gate.name}", namespace(gate.unitary).conj(gate.unitary).T, gate.params)


def power(gate: Gate, exponent: float) -> Gate:
    """The gate `exponent` times; for a fraction the principal power, with the eigenphases of U in (−π, π].

    Uᵏ = Σ_j e^(ikφ_j) |j⟩⟨j| where U = Σ_j e^(iφ_j) |j⟩⟨j|

    So `pow(0.5) @ x` is `sx` and `pow(0.5) @ z` is `s`, as in stdgates.inc.

    Raises:
        QdistError: The exponent is not finite, or is a fraction and the matrix is a JAX array.
    """
    if not math.isfinite(exponent):
        raise QdistError(f"`exponent` must be finite, but is {exponent}.")
    name = f"pow({exponent:g}) @ {gate.name}"
    if float(exponent).is_integer():
        return Gate(name, _integer_power(gate.unitary, int(exponent)), gate.params)
    if is_jax(gate.unitary):
        raise QdistError(
            f"`exponent` must be an integer for a gate with traced parameters, but is {exponent:g}. "
            "Multiply the gate's angles by it instead."
        )
    return Gate(name, _principal_power(gate.unitary, exponent), gate.params)


def _integer_power(unitary: Any, exponent: int) -> Any:
    xp = namespace(unitary)
    factor = unitary if exponent >= 0 else xp.conj(unitary).T
    result = xp.eye(unitary.shape[0], dtype=unitary.dtype)
    for bit in f"{abs(exponent):b}":
        result = product(result, result)
        if bit == "1":
            result = product(result, factor)
    return result


def _principal_power(unitary: np.ndarray, exponent: float) -> np.ndarray:
    # SciPy, which JAX requires, is slow to import. Its Schur form of a unitary is diagonal with orthonormal vectors,
    # which `numpy.linalg.eig` does not promise for equal eigenvalues.
    from scipy.linalg import schur

    triangle, vectors = schur(unitary, output="complex")
    phases = np.angle(np.diag(triangle))
    phases = np.where(phases < -np.pi + 1e-9, np.pi, phases)  # −1 has the phase +π, on whichever side rounding put it
    return (vectors * np.exp(1j * exponent * phases)) @ vectors.conj().T


def _matrix(rows: list[list[Any]]) -> Any:
    """A complex matrix of plain numbers and complex scalars."""
    entries = [entry for row in rows for entry in row]
    if namespace(*entries) is np:
        return np.array(rows, complex)
    xp, entries = together(*(entry if is_jax(entry) else np.complex128(entry) for entry in entries))
    return xp.stack(entries).reshape(len(rows), -1)


def _block_diagonal(*blocks: Any) -> Any:
    xp, parts = together(*blocks)
    count, side = len(parts), len(parts[0])
    places = xp.eye(count, dtype=parts[0].dtype)[:, None, :, None]
    return (places * xp.stack(parts)[:, :, None, :]).reshape(count * side, count * side)


def _control(unitary: Any, num_controls: int = 1) -> Any:
    for _ in range(num_controls):
        unitary = _block_diagonal(namespace(unitary).eye(unitary.shape[0], dtype=unitary.dtype), unitary)
    return unitary


def _constant(matrix: Any) -> Callable[[], np.ndarray]:
    return lambda: np.array(matrix, complex)


@cache
def _pauli(string: str) -> np.ndarray:
    matrix = np.ones((1, 1), complex)
    for label in string:
        matrix = np.kron(matrix, pauli.MATRICES[label])
    return matrix


def _rotation(string: str, angle: Any) -> Any:
    """exp(−i angle/2 P) = cos(angle/2) 1 − i sin(angle/2) P for a Pauli string P."""
    xp = namespace(angle)
    one, string_matrix = (xp.asarray(_pauli(s), angle.dtype) for s in ("I" * len(string), string))
    return xp.cos(angle / 2) * one - 1j * xp.sin(angle / 2) * string_matrix


def _phase(angle: Any) -> Any:
    """diag(1, e^(i angle))."""
    return _matrix([[1, 0], [0, namespace(angle).exp(1j * angle)]])


def _euler(theta: Any, phi: Any, lam: Any, phase: Any = 0) -> Any:
    """e^(i phase) [[cos θ/2, −e^(iλ) sin θ/2], [e^(iφ) sin θ/2, e^(i(φ+λ)) cos θ/2]]."""
    xp = namespace(theta, phi, lam)
    c, s = xp.cos(theta / 2), xp.sin(theta / 2)
    return _matrix(
        [
            [xp.exp(1j * phase) * c, -xp.exp(1j * (phase + lam)) * s],
            [xp.exp(1j * (phase + phi)) * s, xp.exp(1j * (phase + phi + lam)) * c],
        ]
    )


def _r(theta: Any, phi: Any) -> Any:
    """exp(−i θ/2 (cos φ X + sin φ Y))."""
    return _euler(theta, phi - np.pi / 2, np.pi / 2 - phi)


def _u2(phi: Any, lam: Any) -> Any:
    return _euler(np.pi / 2 + 0 * phi, phi, lam, -(phi + lam) / 2)


def _u3(theta: Any, phi: Any, lam: Any) -> Any:
    return _euler(theta, phi, lam, -(phi + lam) / 2)


def _u_openqasm3(theta: Any, phi: Any, lam: Any) -> Any:
    return _euler(theta, phi, lam, theta / 2)


def _definition(text: str) -> tuple[Step, ...]:
    """`"h 0; cu1(1/8) 0,1"` as steps: angles in units of π, then the positions of the qubits."""
    steps = []
    for step in text.split(";"):
        call, positions = step.split()
        name, _, angles = call.rstrip(")").partition("(")
        parts = [angle.partition("/") for angle in angles.split(",") if angle]
        params = tuple(int(above) / int(below or 1) * math.pi for above, _, below in parts)
        steps.append((name, params, tuple(int(position) for position in positions.split(","))))
    return tuple(steps)


_X, _Y, _Z = (pauli.MATRICES[label] for label in "XYZ")
_I = pauli.MATRICES["I"]
_H = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
_S = np.diag([1, 1j])
_T = np.diag([1, np.exp(1j * np.pi / 4)])
_SX = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2
_SWAP = np.eye(4, dtype=complex)[[0, 2, 1, 3]]

_CCX = "h 2; cx 1,2; tdg 2; cx 0,2; t 2; cx 1,2; tdg 2; cx 0,2; t 1; t 2; h 2; cx 0,1; t 0; tdg 1; cx 0,1"
_RCCX = "u2(0,1) 2; u1(1/4) 2; cx 1,2; u1(-1/4) 2; cx 0,2; u1(1/4) 2; cx 1,2; u1(-1/4) 2; u2(0,1) 2"
_RC3X = (
    "u2(0,1) 3; u1(1/4) 3; cx 2,3; u1(-1/4) 3; u2(0,1) 3; cx 0,3; u1(1/4) 3; cx 1,3; u1(-1/4) 3; "
    "cx 0,3; u1(1/4) 3; cx 1,3; u1(-1/4) 3; u2(0,1) 3; u1(1/4) 3; cx 2,3; u1(-1/4) 3; u2(0,1) 3"
)
_C3X = (
    "h 3; p(1/8) 0; p(1/8) 1; p(1/8) 2; p(1/8) 3; cx 0,1; p(-1/8) 1; cx 0,1; "
    "cx 1,2; p(-1/8) 2; cx 0,2; p(1/8) 2; cx 1,2; p(-1/8) 2; cx 0,2; "
    "cx 2,3; p(-1/8) 3; cx 1,3; p(1/8) 3; cx 2,3; p(-1/8) 3; cx 0,3; p(1/8) 3; "
    "cx 2,3; p(-1/8) 3; cx 1,3; p(1/8) 3; cx 2,3; p(-1/8) 3; cx 0,3; h 3"
)
_C3SQRTX = (
    "h 3; cu1(1/8) 0,3; h 3; cx 0,1; h 3; cu1(-1/8) 1,3; h 3; cx 0,1; h 3; cu1(1/8) 1,3; h 3; "
    "cx 1,2; h 3; cu1(-1/8) 2,3; h 3; cx 0,2; h 3; cu1(1/8) 2,3; h 3; "
    "cx 1,2; h 3; cu1(-1/8) 2,3; h 3; cx 0,2; h 3; cu1(1/8) 2,3; h 3"
)
_C4X = "h 4; cu1(1/2) 3,4; h 4; c3x 0,1,2,3; h 4; cu1(-1/2) 3,4; h 4; c3x 0,1,2,3; c3sqrtx 0,1,2,4"

# qelib1.inc (Cross et al., arXiv:1707.03429, as extended by Qiskit), stdgates.inc (Cross et al., arXiv:2104.14722), and
# the last five, which are in neither but are native to hardware. Definitions of three and more qubits are qelib1.inc's;
# `ccz` and the `X` of `CX`, which stdgates.inc leaves with a stray phase since `U` has one, are what their names say.
GATES: dict[str, GateRule] = {
    rule.name: rule
    for rule in (
        GateRule("id", 1, 0, _constant(_I)),
        GateRule("u0", 1, 1, lambda cycles: _phase(0 * cycles)),
        GateRule("x", 1, 0, _constant(_X)),
        GateRule("y", 1, 0, _constant(_Y)),
        GateRule("z", 1, 0, _constant(_Z)),
        GateRule("h", 1, 0, _constant(_H)),
        GateRule("s", 1, 0, _constant(_S)),
        GateRule("sdg", 1, 0, _constant(_S.conj())),
        GateRule("t", 1, 0, _constant(_T)),
        GateRule("tdg", 1, 0, _constant(_T.conj())),
        GateRule("sx", 1, 0, _constant(_SX)),
        GateRule("sxdg", 1, 0, _constant(_SX.conj())),
        GateRule("rx", 1, 1, partial(_rotation, "X")),
        GateRule("ry", 1, 1, partial(_rotation, "Y")),
        GateRule("rz", 1, 1, partial(_rotation, "Z")),
        GateRule("p", 1, 1, _phase),
        GateRule("phase", 1, 1, _phase),
        GateRule("u1", 1, 1, _phase),
        GateRule("u2", 1, 2, _u2),
        GateRule("u3", 1, 3, _u3),
        GateRule("u", 1, 3, _euler),
        GateRule("U", 1, 3, _u_openqasm3),
        GateRule("cx", 2, 0, _constant(_control(_X))),
        GateRule("CX", 2, 0, _constant(_control(_X))),
        GateRule("cy", 2, 0, _constant(_control(_Y))),
        GateRule("cz", 2, 0, _constant(_control(_Z))),
        GateRule("ch", 2, 0, _constant(_control(_H))),
        GateRule("csx", 2, 0, _constant(_control(_SX))),
        GateRule("swap", 2, 0, _constant(_SWAP)),
        GateRule("cp", 2, 1, lambda lam: _control(_phase(lam))),
        GateRule("cphase", 2, 1, lambda lam: _control(_phase(lam))),
        GateRule("cu1", 2, 1, lambda lam: _control(_phase(lam))),
        GateRule("crx", 2, 1, lambda theta: _control(_rotation("X", theta))),
        GateRule("cry", 2, 1, lambda theta: _control(_rotation("Y", theta))),
        GateRule("crz", 2, 1, lambda theta: _control(_rotation("Z", theta))),
        GateRule("cu3", 2, 3, lambda theta, phi, lam: _control(_euler(theta, phi, lam))),
        GateRule("cu", 2, 4, lambda theta, phi, lam, gamma: _control(_euler(theta, phi, lam, gamma))),
        GateRule("rxx", 2, 1, partial(_rotation, "XX")),
        GateRule("ryy", 2, 1, partial(_rotation, "YY")),
        GateRule("rzz", 2, 1, partial(_rotation, "ZZ")),
        GateRule("ccx", 3, 0, _constant(_control(_X, 2)), _definition(_CCX)),
        GateRule("ccz", 3, 0, _constant(_control(_Z, 2)), _definition("h 2; ccx 0,1,2; h 2")),
        GateRule("cswap", 3, 0, _constant(_control(_SWAP)), _definition("cx 2,1; ccx 0,1,2; cx 2,1")),
        GateRule("rccx", 3, 0, _constant(_block_diagonal(_I, _I, _Z, _Y)), _definition(_RCCX)),
        GateRule("c3x", 4, 0, _constant(_control(_X, 3)), _definition(_C3X)),
        GateRule("c3sqrtx", 4, 0, _constant(_control(_SX, 3)), _definition(_C3SQRTX)),
        GateRule("rc3x", 4, 0, _constant(_block_diagonal(*[_I] * 6, 1j * _Z, 1j * _Y)), _definition(_RC3X)),
        GateRule("c4x", 5, 0, _constant(_control(_X, 4)), _definition(_C4X)),
        GateRule("r", 1, 2, _r),
        GateRule("rzx", 2, 1, partial(_rotation, "ZX")),
        GateRule("iswap", 2, 0, _constant(_SWAP @ np.diag([1, 1j, 1j, 1]))),
        GateRule("dcx", 2, 0, _constant(_SWAP @ _control(_X) @ _SWAP @ _control(_X))),
        GateRule("ecr", 2, 0, _constant((np.kron(_X, _I) - np.kron(_Y, _X)) / np.sqrt(2))),
    )
}
