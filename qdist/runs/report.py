"""From sums over shots to the arrays of a result: metrics with standard errors, outcomes, ledger, clusters."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qdist.errors import QdistError
from qdist.machine.comm import Traffic
from qdist.network.ledger import Account
from qdist.network.program import Record as RecordStep
from qdist.physics import pauli
from qdist.physics.metrics import METRICS
from qdist.physics.states import State
from qdist.runs.ensemble import Ensemble, Sums
from qdist.runs.outcomes import outcome_strings
from qdist.runs.results import Result, versions
from qdist.runs.schema import FORMAT_VERSION, NO_PAIR

if TYPE_CHECKING:
    from qdist.runs.prepare import Prepared

Arrays = dict[str, np.ndarray]

MAX_CENSUS = 2000
"""Rows of the clusters over time that are stored; longer runs are thinned, peaks kept."""


@dataclass(frozen=True)
class RankReport:
    """What one rank did.

    Attributes:
        nodes: That it hosts.
        moved: What it sent and received.
        planned_bytes: Of blocks, as the plan said that it would send; `None` if there was a plan for each batch.
        block_bytes: The largest block that it held.
        compute_seconds: Of the evolution, communication apart.
    """

    nodes: tuple[str, ...]
    moved: Traffic
    planned_bytes: int | None
    block_bytes: int
    compute_seconds: float


def build_result(
    prepared: "Prepared", ensemble: Ensemble, reports: Sequence[RankReport], wall_seconds: float
) -> Result:
    """Everything that a run leaves behind."""
    job = prepared.job
    if ensemble.success == 0:
        raise QdistError(
            f"At least one shot must pass all heralds, but none of {job.shots} did. "
            'Raise `shots`, or use mode = "exact".'
        )
    account = ensemble.account()
    data = _seen_arrays(prepared, ensemble) | _ledger_arrays(account) | _traffic_arrays(reports)
    attributes = _attributes(prepared) | {
        "finished": 1,
        "resumed": 0,
        "wall_seconds": wall_seconds,
        "ranks": len(reports),
        "total_pairs_made": sum(account.made.values()),
        "total_pairs_used": sum(account.used.values()),
        "total_pairs_wasted": sum(account.wasted.values()),
        "total_bits_sent": sum(account.bits.values()),
    }
    return Result(attributes, data, ensemble.final)


def partial_result(prepared: "Prepared", ensemble: Ensemble) -> Result:
    """What a run under way has seen: its records, and in sampled mode the outcomes of the shots so far."""
    return Result(_attributes(prepared) | {"finished": 0}, _seen_arrays(prepared, ensemble))


def _seen_arrays(prepared: "Prepared", ensemble: Ensemble) -> Arrays:
    arrays = _outcome_arrays(prepared, ensemble) | _correlator_arrays(prepared, ensemble) | _herald_arrays(ensemble)
    return arrays | _metric_arrays(prepared, ensemble) | _network_arrays(prepared) | _census_arrays(prepared)


def _attributes(prepared: "Prepared") -> dict[str, str | int | float]:
    job = prepared.job
    attributes: dict[str, str | int | float] = {
        "title": job.title or job.program.name,
        "job": job.text,
        "mode": job.mode,
        "seed": job.seed,
        "precision": job.precision,
        "format_version": FORMAT_VERSION,
        **versions(),
    }
    if job.mode == "sampled":
        attributes["shots"] = job.shots
    if prepared.plan.bits:
        attributes["bits"] = " ".join(prepared.plan.bits)
    if job.record.correlators:
        attributes["qubits"] = " ".join(job.program.qubits)
    return attributes


def _outcome_arrays(prepared: "Prepared", ensemble: Ensemble) -> Arrays:
    if not prepared.job.record.probabilities or not prepared.plan.bits:
        return {}
    if ensemble.probabilities is not None:
        return {
            "results/outcome": outcome_strings(len(prepared.plan.bits)),
            "results/probabilities": ensemble.probabilities,
        }
    if not ensemble.counts:
        return {}
    outcomes = sorted(ensemble.counts)
    counts = np.array([ensemble.counts[outcome] for outcome in outcomes], np.int64)
    total = counts.sum()
    p = counts / total
    return {
        "results/outcome": np.array(outcomes),
        "results/probabilities": p,
        "results/counts": counts,
        "results/probabilities_stderr": np.sqrt(p * (1 - p) / total),
    }


def _correlator_arrays(prepared: "Prepared", ensemble: Ensemble) -> Arrays:
    if ensemble.correlators is None:
        return {}
    arrays = {
        "results/pauli": np.array(prepared.job.record.correlators),
        "results/correlators": ensemble.correlators.mean,
    }
    if prepared.job.mode == "sampled":
        spread = _jackknife_error(ensemble.correlators.jackknife())
        arrays["results/correlators_stderr"] = np.broadcast_to(spread, arrays["results/correlators"].shape).copy()
    return arrays


def _herald_arrays(ensemble: Ensemble) -> Arrays:
    if not ensemble.accounts:
        return {}
    arrays: Arrays = {"results/success_probability": np.array(ensemble.success)}
    if ensemble.kept:
        before = [ensemble.started, *ensemble.kept_weight[:-1]]
        with np.errstate(invalid="ignore"):
            arrays["results/herald_probability"] = np.array(ensemble.kept_weight) / np.array(before)
        arrays["results/herald"] = np.array(_distinct([label for label, _ in ensemble.kept]))
    return arrays


def _distinct(labels: list[str]) -> list[str]:
    """The labels, with a number behind those that are used again."""
    names: dict[str, None] = {}
    used: Counter[str] = Counter()
    for label in labels:
        name = label
        while name in names:
            used[label] += 1
            name = f"{label} ({used[label] + 1})"
        names[name] = None
    return list(names)


def _metric_arrays(prepared: "Prepared", ensemble: Ensemble) -> Arrays:
    pairs = prepared.job.pairs
    steps = [n for n, step in enumerate(prepared.job.program.steps) if isinstance(step, RecordStep)]
    steps = steps[: len(ensemble.records)]
    if not pairs or not steps:
        return {}
    arrays: Arrays = {
        "metrics/step": np.array(steps),
        "metrics/time": np.array([record.time.mean[0] for record in ensemble.records]),
        "metrics/label": np.array([record.label for record in ensemble.records]),
        "metrics/pair": np.array(["-".join(pair) for pair in pairs]),
        "metrics/pauli_a": np.array(list(pauli.PUBLIC_ORDER)),
        "metrics/pauli_b": np.array(list(pauli.PUBLIC_ORDER)),
    }
    tables = [[_pair_correlations(sums) for sums in record.pairs] for record in ensemble.records]
    arrays["metrics/correlations"] = np.array(tables)
    for name in prepared.job.record.metrics:
        values = [[_metric(name, sums) for sums in record.pairs] for record in ensemble.records]
        arrays[f"metrics/{name}"] = np.array([[value for value, _ in row] for row in values])
        if prepared.job.mode == "sampled" and name != "verdict":
            arrays[f"metrics/{name}_stderr"] = np.array([[error for _, error in row] for row in values])
    return arrays


def _pair_correlations(sums: Sums | None) -> np.ndarray:
    if sums is None:
        return np.full((4, 4), np.nan)
    return np.asarray(pauli.public_order(sums.mean.reshape(4, 4), 1))


def _metric(name: str, sums: Sums | None) -> tuple[Any, float]:
    """The metric of the mean state, and its jackknife error over groups of shots."""
    missing = NO_PAIR if name == "verdict" else np.nan
    if sums is None or sums.weight.sum() == 0:
        return missing, np.nan
    function = METRICS[name].function
    value = function(_state(sums.mean))
    if name == "verdict":
        return int(value), np.nan
    others = [np.array([float(function(_state(mean)))]) for mean in sums.jackknife()]
    return float(value), float(np.squeeze(_jackknife_error(others))) if others else np.nan


def _state(vector: np.ndarray) -> State:
    return State(vector, ("a/0", "b/0"))


def _jackknife_error(leave_one_out: list[np.ndarray]) -> np.ndarray:
    """√((g−1)/g Σ (θ₋ᵢ − θ̄)²) over g groups; NaN for fewer than two."""
    count = len(leave_one_out)
    if count < 2:
        return np.array(np.nan)
    table = np.stack(leave_one_out)
    return np.sqrt((count - 1) / count * ((table - table.mean(axis=0)) ** 2).sum(axis=0))


def _network_arrays(prepared: "Prepared") -> Arrays:
    network = prepared.job.network
    arrays: Arrays = {"network/node": np.array([node.name for node in network.nodes])}
    if network.links:
        arrays["network/link"] = np.array([link.name for link in network.links])
        arrays["network/length"] = np.array([float(link.length) for link in network.links])
    return arrays


def _ledger_arrays(account: Account) -> Arrays:
    arrays: Arrays = {}
    if account.made:
        arrays["ledger/link"] = np.array(list(account.made))
        for name, column in (
            ("pairs_made", account.made),
            ("pairs_used", account.used),
            ("pairs_wasted", account.wasted),
            ("attempts", account.attempts),
        ):
            arrays[f"ledger/{name}"] = np.array([float(column[link]) for link in account.made])
    if account.bits:
        arrays["ledger/route"] = np.array([f"{a}->{b}" for a, b in account.bits])
        arrays["ledger/bits_sent"] = np.array([float(value) for value in account.bits.values()])
    return arrays


def _traffic_arrays(reports: Sequence[RankReport]) -> Arrays:
    columns: dict[str, list[Any]] = {
        "rank": list(range(len(reports))),
        "nodes": [" ".join(report.nodes) for report in reports],
        "bytes_sent": [report.moved.bytes_sent for report in reports],
        "bytes_received": [report.moved.bytes_received for report in reports],
        "collective_bytes": [report.moved.collective_bytes for report in reports],
        "messages": [report.moved.messages for report in reports],
        "remaps": [report.moved.remaps for report in reports],
        "block_bytes": [report.block_bytes for report in reports],
        "communication_seconds": [report.moved.seconds for report in reports],
        "compute_seconds": [report.compute_seconds for report in reports],
    }
    if all(report.planned_bytes is not None for report in reports):
        columns["planned_bytes"] = [report.planned_bytes for report in reports]
    return {f"traffic/{name}": np.array(values) for name, values in columns.items()}


def _census_arrays(prepared: "Prepared") -> Arrays:
    census = prepared.plan.census
    if not census:
        return {}
    stride = -(-len(census) // MAX_CENSUS)
    rows = [max(census[i : i + stride], key=lambda entry: entry.bytes) for i in range(0, len(census), stride)]
    return {
        "plan/step": np.array([row.instruction for row in rows]),
        "plan/clusters": np.array([row.clusters for row in rows]),
        "plan/largest": np.array([row.largest for row in rows]),
        "plan/bytes": np.array([row.bytes for row in rows]),
    }
