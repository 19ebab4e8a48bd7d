"""Channels: noise as real Pauli transfer matrices, the instruments that write a classical bit, and their measures.

Matrices are in the public order I, X, Y, Z with qubit 0 most significant. Parameters may be traced by JAX, and every
channel is differentiable at 0: the formulas are those of the transfer matrix, free of the √p of Kraus operators.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from qdist.errors import QdistError, check_not_negative, check_probability, check_relaxation_times
from qdist.physics import gates, pauli
from qdist_kernels.namespace import is_jax, namespace

# How far user matrices may miss completeness or positivity: what survives printing with seven digits, or float32.
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Channel:
    """A completely positive, trace-preserving map of n qubits.

    ρ' has the correlations c'_P = Σ_Q R_PQ c_Q

    Attributes:
        name: What printed programs call it.
        ptm: Real array R of shape (4ⁿ, 4ⁿ), NumPy or JAX, order I, X, Y, Z; its first row is exactly (1, 0, …, 0).
    """

    name: str
    ptm: Any

    def __post_init__(self) -> None:
        _check_shape(self.ptm.shape, square=True)

    @property
    def num_qubits(self) -> int:
        return _num_qubits(self.ptm.shape[0])

    def then(self, other: "Channel") -> "Channel":
        """This channel, then `other` on the same qubits."""
        if other.num_qubits != self.num_qubits:
            raise QdistError(
                f"Channels in sequence must act on as many qubits, but '{self.name}' acts on {self.num_qubits} and "
                f"'{other.name}' on {other.num_qubits}. Use `tensor` to widen the smaller one."
            )
        return Channel(f"{self.name}, {other.name}", gates.product(other.ptm, self.ptm))

    def tensor(self, other: "Channel") -> "Channel":
        """This channel on the first qubits and `other` on the ones after them."""
        xp, (left, right) = gates.together(self.ptm, other.ptm)
        return Channel(f"{self.name} ⊗ {other.name}", xp.kron(left, right))


@dataclass(frozen=True, eq=False)
class Instrument:
    """A measurement-like step: one completely positive map for each value of the classical bit it writes.

    Attributes:
        name: What printed programs call it.
        matrices: For bit 0 and bit 1 a real array of shape (4^m, 4^n) from n qubits to the m that are left, order
            I, X, Y, Z. The first entry of a mapped vector is the probability of that bit; the two maps add up to a
            trace-preserving one.
    """

    name: str
    matrices: tuple[Any, ...]

    def __post_init__(self) -> None:
        for matrix in self.matrices:
            _check_shape(matrix.shape, square=False)

    @property
    def num_qubits(self) -> int:
        return _num_qubits(self.matrices[0].shape[1])


@dataclass(frozen=True)
class ChannelRule:
    """A row of the channel table.

    Attributes:
        function: Makes the channel from its parameters, given by name.
        num_qubits: Number of qubits the channel acts on.
        parameters: Names of the parameters.
        probabilities: Those among them that must lie in [0, 1].
    """

    function: Callable[..., Channel]
    num_qubits: int
    parameters: tuple[str, ...]
    probabilities: tuple[str, ...] = ()


def depolarizing(p: Any, num_qubits: int = 1) -> Channel:
    """Depolarizing channel.

    ρ → (1−p) ρ + p/(4ⁿ−1) Σ_(P≠1) P ρ P, so every correlation but the trace shrinks by 1 − p 4ⁿ/(4ⁿ−1)

    `p` is the probability of some Pauli error, as in Stim, Cirq and QuEST: X, Y, Z with p/3 each, or the 15 pairs with
    p/15 each. `p = 3/4` (15/16 for two qubits) mixes fully. Qiskit's `depolarizing_error(λ)` has p = λ (4ⁿ−1)/4ⁿ.
    """
    check_probability("p", p)
    if num_qubits < 1:
        raise QdistError(f"`num_qubits` must be at least 1, but is {num_qubits}.")
    strings = 4**num_qubits
    shrink = 1 - p * (strings / (strings - 1))
    return Channel("depolarizing", _diagonal(1.0, *[shrink] * (strings - 1)))


def dephasing(p: Any) -> Channel:
    """Phase flip with probability p.

    ρ → (1−p) ρ + p ZρZ

    `p = 1/2` removes all coherence. For a coherence that decays as exp(−t/T₂), use p = (1 − exp(−t/T₂))/2.
    """
    check_probability("p", p)
    return _pauli_mixture("dephasing", {"Z": p}, 1)


def bit_flip(p: Any) -> Channel:
    """Bit flip with probability p.

    ρ → (1−p) ρ + p XρX
    """
    check_probability("p", p)
    return _pauli_mixture("bit_flip", {"X": p}, 1)


def bit_phase_flip(p: Any) -> Channel:
    """Bit and phase flip with probability p.

    ρ → (1−p) ρ + p YρY
    """
    check_probability("p", p)
    return _pauli_mixture("bit_phase_flip", {"Y": p}, 1)


def pauli_channel(*, x: Any = 0.0, y: Any = 0.0, z: Any = 0.0) -> Channel:
    """X, Y and Z errors with probabilities x, y and z.

    ρ → (1−x−y−z) ρ + x XρX + y YρY + z ZρZ

    Raises:
        QdistError: A probability is not in [0, 1], or they add up to more than 1.
    """
    return _pauli_mixture("pauli_channel", {"X": x, "Y": y, "Z": z}, 1)


def pauli_channel2(probabilities: Mapping[str, Any]) -> Channel:
    """Correlated Pauli errors on two qubits.

    ρ → (1−Σp) ρ + Σ_PQ p_PQ (P⊗Q) ρ (P⊗Q)

    Args:
        probabilities: Such as `{"XX": 0.01, "ZI": 0.002}`; the first letter is the first qubit's.

    Raises:
        QdistError: A key is not a two-letter Pauli string, a probability is not in [0, 1], or they add up to more
            than 1.
    """
    for string in probabilities:
        if len(string) != 2 or set(string) - set(pauli.PUBLIC_ORDER):
            raise QdistError(f"`probabilities` must have keys of two letters out of I, X, Y, Z, but has '{string}'.")
    return _pauli_mixture("pauli_channel2", probabilities, 2)


def amplitude_damping(gamma: Any) -> Channel:
    """Decay of |1⟩ to |0⟩ with probability γ.

    K₀ = |0⟩⟨0| + √(1−γ) |1⟩⟨1|, K₁ = √γ |0⟩⟨1|  (Nielsen and Chuang, eq. 8.108)

    After a time t with lifetime T₁, γ = 1 − exp(−t/T₁).
    """
    check_probability("gamma", gamma)
    return _damping("amplitude_damping", (1 - gamma) ** 0.5, gamma, 0.0)


def generalized_amplitude_damping(gamma: Any, excited_population: Any) -> Channel:
    """Exchange with a bath: relaxation by γ towards the populations (1−q, q) of |0⟩ and |1⟩.

    K₀ = √(1−q) (|0⟩⟨0| + √(1−γ) |1⟩⟨1|), K₁ = √(1−q) √γ |0⟩⟨1|,
    K₂ = √q (√(1−γ) |0⟩⟨0| + |1⟩⟨1|), K₃ = √q √γ |1⟩⟨0|  (Nielsen and Chuang, eq. 8.118, with p = 1−q)
    """
    check_probability("gamma", gamma)
    check_probability("excited_population", excited_population)
    return _damping("generalized_amplitude_damping", (1 - gamma) ** 0.5, gamma, excited_population)


def thermal_relaxation(duration: Any, t1: Any, t2: Any, *, excited_population: Any = 0.0) -> Channel:
    """Waiting: populations relax with T₁ to (1−q, q), coherences decay with T₂.

    ⟨X⟩, ⟨Y⟩ → e^(−t/T₂) ⟨X⟩, ⟨Y⟩ and ⟨Z⟩ → e^(−t/T₁) ⟨Z⟩ + (1 − e^(−t/T₁)) (1 − 2q)

    T₂ is the total coherence time (1/T₂ = 1/(2T₁) + 1/T_φ), as in calibration data.

    Args:
        duration: Seconds, finite.
        t1: Seconds, `inf` for no relaxation.
        t2: Seconds, at most 2·t1.
        excited_population: q, the population of |1⟩ in equilibrium.

    Raises:
        QdistError: A time is negative or not a number, t2 > 2·t1, or q is not a probability.
    """
    check_not_negative("duration", duration, "s")
    if not is_jax(duration) and math.isinf(duration):
        raise QdistError("`duration` must be finite, but is inf. Use `reset` for a qubit that has relaxed fully.")
    check_relaxation_times(t1, t2)
    check_probability("excited_population", excited_population)
    xp, (duration, t1, t2) = _scalars([duration, t1, t2])
    return _damping("thermal_relaxation", xp.exp(-duration / t2), -xp.expm1(-duration / t1), excited_population)


def reset() -> Channel:
    """Replace the qubit by |0⟩.

    ρ → |0⟩⟨0| Tr ρ
    """
    return _damping("reset", 0.0, 1.0, 0.0)


def over_rotation(axis: str, angle: Any) -> Channel:
    """A coherent error: rotation about an axis of the Bloch sphere by an angle in radians.

    ρ → U ρ U†, U = exp(−i angle/2 σ_axis)

    Args:
        axis: "X", "Y" or "Z".
        angle: Radians.
    """
    _check_axis("axis", axis)
    return dataclasses.replace(from_gate(gates.gate("r" + axis.lower(), angle)), name="over_rotation")


def zz_crosstalk(angle: Any) -> Channel:
    """A coherent error: the phase that an always-on coupling of two qubits adds.

    ρ → U ρ U†, U = exp(−i angle/2 Z⊗Z)

    For a coupling H/ħ = ζ/2 Z⊗Z (ζ in rad/s) over a time t, angle = ζ t.
    """
    return dataclasses.replace(from_gate(gates.gate("rzz", angle)), name="zz_crosstalk")


CHANNELS: dict[str, ChannelRule] = {
    "depolarizing": ChannelRule(depolarizing, 1, ("p",), ("p",)),
    "depolarizing2": ChannelRule(partial(depolarizing, num_qubits=2), 2, ("p",), ("p",)),
    "dephasing": ChannelRule(dephasing, 1, ("p",), ("p",)),
    "bit_flip": ChannelRule(bit_flip, 1, ("p",), ("p",)),
    "bit_phase_flip": ChannelRule(bit_phase_flip, 1, ("p",), ("p",)),
    "pauli_channel": ChannelRule(pauli_channel, 1, ("x", "y", "z"), ("x", "y", "z")),
    "pauli_channel2": ChannelRule(pauli_channel2, 2, ("probabilities",)),
    "amplitude_damping": ChannelRule(amplitude_damping, 1, ("gamma",), ("gamma",)),
    "generalized_amplitude_damping": ChannelRule(
        generalized_amplitude_damping, 1, ("gamma", "excited_population"), ("gamma", "excited_population")
    ),
    "thermal_relaxation": ChannelRule(
        thermal_relaxation, 1, ("duration", "t1", "t2", "excited_population"), ("excited_population",)
    ),
    "reset": ChannelRule(reset, 1, ()),
    "over_rotation": ChannelRule(over_rotation, 1, ("axis", "angle")),
    "zz_crosstalk": ChannelRule(zz_crosstalk, 2, ("angle",)),
}


def kraus_channel(operators: Sequence[Any], name: str = "kraus") -> Channel:
    """A channel from its Kraus operators.

    ρ → Σ_k K_k ρ K_k†, Σ_k K_k† K_k = 1

    Args:
        operators: Matrices of shape (2ⁿ, 2ⁿ), qubit 0 most significant. Values of JAX arrays are not checked.
        name: What printed programs call it.

    Raises:
        QdistError: The matrices are not square of one power-of-two size, or do not add up to the identity.
    """
    shapes = {np.shape(operator) for operator in operators}
    size = min((length for shape in shapes for length in shape), default=0)
    if shapes != {(size, size)} or size < 2 or size & (size - 1):
        raise QdistError(
            f"Kraus operators must be square matrices of one power-of-two size, but have the shapes {sorted(shapes)}."
        )
    xp, matrices = gates.together(*(_complex(operator) for operator in operators))
    stacked = xp.stack(matrices)
    if not is_jax(stacked):
        error = np.abs(np.einsum("kji,kjl->il", stacked.conj(), stacked) - np.eye(size)).max()
        if not error <= TOLERANCE:
            raise QdistError(
                f"Kraus operators must satisfy Σ K†K = 1, but it differs from the identity by {error:.2g}. "
                "Add the operator of the missing outcome."
            )
    return Channel(name, gates.with_exact_trace(pauli.ptm_from_kraus(stacked)))


def ptm_channel(matrix: Any, name: str = "ptm") -> Channel:
    """A channel from its Pauli transfer matrix, such as process tomography gives.

    Args:
        matrix: Real, shape (4ⁿ, 4ⁿ), order I, X, Y, Z, qubit 0 most significant. A JAX array is not checked.
        name: What printed programs call it.

    Raises:
        QdistError: The shape is wrong, the first row is not (1, 0, …, 0), or the map is not completely positive.
    """
    if is_jax(matrix):
        return Channel(name, gates.with_exact_trace(Channel(name, matrix).ptm))
    if np.iscomplexobj(matrix):
        raise QdistError("A Pauli transfer matrix must be real, but is complex. Use `kraus_channel` for operators.")
    channel = Channel(name, np.array(matrix, float))
    error = np.abs(channel.ptm[0] - np.eye(1, len(channel.ptm))[0]).max()
    if not error <= TOLERANCE:
        raise QdistError(
            f"The first row of a Pauli transfer matrix must be (1, 0, …, 0), but differs from it by {error:.2g}. "
            "Check that the order is I, X, Y, Z and the map keeps the trace."
        )
    lowest = _lowest_choi_eigenvalue(channel)
    if not lowest >= -TOLERANCE:
        raise QdistError(
            f"A channel must be completely positive, but its Choi matrix has the eigenvalue {lowest:.2g}. "
            "Project a measured matrix onto the physical ones first."
        )
    return Channel(name, gates.with_exact_trace(channel.ptm))


def from_gate(gate: gates.Gate) -> Channel:
    """The unitary channel ρ → U ρ U† of a gate."""
    return Channel(gate.name, gate.ptm)


def measurement(basis: str = "Z", *, p01: Any = 0.0, p10: Any = 0.0, keep: bool = True) -> Instrument:
    """Projective measurement of one qubit, with a readout that may name the wrong outcome.

    ρ → Π_b ρ Π_b for the true outcome b, Π_b = (1 + (−1)ᵇ σ_basis)/2; the bit r is written with probability C_rb

    The qubit is left in the eigenstate of the true outcome: a readout error touches the bit alone.

    Args:
        basis: "X", "Y" or "Z".
        p01: Probability to read 1 when the outcome is 0.
        p10: Probability to read 0 when the outcome is 1.
        keep: False if the qubit is gone afterwards, as a detected photon is; the matrices are then of shape (1, 4).
    """
    _check_axis("basis", basis)
    confusion = readout_confusion(p01, p10)
    projections = []
    for sign in (1, -1):
        projected = np.zeros(4)
        projected[[0, pauli.PUBLIC_ORDER.index(basis)]] = 1, sign
        projection = np.outer(projected, projected) / 2
        projections.append(projection if keep else projection[:1])
    return Instrument(f"measurement {basis}", tuple(_mixture(row, projections) for row in confusion))


def loss(p: Any) -> Instrument:
    """Flagged erasure: with probability p the qubit is replaced by |0⟩ and the bit is 1.

    bit 0: ρ → (1−p) ρ, bit 1: ρ → p |0⟩⟨0| Tr ρ
    """
    check_probability("p", p)
    return Instrument("loss", (_mixture([1 - p], [np.eye(4)]), _mixture([p], [reset().ptm])))


def readout_confusion(p01: Any, p10: Any) -> Any:
    """Probabilities C_rb to read r when the outcome is b, shape (2, 2), columns adding up to 1.

    C = [[1−p01, p10], [p01, 1−p10]]
    """
    check_probability("p01", p01)
    check_probability("p10", p10)
    return _matrix([[1 - p01, p10], [p01, 1 - p10]])


def choi(channel: Channel) -> Any:
    """Choi matrix of a channel.

    J = Σ_ab |a⟩⟨b| ⊗ E(|a⟩⟨b|), shape (4ⁿ, 4ⁿ), trace 2ⁿ; the input is the first factor, as in Qiskit
    """
    ptm, dimension = channel.ptm, 2**channel.num_qubits
    vectors = namespace(ptm).asarray(pauli.basis(channel.num_qubits), np.result_type(ptm.dtype, np.complex64))
    super_operator = gates.product(gates.product(vectors, ptm.astype(vectors.dtype)), vectors.conj().T) / dimension
    return super_operator.reshape([dimension] * 4).transpose(2, 0, 3, 1).reshape(dimension**2, dimension**2)


def is_completely_positive(channel: Channel, tolerance: float = TOLERANCE) -> bool:
    """Whether the Choi matrix, scaled to trace 1, has no eigenvalue below −tolerance."""
    return _lowest_choi_eigenvalue(channel) >= -tolerance


def process_fidelity(channel: Channel, target: Channel | gates.Gate) -> Any:
    """Process (entanglement) fidelity of a channel with a unitary target.

    F_pro = Tr(R_targetᵀ R) / 4ⁿ, the fidelity of E with U applied to one half of a maximally entangled state

    Args:
        channel: The channel E.
        target: A gate or a unitary channel on as many qubits.
    """
    if channel.num_qubits != target.num_qubits:
        raise QdistError(
            f"`target` must act on as many qubits as the channel ({channel.num_qubits}), but acts on "
            f"{target.num_qubits}."
        )
    xp, (found, wanted) = gates.together(channel.ptm, target.ptm)
    return xp.sum(wanted * found) / 4**channel.num_qubits


def average_gate_fidelity(channel: Channel, gate: Channel | gates.Gate) -> Any:
    """Fidelity ⟨ψ|U† E(|ψ⟩⟨ψ|) U|ψ⟩ averaged over all pure states.

    F_avg = (d F_pro + 1)/(d + 1), d = 2ⁿ  (Nielsen, Phys. Lett. A 303, 249 (2002))

    For a depolarizing error after the gate, 1 − F_avg = 2p/3 (one qubit) and 4p/5 (two).
    """
    dimension = 2**channel.num_qubits
    return (dimension * process_fidelity(channel, gate) + 1) / (dimension + 1)


def _num_qubits(length: int) -> int:
    return (length.bit_length() - 1) // 2


def _check_shape(shape: tuple[int, ...], *, square: bool) -> None:
    powers = len(shape) == 2 and all(4 ** _num_qubits(length) == length for length in shape)
    if not powers or (square and shape[0] != shape[1]):
        wanted = "(4ⁿ, 4ⁿ)" if square else "(4^m, 4^n)"
        raise QdistError(f"A Pauli transfer matrix must have shape {wanted}, but has {tuple(shape)}.")


def _check_axis(name: str, axis: str) -> None:
    if axis not in ("X", "Y", "Z"):
        raise QdistError(f"`{name}` must be 'X', 'Y' or 'Z', but is '{axis}'.")


def _scalars(values: Sequence[Any]) -> tuple[Any, list[Any]]:
    return gates.together(*(value if is_jax(value) else np.float64(value) for value in values))


def _complex(matrix: Any) -> Any:
    return matrix.astype(np.result_type(matrix.dtype, np.complex64)) if is_jax(matrix) else np.asarray(matrix, complex)


def _matrix(rows: Sequence[Sequence[Any]]) -> Any:
    xp, entries = _scalars([entry for row in rows for entry in row])
    return xp.stack(entries).reshape(len(rows), -1)


def _diagonal(*entries: Any) -> Any:
    xp, scalars = _scalars(entries)
    return xp.diag(xp.stack(scalars))


def _mixture(weights: Sequence[Any], matrices: Sequence[np.ndarray]) -> Any:
    """Σ_k w_k M_k."""
    xp, scalars = _scalars(weights)
    return sum(weight * xp.asarray(matrix, weight.dtype) for weight, matrix in zip(scalars, matrices, strict=True))


def _damping(name: str, coherence: Any, gamma: Any, excited_population: Any) -> Channel:
    """⟨X⟩ and ⟨Y⟩ scaled by `coherence`, ⟨Z⟩ moved by the fraction γ towards 1 − 2q."""
    _, (coherence, gamma, excited_population) = _scalars([coherence, gamma, excited_population])
    shift = gamma * (1 - 2 * excited_population)
    return Channel(name, _matrix([[1, 0, 0, 0], [0, coherence, 0, 0], [0, 0, coherence, 0], [shift, 0, 0, 1 - gamma]]))


def _pauli_mixture(name: str, probabilities: Mapping[str, Any], num_qubits: int) -> Channel:
    """R_QQ = 1 − 2 Σ p_P over the errors P that anticommute with Q."""
    for string, probability in probabilities.items():
        check_probability(string.lower() if num_qubits == 1 else string, probability)
    total = sum(value for value in probabilities.values() if not is_jax(value))
    if total > 1 + 1e-12:
        raise QdistError(f"The probabilities of a Pauli channel must add up to at most 1, but add up to {total:g}.")
    shrinks = []
    for labels in itertools.product(pauli.PUBLIC_ORDER, repeat=num_qubits):
        shrinks.append(1 - 2 * sum(p for string, p in probabilities.items() if _anticommute(string, labels)))
    return Channel(name, _diagonal(*shrinks))


def _anticommute(first: Sequence[str], second: Sequence[str]) -> bool:
    return sum(a != b and "I" not in (a, b) for a, b in zip(first, second, strict=True)) % 2 == 1


def _lowest_choi_eigenvalue(channel: Channel) -> float:
    return float(np.linalg.eigvalsh(np.asarray(choi(channel)))[0]) / 2**channel.num_qubits
