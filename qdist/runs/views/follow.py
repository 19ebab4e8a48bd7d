"""`qdist show --follow`: the rows of a result that grows, one line each, as they come."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from qdist.errors import QdistError
from qdist.runs.results import Result, read_result
from qdist.runs.views.records import has_pairs, metric_names
from qdist.runs.views.text import NOTHING, WIDTH, metric_heading, metric_text, seconds_text, short

POLL_SECONDS = 0.5
MAX_PAIRS = 8


def followed(path: Path, wait: Callable[[float], object] = time.sleep) -> Iterator[str]:
    """Lines about the rows of a result, until its run has ended; waits for the file if it is not there yet.

    Args:
        path: The result that `qdist run` writes.
        wait: Called with the seconds between two looks.

    Raises:
        QdistError: The file is no result, or will never be there.
    """
    if not path.parent.is_dir():
        raise QdistError(
            f"A result to follow must be in a folder that exists, but '{path.parent}' does not. `qdist run` prints "
            "where it writes."
        )
    seen, before = 0, None
    while True:
        now = _version(path)
        if now not in (None, before):
            before, result = now, read_result(path)
            rows = _rows(result)
            # Fewer than before: the file is of another run now, and is told from its beginning.
            yield from _lines(result, seen if rows >= seen else 0)
            seen = rows
            if result.attributes.get("finished", 1):
                return
        wait(POLL_SECONDS)


def _version(path: Path) -> tuple[int, int] | None:
    """Each version of the file is another file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _rows(result: Result) -> int:
    return len(result.data.get("metrics/step", ()))


def _lines(result: Result, seen: int) -> Iterator[str]:
    if result.axes:
        yield _points(result)
    elif result.attributes["mode"] == "sampled":
        yield _with_values(_shots(result), result, -1)
    else:
        for row in range(seen, _rows(result)):
            moment = seconds_text(float(result["metrics/time"][row]))
            label = short(result["metrics/label"][row], WIDTH // 4)
            begin = f"step {result['metrics/step'][row]:>4} at {moment:>9}"
            yield _with_values(f"{begin}, {label}" if label else begin, result, row)


def _points(result: Result) -> str:
    count = int(np.prod([len(axis.values) for axis in result.axes]))
    done = np.isfinite(result.data.get("results/success_probability", np.zeros(0))).sum()
    return f"{done:>{len(f'{count:,}')},} of {count:,} points"


def _shots(result: Result) -> str:
    """How many shots were begun, and how many of them passed all heralds."""
    shots, counts = f"{result.attributes['shots']:,} shots", result.data.get("results/counts")
    if counts is None:
        return shots if result.attributes.get("finished", 1) else f"some of {shots}"
    kept, success = int(counts.sum()), float(result.data.get("results/success_probability", 1.0))
    begun = round(kept / success) if success > 0 else kept
    width = len(shots) - len(" shots")
    passed = f", {kept:>{width},} passed all heralds" if kept < begun else ""
    return f"{begun:>{width},} of {shots}{passed}"


def _with_values(begin: str, result: Result, row: int) -> str:
    """A line that goes on with the first metric of the pairs that exist at a record, as many as fit."""
    names = metric_names(result)
    if not names or not _rows(result):
        return begin
    name = next((name for name in names if has_pairs(result, name)), names[0])
    line = f"{begin}: {metric_heading(name)}"
    if not has_pairs(result, name):
        return f"{line} {metric_text(name, result[f'metrics/{name}'][row])}"
    values = [metric_text(name, value) for value in result[f"metrics/{name}"][row]]
    words = [_value(result, name, row, pair, text) for pair, text in enumerate(values) if text != NOTHING]
    some = range(1, min(len(words), MAX_PAIRS) + 1)
    lines = [f"{line} {', '.join([*words[:shown], *_left(len(words) - shown)])}" for shown in some]
    return next((each for each in reversed(lines) if len(each) <= WIDTH), lines[0]) if lines else begin


def _left(count: int) -> list[str]:
    return [f"and {count:,} more"] if count else []


def _value(result: Result, name: str, row: int, pair: int, text: str) -> str:
    errors = result.data.get(f"metrics/{name}_stderr")
    error = "" if errors is None or not np.isfinite(errors[row, pair]) else f" ± {errors[row, pair]:.1g}"
    return f"{short(result['metrics/pair'][pair])} {text}{error}"
