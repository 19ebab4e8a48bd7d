"""A job made ready: lowered, planned, divided over ranks, and checked against what there is."""

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from qdist.errors import QdistError
from qdist.machine.comm import SERIAL, Comm, Serial
from qdist.machine.memory import check_memory, fits
from qdist.machine.plan import Plan
from qdist.machine.planner import make_plan
from qdist.machine.ranks import gpu_count
from qdist.machine.sharding import shard
from qdist.machine.stops import stops_of, with_stops
from qdist.machine.tiling import tiled
from qdist.network.lowering import Lowered, lower
from qdist.runs.checkpoints.outline import outline_of
from qdist.runs.garbage import none_to_collect
from qdist.runs.job import Job
from qdist.runs.launch import agree
from qdist.runs.outcomes import MAX_BITS
from qdist.runs.sweep import Sweep
from qdist_kernels.placement import HOST_ENTRIES

if TYPE_CHECKING:
    from qdist.runs.at_once import AtOnce

BATCH_BYTES = 2**28
"""Sampled shots are run in batches of at most this size: small enough for any machine."""
MAX_BATCH = 2**12
LEAST_ON_HOST = 2**10
"""Shots at a time that make it worth while to keep a batch on the host."""


@dataclass(frozen=True)
class Prepared:
    """A job made ready: its instructions and its plan, which are the same for every batch of shots.

    Attributes:
        job: What is run.
        lowered: Its instructions.
        plan: What this rank does.
        batch: Shots at a time, in sampled mode.
        keep_state: Whether the final states are wanted.
        comm: The ranks that share one state.
        whole: The plan for one process, of which `plan` is a rank's part.
        at_once: The program of a batch, if a GPU takes it.
    """

    job: Job
    lowered: Lowered
    plan: Plan
    batch: int | None
    keep_state: bool
    comm: Comm = SERIAL
    whole: Plan | None = None
    at_once: "AtOnce | None" = None


def prepare(job: Job, *, keep_state: bool = True, batch: int | None = None) -> Prepared:
    """Lower and plan a job, for one rank, without running it.

    Args:
        job: What to run.
        keep_state: Whether the final states are wanted; otherwise qubits are dropped as soon as nothing needs them.
        batch: Shots at a time in sampled mode, if the run was begun with so many, on this machine or another.
    """
    if job.mode != "sampled":
        kept = frozenset(job.postselect)
        lowered = lower(job.program, job.network, groups=job.pairs, postselected=kept)
        return Prepared(job, lowered, _plan(job, lowered, None, keep_state), None, keep_state)
    # Not loaded for a job that has no shots.
    from qdist.runs.at_once import at_once
    from qdist_kernels import shots

    lowered = lower(job.program, job.network, groups=job.pairs, sampled=True)
    begun = batch
    batch, plan = _batch(job, lowered, begun or MAX_BATCH, keep_state)
    if shots.is_used_for(job.shots) and (program := at_once(plan, job.precision)) is not None:
        batch, plan = _batch(job, lowered, begun or shots.BATCH, keep_state)
        plan = replace(plan, peak_bytes=shots.num_bytes(program.program, batch))
        return Prepared(job, lowered, plan, batch, keep_state, at_once=program)
    fitting = _fitting(plan, batch) if begun is None else batch
    if fitting < batch:
        batch, plan = fitting, _plan(job, lowered, fitting, keep_state)
    return Prepared(job, lowered, plan, batch, keep_state)


def _batch(job: Job, lowered: Lowered, most: int, keep_state: bool) -> tuple[int, Plan]:
    """Shots at a time, and the plan for so many."""
    kept_bytes = 8 * lowered.drawn_times + len(lowered.wires)
    batch = max(4, min(most, -(-job.shots // 4) * 4, BATCH_BYTES // max(1, kept_bytes) // 4 * 4))
    return batch, _plan(job, lowered, batch, keep_state)


def _fitting(plan: Plan, batch: int) -> int:
    """How many shots should be run at a time, of a batch that is planned: always a multiple of 4.

    Batches of small clusters stay on the host, which runs thousands of shots in the time of one dispatch to a device.
    """
    fitting = BATCH_BYTES // max(1, plan.peak_bytes // batch) // 4 * 4
    on_host = HOST_ENTRIES >> plan.largest
    return max(4, min(batch, fitting, on_host if on_host >= LEAST_ON_HOST else fitting))


def _plan(job: Job, lowered: Lowered, shots: int | None, keep_state: bool) -> Plan:
    outputs = dict(lowered.bits)
    if job.record.probabilities and not outputs:
        outputs = {qubit: qubit for qubit in job.program.qubits}
    keep: tuple[str, ...] | None = None if keep_state else ()
    if job.record.correlators:
        keep = None if keep_state else job.program.qubits
    return make_plan(
        lowered.instructions,
        outputs=outputs if job.record.probabilities else {},
        keep=keep,
        postselect={lowered.wires[bit]: value for bit, value in job.postselect.items()},
        shots=shots,
        itemsize=np.dtype(job.precision).itemsize,
    )


@none_to_collect()
def prepare_on(
    job: Job, comm: Comm, *, keep_state: bool, resumed_after: int | None = None, batch: int | None = None
) -> Prepared:
    """Prepare a job for ranks that work on it together, and check that it can be run and read off.

    All branches of one state are shared by all ranks. Shots are dealt to groups of ranks instead, as small as memory
    allows, and the state of a batch is shared by a group.

    Args:
        job: What to run.
        comm: The ranks; all of them call this.
        keep_state: Whether the final states are wanted.
        resumed_after: How many operations of one state were done before, if the run is resumed.
        batch: Shots at a time before, if it is.

    Raises:
        QdistError: On every rank: it does not fit, or something that was asked for will not be there.
    """
    prepared = agree(comm, lambda: prepare(job, keep_state=keep_state, batch=batch))
    size = _ranks_for(prepared, comm)
    part = comm if size == comm.size else comm.split(comm.rank // size)
    plan = tiled(shard(_stoppable(prepared, size, resumed_after), ranks=size, rank=part.rank))

    _check_agreed(prepared.plan, plan, comm)

    def check() -> None:
        check_memory(plan, comm)
        _check_results(replace(prepared, plan=plan))

    agree(comm, check)
    program = prepared.at_once if size == 1 else None
    return replace(prepared, plan=plan, comm=part, whole=prepared.plan, at_once=program)


def _check_agreed(whole: Plan, plan: Plan, comm: Comm) -> None:
    """Raise unless all ranks have made the same plan: blocks of different ones do not fit together.

    Raises:
        QdistError: On every rank. Another processor, or another version of a library, may round a matrix otherwise.
    """
    if comm.size == 1:
        return
    ends = [(part.bits, sorted(wire for wire, _ in part.bands)) for part in plan.final]
    mine = hashlib.sha256(repr((outline_of(whole).shape, plan.remaps, ends)).encode()).hexdigest()
    if len(found := set(comm.gather(mine))) > 1:
        raise QdistError(
            f"All ranks must make the same plan, but there are {len(found)} different ones. Run on machines of one "
            "kind, with the same versions of Python, NumPy and qdist."
        )


def _stoppable(prepared: Prepared, ranks: int, resumed_after: int | None = None) -> Plan:
    """The plan with the points at which the ranks that share a state can be interrupted."""
    if prepared.batch is not None:
        return prepared.plan
    stops = stops_of(prepared.plan, ranks, every=prepared.job.saving.every_steps)
    return with_stops(prepared.plan, stops if resumed_after is None else {*stops, resumed_after})


def ranks_here(ranks: int) -> Serial:
    """The first of many ranks on this machine, for what is asked without the others."""
    return Serial(size=ranks, local_size=ranks, gpu_size=-(-ranks // max(1, gpu_count())))


def preview(described: Job | Sweep, ranks: int) -> tuple[Prepared, Plan]:
    """A job, or the first point of a sweep, for one rank; and the plan of the first of many on this machine."""
    comm = ranks_here(ranks)
    if isinstance(described, Sweep):
        comm = replace(comm, size=ranks_per_point(described, comm))
        described = described.job(0)
    prepared = prepare(described, keep_state=False)
    size = _ranks_for(prepared, comm)
    return prepared, tiled(shard(_stoppable(prepared, size), ranks=size))


def _ranks_for(prepared: Prepared, comm: Comm) -> int:
    if prepared.job.mode != "sampled" and prepared.job.per_state is None:
        return comm.size
    return ranks_per_state(prepared, comm)


def ranks_per_state(prepared: Prepared, comm: Comm) -> int:
    """How many ranks share one state: as the job says, or as few as its memory allows; the same on every rank."""
    wanted = prepared.job.per_state
    if wanted is not None:
        if wanted > comm.size:
            raise QdistError(
                f"`per_state` must be at most the number of ranks, {comm.size}, but is {wanted}. "
                f"Run with `-n {wanted}`."
            )
        return wanted
    size = 1
    while size < comm.size and not fits(shard(prepared.plan, ranks=size), comm):
        size *= 2
    return max(comm.gather(size))


def ranks_per_point(sweep: Sweep, comm: Comm) -> int:
    """How many ranks share a point of a sweep: as few as memory allows, and no rank without a point."""
    if comm.size == 1:
        return 1
    ends = {0, len(sweep) - 1}
    needed = max(ranks_per_state(prepare(sweep.job(number), keep_state=False), comm) for number in ends)
    busy = 1 << (min(len(sweep), comm.size).bit_length() - 1)
    return max(needed, comm.size // busy)


def _check_results(prepared: Prepared) -> None:
    """Raise if something that was asked for cannot be read off at the end."""
    job, bits = prepared.job, len(prepared.plan.bits)
    if job.mode != "sampled" and bits > MAX_BITS:
        raise QdistError(
            f"A joint distribution must have at most {MAX_BITS} bits, but the program has {bits}. "
            'Set `probabilities = false` and ask for correlators, or use mode = "sampled".'
        )
    alive = {wire for part in prepared.plan.final for wire in part.wires}
    for name, place in prepared.plan.bits.items():
        if place.wire is not None and place.wire not in alive:
            raise QdistError(
                f"A distribution must be of qubits that are alive at the end, but '{name}' is not. "
                "Name the program's `bits`, or set `probabilities = false`."
            )
    for string in job.record.correlators:
        for qubit, letter in zip(job.program.qubits, string, strict=True):
            if letter != "I" and qubit not in alive:
                raise QdistError(
                    f"A correlator must be of qubits that are alive at the end, but '{string}' asks for {letter} of "
                    f"'{qubit}', which was measured or discarded. Write I there."
                )
