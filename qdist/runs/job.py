"""A job as a value, and `run`: check, lower, plan, evolve, read."""

import contextlib
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from qdist.errors import QdistError, did_you_mean
from qdist.machine.memory import check_memory
from qdist.machine.plan import Plan
from qdist.machine.planner import make_plan
from qdist.network.draws import Draws
from qdist.network.graph import Network
from qdist.network.lowering import Lowered, lower
from qdist.network.ownership import check_program
from qdist.network.program import Program
from qdist.physics.metrics import METRICS
from qdist.runs.ensemble import Ensemble
from qdist.runs.evolve import evolve
from qdist.runs.outcomes import MAX_BITS
from qdist.runs.progress import Progress, silent
from qdist.runs.report import build_result
from qdist.runs.results import Result
from qdist_kernels.transfer import HOST_ENTRIES

MODES = ("exact", "sampled", "postselected")
PRECISIONS = ("float32", "float64")
DEFAULT_METRICS = ("fidelity", "concurrence", "log_negativity", "mutual_information", "chsh", "verdict")
BATCH_BYTES = 2**28
"""Sampled shots are run in batches of about this size: large enough to hide dispatch, small enough for any machine."""
MAX_BATCH = 2**14


@dataclass(frozen=True)
class Recording:
    """What a run writes down.

    Attributes:
        probabilities: The joint distribution of the classical bits at the end, or of all qubits if there are none.
        correlators: Pauli strings at the end, one letter for each of the program's qubits.
        pairs: Pairs of qubits for the metrics at every `Record` step; the program's own if `None`.
        metrics: Names from `qdist.METRICS`.
    """

    probabilities: bool = True
    correlators: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] | None = None
    metrics: tuple[str, ...] = DEFAULT_METRICS


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run: a program on a network, and how to treat it.

    Attributes:
        program: What the nodes do.
        network: Where.
        mode: `"exact"` carries all outcomes, `"sampled"` draws them, `"postselected"` keeps those of `postselect`.
        shots: Trajectories in sampled mode.
        seed: Of all random numbers; the same seed gives the same outcomes everywhere.
        precision: `"float32"` or `"float64"`.
        postselect: Outcome to keep, by bit, in postselected mode.
        record: What to write down.
        title: For the result.
        text: The job file, if there was one.
    """

    program: Program
    network: Network
    mode: str = "exact"
    shots: int = 1000
    seed: int = 0
    precision: str = "float32"
    postselect: Mapping[str, int] = field(default_factory=dict)
    record: Recording = Recording()
    title: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        for name, known in (("mode", MODES), ("precision", PRECISIONS)):
            value = getattr(self, name)
            if value not in known:
                raise QdistError(f"`{name}` must be one of {', '.join(known)}, but is '{value}'.")
        if not isinstance(self.shots, int) or self.shots < 1:
            raise QdistError(f"`shots` must be an integer of at least 1, but is {self.shots!r}.")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise QdistError(f"`seed` must be an integer from 0 to 2⁶³−1, but is {self.seed}.")
        _check_postselection(self)
        _check_metrics(self.record.metrics)
        check_program(self.program, self.network)
        _check_qubits(self)
        _check_pairs(self)
        _check_correlators(self)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs that are recorded."""
        return self.program.pairs if self.record.pairs is None else self.record.pairs


def _check_postselection(job: Job) -> None:
    if job.mode == "postselected" and not job.postselect:
        raise QdistError("`postselect` must name the outcome of at least one bit in postselected mode, but is empty.")
    if job.mode != "postselected" and job.postselect:
        raise QdistError(
            f'`postselect` must be left out in mode "{job.mode}", but names bits. Use mode "postselected".'
        )
    written = {bit for step in job.program.steps for bit in _bits_written(step)}
    for bit, value in job.postselect.items():
        if bit not in written:
            raise QdistError(
                f"`postselect` must name bits of the program, but '{bit}' is none.{did_you_mean(bit, written)}"
            )
        if value not in (0, 1):
            raise QdistError(f"`postselect` must give 0 or 1 for bit '{bit}', but gives {value!r}.")


def _bits_written(step: Any) -> tuple[str, ...]:
    return tuple(getattr(step, name) for name in ("bit", "flag") if hasattr(step, name))


def _check_qubits(job: Job) -> None:
    qubits = job.program.qubits
    for qubit in qubits:
        job.network.node_of(qubit)
    if len(set(qubits)) != len(qubits):
        raise QdistError(f"`qubits` of a program must be given once each, but are {', '.join(qubits)}.")


def _check_metrics(names: tuple[str, ...]) -> None:
    if isinstance(names, str):
        raise QdistError(f"`metrics` must be a list of names, but is '{names}'.")
    for name in names:
        if name not in METRICS:
            raise QdistError(f"`metrics` must name known metrics, but '{name}' is none.{did_you_mean(name, METRICS)}")


def _check_pairs(job: Job) -> None:
    for pair in job.pairs:
        if isinstance(pair, str) or len(pair) != 2 or pair[0] == pair[1]:
            raise QdistError(f"`pairs` must be pairs of two different qubits, but got {pair!r}.")
        for qubit in pair:
            job.network.node_of(qubit)


def _check_correlators(job: Job) -> None:
    qubits = job.program.qubits
    for string in job.record.correlators:
        if set(string) - set("IXYZ"):
            raise QdistError(f"A Pauli string must be made of I, X, Y and Z, but got '{string}'.")
        if len(string) != len(qubits):
            raise QdistError(
                f"A Pauli string must have one letter for each of the {len(qubits)} qubits "
                f"({', '.join(qubits[:6])}{', …' if len(qubits) > 6 else ''}), but '{string}' has {len(string)}."
            )


@dataclass(frozen=True)
class Prepared:
    """A job made ready: the instructions and the plan of its first batch of shots."""

    job: Job
    lowered: Lowered
    plan: Plan
    batch: int | None
    keep_state: bool


def prepare(job: Job, *, keep_state: bool = True) -> Prepared:
    """Lower and plan a job without running it.

    Args:
        job: What to run.
        keep_state: Whether the final states are wanted; otherwise qubits are dropped as soon as nothing needs them.
    """
    if job.mode != "sampled":
        kept = frozenset(job.postselect)
        lowered = lower(job.program, job.network, groups=job.pairs, postselected=kept)
        return Prepared(job, lowered, _plan(job, lowered, None, keep_state), None, keep_state)
    few = _prepare_shots(job, 4, keep_state)
    fitting = BATCH_BYTES // max(1, few.plan.peak_bytes // 4) // 4 * 4
    return _prepare_shots(job, max(4, min(MAX_BATCH, -(-job.shots // 4) * 4, fitting)), keep_state)


def _prepare_shots(job: Job, batch: int, keep_state: bool) -> Prepared:
    lowered = lower(job.program, job.network, groups=job.pairs, draws=Draws(job.seed, 0, batch))
    return Prepared(job, lowered, _plan(job, lowered, batch, keep_state), batch, keep_state)


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


def run(job: Job | str | Path, *, progress: bool = False, keep_state: bool = True) -> Result:
    """Run a job, or the job file at a path.

    Args:
        job: A `Job`, or the path of a TOML file.
        progress: Whether to draw a progress bar on stderr.
        keep_state: Whether `Result.state` is wanted afterwards.

    Returns:
        Everything that was recorded, with the final states in memory.

    Raises:
        QdistError: The job is wrong or does not fit into memory. Nothing was computed.
    """
    if not isinstance(job, Job):
        from qdist.runs.jobfiles.reader import read_job

        job = read_job(job)
    started = time.perf_counter()
    prepared = prepare(job, keep_state=keep_state)
    check_memory(prepared.plan)
    _check_results(prepared)
    with _precision(prepared):
        ensemble = _evolve_all(prepared, Progress("qdist") if progress else silent())
    return build_result(prepared, ensemble, time.perf_counter() - started)


def _evolve_all(prepared: Prepared, bar: Progress) -> Ensemble:
    job, dtype = prepared.job, np.dtype(prepared.job.precision)
    ensemble = Ensemble(job.mode, job.record.probabilities, job.record.correlators, job.program.qubits, job.shots)
    if prepared.batch is None:
        bar.start(len(prepared.plan.operations))
        evolution = evolve(prepared.plan, dtype, progress=bar.advance)
        ensemble.add(prepared.plan, prepared.lowered, evolution)
        bar.close()
        return ensemble
    batch = prepared.batch
    bar.start(len(prepared.plan.operations) * -(-job.shots // batch))
    for first in range(0, job.shots, batch):
        draws = Draws(job.seed, first, batch)
        if first:
            lowered = lower(job.program, job.network, groups=job.pairs, draws=draws)
            prepared = replace(prepared, lowered=lowered, plan=_plan(job, lowered, batch, prepared.keep_state))
        evolution = evolve(prepared.plan, dtype, draws=draws, progress=bar.advance)
        ensemble.add(prepared.plan, prepared.lowered, evolution, draws, min(batch, job.shots - first))
    bar.close()
    return ensemble


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


def _precision(prepared: Prepared) -> Any:
    """JAX computes in float64 only where it is told to; this says it for one run and leaves no flag behind.

    A run whose vectors all stay on the host does not load JAX at all.
    """
    if "jax" not in sys.modules and 2**prepared.plan.largest * prepared.plan.shots <= HOST_ENTRIES:
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(prepared.job.precision == "float64")
