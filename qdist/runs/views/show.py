"""The text of `qdist show`: what is in a result, and its main numbers, in plain text of at most 100 columns."""

import math
import os
import textwrap
from collections.abc import Iterable, Sequence

import numpy as np

from qdist.runs import schema
from qdist.runs.results import Result

WIDTH = 100
MAX_ROWS = 12
MAX_OUTCOMES = 16
RANKING = ("log_negativity", "fidelity", "mutual_information")
TIME_UNITS = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
NOTHING = "–"


def describe(result: Result, path: str | os.PathLike[str]) -> str:
    """What `result`, read from `path`, holds, and its main numbers.

    Each pair shows the last value of each metric: a pair that is gone at the end shows what it had last. Text from the
    file is shown without control characters, so that a file cannot command the terminal.
    """
    sections = [
        _heading(result, path),
        _whole_state(result),
        _pairs(result),
        _outcomes(result),
        _correlators(result),
        _heralds(result),
        _ledger(result, "link", ("pairs_made", "pairs_used", "pairs_wasted", "attempts")),
        _ledger(result, "route", ("bits_sent",)),
        _clusters(result),
        _arrays(result),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def printable(text: object) -> str:
    """The text on one line, anything that a terminal might obey replaced by `?`."""
    return "".join(char if char.isprintable() else "?" for char in str(text))


def time_unit(seconds: float) -> tuple[float, str]:
    """The largest of ns, µs, ms and s that is not above `seconds`, as (seconds per unit, name)."""
    if seconds == 0:
        return TIME_UNITS[-1]
    fitting = [unit for unit in TIME_UNITS if unit[0] <= abs(seconds) * (1 + 1e-9)]
    return fitting[-1] if fitting else TIME_UNITS[0]


def metric_names(result: Result) -> list[str]:
    """The metrics that a result has, in the order of the schema, without standard errors."""
    return [name for name in schema.METRICS if f"metrics/{name}" in result.data]


def is_there(result: Result) -> np.ndarray:
    """Which pair has a value of any metric at which step, shape (step, pair)."""
    there = np.zeros((len(result["metrics/step"]), len(result["metrics/pair"])), bool)
    for name in metric_names(result):
        values = result[f"metrics/{name}"]
        if values.ndim == 2:
            there |= values != schema.NO_PAIR if name == "verdict" else np.isfinite(values)
    return there


def last_record(result: Result) -> np.ndarray:
    """The last step at which each pair has a value of any metric; −1 if it never has."""
    there = is_there(result)
    if not there.size:
        return np.full(there.shape[1], -1)
    return np.where(there.any(axis=0), len(there) - 1 - there[::-1].argmax(axis=0), -1)


def most_interesting(result: Result) -> list[int]:
    """Positions of the pairs: those that lasted longest first, of these the most entangled, then as in the file."""
    last = last_record(result)
    ranking = next((name for name in RANKING if result.data.get(f"metrics/{name}", np.zeros(0)).ndim == 2), None)
    scores = np.zeros(len(last)) if ranking is None else result[f"metrics/{ranking}"][last, np.arange(len(last))]
    return [int(pair) for pair in np.lexsort((-np.nan_to_num(scores, nan=-np.inf), -last))]


def most_probable(probabilities: np.ndarray, most: int) -> np.ndarray:
    """Positions of at most `most` outcomes with a probability above 0, the largest first, ties in the order given."""
    order = np.argsort(-np.nan_to_num(probabilities), kind="stable")[:most]
    return order[probabilities[order] > 0]


def _seconds(seconds: float) -> str:
    scale, name = time_unit(seconds)
    return f"{seconds / scale:.4g} {name}"


def _bytes(count: int) -> str:
    power = min(max(count.bit_length() - 1, 0) // 10, len(BYTE_UNITS) - 1)
    return f"{count / 1024**power:.4g} {BYTE_UNITS[power]}"


def _number(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return f"{value:.4g}" if abs(value) >= 1e5 or 0 < abs(value) < 1e-3 else f"{value:.4f}"


def _count(value: float) -> str:
    """An expected count: without decimals if it is whole."""
    return f"{value:,.0f}" if math.isfinite(value) and value == round(value) else f"{value:,.3f}"


def _metric(name: str, value: float) -> str:
    if name != "verdict":
        return _number(float(value))
    return NOTHING if value == schema.NO_PAIR else schema.SCHEMA["metrics/verdict"].flags.get(int(value), str(value))


def _short(text: object, width: int = 40) -> str:
    line = printable(text)
    return line if len(line) <= width else line[: width - 1] + "…"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest word: the first flush left, the others flush right, headings stacked."""
    words = [heading.split(" ") for heading in header]
    height = max(map(len, words))
    table = [*zip(*([""] * (height - len(stack)) + stack for stack in words), strict=True), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(["", row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table]


def _folded(header: Sequence[str], rows: Sequence[Sequence[str]], fixed: int) -> list[str]:
    """A table that goes on underneath where it is too wide; each part repeats the first `fixed` columns."""
    parts: list[list[int]] = []
    for column in range(fixed, len(header)):
        wider = [*(parts[-1] if parts else range(fixed)), column]
        fits = max(map(len, _columns(header, rows, wider))) <= WIDTH
        parts = [*parts[:-1], wider] if parts and fits else [*parts, [*range(fixed), column]]
    return [line for part in parts for line in _columns(header, rows, part)]


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]], chosen: Sequence[int]) -> list[str]:
    return _table([header[i] for i in chosen], [[row[i] for i in chosen] for row in rows])


def _more(total: int, shown: int, what: str) -> list[str]:
    return [f"  … and {total - shown:,} more {what}"] if total > shown else []


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
    run = [form.format(known[name]) for name, form in forms.items() if name in known]
    run += [f"{_seconds(float(known['wall_seconds']))} on the wall clock"] if "wall_seconds" in known else []
    packages = ("qdist", "python", "numpy", "jax", "h5py")
    versions = [f"{name} {known[name + '_version']}" for name in packages if f"{name}_version" in known]
    lines = [
        _short(known.get("title") or "(no title)", WIDTH),
        f"  file      {_short(path, WIDTH - 12)}",
        f"  run       {_short(', '.join(run), WIDTH - 12)}",
    ]
    lines += [f"  versions  {_short(', '.join(versions), WIDTH - 12)}"] if versions else []
    if result.unknown:
        lines.append(f"  not read  {_short(', '.join(result.unknown[:MAX_ROWS]), WIDTH - 40)} (unknown to this qdist)")
    return lines


def _whole_state(result: Result) -> list[str]:
    values = {name: result[f"metrics/{name}"] for name in metric_names(result)}
    rows = [(name.replace("_", " "), _metric(name, v[-1])) for name, v in values.items() if v.ndim == 1 and len(v)]
    return ["Metrics of the whole state, last record", *_table(("metric", "value"), rows)] if rows else []


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
        cells = [_metric(name, result[f"metrics/{name}"][step, pair]) for name in names] if step >= 0 else None
        rows.append([_short(pairs[pair]), _moment(result, step), *(cells or [NOTHING] * len(names))])
    header = ["pair", "at", *map(_heading_of, names)]
    return [
        f"Metrics of each pair, last value in {records:,} records",
        *_folded(header, rows, fixed=2),
        *_more(len(pairs), len(shown), "pairs"),
        *_largest_errors(result, names, shown, last),
    ]


def _heading_of(name: str) -> str:
    units = schema.SCHEMA[f"metrics/{name}"].units
    return name.replace("_", " ") + (f" ({units})" if units != "1" else "")


def _moment(result: Result, step: int) -> str:
    if step < 0:
        return "never"
    times = result.data.get("metrics/time")
    return _seconds(float(times[step])) if times is not None else f"step {result['metrics/step'][step]}"


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
    columns = {"outcome": [_short(outcome, 60) for outcome in result["results/outcome"][shown]]}
    for name, path in (("probability", "probabilities"), ("standard error", "probabilities_stderr")):
        if f"results/{path}" in result.data:
            columns[name] = [_number(float(value)) for value in result[f"results/{path}"][shown]]
    if "results/counts" in result.data:
        columns["counts"] = [f"{count:,}" for count in result["results/counts"][shown]]
    bits = result.attributes.get("bits", "")
    return [
        _short(f"Outcomes{f' of the bits {bits}' if bits else ''}, most probable first", WIDTH),
        *_table(list(columns), zip(*columns.values(), strict=True)),
        *_more(int(np.count_nonzero(probabilities)), len(shown), "outcomes"),
    ]


def _correlators(result: Result) -> list[str]:
    if "results/correlators" not in result.data:
        return []
    columns = {"Pauli string": [_short(string, 60) for string in result["results/pauli"][:MAX_OUTCOMES]]}
    for name, path in (("correlator", "correlators"), ("standard error", "correlators_stderr")):
        if f"results/{path}" in result.data:
            columns[name] = [_number(float(value)) for value in result[f"results/{path}"][:MAX_OUTCOMES]]
    qubits = result.attributes.get("qubits", "")
    return [
        _short(f"Correlators{f' of the qubits {qubits}' if qubits else ''}", WIDTH),
        *_table(list(columns), zip(*columns.values(), strict=True)),
        *_more(len(result["results/pauli"]), MAX_OUTCOMES, "correlators"),
    ]


def _heralds(result: Result) -> list[str]:
    lines = []
    success = float(result.data.get("results/success_probability", 1.0))
    if success != 1 or "results/herald" in result.data:
        lines.append(f"Every herald succeeds with probability {_number(success)}")
    if "results/herald_probability" in result.data:
        columns = zip(result["results/herald"], result["results/herald_probability"], strict=True)
        rows = [(_short(name, 60), _number(float(value))) for name, value in columns]
        lines += _table(("herald", "probability"), rows[:MAX_ROWS])
        lines += _more(len(rows), MAX_ROWS, "heralds")
    return lines


def _ledger(result: Result, owner: str, names: Sequence[str]) -> list[str]:
    """What each link or route has to its account, the largest first, and the totals."""
    names = [name for name in names if f"ledger/{name}" in result.data]
    if not names:
        return []
    table = np.array([result[f"ledger/{name}"] for name in names], float).T
    shown = np.argsort(-table[:, 0], kind="stable")[:MAX_ROWS]
    rows = [[_short(result[f"ledger/{owner}"][i]), *map(_count, table[i])] for i in shown]
    rows.append(["total", *map(_count, table.sum(axis=0))])
    return [
        f"Ledger of the {len(table):,} {owner}{'s' * (len(table) != 1)}",
        *_table([owner, *(name.replace("_", " ") for name in names)], rows),
        *_more(len(table), len(shown), f"{owner}s in the total"),
    ]


def _clusters(result: Result) -> list[str]:
    peaks = {
        name: int(result[f"plan/{name}"].max())
        for name in ("clusters", "largest", "bytes")
        if f"plan/{name}" in result.data and len(result[f"plan/{name}"])
    }
    forms = {"clusters": "at most {:,} at a time", "largest": "the largest of 2^{} entries"}
    parts = [form.format(peaks[name]) for name, form in forms.items() if name in peaks]
    parts += [f"at most {_bytes(peaks['bytes'])} in all"] if "bytes" in peaks else []
    return [f"Clusters: {', '.join(parts)}"] if parts else []


def _arrays(result: Result) -> list[str]:
    """What a notebook will find, one paragraph a group: dimensions with their sizes, then the other arrays."""
    groups: dict[str, list[str]] = {}
    for path, array in result.data.items():
        group, _, name = path.partition("/")
        size = f"[{array.size}]" if name in schema.SCHEMA[path].dims else ""
        error = "\N{NO-BREAK SPACE}±" if f"{path}_stderr" in result.data else ""
        if not path.endswith("_stderr"):
            groups.setdefault(group, []).append(f"{name}{size}{error}")
    lines = []
    for group, names in groups.items():
        first, later = f"  {group:<8}  ", " " * 12
        lines += textwrap.wrap(", ".join(names), WIDTH, initial_indent=first, subsequent_indent=later)
    lines = [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]
    return ["Arrays in the file (± has a standard error, NAME_stderr)", *lines] if lines else []
