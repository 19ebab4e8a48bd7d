"""Clusters are joined as late as can be: an order of instructions in which most of them find small vectors.

A gate between two clusters makes one vector of both, and everything after it costs that vector's size. Gates that share
no qubit commute, so those that the joining gate does not hold up come before it, on small vectors: a state stays cut as
long as nothing connects its parts.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

from qdist.machine.instructions import Act, Create, Instruction, JointRelax, Observe, Remove

SMALL_QUBITS = 6
"""Vectors of so few cost less than finding another order."""

LARGE_QUBITS = 20
"""Vectors of more fit into no memory, whatever the order."""


def joined_late(instructions: Sequence[Instruction]) -> list[Instruction]:
    """The same instructions in an equivalent order.

    Operations without a condition move past others of these; everything else stays in its place.
    """
    clusters = _Clusters()
    found: list[Instruction] = []
    for moves, some in groupby(instructions, lambda one: isinstance(one, Act) and one.when is None):
        stretch = list(some)
        found += _reordered(stretch, clusters) if moves else stretch  # type: ignore[arg-type]
        for instruction in stretch:
            clusters.follow(instruction)
    return found


def _reordered(acts: list[Act], clusters: "_Clusters") -> list[Act]:
    """Each component of qubits that the acts connect on its own."""
    gates = [number for number, act in enumerate(acts) if len(act.qubits) > 1]
    whole = clusters.copy()
    for number in gates:
        whole.join(acts[number].qubits)
    components = defaultdict(list)
    for number in gates:
        components[id(whole.of(acts[number].qubits[0]))].append(number)
    order, is_new = [], False
    for numbers in components.values():
        size = len(whole.of(acts[numbers[0]].qubits[0]))
        if SMALL_QUBITS < size <= LARGE_QUBITS:
            numbers, is_new = _cheapest({number: acts[number].qubits for number in numbers}, clusters), True
        order += numbers
    return list(_with_others(acts, order)) if is_new else acts


def _with_others(acts: Sequence[Act], order: Sequence[int]) -> Iterator[Act]:
    """Gates in an order; acts on a single qubit directly follow the gate before them, with which they are fused."""
    after: dict[int, list[Act]] = defaultdict(list)
    last: dict[str, int] = defaultdict(lambda: -1)
    for number, act in enumerate(acts):
        if len(act.qubits) == 1:
            after[last[act.qubits[0]]].append(act)
        else:
            last |= dict.fromkeys(act.qubits, number)
    yield from after[-1]
    for number in order:
        yield acts[number]
        yield from after[number]


def _cheapest(gates: dict[int, tuple[str, ...]], clusters: "_Clusters") -> list[int]:
    """The best of some orders: the smallest cluster first, or one that grows from each of the qubits."""
    qubits = dict.fromkeys(qubit for gate in gates.values() for qubit in gate)
    return min((_order(gates, clusters.copy(), seed) for seed in (None, *qubits)), key=lambda found: found[0])[1]


def _order(gates: dict[int, tuple[str, ...]], clusters: "_Clusters", seed: str | None) -> tuple[float, list[int]]:
    """Gates that join nothing first; then the one that makes the smallest cluster, of those that let the seed's grow.

    Returns:
        Entries of the vectors that the gates act on, and the numbers of the gates in their order.
    """
    queues: dict[str, list[int]] = defaultdict(list)  # of each qubit, the first gate last
    for number in reversed(gates):
        for qubit in gates[number]:
            queues[qubit].append(number)
    total = len(frozenset().union(*clusters.parts(list(queues))))
    cost, order = 0.0, []
    ready = {queue[-1] for queue in queues.values() if _is_next(queue[-1], gates, queues)}
    largest = 0
    while ready and largest < total:

        def price(number: int) -> tuple[bool, bool, int, int]:
            parts = clusters.parts(gates[number])
            grows = seed is not None and any(seed in part for part in parts)
            return len(parts) > 1, seed is not None and not grows, sum(map(len, parts)), number

        number = min(ready, key=price)
        size = len(clusters.join(gates[number]))
        largest = max(largest, size)
        cost += 4.0**size
        order.append(number)
        ready.remove(number)
        for qubit in gates[number]:
            queues[qubit].pop()
        ready |= {
            queues[qubit][-1] for qubit in gates[number] if queues[qubit] and _is_next(queues[qubit][-1], gates, queues)
        }
    done = set(order)
    rest = [number for number in gates if number not in done]
    return cost + len(rest) * 4.0**total, order + rest


def _is_next(number: int, gates: dict[int, tuple[str, ...]], queues: dict[str, list[int]]) -> bool:
    return all(queues[qubit][-1] == number for qubit in gates[number])


class _Clusters:
    """Which qubits are in one vector, as far as their gates say: a cluster is the set of its qubits."""

    def __init__(self, of: dict[str, frozenset[str]] | None = None) -> None:
        self._of = {} if of is None else of

    def copy(self) -> "_Clusters":
        return _Clusters(dict(self._of))

    def of(self, qubit: str) -> frozenset[str]:
        return self._of[qubit]

    def parts(self, qubits: Sequence[str]) -> list[frozenset[str]]:
        """The clusters of some qubits."""
        return list({id(part): part for part in map(self._of.__getitem__, qubits)}.values())

    def join(self, qubits: Sequence[str]) -> frozenset[str]:
        """Make one cluster of those of some qubits, and return it."""
        parts = self.parts(qubits)
        if len(parts) == 1:
            return parts[0]
        joined = frozenset().union(*parts)
        self._of |= dict.fromkeys(joined, joined)
        return joined

    def follow(self, instruction: Instruction) -> None:
        """What an instruction creates, joins and takes away."""
        match instruction:
            case Create(qubits=qubits):
                self._of |= dict.fromkeys(qubits, frozenset(qubits))
            case Act(qubits=qubits) | JointRelax(qubits=qubits):
                self.join(qubits)
            case Remove(qubit=qubit) | Observe(qubit=qubit, keeps_qubit=False):
                left = self._of.pop(qubit) - {qubit}
                self._of |= dict.fromkeys(left, left)
