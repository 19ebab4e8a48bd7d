"""Which qubits, links and bits a random delay reaches, followed step by step: what waits for a race of links."""

from collections.abc import Container
from dataclasses import dataclass, field

from qdist.machine.instructions import Test
from qdist.network.graph import Network
from qdist.network.program import Apply, Combine, Generate, Herald, Lose, Measure, Prepare, Reset, Send, Step, Twirl

Place = tuple[str, str]


@dataclass
class Delay:
    """What is late because of a race: qubits and links by name, and bits by the node that they reach late.

    Attributes:
        network: Where the program runs.
        late: Names of late qubits and links.
        before: The (bit, node) that were known before the race.
        bits: For each bit that became known somewhere since: whether it is late, by node.
        rewritten: Bits that were written since: where they were known before no longer counts.
    """

    network: Network
    late: set[str]
    before: Container[Place]
    bits: dict[str, dict[str, bool]] = field(default_factory=dict)
    rewritten: set[str] = field(default_factory=set)

    def follow(self, step: Step) -> bool:
        """Go through a step that is not a record; whether it is a `Generate` that starts late."""
        match step:
            case Generate(pairs=pairs, after=after):
                names = {qubit for pair in pairs for qubit in pair} | {self._link(pair) for pair in pairs}
                return self._together(names, not self.late.isdisjoint(after))
            case Prepare(qubits=qubits, state=state) if state is not None:
                self._together(set(qubits))
            case Twirl(pair=pair):
                self._together(set(pair))
            case Apply(qubits=qubits, when=when):
                self._together(set(qubits), self._waits(when, qubits[0]))
            case Reset(qubit=qubit, when=when):
                self._together({qubit}, self._waits(when, qubit))
            case Measure(qubit=qubit, bit=bit, when=when):
                old = when is not None and self._is_late(bit, self._node(qubit))
                self._write(bit, {self._node(qubit): self._together({qubit}, self._waits(when, qubit)) or old})
            case Lose(qubit=qubit, flag=flag):
                self._write(flag, {self._node(qubit): qubit in self.late})
            case Herald(test=test, qubits=qubits):
                self.late |= {qubit for qubit in qubits if self._waits(test, qubit)}
            case Send(bits=bits, source=source, destination=destination):
                late = any(self._is_late(bit, source) for bit in bits)
                for bit in bits:
                    arrives_late = late and self._state(bit, destination) is not False
                    self.bits.setdefault(bit, {})[destination] = arrives_late
            case Combine(bit=bit, of=of):
                states = {node.name: [self._state(b, node.name) for b in of] for node in self.network.nodes}
                self._write(bit, {node: any(known) for node, known in states.items() if None not in known})
        return False

    def _node(self, qubit: str) -> str:
        return self.network.node_of(qubit).name

    def _link(self, pair: Place) -> str:
        return f" {self.network.link(*map(self._node, pair)).name}"

    def _state(self, bit: str, node: str) -> bool | None:
        """Whether a bit is late at a node; `None` where it is not known."""
        known_before = bit not in self.rewritten and (bit, node) in self.before
        return self.bits.get(bit, {}).get(node, False if known_before else None)

    def _is_late(self, bit: str, node: str) -> bool:
        return self._state(bit, node) is True

    def _waits(self, test: Test | None, qubit: str) -> bool:
        return test is not None and any(self._is_late(bit, self._node(qubit)) for bit in test.bits)

    def _together(self, names: set[str], late: bool = False) -> bool:
        """One late name makes all of them late."""
        late = late or not self.late.isdisjoint(names)
        if late:
            self.late |= names
        return late

    def _write(self, bit: str, places: dict[str, bool]) -> None:
        self.rewritten.add(bit)
        self.bits[bit] = dict(places)
