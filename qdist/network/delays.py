"""Who waits for a race of links: which qubits, links and bits its random delay reaches, followed step by step.

All races are followed at once. What may be late has a set of races that make it late: an integer with a bit for each,
so a step costs a few operations on integers however many races came before it.
"""

from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field

from qdist.machine.instructions import Test
from qdist.network.graph import Network
from qdist.network.program import (
    Apply,
    Combine,
    Discard,
    Generate,
    Herald,
    Lose,
    Measure,
    Prepare,
    Record,
    Reset,
    Send,
    Step,
    Twirl,
)

Ties = tuple[set[str], set[str]]
Races = int


def bystanders(
    steps: Sequence[Step], ties: Sequence[Ties], network: Network, races: Container[int]
) -> dict[int, list[str]]:
    """For each race, which live qubits wait for it: their next step depends on it, or they are recorded after it.

    Args:
        steps: In the order in which they are lowered.
        ties: What each step looks at, and what it changes (`qdist.network.ordering.dependencies`).
        network: Where the program runs.
        races: Places in `steps` of the `Generate` steps whose end is random.

    Returns:
        The qubits in the order in which it is found out, by the place of the race. Whether a qubit was ready when the
        race began is for the caller to know.
    """
    last: dict[str, int] = {}
    for place, step in enumerate(steps):
        if not isinstance(step, Record):
            last |= dict.fromkeys(set.union(*ties[place]), place)
    delays, places = _Delays(network), [place for place in range(len(steps)) if place in races]
    found: dict[int, list[str]] = {place: [] for place in places}
    begun = 0
    undecided: dict[str, Races] = defaultdict(int)
    live: set[str] = set()
    for place, (step, (reads, writes)) in enumerate(zip(steps, ties, strict=True)):
        starts_late = delays.follow(step)
        if isinstance(step, Record):
            depends = delays.late_of(reads)
            deciding = {qubit: depends for qubit in reads if last.get(qubit, -1) < place}
            late = deciding
        else:
            deciding = {name: ~starts_late for name in reads} | dict.fromkeys(writes, -1)
            late = delays.late
        for name in sorted(undecided.keys() & deciding.keys()):
            decided = undecided[name] & deciding[name]
            for race in _members(decided & late.get(name, 0)):
                found[places[race]].append(name)
            undecided[name] &= ~decided
            if not undecided[name]:
                del undecided[name]
        _follow_life(live, step)
        if place in found:
            delays.begin(begun, writes)
            for qubit in live.difference(writes):
                undecided[qubit] |= 1 << begun
            begun += 1
    return found


def _follow_life(live: set[str], step: Step) -> None:
    match step:
        case Prepare(qubits=qubits):
            live.update(qubits)
        case Generate(pairs=pairs):
            live.update(qubit for pair in pairs for qubit in pair)
        case Measure(qubit=qubit, keep=False) | Discard(qubit=qubit):
            live.discard(qubit)


def _members(races: Races) -> Iterator[int]:
    while races:
        lowest = races & -races
        yield lowest.bit_length() - 1
        races ^= lowest


@dataclass
class _Delays:
    """What is late, and because of which races.

    Attributes:
        network: Where the program runs.
        late: By the name of a qubit or a link.
        bits: By bit, and by the node that knows it.
    """

    network: Network
    late: dict[str, Races] = field(default_factory=dict)
    bits: dict[str, dict[str, Races]] = field(default_factory=dict)

    def begin(self, race: int, names: set[str]) -> None:
        """What a race makes late at once."""
        for name in names:
            self.late[name] = self.late.get(name, 0) | 1 << race

    def late_of(self, names: set[str]) -> Races:
        """The races that make any of these late."""
        races = 0
        for name in names:
            races |= self.late.get(name, 0)
        return races

    def follow(self, step: Step) -> Races:
        """Go through a step; the races because of which it is a `Generate` that starts late."""
        match step:
            case Generate(pairs=pairs, after=after):
                names = {qubit for pair in pairs for qubit in pair} | {self._link(pair) for pair in pairs}
                return self._together(names, self.late_of(set(after)))
            case Prepare(qubits=qubits, state=state) if state is not None:
                self._together(set(qubits))
            case Twirl(pair=pair):
                self._together(set(pair))
            case Apply(qubits=qubits, when=when):
                self._together(set(qubits), self._waits(when, qubits[0]))
            case Reset(qubit=qubit, when=when):
                self._together({qubit}, self._waits(when, qubit))
            case Measure(qubit=qubit, bit=bit, when=when):
                node = self._node(qubit)
                old = 0 if when is None else self.bits.get(bit, {}).get(node, 0)
                self.bits[bit] = {node: self._together({qubit}, self._waits(when, qubit)) | old}
            case Lose(qubit=qubit, flag=flag):
                self.bits[flag] = {self._node(qubit): self.late.get(qubit, 0)}
            case Herald(test=test, qubits=qubits):
                for qubit in qubits:
                    self._together({qubit}, self._waits(test, qubit))
            case Send(bits=bits, source=source, destination=destination):
                late = 0
                for bit in bits:
                    late |= self.bits[bit][source]
                for bit in bits:
                    # Where it is known already it is late only if it was.
                    self.bits[bit][destination] = late & self.bits[bit].get(destination, late)
            case Combine(bit=bit, of=of):
                nodes: set[str] = {node.name for node in self.network.nodes} if not of else set(self.bits[of[0]])
                nodes = nodes.intersection(*(self.bits[b] for b in of))
                self.bits[bit] = {node: self._any(of, node) for node in nodes}
        return 0

    def _node(self, qubit: str) -> str:
        return self.network.node_of(qubit).name

    def _link(self, pair: tuple[str, str]) -> str:
        return f" {self.network.link(*map(self._node, pair)).name}"

    def _any(self, bits: Sequence[str], node: str) -> Races:
        races = 0
        for bit in bits:
            races |= self.bits.get(bit, {}).get(node, 0)
        return races

    def _waits(self, test: Test | None, qubit: str) -> Races:
        return 0 if test is None else self._any(test.bits, self._node(qubit))

    def _together(self, names: set[str], late: Races = 0) -> Races:
        """What makes one of them late makes all of them late."""
        late |= self.late_of(names)
        if late:
            self.late |= dict.fromkeys(names, late)
        return late
