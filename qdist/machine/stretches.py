"""When clusters are split: from the operation that makes one large to the one that leaves it small.

It is split for free, since every rank has all of it until then, and gathered when it has become small.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from qdist.machine.coherence import Digits, Move, moves
from qdist.machine.instructions import EachShot
from qdist.machine.plan import Draw, Keep, Load, Merge, Operation, Plan, Read, Scale, Stop, Transfer
from qdist.machine.schedule import EVERYTHING, Task
from qdist.machine.stops import acted, stays

SHRINK = 16
"""A split cluster is gathered when it has become smaller than the threshold by this factor."""


@dataclass(eq=False)
class Event:
    """An operation with names: the wires of its digits before and after, in the order of the unsplit vector."""

    operation: Operation
    slot: int
    inputs: Digits
    outputs: Digits
    before: Digits
    after: Digits
    moves: dict[frozenset[str], Move]
    is_barrier: bool


@dataclass(eq=False)
class Stretch:
    """The time during which a cluster is split.

    Attributes:
        first: The number of the operation that makes the cluster large.
        start: The digits after it.
        events: The operations on the cluster after that, by number.
        last: The number of the operation after (or, for a merge into a larger split cluster, before) which it is
            gathered; `None` if it is split to the end.
        gathers_before: Whether `last` is a merge, before which it is gathered.
        end: The digits when it is gathered, or at the end.
        merged: If a merge makes it large, the digits of the two clusters.
    """

    first: int
    start: Digits
    events: dict[int, Event] = field(default_factory=dict)
    last: int | None = None
    gathers_before: bool = False
    end: Digits = ()
    merged: tuple[Digits, Digits] | None = None

    def tasks(self) -> tuple[list[Task], list[str], int]:
        """The operations for the scheduler, the qubits that its masks stand for, and the mask of those at the start."""
        names: dict[str, int] = {}
        for wire, size in [*self.start, *(digit for event in self.events.values() for digit in event.after)]:
            if size == 4:
                names.setdefault(wire, len(names))
        bits = {wire: 1 << number for wire, number in names.items()}
        every = dict(bits)
        for event in self.events.values():
            for wire, _ in (*event.inputs, *event.outputs):
                every.setdefault(wire, 1 << len(every))
        tasks = [_task(event, bits, every) for event in self.events.values()]
        return tasks, list(names), sum(bits[wire] for wire, size in self.start if size == 4)


def _task(event: Event, bits: dict[str, int], every: dict[str, int]) -> Task:
    def mask(wires: Iterable[str]) -> int:
        return sum(bits[wire] for wire in set(wires))

    before = {wire for wire, size in event.before if size == 4}
    after = {wire for wire, size in event.after if size == 4}
    touched = sum(every[wire] for wire in {wire for wire, _ in (*event.inputs, *event.outputs)})
    return Task(
        wires=EVERYTHING if event.is_barrier else touched,
        qubits=mask(wire for wire, size in event.inputs if size == 4),
        moves={mask(chosen): mask(move.outputs) for chosen, move in event.moves.items()},
        creates=mask(after - before),
        removes=mask(before - after),
        needs_all=isinstance(event.operation, Merge),
    )


def find_stretches(plan: Plan, rank_bits: int, threshold: int) -> list[Stretch]:
    """When which clusters are split.

    Args:
        plan: For one process.
        rank_bits: How many x bits are split.
        threshold: Entries from which a cluster is, if it has qubits enough.
    """
    tracker = _Tracker(plan, rank_bits, threshold)
    tracker.follow()
    return tracker.stretches


class _Tracker:
    """Follows the digits of every slot through a plan, and finds the stretches in which clusters are split."""

    def __init__(self, plan: Plan, rank_bits: int, threshold: int) -> None:
        self.plan = plan
        self.digits: dict[int, Digits] = {}
        self.stretches: list[Stretch] = []
        self._open: dict[int, Stretch] = {}
        self._threshold = threshold
        self._room = rank_bits + max((_arity(op) for op in plan.operations), default=0)

    def follow(self) -> None:
        for number, operation in enumerate(self.plan.operations):
            match operation:
                case Load(slot=slot, wires=wires, sizes=sizes):
                    self.digits[slot] = tuple(zip(wires, sizes, strict=True))
                    self._grown(number, slot)
                case Merge():
                    self._merge(number, operation)
                case Transfer() | Scale() | Draw():
                    self._acts(number, operation)
                case Keep(slot=int(slot)) if slot in self._open:
                    self._look(number, operation, slot)
                case Read(parts=parts):
                    for slot in {part.slot for group in parts for part in group} & self._open.keys():
                        self._look(number, operation, slot)
                case Stop():
                    for slot in self._open:
                        self._look(number, operation, slot)
        for slot, stretch in self._open.items():
            stretch.end = self.digits[slot]

    def _look(self, number: int, operation: Read | Keep | Stop, slot: int) -> None:
        """A record, a herald's probability or a checkpoint is read in whatever layout there is."""
        digits = self.digits[slot]
        self._add(number, slot, Event(operation, slot, (), (), digits, digits, {frozenset(): _STAY}, True))

    def _acts(self, number: int, operation: Transfer | Scale | Draw) -> None:
        slot, before = operation.slot, self.digits[operation.slot]
        inputs, outputs, after = acted(operation, before)
        self.digits[slot] = after
        if slot in self._open:
            is_plain = isinstance(operation, Transfer) and operation.test is None
            options = _options(operation, inputs, outputs)
            is_barrier = not (is_plain or stays(operation))
            event = Event(operation, slot, inputs, outputs, before, after, options, is_barrier)
            self._add(number, slot, event)
            self._shrunk(number, slot, event)
        else:
            self._grown(number, slot)
        if not after:
            del self.digits[slot]

    def _merge(self, number: int, merge: Merge) -> None:
        mine, other = self._open.get(merge.slot), self._open.get(merge.other)
        before = self.digits[merge.slot]
        joined = (*before, *self.digits[merge.other])
        if mine is not None and other is not None:
            smaller = merge.slot if _entries(before) < _entries(self.digits[merge.other]) else merge.other
            self._close(number, smaller, gathers_before=True)
            mine, other = self._open.get(merge.slot), self._open.get(merge.other)
        stretch = mine or other
        added = self.digits.pop(merge.other)
        old = before if mine is not None else added
        self._open.pop(merge.other, None)
        self.digits[merge.slot] = joined
        if stretch is None:
            self._grown(number, merge.slot)
            if merge.slot in self._open:
                self._open[merge.slot].merged = (before, added)
            return
        self._open[merge.slot] = stretch
        self._add(number, merge.slot, Event(merge, merge.slot, (), (), old, joined, {frozenset(): _STAY}, True))

    def _add(self, number: int, slot: int, event: Event) -> None:
        self._open[slot].events[number] = event

    def _grown(self, number: int, slot: int) -> None:
        digits = self.digits[slot]
        qubits = sum(size == 4 for _, size in digits)
        if _entries(digits) >= self._threshold and qubits >= self._room:
            self._open[slot] = Stretch(number, digits)
            self.stretches.append(self._open[slot])

    def _shrunk(self, number: int, slot: int, event: Event) -> None:
        qubits = sum(size == 4 for _, size in event.after)
        if _entries(event.after) * SHRINK < self._threshold or qubits < self._room:
            event.is_barrier = True
            self._close(number, slot, gathers_before=False)

    def _close(self, number: int, slot: int, *, gathers_before: bool) -> None:
        stretch = self._open.pop(slot)
        stretch.last, stretch.gathers_before, stretch.end = number, gathers_before, self.digits[slot]


_STAY = Move((), (), ())


def _options(operation: Transfer | Scale | Draw, inputs: Digits, outputs: Digits) -> dict[frozenset[str], Move]:
    if isinstance(operation, Transfer):
        matrix = operation.matrix.like if isinstance(operation.matrix, EachShot) else operation.matrix
        both = [matrix] if operation.otherwise is None else [matrix, operation.otherwise]
        return moves(both, inputs, outputs)
    if isinstance(operation, Draw):
        return moves(operation.outcomes, inputs, outputs)
    qubits = [wire for wire, size in inputs if size == 4]
    found = {frozenset[str](): _STAY}
    for qubit in qubits:
        found |= {chosen | {qubit}: _stay(chosen | {qubit}) for chosen in list(found)}
    return found


def _stay(wires: frozenset[str]) -> Move:
    names = tuple(sorted(wires))
    return Move(names, names, tuple(1 << k for k in range(len(names))))


def _arity(operation: Operation) -> int:
    """Qubits that must be local at a time, at most."""
    if not isinstance(operation, Transfer | Draw):
        return 0
    before = sum(operation.dims[axis] == 4 for axis in operation.axes)
    return max(before, sum(size == 4 for size in operation.sizes))


def _entries(digits: Digits) -> int:
    return math.prod(size for _, size in digits)
