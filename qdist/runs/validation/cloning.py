"""The row about the best copies that quantum mechanics allows: cloning machines as circuits."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from qdist.network.program import Apply, apply
from qdist.runs.validation.simulate import CARDINAL, final_state, gates, laboratory, overlap, prepared
from qdist.runs.validation.table import TOLERANCE, Row

Cloner = Callable[[str, str, str], list[Apply]]

SOURCE = "Bužek 1996"
ANGLES = tuple(math.acos(value) for value in (1 / math.sqrt(5), math.sqrt(5) / 3, 2 / math.sqrt(5)))


def universal_cloner(original: str, blank: str, machine: str) -> list[Apply]:
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


def phase_cloner(original: str, blank: str, machine: str) -> list[Apply]:
    """Copies states of the equator with fidelity ½ + 1/√8: |10⟩ → (|10⟩ + |01⟩)/√2, no machine needed.

    Source: Niu and Griffiths, PRA 60, 2764 (1999).
    """
    return [apply("ch", original, blank), apply("cx", blank, original)]


def clone_fidelities(cloner: Cloner, inputs: Iterable[Sequence[Apply]]) -> np.ndarray:
    """Fidelities of both copies with each input state, shape (inputs, 2)."""
    lab, qubits = laboratory(3)
    rows = []
    for turns in inputs:
        start = [*prepared(qubits), *turns]
        ideal = final_state(start, lab, qubits[:1])
        copies = final_state([*start, *cloner(*qubits)], lab, qubits)
        rows.append([overlap(copies.reduced((qubit,)), ideal) for qubit in qubits[:2]])
    return np.array(rows)


def cloning() -> list[Row]:
    """The least and the most faithful of all copies: a universal machine treats all states and both copies alike."""
    original = laboratory(3)[1][0]
    anywhere = [gates(names, original) for names in CARDINAL] + [[apply("u", original, params=(0.4, 1.3, 0.0))]]
    equator = [[apply("h", original), apply("p", original, params=(angle,))] for angle in (0.0, 0.5, 2.0, 4.0)]
    rows = []
    for case, cloner, inputs, expected in (
        ("universal cloner", universal_cloner, anywhere, 5 / 6),
        ("phase-covariant cloner", phase_cloner, equator, 1 / 2 + 1 / math.sqrt(8)),
    ):
        found = clone_fidelities(cloner, inputs)
        for which, value in (("worst", found.min()), ("best", found.max())):
            rows.append(Row(19, f"{case}, {which} of {found.size} copies", expected, float(value), TOLERANCE, SOURCE))
    return rows
