"""`run`: a job or a sweep, on one rank or many."""

import contextlib
import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from qdist.machine.comm import SERIAL, Comm, Traffic
from qdist.machine.plan import Part, Plan, Stop
from qdist.machine.ranks import hosted
from qdist.machine.stops import index_of, parts_at
from qdist.network.draws import Draws
from qdist.runs.checkpoints.keeper import NOTHING, Keeps
from qdist.runs.checkpoints.outline import outline_of
from qdist.runs.checkpoints.resuming import Checkpoints, check_going_on, check_sweep, opened, outline_of_first
from qdist.runs.checkpoints.standing import BEGINNING, Outline, Standing
from qdist.runs.checkpoints.stored import Checkpoint
from qdist.runs.ensemble import OF_THE_JOB, Ensemble
from qdist.runs.evolution import Evolution
from qdist.runs.evolve import evolve
from qdist.runs.job import Job
from qdist.runs.launch import agree, cores_of
from qdist.runs.prepare import Prepared, prepare_on, ranks_per_point
from qdist.runs.progress import Progress, silent
from qdist.runs.report import RankReport, build_result, partial_result
from qdist.runs.results import Result
from qdist.runs.strides import strides
from qdist.runs.sweep import Sweep, run_sweep
from qdist_kernels.placement import stays_on_host

KEPT_BYTES = 2**25 - 2**13
"""The largest block that glibc takes as a sign of what a process needs again and again."""
THREADS_BYTES = 2**30
"""What batches that run at once may hold together."""


def run(
    job: Job | Sweep | str | Path,
    *,
    comm: Comm = SERIAL,
    progress: bool = False,
    keep_state: bool = True,
    checkpoints: Checkpoints | None = None,
) -> Result:
    """Run a job or a sweep, or the job file at a path.

    Several ranks share large clusters of one state, the shots of a sampled job, or the points of a sweep. Outcomes do
    not depend on how many there are, nor on how often the run was stopped and resumed.

    Args:
        job: A `Job`, a `Sweep`, or the path of a TOML file.
        comm: The ranks that run it together (`qdist.connected`); all of them call this.
        progress: Whether to draw a progress bar on stderr.
        keep_state: Whether `Result.final` is wanted afterwards; not of a sweep.
        checkpoints: The folder in which they are kept, and whether to go on from the last one.

    Returns:
        Everything that was recorded, with the final states in memory: the same on every rank.

    Raises:
        QdistError: The job is wrong or does not fit into memory, and nothing was computed; or a checkpoint cannot be
            written, or be gone on from.
        Stopped: `checkpoints.asked` named a signal, and a checkpoint was written.
    """
    if isinstance(job, str | Path):
        from qdist.runs.jobfiles.reader import read_job

        checkpoints = checkpoints and replace(checkpoints, job=checkpoints.job or str(job))
        job = read_job(job)
    bar = Progress("qdist") if progress and comm.rank == 0 else silent()
    if checkpoints is None:
        return _run(job, comm, bar, keep_state, NOTHING, BEGINNING, None)
    keeper, checkpoint = opened(checkpoints, job.job(0) if isinstance(job, Sweep) else job, comm, text=job.text)
    standing = BEGINNING if checkpoint is None else checkpoint.standing
    if checkpoint is not None:
        agree(comm, partial(check_sweep, standing, job))
    result = _run(job, comm, bar, keep_state, keeper, standing, checkpoint)
    return replace(result, attributes={**result.attributes, "resumed": keeper.resumed})


def _run(
    job: Job | Sweep,
    comm: Comm,
    bar: Progress,
    keep_state: bool,
    keeper: Keeps,
    standing: Standing,
    checkpoint: Checkpoint | None,
) -> Result:
    if isinstance(job, Job):
        return _run_job(job, comm, bar, keep_state, keeper, standing, checkpoint)

    def run_point(point: Job, part: Comm, keeper: Keeps, standing: Standing) -> Result:
        # The steps of a sweep are its points: there is no reason to bring the ranks together inside of one.
        point = replace(point, saving=replace(point.saving, every_steps=None))
        return _run_job(point, part, silent(), False, keeper, standing, checkpoint)

    return run_sweep(
        job,
        run_point,
        comm,
        ranks_per_point=ranks_per_point(job, comm),
        progress=bar,
        keeper=keeper,
        standing=standing,
        outline=cache(partial(outline_of_first, job)),
    )


def _run_job(
    job: Job,
    comm: Comm,
    bar: Progress,
    keep_state: bool,
    keeper: Keeps,
    standing: Standing,
    checkpoint: Checkpoint | None,
) -> Result:
    started = time.perf_counter()
    before = copy.copy(comm.traffic)
    goes_on, after = standing.done > 0, standing.done if standing.evolution is not None else None
    prepared = prepare_on(job, comm, keep_state=keep_state, resumed_after=after, batch=standing.batch)
    if goes_on:
        agree(comm, partial(check_going_on, standing, prepared))
    evolving = time.perf_counter()
    with _precision(prepared):
        if prepared.batch is None:
            ensemble = _all_branches(prepared, bar, keeper, standing, checkpoint)
        else:
            ensemble = _all_shots(prepared, comm, bar, keeper, standing)
    seconds = time.perf_counter() - evolving
    reports = comm.gather(_report(prepared, comm, before, seconds, goes_on))
    return build_result(prepared, ensemble, reports, time.perf_counter() - started)


def _report(prepared: Prepared, comm: Comm, before: Traffic, seconds: float, goes_on: bool) -> RankReport:
    job, after = prepared.job, comm.traffic
    nodes = hosted([node.name for node in job.network.nodes], comm.rank, comm.size, job.hosts or None)
    moved = Traffic(*(getattr(after, name) - getattr(before, name) for name in vars(after)))
    planned = prepared.plan.bytes_sent if prepared.batch is None and not goes_on else None
    return RankReport(nodes, moved, planned, prepared.plan.block_bytes, max(0.0, seconds - moved.seconds))


def _empty(prepared: Prepared) -> Ensemble:
    job = prepared.job
    return Ensemble(job.mode, job.record.probabilities, job.record.correlators, job.program.qubits, job.shots)


def _all_branches(
    prepared: Prepared, bar: Progress, keeper: Keeps, standing: Standing, checkpoint: Checkpoint | None
) -> Ensemble:
    """The plan from the beginning, or from the operation at which a checkpoint was written."""
    assert prepared.whole is not None
    plan, whole, comm = prepared.plan, prepared.whole, prepared.comm
    first, state = 0, None
    if standing.evolution is not None:
        assert checkpoint is not None
        first = index_of(plan.operations, standing.done)
        state = checkpoint.evolution(_here(whole, standing.done, _split_parts(plan, first)), comm)
    outline = cache(lambda: outline_of(whole))

    def pause(evolution: Evolution, done: int, split: tuple[Part, ...]) -> None:
        def now() -> Standing:
            return Standing(done=done, outline=outline(), evolution=evolution, parts=_here(whole, done, split))

        keeper.step(done, now, len(evolution.readings), lambda: partial_result(prepared, _seen(prepared, evolution)))

    bar.start(len(plan.operations) - first)
    dtype = np.dtype(prepared.job.precision)
    keeper.begin(standing.done)
    evolution = evolve(plan, dtype, comm=comm, progress=bar.advance, state=state, first=first, pause=pause)
    ensemble = _empty(prepared)
    ensemble.add(plan, prepared.lowered, evolution)
    bar.close()
    return ensemble


def _split_parts(plan: Plan, first: int) -> tuple[Part, ...]:
    stop = plan.operations[first - 1] if first else None
    return stop.parts if isinstance(stop, Stop) else ()


def _here(whole: Plan, done: int, split: tuple[Part, ...]) -> tuple[Part, ...]:
    """What this rank has of every cluster, of which some are split."""
    other = {part.slot: part for part in split}
    return tuple(other.get(part.slot, part) for part in parts_at(whole, done))


def _seen(prepared: Prepared, evolution: Evolution) -> Ensemble:
    ensemble = _empty(prepared)
    ensemble.add_records(evolution)
    return ensemble


def _all_shots(prepared: Prepared, comm: Comm, bar: Progress, keeper: Keeps, standing: Standing) -> Ensemble:
    """Batches of shots, dealt to the groups of ranks in turn and added up in their order: the same sums for any P."""
    job, batch = prepared.job, prepared.batch
    whole = prepared.whole
    assert batch is not None
    assert whole is not None
    groups, group = comm.size // prepared.comm.size, comm.rank // prepared.comm.size
    count = -(-job.shots // batch)
    ensemble = _empty(prepared)
    if standing.ensemble is not None:
        ensemble = replace(standing.ensemble, **{name: getattr(ensemble, name) for name in OF_THE_JOB})
    outline = cache(lambda: outline_of(whole))
    at_once = _batches_at_once(prepared, comm)
    # Once a block of this size was given back, glibc keeps smaller ones for the next batch instead of the system's
    # giving and clearing the same pages in every batch, which takes a third of its time. Elsewhere it does nothing.
    np.empty(KEPT_BYTES, np.uint8)
    bar.start(count - standing.done)
    keeper.begin(standing.done)
    done = standing.done
    for rounds in strides(comm, 0, -(-(count - done) // (groups * at_once))):
        mine = (standing.done + k * groups + group for k in range(rounds.start * at_once, rounds.stop * at_once))
        numbers = [number for number in mine if number < count]
        found: list[tuple[int, Ensemble]] = []
        for number, one in zip(numbers, _batches(prepared, numbers, at_once), strict=True):
            found += [(number, one)] if prepared.comm.rank == 0 else []
            bar.advance(groups)
        together = [pair for part in comm.gather(found) for pair in part]
        for number, other in sorted(together, key=lambda pair: pair[0]):
            ensemble.merge(other)
            done = number + 1
        if done < count:
            here = Standing(done=done, batch=batch, ensemble=ensemble)
            now = partial(_with_outline, here, outline)
            keeper.step(done, now, done, partial(partial_result, prepared, ensemble))
    bar.close()
    return ensemble


def _with_outline(standing: Standing, outline: Callable[[], Outline]) -> Standing:
    return replace(standing, outline=outline())


def _batches_at_once(prepared: Prepared, comm: Comm) -> int:
    """How many threads run batches, the same on all ranks: NumPy lets others work while it sweeps over an array.

    One where a device moves vectors step by step, or where several ranks share a state. Where a device takes a batch at
    once, threads draw the numbers of the next ones and sum those of the last.
    """
    cores, plan = cores_of(comm), prepared.plan
    if prepared.comm.size > 1 or not (prepared.at_once or _stays_on_host(plan)):
        cores = 1
    return min(comm.gather(min(cores, max(1, THREADS_BYTES // max(1, plan.peak_bytes)))))


def _batches(prepared: Prepared, numbers: Sequence[int], at_once: int) -> Iterator[Ensemble]:
    """What batches give, in their order."""
    assert prepared.batch is not None
    firsts = [number * prepared.batch for number in numbers]
    if at_once == 1:
        yield from map(partial(_one_batch, prepared), firsts)
        return
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(partial(_one_batch, prepared), firsts)


def _one_batch(prepared: Prepared, first: int) -> Ensemble:
    job, batch = prepared.job, prepared.batch
    assert batch is not None
    draws = Draws(job.seed, first, batch)
    if prepared.at_once is not None:
        evolution = prepared.at_once.evolve(draws)
    else:
        evolution = evolve(prepared.plan, np.dtype(job.precision), comm=prepared.comm, draws=draws)
    ensemble = _empty(prepared)
    ensemble.add(prepared.plan, prepared.lowered, evolution, draws, min(batch, job.shots - first))
    return ensemble


def _stays_on_host(plan: Plan) -> bool:
    return stays_on_host(2**plan.largest * plan.shots)


def _precision(prepared: Prepared) -> Any:
    """JAX computes in float64 only where it is told to; this says it for one run and leaves no flag behind.

    A run whose vectors all stay on the host does not load JAX at all.
    """
    if "jax" not in sys.modules and _stays_on_host(prepared.plan):
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(prepared.job.precision == "float64")
