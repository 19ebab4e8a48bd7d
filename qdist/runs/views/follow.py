"""`qdist show --follow`: the rows of a result that grows, one line each, as they come."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from qdist.runs.results import Result, read_result
from qdist.runs.views.records import metric_names
from qdist.runs.views.text import metric_text, seconds_text, short

POLL_SECONDS = 0.5
MAX_PAIRS = 4


def followed(path: Path, wait: Callable[[float], object] = time.sleep) -> Iterator[str]:
    """Lines about the rows of a result, until its run has ended; waits for the file if it is not there yet.

    Args:
        path: The result that `qdist run` writes.
        wait: Called with the seconds between two looks.

    Raises:
        QdistError: The file is no result.
    """
    seen, before = 0, None
    while True:
        if path.exists() and (now := _version(path)) != before:
            before, result = now, read_result(path)
            lines = list(_lines(result, seen))
            seen += len(lines) if _has_records(result) else 0
            yield from lines
            if result.attributes.get("finished", 1):
                return
        wait(POLL_SECONDS)


def _version(path: Path) -> tuple[int, int]:
    """Each version of the file is another file."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


def _has_records(result: Result) -> bool:
    return not result.axes and result.attributes["mode"] != "sampled"


def _lines(result: Result, seen: int) -> Iterator[str]:
    if result.axes:
        done = np.isfinite(result.data.get("results/success_probability", np.zeros(0)))
        yield f"{done.sum():,} of {done.size:,} points"
    elif result.attributes["mode"] == "sampled":
        shots = f"{result['results/counts'].sum():,} of " if "results/counts" in result.data else ""
        yield ", ".join([f"{shots}{result.attributes['shots']:,} shots", *_values(result, -1)])
    else:
        for row in range(seen, len(result.data.get("metrics/step", ()))):
            moment = seconds_text(float(result["metrics/time"][row]))
            label = short(result["metrics/label"][row], 40)
            words = [f"step {result['metrics/step'][row]} at {moment}", *([label] if label else [])]
            yield ", ".join([*words, *_values(result, row)])


def _values(result: Result, row: int) -> list[str]:
    """The first metric of the first pairs that exist at a record."""
    name = next((name for name in metric_names(result) if result[f"metrics/{name}"].ndim == 2), None)
    if name is None or not len(result["metrics/step"]):
        return []
    values = result[f"metrics/{name}"][row]
    there = [k for k in range(len(values)) if np.isfinite(values[k])][:MAX_PAIRS]
    return [f"{name} {short(result['metrics/pair'][k])} {metric_text(name, values[k])}" for k in there]
