"""What the operations of one rank hold at a time."""

from collections.abc import Sequence

from qdist.machine.plan import Draw, Drop, Gather, Load, Merge, Operation, Plan, Spread, Take, Transfer, entries


def peak_entries(operations: Sequence[Operation], plan: Plan) -> int:
    """The most entries that a rank holds at once, with what an operation under way reads and writes."""
    sizes: dict[int, int] = {}
    peak = held = 0

    def resize(slot: int, size: int) -> None:
        nonlocal held
        held += size - sizes.get(slot, 0)
        sizes[slot] = size

    for operation in operations:
        before = held
        match operation:
            case Load(slot=slot, vector=vector):
                resize(slot, vector.size)
            case Merge(slot=slot, other=other):
                size = sizes.get(slot, 0) * sizes.get(other, 0)
                before += size
                resize(slot, size)
                resize(other, 0)
            case Transfer(slot=slot, dims=dims, axes=axes, matrix=matrix, in_place=False):
                rest = entries(dims) // entries(tuple(dims[a] for a in axes))
                batch = max(1, sizes.get(slot, 0) // entries(dims))
                if matrix.ndim == 3 or operation.test is not None:
                    batch = plan.shots
                size = rest * matrix.shape[-2] * batch
                before += size
                resize(slot, size)
            case Draw(slot=slot, dims=dims, outcomes=outcomes, axes=axes) if sizes.get(slot, 0):
                rest = entries(dims) // entries(tuple(dims[a] for a in axes))
                size = rest * outcomes[0].shape[-2] * plan.shots
                before += size
                resize(slot, size)
            case Take(slot=slot, axes=axes):
                resize(slot, sizes[slot] >> len(axes))
            case Spread(slot=slot, dims=dims, batch=batch):
                size = entries(dims) // 2 * (batch or 1)
                before += size
                resize(slot, size)
            case Gather(slot=slot, dims=dims, ranks=ranks, batch=batch):
                size = entries(dims) * (batch or 1)
                # The blocks as they come, their order, and the vector made of them.
                before += size * 4 * len(ranks)
                resize(slot, size * len(ranks))
            case Drop(slot=slot):
                resize(slot, 0)
        peak = max(peak, before, held)
    return peak
