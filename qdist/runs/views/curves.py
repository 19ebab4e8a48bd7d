"""The numbers of a sweep that a person looks at first, each over all points."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qdist.runs import schema
from qdist.runs.results import Result
from qdist.runs.views.records import has_pairs, last_record, last_values, metric_names, most_interesting

MOST = 8
LEDGER = ("pairs_made", "attempts", "bits_sent")


@dataclass(frozen=True, eq=False)
class Curve:
    """One number at every point.

    Attributes:
        kind: `"metric"`, `"time"`, `"correlator"`, `"outcome"`, `"success"` or `"ledger"`.
        name: Of the metric or array, the Pauli string, or the outcome.
        units: SI unit, `"1"` for a plain number.
        values: One for each point, shape (axes…).
        errors: Standard errors of the values, or `None`.
        pair: The pair that it is about, as in the file, or empty.
    """

    kind: str
    name: str
    units: str
    values: np.ndarray
    errors: np.ndarray | None = None
    pair: str = ""


def curves(result: Result) -> list[Curve]:
    """All that a sweep has at its points: metrics of the pairs that last longest, correlators, outcomes, costs."""
    return [*_of_pairs(result), *_of_states(result), *_times(result), *_of_end(result), *_costs(result)]


def longest_pairs(result: Result) -> list[int]:
    """Positions of the pairs that are there at the end, the most entangled first."""
    last = last_record(result)
    longest = last.reshape(-1, last.shape[-1]).max(axis=0, initial=-1)
    return [pair for pair in most_interesting(result) if longest[pair] == longest.max() >= 0]


def _of_pairs(result: Result) -> Iterator[Curve]:
    names = [name for name in metric_names(result) if has_pairs(result, name)]
    if not names:
        return
    values = {name: last_values(result, f"metrics/{name}") for name in names}
    errors = {name: f"metrics/{name}_stderr" for name in names if f"metrics/{name}_stderr" in result.data}
    spread = {name: last_values(result, path) for name, path in errors.items()}
    for pair in longest_pairs(result):
        for name in names:
            error = spread[name][..., pair] if name in spread else None
            units = schema.SCHEMA[f"metrics/{name}"].units
            yield Curve("metric", name, units, values[name][..., pair], error, str(result["metrics/pair"][pair]))


def _of_states(result: Result) -> Iterator[Curve]:
    """Metrics of the whole state, at the last record of each point."""
    for name in metric_names(result):
        if not has_pairs(result, name) and len(result["metrics/step"]):
            values = result[f"metrics/{name}"]
            there = np.isfinite(values)
            last = values.shape[-1] - 1 - there[..., ::-1].argmax(axis=-1)
            found = np.take_along_axis(values, last[..., None], axis=-1)[..., 0]
            yield Curve("metric", name, schema.SCHEMA[f"metrics/{name}"].units, found)


def _times(result: Result) -> Iterator[Curve]:
    """When the first of the pairs was recorded last."""
    pairs = longest_pairs(result) if "metrics/time" in result.data and "metrics/pair" in result.data else []
    if pairs:
        last = last_record(result)[..., pairs[0]]
        times = np.take_along_axis(result["metrics/time"], np.maximum(last, 0)[..., None], axis=-1)[..., 0]
        pair = str(result["metrics/pair"][pairs[0]])
        yield Curve("time", "time", "s", np.where(last >= 0, times, np.nan), None, pair)


def _of_end(result: Result) -> Iterator[Curve]:
    for number, string in enumerate(map(str, result.data.get("results/pauli", ())[:MOST])):
        yield Curve("correlator", string, "1", *_entry(result, "results/correlators", number))
    if "results/probabilities" in result.data:
        probabilities = result["results/probabilities"]
        mean = probabilities.reshape(-1, probabilities.shape[-1]).mean(axis=0)
        for number in np.argsort(-mean, kind="stable")[: min(MOST, np.count_nonzero(mean))]:
            name = str(result["results/outcome"][number])
            yield Curve("outcome", name, "1", *_entry(result, "results/probabilities", int(number)))


def _entry(result: Result, path: str, number: int) -> tuple[np.ndarray, np.ndarray | None]:
    errors = result.data.get(f"{path}_stderr")
    return result[path][..., number], None if errors is None else errors[..., number]


def _costs(result: Result) -> Iterator[Curve]:
    success = result.data.get("results/success_probability")
    if success is not None and (success != 1).any():
        yield Curve("success", "success_probability", "1", success)
    for name in LEDGER:
        if f"ledger/{name}" in result.data:
            yield Curve("ledger", name, "1", np.nansum(result[f"ledger/{name}"], axis=-1))
