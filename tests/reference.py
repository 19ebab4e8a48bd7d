"""A slow, plain reference: density matrices as dense arrays, one branch per outcome, `np.kron` and `@`.

It shares no code with the product: programs are read by the names of their steps, gates by their unitary matrices,
channels by Kraus operators that the tests hand over.
"""

from dataclasses import dataclass, field
from functools import reduce

import numpy as np

PAULI = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], complex),
    "Y": np.array([[0, -1j], [1j, 0]], complex),
    "Z": np.diag([1, -1]).astype(complex),
}


def kron(*matrices):
    return reduce(np.kron, matrices, np.eye(1, dtype=complex))


def embed(matrix, positions, num_qubits):
    """The matrix of an operator on some qubits, on all of them: a sum over its Pauli decomposition."""
    k = len(positions)
    total = np.zeros((2**num_qubits, 2**num_qubits), complex)
    for labels in np.ndindex(*(4,) * k):
        letters = ["IXYZ"[i] for i in labels]
        weight = np.trace(kron(*(PAULI[x] for x in letters)).conj().T @ matrix) / 2**k
        if abs(weight) > 1e-15:
            factors = [PAULI["I"]] * num_qubits
            for letter, position in zip(letters, positions, strict=True):
                factors[position] = PAULI[letter]
            total += weight * kron(*factors)
    return total


@dataclass
class Branch:
    """One history: its outcomes, and its density matrix with the probability as trace."""

    bits: dict
    rho: np.ndarray


@dataclass
class Reference:
    """All branches of a program on named qubits."""

    qubits: list = field(default_factory=list)
    branches: list = field(default_factory=lambda: [Branch({}, np.eye(1, dtype=complex))])

    def add(self, names, rho):
        self.qubits = [*self.qubits, *names]
        for branch in self.branches:
            branch.rho = np.kron(branch.rho, rho)

    def apply(self, kraus, names, when=lambda bits: True):
        operators = [embed(k, [self.qubits.index(n) for n in names], len(self.qubits)) for k in kraus]
        for branch in self.branches:
            if when(branch.bits):
                branch.rho = sum(k @ branch.rho @ k.conj().T for k in operators)

    def measure(self, name, bit, projectors, readout=(0.0, 0.0), when=lambda bits: True):
        p01, p10 = readout
        chances = [[1 - p01, p10], [p01, 1 - p10]]
        full = [embed(p, [self.qubits.index(name)], len(self.qubits)) for p in projectors]
        new = []
        for branch in self.branches:
            if not when(branch.bits):
                new.append(Branch({**branch.bits, bit: branch.bits.get(bit, 0)}, branch.rho))
                continue
            for read in (0, 1):
                rho = sum(chances[read][o] * full[o] @ branch.rho @ full[o].conj().T for o in (0, 1))
                new.append(Branch({**branch.bits, bit: read}, rho))
        self.branches = new

    def branch_on(self, name, bit, kraus_by_outcome):
        new = []
        for branch in self.branches:
            for outcome, kraus in enumerate(kraus_by_outcome):
                ops = [embed(k, [self.qubits.index(name)], len(self.qubits)) for k in kraus]
                new.append(Branch({**branch.bits, bit: outcome}, sum(k @ branch.rho @ k.conj().T for k in ops)))
        self.branches = new

    def discard(self, name):
        k, n = self.qubits.index(name), len(self.qubits)
        for branch in self.branches:
            array = branch.rho.reshape((2,) * (2 * n))
            branch.rho = np.trace(array, axis1=k, axis2=n + k).reshape(2 ** (n - 1), 2 ** (n - 1))
        self.qubits = [q for q in self.qubits if q != name]

    def herald(self, holds):
        self.branches = [branch for branch in self.branches if holds(branch.bits)]

    def state(self, names):
        """The reduced density matrix of some qubits, with the probability as trace."""
        copy = Reference(list(self.qubits), [Branch({}, sum(b.rho for b in self.branches))])
        for name in self.qubits:
            if name not in names:
                copy.discard(name)
        n = len(names)
        order = [copy.qubits.index(name) for name in names]
        array = copy.branches[0].rho.reshape((2,) * (2 * n))
        return array.transpose(order + [n + k for k in order]).reshape(2**n, 2**n)

    def distribution(self, bits):
        table = {}
        for branch in self.branches:
            key = "".join(str(branch.bits.get(bit, 0)) for bit in bits)
            table[key] = table.get(key, 0.0) + np.trace(branch.rho).real
        return table
