"""The record as Markdown, as the README shows it."""

import statistics
from collections.abc import Sequence
from typing import Any

from jobs.benchmarks.peers.cold import LONGEST
from jobs.benchmarks.peers.contest import fairest
from jobs.benchmarks.peers.contestants.stim import SHOTS
from jobs.benchmarks.peers.judged import cold_ratios, each_operation, figures, ratio
from jobs.benchmarks.peers.roofline import best_scaling, median

STIM_ERROR = 1e-5


def summary(record: dict[str, Any]) -> str:
    """How many times as fast as Aer, by circuit and size, and the judged figures."""
    return "\n\n".join([_head(record), *([_ratios(record["warm"])] if record.get("warm") else []), _judged(record)])


def _ratios(rows: list[dict[str, Any]]) -> str:
    sizes = sorted({row["qubits"] for row in rows if row["case"][0] != "file"})
    found: dict[tuple[str, str], dict[int, str]] = {}
    for row in rows:
        factor = ratio(row, "aer")
        if factor is not None and row["case"][0] != "file":
            found.setdefault((row["name"], row["precision"]), {})[row["qubits"]] = f"{factor:.3g}"
    lines = [[*key, *(cells.get(n, "–") for n in sizes)] for key, cells in sorted(found.items())]
    return rows_of(["times as fast as Aer, warm", "precision", *(f"n = {n}" for n in sizes)], lines)


def markdown(record: dict[str, Any]) -> str:
    """All tables of a record, the judged figures last."""
    parts = [_head(record)] + ([_ratios(record["warm"])] if record.get("warm") else [])
    for section, table in TABLES.items():
        if record.get(section):
            parts.append(table(record[section]))
    return "\n\n".join([*parts, _judged(record)])


def _head(record: dict[str, Any]) -> str:
    machine, versions = record["machine"], record["versions"]
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    cpu = f"{machine['cpu']} ({', '.join(machine['vector_instructions'])})"
    cores = f"{record['threads']} threads on {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB"
    loads = [f"load {record['load_before']:.1f}"]
    for one in record.get("again", ()):
        loads.append(f"{' and '.join(one['sections'])} again on {one['date']} with {one['load_before']:.1f}")
    return f"{record['date']}, {cpu}, {cores}, {', '.join(loads)}. {names}."


def rows_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def seconds(value: float) -> str:
    """With its unit, three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def spread(values: Sequence[float]) -> str:
    """Median, and from the smallest to the largest."""
    return f"{seconds(median(values))} ({seconds(min(values))}–{seconds(max(values))})"


def _warm(rows: list[dict[str, Any]]) -> str:
    peers = [name for name in ("aer", "qulacs", "quantumsim") if any(name in row["times"] | row["out"] for row in rows)]
    head = ["warm, noise after every gate", "qubits", "gates", "precision", "qdist", *(f"{name}" for name in peers)]
    lines = []
    for row in rows:
        ours = row["times"]["qdist"]
        shown = ours["error"] or spread(ours["wall"])
        cells = [row["name"], str(row["qubits"]), str(row["gates"]), row["precision"], shown]
        lines.append([*cells, *(_peer(row, name) for name in peers)])
    return rows_of(head, lines) + _stim(rows)


def _peer(row: dict[str, Any], name: str) -> str:
    """Median and ratio, or why there is none."""
    if name in row["out"]:
        return row["out"][name]
    times = row["times"].get(name)
    if times is None:
        return "–"
    value, factor = fairest(times), ratio(row, name)
    return times["error"] if value is None or factor is None else f"{seconds(value)}, **{factor:.3g} ×**"


def _stim(rows: list[dict[str, Any]]) -> str:
    """Stim samples where the others compute, so it has lines of its own."""
    lines = []
    for row in rows:
        value = fairest(row["times"]["stim"]) if "stim" in row["times"] else None
        ours = fairest(row["times"]["qdist"])
        if value is not None and ours is not None:
            shots = 1 / STIM_ERROR**2
            lines.append(
                [str(row["qubits"]), row["precision"], seconds(ours), seconds(value), seconds(value * shots / SHOTS)]
            )
    head = ["Clifford brickwork, qubits", "precision", "qdist, all outcomes", f"stim, {SHOTS:,} shots"]
    return (
        "\n\n" + rows_of([*head, f"stim, at that pace, for a standard error of {STIM_ERROR:.0e}"], lines)
        if lines
        else ""
    )


def _cold(rows: list[dict[str, Any]]) -> str:
    factors = {name.removesuffix(".qasm"): factor for factor, name in cold_ratios(rows)}
    lines = []
    for row in rows:
        name = row["file"]
        cells = [_process(row, one) for one in ("qdist", "aer")]
        lines.append(
            [f"{name}.qasm", str(row["qubits"]), *cells, f"**{factors[name]:.2f} ×**" if name in factors else "–"]
        )
    if factors:
        lines.append(["geometric mean", "", "", "", f"**{statistics.geometric_mean(factors.values()):.2f} ×**"])
    return rows_of(["cold process, with noise", "qubits", "qdist run", "Aer's script", "ratio"], lines)


def _process(row: dict[str, Any], name: str) -> str:
    if name in row.get("ended", ()):
        return f"ended after {LONGEST:.0f} s"
    return spread(row["wall"][name]) if name in row["wall"] else "–"


def _roofline(rows: list[dict[str, Any]]) -> str:
    lines, whole = [], []
    for row in rows:
        scaling = best_scaling(row)
        times = sorted((median(pair["wall"]) / scaling, pair["digits"]) for pair in row["pairs"])
        middle = statistics.median(value for value, _ in times)
        ends = [f"{value:.2f} × {tuple(digits)}" for value, digits in (times[0], times[-1])]
        lines.append([row["precision"], str(row["qubits"]), seconds(scaling), ends[0], f"{middle:.2f} ×", ends[1]])
        whole += [_circuit(row, one) for one in row["growth"]]
    pairs = ["dense two-qubit operation", "qubits", "in-place scaling", "fastest pair", "median pair", "slowest pair"]
    circuits = ["brickwork of depth 10", "qubits", "operations", "operations a pass", "circuit", "an operation"]
    return rows_of(pairs, lines) + "\n\n" + rows_of([*circuits, "state", "peak of the first run"], whole)


def _circuit(row: dict[str, Any], one: dict[str, Any]) -> list[str]:
    a_pass, each = f"{one['operations'] / one['passes']:.2f}", seconds(each_operation(row, one))
    cells = [row["precision"], str(one["qubits"]), str(one["operations"]), a_pass, spread(one["wall"]), each]
    peak = "–" if one["peak_bytes"] is None else f"{one['peak_bytes'] / 2**20:.0f} MiB"
    return [*cells, f"{one['state_bytes'] / 2**20:.3g} MiB", peak]


def _network(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        what = {"trajectories": "4 nodes, sampled", "sequence": "4 nodes, SeQUeNCe"}.get(row["what"])
        what = what or f"chain of {row['nodes']:,} nodes, exact"
        if not row["wall"]:
            lines.append([what, row.get("precision", ""), row["out"], ""])
            continue
        pace = f"{row['shots'] / median(row['wall']):,.0f} a second" if "shots" in row else ""
        pace = pace or f"{seconds(median(row['wall']) / row['nodes'])} a node"
        lines.append([what, row.get("precision", ""), spread(row["wall"]), pace])
    return rows_of(["repeater chain", "precision", "a run", "pace"], lines)


def _accuracy(rows: list[dict[str, Any]]) -> str:
    lines = [
        [
            f"{row['file']}.qasm",
            str(row["qubits"]),
            f"{row['steps']:,}",
            f"{row['probabilities']:.1e}",
            f"{row['correlators']:.1e}",
        ]
        for row in rows
    ]
    return rows_of(["float32 − float64", "qubits", "steps", "largest ΔP", "largest Δ⟨X⟩, Δ⟨Y⟩, Δ⟨Z⟩"], lines)


def _judged(record: dict[str, Any]) -> str:
    lines = [[one.promise, one.found, "PASS" if one.is_kept else "**FAIL**"] for one in figures(record)]
    return rows_of(["promise", "found", ""], lines)


TABLES = {"warm": _warm, "cold": _cold, "roofline": _roofline, "network": _network, "accuracy": _accuracy}
