"""What a rank may take: who launched it with how many others, its cores and its GPU, the nodes that it hosts.

Nothing here imports NumPy: the threads of its linear algebra are counted when it is loaded, and are set before.
"""

import ctypes
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

DEVICES = "/dev"
"""Where NVIDIA's driver has one file for each GPU that this process may use."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
GPU_MEMORY = ("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_CLIENT_MEM_FRACTION")
"""Either says how much of a GPU's memory JAX may have."""
GPU_FRACTION = ".95"
"""JAX takes three quarters unless told otherwise: too little of 80 GB for 17 qubits in float32, which are 68.7 GB."""
GPU_AWARE = {"MPICH_GPU_SUPPORT_ENABLED": "1", "OMPI_MCA_opal_cuda_support": "true", "MV2_USE_CUDA": "1"}


@dataclass(frozen=True)
class Launcher:
    """A kind of launcher, and the variables that it gives to its processes.

    Attributes:
        name: As in a sentence.
        size: The variable with the number of ranks; empty if there is none.
        rank: The variable with the number of this one.
        local_size: The variable with the number of ranks of this host.
        advice: What to do if the MPI library is of another kind.
        foreign: What libraries call themselves that it cannot start; others are found out when they are started.
    """

    name: str
    size: str
    rank: str
    local_size: str
    advice: str
    foreign: tuple[str, ...] = ()


LAUNCHERS = (
    # The first whose variables are there counts: mpiexec inside of a Slurm job leaves Slurm's in place. A batch script
    # has SLURM_NTASKS, but it is one process: only a step of srun has SLURM_STEP_NUM_TASKS.
    Launcher(
        "a launcher of MPICH's family (mpiexec, srun --mpi=pmi2)",
        "PMI_SIZE",
        "PMI_RANK",
        "MPI_LOCALNRANKS",
        "Start with the mpiexec of that library, or name a library of MPICH's family in `MPI4PY_LIBMPI`.",
    ),
    Launcher(
        "mpirun of Open MPI",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
        "Start with the mpiexec of that library, or name Open MPI's library in `MPI4PY_LIBMPI`.",
        foreign=("MPICH", "Intel", "MVAPICH"),
    ),
    Launcher(
        "mpiexec of MVAPICH",
        "MV2_COMM_WORLD_SIZE",
        "MV2_COMM_WORLD_RANK",
        "MV2_COMM_WORLD_LOCAL_SIZE",
        "Start with the mpiexec of that library, or name MVAPICH's library in `MPI4PY_LIBMPI`.",
    ),
    Launcher(
        "srun",
        "SLURM_STEP_NUM_TASKS",
        "SLURM_PROCID",
        "SLURM_STEP_TASKS_PER_NODE",
        "Start with another `srun --mpi=…` (`srun --mpi=list` names them), or with the mpiexec of that library.",
    ),
    Launcher(
        "a launcher of PMIx",
        "",
        "PMIX_RANK",
        "",
        "Start with the mpiexec of that library, or name the launcher's library in `MPI4PY_LIBMPI`.",
    ),
)


@dataclass(frozen=True)
class Launch:
    """How a process was started.

    Attributes:
        launcher: By what.
        rank: The launcher's number of this process, from 0.
        size: How many it started; `None` if it does not say.
        local_size: How many on this host; `None` if it does not say. Where hosts differ, how many on the first.
    """

    launcher: Launcher
    rank: int
    size: int | None
    local_size: int | None


def launched(environ: Mapping[str, str]) -> Launch | None:
    """Who started this process as a rank, alone or with others; None for a process that no launcher started."""
    for launcher in LAUNCHERS:
        rank, size = _number(environ, launcher.rank), _number(environ, launcher.size)
        if rank is not None and (size is not None or not launcher.size):
            return Launch(launcher, rank, size, _number(environ, launcher.local_size))
    return None


def _number(environ: Mapping[str, str], name: str) -> int | None:
    """The number in front: Slurm writes `4(x2),3`."""
    found = re.match(r"\d+", environ.get(name, ""))
    return int(found[0]) if found else None


def is_gpu_aware(environ: Mapping[str, str]) -> bool:
    """Whether the MPI library was told to take buffers of a GPU. There is no portable way to ask the library."""
    return any(environ.get(name, "").lower() == value for name, value in GPU_AWARE.items())


def mask() -> frozenset[int]:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def own_cores(own: AbstractSet[int], masks: Sequence[AbstractSet[int]]) -> int:
    """How many cores a rank may keep busy: its share of those that it may run on.

    A launcher may bind each rank to cores of its own, or let all of a host run everywhere.

    Args:
        own: The cores that this rank may run on.
        masks: Those of every rank of this host, this one among them.
    """
    return max(1, len(own) // sum(not own.isdisjoint(mask) for mask in masks))


def thread_settings(environ: Mapping[str, str], cores: int) -> dict[str, str]:
    """Variables for the threads of NumPy's linear algebra; none if the user has set one."""
    return {} if any(name in environ for name in THREADS) else dict.fromkeys(THREADS, str(cores))


def memory_settings(environ: Mapping[str, str], gpus: int) -> dict[str, str]:
    """Variables that give JAX nearly all memory of a GPU, if there is one; none if the user has set one.

    They must be set before JAX computes.
    """
    is_set = not gpus or any(name in environ for name in GPU_MEMORY)
    return {} if is_set else {GPU_MEMORY[0]: GPU_FRACTION}


def device_settings(
    environ: Mapping[str, str], *, cores: int, local_rank: int, local_size: int, gpus: int
) -> dict[str, str]:
    """Variables that give a rank its cores and its GPU; they must be set before JAX is imported.

    GPU number `local_rank` mod (number of GPUs). Ranks that share one take memory as they need it, not all at once.

    Args:
        environ: What is set already: the user's own settings stay, and only GPUs in `CUDA_VISIBLE_DEVICES` are used.
        cores: That this rank may keep busy.
        local_rank: The number of this rank on its host.
        local_size: How many ranks the host has.
        gpus: How many GPUs the host has.
    """
    settings = {"NPROC": str(cores)}
    listed = environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
    # CUDA looks no further than the first that it does not know.
    visible = list(takewhile(lambda name: name not in ("", "-1"), (name.strip() for name in listed)))
    if visible and len(visible) < local_size:
        settings["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    settings = {name: value for name, value in settings.items() if name not in environ}
    settings |= memory_settings(environ, len(visible))
    if len(visible) > 1:
        settings["CUDA_VISIBLE_DEVICES"] = visible[local_rank % len(visible)]
    return settings


def gpu_count() -> int:
    """How many NVIDIA GPUs this host lets us use. JAX cannot be asked: it would take them all."""
    return sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in Path(DEVICES).glob("nvidia*"))


def gpu_identity() -> str:
    """The first GPU that CUDA gives this process, or nothing: batch systems may call each rank's own number 0."""
    device, identity = ctypes.c_int(), ctypes.create_string_buffer(16)
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        failed = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0)
        failed = failed or cuda.cuDeviceGetUuid_v2(identity, device)
    except (OSError, AttributeError):
        return ""
    return "" if failed else identity.raw.hex()


def hosted(nodes: Sequence[str], rank: int, size: int, hosts: Sequence[Sequence[str]] | None = None) -> tuple[str, ...]:
    """The nodes that a rank hosts: node k is on rank k mod `size`, unless it is said where.

    Args:
        nodes: All of them.
        rank: Which rank is asked for.
        size: How many ranks there are.
        hosts: The nodes of each rank, from rank 0. Ranks beyond the list host none; of fewer ranks, each hosts what
            ranks r, r + size, … would.

    Raises:
        QdistError: `hosts` does not have every node once.
    """
    # Here, because it loads NumPy.
    from qdist.errors import QdistError, did_you_mean

    if hosts is None:
        return tuple(nodes[rank::size])
    known, placed = set(nodes), Counter(node for names in hosts for node in names)
    for node in placed:
        if node not in known:
            raise QdistError(f"`hosts` must name nodes, but '{node}' is none.{did_you_mean(node, nodes)}")
    for node in nodes:
        if placed[node] != 1:
            found = "not there" if node not in placed else f"there {placed[node]} times"
            raise QdistError(f"`hosts` must have every node once, but '{node}' is {found}. Give it to one rank.")
    return tuple(node for names in hosts[rank::size] for node in names)
