"""Where a run may be interrupted: points of a plan that mean the same on any number of ranks.

Operations that commute are done in another order than the plan's: those of a split cluster to move less, others to
read the vector less often. So points are chosen beforehand where everything before is done and nothing after: on
several ranks each may cost a remap.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from qdist.machine.coherence import Digits
from qdist.machine.layout import index_bits
from qdist.machine.plan import Draw, Load, Merge, Operation, Part, Plan, Scale, Stop, Transfer, entries

SPACING = 2**29
"""Bytes that each rank reads and writes between two stops: about a second."""
SPACING_PASSES = 32
"""Operations on the largest cluster between two stops: a remap takes about as long as one or two of them, and the more
there are, the more of them share a pass."""
OVERHEAD = 2**14
"""Bytes that could be moved while an operation on a small cluster is being looked up."""


def stops_of(plan: Plan, ranks: int, *, every: int | None = None) -> frozenset[int]:
    """After how many operations the ranks come to a common point.

    Args:
        plan: For one process.
        ranks: How many share it.
        every: Also after each multiple of this.
    """
    found = set(range(every, len(plan.operations), every)) if every is not None else set()
    work = largest = 0
    for number, operation in enumerate(plan.operations, start=1):
        work += OVERHEAD * ranks
        if isinstance(operation, Transfer | Scale | Draw):
            size = entries(operation.dims) * plan.itemsize * plan.shots
            work, largest = work + 2 * size, max(largest, size)
        if number in found or (work >= SPACING * ranks and work >= 2 * SPACING_PASSES * largest):
            found.add(number)
            work = largest = 0
    return frozenset(found)


def with_stops(plan: Plan, stops: Iterable[int]) -> Plan:
    """The plan with a `Stop` after each of these numbers of operations."""
    wanted = frozenset(stops)
    operations: list[Operation] = [Stop(0)] if 0 in wanted else []
    for number, operation in enumerate(plan.operations, start=1):
        operations.append(operation)
        if number in wanted:
            operations.append(Stop(number))
    return replace(plan, operations=tuple(operations))


def parts_at(plan: Plan, done: int) -> tuple[Part, ...]:
    """The clusters when some operations of a plan for one process are done, in the order of their slots."""
    digits: dict[int, Digits] = {}
    for operation in plan.operations[:done]:
        match operation:
            case Load(slot=slot, wires=wires, sizes=sizes):
                digits[slot] = tuple(zip(wires, sizes, strict=True))
            case Merge(slot=slot, other=other):
                digits[slot] = (*digits[slot], *digits.pop(other))
            case Transfer(slot=slot) | Scale(slot=slot) | Draw(slot=slot):
                digits[slot] = acted(operation, digits[slot])[2]
                if not digits[slot]:
                    del digits[slot]
    return tuple(Part(slot, index_bits(*zip(*digits[slot], strict=True))) for slot in sorted(digits))


def acted(operation: Transfer | Scale | Draw, before: Digits) -> tuple[Digits, Digits, Digits]:
    """The digits that an operation takes, those that it gives, and all of the vector's after it."""
    inputs = tuple(before[axis] for axis in operation.axes)
    outputs = inputs
    if isinstance(operation, Transfer | Draw):
        outputs = tuple(zip(operation.outputs, operation.sizes, strict=True))
    if stays(operation):
        return inputs, outputs, before
    rest = tuple(digit for axis, digit in enumerate(before) if axis not in operation.axes)
    return inputs, outputs, (*outputs, *rest)


def stays(operation: Operation) -> bool:
    """Whether an operation leaves every digit where it is."""
    return isinstance(operation, Scale) or (isinstance(operation, Transfer) and operation.in_place)


def index_of(operations: Sequence[Operation], done: int) -> int:
    """Where a rank goes on in its plan after `done` operations of the plan for one process."""
    return 1 + next(k for k, each in enumerate(operations) if isinstance(each, Stop) and each.done == done)
