"""Names, numbers and tables as text: short, aligned, and nothing that a terminal would obey."""

import math
from collections.abc import Iterable, Sequence

from qdist.runs import schema

WIDTH = 100
TIME_UNITS = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
NOTHING = "–"


def printable(text: object) -> str:
    """The text on one line, anything that a terminal might obey replaced by `?`."""
    return "".join(char if char.isprintable() else "?" for char in str(text))


def time_unit(seconds: float) -> tuple[float, str]:
    """The largest of ns, µs, ms and s that is not above `seconds`, as (seconds per unit, name)."""
    if seconds == 0:
        return TIME_UNITS[-1]
    fitting = [unit for unit in TIME_UNITS if unit[0] <= abs(seconds) * (1 + 1e-9)]
    return fitting[-1] if fitting else TIME_UNITS[0]


def seconds_text(seconds: float) -> str:
    """`0.0025` as `2.5 ms`."""
    scale, name = time_unit(seconds)
    return f"{seconds / scale:.4g} {name}"


def bytes_text(count: int) -> str:
    """`1536` as `1.5 KiB`."""
    power = min(max(count.bit_length() - 1, 0) // 10, len(BYTE_UNITS) - 1)
    return f"{count / 1024**power:.4g} {BYTE_UNITS[power]}"


def number_text(value: float) -> str:
    """Four decimals, or four digits of a very large or small number."""
    if math.isnan(value):
        return NOTHING
    return f"{value:.4g}" if abs(value) >= 1e5 or 0 < abs(value) < 1e-3 else f"{value:.4f}"


def count_text(value: float) -> str:
    """An expected count: without decimals if it is whole."""
    return f"{value:,.0f}" if math.isfinite(value) and value == round(value) else f"{value:,.3f}"


def metric_text(name: str, value: float) -> str:
    """The value of a metric: of a verdict, its word."""
    if name != "verdict":
        return number_text(float(value))
    return NOTHING if value == schema.NO_PAIR else schema.SCHEMA["metrics/verdict"].flags.get(int(value), str(value))


def metric_heading(name: str) -> str:
    """The name of a metric with its unit: `mutual information (bit)`."""
    units = schema.SCHEMA[f"metrics/{name}"].units
    return name.replace("_", " ") + (f" ({units})" if units != "1" else "")


def counted(number: int, one: str, many: str = "") -> str:
    """`1 cluster`, `2 clusters`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def short(text: object, width: int = 40) -> str:
    """The text on one line of at most `width` characters."""
    line = printable(text)
    return line if len(line) <= width else line[: width - 1] + "…"


def aligned(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest word: the first flush left, the others flush right, headings stacked."""
    words = [heading.split(" ") for heading in header]
    height = max(map(len, words))
    lines = [*zip(*([""] * (height - len(stack)) + stack for stack in words), strict=True), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(["", row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in lines]


def folded(header: Sequence[str], rows: Sequence[Sequence[str]], fixed: int) -> list[str]:
    """A table that goes on underneath where it is too wide; each part repeats the first `fixed` columns."""
    parts: list[list[int]] = []
    for column in range(fixed, len(header)):
        wider = [*(parts[-1] if parts else range(fixed)), column]
        fits = max(map(len, _columns(header, rows, wider))) <= WIDTH
        parts = [*parts[:-1], wider] if parts and fits else [*parts, [*range(fixed), column]]
    return [line for part in parts for line in _columns(header, rows, part)]


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]], chosen: Sequence[int]) -> list[str]:
    return aligned([header[i] for i in chosen], [[row[i] for i in chosen] for row in rows])


def more(total: int, shown: int, what: str) -> list[str]:
    """The line that says how many are not shown, if any."""
    return [f"  … and {total - shown:,} more {what}"] if total > shown else []
