"""States of a few named qubits as correlation vectors, with conversions from and to other programs' objects."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdist.errors import QdistError, check_probability, did_you_mean
from qdist.physics import pauli
from qdist_kernels.namespace import namespace

BELL_STATES = ("phi+", "phi-", "psi+", "psi-")


@dataclass(frozen=True, eq=False)
class State:
    """A density matrix stored as its Pauli expectation values.

    c_P = Tr(P ρ), P ∈ {I, Z, X, Y}ⁿ, ρ = 2⁻ⁿ Σ_P c_P P

    Attributes:
        vector: Real array of shape (4ⁿ,), NumPy or JAX; the first digit belongs to `qubits[0]`, each digit in the
            order I, Z, X, Y. `vector[0]` is the trace: 1, or the probability of the branch it was taken from.
        qubits: The names of the n qubits.
    """

    vector: Any
    qubits: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.qubits)) != len(self.qubits):
            raise QdistError(f"Qubits must be given once each, but got {list(self.qubits)}.")
        if self.vector.shape != (4 ** len(self.qubits),):
            raise QdistError(
                f"`vector` must have 4ⁿ = {4 ** len(self.qubits)} entries for {len(self.qubits)} qubits, "
                f"but has shape {tuple(self.vector.shape)}."
            )

    @property
    def num_qubits(self) -> int:
        return len(self.qubits)

    @property
    def trace(self) -> Any:
        """Tr ρ, which is the probability of the branch for a heralded state."""
        return self.vector[0]

    def normalized(self) -> "State":
        """The state divided by its trace."""
        return State(self.vector / self.vector[0], self.qubits)

    def matrix(self) -> Any:
        """The density matrix, complex, shape (2ⁿ, 2ⁿ), qubit 0 most significant."""
        return pauli.matrix_from_vector(self.vector)

    def correlator(self, string: str) -> Any:
        """⟨P⟩ = Tr(P ρ) for a Pauli string such as `"XXI"`: one entry of the vector."""
        if len(string) != self.num_qubits:
            raise QdistError(
                f"A Pauli string must have one letter per qubit ({self.num_qubits}), but '{string}' has {len(string)}."
            )
        return self.vector[pauli.digit_index(string)]

    def correlation_matrix(self) -> Any:
        """T_ij = ⟨σ_i ⊗ σ_j⟩ for two qubits, shape (3, 3), rows and columns X, Y, Z."""
        if self.num_qubits != 2:
            raise QdistError(f"A correlation matrix needs exactly 2 qubits, but the state has {self.num_qubits}.")
        return pauli.public_order(self.vector.reshape(4, 4), 1)[1:, 1:]

    def reduced(self, qubits: Sequence[str]) -> "State":
        """Partial trace onto `qubits`, in the order given: a slice, since Tr_B keeps the entries with I on B."""
        for name in qubits:
            if name not in self.qubits:
                raise QdistError(f"The state has no qubit '{name}'.{did_you_mean(name, self.qubits)}")
        if len(set(qubits)) != len(qubits):
            raise QdistError(f"Qubits must be given once each, but got {list(qubits)}.")
        array = self.vector.reshape((4,) * self.num_qubits)
        array = array[tuple(slice(None) if name in qubits else 0 for name in self.qubits)]
        kept = [name for name in self.qubits if name in qubits]
        order = [kept.index(name) for name in qubits]
        return State(array.transpose(order).reshape(-1), tuple(qubits))

    def tensor(self, other: "State") -> "State":
        """ρ ⊗ σ."""
        shared = set(self.qubits) & set(other.qubits)
        if shared:
            raise QdistError(f"States to be joined must have different qubits, but both have {sorted(shared)}.")
        xp = namespace(self.vector, other.vector)
        return State(xp.kron(self.vector, other.vector), self.qubits + other.qubits)

    def named(self, qubits: Sequence[str]) -> "State":
        """The same state on qubits of other names."""
        return State(self.vector, tuple(qubits))

    def to_qutip(self) -> Any:
        """A `qutip.Qobj` density matrix with dims [[2]*n, [2]*n]."""
        import qutip

        return qutip.Qobj(np.asarray(self.matrix()), dims=[[2] * self.num_qubits] * 2)

    def to_qiskit(self) -> Any:
        """A `qiskit.quantum_info.DensityMatrix`; Qiskit's qubit 0 is the rightmost factor, so the order is reversed."""
        from qiskit.quantum_info import DensityMatrix

        return DensityMatrix(np.asarray(self.reduced(self.qubits[::-1]).matrix()))


def _names(num_qubits: int, qubits: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(qubits) if qubits is not None else tuple(f"q/{i}" for i in range(num_qubits))


def from_matrix(matrix: Any, qubits: Sequence[str] | None = None) -> State:
    """A state from a density matrix of shape (2ⁿ, 2ⁿ), Hermitian, any positive trace.

    Raises:
        QdistError: The matrix is not square, not of a power-of-two size, not Hermitian or not positive.
    """
    matrix = matrix if hasattr(matrix, "ndim") else np.asarray(matrix)
    size = matrix.shape[0] if matrix.ndim else 0
    if matrix.shape != (size, size) or size == 0 or size & (size - 1):
        raise QdistError(
            f"A density matrix must be square with a power-of-two size, but has shape {tuple(matrix.shape)}."
        )
    if isinstance(matrix, np.ndarray):
        if not np.allclose(matrix, matrix.conj().T, atol=1e-6):
            raise QdistError("A density matrix must be Hermitian, but is not.")
        if not np.trace(matrix).real > 0:
            raise QdistError(f"A density matrix must have a positive trace, but has {np.trace(matrix).real:g}.")
        lowest = float(np.linalg.eigvalsh(matrix)[0]) if matrix.shape[0] <= 256 else 0.0
        if lowest < -1e-6:
            raise QdistError(f"A density matrix must have no negative eigenvalue, but has {lowest:.3g}.")
    vector = pauli.vector_from_matrix(matrix)
    return State(vector, _names((vector.shape[0].bit_length() - 1) // 2, qubits))


def from_ket(amplitudes: Any, qubits: Sequence[str] | None = None) -> State:
    """The pure state |ψ⟩⟨ψ| from 2ⁿ amplitudes, normalized here."""
    amplitudes = amplitudes if hasattr(amplitudes, "ndim") else np.asarray(amplitudes, complex)
    xp = namespace(amplitudes)
    amplitudes = amplitudes.reshape(-1)
    if amplitudes.shape[0] == 0 or amplitudes.shape[0] & (amplitudes.shape[0] - 1):
        raise QdistError(f"A ket must have 2ⁿ amplitudes, but has {amplitudes.shape[0]}.")
    norm = xp.sqrt(xp.sum(xp.abs(amplitudes) ** 2))
    if xp is np and not 0 < norm < math.inf:
        raise QdistError(f"A ket must have a finite, positive norm, but has {norm}.")
    amplitudes = amplitudes / norm.astype(amplitudes.dtype)
    vector = pauli.vector_from_matrix(xp.outer(amplitudes, xp.conj(amplitudes)))
    return State(vector, _names((vector.shape[0].bit_length() - 1) // 2, qubits))


def from_pauli(coefficients: dict[str, Any], qubits: Sequence[str] | None = None) -> State:
    """The state with the given correlators, e.g. `{"XX": 1, "ZZ": 1, "YY": -1}`; ⟨I…I⟩ is 1 unless given.

    Positivity is not checked: not every table of correlators is a state.
    """
    lengths = {len(string) for string in coefficients}
    if len(lengths) != 1:
        raise QdistError(f"Pauli strings must all have the same length, but have lengths {sorted(lengths)}.")
    num_qubits = lengths.pop()
    xp = namespace(*coefficients.values())
    entries = {pauli.digit_index("I" * num_qubits): 1.0}
    entries |= {pauli.digit_index(string): value for string, value in coefficients.items()}
    vector = xp.stack([xp.asarray(entries.get(i, 0.0), float) for i in range(4**num_qubits)])
    return State(vector, _names(num_qubits, qubits))


def from_qutip(obj: Any, qubits: Sequence[str] | None = None) -> State:
    """A state from a `qutip.Qobj` ket or density matrix (duck-typed: `.full()` is all that is used)."""
    full = np.asarray(obj.full())
    return from_ket(full, qubits) if 1 in full.shape else from_matrix(full, qubits)


def from_qiskit(obj: Any, qubits: Sequence[str] | None = None) -> State:
    """A state from a Qiskit `Statevector` or `DensityMatrix` (duck-typed: `.data`); Qiskit's qubit 0 becomes ours."""
    data = np.asarray(obj.data)
    state = from_ket(data) if data.ndim == 1 else from_matrix(data)
    return state.reduced(state.qubits[::-1]).named(_names(state.num_qubits, qubits))


def basis_state(bits: str, qubits: Sequence[str] | None = None) -> State:
    """|b₀b₁…⟩⟨b₀b₁…| for a bit string such as `"010"`."""
    if not bits or set(bits) - {"0", "1"}:
        raise QdistError(f"A basis state must be a string of 0 and 1, but is '{bits}'.")
    vector: np.ndarray = np.ones(1)
    for bit in bits:
        vector = np.kron(vector, [1.0, 1.0 if bit == "0" else -1.0, 0.0, 0.0])
    return State(vector, _names(len(bits), qubits))


def bell(kind: str = "phi+", qubits: Sequence[str] | None = None) -> State:
    """A Bell state: Φ± = (|00⟩ ± |11⟩)/√2, Ψ± = (|01⟩ ± |10⟩)/√2."""
    weights = [1.0 if kind == name else 0.0 for name in BELL_STATES]
    if kind not in BELL_STATES:
        raise QdistError(f"A Bell state must be one of {', '.join(BELL_STATES)}, but is '{kind}'.")
    return bell_diagonal(weights, qubits)


def bell_diagonal(weights: Sequence[Any], qubits: Sequence[str] | None = None) -> State:
    """Σ_i w_i |B_i⟩⟨B_i| with weights in the order phi+, phi−, psi+, psi−.

    ⟨XX⟩ = w₁−w₂+w₃−w₄, ⟨YY⟩ = −w₁+w₂+w₃−w₄, ⟨ZZ⟩ = w₁+w₂−w₃−w₄
    """
    w = list(weights)
    if len(w) != 4:
        raise QdistError(f"Bell-diagonal weights must be four numbers (phi+, phi-, psi+, psi-), but got {len(w)}.")
    xp = namespace(*w)
    if xp is np:
        for name, value in zip(BELL_STATES, w, strict=True):
            if not -1e-12 <= value <= 1 + 1e-12:
                check_probability(f"weight of {name}", value)
        if not math.isclose(sum(w), 1, abs_tol=1e-9):
            raise QdistError(f"Bell-diagonal weights must add up to 1, but add up to {sum(w):g}.")
    return from_pauli(
        {"XX": w[0] - w[1] + w[2] - w[3], "YY": -w[0] + w[1] + w[2] - w[3], "ZZ": w[0] + w[1] - w[2] - w[3]}, qubits
    )


def werner(fidelity: Any, qubits: Sequence[str] | None = None) -> State:
    """Werner state w Φ⁺ + (1−w) 1/4 with w = (4F−1)/3, by its fidelity F with Φ⁺."""
    check_probability("fidelity", fidelity)
    w = (4 * fidelity - 1) / 3
    return from_pauli({"XX": w, "YY": -w, "ZZ": w}, qubits)


def ghz(num_qubits: int, qubits: Sequence[str] | None = None) -> State:
    """(|0…0⟩ + |1…1⟩)/√2."""
    amplitudes = np.zeros(2**num_qubits)
    amplitudes[[0, -1]] = 1
    return from_ket(amplitudes, qubits)


def w_state(num_qubits: int, qubits: Sequence[str] | None = None) -> State:
    """(|10…0⟩ + |01…0⟩ + … + |0…01⟩)/√n."""
    if num_qubits < 1:
        raise QdistError(f"`num_qubits` must be at least 1, but is {num_qubits}.")
    amplitudes = np.zeros(2**num_qubits)
    amplitudes[[2**k for k in range(num_qubits)]] = 1
    return from_ket(amplitudes, qubits)


def graph_state(num_qubits: int, edges: Iterable[tuple[int, int]], qubits: Sequence[str] | None = None) -> State:
    """Π_(i,j) CZ_ij |+⟩^n."""
    index = np.arange(2**num_qubits)
    signs = np.ones(2**num_qubits)
    for i, j in edges:
        if i == j or not (0 <= i < num_qubits and 0 <= j < num_qubits):
            raise QdistError(f"An edge must join two different vertices from 0 to {num_qubits - 1}, but is ({i}, {j}).")
        signs *= 1 - 2.0 * ((index >> (num_qubits - 1 - i)) & (index >> (num_qubits - 1 - j)) & 1)
    return from_ket(signs, qubits)


def maximally_mixed(num_qubits: int, qubits: Sequence[str] | None = None) -> State:
    """1/2ⁿ."""
    vector = np.zeros(4**num_qubits)
    vector[0] = 1
    return State(vector, _names(num_qubits, qubits))
