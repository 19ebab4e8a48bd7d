"""Who waits for a race: all races followed at once, against each of them followed alone."""

import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.network.delays import bystanders
from qdist.network.graph import chain
from qdist.network.ordering import BRANCHES, dependencies, is_race
from qdist.network.ownership import check_program
from qdist.network.program import (
    Combine,
    Discard,
    Generate,
    Herald,
    Measure,
    Prepare,
    Program,
    Record,
    Send,
    Twirl,
    Wait,
    apply,
    bit_is,
)

NETWORK = chain(4, qubits=3, link={"length": 1e7, "success_probability": 0.5})
QUBITS = NETWORK.qubit_names
NODES = [node.name for node in NETWORK.nodes]


class RandomSteps:
    """A random program that keeps the rules, with every kind of step that delays pass through."""

    def __init__(self, seed, length=40):
        self.rng = np.random.default_rng(seed)
        self.steps, self.bits = [], []
        kinds = [
            self.generate,
            self.generate,
            self.measure,
            self.send,
            self.gate,
            self.other,
            self.herald,
            self.combine,
        ]
        while length:
            length -= 1
            step = kinds[self.rng.integers(len(kinds))]()
            try:
                check_program(Program((*self.steps, step)), NETWORK)
            except (QdistError, IndexError):
                continue
            self.steps.append(step)
            self.bits += [step.bit] if hasattr(step, "bit") else []

    def some(self, names, count):
        return tuple(str(name) for name in self.rng.choice(names, count, replace=False))

    def known(self, count=1):
        return self.some(sorted(set(self.bits)) or ["none"], min(count, max(1, len(set(self.bits)))))

    def when(self):
        return bit_is(*self.known()) if self.rng.random() < 0.4 else None

    def generate(self):
        links = self.rng.choice(3, self.rng.integers(1, 3), replace=False)
        pairs = tuple((f"n{i}/{self.rng.integers(3)}", f"n{i + 1}/{self.rng.integers(3)}") for i in links)
        return Generate(pairs, self.some(QUBITS, self.rng.integers(2)))

    def measure(self):
        bit = self.known()[0] if self.bits and self.rng.random() < 0.3 else f"b{len(self.steps)}"
        keep = bool(self.rng.random() < 0.5)
        return Measure(*self.some(QUBITS, 1), bit, keep=keep, when=self.when() if keep else None)

    def send(self):
        return Send(self.known(2), *self.some(NODES, 2))

    def gate(self):
        node, (first, second) = self.rng.choice(NODES), self.some(range(3), 2)
        return apply("cx", f"{node}/{first}", f"{node}/{second}", when=self.when())

    def other(self):
        (qubit,), kind = self.some(QUBITS, 1), self.rng.integers(5)
        others = (Record("now"), Discard(qubit), Prepare((qubit,)), Wait((qubit,), 0.1), Twirl(self.some(QUBITS, 2)))
        return others[kind]

    def herald(self):
        return Herald(bit_is(*self.known()), f"herald {len(self.steps)}", self.some(QUBITS, self.rng.integers(3)))

    def combine(self):
        return Combine(f"c{len(self.steps)}", self.known(self.rng.integers(1, 3)) if self.rng.random() < 0.8 else ())


@pytest.mark.parametrize("seed", range(150))
def test_who_waits_for_a_race_does_not_hang_on_the_other_races(seed):
    steps = RandomSteps(seed).steps
    groups = (("n0/0", "n3/0"), ("n1/0",))
    ties = [tuple(names - {BRANCHES} for names in dependencies(step, NETWORK, groups)) for step in steps]
    races = [place for place, step in enumerate(steps) if is_race(step, NETWORK)]

    together = bystanders(steps, ties, NETWORK, races)

    assert list(together) == races
    for race in races:
        assert bystanders(steps, ties, NETWORK, {race}) == {race: together[race]}


def test_a_qubit_waits_where_it_meets_what_is_late_and_not_where_it_does_not():
    steps = [
        Generate((("n0/0", "n1/0"),)),
        Prepare(("n1/1", "n2/1", "n3/0")),
        Generate((("n1/2", "n2/2"),)),
        apply("cx", "n1/2", "n1/1"),
        apply("x", "n2/1"),
        Measure("n2/2", "m"),
        Send(("m",), "n2", "n3"),
        apply("x", "n3/0", when=bit_is("m")),
        Record("end"),
    ]
    ties = [tuple(names - {BRANCHES} for names in dependencies(step, NETWORK, (("n0/0", "n3/0"),))) for step in steps]

    found = bystanders(steps, ties, NETWORK, {0, 2})

    assert found[2] == ["n1/1", "n3/0", "n0/0"]
    assert found[0] == []


def test_a_qubit_that_waits_for_thousands_of_races_is_found_for_each():
    steps = [Generate((("n0/0", "n1/0"),)), Measure("n1/0", "m")]
    for _ in range(2000):
        steps += [Generate((("n1/0", "n2/0"),), ("n0/0",)), Discard("n1/0"), Discard("n2/0")]
    steps.append(Record("end"))
    ties = [tuple(names - {BRANCHES} for names in dependencies(step, NETWORK, (("n0/0", "n2/0"),))) for step in steps]
    races = {place for place, step in enumerate(steps) if is_race(step, NETWORK)}

    found = bystanders(steps, ties, NETWORK, races)

    assert [len(found[race]) for race in sorted(races)] == [0, *[1] * 2000]
