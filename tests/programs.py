"""Random programs on one node with every kind of step, as a program of the product and as a run of the reference."""

import numpy as np

from qdist.network.program import (
    Apply,
    Combine,
    Discard,
    Lose,
    Measure,
    Prepare,
    Program,
    Reset,
    apply,
    bit_is,
    parity_is,
    register_is,
)
from qdist.physics import channels
from tests.reference import PAULI, Reference

ONE = ("h", "s", "t", "x", "sx")
TWO = ("cx", "cz", "swap")
BASES = {"Z": ([1, 0], [0, 1]), "X": ([1, 1], [1, -1]), "Y": ([1, 1j], [1, -1j])}


def projectors(basis):
    kets = [np.array(k, complex) / np.linalg.norm(k) for k in BASES[basis]]
    return [np.outer(k, k.conj()) for k in kets]


def depolarizing_kraus(p):
    return [np.sqrt(1 - p) * PAULI["I"]] + [np.sqrt(p / 3) * PAULI[x] for x in "XYZ"]


def damping_kraus(gamma):
    return [np.array([[1, 0], [0, np.sqrt(1 - gamma)]]), np.array([[0, np.sqrt(gamma)], [0, 0]])]


RESET_KRAUS = [np.array([[1, 0], [0, 0]]), np.array([[0, 1], [0, 0]])]


class RandomProgram:
    """Writes the same random steps twice."""

    def __init__(self, seed, *, num_qubits=3, length=25):
        self.rng = np.random.default_rng(seed)
        self.names = [f"a/{i}" for i in range(num_qubits)]
        self.steps, self.reference = [], Reference()
        self.live, self.bits, self.count = [], [], 0
        for name in self.names:
            self.prepare(name)
        for _ in range(length):
            self.random_step()

    def program(self):
        return Program(tuple(self.steps), "random", tuple(self.bits), (), tuple(self.live))

    def prepare(self, name):
        self.steps.append(Prepare((name,)))
        self.reference.add([name], np.diag([1, 0]).astype(complex))
        self.live.append(name)

    def pick(self, k):
        return [str(q) for q in self.rng.choice(self.live, k, replace=False)]

    def condition(self):
        """A random test and the same question for the reference."""
        kind = self.rng.integers(4)
        if not self.bits or kind == 0:
            return None, lambda bits: True
        some = [str(b) for b in self.rng.choice(self.bits, min(len(self.bits), self.rng.integers(1, 4)), replace=False)]
        if kind == 1:
            return bit_is(some[0], 1), lambda bits: bits.get(some[0], 0) == 1
        if kind == 2:
            return parity_is(some, 1), lambda bits: sum(bits.get(b, 0) for b in some) % 2 == 1
        value = int(self.rng.integers(2 ** len(some)))
        return register_is(some, value), lambda bits: sum(bits.get(b, 0) << k for k, b in enumerate(some)) == value

    def new_bit(self):
        if self.bits and self.rng.random() < 0.3:
            return str(self.rng.choice(self.bits))
        self.bits.append(f"m{len(self.bits)}")
        return self.bits[-1]

    def random_step(self):
        choices = ["one", "two", "depolarize", "damp", "measure", "measure_if", "reset", "lose", "discard", "combine"]
        weights = np.array([5, 5, 1, 1, 2 * (len(self.bits) < 5), 1 * (0 < len(self.bits) < 5), 1, 0.5, 0.7, 0.5])
        if len(self.live) < 2:
            return self.prepare(next(n for n in self.names if n not in self.live))
        return getattr(self, self.rng.choice(choices, p=weights / weights.sum()))()

    def one(self):
        name, (qubit,), (test, when) = str(self.rng.choice(ONE)), self.pick(1), self.condition()
        step = apply(name, qubit, when=test)
        self.steps.append(step)
        self.reference.apply([step.operation.unitary], [qubit], when)

    def two(self):
        name, qubits, (test, when) = str(self.rng.choice(TWO)), self.pick(2), self.condition()
        step = apply(name, *qubits, when=test)
        self.steps.append(step)
        self.reference.apply([step.operation.unitary], qubits, when)

    def depolarize(self):
        p, (qubit,) = float(self.rng.random()), self.pick(1)
        self.steps.append(Apply(channels.depolarizing(p), (qubit,)))
        self.reference.apply(depolarizing_kraus(p), [qubit])

    def damp(self):
        gamma, (qubit,), (test, when) = float(self.rng.random()), self.pick(1), self.condition()
        self.steps.append(Apply(channels.amplitude_damping(gamma), (qubit,), test))
        self.reference.apply(damping_kraus(gamma), [qubit], when)

    def measure(self):
        basis, (qubit,), keep = str(self.rng.choice(list(BASES))), self.pick(1), bool(self.rng.integers(2))
        readout = (0.1, 0.2) if self.rng.integers(2) else (0.0, 0.0)
        bit = self.new_bit()
        self.steps.append(Measure(qubit, bit, basis, keep, readout))
        self.reference.measure(qubit, bit, projectors(basis), readout)
        if not keep:
            self.reference.discard(qubit)
            self.live.remove(qubit)

    def measure_if(self):
        (qubit,), (test, when) = self.pick(1), self.condition()
        bit = str(self.rng.choice(self.bits))
        self.steps.append(Measure(qubit, bit, "Z", True, (0.1, 0.0), test))
        self.reference.measure(qubit, bit, projectors("Z"), (0.1, 0.0), when)

    def reset(self):
        (qubit,), (test, when) = self.pick(1), self.condition()
        self.steps.append(Reset(qubit, test))
        self.reference.apply(RESET_KRAUS, [qubit], when)

    def lose(self):
        (qubit,) = self.pick(1)
        bit = self.new_bit()
        self.steps.append(Lose(qubit, bit, 0.3))
        kept, lost = [np.sqrt(0.7) * PAULI["I"]], [np.sqrt(0.3) * k for k in RESET_KRAUS]
        self.reference.branch_on(qubit, bit, [kept, lost])

    def discard(self):
        (qubit,) = self.pick(1)
        self.steps.append(Discard(qubit))
        self.reference.discard(qubit)
        self.live.remove(qubit)

    def combine(self):
        if len(self.bits) < 2:
            return
        some = [str(b) for b in self.rng.choice(self.bits, 2, replace=False)]
        self.bits.append(f"m{len(self.bits)}")
        self.steps.append(Combine(self.bits[-1], tuple(some)))
        for branch in self.reference.branches:
            branch.bits[self.bits[-1]] = sum(branch.bits.get(b, 0) for b in some) % 2
