"""Rows about states of many qubits: monogamy, Mermin, dephased GHZ and cluster states, error cascades."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from qdist.network.graph import Network, chain, star
from qdist.network.program import Apply, Generate, Measure, Program, Step, apply
from qdist.network.protocols import build_protocol, cat_entangle
from qdist.physics import channels
from qdist.physics.metrics import concurrence, ghz_fidelity, graph_state_fidelity, purity
from qdist.physics.states import State
from qdist.runs.validation.simulate import final_state, laboratory, outcomes, overlap, parity, prepared
from qdist.runs.validation.table import TOLERANCE, Row

CKW = "Coffman 2000"


def fan_out(qubits: tuple[str, ...]) -> list[Apply]:
    """A CNOT from the first qubit to each other one."""
    return [apply("cx", qubits[0], qubit) for qubit in qubits[1:]]


def ghz_steps(qubits: tuple[str, ...]) -> list[Step]:
    """A Hadamard and a fan-out."""
    return [*prepared(qubits), apply("h", qubits[0]), *fan_out(qubits)]


def w_steps(qubits: tuple[str, ...]) -> list[Step]:
    """(|100⟩ + |010⟩ + |001⟩)/√3 on three qubits."""
    a, b, c = qubits
    angle = 2 * math.acos(1 / math.sqrt(3))
    return [
        *prepared(qubits),
        apply("ry", a, params=(angle,)),
        apply("ch", a, b),
        apply("cx", b, c),
        apply("cx", a, b),
        apply("x", a),
    ]


def random_steps(qubits: tuple[str, ...], seed: int) -> list[Step]:
    """Random rotations and CNOTs between all pairs: a generic pure state."""
    angles = np.random.default_rng(seed).uniform(0, 2 * math.pi, (2, len(qubits), 3))
    steps = prepared(qubits)
    for layer in angles:
        steps += [apply("u", q, params=tuple(three)) for q, three in zip(qubits, layer, strict=True)]
        steps += [apply("cx", a, b) for a, b in itertools.combinations(qubits, 2)]
    return steps


def tangles(state: State) -> tuple[float, float, float]:
    """C²(A|BC) = 2 (1 − Tr ρ_A²) of a pure state, C²(AB) and C²(AC)."""
    a, b, c = state.qubits
    with_one = [concurrence(state.reduced((a, other))) ** 2 for other in (b, c)]
    return 2 * (1 - purity(state.reduced((a,)))), *with_one


def monogamy() -> list[Row]:
    """W shares all it has in pairs, GHZ nothing, and random states never share more than they have."""
    lab, qubits = laboratory(3)
    w, ghz = (final_state(steps(qubits), lab, qubits) for steps in (w_steps, ghz_steps))
    all_w, *pairs_w = tangles(w)
    shared = []
    for seed in range(20):
        whole, *pairs = tangles(final_state(random_steps(qubits, seed), lab, qubits))
        shared.append(sum(pairs) - whole)
    return [
        Row(14, "pairwise concurrence of W3", 2 / 3, concurrence(w.reduced(qubits[:2])), TOLERANCE, CKW),
        Row(14, "C²(A|BC) − C²(AB) − C²(AC) of W3", 0.0, all_w - sum(pairs_w), TOLERANCE, CKW),
        Row(14, "pairwise concurrence of GHZ3", 0.0, concurrence(ghz.reduced(qubits[:2])), TOLERANCE, CKW),
        Row(14, "largest violation, 20 random pure states", 0.0, max(0.0, *shared), TOLERANCE, CKW),
    ]


def mermin_experiment(num_nodes: int, phase_flip: float) -> float:
    """Σ (−1)^(k/2) ⟨P⟩ over strings of X and Y with an even number k of Y, each measured on a GHZ state of nodes."""
    network = star(num_nodes - 1, qubits=num_nodes)
    program = build_protocol("ghz_state", network, {})
    noise = Apply(channels.dephasing(phase_flip), program.qubits[:1])
    bits = tuple(f"m{k}" for k in range(num_nodes))
    total = 0.0
    for bases in itertools.product("XY", repeat=num_nodes):
        if bases.count("Y") % 2 == 0:
            measured = [Measure(q, bit, b) for q, bit, b in zip(program.qubits, bits, bases, strict=True)]
            value = parity(outcomes([*program.steps, noise, *measured], network, bits))
            total += (-1) ** (bases.count("Y") // 2) * value
    return total


def mermin() -> list[Row]:
    """The Mermin value of GHZ states over nodes, from outcomes of every setting."""
    rows = []
    for n, visibility, local in ((3, 1.0, 2), (4, 1.0, 4), (3, 0.9, 2)):
        value = mermin_experiment(n, (1 - visibility) / 2)
        case = f"Mermin value of GHZ{n}, V = {visibility:g} (local: {local})"
        rows.append(Row(15, case, 2 ** (n - 1) * visibility, value, TOLERANCE, "Mermin 1990"))
    return rows


def dephased_ghz() -> list[Row]:
    """A phase flip on every qubit of a GHZ state, made in one place and over nodes."""
    n, p = 4, 0.01
    expected = (1 + (1 - 2 * p) ** n) / 2
    lab, qubits = laboratory(n)
    network = star(n - 1, qubits=n)
    shared = build_protocol("ghz_state", network, {})
    rows = []
    for case, steps, place, names in (
        ("in one place", ghz_steps(qubits), lab, qubits),
        ("over 4 nodes", shared.steps, network, shared.qubits),
    ):
        flips = [Apply(channels.dephasing(p), (q,)) for q in names]
        value = ghz_fidelity(final_state([*steps, *flips], place, names))
        rows.append(Row(20, f"GHZ4 {case}, phase flip .01 each", expected, value, TOLERANCE, "elementary"))
    return rows


def _network_fan_out(network: Network, before: Sequence[Step]) -> tuple[list[Step], tuple[str, ...]]:
    """A fan-out from the hub of a star to its leaves by cat-entanglers, one pair a leaf."""
    leaves = [node.name for node in network.nodes[1:]]
    pairs = tuple((f"hub/{k + 1}", f"{leaf}/0") for k, leaf in enumerate(leaves))
    steps: list[Step] = [*prepared(["hub/0"]), *before, Generate(pairs)]
    for pair in pairs:
        steps += cat_entangle("hub/0", pair)
    return steps, ("hub/0", *(far for _, far in pairs))


def cascades() -> list[Row]:
    """One fault becomes many: its effect is that of the predicted faults after the gates."""
    n, source = 5, "elementary"
    lab, qubits = laboratory(n)
    start = [apply("ry", qubits[0], params=(0.7,))]
    early = [*prepared(qubits), *start, apply("x", qubits[0]), *fan_out(qubits)]
    clean = [*prepared(qubits), *start, *fan_out(qubits)]
    late = [*clean, *(apply("x", q) for q in qubits)]
    faulty = final_state(early, lab, qubits)

    network = star(n - 1, qubits=n)
    start = [apply("ry", "hub/0", params=(0.7,))]
    steps, names = _network_fan_out(network, [*start, apply("x", "hub/0")])
    after, _ = _network_fan_out(network, start)
    spread = final_state([*after, *(apply("x", q) for q in names)], network, names)
    shared = final_state(steps, network, names)

    small, (control, target) = laboratory(2)
    two = [*prepared((control, target)), *(apply("u", q, params=(0.4, 0.3, 0.2)) for q in (control, target))]
    copied = final_state([*two, apply("z", target), apply("cx", control, target)], small, (control, target))
    both = [*two, apply("cx", control, target), apply("z", control), apply("z", target)]
    return [
        Row(
            21,
            "X before a fan-out = X on all 5 after it",
            1.0,
            overlap(faulty, final_state(late, lab, qubits)),
            TOLERANCE,
            source,
        ),
        Row(
            21,
            "X before a fan-out against no fault",
            math.sin(0.7) ** 2,
            overlap(faulty, final_state(clean, lab, qubits)),
            TOLERANCE,
            source,
        ),
        Row(21, "the same over 5 nodes, by cat-entanglers", 1.0, overlap(shared, spread), TOLERANCE, source),
        Row(
            21,
            "Z on the target = Z on both after a CNOT",
            1.0,
            overlap(copied, final_state(both, small, (control, target))),
            TOLERANCE,
            source,
        ),
    ]


def dephased_cluster() -> list[Row]:
    """Independent Z errors on a linear cluster over a chain of nodes."""
    rows = []
    for n, p in ((3, 0.05), (5, 0.02)):
        network = chain(n, qubits=2)
        program: Program = build_protocol("graph_state", network, {})
        flips = [Apply(channels.dephasing(p), (q,)) for q in program.qubits]
        state = final_state([*program.steps, *flips], network, program.qubits)
        value = graph_state_fidelity(state, itertools.pairwise(range(n)))
        rows.append(
            Row(22, f"linear cluster of {n} nodes, Z error {p:g}", (1 - p) ** n, value, TOLERANCE, "PRA 107, 032424")
        )
    return rows
