"""The verdict tells classical, discordant, entangled and Bell-nonlocal correlation apart, in any local basis."""

import math

import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.physics import metrics
from qdist.physics.metrics import VERDICTS, verdict
from qdist.physics.states import (
    State,
    basis_state,
    bell,
    bell_diagonal,
    from_ket,
    from_matrix,
    from_pauli,
    ghz,
    maximally_mixed,
    w_state,
    werner,
)


def random_unitary(size: int, rng: np.random.Generator) -> np.ndarray:
    unitary, _ = np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))
    return unitary


def rotated(state: State, rng: np.random.Generator) -> State:
    """The state after a random unitary on each half."""
    half = state.num_qubits // 2
    unitary = np.kron(random_unitary(2**half, rng), random_unitary(2 ** (state.num_qubits - half), rng))
    return from_matrix(unitary @ state.matrix() @ unitary.conj().T)


def diagonal(table: np.ndarray) -> State:
    """A shared table of classical probabilities."""
    return from_matrix(np.diag(table.reshape(-1)).astype(complex) / table.sum())


def classical_on_first_only() -> State:
    """½|0⟩⟨0| ⊗ |0⟩⟨0| + ½|1⟩⟨1| ⊗ |+⟩⟨+|: B's two states do not commute."""
    plus = from_ket(np.array([1, 1]))
    first, second = basis_state("0").vector, basis_state("1").vector
    return State(np.kron(first, first) / 2 + np.kron(second, plus.vector) / 2, ("q/0", "q/1"))


def tilted(angle: float) -> State:
    """The pure state cos|00⟩ + sin|11⟩."""
    return from_ket(np.array([math.cos(angle), 0, 0, math.sin(angle)]))


PAIRS = [
    ("|01⟩", basis_state("01"), "uncorrelated"),
    ("fully mixed", maximally_mixed(2), "uncorrelated"),
    ("mixed product", from_pauli({"ZI": 0.5, "IX": 0.3, "ZX": 0.15}), "uncorrelated"),
    ("½|00⟩⟨00| + ½|11⟩⟨11|", from_pauli({"ZZ": 1}), "classical"),
    ("weak classical", from_pauli({"ZZ": 1e-4}), "classical"),
    ("biased table", diagonal(np.array([[0.5, 0.1], [0.15, 0.25]])), "classical"),
    ("equal Φ⁺ and Φ⁻", bell_diagonal([0.5, 0.5, 0, 0]), "classical"),
    ("classical on one side", classical_on_first_only(), "discordant"),
    ("weak Werner", werner(0.251), "discordant"),
    ("Werner F = ½", werner(0.5), "discordant"),
    ("Bell-diagonal, two axes", from_pauli({"XX": 0.4, "ZZ": 0.3}), "discordant"),
    ("Werner just entangled", werner(0.5001), "entangled"),
    ("Werner below CHSH", werner(0.78), "entangled"),
    ("Werner above CHSH", werner(0.781), "bell-nonlocal"),
    ("Bell-diagonal of rank 2", bell_diagonal([0.51, 0.49, 0, 0]), "bell-nonlocal"),
    ("Bell-diagonal of rank 3", bell_diagonal([0.6, 0.2, 0.2, 0]), "entangled"),
    ("pure, tilted", tilted(0.01), "bell-nonlocal"),
    ("Φ⁺", bell(), "bell-nonlocal"),
    ("Ψ⁻", bell("psi-"), "bell-nonlocal"),
]


@pytest.mark.parametrize(("state", "expected"), [row[1:] for row in PAIRS], ids=[row[0] for row in PAIRS])
def test_pairs_get_their_verdict_in_any_local_basis_and_either_order(state, expected):
    rng = np.random.default_rng(1)
    assert verdict(state) == expected
    for _ in range(5):
        turned = rotated(state, rng)
        assert verdict(turned) == expected
        assert verdict(turned, turned.qubits[1:], turned.qubits[:1]) == expected


def test_verdicts_survive_the_rounding_of_float32_and_a_small_trace():
    rng = np.random.default_rng(2)
    for name, state, expected in PAIRS:
        vector = (0.2 * rotated(state, rng).vector).astype(np.float32)
        vector[1:] += rng.normal(scale=1e-7, size=15).astype(np.float32)
        assert verdict(State(vector, state.qubits)) == expected, name


def test_verdict_code_is_the_position_of_the_word():
    for code, state in enumerate((maximally_mixed(2), from_pauli({"ZZ": 1}), werner(0.4), werner(0.6), bell())):
        assert metrics.verdict_code(state) == code
        assert verdict(state) == VERDICTS[code]


def larger_states() -> list[tuple[str, State, str]]:
    rng = np.random.default_rng(3)
    block = rng.uniform(size=(4, 4))
    entangled_halves = bell(qubits=["a/0", "a/1"]).tensor(bell(qubits=["b/0", "b/1"]))
    across = bell(qubits=["a/0", "b/0"]).tensor(werner(0.4, ["a/1", "b/1"])).reduced(["a/0", "a/1", "b/0", "b/1"])
    weak = werner(0.6, ["a/0", "b/0"]).tensor(werner(0.4, ["a/1", "b/1"])).reduced(["a/0", "a/1", "b/0", "b/1"])
    separable = werner(0.4, ["a/0", "b/0"]).tensor(werner(0.4, ["a/1", "b/1"])).reduced(["a/0", "a/1", "b/0", "b/1"])
    return [
        ("Bell pairs inside each party", entangled_halves, "uncorrelated"),
        ("random table", diagonal(block), "classical"),
        (
            "table with equal rows",
            diagonal(np.array([[4, 1, 1, 1], [4, 1, 1, 1], [1, 2, 1, 1], [1, 2, 1, 1.0]])),
            "classical",
        ),
        ("two separable Werner pairs", separable, "discordant"),
        ("an entangled Werner pair", weak, "entangled"),
        ("GHZ, whose pairs are classical", ghz(4), "entangled"),
        ("W, whose pairs pass no CHSH test", w_state(4), "entangled"),
        ("a Bell pair across", across, "bell-nonlocal"),
    ]


def test_larger_parties_get_their_verdict():
    for name, state, expected in larger_states():
        assert verdict(state) == expected, name


def test_tables_of_larger_parties_stay_classical_in_any_basis_of_each_party():
    rng = np.random.default_rng(4)
    for rows, columns in ((2, 4), (4, 4), (8, 4), (8, 8)):
        table = diagonal(rng.uniform(size=(rows, columns)))
        turned = rotated(table, rng) if rows <= columns else table
        assert verdict(turned, turned.qubits[: rows.bit_length() - 1]) == "classical"
        noise = rng.normal(scale=3e-7, size=turned.vector.shape)
        rounded = State((turned.vector + noise).astype(np.float32), turned.qubits)
        assert verdict(rounded, turned.qubits[: rows.bit_length() - 1]) == "classical"


def test_discord_may_exist_on_one_side_only():
    state = classical_on_first_only()
    first, second = state.qubits
    assert metrics.has_zero_discord(state, [first], [second])
    assert not metrics.has_zero_discord(state, [second], [first])
    assert metrics.geometric_discord(state) == pytest.approx(0, abs=1e-12)
    assert metrics.geometric_discord(state.reduced([second, first])) > 0.01


def test_geometric_discord_is_the_smallest_disturbance_by_a_measurement():
    rng = np.random.default_rng(5)
    factor = rng.normal(size=(4, 2)) + 1j * rng.normal(size=(4, 2))
    state = from_matrix(factor @ factor.conj().T / np.linalg.norm(factor) ** 2)
    matrix = state.matrix()
    smallest = math.inf
    for _ in range(4000):
        ket = rng.normal(size=2) + 1j * rng.normal(size=2)
        projector = np.kron(np.outer(ket, ket.conj()) / np.linalg.norm(ket) ** 2, np.eye(2))
        other = np.eye(4) - projector
        left = matrix - projector @ matrix @ projector - other @ matrix @ other
        smallest = min(smallest, float(np.linalg.norm(left) ** 2))
    assert metrics.geometric_discord(state) == pytest.approx(smallest, rel=0.01)
    assert metrics.geometric_discord(state) <= smallest + 1e-12


def test_a_bound_entangled_state_is_called_discordant_as_documented():
    # Horodecki, PLA 232, 333 (1997): entangled on 2 × 4 with a positive partial transpose, for 0 < b < 1.
    b = 0.4
    matrix = np.diag([b, b, b, b, (1 + b) / 2, b, b, (1 + b) / 2]).astype(complex)
    for i, j, value in ((0, 5, b), (1, 6, b), (2, 7, b), (4, 7, math.sqrt(1 - b * b) / 2)):
        matrix[i, j] = matrix[j, i] = value
    state = from_matrix(matrix / (7 * b + 1))
    assert metrics.negativity(state) == pytest.approx(0, abs=1e-12)
    assert verdict(state) == "discordant"


def test_other_qubits_are_traced_out():
    state = ghz(3)
    assert verdict(state, ["q/0"], ["q/2"]) == "classical"
    assert verdict(state, ["q/0"]) == "entangled"


def test_too_many_qubits_are_refused_with_the_limit():
    with pytest.raises(QdistError, match="at most 8 qubits"):
        verdict(maximally_mixed(9))
    assert verdict(maximally_mixed(9), ["q/0"], ["q/8"]) == "uncorrelated"
