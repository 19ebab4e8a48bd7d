"""The panels of a sweep: lines along one axis, maps over two."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from qdist.runs.results import Result
from qdist.runs.schema import Axis
from qdist.runs.views.curves import Curve, curves
from qdist.runs.views.labels import pair_labels, plain_text
from qdist.runs.views.style import (
    ABSENT,
    COLORS,
    LINES,
    MARKERS,
    MAX_LEGEND,
    MAX_MARKERS,
    MAX_STYLED_PAIRS,
    OUTSIDE,
    SERIES_METRICS,
    show_up_to_one,
)
from qdist.runs.views.text import time_unit

Panel = Callable[[Any, Result], str]

MAX_PANELS = 4
MAX_MAPPED_METRICS = 3
MAX_NAMED_VALUES = 12
LARGE_RATIO = 20
"""From here on an axis has equal distances for equal factors."""

BOUNDS = {name: series.bound / series.factor for name, series in SERIES_METRICS.items() if series.bound is not None}
"""Where a map has a line: above it a metric proves something."""


def sweep_panels(result: Result) -> Sequence[Panel]:
    """What to draw of a sweep, at most four panels; nothing if it has no numbers."""
    found = [curve for curve in curves(result) if _is_drawn(curve)]
    along = _varying(result)
    if len(along) > 1:
        return _maps(found)
    groups: dict[str, list[Curve]] = {}
    for curve in found:
        groups.setdefault(curve.kind, []).append(curve)
    return [partial(_draw_lines[kind], groups[kind]) for kind in _draw_lines if kind in groups][:MAX_PANELS]


def fixed_values(result: Result) -> str:
    """The values of the axes that a picture has no room for, as the end of its title."""
    others = [result.axes[number] for number in _varying(result)[2:]]
    units = ["" if axis.units == "1" else f" {plain_text(axis.units)}" for axis in others]
    return "".join(f", {_words(axis)} = {axis.values[0]:g}{unit}" for axis, unit in zip(others, units, strict=True))


def _is_drawn(curve: Curve) -> bool:
    """Whether there is something to see: times and probabilities of success that are the same everywhere are not."""
    finite = curve.values[np.isfinite(curve.values)]
    match curve.kind:
        case "metric":
            return curve.name in SERIES_METRICS and finite.size > 0
        case "time" | "success":
            return finite.size > 0 and finite.min() < finite.max()
    return curve.kind != "ledger" and finite.size > 0


def _varying(result: Result) -> list[int]:
    """The numbers of the axes with more than one value; of the first if there is none."""
    return [number for number, axis in enumerate(result.axes) if len(axis.values) > 1] or [0]


def _shown(result: Result, values: np.ndarray) -> np.ndarray:
    """Values along the first one or two axes that vary; the others at their first value."""
    along = _varying(result)[:2]
    return values[tuple(slice(None) if number in along else 0 for number in range(len(result.axes)))]


@dataclass(frozen=True, eq=False)
class Scale:
    """How an axis is drawn.

    Attributes:
        places: Where its values are.
        label: Its name and unit.
        is_log: Whether equal distances are equal factors.
        names: What stands at the places, if not every number may stand there.
        is_row: Whether the places only count the values.
    """

    places: np.ndarray
    label: str
    is_log: bool = False
    names: tuple[str, ...] = ()
    is_row: bool = False

    @property
    def edges(self) -> np.ndarray:
        """The ends of a cell around each place, shape (n+1,)."""
        places = np.log(self.places) if self.is_log else self.places
        inner = (places[1:] + places[:-1]) / 2
        ends = [2 * places[0] - inner[0], *inner, 2 * places[-1] - inner[-1]]
        return np.exp(ends) if self.is_log else np.array(ends)


def _words(axis: Axis) -> str:
    return plain_text(axis.long_name or axis.path)


def _scale(axis: Axis) -> Scale:
    values = np.sort(axis.coordinate.astype(float))
    names = tuple(f"{value:g}" for value in values)
    if not np.isfinite(values).all():
        return Scale(np.arange(len(values)), _words(axis) + _in_parentheses(axis.units), False, names, is_row=True)
    factor, unit = _unit(axis.units, float(np.abs(values).max()))
    is_few = axis.coordinate.dtype.kind == "i" and len(values) <= MAX_NAMED_VALUES
    return Scale(values / factor, _words(axis) + unit, _is_wide(values), names if is_few else ())


def _unit(units: str, largest: float) -> tuple[float, str]:
    """What to divide by, and the unit in parentheses."""
    if units == "m" and largest >= 1e4:
        return 1e3, " (km)"
    if units == "s":
        scale, name = time_unit(largest)
        return scale, f" ({name})"
    return 1.0, _in_parentheses(units)


def _in_parentheses(units: str) -> str:
    return "" if units == "1" else f" ({plain_text(units)})"


def _is_wide(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return len(finite) > 2 and finite.min() > 0 and finite.max() / finite.min() >= LARGE_RATIO


def _order(axis: Axis) -> np.ndarray:
    return np.argsort(axis.coordinate, kind="stable")


# One axis.


def _draw(axes: Any, result: Result, curve: Curve, factor: float = 1.0, **style: Any) -> None:
    axis = result.axes[_varying(result)[0]]
    order, places = _order(axis), _scale(axis).places
    values = factor * _shown(result, curve.values)[order]
    shape = style.pop("marker", MARKERS[0])
    axes.plot(places, values, marker=shape if len(places) <= MAX_MARKERS else "", clip_on=False, **style)
    if curve.errors is not None:
        spread = factor * np.nan_to_num(_shown(result, curve.errors)[order])
        axes.errorbar(places, values, spread, fmt="none", ecolor=style["color"], elinewidth=0.8)


def _name_axis(side: Any, scale: Scale) -> None:
    """Ticks and name of the horizontal or the vertical axis: `axes.xaxis` or `axes.yaxis`."""
    side.set_label_text(scale.label)
    if scale.is_log:
        side.axes.set(**{f"{side.axis_name}scale": "log"})
    if scale.names:
        stride = -(-len(scale.names) // MAX_NAMED_VALUES)
        side.set_ticks(scale.places[::stride], scale.names[::stride])
        side.set_ticks([], minor=True)


def _finish(axes: Any, result: Result, legend: bool = True) -> None:
    _name_axis(axes.xaxis, _scale(result.axes[_varying(result)[0]]))
    if legend:
        axes.legend(**OUTSIDE)


def _draw_metrics(found: Sequence[Curve], axes: Any, result: Result) -> str:
    """Of one pair each metric in a color, of several each pair in a color."""
    pairs = list(dict.fromkeys(curve.pair for curve in found))[:MAX_LEGEND]
    names = [name for name in SERIES_METRICS if any(curve.name == name for curve in found)]
    names = names[: 1 if len(pairs) > MAX_STYLED_PAIRS else len(LINES) if len(pairs) > 1 else len(COLORS)]
    known = {(curve.pair, curve.name): curve for curve in found}
    for i, pair in enumerate(pairs):
        for j, name in enumerate(names):
            style = {"color": COLORS[j if len(pairs) == 1 else i], "marker": MARKERS[j % len(MARKERS)]}
            style["linestyle"] = LINES[j] if len(pairs) > 1 else "-"
            if (pair, name) in known:
                _draw(axes, result, known[pair, name], SERIES_METRICS[name].factor, **style)
    show_up_to_one(axes)
    whose = _label_pairs(result)
    for i, pair in enumerate(pairs if len(pairs) > 1 else ()):
        axes.plot([], [], color=COLORS[i], linewidth=3, label=whose.get(pair, "all qubits"))
    for j, name in enumerate(names):
        color = COLORS[j] if len(pairs) == 1 else "black"
        line = "-" if len(pairs) == 1 else LINES[j]
        axes.plot([], [], color=color, linestyle=line, marker=MARKERS[j % 4], label=SERIES_METRICS[name].words)
        _draw_bound(axes, name, color)
    axes.set_ylabel("value")
    _finish(axes, result)
    return f"Metrics of {whose.get(pairs[0], 'the state')}" if len(pairs) == 1 else "Metrics of pairs"


def _draw_bound(axes: Any, name: str, color: str) -> None:
    series = SERIES_METRICS[name]
    if series.bound is not None and series.bound > axes.get_ylim()[0]:
        dots = {"linewidth": 0.8, "linestyle": (0, (1, 3)), "zorder": 0}
        axes.axhline(series.bound, color=color, label=series.meaning, **dots)


def _label_pairs(result: Result) -> dict[str, str]:
    whole = map(str, result.data.get("metrics/pair", ()))
    return dict(zip(whole, pair_labels(result), strict=True)) if "metrics/pair" in result.data else {}


def _draw_times(found: Sequence[Curve], axes: Any, result: Result) -> str:
    values = _shown(result, found[0].values)
    factor, unit = _unit("s", float(np.nanmax(np.abs(values))))
    _draw(axes, result, found[0], 1 / factor, color=COLORS[0])
    if _is_wide(values):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_ylabel(f"simulated time{unit}")
    _finish(axes, result, legend=False)
    return f"Time at which {_label_pairs(result).get(found[0].pair, 'the pair')} is ready"


def _draw_correlators(found: Sequence[Curve], axes: Any, result: Result) -> str:
    _draw_named(found, axes, result, "⟨{}⟩")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylim(-1.05, 1.05)
    axes.set_ylabel("correlator")
    return "Correlators"


def _draw_outcomes(found: Sequence[Curve], axes: Any, result: Result) -> str:
    _draw_named(found, axes, result, "{}")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("probability")
    total = len(result["results/outcome"])
    return f"The {len(found)} most probable of {total:,} outcomes" if total > len(found) else "Outcomes"


def _draw_named(found: Sequence[Curve], axes: Any, result: Result, form: str) -> None:
    for number, (curve, color) in enumerate(zip(found, COLORS, strict=False)):
        # Outcomes are often equally probable: what is drawn over must show through.
        style: dict[str, Any] = {
            "color": color,
            "marker": MARKERS[number % len(MARKERS)],
            "linestyle": LINES[number % 2],
        }
        _draw(axes, result, curve, **style)
        axes.plot([], [], **style, label=form.format(plain_text(curve.name)))
    _finish(axes, result)


def _draw_success(found: Sequence[Curve], axes: Any, result: Result) -> str:
    _draw(axes, result, found[0], color=COLORS[0])
    if _is_wide(_shown(result, found[0].values)):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.03)
    axes.set_ylabel("probability")
    _finish(axes, result, legend=False)
    return "Every herald succeeds"


_draw_lines = {
    "metric": _draw_metrics,
    "time": _draw_times,
    "correlator": _draw_correlators,
    "success": _draw_success,
    "outcome": _draw_outcomes,
}


# Two axes.


def _maps(found: Sequence[Curve]) -> list[Panel]:
    pair = next((curve.pair for curve in found if curve.kind == "metric"), "")
    order = list(SERIES_METRICS)
    metrics = [curve for curve in found if curve.kind == "metric" and curve.pair == pair]
    metrics = sorted(metrics, key=lambda curve: order.index(curve.name))[:MAX_MAPPED_METRICS]
    kinds = [kind for kind in _draw_lines if kind != "metric"]
    others = sorted((curve for curve in found if curve.kind in kinds), key=lambda curve: kinds.index(curve.kind))
    varying = [curve for curve in [*metrics, *others] if np.nanmin(curve.values) < np.nanmax(curve.values)]
    return [partial(_draw_map, curve) for curve in (varying or [*metrics, *others])[:MAX_PANELS]]


def _draw_map(curve: Curve, axes: Any, result: Result) -> str:
    first, second = (result.axes[number] for number in _varying(result)[:2])
    across, up = _scale(first), _scale(second)
    values = _shown(result, curve.values)[np.ix_(_order(first), _order(second))].T
    factor, unit = _unit(curve.units, float(np.nanmax(np.abs(values)))) if curve.kind == "time" else (1.0, "")
    axes.set_facecolor(ABSENT)
    axes.spines[:].set_visible(False)
    norm = "log" if curve.kind in ("time", "success") and _is_wide(values) else None
    image = axes.pcolormesh(across.edges, up.edges, values / factor, cmap="YlGnBu", norm=norm, rasterized=True)
    _name_axis(axes.xaxis, across)
    _name_axis(axes.yaxis, up)
    words = _map_words(curve)
    bar = axes.figure.colorbar(image, ax=axes, label=words + unit)
    bar.outline.set_visible(False)
    name = words[0].upper() + words[1:]
    whose = f" of {_label_pairs(result)[curve.pair]}" if curve.pair else ""
    return name.replace(" (bit)", "") + whose + _line(axes, curve, across, up, values)


def _map_words(curve: Curve) -> str:
    match curve.kind:
        case "metric":
            units = "" if curve.units == "1" else f" ({curve.units})"
            return curve.name.replace("_", " ").replace("chsh", "CHSH value") + units
        case "correlator":
            return f"⟨{plain_text(curve.name)}⟩"
        case "outcome":
            return f"P({plain_text(curve.name)})"
    return {"time": "simulated time", "success": "probability that every herald succeeds"}[curve.kind]


def _line(axes: Any, curve: Curve, across: Scale, up: Scale, values: np.ndarray) -> str:
    """The line where a metric passes the value above which it proves something; what it is, for the title."""
    bound = BOUNDS.get(curve.name, math.nan) if curve.kind == "metric" else math.nan
    if across.is_row or up.is_row or not np.nanmin(values) < bound < np.nanmax(values):
        return ""
    axes.contour(across.places, up.places, values, levels=[bound], colors="black", linewidths=0.9, linestyles="--")
    return f", dashed at {bound:.3g}"
