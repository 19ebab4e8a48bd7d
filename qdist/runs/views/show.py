"""The text of `qdist show`: what is in a result, and its main numbers, in plain text of at most 100 columns."""

import math
import os
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qdist.runs import schema
from qdist.runs.results import Result
from qdist.runs.views.records import last_record, metric_names, most_interesting, most_probable
from qdist.runs.views.show_sweep import sweep_sections
from qdist.runs.views.text import (
    NOTHING,
    WIDTH,
    aligned,
    bytes_text,
    count_text,
    folded,
    metric_heading,
    metric_text,
    more,
    number_text,
    seconds_text,
    short,
)
from qdist.runs.views.text import printable as printable

MAX_ROWS = 12
MAX_OUTCOMES = 16
ALONE = ("ranks", 1)
TRAFFIC: dict[str, Callable[[Any], str]] = {
    "bytes_sent": bytes_text,
    "bytes_received": bytes_text,
    "remaps": count_text,
    "collective_bytes": bytes_text,
    "communication_seconds": seconds_text,
    "compute_seconds": seconds_text,
}
"""What is shown of each rank, and how."""


def describe(result: Result, path: str | os.PathLike[str]) -> str:
    """What `result`, read from `path`, holds, and its main numbers.

    Each pair shows the last value of each metric: a pair that is gone at the end shows what it had last. Of a sweep
    there is a row for each point along one axis, or the range of each number over a grid. Text from the file is shown
    without control characters, so that a file cannot command the terminal.
    """
    numbers = sweep_sections(result) if result.axes else _numbers(result)
    sections = [_heading(result, path), *numbers, _traffic(result), _clusters(result), _arrays(result)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _numbers(result: Result) -> list[list[str]]:
    return [
        _whole_state(result),
        _pairs(result),
        _outcomes(result),
        _correlators(result),
        _heralds(result),
        _ledger(result, "link", ("pairs_made", "pairs_used", "pairs_wasted", "attempts")),
        _ledger(result, "route", ("bits_sent",)),
    ]


def _heading(result: Result, path: str | os.PathLike[str]) -> list[str]:
    known = result.attributes
    forms = {
        "mode": "mode {}",
        "shots": "{:,} shots",
        "seed": "seed {}",
        "precision": "{}",
        "device": "on {}",
        "ranks": "{} ranks",
    }
    run = [form.format(known[name]) for name, form in forms.items() if name in known and (name, known[name]) != ALONE]
    run += [f"{seconds_text(float(known['wall_seconds']))} on the wall clock"] if "wall_seconds" in known else []
    times = known.get("resumed", 0)
    run += [f"resumed {'once' if times == 1 else f'{times:,} times'}"] if times else []
    run += [] if known.get("finished", 1) else ["not ended yet"]
    packages = ("qdist", "python", "numpy", "jax", "h5py")
    versions = [f"{name} {known[name + '_version']}" for name in packages if f"{name}_version" in known]
    lines = [
        short(known.get("title") or "(no title)", WIDTH),
        f"  file      {short(path, WIDTH - 12)}",
        f"  run       {short(', '.join(run), WIDTH - 12)}",
    ]
    lines += [f"  versions  {short(', '.join(versions), WIDTH - 12)}"] if versions else []
    if result.unknown:
        lines.append(f"  not read  {short(', '.join(result.unknown[:MAX_ROWS]), WIDTH - 40)} (unknown to this qdist)")
    return lines


def _whole_state(result: Result) -> list[str]:
    values = {name: result[f"metrics/{name}"] for name in metric_names(result)}
    rows = [(name.replace("_", " "), metric_text(name, v[-1])) for name, v in values.items() if v.ndim == 1 and len(v)]
    return ["Metrics of the whole state, last record", *aligned(("metric", "value"), rows)] if rows else []


def _pairs(result: Result) -> list[str]:
    names = [name for name in metric_names(result) if result[f"metrics/{name}"].ndim == 2]
    if not names:
        return []
    pairs, last = result["metrics/pair"], last_record(result)
    records = len(result["metrics/step"])
    if (last < 0).all():
        return [f"Metrics: none of the {len(pairs):,} pairs existed at any of the {records:,} records"]
    shown = most_interesting(result)[:MAX_ROWS]
    rows = []
    for pair in shown:
        step = last[pair]
        cells = [metric_text(name, result[f"metrics/{name}"][step, pair]) for name in names] if step >= 0 else None
        rows.append([short(pairs[pair]), _moment(result, step), *(cells or [NOTHING] * len(names))])
    header = ["pair", "at", *map(metric_heading, names)]
    return [
        f"Metrics of each pair, last value in {records:,} records",
        *folded(header, rows, fixed=2),
        *more(len(pairs), len(shown), "pairs"),
        *_largest_errors(result, names, shown, last),
    ]


def _moment(result: Result, step: int) -> str:
    if step < 0:
        return "never"
    times = result.data.get("metrics/time")
    return seconds_text(float(times[step])) if times is not None else f"step {result['metrics/step'][step]}"


def _largest_errors(result: Result, names: Sequence[str], shown: Sequence[int], last: np.ndarray) -> list[str]:
    notes = []
    for name in names:
        errors = result.data.get(f"metrics/{name}_stderr", np.zeros(0))
        values = [errors[last[pair], pair] for pair in shown if last[pair] >= 0] if errors.ndim == 2 else []
        if any(map(math.isfinite, values)):
            notes.append(f"{name.replace('_', ' ')} {np.nanmax(values):.1g}")
    text = f"standard errors up to: {', '.join(notes)}"
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ") if notes else []


def _outcomes(result: Result) -> list[str]:
    probabilities = result.data.get("results/probabilities")
    if probabilities is None:
        return []
    shown = most_probable(probabilities, MAX_OUTCOMES)
    columns = {"outcome": [short(outcome, 60) for outcome in result["results/outcome"][shown]]}
    for name, path in (("probability", "probabilities"), ("standard error", "probabilities_stderr")):
        if f"results/{path}" in result.data:
            columns[name] = [number_text(float(value)) for value in result[f"results/{path}"][shown]]
    if "results/counts" in result.data:
        columns["counts"] = [f"{count:,}" for count in result["results/counts"][shown]]
    bits = result.attributes.get("bits", "")
    return [
        short(f"Outcomes{f' of the bits {bits}' if bits else ''}, most probable first", WIDTH),
        *aligned(list(columns), zip(*columns.values(), strict=True)),
        *more(int(np.count_nonzero(probabilities)), len(shown), "outcomes"),
    ]


def _correlators(result: Result) -> list[str]:
    if "results/correlators" not in result.data:
        return []
    columns = {"Pauli string": [short(string, 60) for string in result["results/pauli"][:MAX_OUTCOMES]]}
    for name, path in (("correlator", "correlators"), ("standard error", "correlators_stderr")):
        if f"results/{path}" in result.data:
            columns[name] = [number_text(float(value)) for value in result[f"results/{path}"][:MAX_OUTCOMES]]
    qubits = result.attributes.get("qubits", "")
    return [
        short(f"Correlators{f' of the qubits {qubits}' if qubits else ''}", WIDTH),
        *aligned(list(columns), zip(*columns.values(), strict=True)),
        *more(len(result["results/pauli"]), MAX_OUTCOMES, "correlators"),
    ]


def _heralds(result: Result) -> list[str]:
    lines = []
    success = float(result.data.get("results/success_probability", 1.0))
    if success != 1 or "results/herald" in result.data:
        lines.append(f"Every herald succeeds with probability {number_text(success)}")
    if "results/herald_probability" in result.data:
        columns = zip(result["results/herald"], result["results/herald_probability"], strict=True)
        rows = [(short(name, 60), number_text(float(value))) for name, value in columns]
        lines += aligned(("herald", "probability"), rows[:MAX_ROWS])
        lines += more(len(rows), MAX_ROWS, "heralds")
    return lines


def _ledger(result: Result, owner: str, names: Sequence[str]) -> list[str]:
    """What each link or route has to its account, the largest first, and the totals."""
    names = [name for name in names if f"ledger/{name}" in result.data]
    if not names:
        return []
    table = np.array([result[f"ledger/{name}"] for name in names], float).T
    shown = np.argsort(-table[:, 0], kind="stable")[:MAX_ROWS]
    rows = [[short(result[f"ledger/{owner}"][i]), *map(count_text, table[i])] for i in shown]
    rows.append(["total", *map(count_text, table.sum(axis=0))])
    return [
        f"Ledger of the {len(table):,} {owner}{'s' * (len(table) != 1)}",
        *aligned([owner, *(name.replace("_", " ") for name in names)], rows),
        *more(len(table), len(shown), f"{owner}s in the total"),
    ]


def _traffic(result: Result) -> list[str]:
    """What the simulation itself moved between several ranks, over all points of a sweep."""
    ranks = result.data.get("traffic/rank", np.zeros(0))
    if len(ranks) < 2:
        return []
    columns = {"rank": [str(rank) for rank in ranks[:MAX_ROWS]]}
    if "traffic/nodes" in result.data and result.dims("traffic/nodes") == ("rank",):
        columns["nodes"] = [short(nodes, 24) for nodes in result["traffic/nodes"][:MAX_ROWS]]
    for name, text in TRAFFIC.items():
        if f"traffic/{name}" in result.data:
            values = result[f"traffic/{name}"].reshape(-1, len(ranks)).sum(axis=0)
            columns[schema.SCHEMA[f"traffic/{name}"].long_name] = [text(value) for value in values[:MAX_ROWS].tolist()]
    rows = list(zip(*columns.values(), strict=True))
    return [
        f"Traffic of the simulation between {len(ranks):,} ranks",
        *folded(list(columns), rows, fixed=1),
        *more(len(ranks), MAX_ROWS, "ranks"),
    ]


def _clusters(result: Result) -> list[str]:
    peaks = {
        name: int(result[f"plan/{name}"].max())
        for name in ("clusters", "largest", "bytes")
        if f"plan/{name}" in result.data and len(result[f"plan/{name}"])
    }
    forms = {"clusters": "at most {:,} at a time", "largest": "the largest of 2^{} entries"}
    parts = [form.format(peaks[name]) for name, form in forms.items() if name in peaks]
    parts += [f"at most {bytes_text(peaks['bytes'])} in all"] if "bytes" in peaks else []
    return [f"Clusters: {', '.join(parts)}"] if parts else []


def _arrays(result: Result) -> list[str]:
    """What a notebook will find, one paragraph a group: dimensions with their sizes, then the other arrays."""
    groups: dict[str, list[str]] = {}
    if result.axes:
        groups["sweep"] = [f"{axis.name}[{len(axis.values)}]" for axis in result.axes]
    for path, array in result.data.items():
        group, _, name = path.partition("/")
        size = f"[{array.size}]" if schema.is_coordinate(path) else ""
        error = "\N{NO-BREAK SPACE}±" if f"{path}_stderr" in result.data else ""
        if not path.endswith("_stderr"):
            groups.setdefault(group, []).append(f"{name}{size}{error}")
    lines = []
    for group, names in groups.items():
        first, later = f"  {group:<8}  ", " " * 12
        lines += textwrap.wrap(", ".join(names), WIDTH, initial_indent=first, subsequent_indent=later)
    lines = [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]
    return ["Arrays in the file (± has a standard error, NAME_stderr)", *lines] if lines else []
