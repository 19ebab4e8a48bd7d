"""When to remap: the order of operations on one split cluster, and the layouts in which they run.

Operations on different qubits commute, so everything that the present layout allows is run before data is moved; then
the layout is changed so that as much as possible can run for the bytes that it costs. A beam of the best partial
schedules is followed.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb

from qdist.errors import QdistError

EVERYTHING = -1
ALL_LAYOUTS = 300
"""Up to this many layouts are all tried at a remap; beyond it, those that bring in the x bits that mix latest."""

FILL_PRICE = 0.5
"""Of giving half of each block to ranks that have none, in blocks."""


@dataclass(frozen=True)
class Task:
    """An operation as the scheduler sees it: sets of qubits are bit masks.

    Attributes:
        wires: What it touches; tasks that share a bit keep their order. `EVERYTHING` for those that keep it with all.
        qubits: Its qubits whose x bits could be rank bits.
        moves: For each set of them that may be split while it runs: the set that is split afterwards.
        creates: Qubits that it brings.
        removes: Qubits that it ends.
        needs_all: Whether every rank must hold a part.
    """

    wires: int
    qubits: int
    moves: Mapping[int, int] = field(default_factory=lambda: {0: 0})
    creates: int = 0
    removes: int = 0
    needs_all: bool = False


@dataclass(frozen=True)
class _Point:
    """A partial schedule: which tasks are done (those before `base`, and the bits of `done` after it), and how."""

    base: int
    done: int
    split: int
    live: int
    cost: float = 0.0
    count: int = 0
    layouts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """Layouts in order (the first is free), the tasks that run in each, and the price in blocks sent."""

    layouts: tuple[int, ...]
    runs: tuple[tuple[int, ...], ...]
    price: float


def make_schedule(tasks: Sequence[Task], live: int, rank_bits: int, *, width: int | None = None) -> Schedule:
    """Order tasks and choose layouts.

    Args:
        tasks: In an order that respects cause and effect.
        live: The qubits at the start.
        rank_bits: How many x bits are to be split.
        width: Partial schedules that are followed at a time; by the number of tasks unless given.
    """
    if width is None:
        width = 12 if len(tasks) <= 150 else 3 if len(tasks) <= 600 else 1
    start = _Point(0, 0, 0, live)
    beam = _best(
        [_run(tasks, start, layout, 0.0, rank_bits) for layout in _subsets(live, rank_bits)], len(tasks), width
    )
    finished = [point for point in beam if point.count == len(tasks)]
    while beam and (not finished or min(p.cost for p in beam) < min(p.cost for p in finished)):
        known: dict[tuple[int, int, int], _Point] = {}
        for point in beam:
            if point.count == len(tasks):
                continue
            for layout in _candidates(tasks, point, rank_bits):
                new = _run(tasks, point, layout, point.cost + price(point.split, layout, rank_bits), rank_bits)
                key = (new.base, new.done, new.split)
                if new.count > point.count and (key not in known or new.cost < known[key].cost):
                    known[key] = new
        if not known:
            break
        beam = _best(list(known.values()), len(tasks), width)
        finished += [point for point in beam if point.count == len(tasks)]
    if not finished:
        raise QdistError(
            f"The layout must leave room for every operation, but {live.bit_count()} qubits over {2**rank_bits} ranks "
            "do not. Use fewer ranks."
        )
    best = min(finished, key=lambda p: (p.cost, p.layouts))
    return Schedule(best.layouts, tuple(_replay(tasks, start, best.layouts, rank_bits)), best.cost)


def price(before: int, after: int, rank_bits: int) -> float:
    """Blocks that a rank sends to change the split qubits: one all-to-all for those that trade places."""
    idle = rank_bits - before.bit_count()
    traded = (before & ~after).bit_count()
    return 1 - 2.0**-traded + FILL_PRICE * idle


def advance(tasks: Sequence[Task], point: _Point, rank_bits: int) -> tuple[_Point, tuple[int, ...]]:
    """Run everything that the layout allows; also the numbers of the tasks that ran."""
    base, done, split, live = point.base, point.done, point.split, point.live
    blocked, ran = 0, []
    offset = 0
    for number in range(base, len(tasks)):
        offset = number - base
        if done >> offset & 1:
            continue
        task = tasks[number]
        here = split & task.qubits
        if task.wires & blocked or here not in task.moves or (task.needs_all and split.bit_count() < rank_bits):
            blocked |= task.wires
            if blocked & live == live:
                break
            continue
        split = split & ~here | task.moves[here]
        live = (live | task.creates) & ~task.removes
        done |= 1 << offset
        ran.append(number)
    while done & 1:
        done >>= 1
        base += 1
    count = point.count + len(ran)
    return _Point(base, done, split, live, point.cost, count, point.layouts), tuple(ran)


def _run(tasks: Sequence[Task], point: _Point, layout: int, cost: float, rank_bits: int) -> _Point:
    start = _Point(point.base, point.done, layout, point.live, cost, point.count, (*point.layouts, layout))
    return advance(tasks, start, rank_bits)[0]


def _replay(tasks: Sequence[Task], start: _Point, layouts: Sequence[int], rank_bits: int) -> Iterator[tuple[int, ...]]:
    point = start
    for layout in layouts:
        point, ran = advance(tasks, _Point(point.base, point.done, layout, point.live, 0.0, point.count), rank_bits)
        yield ran


def _best(points: list[_Point], total: int, width: int) -> list[_Point]:
    """The points that look cheapest when finished at the best rate of cost per task so far."""
    rate = min((p.cost / p.count for p in points if p.count and p.cost), default=0.0)
    return sorted(points, key=lambda p: (p.cost + rate * (total - p.count), -p.count, p.layouts))[:width]


def _subsets(mask: int, size: int) -> Iterator[int]:
    bits = [1 << k for k in range(mask.bit_length()) if mask >> k & 1]
    if comb(len(bits), size) > ALL_LAYOUTS:
        bits = bits[: size + 4] + bits[-size - 4 :] if len(bits) > 2 * size + 8 else bits
    for chosen in itertools.islice(itertools.combinations(bits, size), ALL_LAYOUTS):
        yield sum(chosen)


def _candidates(tasks: Sequence[Task], point: _Point, rank_bits: int) -> Iterator[int]:
    """Layouts that could come next: all of them, or those that keep the x bits that mix latest."""
    if comb(point.live.bit_count(), rank_bits) <= ALL_LAYOUTS:
        yield from _subsets(point.live, rank_bits)
        return
    order = _by_next_mixing(tasks, point)
    held = [q for q in order if q & point.split]
    others = [q for q in reversed(order) if not q & point.split]
    idle = rank_bits - len(held)
    for evicted in range(len(held) + 1):
        count = evicted + idle
        kept = held[evicted:]
        for incoming in itertools.islice(itertools.combinations(others[: count + 4], count), 40):
            if count:
                yield sum(kept) + sum(incoming)


def _by_next_mixing(tasks: Sequence[Task], point: _Point) -> list[int]:
    """Qubits in the order in which a task needs their x bits to be local."""
    left = {1 << k for k in range(point.live.bit_length()) if point.live >> k & 1}
    order: list[int] = []
    for number in range(point.base, len(tasks)):
        if point.done >> (number - point.base) & 1:
            continue
        for qubit in [q for q in left if tasks[number].qubits & q and q not in tasks[number].moves]:
            left.discard(qubit)
            order.append(qubit)
        if not left:
            break
    return order + sorted(left)
