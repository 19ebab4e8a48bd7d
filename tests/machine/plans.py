"""Plans that no planner made."""

from qdist.machine.plan import Plan


def plan_of(*operations, itemsize=4):
    """A plan of these operations, without any of its figures."""
    return Plan(
        operations=operations,
        final=(),
        bits={},
        census=(),
        peak_bytes=0,
        instructions=len(operations),
        passes=len(operations),
        shots=1,
        itemsize=itemsize,
    )
