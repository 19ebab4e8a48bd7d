"""The figure of `qdist plot`: correlations between nodes, metrics over time, outcomes and correlators of one result."""

import io
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.runs import schema
from qdist.runs.results import Result, check_writable
from qdist.runs.views.labels import node_pairs, pair_labels, plain_text
from qdist.runs.views.plot_sweep import fixed_values, sweep_panels
from qdist.runs.views.records import is_there, last_record, most_interesting, most_probable
from qdist.runs.views.style import (
    ABSENT,
    COLORS,
    FAINT,
    LINES,
    MARKERS,
    MAX_LEGEND,
    MAX_MARKERS,
    MAX_STYLED_PAIRS,
    OUTSIDE,
    SERIES_METRICS,
    STYLE,
    show_up_to_one,
)
from qdist.runs.views.text import time_unit

FORMATS = ("png", "pdf", "svg")
DPI = 150
PANEL_INCHES = (5.0, 3.8)
MAX_PAIRS = 1000
MAX_BARS = 32
MAX_NAMED_NODES = 24

GONE = "• recorded earlier"

# What may color the matrix of nodes, the first that a result has, with the top of its scale for two qubits.
MATRIX_METRICS = {
    "mutual_information": 2.0,
    "log_negativity": 1.0,
    "concurrence": 1.0,
    "fidelity": 1.0,
    "chsh": 2 * math.sqrt(2),
}


def plot_result(result: Result, path: str | os.PathLike[str]) -> None:
    """Draw what `result` holds, in up to four panels, and write the picture to `path`.

    Args:
        result: From a run or from `read_result`.
        path: Ends in .png, .pdf or .svg. No display is needed.

    Raises:
        QdistError: Another ending, a path that cannot be written, no matplotlib, or nothing to draw.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        endings = ", ".join(f".{name}" for name in FORMATS)
        raise QdistError(f"A picture's name must end in {endings}, but is '{path}'. Try '{Path(path).stem}.png'.")
    panels = sweep_panels(result) if result.axes else [draw for has, draw in PANELS if has(result)]
    if not panels:
        raise QdistError(
            "A result must hold metrics, outcomes or correlators to be drawn, but holds none. "
            "Add `Record` steps or measurements to the program."
        )
    check_writable(path)
    matplotlib = _matplotlib()
    picture = io.BytesIO()
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **STYLE}):
        _figure(result, panels).savefig(picture, format=suffix, dpi=DPI)
    Path(path).write_bytes(picture.getvalue())


def _matplotlib() -> Any:
    try:
        import matplotlib.figure
        import matplotlib.ticker
    except ImportError as error:
        raise QdistError(
            "A picture needs matplotlib, but it is not installed. Install it with `pip install 'qdist[analysis]'`."
        ) from error
    return matplotlib


def _figure(result: Result, panels: Sequence[Callable[[Any, Result], str]]) -> Any:
    mosaic = {1: "a", 2: "ab", 3: "ab;cc", 4: "ab;cd"}[len(panels)]
    size = (PANEL_INCHES[0] * len(mosaic.split(";")[0]), PANEL_INCHES[1] * len(mosaic.split(";")))
    figure = _matplotlib().figure.Figure(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.04)
    axes = figure.subplot_mosaic(mosaic)
    for letter, draw in zip("abcd", panels, strict=False):
        title = draw(axes[letter], result)
        axes[letter].set_title(f"({letter}) {title}" if len(panels) > 1 else title)
    if result.attributes.get("title"):
        shots = f" ({result.attributes['shots']:,} shots)" if "shots" in result.attributes else ""
        figure.suptitle(plain_text(result.attributes["title"]) + shots + fixed_values(result), fontsize=11)
    return figure


def _per_pair(result: Result, names: Sequence[str]) -> list[str]:
    """Those of the metrics that the result has for each pair, with at least one number."""
    arrays = {name: result.data.get(f"metrics/{name}", np.zeros(0)) for name in names}
    return [name for name, array in arrays.items() if array.ndim == 2 and np.isfinite(array).any()]


def _moment(result: Result, record: int) -> str:
    times = result.data.get("metrics/time")
    if times is None or not np.isfinite(times[record]):
        return f"at step {result['metrics/step'][record]}"
    scale, unit = time_unit(float(times[record]))
    return f"at {times[record] / scale:.4g} {unit}"


def _has_matrix(result: Result) -> bool:
    return bool(_per_pair(result, list(MATRIX_METRICS))) and any(node_pairs(result))


def _nodes(result: Result, ends: Sequence[tuple[str, str] | None]) -> list[str]:
    """The rows of the matrix: all nodes of a small network, else those of the recorded pairs; in network order."""
    recorded = dict.fromkeys(node for pair in ends if pair for node in pair)
    network = list(map(str, result.data.get("network/node", ())))
    if len(network) > MAX_NAMED_NODES:
        network = [node for node in network if node in recorded]
    return list(dict.fromkeys([*network, *recorded]))


def _draw_matrix(axes: Any, result: Result) -> str:
    """A symmetric matrix of nodes, colored by the strongest pair between two nodes at the last record that has any."""
    name = _per_pair(result, list(MATRIX_METRICS))[0]
    record = int(np.flatnonzero(np.isfinite(result[f"metrics/{name}"]).any(axis=1))[-1])
    ends = node_pairs(result)
    nodes = _nodes(result, ends)
    matrix, words = _fill(result, name, record, ends, nodes)
    top = max(MATRIX_METRICS[name], float(np.nanmax(matrix, initial=0)))
    axes.set_facecolor(ABSENT)
    axes.spines[:].set_visible(False)
    axes.tick_params(which="both", length=0)
    image = axes.imshow(matrix, vmin=0, vmax=top, cmap="YlGnBu", interpolation="none")
    units = schema.SCHEMA[f"metrics/{name}"].units
    label = name.replace("_", " ").replace("chsh", "CHSH value") + (f" ({units})" if units != "1" else "")
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.9, label=label, ticks=_matplotlib().ticker.MaxNLocator(5))
    bar.outline.set_visible(False)
    if len(nodes) <= MAX_NAMED_NODES:
        _name_nodes(axes, nodes)
        _write_words(axes, words, matrix / top)
    else:
        axes.set_xlabel(f"{len(nodes):,} nodes")
    return f"Correlations between nodes {_moment(result, record)}"


def _fill(
    result: Result, name: str, record: int, ends: Sequence[tuple[str, str] | None], nodes: Sequence[str]
) -> tuple[np.ndarray, dict[tuple[int, int], str]]:
    """The largest value between two nodes, NaN for none, and a word for each cell: its verdict, or that it is gone."""
    index = {node: i for i, node in enumerate(nodes)}
    values, verdicts = result[f"metrics/{name}"], result.data.get("metrics/verdict", np.zeros(0))
    flags = schema.SCHEMA["metrics/verdict"].flags
    matrix = np.full((len(nodes), len(nodes)), np.nan)
    words: dict[tuple[int, int], str] = {}
    for pair, end in enumerate(ends):
        if end is None or not np.isfinite(values[: record + 1, pair]).any():
            continue
        cell, mirrored = (index[end[0]], index[end[1]]), (index[end[1]], index[end[0]])
        value = values[record, pair]
        if np.isnan(value):
            words.setdefault(cell, GONE)
        elif not matrix[cell] >= value:
            matrix[cell] = matrix[mirrored] = value
            words[cell] = flags.get(int(verdicts[record, pair]), "") if verdicts.ndim == 2 else ""
        words[mirrored] = words[cell]
    return matrix, words


def _name_nodes(axes: Any, nodes: Sequence[str]) -> None:
    names = [plain_text(node) for node in nodes]
    axes.set_xticks(range(len(nodes)), names, rotation=90 if len(nodes) * max(map(len, names)) > 40 else 0)
    axes.set_yticks(range(len(nodes)), names)
    axes.set_xticks(np.arange(-0.5, len(nodes)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(nodes)), minor=True)
    axes.grid(which="minor", color="white", linewidth=1)


def _write_words(axes: Any, words: dict[tuple[int, int], str], shade: np.ndarray) -> None:
    """The first letter of each cell's word, and below the matrix what the letters mean."""
    for (row, column), word in words.items():
        color = "#a0a0a0" if word == GONE else "white" if shade[row, column] > 0.6 else "black"
        axes.text(column, row, word[:1].upper(), ha="center", va="center", color=color, fontsize=8)
    order = [*schema.SCHEMA["metrics/verdict"].flags.values(), GONE]
    meanings = [word if word == GONE else f"{word[0].upper()} {word}" for word in order if word in words.values()]
    axes.set_xlabel("    ".join(meanings), fontsize=8)


def _has_series(result: Result) -> bool:
    return bool(_per_pair(result, list(SERIES_METRICS)))


def _draw_series(axes: Any, result: Result) -> str:
    """Metrics of pairs: a color for each pair and, if pairs are few, a kind of line for each metric."""
    last = last_record(result)
    pairs = [pair for pair in most_interesting(result) if last[pair] >= 0]
    names = _per_pair(result, list(SERIES_METRICS))
    records = np.flatnonzero(is_there(result).any(axis=1))
    if len(records) == 1:
        return _draw_record(axes, result, names, pairs[:MAX_BARS], int(records[0]))
    names = names[: len(LINES) if len(pairs) <= MAX_STYLED_PAIRS else 1]
    places, label = _horizontal(result)
    faint = pairs[MAX_LEGEND:MAX_PAIRS]
    axes.plot(places, _values(result, names[0])[:, faint], color=FAINT, linewidth=0.6, zorder=1)
    for pair, color in reversed(list(zip(pairs, COLORS, strict=False))):
        for name, line, shape in zip(names, LINES, MARKERS, strict=False):
            # Nothing is known between two records: where points can be told apart, lines only guide the eye.
            few = {"marker": shape, "linewidth": 0.7} if len(places) <= MAX_MARKERS else {}
            _draw_points(axes, result, name, places, np.s_[:, pair], color=color, linestyle=line, **few)
    show_up_to_one(axes)
    _explain_series(axes, result, pairs, names)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(_matplotlib().ticker.MaxNLocator(6, integer=places.dtype.kind == "i"))
    if len(names) > 1:
        axes.set_ylabel("value")
        return "Metrics of pairs"
    axes.set_ylabel(SERIES_METRICS[names[0]].words)
    return f"{names[0].replace('_', ' ').replace('chsh', 'CHSH').capitalize()} of pairs"


def _draw_record(axes: Any, result: Result, names: Sequence[str], pairs: Sequence[int], record: int) -> str:
    """One record only: the metrics of each pair above its name."""
    labels = pair_labels(result)
    places = np.arange(len(pairs))
    for name, marker, color in zip(names, MARKERS, COLORS, strict=False):
        _draw_points(axes, result, name, places, np.s_[record, pairs], color=color, linestyle="", marker=marker)
        axes.plot([], [], marker, color=color, label=SERIES_METRICS[name].words)
    show_up_to_one(axes)
    _name_places(axes, [labels[pair] for pair in pairs])
    axes.set_ylabel("value")
    axes.legend(**OUTSIDE)
    return f"Metrics of pairs {_moment(result, record)}"


def _values(result: Result, name: str) -> np.ndarray:
    return SERIES_METRICS[name].factor * result[f"metrics/{name}"]


def _draw_points(axes: Any, result: Result, name: str, places: np.ndarray, where: Any, **style: Any) -> None:
    axes.plot(places, _values(result, name)[where], clip_on=False, **style)
    errors = result.data.get(f"metrics/{name}_stderr", np.zeros(0))
    if errors.ndim == 2:
        spread = SERIES_METRICS[name].factor * np.nan_to_num(errors[where])
        values = _values(result, name)[where]
        axes.errorbar(places, values, spread, fmt="none", ecolor=style["color"], elinewidth=0.8)


def _horizontal(result: Result) -> tuple[np.ndarray, str]:
    """Where the records are: in simulated time, in a fitting unit, or by their step if time stands still."""
    times = result.data.get("metrics/time", np.zeros(0))
    if len(times) and np.isfinite(times).all() and np.ptp(times) > 0:
        scale, unit = time_unit(float(np.abs(times).max()))
        return times / scale, f"simulated time ({unit})"
    return result["metrics/step"], "step of the program"


def _explain_series(axes: Any, result: Result, pairs: Sequence[int], names: Sequence[str]) -> None:
    labels = pair_labels(result)
    for rank, pair in enumerate(pairs[:MAX_LEGEND]):
        axes.plot([], [], color=COLORS[rank], linewidth=3, label=labels[pair])
    if len(pairs) > MAX_LEGEND:
        drawn = f"{MAX_PAIRS - MAX_LEGEND:,} of " if len(pairs) > MAX_PAIRS else ""
        axes.plot([], [], color=FAINT, label=f"{drawn}{len(pairs) - MAX_LEGEND:,} more pairs")
    series = SERIES_METRICS[names[0]]
    if len(names) > 1:
        for name, line, shape in zip(names, LINES, MARKERS, strict=False):
            axes.plot([], [], color="black", linestyle=line, marker=shape, label=SERIES_METRICS[name].words)
    elif series.bound is not None:
        axes.axhline(series.bound, color="black", linewidth=0.7, linestyle=(0, (1, 3)), zorder=0, label=series.meaning)
    axes.legend(**OUTSIDE)


def _has_outcomes(result: Result) -> bool:
    return bool(np.any(result.data.get("results/probabilities", np.zeros(0)) > 0))


def _draw_outcomes(axes: Any, result: Result) -> str:
    probabilities = result["results/probabilities"]
    total = int(np.count_nonzero(probabilities > 0))
    chosen = most_probable(probabilities, MAX_BARS)
    chosen = np.sort(chosen) if total <= MAX_BARS else chosen
    _draw_bars(axes, result, "results/probabilities", chosen)
    _name_places(axes, result["results/outcome"][chosen])
    axes.set_xlabel(_names_label(result, "bits", "outcome", "of"))
    axes.set_ylabel("probability")
    axes.set_ylim(bottom=0)
    return f"The {MAX_BARS} most probable of {total:,} outcomes" if total > MAX_BARS else "Outcomes"


def _has_correlators(result: Result) -> bool:
    return bool(np.isfinite(result.data.get("results/correlators", np.zeros(0))).any())


def _draw_correlators(axes: Any, result: Result) -> str:
    total = len(result["results/correlators"])
    chosen = np.arange(min(total, MAX_BARS))
    _draw_bars(axes, result, "results/correlators", chosen)
    _name_places(axes, result["results/pauli"][chosen])
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])
    axes.set_xlabel(_names_label(result, "qubits", "Pauli string", "on"))
    axes.set_ylabel("correlator ⟨P⟩")
    return f"The first {MAX_BARS} of {total:,} correlators" if total > MAX_BARS else "Correlators"


def _draw_bars(axes: Any, result: Result, path: str, chosen: np.ndarray) -> None:
    places = np.arange(len(chosen))
    axes.bar(places, result[path][chosen], 0.7 if len(chosen) > 3 else 0.4, color=COLORS[0])
    if f"{path}_stderr" in result.data:
        errors = np.nan_to_num(result[f"{path}_stderr"][chosen])
        axes.errorbar(places, result[path][chosen], errors, fmt="none", ecolor="black", elinewidth=0.9, capsize=2)


def _names_label(result: Result, attribute: str, what: str, word: str) -> str:
    names = plain_text(result.attributes.get(attribute, ""))
    return f"{what} {word} {names}" if 0 < len(names) <= 50 else what


def _name_places(axes: Any, names: Iterable[object]) -> None:
    texts = [plain_text(name if len(str(name)) <= 24 else str(name)[:23] + "…") for name in names]
    flat = len(texts) * max(map(len, texts)) <= 48
    axes.set_xticks(range(len(texts)), texts, rotation=0 if flat else 90, family="monospace", fontsize=8)
    axes.set_xlim(-0.7, len(texts) - 0.3)


PANELS = (
    (_has_matrix, _draw_matrix),
    (_has_series, _draw_series),
    (_has_outcomes, _draw_outcomes),
    (_has_correlators, _draw_correlators),
)
