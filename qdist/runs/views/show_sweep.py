"""What `qdist show` says of a sweep: its axes, then a row for each point along one of them, or ranges over a grid."""

import math
import textwrap

import numpy as np

from qdist.runs.results import Result
from qdist.runs.schema import NO_PAIR, SCHEMA, Axis
from qdist.runs.views.curves import Curve, curves
from qdist.runs.views.text import (
    NOTHING,
    WIDTH,
    aligned,
    count_text,
    folded,
    metric_text,
    more,
    number_text,
    seconds_text,
    short,
)

MAX_ROWS = 12
MAX_COLUMNS = 12
MAX_VALUES = 4
MAX_OUTCOMES = 4
KINDS = {"correlator": "⟨{}⟩", "outcome": "P({})"}


def sweep_sections(result: Result) -> list[list[str]]:
    """The lines about a sweep, in sections."""
    found = curves(result)
    first = next((curve.pair for curve in found if curve.pair), "")
    # One pair is enough for a first look: the one that lasts longest.
    chosen = [curve for curve in found if curve.pair in ("", first)]
    chosen = [curve for curve in chosen if curve.kind != "ledger" or np.ptp(curve.values) > 0]
    outcomes = [curve for curve in chosen if curve.kind == "outcome"]
    shown = [] if any(curve.kind == "metric" for curve in chosen) else outcomes[:MAX_OUTCOMES]
    chosen = [curve for curve in chosen if curve not in outcomes or curve in shown]
    along = [number for number, axis in enumerate(result.axes) if len(axis.values) > 1]
    rows = _points if len(along) < 2 else _ranges
    return [_axes(result), rows(result, chosen[:MAX_COLUMNS], first) if chosen else []]


def _axes(result: Result) -> list[str]:
    rows = [(short(axis.path, 48), short(axis.long_name, 36), _extent(axis)) for axis in result.axes]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    points = math.prod(len(axis.values) for axis in result.axes)
    lines = [f"  {path.ljust(widths[0])}  {name.ljust(widths[1])}  {extent}" for path, name, extent in rows]
    return [f"Sweep of {points:,} point{'s' * (points != 1)}", *(short(line, WIDTH) for line in lines)]


def _extent(axis: Axis) -> str:
    unit = "" if axis.units == "1" else f" {short(axis.units, 12)}"
    if len(axis.values) <= MAX_VALUES:
        return f"{', '.join(f'{value:g}' for value in axis.values)}{unit}"
    return f"{len(axis.values):,} values, {min(axis.values):g} to {max(axis.values):g}{unit}"


def _about(pair: str) -> str:
    return f"; metrics of {short(pair)} at its last record" if pair else ""


def _points(result: Result, chosen: list[Curve], pair: str) -> list[str]:
    """A row for each point, or for some of them with both ends."""
    axis = max(result.axes, key=lambda axis: len(axis.values))
    count = len(axis.values)
    shown = np.unique(np.linspace(0, count - 1, min(count, MAX_ROWS)).round().astype(int))
    rows = [[f"{axis.values[i]:g}", *(_text(curve, curve.values.reshape(-1)[i]) for curve in chosen)] for i in shown]
    header = [_name(axis), *map(_heading, chosen)]
    return [
        f"Main numbers at each point{_about(pair)}",
        *folded(header, rows, fixed=1),
        *more(count, len(shown), "points"),
        *_errors(chosen),
    ]


def _ranges(result: Result, chosen: list[Curve], pair: str) -> list[str]:
    """For each number the smallest and the largest value, and where they are."""
    rows = []
    for curve in chosen:
        if curve.name != "verdict" and np.isfinite(curve.values).any():
            ends = [np.unravel_index(find(curve.values), curve.values.shape) for find in (np.nanargmin, np.nanargmax)]
            texts = [_text(curve, curve.values[end]) for end in ends]
            places = [_where(result, end) if texts[0] != texts[1] else "" for end in ends]
            rows.append([_heading(curve), texts[0], places[0], texts[1], places[1]])
    lines = aligned(["", "smallest", "there", "largest", "there"], rows)
    return [
        short(f"Main numbers over all points{_about(pair)}", WIDTH),
        *(short(line, WIDTH) for line in lines),
        short(f"  there: at {', '.join(map(_name, result.axes))}", WIDTH),
        *(line for curve in chosen if curve.name == "verdict" for line in _verdicts(curve)),
        *_errors(chosen),
    ]


def _where(result: Result, place: tuple[np.intp, ...]) -> str:
    return ", ".join(f"{axis.values[i]:g}" for axis, i in zip(result.axes, place, strict=True))


def _verdicts(curve: Curve) -> list[str]:
    flags = {code: word for code, word in SCHEMA["metrics/verdict"].flags.items() if code != NO_PAIR}
    counts = {word: int((curve.values == code).sum()) for code, word in reversed(flags.items())}
    found = ", ".join(f"{word} at {count:,}" for word, count in counts.items() if count)
    return [f"  verdict: {found} of {curve.values.size:,} points"] if found else []


def _name(axis: Axis) -> str:
    unit = "" if axis.units == "1" else f" ({short(axis.units, 12)})"
    return short(".".join(axis.path.split(".")[-2:])) + unit


def _heading(curve: Curve) -> str:
    unit = f" ({curve.units})" if curve.units not in ("1", "s") else ""
    return short(KINDS.get(curve.kind, "{}").format(curve.name.replace("_", " ")), 30) + unit


def _text(curve: Curve, value: float) -> str:
    if curve.kind == "metric":
        return metric_text(curve.name, value)
    if curve.kind == "time":
        return seconds_text(float(value)) if np.isfinite(value) else NOTHING
    return count_text(float(value)) if curve.kind == "ledger" else number_text(float(value))


def _errors(chosen: list[Curve]) -> list[str]:
    largest = {
        _heading(curve): np.nanmax(curve.errors)
        for curve in chosen
        if curve.errors is not None and np.isfinite(curve.errors).any()
    }
    text = f"standard errors up to: {', '.join(f'{name} {error:.1g}' for name, error in largest.items())}"
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ") if largest else []
