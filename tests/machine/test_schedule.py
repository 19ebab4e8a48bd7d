"""Schedules against the exhaustive optimum, found by Dijkstra over what is done and which qubits are split."""

import heapq
import itertools
import random

import pytest

from qdist.errors import QdistError
from qdist.machine import schedule
from qdist.machine.schedule import EVERYTHING, Task, make_schedule

FREE, MIXES, CONTROLS = "free", "mixes", "controls"


def random_tasks(seed, num_qubits, length):
    """Tasks of one or two qubits: some leave x bits alone, some mix them, some are CNOTs; now and then a barrier."""
    lot = random.Random(seed)
    tasks = []
    for _ in range(length):
        kind = lot.choice([FREE, MIXES, MIXES, MIXES, CONTROLS])
        first, second = (1 << q for q in lot.sample(range(num_qubits), 2))
        if lot.random() < 0.05:
            tasks.append(Task(EVERYTHING, 0))
        elif kind == CONTROLS:
            both = first | second
            tasks.append(Task(both, both, {0: 0, first: first, both: both}))
        else:
            wires = first | (second if lot.random() < 0.7 else 0)
            parts = [part for part in range(wires + 1) if part & wires == part]
            tasks.append(Task(wires, wires, {part: part for part in (parts if kind == FREE else [0])}))
    return tasks


def optimum(tasks, num_qubits, rank_bits):
    """The least price of any order and any layouts; the first layout is free."""
    layouts = [sum(1 << q for q in chosen) for chosen in itertools.combinations(range(num_qubits), rank_bits)]
    before = [[k for k in range(n) if tasks[k].wires & tasks[n].wires] for n in range(len(tasks))]
    queue = [(0.0, 0, layout) for layout in layouts]
    best = {}
    while queue:
        cost, done, layout = heapq.heappop(queue)
        ready = True
        while ready:
            waiting = [n for n in range(len(tasks)) if not done >> n & 1 and layout & tasks[n].qubits in tasks[n].moves]
            ready = [n for n in waiting if all(done >> k & 1 for k in before[n])]
            done |= sum(1 << n for n in ready)
        if done == 2 ** len(tasks) - 1:
            return cost
        if best.get((done, layout), float("inf")) <= cost:
            continue
        best[done, layout] = cost
        for other in layouts:
            traded = (layout & ~other).bit_count()
            heapq.heappush(queue, (cost + 1 - 2.0**-traded, done, other))
    raise AssertionError("every program can be run")


CASES = [(seed, 4 + seed % 4, 1 + seed % 3, 6 + seed % 9) for seed in range(120)]


def prices(**options):
    found = []
    for seed, num_qubits, rank_bits, length in CASES:
        rank_bits = min(rank_bits, num_qubits - 2)
        tasks = random_tasks(seed, num_qubits, length)
        made = make_schedule(tasks, 2**num_qubits - 1, rank_bits, **options)
        assert sorted(itertools.chain(*made.runs)) == list(range(length))
        found.append((made.price, optimum(tasks, num_qubits, rank_bits)))
    return found


@pytest.mark.parametrize(("width", "equal"), [(None, 0.95), (1, 0.75)])
def test_a_schedule_is_never_twice_the_optimum_and_mostly_equal(width, equal):
    found = prices(width=width)
    assert all(best <= price <= 2 * best for price, best in found)
    assert sum(price == best for price, best in found) >= equal * len(found)


def test_it_is_near_the_optimum_too_where_not_all_layouts_are_tried(monkeypatch):
    monkeypatch.setattr(schedule, "ALL_LAYOUTS", 2)
    found = prices(width=4)
    assert sum(price for price, _ in found) <= 2 * sum(best for _, best in found)


def test_tasks_that_share_a_qubit_keep_their_order():
    tasks = random_tasks(7, 6, 40)
    made = make_schedule(tasks, 2**6 - 1, 2)
    order = {number: place for place, number in enumerate(itertools.chain(*made.runs))}
    for first, second in itertools.combinations(range(40), 2):
        if tasks[first].wires & tasks[second].wires:
            assert order[first] < order[second]


def test_every_process_makes_the_same_schedule():
    tasks = random_tasks(3, 7, 60)
    assert make_schedule(tasks, 2**7 - 1, 3) == make_schedule(list(tasks), 2**7 - 1, 3)


def test_ranks_that_leave_no_room_are_refused():
    with pytest.raises(QdistError, match="must leave room for every operation, but 3 qubits over 4 ranks do not"):
        make_schedule([Task(0b111, 0b111, {0: 0})], 0b111, 2)
