"""Operations that leave digits where they are become passes: many of them while a tile of the vector is in the cache.

A tile is the entries that differ in some bits of their index. Operations on other bits than a tile's wait for another
pass, and everything after them on the same bits waits with them; the rest commutes and need not wait.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qdist.machine.plan import Draw, Merge, Operation, Passes, Plan, Read, Scale, Stop, Transfer, batched_by
from qdist_kernels import Pass, Program, Step
from qdist_kernels.program import LARGEST_STEP, Tiles, bits_of
from qdist_kernels.transfer import tiles_for

AHEAD = 64
"""Steps that wait and are looked at when the tile of a pass is chosen."""


def tiled(plan: Plan) -> Plan:
    """The same plan with runs of such operations grouped into passes.

    Operations of a slot are gathered until another operation needs the slot; `Stop` needs all of them.
    """
    waiting: dict[int, list[_Work]] = {}
    operations: list[Operation] = []

    def release(slots: Sequence[int]) -> None:
        for slot in slots:
            operations.extend(_grouped(slot, waiting.pop(slot, []), plan.itemsize))

    batched: set[int] = set()  # their shots are swept over: there is no tile to stay in
    for operation in plan.operations:
        batched |= batched_by(operation, batched)
        work = _work(operation)
        if work is not None and work.slot not in batched:
            waiting.setdefault(work.slot, []).append(work)
            continue
        release(list(waiting) if isinstance(operation, Stop) else _slots(operation))
        operations.append(operation)
    release(list(waiting))
    return replace(plan, operations=tuple(operations), passes=sum(map(_reads, operations)))


def _reads(operation: Operation) -> int:
    """How often an operation reads a vector."""
    if isinstance(operation, Passes):
        return len(operation.program.passes)
    return isinstance(operation, Transfer | Scale | Draw | Merge)


@dataclass(frozen=True)
class _Work:
    """An operation that can be part of a pass."""

    slot: int
    bits: int
    step: Step
    operation: Operation


def _work(operation: Operation) -> _Work | None:
    match operation:
        case Transfer(in_place=True, matrix=np.ndarray() as matrix):
            factors = _diagonal(matrix)
            numbers = matrix if factors is None else factors
        case Scale(factors=np.ndarray() as numbers):
            pass
        case _:
            return None
    total, bits = bits_of(operation.dims, operation.axes)
    if len(bits) > LARGEST_STEP:
        return None
    return _Work(operation.slot, total, Step(bits, numbers), operation)


def _diagonal(matrix: np.ndarray) -> np.ndarray | None:
    factors = np.diagonal(matrix)
    return factors.copy() if np.count_nonzero(matrix) == np.count_nonzero(factors) else None


def _slots(operation: Operation) -> list[int]:
    match operation:
        case Read(parts=groups):
            return [part.slot for parts in groups for part in parts]
    found = [getattr(operation, name, None) for name in ("slot", "other")]
    return [slot for slot in found if slot is not None]


def _grouped(slot: int, works: list[_Work], itemsize: int) -> Iterator[Operation]:
    """One operation for all; a single one stays as it is if its vector is one tile."""
    if not works:
        return
    bits = works[0].bits
    tiles = tiles_for(2**bits)
    if len(works) == 1 and bits <= tiles.whole_bits:
        yield works[0].operation
    else:
        passes = tuple(passes_of([work.step for work in works], bits, itemsize, tiles))
        yield Passes(slot, Program(bits, passes), len(works))


def passes_of(steps: Sequence[Step], bits: int, itemsize: int, tiles: Tiles) -> Iterator[Pass]:
    """Group steps into passes.

    Args:
        steps: In an order in which they may be done.
        bits: Of the vector's index.
        itemsize: Bytes of a number.
        tiles: How the vector is cut.
    """
    size = tiles.bits(bits, itemsize)
    left = list(steps)
    while left:
        choices = [
            (reading, _next_pass(left, tile, size))
            for row, reading in tiles.reading.items()
            for tile in _beginnings(left[:AHEAD], set(range(min(row, size))), size, tiles.beginnings)
        ]
        able = (choice for choice in choices if choice[1][1])
        _, (tile, taken, left) = min(able, key=lambda choice: choice[0] / len(choice[1][1]))
        # Bits that no step needs make a tile's rows longer.
        spare = (bit for bit in range(bits) if bit not in tile)
        while len(tile) < size:
            tile.add(next(spare))
        yield Pass(tuple(sorted(tile)), tuple(taken))


def _beginnings(steps: list[Step], rows: set[int], size: int, most: int) -> Iterator[set[int]]:
    """Tiles to choose from: one that takes steps as they come, and for each of the first ones another around it.

    Those grow by the bits of the step that lets the most steps in for each new bit.
    """
    yield rows
    everywhere = [set(step.bits) for step in steps]
    for first in _inside(everywhere, set())[1][:most]:
        tile = rows | first
        while len(tile) <= size:
            inside, next_ones = _inside(everywhere, tile)
            wider = [tile | bits for bits in next_ones if len(tile | bits) <= size]
            if not wider:
                yield tile
                break
            tile = max(wider, key=lambda each: (_inside(everywhere, each)[0] - inside) / (len(each) - len(tile)))


def _inside(steps: list[set[int]], tile: set[int]) -> tuple[int, list[set[int]]]:
    """How many steps can be done in a tile, and those that would be next in a larger one."""
    blocked: set[int] = set()
    count, next_ones = 0, []
    for bits in steps:
        is_free = blocked.isdisjoint(bits)
        if is_free and bits <= tile:
            count += 1
            continue
        if is_free:
            next_ones.append(bits)
        blocked |= bits
    return count, next_ones


def _next_pass(steps: list[Step], tile: set[int], size: int) -> tuple[set[int], list[Step], list[Step]]:
    """All steps that fit as they come; the tile that has grown to hold them, those steps, and those that are left."""
    tile = set(tile)
    blocked: set[int] = set()
    taken, left = [], []
    for step in steps:
        bits = set(step.bits)
        if not bits & blocked and len(tile | bits) <= size:
            tile |= bits
            taken.append(step)
        else:
            blocked |= bits
            left.append(step)
    return tile, taken, left
