"""Operations that leave digits where they are become passes: many of them while a tile of the vector is in the cache.

A tile is the entries that differ in some bits of their index. Operations on other bits than a tile's wait for another
pass, and everything after them on the same bits waits with them; the rest commutes and need not wait.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qdist.machine.plan import Draw, Merge, Operation, Passes, Plan, Read, Scale, Stop, Transfer, batched_by
from qdist_kernels import Group, Pass, Program, Stage, Step, stages_of
from qdist_kernels.placement import tiles_for
from qdist_kernels.program import LARGEST_STEP, Tiles, bits_of


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
    stages = _stages(operation, total) if numbers.ndim == 2 else ()
    return _Work(operation.slot, total, Step(bits, numbers, stages), operation)


def _stages(operation: Transfer | Scale, bits: int) -> tuple[Stage, ...]:
    """Of an operation on two qubits that is made of smaller ones, if it is worth finding them for 2^bits entries."""
    if not isinstance(operation, Transfer) or not operation.factors or bits < tiles_for(2**bits).staged_bits:
        return ()
    is_pair = [operation.dims[axis] for axis in operation.axes] == [4, 4]
    return stages_of(operation.factors) if is_pair else ()


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
        groups = tuple(groups_of([work.step for work in works], bits, itemsize, tiles))
        yield Passes(slot, Program(bits, groups), len(works))


def groups_of(steps: Sequence[Step], bits: int, itemsize: int, tiles: Tiles) -> Iterator[Group]:
    """Group steps into passes, and those into groups that a part of a large vector takes at once.

    Args:
        steps: In an order in which they may be done.
        bits: Of the vector's index.
        itemsize: Bytes of a number.
        tiles: How the vector is cut.
    """
    size, whole = tiles.part(bits, itemsize), range(bits)
    left = [_Waiting(sum(1 << bit for bit in step.bits), step) for step in steps]
    while left:
        part, taken, left = _next_pass(left, (1 << tiles.part_rows) - 1, size, whole) if size < bits else (0, left, [])
        yield _group(_filled(part, size, whole), taken, tiles.bits(bits, itemsize), tiles.reading)


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A step that is in no pass yet, and its bits as a mask."""

    bits: int
    step: Step


def _group(part: Sequence[int], waiting: list[_Waiting], size: int, reading: Mapping[int, float]) -> Group:
    """Passes with tiles of 2^size entries inside of a part."""
    passes = []
    while waiting:
        choices = [
            (cost, found)
            for row, cost in reading.items()
            if (found := _next_pass(waiting, (1 << min(row, size)) - 1, size, part))[1]
        ]
        _, (tile, taken, waiting) = min(choices, key=lambda choice: choice[0] / len(choice[1][1]))
        passes.append(Pass(_filled(tile, size, part), tuple(one.step for one in taken)))
    return Group(tuple(part), tuple(passes))


def _filled(tile: int, size: int, bits: Sequence[int]) -> tuple[int, ...]:
    """Bits that no step needs make the rows of a tile longer."""
    for bit in bits:
        if tile.bit_count() < size:
            tile |= 1 << bit
    return tuple(bit for bit in bits if tile >> bit & 1)


def _next_pass(
    waiting: list[_Waiting], rows: int, size: int, bits: Sequence[int]
) -> tuple[int, list[_Waiting], list[_Waiting]]:
    """A pass with the first step that waits, or where more fit, with neighboring bits.

    Args:
        waiting: In an order in which they may be done.
        rows: Bits that every tile has.
        size: How many bits it has at most.
        bits: Those that it may have, ascending.

    Returns:
        The bits that it has (`rows` and those of its steps), its steps, and those that are left.
    """
    free = [bit for bit in bits if not rows >> bit & 1]
    width = size - rows.bit_count()
    windows = [sum(1 << bit for bit in free[k : k + width]) for k in range(len(free) - width + 1)]
    return max((_taken(waiting, rows, window, size) for window in (0, *windows)), key=lambda found: len(found[1]))


def _taken(waiting: list[_Waiting], rows: int, window: int, size: int) -> tuple[int, list[_Waiting], list[_Waiting]]:
    """All steps that fit in a tile, beginning with the first that does."""
    tile, blocked, taken, left = rows | window, 0, [], []
    for one in waiting:
        if not one.bits & blocked and (tile | one.bits).bit_count() <= size:
            tile |= one.bits
            taken.append(one)
        else:
            blocked |= one.bits
            left.append(one)
    for one in taken:
        rows |= one.bits
    return rows, taken, left
