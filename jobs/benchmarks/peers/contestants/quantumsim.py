"""quantumsim: Pauli vectors as here, contracted by `numpy.einsum` where there is no GPU, in float64."""

from functools import cache
from itertools import product
from typing import Any

import numpy as np

from jobs.benchmarks.peers.circuits import Case, Gate

PACKAGES = ("quantumsim",)
PRECISIONS = ("float64",)


class Ready:
    """Gate and noise are one matrix on two qubits; on one qubit quantumsim multiplies them itself."""

    def __init__(self, case: Case) -> None:
        self.num_qubits = case.num_qubits
        self.steps: list[tuple[tuple[int, ...], np.ndarray]] = []
        for one in case.operations:
            matrix = transfer_matrix(one)
            if len(one.qubits) == 2 and not isinstance(one, Gate) and self.steps and self.steps[-1][0] == one.qubits:
                self.steps[-1] = one.qubits, matrix @ self.steps[-1][1]
            else:
                self.steps.append((one.qubits, matrix))

    def run(self) -> tuple[float, None]:
        diagonal = self._diagonal()
        for _ in range(self.num_qubits):
            diagonal = diagonal.reshape(-1, 2) @ np.array([1.0, -1.0])
        return float(diagonal[0]), None

    def probabilities(self) -> np.ndarray:
        return self._diagonal()

    def _diagonal(self) -> np.ndarray:
        from quantumsim.dm_np import DensityNP
        from quantumsim.sparsedm import SparseDM

        state = SparseDM(self.num_qubits, density_class=DensityNP)
        for qubits, matrix in self.steps:
            if len(qubits) == 1:
                state.apply_ptm(qubits[0], matrix)
            else:
                # The first bit that it takes is the least significant one of the matrix.
                state.apply_two_ptm(*reversed(qubits), matrix)
        state.apply_all_pending()
        for qubit in range(self.num_qubits):
            state.ensure_dense(qubit)
        order = [state.idx_in_full_dm[qubit] for qubit in range(self.num_qubits)]
        table = state.full_dm.get_diag().reshape((2,) * self.num_qubits).transpose()
        return table.transpose(order).reshape(-1)


def transfer_matrix(one: Any) -> np.ndarray:
    from qdist import gate

    if isinstance(one, Gate):
        return ptm(np.asarray(gate(one.name, *one.params).unitary))
    k = len(one.qubits)
    weight = one.probability / (4**k - 1)
    return (1 - one.probability) * np.eye(4**k) + weight * sum(pauli_ptms(k)[1:])


@cache
def pauli_ptms(num_qubits: int) -> list[np.ndarray]:
    """Of all Pauli strings, the identity first."""
    paulis = [np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])]
    strings = product(paulis, repeat=num_qubits)
    return [ptm(string[0] if num_qubits == 1 else np.kron(*string)) for string in strings]


def ptm(operator: np.ndarray) -> np.ndarray:
    from quantumsim import ptm as convert

    return (convert.single_kraus_to_ptm if len(operator) == 2 else convert.double_kraus_to_ptm)(operator)


def ready(case: Case, precision: str, threads: int) -> Ready:
    """NumPy's threads are set by the environment of the process."""
    return Ready(case)
