"""A job as a value: one run, completely checked."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qdist.errors import QdistError, did_you_mean
from qdist.network.graph import Network
from qdist.network.ownership import check_program
from qdist.network.program import Program
from qdist.physics.metrics import METRICS

MODES = ("exact", "sampled", "postselected")
PRECISIONS = ("float32", "float64")
DEFAULT_METRICS = ("fidelity", "concurrence", "log_negativity", "mutual_information", "chsh", "verdict")


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


@dataclass(frozen=True)
class Saving:
    """When a run that has a folder for them writes checkpoints; none on its own unless one of the two is given.

    A step is an operation of the plan, a batch of shots in sampled mode, or a point of a sweep.

    Attributes:
        every_seconds: On the clock on the wall.
        every_steps: Steps; several ranks come to a common point after so many operations, which may cost a remap.
        keep: How many whole checkpoints stay.
    """

    every_seconds: float | None = None
    every_steps: int | None = None
    keep: int = 2

    def __post_init__(self) -> None:
        if self.every_seconds is not None and not self.every_seconds > 0:
            raise QdistError(f"`every_seconds` must be more than 0, but is {self.every_seconds}.")
        for name in ("every_steps", "keep"):
            count = getattr(self, name)
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
                raise QdistError(f"`{name}` must be an integer of at least 1, but is {count!r}.")


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
        hosts: The names of the nodes that each rank hosts, one entry for each rank; in turn if empty.
        per_state: How many ranks share one state; chosen if `None`.
        saving: When checkpoints are written, if there is a folder for them.
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
    hosts: tuple[tuple[str, ...], ...] = ()
    per_state: int | None = None
    saving: Saving = Saving()

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
        _check_hosts(self)
        _check_per_state(self)

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
    written = {bit for step in job.program.steps for bit in _bits_written(step)} if job.postselect else set()
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


def _check_hosts(job: Job) -> None:
    if any(isinstance(rank, str) for rank in job.hosts):
        raise QdistError(f"`hosts` must be a list of names for each rank, but is {job.hosts!r}.")
    if len(job.hosts) & (len(job.hosts) - 1):
        raise QdistError(
            f"`hosts` must have a list for each rank, and a power of two of them, but has {len(job.hosts)}. "
            "Join two, or add empty ones."
        )
    known = {node.name for node in job.network.nodes}
    times = Counter(name for rank in job.hosts for name in rank)
    for name in times:
        if name not in known:
            raise QdistError(
                f"`hosts` must name nodes of the network, but '{name}' is none.{did_you_mean(name, known)}"
            )
        if times[name] > 1:
            raise QdistError(f"`hosts` must name each node once, but names '{name}' more than once. Remove one.")
    if job.hosts and len(times) < len(known):
        missing = next(node.name for node in job.network.nodes if node.name not in times)
        raise QdistError(f"`hosts` must name each node once, but '{missing}' is missing. Add it to a rank.")


def _check_per_state(job: Job) -> None:
    count = job.per_state
    if count is not None and (
        isinstance(count, bool) or not isinstance(count, int) or count < 1 or count & (count - 1)
    ):
        raise QdistError(f"`per_state` must be a power of two, such as 1, 2 or 4, but is {count!r}.")
    if count is not None and job.hosts and count > len(job.hosts):
        raise QdistError(
            f"`per_state` must be at most the number of ranks, {len(job.hosts)} in `hosts`, but is {count}. Lower it."
        )
