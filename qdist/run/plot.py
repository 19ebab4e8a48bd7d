"""The figure of `qdist plot`: correlations between nodes, metrics over time, outcomes and correlators of one result."""

import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.run import schema
from qdist.run.results import Result, check_writable
from qdist.run.show import is_there, metric_names, most_probable, printable, time_unit

FORMATS = ("png", "pdf", "svg")
DPI = 150
PANEL_INCHES = (5.2, 4.0)
MAX_LEGEND = 8
MAX_LINES = 200
MAX_BARS = 32
MAX_NAMED_NODES = 24

# Okabe and Ito, "Color Universal Design" (2008): told apart with every kind of color vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
FAINT = "#c8c8c8"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}

# What colors the matrix of nodes: the first that the result has, with the top of its scale (None: from the data).
MATRIX_METRICS = {"mutual_information": 2.0, "log_negativity": 1.0, "concurrence": 1.0, "fidelity": 1.0, "chsh": None}
# What goes over time, on an axis from 0 to 1: factor and label.
SERIES_METRICS = {
    "fidelity": (1.0, "fidelity"),
    "chsh": (1 / (2 * math.sqrt(2)), "CHSH / 2√2"),
    "concurrence": (1.0, "concurrence"),
    "log_negativity": (1.0, "log negativity"),
}
VERDICT_LETTERS = {0: "U", 1: "C", 2: "D", 3: "E", 4: "B"}


def plot_result(result: Result, path: str | os.PathLike[str]) -> None:
    """Draw what `result` holds, in up to four panels, and write the picture to `path`.

    Args:
        result: From a run or from `read_result`.
        path: Ends in .png, .pdf or .svg. No display is needed.

    Raises:
        QdistError: Another ending, a path that cannot be written, no matplotlib, or nothing to draw.
    """
    suffix = Path(path).suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        formats = ", ".join(f".{name}" for name in FORMATS)
        raise QdistError(f"A picture must end in {formats}, but its name is '{path}'. Try '{Path(path).stem}.png'.")
    panels = [draw for has, draw in _PANELS if has(result)]
    if not panels:
        raise QdistError(
            "A result must hold metrics, outcomes or correlators to be drawn, but holds none. "
            "Add `record` steps or measurements to the program."
        )
    check_writable(path)
    matplotlib = _matplotlib()
    with matplotlib.rc_context(STYLE):
        figure = _figure(result, panels)
        figure.savefig(path, format=suffix, dpi=DPI)
