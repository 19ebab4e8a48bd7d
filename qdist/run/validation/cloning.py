"""The row about the best copies that quantum mechanics allows: cloning machines as circuits."""

import math

import numpy as np

from qdist.network.program import Step, apply
from qdist.run.validation.simulate import CARDINAL, final_state, gates, laboratory, overlap, prepared
from qdist.run.validation.table import TOLERANCE, Row

SOURCE = "Bužek, Hillery 1996"
ANGLES = tuple(math.acos(value) for value in (1 / math.sqrt(5), math.sqrt(5) / 3, 2 / math.sqrt(5)))


def universal_cloner(original: str, blank: str, machine: str) -> list[Step]:
    """Copies any state into `original` and `blank`, both with fidelity 5/6.

    The blank and the machine start in (2|00⟩ + |01⟩ + |11⟩)/√6; four CNOTs copy. The network of gates is that of
    Bužek, Braunstein, Hillery and Bruß, PRA 56, 3446 (1997).
    """
    first, second, third = ANGLES
    return [
        apply("ry", blank, params=(first,)),
        apply("cx", blank, machine),
        apply("ry", machine, params=(second,)),
        apply("cx", machine, blank),
        apply("ry", blank, params=(third,)),
        apply("cx", original, blank),
        apply("cx", original, machine),
        apply("cx", blank, original),
        apply("cx", machine, original),
    ]


def phase_cloner(original: str, blank: str, machine: str) -> list[Step]:
    """Copies states of the equator with fidelity ½ + 1/√8: |10⟩ → (|10⟩ + |01⟩)/√2, no machine needed.

    Source: Niu and Griffiths, PRA 60, 2764 (1999).
    """
    return [apply("ch", original, blank), apply("cx", blank, original)]


def clone_fidelities(cloner, inputs: list[list[tuple[str, tuple[float, ...]]]]) -> np.ndarray:
    """Fidelities of both copies, shape (inputs, 2)."""
    lab, qubits = laboratory(3)
    table = []
    for names in inputs:
        start = [*prepared(qubits), *(apply(name, qubits[0], params=angles) for name, angles in names)]
        ideal = final_state(start, lab, qubits[:1])
        copies = final_state([*start, *cloner(*qubits)], lab, qubits)
        table.append([overlap(copies.reduced((q,)), ideal) for q in qubits[:2]])
    return np.array(table)
