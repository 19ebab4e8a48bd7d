"""A record as Markdown."""

from collections.abc import Callable
from typing import Any

from jobs.benchmarks.gpu.judged import judged

Row = dict[str, Any]


def table(record: dict[str, Any]) -> str:
    """The record for a reader: a section for each part that has rows."""
    versions = record["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("jax", "cupy") if versions.get(name))
    head = [f"{record['card']}, driver {record['driver']}, {named}, qdist {versions['qdist']}, {record['date']}"]
    if record["is_dry"]:
        head.append("A dry run without a GPU: the numbers mean nothing.")
    lines = [*head, "", "| promised | found | |", "|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in judged(record["parts"])]
    for name, part in record["parts"].items():
        kind = name.split(" ")[0].rstrip(",")
        lines += ["", f"{name}: {part['status']} in {part['seconds']:.0f} s"]
        lines += [f"    {line}" for line in part.get("said", "").splitlines()[-5:]]
        rows = part["rows"]
        if kind in COLUMNS and rows:
            lines += ["", *_rows(_summed(rows) if kind == "accuracy" else rows, COLUMNS[kind])]
    return "\n".join(lines)


def _rows(rows: list[Row], columns: dict[str, Callable[[Row], Any]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return lines + ["| " + " | ".join(_cell(call, row) for call in columns.values()) + " |" for row in rows]


def _cell(call: Callable[[Row], Any], row: Row) -> str:
    try:
        found = call(row)
    except (KeyError, TypeError):
        return "–"
    return "–" if found is None else str(found).replace("|", "/")


def _summed(rows: list[Row]) -> list[Row]:
    """The largest error of each kernel in each precision."""
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        if "kernel" not in row:
            continue
        key = row["kernel"], row["precision"]
        worst = found.setdefault(key, {**row, "sizes": 0, "error": 0.0})
        worst["sizes"] += 1
        if "failed" in row:
            worst["failed"] = row["failed"]
        worst["error"] = max(worst["error"], row.get("error", 0.0))
    return list(found.values())


def _what(row: Row) -> str:
    return f"{row['what']}, {row['digits']}" if "digits" in row else row["what"]


def _or_failed(name: str, form: str, scale: float = 1.0) -> Callable[[Row], str]:
    """A number, or why there is none."""

    def cell(row: Row) -> str:
        if name not in row and "failed" in row:
            return row["failed"][:60]
        return form.format(scale * row[name])

    return cell


def _gib(row: Row, name: str = "peak_bytes") -> str:
    return f"{row[name] / 2**30:.1f} GiB"


def _best_copy(row: Row) -> str:
    if row["what"] == "copy":
        return f"{max(row['bytes_per_second'].values()) / 1e9:.0f} GB/s"
    return f"{100 * row.get('of_copy', row.get('of_copy_per_pass')):.3g} %"


COLUMNS: dict[str, dict[str, Callable[[Row], Any]]] = {
    "accuracy": {
        "kernel": lambda row: row["kernel"],
        "precision": lambda row: row["precision"],
        "sizes": lambda row: row["sizes"],
        "largest error": lambda row: row.get("failed") or f"{row['error']:.1e}",
    },
    "timings": {
        "qubits": lambda row: row["qubits"],
        "what": _what,
        "ms": _or_failed("ms", "{:.3f}"),
        "of copy bandwidth": _best_copy,
        "operations per pass": lambda row: f"{row['operations_per_pass']:.1f}",
        "ms per operation": lambda row: f"{row['ms_per_operation']:.3f}",
    },
    "large": {
        "qubits": lambda row: row["qubits"],
        "precision": lambda row: row["precision"],
        "what": lambda row: row["what"],
        "error": lambda row: row.get("message") or row.get("failed") or f"{row['error']:.1e}",
        "ms": lambda row: f"{row['ms']:.0f}" if "ms" in row else f"{max(row['ms_once'].values()):.1f} (slowest step)",
        "most memory": _gib,
    },
    "circuits": {
        "circuit": lambda row: row["circuit"],
        "precision": lambda row: row["precision"],
        "s": _or_failed("seconds", "{:.3f}"),
        "s evolving": lambda row: f"{row['seconds_evolving']:.3f}",
        "operations": lambda row: row["operations"],
        "passes": lambda row: row["passes"],
        "ms per operation": lambda row: f"{row['ms_per_operation']:.3f}",
        "most memory": _gib,
    },
    "peers": {
        "circuit": lambda row: row["circuit"],
        "way": lambda row: row["way"],
        "s": lambda row: row.get("missing") or _or_failed("seconds", "{:.4f}")(row),
        "operations": lambda row: row["operations"],
        "times ours": lambda row: f"{row['times_ours']:.2f}",
        "probabilities differ by": lambda row: f"{row['error']:.1e}",
    },
    "sampled": {
        "what": lambda row: row["what"],
        "precision": lambda row: row.get("precision", "float32"),
        "shots": lambda row: f"{row['shots']:,}",
        "per second": _or_failed("per_second", "{:,.0f}"),
        "error": lambda row: f"{row['error']:.1e}",
        "ran on": lambda row: row["ran_on"],
    },
    "staging": {
        "what": lambda row: row["what"],
        "memory": lambda row: row["memory"],
        "GB/s, each way": _or_failed("bytes_per_second", "{:.1f}", 1e-9),
        "ran on": lambda row: row["ran_on"],
    },
    "ranks": {
        "qubits": lambda row: row["qubits"],
        "precision": lambda row: row["precision"],
        "ranks": lambda row: row["ranks"],
        "error": _or_failed("error", "{:.1e}"),
        "bytes sent": lambda row: f"{max(row['bytes_sent']):,}",
        "as planned": lambda row: row["is_as_planned"],
        "s communication": lambda row: f"{max(row['communication_seconds']):.3f}",
        "s compute": lambda row: f"{max(row['compute_seconds']):.3f}",
        "blocks on": lambda row: ", ".join(
            used["blocks_on"][0] if used["blocks_on"] else "host" for used in row["used"]
        ),
    },
    "legs": {
        "stopped and resumed": lambda row: f"{row['qubits']} qubits",
        "precision": lambda row: row["precision"],
        "goes on on": lambda row: row["goes_on"],
        "differs by": _or_failed("error", "{:.1e}"),
    },
    "tests": {
        "tests": lambda row: row["tests"],
        "ranks": lambda row: row["ranks"],
        "found": lambda row: row["found"] or row["status"],
        "s": lambda row: row["seconds"],
    },
}
