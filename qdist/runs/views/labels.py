"""Names of a result as they stand in a figure."""

import re

from qdist.runs.results import Result
from qdist.runs.views.text import printable

PAIR_OF_QUBITS = re.compile(r"([^/]+)/\d+-([^/]+)/\d+")


def plain_text(text: object) -> str:
    """Text from a file as it is: without control characters, and no `$` that would start a formula."""
    return printable(text).replace("$", r"\$")


def node_pairs(result: Result) -> list[tuple[str, str] | None]:
    """The two nodes of each recorded pair; None if it is not of two."""
    known = set(map(str, result.data.get("network/node", ())))
    return [_two_nodes(str(pair), known) for pair in result["metrics/pair"]]


def _two_nodes(pair: str, known: set[str]) -> tuple[str, str] | None:
    match = PAIR_OF_QUBITS.fullmatch(pair)
    if match:
        return match[1], match[2]
    cuts = [(pair[: dash.start()], pair[dash.end() :]) for dash in re.finditer("-", pair)]
    named = [cut for cut in cuts if set(cut) <= known] or cuts
    return named[0] if len(named) == 1 and "/" not in pair else None


def pair_labels(result: Result) -> list[str]:
    """`alice–bob`, or the whole names where two pairs join the same nodes."""
    short = [f"{pair[0]}–{pair[1]}" if pair else "" for pair in node_pairs(result)]
    whole = list(map(str, result["metrics/pair"]))
    return [plain_text(a if a and short.count(a) == 1 else b) for a, b in zip(short, whole, strict=True)]
