"""A program on a network becomes instructions: devices add noise, clocks add waiting, messages add delays."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.machine.instructions import (
    Act,
    Create,
    Instruction,
    JointRelax,
    Look,
    Observe,
    Parity,
    Project,
    Remove,
    Test,
)
from qdist.network.delays import bystanders
from qdist.network.devices import Device
from qdist.network.draws import attempts
from qdist.network.graph import Network
from qdist.network.hardware import (
    device_gates,
    digit_rates,
    error_matrix,
    gate_cost,
    gate_matrices,
    matrix_of,
    projectors,
    relaxation,
    relaxes,
    reset_matrix,
    twirl_matrix,
)
from qdist.network.ledger import Ledger
from qdist.network.links import Link
from qdist.network.ordering import BRANCHES, dependencies, is_race, races_last
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
)
from qdist.network.timing import Clock, DrawnClock, ExactClock, Moment, check_before
from qdist.network.waiting import Race
from qdist.physics import channels, pauli
from qdist.physics.channels import Channel
from qdist.physics.gates import Gate
from qdist.physics.states import basis_state
from qdist_kernels.namespace import is_jax, namespace

MAX_JOINT_QUBITS = 12


@dataclass(frozen=True)
class Lowered:
    """What a program means on a network.

    Attributes:
        instructions: In an order that respects cause and effect.
        bits: The wire that holds each bit of `Program.bits` at the end.
        wires: The wire that holds each bit that was ever written, at the end.
        ledger: Pairs and classical bits.
        groups: The groups of qubits that every `Look` reads, in this order.
        drawn_times: How many points in time each shot has its own of.
    """

    instructions: tuple[Instruction, ...]
    bits: Mapping[str, str]
    wires: Mapping[str, str]
    ledger: Ledger
    groups: tuple[tuple[str, ...], ...]
    drawn_times: int = 0


def lower(
    program: Program,
    network: Network,
    *,
    groups: tuple[tuple[str, ...], ...] = (),
    postselected: frozenset[str] = frozenset(),
    sampled: bool = False,
) -> Lowered:
    """Translate a checked program.

    A qubit decoheres between two steps that touch it, with its device's T1 and T2, and the decoherence is applied
    when it is next touched. A step starts when all its qubits are ready and all bits that it depends on have arrived.
    A gate's error stands for everything that happens during the gate.

    Args:
        program: A program that `check_program` accepts.
        network: Where it runs.
        groups: The groups of qubits to be read at every `Record` step.
        postselected: Bits of which one outcome is kept; records before and after them keep their order.
        sampled: Whether numbers of attempts will be drawn for each shot; else random waiting is averaged exactly.

    Raises:
        RandomOrderError: Exact averages were asked for where the program needs drawn times.
    """
    order = list(range(len(program.steps))) if sampled else races_last(program, network, groups, postselected)
    lowering = _Lowering(program, network, groups, sampled, order)
    heralds = list(accumulate((isinstance(step, Herald) for step in program.steps), initial=0))
    for position, number in enumerate(order):
        step = program.steps[number]
        try:
            lowering.position = position
            lowering.ledger.heralds = heralds[number]
            lowering.step(number, step)
        except QdistError as error:
            error.args = (f"Step {number} ({type(step).__name__.lower()}): {error}",)
            raise
    wires = {bit: lowering.wires[bit] for bit in program.bits}
    return Lowered(tuple(lowering.out), wires, lowering.wires, lowering.ledger, groups, lowering.clock.drawn_times)


@dataclass(frozen=True, eq=False)
class _Part:
    """A gate that a device really does, its error, and how long it takes."""

    qubits: tuple[str, ...]
    acts: tuple[Act, ...]
    duration: Any


@dataclass
class _Lowering:
    """The walk over the steps: clocks, versions of bits, and the instructions written so far."""

    program: Program
    network: Network
    groups: tuple[tuple[str, ...], ...]
    sampled: bool
    order: list[int]
    position: int = 0
    out: list[Instruction] = field(default_factory=list)
    ready: dict[str, Any] = field(default_factory=dict)
    live: set[str] = field(default_factory=set)
    wires: dict[str, str] = field(default_factory=dict)
    arrival: dict[str, dict[str, Any]] = field(default_factory=dict)
    link_free: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock: Clock = DrawnClock() if self.sampled else ExactClock()
        self.ledger = Ledger(self.network)
        self.waiting = {} if self.sampled else self._waiting()  # drawn times need no look ahead
        self._writes: dict[str, int] = {}
        self._devices: dict[str, Device] = {}
        # What the same operation on the same qubits becomes is found once, and is the same values each time.
        operations = [step.operation for step in self.program.steps if isinstance(step, Apply)]
        self._matrices = gate_matrices(dict.fromkeys(operations))
        self._acts: dict[tuple[Channel, tuple[str, ...]], Act] = {}
        self._gates: dict[tuple[Gate, tuple[str, ...]], tuple[_Part, ...]] = {}

    def _waiting(self) -> dict[int, list[str]]:
        """The qubits that wait for each race, by its place in the order."""
        steps = [self.program.steps[number] for number in self.order]
        races = {place for place, step in enumerate(steps) if is_race(step, self.network)}
        if not races:
            return {}
        ties = [dependencies(step, self.network, self.groups) for step in steps]
        return bystanders(steps, [(r - {BRANCHES}, w - {BRANCHES}) for r, w in ties], self.network, races)

    def step(self, number: int, step: Step) -> None:
        match step:
            case Prepare():
                self._prepare(step)
            case Apply():
                self._apply(step)
            case Measure():
                self._measure(step)
            case Lose():
                self._lose(step)
            case Reset():
                self._reset(step)
            case Discard(qubit=qubit):
                self.ledger.discard(qubit)
                self._remove(qubit)
            case Wait(qubits=qubits, duration=duration):
                for qubit in qubits:
                    self._touch((qubit,), self.clock.later(self.ready[qubit], duration))
            case Generate():
                self._generate(number, step)
            case Twirl(pair=pair):
                self._touch(pair, self._start(pair))
                self.out.append(Act(pair, twirl_matrix()))
            case Send(bits=bits, source=source, destination=destination):
                self._send(bits, source, destination)
            case Combine(bit=bit, of=of):
                self._combine(bit, of)
            case Herald(test=test, label=label, qubits=qubits):
                for qubit in qubits:
                    self._touch((qubit,), self._start((qubit,), test))
                self.out.append(Project(self._wired(test), label))
            case Record(label=label):
                self._record(label)

    # -- clocks

    def _device(self, qubit: str) -> Device:
        if qubit not in self._devices:
            self._devices[qubit] = self.network.node_of(qubit).device
        return self._devices[qubit]

    def _ready(self, qubit: str) -> Any:
        return self.ready.setdefault(qubit, self.clock.zero())

    def _start(self, qubits: tuple[str, ...], when: Test | None = None) -> Any:
        """When a step on these qubits of one node can start."""
        moments = [self.ready[qubit] for qubit in qubits]
        if when is not None:
            node = self.network.node_of(qubits[0]).name
            moments += [self.arrival[bit][node] for bit in when.bits]
        return self.clock.latest(moments)

    def _touch(self, qubits: tuple[str, ...], moment: Any) -> None:
        """Apply what the qubits suffered until `moment`."""
        for qubit in qubits:
            since, matrix = self.ready[qubit], None
            if since is not moment:
                matrix = relaxation(self._device(qubit), self.clock.elapsed(since, moment))
            if matrix is None and self.sampled and moment.frame is not None and relaxes(self._device(qubit)):
                # No wait, but an instruction: an outcome is drawn by the number of its own, and seeds keep theirs.
                matrix = np.eye(4)
            if matrix is not None:
                self.out.append(Act((qubit,), matrix))
            self.ready[qubit] = moment

    def _occupy(self, qubits: tuple[str, ...], start: Any, duration: Any) -> Any:
        end = self.clock.later(start, duration)
        for qubit in qubits:
            self.ready[qubit] = end
        return end

    # -- bits

    def _write(self, bit: str, node: str, moment: Any) -> str:
        """A new wire for a bit; a bit that is written again gets a new wire each time."""
        count = self._writes[bit] = self._writes.get(bit, 0) + 1
        self.wires[bit] = bit if count == 1 else f"{bit}#{count}"
        self.arrival[bit] = {node: moment}
        return self.wires[bit]

    def _wired(self, test: Test) -> Test:
        return Test(tuple(self.wires[bit] for bit in test.bits), test.values, test.parity)

    # -- steps

    def _prepare(self, step: Prepare) -> None:
        if step.state is not None:
            self.out.append(Create(step.qubits, step.state.vector))
        else:
            # One by one: together they would be one large vector from the start.
            self.out += [Create((qubit,), basis_state("0").vector) for qubit in step.qubits]
        if step.state is not None and len(step.qubits) > 1:
            self.ready |= dict.fromkeys(step.qubits, self.clock.latest([self._ready(q) for q in step.qubits]))
        for qubit in step.qubits:
            device = self._device(qubit)
            if is_jax(device.preparation_error) or device.preparation_error:
                self.out.append(Act((qubit,), error_matrix(channels.bit_flip, device.preparation_error)))
            self._occupy((qubit,), self._ready(qubit), device.preparation_duration)
            self.live.add(qubit)

    def _apply(self, step: Apply) -> None:
        when = self._wired(step.when) if step.when else None
        start = self._start(step.qubits, step.when)
        self._touch(step.qubits, start)
        if isinstance(step.operation, Channel):
            self._act((self._channel(step.operation, step.qubits),), when)
            return
        for part in self._parts(step.operation, step.qubits):
            start = self._start(part.qubits)
            self._touch(part.qubits, start)
            self._act(part.acts, when)
            self._occupy(part.qubits, start, part.duration)

    def _act(self, acts: tuple[Act, ...], when: Test | None) -> None:
        self.out += acts if when is None else [replace(act, when=when) for act in acts]

    def _channel(self, channel: Channel, qubits: tuple[str, ...]) -> Act:
        key = channel, qubits
        if key not in self._acts:
            self._acts[key] = Act(qubits, self._matrix(channel))
        return self._acts[key]

    def _parts(self, gate: Gate, qubits: tuple[str, ...]) -> tuple[_Part, ...]:
        key = gate, qubits
        if key not in self._gates:
            device = self._device(qubits[0])
            inner = device_gates(gate, device)
            self._gates[key] = tuple(self._part(part, tuple([qubits[i] for i in on]), device) for part, on in inner)
        return self._gates[key]

    def _part(self, gate: Gate, qubits: tuple[str, ...], device: Device) -> _Part:
        """A gate on one or two qubits with the device's error and duration, or an ideal one on three."""
        error, duration = gate_cost(gate, device)
        acts = [Act(qubits, self._matrix(gate))]
        if is_jax(error) or error:
            acts.append(Act(qubits, error_matrix(channels.depolarizing, error, len(qubits))))
        return _Part(qubits, tuple(acts), duration)

    def _matrix(self, operation: Gate | Channel) -> Any:
        if operation not in self._matrices:
            self._matrices[operation] = matrix_of(operation)
        return self._matrices[operation]

    def _measure(self, step: Measure) -> None:
        device = self._device(step.qubit)
        start = self._start((step.qubit,), step.when)
        self._touch((step.qubit,), start)
        p01, p10 = step.readout if step.readout is not None else (device.readout_p01, device.readout_p10)
        when = self._wired(step.when) if step.when else None
        otherwise = self.wires.get(step.bit)
        end = self._occupy((step.qubit,), start, device.readout_duration)
        node = self.network.node_of(step.qubit).name
        old = [self.arrival[step.bit][node]] if when and otherwise else []
        wire = self._write(step.bit, node, self.clock.latest([end, *old]))
        outcomes = projectors(step.basis, step.keep)
        confusion = channels.readout_confusion(p01, p10)
        self.out.append(Observe(step.qubit, wire, outcomes, confusion, when, otherwise if when else None))
        if not step.keep:
            self.live.discard(step.qubit)
            self.ledger.use(step.qubit)

    def _lose(self, step: Lose) -> None:
        start = self._start((step.qubit,))
        self._touch((step.qubit,), start)
        wire = self._write(step.flag, self.network.node_of(step.qubit).name, start)
        kept, lost = channels.loss(step.probability).matrices
        outcomes = (pauli.digit_order(kept, 1), pauli.digit_order(lost, 1))
        self.out.append(Observe(step.qubit, wire, outcomes, np.eye(2)))

    def _reset(self, step: Reset) -> None:
        start = self._start((step.qubit,), step.when)
        self._touch((step.qubit,), start)
        if step.when is not None:
            when, error = self._wired(step.when), self._device(step.qubit).preparation_error
            self.out.append(Act((step.qubit,), reset_matrix(), when))
            if is_jax(error) or error:
                self.out.append(Act((step.qubit,), error_matrix(channels.bit_flip, error), when))
            self._occupy((step.qubit,), start, self._device(step.qubit).preparation_duration)
            return
        self.ledger.discard(step.qubit)
        self._remove(step.qubit)
        self._prepare(Prepare((step.qubit,)))

    def _remove(self, qubit: str) -> None:
        self.live.discard(qubit)
        self.out.append(Remove(qubit))

    def _send(self, bits: tuple[str, ...], source: str, destination: str) -> None:
        delay = self.network.message_delay(source, destination)
        departure = self.clock.latest([self.arrival[bit][source] for bit in bits])
        for bit in bits:
            arrival, known = self.clock.later(departure, delay), self.arrival[bit].get(destination)
            self.arrival[bit][destination] = arrival if known is None else self.clock.earlier(known, arrival)
        self.ledger.send(source, destination, len(bits))

    def _combine(self, bit: str, of: tuple[str, ...]) -> None:
        sources = tuple(self.wires[b] for b in of)
        places = set(self.arrival[of[0]]) if of else {node.name for node in self.network.nodes}
        places = places.intersection(*(self.arrival[b] for b in of))
        start = self.clock.zero()
        moments = {n: self.clock.latest([start, *(self.arrival[b][n] for b in of)]) for n in sorted(places)}
        wire = self._write(bit, "", start)
        self.arrival[bit] = moments
        self.out.append(Parity(wire, sources))

    def _record(self, label: str) -> None:
        groups = tuple(group if self.live.issuperset(group) else () for group in self.groups)
        qubits = tuple(dict.fromkeys(q for group in groups for q in group))
        moment = self.clock.latest([self._ready(q) for q in qubits]) if qubits else self.clock.zero()
        time = self.clock.mean(moment) if qubits else math.nan
        relaxations = tuple(
            tuple(relaxation(self._device(q), self.clock.elapsed(self.ready[q], moment)) for q in group)
            for group in groups
        )
        self.out.append(Look(label, groups, relaxations, time))

    # -- pairs

    def _generate(self, number: int, step: Generate) -> None:
        links = [self.network.link(*(self.network.node_of(q).name for q in pair)) for pair in step.pairs]
        starts = []
        for pair, link in zip(step.pairs, links, strict=True):
            free = self.link_free.get(link.name, self.clock.zero())
            starts.append(self.clock.latest([free, *(self._ready(q) for q in (*pair, *step.after))]))
        for pair, link in zip(step.pairs, links, strict=True):
            ordered = pair if self.network.node_of(pair[0]).name == link.between[0] else pair[::-1]
            self.out.append(Create(ordered, link.pair_state().vector))
            self.live.update(pair)
            self.ledger.make(link, pair)
        if self.sampled:
            self._draw(number, step, links, starts)
        else:
            self._race(step, links, starts)
        self.link_free |= {link.name: self.ready[pair[0]] for link, pair in zip(links, step.pairs, strict=True)}

    def _draw(self, number: int, step: Generate, links: list[Link], starts: list[Moment]) -> None:
        """Each link comes up after a number of attempts that is drawn in a run."""
        assert isinstance(self.clock, DrawnClock)
        up = []
        for place, (link, start) in enumerate(zip(links, starts, strict=True)):
            p, duration = link.probability_per_attempt, link.duration_per_attempt
            if is_jax(p):
                raise QdistError('A traced success probability cannot be sampled. Use mode = "exact" for derivatives.')
            if p == 1:
                self.ledger.attempt(link, 1.0)
                up.append(self.clock.later(start, duration))
                continue
            self.ledger.attempt(link, attempts(number, place, p))
            up.append(self.clock.after_attempts(start, number, place, p, duration))
        self._meet(step.pairs, up)

    def _meet(self, pairs: tuple[tuple[str, str], ...], up: list[Any]) -> None:
        """Pairs that came up at known moments wait for the last one."""
        end = self.clock.latest(up)
        for pair, moment in zip(pairs, up, strict=True):
            self.ready |= dict.fromkeys(pair, moment)
            self._touch(pair, end)

    def _race(self, step: Generate, links: list[Link], starts: list[Moment]) -> None:
        """Exact averages: certain links need none; otherwise all who wait for the race relax jointly."""
        durations = tuple(link.duration_per_attempt for link in links)
        probabilities = tuple(link.probability_per_attempt for link in links)
        for link, p in zip(links, probabilities, strict=True):
            self.ledger.attempt(link, 1 / p)
        clock = self.clock
        assert isinstance(clock, ExactClock)
        race_frame = clock.latest(starts).frame
        if all(not is_jax(p) and p == 1 for p in probabilities):
            self._meet(step.pairs, [clock.later(start, d) for start, d in zip(starts, durations, strict=True)])
            return
        zero = Moment(race_frame, 0.0)
        race = Race(tuple(clock.elapsed(zero, s) for s in starts), durations, probabilities)
        waiting = [q for q in self.waiting[self.position] if self.ready[q].frame is race_frame]
        for qubit in waiting:
            check_before(self.ready[qubit].offset, race)
        self._relax_jointly(step.pairs, waiting, race)
        end = clock.after_race(race_frame, race)
        for qubit in [q for pair in step.pairs for q in pair] + waiting:
            self.ready[qubit] = end

    def _relax_jointly(self, pairs: tuple[tuple[str, str], ...], bystanders: list[str], race: Race) -> None:
        owners: list[tuple[str, int | None]] = []
        owners += [(q, link) for link, pair in enumerate(pairs) if len(pairs) > 1 for q in pair]
        owners += [(q, None) for q in bystanders]
        owners = [(q, link) for q, link in owners if relaxes(self._device(q))]
        if not owners:
            return
        if len(owners) > MAX_JOINT_QUBITS:
            raise QdistError(
                f"At most {MAX_JOINT_QUBITS} qubits can wait for one random time in exact mode, but {len(owners)} do. "
                'Generate the pairs one after the other, or use mode = "sampled".'
            )
        rates = [digit_rates(self._device(q)) for q, _ in owners]
        choices = np.indices((3,) * len(owners), dtype=np.int32).reshape(len(owners), -1)
        offsets = [self.ready[q].offset - race.start for q in bystanders]
        xp = namespace(*(rate for three in rates for rate in three), *race.durations, *race.probabilities, *offsets)
        held = [xp.zeros(choices.shape[1]) for _ in pairs]
        common, correction = xp.zeros(choices.shape[1]), xp.zeros(choices.shape[1])
        for (qubit, link), three, choice in zip(owners, rates, choices, strict=True):
            rate = xp.stack([xp.asarray(r, float) for r in three])[choice]
            if link is not None:
                held[link] = held[link] + rate
            else:
                common = common + rate
                correction = correction + rate * (self.ready[qubit].offset - race.start)
        expectation = race.average(xp.stack(held, axis=1), common) * xp.exp(correction)
        classes = np.array([0, 1, 2, 2], np.int32)
        index = np.zeros(1, np.int32)
        for _ in owners:
            index = (index[:, None] * 3 + classes[None, :]).reshape(-1)
        equilibria = xp.stack([xp.asarray(1 - 2 * self._device(q).excited_population, float) for q, _ in owners])
        self.out.append(JointRelax(tuple(q for q, _ in owners), equilibria, expectation[index]))
