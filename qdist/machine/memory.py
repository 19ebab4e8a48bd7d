"""How much memory there is, and whether a plan fits."""

import os
from pathlib import Path

from qdist.errors import QdistError
from qdist.machine.comm import SERIAL, Comm
from qdist.machine.plan import Plan
from qdist_kernels.native import has_accelerator

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
MEMINFO = "/proc/meminfo"


def available_bytes() -> int:
    """Bytes that can be taken on this host now: what is free, or what a batch system's control group allows."""
    limits = [_free_bytes()]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):
            continue
    return min(limits)


def _free_bytes() -> int:
    try:
        for line in Path(MEMINFO).read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def device_bytes() -> tuple[int, str]:
    """Bytes that vectors may take where JAX computes, and the name of that place.

    On an accelerator the limit is its own memory; on a CPU it is what the host has available.
    """
    if not has_accelerator():
        return available_bytes(), "this machine"
    import jax

    device = jax.devices()[0]
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0)), f"this {device.device_kind}"
    return available_bytes(), "this machine"


def _sharing(comm: Comm) -> int:
    """How many ranks share the memory for vectors: those of a GPU, or those of the host."""
    return comm.gpu_size if has_accelerator() else comm.local_size


def fits(plan: Plan, comm: Comm = SERIAL) -> bool:
    """Whether a rank has the memory for its plan."""
    return plan.peak_bytes <= 2**20 or plan.peak_bytes <= device_bytes()[0] // _sharing(comm)


def check_memory(plan: Plan, comm: Comm = SERIAL) -> None:
    """Raise if a plan needs more memory than there is, with what is needed, what there is and what would fit.

    Args:
        plan: Of this rank.
        comm: The ranks, of which some share a host or a GPU.

    Raises:
        QdistError: Nothing has been allocated.
    """
    if fits(plan, comm):
        return
    whole, place = device_bytes()
    sharing = _sharing(comm)
    available = whole // sharing
    width = plan.largest / 2
    cut = plan.largest
    while cut > 0 and plan.peak_bytes >> (plan.largest - cut) > available:
        cut -= 1
    halved = plan.itemsize == 8 and plan.peak_bytes / 2 <= available
    single = ' Half of it is enough with precision = "float32".' if halved else ""
    where = f"each of {sharing} ranks on {place}" if sharing > 1 else place
    raise QdistError(
        f"The memory for the run must be at most what {where} has, {in_units(available)}, but the largest cluster has "
        f"{width:g} qubits (a classical bit counts half) and the run needs {in_units(plan.peak_bytes)}.{single} "
        f"Clusters of up to {cut // 2} qubits fit here. Measure or discard qubits earlier "
        "(`qdist plan` shows the clusters over time), or share the state among ranks on more machines (`mpirun`)."
    )


def in_units(count: int) -> str:
    """`1536` as `1.5 KiB`."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.4g} {units[0]}"
