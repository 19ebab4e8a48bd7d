"""What all figures share: colors, kinds of lines, the place of a legend, and how metrics are scaled to end at 1."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_LEGEND = 8  # as many as there are colors
MAX_MARKERS = 60
MAX_STYLED_PAIRS = 3

# Okabe and Ito, "Color Universal Design" (2008): told apart with every kind of color vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
FAINT = "#c4c4c4"
ABSENT = "#ececec"
LINES = ("-", "--", ":")
MARKERS = ("o", "s", "^", "D")
STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
}
OUTSIDE = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2, "handlelength": 1.8}


@dataclass(frozen=True)
class Series:
    """A metric on an axis that ends at 1: its factor, its name, and a value above which it proves something."""

    factor: float
    words: str
    bound: float | None = None
    meaning: str = ""


SERIES_METRICS = {
    "fidelity": Series(1.0, "fidelity with Φ⁺", 0.5, "entangled above ½"),
    "chsh": Series(1 / (2 * math.sqrt(2)), "CHSH / 2√2", 1 / math.sqrt(2), "nonlocal above 1/√2"),
    "concurrence": Series(1.0, "concurrence"),
    "log_negativity": Series(1.0, "log negativity (bit)"),
}


def show_up_to_one(axes: Any) -> None:
    """From the tenth below the smallest number, not below 0, to the best value there is."""
    smallest = min(float(np.nanmin(line.get_ydata(), initial=1)) for line in axes.get_lines())
    bottom = math.floor(max(smallest - 0.03, 0) * 10) / 10
    axes.set_ylim(bottom, 1 + 0.03 * (1 - bottom))
