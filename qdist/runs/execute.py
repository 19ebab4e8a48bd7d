"""`run`: a job or a sweep, on one rank or many."""

import contextlib
import copy
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from qdist.machine.comm import SERIAL, Comm, Traffic
from qdist.machine.ranks import hosted
from qdist.network.draws import Draws
from qdist.runs.ensemble import Ensemble
from qdist.runs.evolve import evolve
from qdist.runs.job import Job
from qdist.runs.prepare import Prepared, prepare_on, ranks_per_point
from qdist.runs.progress import Progress, silent
from qdist.runs.report import RankReport, build_result
from qdist.runs.results import Result
from qdist.runs.sweep import Sweep, run_sweep
from qdist_kernels.transfer import HOST_ENTRIES

ROUNDS = 16
"""Batches of shots that each group of ranks runs before their sums are put together."""


def run(
    job: Job | Sweep | str | Path, *, comm: Comm = SERIAL, progress: bool = False, keep_state: bool = True
) -> Result:
    """Run a job or a sweep, or the job file at a path.

    Several ranks share large clusters of one state, the shots of a sampled job, or the points of a sweep. Outcomes do
    not depend on how many there are.

    Args:
        job: A `Job`, a `Sweep`, or the path of a TOML file.
        comm: The ranks that run it together (`qdist.connected`); all of them call this.
        progress: Whether to draw a progress bar on stderr.
        keep_state: Whether `Result.final` is wanted afterwards; not of a sweep.

    Returns:
        Everything that was recorded, with the final states in memory: the same on every rank.

    Raises:
        QdistError: The job is wrong or does not fit into memory. Nothing was computed.
    """
    if isinstance(job, str | Path):
        from qdist.runs.jobfiles.reader import read_job

        job = read_job(job)
    bar = Progress("qdist") if progress and comm.rank == 0 else silent()
    if isinstance(job, Job):
        return _run_job(job, comm, bar, keep_state)
    per_point = ranks_per_point(job, comm)
    return run_sweep(job, _run_point, comm, ranks_per_point=per_point, progress=bar)


def _run_point(job: Job, comm: Comm) -> Result:
    return _run_job(job, comm, silent(), False)


def _run_job(job: Job, comm: Comm, bar: Progress, keep_state: bool) -> Result:
    started = time.perf_counter()
    before = copy.copy(comm.traffic)
    prepared = prepare_on(job, comm, keep_state=keep_state)
    evolving = time.perf_counter()
    with _precision(prepared):
        ensemble = _all_branches(prepared, bar) if prepared.batch is None else _all_shots(prepared, comm, bar)
    seconds = time.perf_counter() - evolving
    reports = comm.gather(_report(prepared, comm, before, seconds))
    return build_result(prepared, ensemble, reports, time.perf_counter() - started)


def _report(prepared: Prepared, comm: Comm, before: Traffic, seconds: float) -> RankReport:
    job, after = prepared.job, comm.traffic
    # A group of ranks that runs a point of a sweep may be smaller than what the job divides its nodes over.
    hosts = [sum(job.hosts[rank :: comm.size], ()) for rank in range(comm.size)] if job.hosts else None
    nodes = hosted([node.name for node in job.network.nodes], comm.rank, comm.size, hosts)
    moved = Traffic(*(getattr(after, name) - getattr(before, name) for name in vars(after)))
    planned = prepared.plan.bytes_sent if prepared.batch is None else None
    return RankReport(nodes, moved, planned, prepared.plan.block_bytes, max(0.0, seconds - moved.seconds))


def _empty(prepared: Prepared) -> Ensemble:
    job = prepared.job
    return Ensemble(job.mode, job.record.probabilities, job.record.correlators, job.program.qubits, job.shots)


def _all_branches(prepared: Prepared, bar: Progress) -> Ensemble:
    ensemble = _empty(prepared)
    bar.start(len(prepared.plan.operations))
    evolution = evolve(prepared.plan, np.dtype(prepared.job.precision), comm=prepared.comm, progress=bar.advance)
    ensemble.add(prepared.plan, prepared.lowered, evolution)
    bar.close()
    return ensemble


def _all_shots(prepared: Prepared, comm: Comm, bar: Progress) -> Ensemble:
    """Batches of shots, dealt to the groups of ranks in turn and added up in their order: the same sums for any P."""
    job, batch = prepared.job, prepared.batch
    assert batch is not None
    groups, group = comm.size // prepared.comm.size, comm.rank // prepared.comm.size
    count = -(-job.shots // batch)
    ensemble = _empty(prepared)
    found: list[tuple[int, Ensemble]] = []
    bar.start(count)
    for start in range(0, count, groups):
        number = start + group
        if number < count:
            one = _one_batch(prepared, number * batch)
            found += [(number, one)] if prepared.comm.rank == 0 else []
        bar.advance(groups)
        if (start // groups + 1) % ROUNDS == 0 or start + groups >= count:
            together = [pair for part in comm.gather(found) for pair in part]
            for _, other in sorted(together, key=lambda pair: pair[0]):
                ensemble.merge(other)
            found = []
    bar.close()
    return ensemble


def _one_batch(prepared: Prepared, first: int) -> Ensemble:
    job, batch = prepared.job, prepared.batch
    assert batch is not None
    if first:
        prepared = prepared.shots_from(first)
    draws = Draws(job.seed, first, batch)
    evolution = evolve(prepared.plan, np.dtype(job.precision), comm=prepared.comm, draws=draws)
    ensemble = _empty(prepared)
    ensemble.add(prepared.plan, prepared.lowered, evolution, draws, min(batch, job.shots - first))
    return ensemble


def _precision(prepared: Prepared) -> Any:
    """JAX computes in float64 only where it is told to; this says it for one run and leaves no flag behind.

    A run whose vectors all stay on the host does not load JAX at all.
    """
    if "jax" not in sys.modules and 2**prepared.plan.largest * prepared.plan.shots <= HOST_ENTRIES:
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(prepared.job.precision == "float64")
