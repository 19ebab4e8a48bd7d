"""What the operations of one rank hold at a time."""

from collections.abc import Sequence
from math import prod
from typing import Any

from qdist.machine.clusters import BATCH_COPIES, large_bytes
from qdist.machine.plan import Draw, Drop, Gather, Load, Merge, Operation, Plan, Spread, Take, Transfer, entries


def peak_bytes(operations: Sequence[Operation], plan: Plan) -> int:
    """The most that a rank holds at once, with what an operation under way reads, writes and copies."""
    sizes: dict[int, tuple[int, int]] = {}  # entries of each vector, and vectors: one, or one a shot
    peak = held = numbers = 0
    for operation in operations:
        slot: Any = getattr(operation, "slot", None)
        size, batch = before = sizes.get(slot, (0, 1))
        scratch = 0
        match operation:
            case Load(vector=vector):
                size, batch = vector.shape[-1], vector.size // vector.shape[-1]
            case Merge(other=other):
                with_size, with_batch = sizes.pop(other, (0, 1))
                scratch = prod(before) + with_size * with_batch
                held -= with_size * with_batch
                size, batch = size * with_size, max(batch, with_batch)
            case Transfer(dims=dims, axes=axes, matrix=matrix, in_place=False):
                size = _left(dims, axes) * matrix.shape[-2]
                batch = plan.shots if operation.differs_by_shot else batch
                scratch = _copies(before, batch)
            case Draw(dims=dims, axes=axes, outcomes=outcomes) if size:
                size, batch = _left(dims, axes) * outcomes[0].shape[-2], plan.shots
                scratch = _copies(before, batch)
            case Take(axes=axes):
                size >>= len(axes)
                scratch = prod(before)
            case Spread(dims=dims):
                size, batch = entries(dims) // 2, operation.batch or 1
                scratch = prod(before)
            case Gather(dims=dims, ranks=ranks):
                size, batch = entries(dims) * len(ranks), operation.batch or 1
                # The block, the blocks as they come, and in their order.
                scratch = prod(before) + 3 * size * batch
            case Drop():
                size = 0
        if slot is not None:
            sizes[slot] = size, batch
            held += size * batch - prod(before)
        numbers += sum(large_bytes(array) for array in vars(operation).values())
        peak = max(peak, (held + scratch) * plan.itemsize + numbers)
    return peak


def _left(dims: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return entries(dims) // entries(tuple(dims[axis] for axis in axes))


def _copies(before: tuple[int, int], batch: int) -> int:
    return prod(before) * (BATCH_COPIES if batch > 1 else 1)
