"""What other simulators would send: a complex density matrix, moved in and out for every gate. A model, not a run.

With the most significant qubits of a density matrix distributed over ranks, as in QuEST (Jones et al., Sci. Rep. 9,
10736 (2019), and the communication of its version 4), an operation on a distributed qubit exchanges, with E entries
of 16 bytes on each rank:

| operation on a distributed qubit | bytes sent by the busiest rank |
|---|---|
| diagonal unitary, dephasing, control of a gate, measurement | 0 |
| other unitary of one or two qubits; Pauli channel | 16 E |
| depolarizing, of one or two qubits | 8 E |
| damping, relaxation | 8 E |
"""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np

from qdist.machine.coherence import TINY
from qdist.machine.instructions import Act, EachShot, Instruction


def in_and_out_bytes(instructions: Iterable[Instruction], split: Collection[str], entries: int) -> int:
    """Bytes that the busiest rank would send.

    Args:
        instructions: Gate by gate, as lowered; nothing is fused.
        split: The distributed qubits, one for each rank bit.
        entries: Of the matrix on each rank, 4ⁿ/P.
    """
    return sum(_weight(step, split) for step in instructions if isinstance(step, Act)) * entries


def _weight(act: Act, split: Collection[str]) -> int:
    """Bytes for each entry that a rank holds."""
    places = [k for k, qubit in enumerate(act.qubits) if qubit in split]
    matrix = np.asarray(act.matrix.like if isinstance(act.matrix, EachShot) else act.matrix, float)
    if not places:
        return 0
    diagonal = np.diagonal(matrix)
    if np.allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-9) and not _is_pauli_channel(matrix):
        return 16 * any(not _keeps_z(diagonal, place, len(act.qubits)) for place in places)
    if _is_pauli_channel(matrix):
        if all(_keeps_z(diagonal, place, len(act.qubits)) for place in places):
            return 0
        return 8 if np.allclose(diagonal[1:], diagonal[1], atol=1e-12) else 16
    return 8


def _is_pauli_channel(matrix: Any) -> bool:
    return bool(np.abs(matrix - np.diag(np.diagonal(matrix))).max() < TINY)


def _keeps_z(diagonal: np.ndarray, place: int, count: int) -> bool:
    """Whether Z of a qubit becomes itself: populations of that qubit are not moved."""
    return bool(abs(diagonal[4 ** (count - 1 - place)] - 1) < 1e-12)
