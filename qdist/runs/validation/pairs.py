"""Rows about one pair of qubits: swapping, purification, CHSH, negativity."""

import math

from qdist.network.graph import Network, Node, chain
from qdist.network.links import Link
from qdist.network.program import Generate, Measure, Step, apply
from qdist.network.protocols import build_protocol
from qdist.physics.metrics import bell_fidelity, negativity
from qdist.runs.validation.simulate import final_state, outcomes, parity, simulate
from qdist.runs.validation.table import TOLERANCE, Row

BRIEGEL = "Briegel 1998"
PAIR = ("n0/0", "n1/0")


def weight(fidelity: float) -> float:
    """The share w of Φ⁺ in a Werner state."""
    return (4 * fidelity - 1) / 3


def swapping() -> list[Row]:
    """Two Werner pairs are swapped."""
    rows = []
    for f1, f2 in ((0.95, 0.95), (0.9, 0.8)):
        nodes = (Node("a"), Node("b", 2), Node("c"))
        links = (Link(between=("a", "b"), fidelity=f1), Link(between=("b", "c"), fidelity=f2))
        network = Network(nodes, links)
        names = {"left": "a", "center": "b", "right": "c"}
        state = simulate(build_protocol("entanglement_swapping", network, names), network).state(("a/0", "c/0"))
        expected = f1 * f2 + (1 - f1) * (1 - f2) / 3
        rows.append(Row(1, f"swap of Werner pairs {f1:g}, {f2:g}", expected, bell_fidelity(state), TOLERANCE, BRIEGEL))
    return rows


def chains() -> list[Row]:
    """A repeater chain of perfect swaps."""
    rows = []
    for length in (2, 4, 8, 16):
        network = chain(length + 1, qubits=2, link={"fidelity": 0.98})
        program = build_protocol("repeater_chain", network, {"generation": "sequential"})
        state = simulate(program, network).state(("n0/0", f"n{length}/0"))
        expected = 1 / 4 + 3 / 4 * weight(0.98) ** length
        case = f"chain of {length} Werner links .98"
        rows.append(Row(2, case, expected, bell_fidelity(state), TOLERANCE, BRIEGEL))
    return rows


def purified(scheme: str, fidelity: float, rounds: int) -> tuple[float, float]:
    """Fidelity after rounds of purification, and the success probability of the last round."""
    network = chain(2, qubits=rounds + 1, link={"fidelity": fidelity})
    parameters = {"between": ["n0", "n1"], "scheme": scheme, "rounds": rounds}
    result = simulate(build_protocol("purification", network, parameters), network)
    return bell_fidelity(result.state(PAIR)), float(result["results/herald_probability"][-1])


def bbpssw() -> list[Row]:
    """One round on Werner pairs."""
    rows = []
    for f in (0.6, 0.7, 0.9):
        fidelity, success = purified("bbpssw", f, 1)
        n = f**2 + 2 / 3 * f * (1 - f) + 5 / 9 * (1 - f) ** 2
        expected = (f**2 + ((1 - f) / 3) ** 2) / n
        rows.append(Row(3, f"BBPSSW, F = {f:g}: fidelity", expected, fidelity, TOLERANCE, "Bennett 1996"))
        rows.append(Row(3, f"BBPSSW, F = {f:g}: success", n, success, TOLERANCE, "Bennett 1996"))
    return rows


def dejmps_round(a: float, b: float, c: float, d: float) -> tuple[tuple[float, float, float, float], float]:
    """Weights of Φ⁺, Ψ⁻, Ψ⁺, Φ⁻ after a round on two equal pairs, and the success probability."""
    n = (a + b) ** 2 + (c + d) ** 2
    return ((a * a + b * b) / n, 2 * c * d / n, (c * c + d * d) / n, 2 * a * b / n), n


def dejmps() -> list[Row]:
    """Five rounds, each of two pairs of the round before."""
    rows = []
    weights, source = (0.7, 0.1, 0.1, 0.1), "Deutsch 1996"
    for rounds in range(1, 6):
        weights, n = dejmps_round(*weights)
        fidelity, success = purified("dejmps", 0.7, rounds)
        rows.append(Row(4, f"DEJMPS round {rounds}, Werner .7: fidelity", weights[0], fidelity, TOLERANCE, source))
        rows.append(Row(4, f"DEJMPS round {rounds}, Werner .7: success", n, success, TOLERANCE, source))
    return rows


def chsh_experiment(network: Network, before: list[Step], alice: str, bob: str) -> float:
    """S = E(a,b) + E(a,b′) + E(a′,b) − E(a′,b′), each E from measured outcomes, at the directions best for Φ⁺.

    Directions lie in the x–z plane: a = 0, a′ = π/2 for one party, ±π/4 for the other.
    """
    total = 0.0
    for a, b, sign in ((0, 1, 1), (0, -1, 1), (2, 1, 1), (2, -1, -1)):
        turns = [apply("ry", q, params=(-k * math.pi / 4,)) for q, k in ((alice, a), (bob, b))]
        steps = [*before, *turns, Measure(alice, "alice"), Measure(bob, "bob")]
        total += sign * parity(outcomes(steps, network, ("alice", "bob")))
    return total


def werner_chsh(fidelity: float) -> float:
    """S of a Werner pair, from measured outcomes."""
    return chsh_experiment(chain(2, link={"fidelity": fidelity}), [Generate((PAIR,))], *PAIR)


def chsh() -> list[Row]:
    """S of a Werner pair, and the fidelity where it passes 2; S is linear in the state, so two points give a line."""
    w = 0.9
    value = werner_chsh((3 * w + 1) / 4)
    low, high = werner_chsh(0.25), werner_chsh(1.0)
    threshold = 0.25 + 0.75 * (2 - low) / (high - low)
    return [
        Row(12, "CHSH of a Werner pair, w = .9", 2 * math.sqrt(2) * w, value, TOLERANCE, "Horodecki 1995"),
        Row(12, "Werner fidelity where S = 2", (3 / math.sqrt(2) + 1) / 4, threshold, TOLERANCE, "Horodecki 1995"),
    ]


def entanglement() -> list[Row]:
    """Negativity of a Werner pair above, at and below its threshold."""
    rows = []
    for case, w in (("w = .9", 0.9), ("F = 1/2", 1 / 3), ("F = .4", 0.2)):
        network = chain(2, link={"fidelity": (3 * w + 1) / 4})
        value = negativity(final_state([Generate((PAIR,))], network, PAIR))
        expected = max(0.0, (3 * w - 1) / 4)
        rows.append(Row(13, f"negativity of a Werner pair, {case}", expected, value, TOLERANCE, "Peres 1996"))
    return rows
