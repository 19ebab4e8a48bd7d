"""What was promised, what was found, and whether it holds."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from jobs.benchmarks.peers.contest import fairest
from jobs.benchmarks.peers.roofline import best_scaling, median
from jobs.benchmarks.peers.warm import TOLERANCE, agree

WARM = {"brickwork": 50.0, "random pairs": 30.0, "QFT": 20.0}
"""At least so many times as fast as Aer, on `JUDGED` qubits."""
JUDGED = (10, 11, 12)
ANY_CASE = 10.0
COLD_MEAN = 1.5
SLOWEST_PAIR = 2.0
"""Of a dense two-qubit operation on any pair of digits, in in-place scalings of the same array."""
OPERATIONS_A_PASS = 3.0
EACH_OPERATION = 1.2
"""Of an operation of a whole brickwork, in in-place scalings."""
PEAK = 1.15
"""Of the memory of a run on `PEAK_QUBITS`, in states, beside `FIXED_BYTES`."""
PEAK_QUBITS = 13
FIXED_BYTES = 64 * 2**20
GROWTH = 4.0
GROWTH_TOLERANCE = 0.25
TRAJECTORIES = 100_000
CHAIN_GROWTH = 12.5
"""Times as long for ten times as many nodes."""
ROUNDING = 1e-5


@dataclass(frozen=True)
class Figure:
    """One promise: in words, the number found, and whether it is kept."""

    promise: str
    found: str
    is_kept: bool


def figures(record: dict[str, Any]) -> list[Figure]:
    """All promises that the record has numbers for."""
    found: list[Figure] = []
    for section, judge in JUDGES.items():
        if record.get(section):
            found += judge(record[section])
    return found


def ratio(row: dict[str, Any], peer: str) -> float | None:
    """How many times as long a peer takes as qdist; its own time or the wall's, whichever is better for it."""
    ours, theirs = (fairest(row["times"][name]) if name in row["times"] else None for name in ("qdist", peer))
    return theirs / ours if ours and theirs else None


def _least(promise: str, values: list[tuple[float, str]], limit: float) -> Iterator[Figure]:
    """The smallest of the values must be at least the limit."""
    if values:
        value, where = min(values)
        yield Figure(promise, f"{value:.3g} ({where})", value >= limit)


def _most(promise: str, values: list[tuple[float, str]], limit: float) -> Iterator[Figure]:
    if values:
        value, where = max(values)
        yield Figure(promise, f"{value:.3g} ({where})", value <= limit)


def _name(row: dict[str, Any]) -> str:
    return f"{row['name']}, {row['qubits']} qubits, {row['precision']}"


def _warm(rows: list[dict[str, Any]]) -> Iterator[Figure]:
    judged = [row for row in rows if row["qubits"] in JUDGED]
    against = {id(row): ratio(row, "aer") for row in rows}
    for family, limit in WARM.items():
        values = [(r, _name(row)) for row in judged if row["name"] == family and (r := against[id(row)])]
        yield from _least(f"Warm {family}, 10–12 qubits: at least {limit:.0f} × Aer", values, limit)
    values = [(r, _name(row)) for row in judged if (r := against[id(row)])]
    yield from _least(f"Warm, any circuit, 10–12 qubits: at least {ANY_CASE:.0f} × Aer", values, ANY_CASE)
    peers = sorted({name for row in rows for name in row["times"]} - {"qdist", "stim"})
    for peer in peers:
        values = [(r, _name(row)) for row in rows if (r := ratio(row, peer))]
        yield from _least(f"Warm, 4 qubits and more: not behind {peer}", values, 1.0)
    wrong = [_name(row) for row in rows if not agree(row)]
    tolerances = " and ".join(f"{value:.0e}" for value in TOLERANCE.values())
    yield Figure(f"All that compute agree to {tolerances}", wrong[0] if wrong else "all do", not wrong)


def cold_ratios(rows: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """For each file how many times as long the process of Aer takes, or at least takes if it was ended."""
    both = [row for row in rows if "aer" in row["wall"]]
    return [
        (median(row["wall"]["aer"]) / median(row["wall"]["qdist"]), f"{row['file']}.qasm")
        for row in both
        if "qdist" not in row.get("ended", ())
    ]


def _cold(rows: list[dict[str, Any]]) -> Iterator[Figure]:
    ratios = cold_ratios(rows)
    if not ratios:
        return
    yield from _least("Cold process, each file: no slower than Aer's", ratios, 1.0)
    mean = statistics.geometric_mean([value for value, _ in ratios])
    promise = f"Cold process, geometric mean of all files: at least {COLD_MEAN} × Aer"
    yield Figure(promise, f"{mean:.3g} ({len(ratios)} files)", mean >= COLD_MEAN)
    wrong = [row["file"] for row in rows if not row.get("agree", True)]
    left = [row["file"] for row in rows if row.get("ended")]
    found = "they do" + (f"; {', '.join(left)} not compared, since a process was ended" if left else "")
    yield Figure("Both processes find the same probabilities", wrong[0] if wrong else found, not wrong)


def each_operation(row: dict[str, Any], growth: dict[str, Any]) -> float:
    """Seconds of an operation after fusion on the state of all qubits, in a whole circuit."""
    return median(growth["operating"]) / growth["operations"]


def _roofline(rows: list[dict[str, Any]]) -> Iterator[Figure]:
    pairs, single, passes, steps, overall = [], [], [], [], []
    for row in rows:
        scaling = best_scaling(row)
        pairs += [(median(p["wall"]) / scaling, f"digits {p['digits']}, {row['precision']}") for p in row["pairs"]]
        times = {one["qubits"]: each_operation(row, one) for one in row["growth"]}
        for one in row["growth"]:
            if one["qubits"] == row["qubits"]:
                passes.append((one["operations"] / one["passes"], row["precision"]))
                single.append((times[one["qubits"]] / scaling, row["precision"]))
        sizes = sorted(times)
        for small, large in pairwise(sizes):
            off = times[large] / times[small] / GROWTH
            steps.append((abs(off - 1), f"{off * GROWTH:.2f} × from {small} to {large}, {row['precision']}"))
        mean = (times[sizes[-1]] / times[sizes[0]]) ** (1 / (sizes[-1] - sizes[0]))
        overall.append((abs(mean / GROWTH - 1), f"{mean:.2f} ×, {row['precision']}"))
    yield from _most(
        f"Two-qubit operation, 12 qubits, any digits: at most {SLOWEST_PAIR} × scaling", pairs, SLOWEST_PAIR
    )
    yield from _least(
        f"Brickwork, 12 qubits: at least {OPERATIONS_A_PASS:.0f} operations a pass", passes, OPERATIONS_A_PASS
    )
    yield from _most(f"Brickwork, 12 qubits: at most {EACH_OPERATION} × scaling an operation", single, EACH_OPERATION)
    peaks = [
        ((one["peak_bytes"] - FIXED_BYTES) / one["state_bytes"], row["precision"])
        for row in rows
        for one in row["growth"]
        if one["qubits"] == PEAK_QUBITS and one["peak_bytes"] is not None
    ]
    yield from _most(f"Memory, {PEAK_QUBITS} qubits: at most {PEAK} states and 64 MiB", peaks, PEAK)
    yield from _most("Growth of an operation, 9–13 qubits, mean: 4 × a qubit, within 25 %", overall, GROWTH_TOLERANCE)
    yield from _most("Growth of an operation, each qubit more: 4 ×, within 25 %", steps, GROWTH_TOLERANCE)


def _network(rows: list[dict[str, Any]]) -> Iterator[Figure]:
    rates = [
        (row["shots"] / median(row["wall"]), row["precision"])
        for row in rows
        if row["what"] == "trajectories" and row["wall"]
    ]
    yield from _least(f"Chain of 4 nodes: at least {TRAJECTORIES:,} trajectories a second", rates, TRAJECTORIES)
    chains = {row["nodes"]: row for row in rows if row["what"] == "chain"}
    late = [row for row in chains.values() if not row["wall"]]
    for row in late:
        yield Figure(f"Chain of {row['nodes']:,} nodes", row["out"], False)
    sizes = sorted(size for size in chains if size >= 100 and chains[size]["wall"])
    growths = [
        (median(chains[b]["wall"]) / median(chains[a]["wall"]), f"{a:,} to {b:,} nodes") for a, b in pairwise(sizes)
    ]
    yield from _most(f"Chain, ten times the nodes: at most {CHAIN_GROWTH} times the seconds", growths, CHAIN_GROWTH)


def _accuracy(rows: list[dict[str, Any]]) -> Iterator[Figure]:
    gaps = [(max(row["probabilities"], row["correlators"]), f"{row['file']}.qasm") for row in rows]
    yield from _most(f"float32 within {ROUNDING:.0e} of float64 on the deepest random circuits", gaps, ROUNDING)


JUDGES = {"warm": _warm, "cold": _cold, "roofline": _roofline, "network": _network, "accuracy": _accuracy}
