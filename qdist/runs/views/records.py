"""Which records and which pairs of a result a person looks at first; the points of a sweep each have their own."""

import numpy as np

from qdist.runs import schema
from qdist.runs.results import Result

RANKING = ("log_negativity", "fidelity", "mutual_information")


def metric_names(result: Result) -> list[str]:
    """The metrics that a result has, in the order of the schema, without standard errors."""
    return [name for name in schema.METRICS if f"metrics/{name}" in result.data]


def has_pairs(result: Result, name: str) -> bool:
    """Whether the result has the metric for each pair, not only of the whole state."""
    path = f"metrics/{name}"
    return path in result.data and "pair" in result.dims(path)


def is_there(result: Result) -> np.ndarray:
    """Which pair has a value of any metric at which step, shape (axes…, step, pair)."""
    shape = [len(axis.values) for axis in result.axes]
    there = np.zeros((*shape, len(result["metrics/step"]), len(result["metrics/pair"])), bool)
    for name in metric_names(result):
        if has_pairs(result, name):
            values = result[f"metrics/{name}"]
            there |= values != schema.NO_PAIR if name == "verdict" else np.isfinite(values)
    return there


def last_record(result: Result) -> np.ndarray:
    """The last step at which each pair has a value of any metric, shape (axes…, pair); −1 if it never has."""
    there = is_there(result)
    if not there.size:
        return np.full((*there.shape[:-2], there.shape[-1]), -1)
    return np.where(there.any(axis=-2), there.shape[-2] - 1 - there[..., ::-1, :].argmax(axis=-2), -1)


def last_values(result: Result, path: str) -> np.ndarray:
    """An array by step and pair at the last record of each pair, shape (axes…, pair); missing if it never has one."""
    last = last_record(result)
    values = np.take_along_axis(result[path], np.maximum(last, 0)[..., None, :], axis=-2)[..., 0, :]
    return np.where(last >= 0, values, schema.SCHEMA[path].missing).astype(values.dtype)


def most_interesting(result: Result) -> list[int]:
    """Positions of the pairs: those that lasted longest first, of these the most entangled, then as in the file.

    Of a sweep: that lasted longest at any point, and the most entangled in the mean of the points.
    """
    last = last_record(result)
    longest = last.reshape(-1, last.shape[-1]).max(axis=0, initial=-1)
    ranking = next((name for name in RANKING if has_pairs(result, name)), None)
    scores = np.zeros(len(longest))
    if ranking is not None and len(result["metrics/step"]):
        values = last_values(result, f"metrics/{ranking}").reshape(-1, len(longest))
        there = np.isfinite(values)
        scores = np.where(there, values, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
        scores[~there.any(axis=0)] = -np.inf
    return [int(pair) for pair in np.lexsort((-scores, -longest))]


def most_probable(probabilities: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most `most` outcomes with a probability above 0, the largest first, ties in the order given."""
    order = np.argsort(-np.nan_to_num(probabilities), kind="stable")[:most]
    return order[probabilities[order] > 0]
