"""Programs: tuples of steps on named qubits and bits, and the rules that every program must keep.

A program is a value. It says what the nodes do, not how long it takes nor how noisy it is: that comes from the network
it is run on. Steps on different qubits may happen at the same time; the order of a program is the order of cause and
effect only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from qdist.errors import QdistError, check_not_negative, check_probability
from qdist.machine.instructions import Test
from qdist.physics.channels import Channel
from qdist.physics.gates import Gate, gate
from qdist.physics.states import State

BASES = ("Z", "X", "Y")


@dataclass(frozen=True)
class Prepare:
    """Qubits that are not in use start in a state: |0⟩ each unless another one is given."""

    qubits: tuple[str, ...]
    state: State | None = None

    def __post_init__(self) -> None:
        if self.state is not None and self.state.num_qubits != len(self.qubits):
            raise QdistError(
                f"`state` must be of {len(self.qubits)} qubits ({', '.join(self.qubits)}), but has "
                f"{self.state.num_qubits}."
            )


@dataclass(frozen=True)
class Apply:
    """A gate or a channel on qubits of one node, if `when` holds.

    A gate takes the time and has the error of the node's device; a channel takes no time and is applied as it is.
    """

    operation: Gate | Channel
    qubits: tuple[str, ...]
    when: Test | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.operation, Gate | Channel):
            raise QdistError(f"`operation` must be a Gate or a Channel, but is {self.operation!r}. Use `gate(name)`.")
        if self.operation.num_qubits != len(self.qubits):
            raise QdistError(
                f"'{self.operation.name}' must be given {self.operation.num_qubits} qubits, but got "
                f"{len(self.qubits)}: {', '.join(self.qubits)}."
            )


@dataclass(frozen=True)
class Measure:
    """A measurement in the Z, X or Y basis that writes a bit.

    Attributes:
        qubit: The qubit that is measured.
        bit: The bit that receives the outcome.
        basis: `"Z"`, `"X"` or `"Y"`; outcome 0 is the eigenvalue +1.
        keep: Whether the qubit stays, collapsed; otherwise it is gone.
        readout: (p01, p10) to be used instead of the device's readout error: p01 reads 1 when the outcome was 0.
        when: Measure only if this holds; the bit stays what it was elsewhere. Needs `keep`.
        moved_to: The qubit that carries the state from now on, for the message when this one is used again.
    """

    qubit: str
    bit: str
    basis: str = "Z"
    keep: bool = False
    readout: tuple[float, float] | None = None
    when: Test | None = None
    moved_to: str | None = None

    def __post_init__(self) -> None:
        if self.basis not in BASES:
            raise QdistError(f"`basis` must be one of Z, X, Y, but is '{self.basis}'.")
        if self.when is not None and not self.keep:
            raise QdistError(f"A conditional measurement must keep its qubit, but {self.qubit} is not kept.")


@dataclass(frozen=True)
class Lose:
    """The qubit is lost with a probability: it is replaced by |0⟩ and the flag bit reads 1."""

    qubit: str
    flag: str
    probability: float

    def __post_init__(self) -> None:
        check_probability("probability", self.probability)


@dataclass(frozen=True)
class Reset:
    """The qubit is put back to |0⟩, if `when` holds."""

    qubit: str
    when: Test | None = None


@dataclass(frozen=True)
class Discard:
    """The qubit is given up: partial trace."""

    qubit: str


@dataclass(frozen=True)
class Wait:
    """The qubits idle for a duration in seconds."""

    qubits: tuple[str, ...]
    duration: float

    def __post_init__(self) -> None:
        check_not_negative("duration", self.duration, "seconds")


@dataclass(frozen=True)
class Generate:
    """Pairs are made over their links, each attempt after attempt, until all of them are up.

    Every link starts when both of its qubits are free and the step that made its last pair is over: a link makes one
    pair at a time. The step is a rendezvous: a pair that is up early waits in its memories for the last one.

    Attributes:
        pairs: Two qubits a pair, at the two ends of a link.
        after: Qubits whose last step must be over before any link starts.
    """

    pairs: tuple[tuple[str, str], ...]
    after: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.pairs:
            raise QdistError("`pairs` must hold at least one pair of qubits, but is empty.")


@dataclass(frozen=True)
class Twirl:
    """The two nodes of a pair turn their halves by the same random rotation, agreed on beforehand.

    ρ → Werner state of the same fidelity with Φ⁺

    Averaged over all rotations U ⊗ U*, which leave Φ⁺ alone (Bennett et al., PRA 54, 3824 (1996)). It takes no time.
    """

    pair: tuple[str, str]


@dataclass(frozen=True)
class Send:
    """Bits travel as one classical message from a node to another."""

    bits: tuple[str, ...]
    source: str
    destination: str

    def __post_init__(self) -> None:
        if not self.bits:
            raise QdistError("`bits` must hold at least one bit to send, but is empty.")


@dataclass(frozen=True)
class Combine:
    """A node adds bits modulo 2 into a new bit; the sum of no bits is the constant 0, known to all."""

    bit: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Herald:
    """The run goes on only where the test holds: success is announced, everything else is thrown away.

    Attributes:
        test: What must hold.
        label: What results call it.
        qubits: Qubits that are not touched before their nodes know of the success: they wait for the bits.
    """

    test: Test
    label: str = "herald"
    qubits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """A moment at which the metrics of the job are computed."""

    label: str


Step = Prepare | Apply | Measure | Lose | Reset | Discard | Wait | Generate | Twirl | Send | Combine | Herald | Record


@dataclass(frozen=True)
class Program:
    """Steps in the order of cause and effect.

    Attributes:
        steps: The steps.
        name: What the program is called in results.
        bits: The classical bits whose joint distribution is a result, in the order of an outcome string.
        pairs: Pairs of qubits that the program is about, recorded unless the job names others.
        qubits: The qubits that a Pauli string of the job refers to, in its order.
    """

    steps: tuple[Step, ...]
    name: str = "program"
    bits: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    qubits: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.steps)

    def __add__(self, other: "Program | Iterable[Step]") -> "Program":
        """The steps of both, one after the other; what the second one is about is what the sum is about."""
        if not isinstance(other, Program):
            return Program(self.steps + tuple(other), self.name, self.bits, self.pairs, self.qubits)
        name = self.name if self.name == other.name else f"{self.name}+{other.name}"
        return Program(self.steps + other.steps, name, self.bits + other.bits, other.pairs, other.qubits)


def apply(name: str, *qubits: str, params: Sequence[float] = (), when: Test | None = None) -> Apply:
    """The step that applies a gate of the library: `apply("cx", "alice/0", "alice/1")`."""
    return Apply(gate(name, *params), tuple(qubits), when)


def bit_is(bit: str, value: int = 1) -> Test:
    """True where `bit` equals `value`."""
    return Test((bit,), frozenset({value}))


def parity_is(bits: Sequence[str], value: int = 1) -> Test:
    """True where the sum of `bits` modulo 2 equals `value`."""
    return Test(tuple(bits), parity=value)


def register_is(bits: Sequence[str], *values: int) -> Test:
    """True where the integer made of `bits`, the first one least significant, is one of `values`."""
    return Test(tuple(bits), frozenset(values))


def bell_measurement(first: str, second: str, z_bit: str, x_bit: str, *, moved_to: str | None = None) -> list[Step]:
    """Both qubits are measured in the Bell basis and are gone.

    (z, x) = (0, 0) Φ⁺, (1, 0) Φ⁻, (0, 1) Ψ⁺, (1, 1) Ψ⁻

    `z_bit` is the outcome of X⊗X, `x_bit` the outcome of Z⊗Z; a teleported state is mended by X if x, then Z if z.
    """
    return [
        apply("cx", first, second),
        Measure(first, z_bit, basis="X", moved_to=moved_to),
        Measure(second, x_bit),
    ]


def touched(step: Step) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The qubits and the bits that a step reads or writes."""
    match step:
        case Prepare(qubits=qubits) | Wait(qubits=qubits):
            return qubits, ()
        case Apply(qubits=qubits, when=when):
            return qubits, when.bits if when else ()
        case Measure(qubit=qubit, bit=bit, when=when):
            return (qubit,), (bit, *(when.bits if when else ()))
        case Lose(qubit=qubit, flag=flag):
            return (qubit,), (flag,)
        case Reset(qubit=qubit, when=when):
            return (qubit,), when.bits if when else ()
        case Discard(qubit=qubit):
            return (qubit,), ()
        case Generate(pairs=pairs):
            return tuple(q for pair in pairs for q in pair), ()
        case Twirl(pair=pair):
            return pair, ()
        case Send(bits=bits):
            return (), bits
        case Combine(bit=bit, of=of):
            return (), (bit, *of)
        case Herald(test=test, qubits=qubits):
            return qubits, test.bits
        case Record():
            return (), ()
    raise TypeError(f"{step!r} is not a step")
