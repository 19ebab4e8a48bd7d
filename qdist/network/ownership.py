"""No cloning, and no action at a distance: which qubit is alive, which bit is known where, and who may touch what."""

from dataclasses import dataclass, field

from qdist.errors import QdistError, did_you_mean
from qdist.network.graph import QUBIT_NAME, Network
from qdist.network.program import (
    Apply,
    Combine,
    Discard,
    Generate,
    Herald,
    Lose,
    Measure,
    Prepare,
    Program,
    Record,
    Reset,
    Send,
    Step,
    Twirl,
    Wait,
    touched,
)

LIVE = "live"


@dataclass
class _Books:
    """Where every qubit and every bit is while the steps are read.

    Attributes:
        network: Where the program runs.
        fate: What became of each qubit.
        known_at: The nodes that know each bit.
        places: The qubits of each step so far and the nodes that have them, by identity.
        allowed: Operations without a condition that may be done again, by identity, while no qubit comes or goes.
    """

    network: Network
    fate: dict[str, str] = field(default_factory=dict)
    known_at: dict[str, set[str]] = field(default_factory=dict)
    places: dict[int, tuple[tuple[str, ...], frozenset[str]]] = field(default_factory=dict)
    allowed: set[int] = field(default_factory=set)

    def where(self, step: Step) -> tuple[tuple[str, ...], frozenset[str]]:
        """The qubits of a step and the nodes that have them, found once for a value that stands in many places."""
        if id(step) not in self.places:
            self.places[id(step)] = _where(step, self.network)
        return self.places[id(step)]

    def became(self, qubit: str, fate: str) -> None:
        """A qubit comes or goes: what was allowed must be asked again."""
        self.fate[qubit] = fate
        self.allowed.clear()


def check_program(program: Program, network: Network) -> None:
    """Raise if a program copies a qubit, uses one that is gone, or acts where it has no right to.

    The rules: a qubit is used only between the step that makes it and the one that measures or discards it; it is
    given to an operation once; gates act inside one node; a bit is used only at nodes that measured it or received it;
    pairs are generated over links.

    Raises:
        QdistError: With the number and the kind of the step, and where a lost qubit went.
    """
    books = _Books(network)
    for number, step in enumerate(program.steps):
        if id(step) in books.allowed:
            continue
        try:
            _check_step(books, step, number)
        except QdistError as error:
            raise QdistError(f"Step {number} ({type(step).__name__.lower()}): {error}") from None
    for bit in program.bits:
        _known(books, bit)


def _where(step: Step, network: Network) -> tuple[tuple[str, ...], frozenset[str]]:
    qubits, _ = touched(step)
    if len(set(qubits)) != len(qubits):
        twice = next(q for q in qubits if qubits.count(q) > 1)
        raise QdistError(f"A qubit cannot be copied: '{twice}' is given twice. Name different qubits.")
    return qubits, frozenset([network.node_of(qubit).name for qubit in qubits])


def _check_step(books: _Books, step: Step, number: int) -> None:
    qubits, _ = books.where(step)
    if isinstance(step, Measure | Lose | Combine):
        _check_bit_name(step.flag if isinstance(step, Lose) else step.bit)
    match step:
        case Prepare():
            _make(books, qubits)
        case Generate():
            _check_links(books.network, step)
            _make(books, qubits)
        case Send(bits=bits, source=source, destination=destination):
            for bit in bits:
                _reached(books, bit, source)
                books.known_at[bit].add(books.network.node(destination).name)
        case Combine(bit=bit, of=of):
            everywhere = {node.name for node in books.network.nodes}
            common = everywhere.intersection(*(_known(books, b) for b in of))
            if not common:
                raise QdistError(f"The bits {', '.join(of)} must be known at one node, but are not. Send them first.")
            books.known_at[bit] = common
        case Herald(test=test):
            for bit in test.bits:
                _known(books, bit)
                for qubit in qubits:
                    _alive(books, qubit)
                    _reached(books, bit, books.network.node_of(qubit).name)
        case Record():
            pass
        case _:
            _act(books, step, number)


def _check_links(network: Network, step: Generate) -> None:
    for qubit in step.after:
        network.node_of(qubit)
    links = [network.link(*(network.node_of(qubit).name for qubit in pair)).name for pair in step.pairs]
    for name in links:
        if links.count(name) > 1:
            raise QdistError(f"A link must make one pair at a time, but '{name}' is asked for two. Use two steps.")


def _make(books: _Books, qubits: tuple[str, ...]) -> None:
    for qubit in qubits:
        if books.fate.get(qubit) == LIVE:
            raise QdistError(f"'{qubit}' must be free, but holds a live qubit. Measure, reset or discard it first.")
        books.became(qubit, LIVE)


def _act(books: _Books, step: Step, number: int) -> None:
    qubits, nodes = books.where(step)
    for qubit in qubits:
        _alive(books, qubit)
    if len(nodes) > 1 and not isinstance(step, Wait | Twirl):
        raise QdistError(
            f"A node acts only on its own qubits, but {', '.join(qubits)} are at {' and '.join(sorted(nodes))}. "
            "Use a remote gate or teleport one of them."
        )
    when = step.when if isinstance(step, Apply | Measure | Reset) else None
    for bit in when.bits if when else ():
        _reached(books, bit, next(iter(nodes)))
    match step:
        case Measure(bit=bit):
            if when is not None and bit in books.known_at:
                _reached(books, bit, next(iter(nodes)))
            books.known_at[bit] = set(nodes)
            if not step.keep:
                where = f", teleported to '{step.moved_to}'" if step.moved_to else ""
                books.became(step.qubit, f"was measured in step {number}{where}")
        case Lose(flag=flag):
            books.known_at[flag] = set(nodes)
        case Discard(qubit=qubit):
            books.became(qubit, f"was discarded in step {number}")
        case Apply(when=None):
            books.allowed.add(id(step))


def _check_bit_name(bit: str) -> None:
    if not bit or "#" in bit or bit.startswith("?") or QUBIT_NAME.fullmatch(bit):
        raise QdistError(
            f"A bit name must not be a qubit's name, begin with '?' or contain '#', but is '{bit}'. Choose another."
        )


def _alive(books: _Books, qubit: str) -> None:
    fate = books.fate.get(qubit, "was never prepared")
    if fate != LIVE:
        raise QdistError(
            f"'{qubit}' must be a live qubit, but it {fate}. Prepare a new one, or use the one it went to."
        )


def _known(books: _Books, bit: str) -> set[str]:
    if bit not in books.known_at:
        raise QdistError(
            f"Bit '{bit}' must be measured before it is used, but is not.{did_you_mean(bit, books.known_at)}"
        )
    return books.known_at[bit]


def _reached(books: _Books, bit: str, node: str) -> None:
    if node not in _known(books, bit):
        raise QdistError(
            f"Bit '{bit}' must have reached '{node}', but is known only at {', '.join(sorted(books.known_at[bit]))}. "
            f"Send it there first."
        )
