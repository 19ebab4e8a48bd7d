"""A plan for one process becomes the plan of each rank: large clusters are split, data is moved where it must be.

Small clusters are replicated: every rank does the same to them. The operations of a split cluster are scheduled
(`schedule.py`), and each becomes what one rank does to its block (`splitting.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from qdist.errors import QdistError
from qdist.machine.plan import Draw, Load, Merge, Operation, Plan, Read, Stop, Transfer
from qdist.machine.schedule import Schedule, make_schedule
from qdist.machine.splitting import RankPlan
from qdist.machine.stretches import Stretch, find_stretches

SPLIT_ENTRIES = 4**9
"""Clusters with at least this many entries are split: below, an operation takes less time than a message."""


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
    plan = replace(plan, operations=tuple(_one_by_one(plan.operations)))
    threshold = SPLIT_ENTRIES if threshold is None else threshold
    return _emit(plan, find_stretches(plan, ranks.bit_length() - 1, threshold), ranks, rank)


def _one_by_one(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Clusters that a draw takes together are merged before it: ranks know where they hold a cluster, not two."""
    for operation in operations:
        if isinstance(operation, Draw) and operation.other is not None:
            yield Merge(operation.slot, operation.other)
            yield replace(operation, other=None, cut=0)
        else:
            yield operation


def _emit(plan: Plan, stretches: Sequence[Stretch], ranks: int, rank: int) -> Plan:
    writer = RankPlan(plan, ranks, rank)
    agendas = {stretch.first: _Agenda(stretch, ranks.bit_length() - 1) for stretch in stretches}
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
                if not isinstance(operation, Stop):
                    writer.plain(operation)
            else:
                assert isinstance(operation, Load | Merge | Transfer | Draw)
                begun.slot = operation.slot
                writer.split(operation, begun.first_layout, begun.stretch.start, begun.stretch.merged)
        elif isinstance(operation, Read):
            writer.read(operation)
        if isinstance(operation, Stop):
            writer.stop(operation)
    for agenda in agendas.values():
        agenda.finish(writer)
    return writer.finish()


class _Agenda:
    """The schedule of one stretch, as it is worked off."""

    def __init__(self, stretch: Stretch, rank_bits: int) -> None:
        self.stretch = stretch
        self.slot = -1
        tasks, names, live = stretch.tasks()
        schedule: Schedule = make_schedule(tasks, live, rank_bits)
        numbers = list(stretch.events)
        layouts = [[name for k, name in enumerate(names) if mask >> k & 1] for mask in schedule.layouts]
        self.first_layout: Sequence[str] = layouts[0]
        self._actions: list[Any] = []
        for index, (layout, run) in enumerate(zip(layouts, schedule.runs, strict=True)):
            self._actions += [layout] * (index > 0) + [numbers[task] for task in run]
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
            if not isinstance(event.operation, Read | Stop):
                writer.act(event.operation, event.inputs, event.outputs, event.after, event.moves)
            if action == until:
                return
