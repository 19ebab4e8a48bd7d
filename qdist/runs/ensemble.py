"""What is kept of a run while it goes: sums over shots, in groups that give standard errors."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.machine.plan import Plan
from qdist.network.draws import Draws
from qdist.network.ledger import Account
from qdist.network.lowering import Lowered
from qdist.runs.evolution import Evolution, Reading
from qdist.runs.final import FinalStates
from qdist.runs.outcomes import distribution, drawn_outcomes, outcome_counts
from qdist.runs.reading import entry

GROUPS = 20
"""Groups of shots for the jackknife: enough for a 16 % accurate standard error, cheap for nonlinear metrics."""


@dataclass(eq=False)
class Sums:
    """Sums of a vector over the accepted shots of each group; one group of weight 1 in exact mode."""

    total: np.ndarray
    weight: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.total.sum(axis=0) / self.weight.sum()

    def jackknife(self) -> list[np.ndarray]:
        """The means without one group each, for the groups that have shots."""
        weight, total = self.weight.sum(), self.total.sum(axis=0)
        filled = [g for g in range(len(self.weight)) if 0 < self.weight[g] < weight]
        return [(total - self.total[g]) / (weight - self.weight[g]) for g in filled]


@dataclass(eq=False)
class Record:
    """One recorded moment: its label, its mean time, and the summed state of each pair (`None` where not alive)."""

    label: str
    time: Sums
    pairs: list[Sums | None]


OF_THE_JOB = ("mode", "probabilities_wanted", "correlator_strings", "qubits", "shots")
"""Fields of an `Ensemble` that do not come from the shots."""


@dataclass(eq=False)
class Ensemble:
    """A run so far."""

    mode: str
    probabilities_wanted: bool
    correlator_strings: tuple[str, ...]
    qubits: tuple[str, ...]
    shots: int = 1
    records: list[Record] = field(default_factory=list)
    correlators: Sums | None = None
    probabilities: np.ndarray | None = None
    counts: Counter[str] = field(default_factory=Counter)
    kept: list[tuple[str, bool]] = field(default_factory=list)
    kept_weight: list[float] = field(default_factory=list)
    started: float = 0.0
    accounts: list[tuple[float, Account]] = field(default_factory=list)
    final: FinalStates | None = None

    @property
    def form(self) -> tuple[Any, ...]:
        """What two ensembles must have in common to be merged."""
        records = [(record.label, len(record.pairs)) for record in self.records]
        return records, None if self.correlators is None else self.correlators.total.shape[1:], self.kept

    def add(
        self, plan: Plan, lowered: Lowered, evolution: Evolution, draws: Draws | None = None, valid: int = 1
    ) -> None:
        """Of an empty ensemble: add a batch of shots, of which the first `valid` count, or the whole exact run."""
        groups, accepted = self._groups(evolution, draws, valid)
        self.records = [self._record(reading, groups, valid) for reading in evolution.readings]
        if self.correlator_strings:
            values = correlators(plan, evolution, self.qubits, self.correlator_strings)
            self.correlators = _sum_groups(values, groups, accepted)
        if self.probabilities_wanted and plan.bits:
            self._outcomes(plan, evolution, draws, accepted)
        self._kept(lowered, evolution, draws, valid)
        if draws is None:
            self.final = FinalStates(plan.final, evolution)

    def add_records(self, evolution: Evolution) -> None:
        """Of an empty ensemble: what was read so far of an exact run that is under way."""
        groups, _ = self._groups(evolution, None, 1)
        self.records = [self._record(reading, groups, 1) for reading in evolution.readings]

    def merge(self, other: "Ensemble") -> None:
        """Add the shots of another one."""
        if not self.accounts:
            vars(self).update(vars(other))
            return
        if self.form != other.form:
            raise QdistError(
                "The job must record what it did before the checkpoint, but has other records, pairs, correlators or "
                "heralds. Start from the beginning."
            )
        for old, new in zip(self.records, other.records, strict=True):
            _merge_records(old, new)
        if other.correlators is not None:
            self.correlators = _added(self.correlators, other.correlators)
        self.counts.update(other.counts)
        self.started += other.started
        self.kept_weight = [a + b for a, b in zip(self.kept_weight, other.kept_weight, strict=True)]
        self.accounts = self.accounts + other.accounts
        self.accounts = [(sum(weight for weight, _ in self.accounts), self.account())]

    def _groups(self, evolution: Evolution, draws: Draws | None, valid: int) -> tuple[np.ndarray, np.ndarray]:
        """The group of each shot, and whether it counts."""
        if draws is None:
            return np.zeros(1, int), np.ones(1, bool)
        shots = np.arange(draws.first, draws.first + draws.shots)
        assert evolution.accepted is not None
        # Shots beyond the last one of the job fill up a batch and count in no group.
        groups = np.minimum(shots * GROUPS // self.shots, GROUPS - 1)
        return groups, evolution.accepted & (np.arange(draws.shots) < valid)

    def _record(self, reading: Reading, groups: np.ndarray, valid: int) -> Record:
        """Over the shots that had passed the heralds before this record, whatever became of them later."""
        counted = np.arange(len(groups)) < valid
        accepted = counted if reading.accepted is None else counted & reading.accepted
        pairs = [None if v is None else _sum_groups(np.asarray(v, float), groups, accepted) for v in reading.vectors]
        time = np.asarray(reading.time, float)[..., None]
        return Record(reading.label, _sum_groups(time, groups, counted), pairs)

    def _outcomes(self, plan: Plan, evolution: Evolution, draws: Draws | None, accepted: np.ndarray) -> None:
        if draws is None:
            self.probabilities = np.asarray(distribution(plan, evolution), float)
            return
        rows = drawn_outcomes(plan, evolution, draws)[accepted]
        self.counts.update(outcome_counts(rows))

    def _kept(self, lowered: Lowered, evolution: Evolution, draws: Draws | None, valid: int) -> None:
        """Probabilities of having come so far; in sampled mode the numbers of shots."""
        labels = [(branch.label, branch.is_herald) for branch in evolution.kept]
        passed: list[np.ndarray] = []
        if draws is None:
            factors = [float(branch.probability) for branch in evolution.kept]
            weights = [float(w) for w in np.cumprod([1.0, *factors])]
        else:
            passed.append(np.ones(valid, bool))
            for branch in evolution.kept:
                passed.append(passed[-1] if branch.accepted is None else branch.accepted[:valid])
            weights = [float(np.count_nonzero(shots)) for shots in passed]
        self.kept = labels
        self.started, self.kept_weight = weights[0], weights[1:]
        heralds = [0, *(number for number, (_, is_herald) in enumerate(labels, start=1) if is_herald)]
        at_herald = [weights[number] / weights[0] for number in heralds]
        account = lowered.ledger.account(at_herald, draws, [passed[number] for number in heralds] if passed else ())
        self.accounts.append((weights[0], account))

    @property
    def success(self) -> float:
        """Probability that every branch that was kept occurred."""
        return self.kept_weight[-1] / self.started if self.kept_weight else 1.0

    def account(self) -> Account:
        """The ledger, averaged over batches."""
        total = sum(weight for weight, _ in self.accounts)

        def mean(name: str) -> dict[Any, float]:
            sums: Counter[Any] = Counter()
            for weight, account in self.accounts:
                for key, value in getattr(account, name).items():
                    sums[key] += value * weight / total
            return dict(sums)

        return Account(mean("made"), mean("used"), mean("wasted"), mean("attempts"), mean("bits"))


def correlators(plan: Plan, evolution: Evolution, qubits: tuple[str, ...], strings: tuple[str, ...]) -> np.ndarray:
    """⟨P⟩ at the end for each string, shape (strings,) or (shots, strings): a product of one entry per cluster."""
    values = []
    for string in strings:
        letters = {q: letter for q, letter in zip(qubits, string, strict=True) if letter != "I"}
        value: Any = np.ones(1)
        for part in plan.final:
            if any(wire in letters for wire in part.wires):
                value = value * np.atleast_1d(np.asarray(entry(evolution, part, letters), float))
        values.append(value)
    table = np.broadcast_arrays(*values)
    return np.stack([np.asarray(column, float) for column in table], axis=-1)


def _sum_groups(values: np.ndarray, groups: np.ndarray, accepted: np.ndarray) -> Sums:
    """Sum values, one row a shot or one for all shots, over the accepted shots of each group; groups ascend."""
    count = 1 if len(groups) == 1 and groups[0] == 0 and accepted[0] else GROUPS
    total, weight = np.zeros((count, values.shape[-1])), np.zeros(count)
    differs, counted = values.ndim == 2 and len(values) > 1, accepted.astype(float)
    for group in range(groups[0], groups[-1] + 1):
        shots = slice(*np.searchsorted(groups, [group, group + 1]))
        weight[group] = np.count_nonzero(accepted[shots])
        # Not a product of BLAS, whose rounding depends on how many threads it takes.
        one = np.einsum("sk,s->k", values[shots], counted[shots]) if differs else values.reshape(-1) * weight[group]
        total[group] = one
    return Sums(total, weight)


def _added(old: Sums | None, new: Sums) -> Sums:
    return new if old is None else Sums(old.total + new.total, old.weight + new.weight)


def _merge_records(old: Record, new: Record) -> None:
    old.time = _added(old.time, new.time)
    old.pairs = [
        b if a is None else a if b is None else _added(a, b) for a, b in zip(old.pairs, new.pairs, strict=True)
    ]
