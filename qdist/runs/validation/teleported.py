"""Rows about states and gates that are carried over a pair, and what they cost."""

from collections.abc import Callable, Sequence

import numpy as np

from qdist.network.graph import Network, chain, star
from qdist.network.program import Generate, Prepare, Program, Step, apply
from qdist.network.protocols import build_protocol, remote_gate, teleport
from qdist.physics.metrics import bell_fidelity
from qdist.physics.states import bell
from qdist.runs.validation.simulate import (
    CARDINAL,
    final_state,
    gates,
    laboratory,
    overlap,
    prepared,
    simulate,
)
from qdist.runs.validation.table import TOLERANCE, Row

EISERT = "Eisert 2000"
CONTROL, TARGET, PAIR = "n0/0", "n1/0", ("n0/1", "n1/1")


def _werner(fidelity: float, qubits: int) -> Network:
    return chain(2, qubits=qubits, link={"fidelity": fidelity})


def teleported_fidelity(fidelity: float) -> float:
    """Mean fidelity of six input states that together stand for all."""
    lab, (qubit,) = laboratory(1)
    values = []
    for names in CARDINAL:
        steps = [*prepared([CONTROL]), *gates(names, CONTROL), Generate((PAIR,)), *teleport(CONTROL, PAIR).steps]
        received = final_state(steps, _werner(fidelity, 2), (PAIR[1],))
        values.append(overlap(received, final_state([*prepared([qubit]), *gates(names, qubit)], lab, (qubit,))))
    return float(np.mean(values))


def teleportation() -> list[Row]:
    """The average from six states, and from the Choi state by F_avg = (2 F_pro + 1)/3."""
    f, source = 0.9, "Horodecki 1999"
    expected = (2 * f + 1) / 3
    network = _werner(f, 3)
    program = build_protocol("teleportation", network, {"source": "n0", "destination": "n1"})
    process = bell_fidelity(simulate(program, network).state(("n0/0", "n1/0")))
    return [
        Row(5, "teleportation over Werner .9, mean of 6 states", expected, teleported_fidelity(f), TOLERANCE, source),
        Row(5, "teleportation over Werner .9, Choi state", expected, (2 * process + 1) / 3, TOLERANCE, source),
    ]


def _ideal_choi() -> Program:
    """Two Bell pairs and a CNOT on one half of each, all in one place."""
    _, (r0, r1, control, target) = laboratory(4)
    steps: list[Step] = prepared([r0, r1, control, target])
    for reference, half in ((r0, control), (r1, target)):
        steps += [apply("h", reference), apply("cx", reference, half)]
    return Program((*steps, apply("cx", control, target)), qubits=(r0, r1, control, target))


def cnot_process_fidelity(fidelity: float) -> float:
    """Overlap of the Choi state of the remote CNOT with that of a perfect one."""
    network, ideal = _werner(fidelity, 4), _ideal_choi()
    program = build_protocol("remote_cnot", network, {"control": "n0", "target": "n1"})
    found = simulate(program, network).state(program.qubits)
    return overlap(found, final_state(ideal, laboratory(4)[0], ideal.qubits))


def _stabilizer_inputs(control: str, target: str) -> list[list[Step]]:
    """Steps that prepare each of the 60 stabilizer states of two qubits, a 2-design."""
    products = [
        [*prepared([control, target]), *gates(a, control), *gates(b, target)] for a in CARDINAL for b in CARDINAL
    ]
    entangled: list[list[Step]] = [
        [Prepare((control, target), bell()), *gates(("s",) * k, target), *gates(b, target)]
        for k in range(4)
        for b in CARDINAL
    ]
    return products + entangled


def cnot_average_fidelity(fidelity: float) -> float:
    """Mean fidelity of the output of the remote CNOT over 60 input states."""
    network, (lab, (control, target)) = _werner(fidelity, 2), laboratory(2)
    remote = [Generate((PAIR,)), *remote_gate("cx", CONTROL, TARGET, PAIR).steps]
    inputs = zip(_stabilizer_inputs(CONTROL, TARGET), _stabilizer_inputs(control, target), strict=True)
    values = []
    for far, near in inputs:
        ideal = final_state([*near, apply("cx", control, target)], lab, (control, target))
        values.append(overlap(final_state([*far, *remote], network, (CONTROL, TARGET)), ideal))
    return float(np.mean(values))


def remote_cnot() -> list[Row]:
    """The cat-entangler over Werner pairs: its process fidelity, and its average fidelity from output states."""
    rows = []
    for f in (0.9, 0.95):
        rows.append(Row(6, f"remote CNOT over Werner {f:g}, process", f, cnot_process_fidelity(f), TOLERANCE, EISERT))
        average = cnot_average_fidelity(f)
        case = f"remote CNOT over Werner {f:g}, mean of 60 states"
        rows.append(Row(6, case, (4 * f + 1) / 5, average, TOLERANCE, EISERT))
    return rows


def _spent(case: str, build: Callable[[Network], Program], pairs: int, bits: int) -> list[Row]:
    network = _werner(0.9, 4)
    ledger = simulate(build(network), network).attributes
    return [
        Row(7, f"{case}: pairs", pairs, float(ledger["total_pairs_used"]), 0.0, EISERT),
        Row(7, f"{case}: bits", bits, float(ledger["total_bits_sent"]), 0.0, EISERT),
    ]


def costs() -> list[Row]:
    """Pairs and bits in the ledger."""

    def cnot(scheme: str) -> Callable[[Network], Program]:
        names = {"control": "n0", "target": "n1", "scheme": scheme}
        return lambda network: build_protocol("remote_cnot", network, names)

    def move(network: Network) -> Program:
        return build_protocol("teleportation", network, {"source": "n0", "destination": "n1"})

    return [
        *_spent("remote CNOT by cat state", cnot("cat"), 1, 2),
        *_spent("remote CNOT, control teleported", cnot("teleport"), 1, 2),
        *_spent("remote CNOT, control teleported and back", cnot("teleport_back"), 2, 4),
        *_spent("teleporting a qubit", move, 1, 2),
    ]


def ghz_costs() -> list[Row]:
    """Pairs in the ledger of a GHZ state over k nodes, along a line and in a star."""
    rows = []
    cases: Sequence[tuple[str, Network]] = (
        ("chain of 3", chain(3, qubits=2)),
        ("chain of 6", chain(6, qubits=2)),
        ("star of 5", star(4, qubits=5)),
    )
    for case, network in cases:
        made = simulate(build_protocol("ghz_state", network, {}), network).attributes["total_pairs_made"]
        rows.append(Row(26, f"GHZ over a {case} nodes: pairs", len(network.nodes) - 1, float(made), 0.0, "–"))
    return rows
