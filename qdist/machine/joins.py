"""Clusters are joined as late as can be: an order of instructions in which most of them find small vectors.

A gate between two clusters makes one vector of both, and everything after it costs that vector's size. Gates that share
no qubit commute, so those that the joining gate does not hold up come before it, on small vectors: a state stays cut as
long as nothing connects its parts. A qubit that nothing needs again leaves its cluster, which may make another order
dearer than the one given: that one is among those that are compared.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import groupby

from qdist.machine.instructions import Act, Create, Instruction, JointRelax, Observe, Remove

SMALL_QUBITS = 6
"""Vectors of so few cost less than finding another order."""

LARGE_QUBITS = 20
"""Vectors of more fit into no memory, whatever the order."""

MOST_GATES = 20_000
"""That are priced in all orders together, which takes some 0.1 s: of long circuits fewer orders are compared."""

Gates = Mapping[int, tuple[str, ...]]
"""The qubits of gates by their numbers, ascending."""


def joined_late(instructions: Sequence[Instruction], leaving: Mapping[str, int]) -> list[int]:
    """Numbers of the instructions in an equivalent order.

    Operations without a condition move past others of these; everything else stays in its place.

    Args:
        instructions: In an order that respects cause and effect.
        leaving: Qubits that nothing needs again, not even the end, after the instruction with this number.
    """
    created = {qubit for one in instructions if isinstance(one, Create) for qubit in one.qubits}
    if len(created) <= SMALL_QUBITS:
        return list(range(len(instructions)))
    clusters = _Clusters()
    order: list[int] = []
    gone: dict[int, list[str]] = defaultdict(list)
    for qubit, number in leaving.items():
        gone[number].append(qubit)
    for moves, numbers in groupby(range(len(instructions)), lambda k: _moves(instructions[k])):
        stretch = list(numbers)
        if moves:
            acts = {number: instructions[number].qubits for number in stretch}  # type: ignore[union-attr]
            order += _reordered(acts, clusters, {q for q in _qubits(acts) if leaving.get(q, -1) >= stretch[0]})
        else:
            order += stretch
        for number in stretch:
            clusters.follow(instructions[number])
            for qubit in gone.get(number, ()):
                clusters.remove(qubit)
    return order


def _moves(instruction: Instruction) -> bool:
    return isinstance(instruction, Act) and instruction.when is None


def _qubits(gates: Gates) -> Iterable[str]:
    return dict.fromkeys(qubit for qubits in gates.values() for qubit in qubits)


def _reordered(acts: Gates, clusters: "_Clusters", leaving: set[str]) -> Iterable[int]:
    """Each component of qubits that the acts connect on its own."""
    gates = {number: qubits for number, qubits in acts.items() if len(qubits) > 1}
    touched = clusters.only(_qubits(gates))
    whole = touched.only(_qubits(gates))
    for qubits in gates.values():
        whole.join(qubits)
    components: dict[int, dict[int, tuple[str, ...]]] = defaultdict(dict)
    for number, qubits in gates.items():
        components[id(whole.of(qubits[0]))][number] = qubits
    order: list[int] = []
    for some in components.values():
        own = list(_qubits(some))
        parts = touched.parts(own)
        if len(parts) > 1 and SMALL_QUBITS < sum(map(len, parts)) <= LARGE_QUBITS:
            order += _cheapest(some, parts, leaving.intersection(own))
        else:
            order += some
    return acts if order == list(gates) else _with_others(acts, order)


def _with_others(acts: Gates, order: Sequence[int]) -> Iterator[int]:
    """Gates in an order; acts on a single qubit directly follow the gate before them, with which they are fused."""
    after: dict[int, list[int]] = defaultdict(list)
    last: dict[str, int] = defaultdict(lambda: -1)
    for number, qubits in acts.items():
        if len(qubits) == 1:
            after[last[qubits[0]]].append(number)
        else:
            last |= dict.fromkeys(qubits, number)
    yield from after[-1]
    for number in order:
        yield number
        yield from after[number]


def _cheapest(gates: Gates, parts: Sequence[set[str]], leaving: set[str]) -> list[int]:
    """The best of some orders: the one given, the smallest cluster first, or one that grows from each of the parts."""
    found = [_InTurn(gates, parts, leaving)]
    seeds = [None, *(min(part) for part in parts)][: max(1, MOST_GATES // len(gates) - 1)]
    found += [_Late(gates, parts, leaving, seed) for seed in seeds]
    for each in found:
        each.run()
    return min(found, key=lambda each: each.cost).order


class _InTurn:
    """Gates in the order given, and what it costs: the entries of the vectors that they act on."""

    def __init__(self, gates: Gates, parts: Sequence[set[str]], leaving: set[str]) -> None:
        self.gates, self.leaving = gates, leaving
        self.clusters = _Clusters(parts)
        self.left: dict[str, list[int]] = defaultdict(list)  # of each qubit, the next gate last
        for number in reversed(list(gates)):
            for qubit in gates[number]:
                self.left[qubit].append(number)
        self.order: list[int] = []
        self.cost = 0.0

    def run(self) -> None:
        """All gates."""
        for number in self.gates:
            self.do(number)

    def do(self, number: int) -> None:
        """One gate; qubits that nothing needs after it leave."""
        qubits = self.gates[number]
        self.cost += 4.0 ** len(self.clusters.join(qubits))
        self.order.append(number)
        for qubit in qubits:
            self.left[qubit].pop()
            if not self.left[qubit] and qubit in self.leaving:
                self.clusters.remove(qubit)


class _Late(_InTurn):
    """Gates that join nothing first; then the one that makes the smallest cluster, if it can be the seed's."""

    def __init__(self, gates: Gates, parts: Sequence[set[str]], leaving: set[str], seed: str | None) -> None:
        super().__init__(gates, parts, leaving)
        self.seed = seed

    def run(self) -> None:
        """All gates; those that could be next either join nothing, or are compared."""
        first = dict.fromkeys(queue[-1] for queue in self.left.values())
        inside: list[int] = []
        joining: list[int] = []
        self._sort([number for number in first if self._is_next(number)], inside, joining)
        while inside or joining:
            if inside:
                number = heappop(inside)
            else:
                number = min(joining, key=self._price)
                joining.remove(number)
            qubits = self.gates[number]
            joins = len(self.clusters.parts(qubits)) > 1
            self.do(number)
            after = dict.fromkeys(self.left[qubit][-1] for qubit in qubits if self.left[qubit])
            again = [number for number in after if self._is_next(number)]
            if joins:  # others may be within a cluster now
                again, joining = again + joining, []
            self._sort(again, inside, joining)

    def _sort(self, ready: Iterable[int], inside: list[int], joining: list[int]) -> None:
        for number in ready:
            if len(self.clusters.parts(self.gates[number])) == 1:
                heappush(inside, number)
            else:
                joining.append(number)

    def _is_next(self, number: int) -> bool:
        return all(self.left[qubit][-1] == number for qubit in self.gates[number])

    def _price(self, number: int) -> tuple[bool, int, int]:
        parts = self.clusters.parts(self.gates[number])
        grows = self.seed is None or any(self.seed in part for part in parts)
        return not grows, sum(map(len, parts)), number


class _Clusters:
    """Which qubits are in one vector, as far as their gates say."""

    def __init__(self, parts: Iterable[set[str]] = ()) -> None:
        self._of: dict[str, set[str]] = {}
        for part in parts:
            self._place(set(part))

    def _place(self, part: set[str]) -> None:
        self._of |= {qubit: part for qubit in part}

    def only(self, qubits: Iterable[str]) -> "_Clusters":
        """A copy of the clusters of some qubits."""
        return _Clusters(self.parts(qubits))

    def of(self, qubit: str) -> set[str]:
        """The cluster of a qubit."""
        return self._of[qubit]

    def parts(self, qubits: Iterable[str]) -> list[set[str]]:
        """The clusters of some qubits."""
        return list({id(part): part for part in map(self._of.__getitem__, qubits)}.values())

    def join(self, qubits: Iterable[str]) -> set[str]:
        """Make one cluster of those of some qubits, and return it."""
        parts = self.parts(qubits)
        if len(parts) == 1:
            return parts[0]
        largest, *others = sorted(parts, key=len, reverse=True)
        for other in others:
            largest |= other
            self._of |= {qubit: largest for qubit in other}
        return largest

    def remove(self, qubit: str) -> None:
        """Take a qubit out of its cluster."""
        if qubit in self._of:
            self._of.pop(qubit).discard(qubit)

    def follow(self, instruction: Instruction) -> None:
        """What an instruction creates, joins and takes away."""
        match instruction:
            case Create(qubits=qubits):
                self._place(set(qubits))
            case Act(qubits=qubits) | JointRelax(qubits=qubits) if len(qubits) > 1:
                self.join(qubits)
            case Remove(qubit=qubit) | Observe(qubit=qubit, keeps_qubit=False):
                self.remove(qubit)
