"""A plan for one process becomes the plan of each rank: large clusters are split, data is moved where it must be.

Small clusters are replicated: every rank does the same to them. A cluster that grows beyond a threshold is split, for
free, and gathered when it has become small. In between its operations are scheduled (`schedule.py`), and each becomes
what one rank does to its block (`splitting.py`).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qdist.errors import QdistError
from qdist.machine.coherence import Digits, Move, moves
from qdist.machine.plan import Draw, Keep, Load, Merge, Operation, Plan, Read, Scale, Transfer
from qdist.machine.schedule import EVERYTHING, Schedule, Task, make_schedule
from qdist.machine.splitting import RankPlan

SPLIT_ENTRIES = 4**9
"""Clusters with at least this many entries are split: below, an operation takes less time than a message."""

SHRINK = 16
"""A split cluster is gathered when it has become smaller than the threshold by this factor."""


def shard(plan: Plan, *, ranks: int, rank: int = 0, threshold: int | None = None) -> Plan:
    """What one rank does.

    All ranks make the same choices, so no rank needs to be told what another one does.

    Args:
        plan: From `make_plan`.
        ranks: A power of two.
        rank: Which of them.
        threshold: Entries from which a cluster is split, `SPLIT_ENTRIES` unless given.

    Raises:
        QdistError: The number of ranks is not a power of two.
    """
    if ranks < 1 or ranks & (ranks - 1):
        raise QdistError(
            f"The number of ranks must be a power of two, but is {ranks}. Use {2 ** (ranks.bit_length() - 1)}."
        )
    if ranks == 1:
        return plan
    tracker = _Tracker(plan, ranks.bit_length() - 1, SPLIT_ENTRIES if threshold is None else threshold)
    tracker.follow()
    return _emit(plan, tracker, ranks, rank)


@dataclass(eq=False)
class _Event:
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
    events: dict[int, _Event] = field(default_factory=dict)
    last: int | None = None
    gathers_before: bool = False
    end: Digits = ()
    merged: tuple[Digits, Digits] | None = None

    def schedule(self, rank_bits: int) -> tuple[Schedule, list[str], list[int]]:
        """Its schedule, with the qubits and the operations that its numbers stand for."""
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
        live = sum(bits[wire] for wire, size in self.start if size == 4)
        return make_schedule(tasks, live, rank_bits), list(names), list(self.events)


def _task(event: _Event, bits: dict[str, int], every: dict[str, int]) -> Task:
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
        for slot, stretch in self._open.items():
            stretch.end = self.digits[slot]

    def _look(self, number: int, operation: Read | Keep, slot: int) -> None:
        """A record, or a herald's probability, is read in whatever layout there is: ranks sum what they hold."""
        digits = self.digits[slot]
        self._add(number, slot, _Event(operation, slot, (), (), digits, digits, {frozenset(): _STAY}, True))

    def _acts(self, number: int, operation: Transfer | Scale | Draw) -> None:
        slot, before = operation.slot, self.digits[operation.slot]
        inputs = tuple(before[axis] for axis in operation.axes)
        if isinstance(operation, Transfer):
            outputs: Digits = tuple(zip(operation.outputs, operation.sizes, strict=True))
        elif isinstance(operation, Draw):
            outputs = ((operation.qubit, 4),) if operation.outcomes[0].shape[0] == 4 else ()
        else:
            outputs = inputs
        stays = isinstance(operation, Scale) or (isinstance(operation, Transfer) and operation.in_place)
        rest = tuple(digit for axis, digit in enumerate(before) if axis not in operation.axes)
        after = before if stays else (*outputs, *rest)
        self.digits[slot] = after
        if slot in self._open:
            is_plain = isinstance(operation, Transfer) and operation.test is None
            options = _options(operation, inputs, outputs)
            event = _Event(operation, slot, inputs, outputs, before, after, options, not (is_plain or stays))
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
        self._add(number, merge.slot, _Event(merge, merge.slot, (), (), old, joined, {frozenset(): _STAY}, True))

    def _add(self, number: int, slot: int, event: _Event) -> None:
        self._open[slot].events[number] = event

    def _grown(self, number: int, slot: int) -> None:
        digits = self.digits[slot]
        qubits = sum(size == 4 for _, size in digits)
        if _entries(digits) >= self._threshold and qubits >= self._room:
            self._open[slot] = Stretch(number, digits)
            self.stretches.append(self._open[slot])

    def _shrunk(self, number: int, slot: int, event: _Event) -> None:
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
        both = [m for m in (operation.matrix, operation.otherwise) if m is not None]
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
    if isinstance(operation, Transfer):
        before = sum(operation.dims[axis] == 4 for axis in operation.axes)
        return max(before, sum(size == 4 for size in operation.sizes))
    return 1 if isinstance(operation, Draw) else 0


def _entries(digits: Digits) -> int:
    return math.prod(size for _, size in digits)


def _emit(plan: Plan, tracker: _Tracker, ranks: int, rank: int) -> Plan:
    writer = RankPlan(plan, ranks, rank)
    agendas = {stretch.first: _Agenda(stretch, ranks.bit_length() - 1) for stretch in tracker.stretches}
    by_number: dict[int, list[_Agenda]] = {}
    for agenda in agendas.values():
        for number in agenda.stretch.events:
            by_number.setdefault(number, []).append(agenda)
        if agenda.stretch.gathers_before and agenda.stretch.last is not None:
            by_number.setdefault(agenda.stretch.last, []).insert(0, agenda)
    for number, operation in enumerate(plan.operations):
        concerned = by_number.get(number, [])
        for agenda in concerned:
            agenda.reach(number, writer)
        if not concerned:
            begun = agendas.get(number)
            if begun is None:
                writer.plain(operation)
            else:
                assert isinstance(operation, Load | Merge | Transfer | Draw)
                begun.slot = operation.slot
                writer.split(operation, begun.first_layout, begun.stretch.start, begun.stretch.merged)
        elif isinstance(operation, Read) and concerned:
            writer.read(operation)
    for agenda in agendas.values():
        agenda.finish(writer)
    return writer.finish()


class _Agenda:
    """The schedule of one stretch, as it is worked off."""

    def __init__(self, stretch: Stretch, rank_bits: int) -> None:
        self.stretch = stretch
        self.slot = -1
        schedule, names, self._numbers = stretch.schedule(rank_bits)
        layouts = [[name for k, name in enumerate(names) if mask >> k & 1] for mask in schedule.layouts]
        self.first_layout: Sequence[str] = layouts[0]
        self._actions: list[Any] = []
        for index, (layout, run) in enumerate(zip(layouts, schedule.runs, strict=True)):
            self._actions += [layout] * (index > 0) + [self._numbers[task] for task in run]
        self._next = 0

    def reach(self, number: int, writer: RankPlan) -> None:
        """The plan has come to one of the stretch's operations: what must not be later than it happens now."""
        event = self.stretch.events.get(number)
        if event is None:  # merged into a larger cluster
            self.finish(writer)
            return
        if not event.is_barrier:
            return
        self._work(writer, number)
        self.slot = event.slot
        if self.stretch.last == number and not self.stretch.gathers_before:
            writer.gather(self.slot, self.stretch.end)

    def finish(self, writer: RankPlan) -> None:
        """Work off the rest."""
        self._work(writer, None)
        if self.stretch.gathers_before and self.stretch.last is not None:
            writer.gather(self.slot, self.stretch.end)
            self.stretch.last = None

    def _work(self, writer: RankPlan, until: int | None) -> None:
        while self._next < len(self._actions):
            action = self._actions[self._next]
            self._next += 1
            if isinstance(action, list):
                writer.remap(self.slot, action)
                continue
            event = self.stretch.events[action]
            if not isinstance(event.operation, Read):
                writer.act(event.operation, event.inputs, event.outputs, event.after, event.moves)
            if action == until:
                return
