"""What is promised of a card like an H100, against what a record has."""

from collections.abc import Callable, Iterator
from typing import Any

Parts = dict[str, dict[str, Any]]
QUBITS = 15
NUMBERS = ("17 qubits", "float32")
"""Promises about numbers begin like this; the others are about speed."""


def judged(parts: Parts) -> Iterator[tuple[str, str, str]]:
    """Each promise, what was found, and whether that keeps it."""
    for promise, (find, form, is_kept) in PROMISES.items():
        found = find(parts)
        if found is None:
            yield promise, "not measured", "–"
        else:
            yield promise, form.format(found), "PASS" if is_kept(found) else "FAIL"


def rows(parts: Parts, kind: str, **wanted: Any) -> list[dict[str, Any]]:
    """Those of parts of native kernels whose names begin like this, with these values."""
    of_kind = [part for name, part in parts.items() if name.startswith(kind) and "without native" not in name]
    return [row for part in of_kind for row in part["rows"] if wanted.items() <= row.items()]


def _slowest_step(parts: Parts) -> float | None:
    found = rows(parts, "timings in float32", qubits=QUBITS)
    return min((100 * row["of_copy"] for row in found if "of_copy" in row), default=None)


def _of_brickwork(name: str) -> Callable[[Parts], float | None]:
    def find(parts: Parts) -> float | None:
        found = rows(parts, "timings in float32", what="brickwork", qubits=QUBITS)
        return next((row[name] for row in found if name in row), None)

    return find


def _with_noise(parts: Parts) -> float | None:
    found = rows(parts, "circuits in float32", circuit=f"brickwork:{QUBITS}")
    return next((row["ms_per_operation"] for row in found if "ms_per_operation" in row), None)


def _best_peer(parts: Parts) -> float | None:
    """Against the fastest way of each circuit, the circuit where it is closest to us."""
    best: dict[str, float] = {}
    for row in rows(parts, "peers"):
        if "times_ours" in row:
            best[row["circuit"]] = min(row["times_ours"], best.get(row["circuit"], row["times_ours"]))
    return min(best.values(), default=None)


def _seventeen(parts: Parts) -> int | None:
    """How many of the three runs of 17 qubits ended with right numbers."""
    found = rows(parts, "large", qubits=17)
    return sum("failed" not in row and row.get("error", 0.0) <= 1e-5 for row in found) if found else None


def _sampled(parts: Parts) -> float | None:
    found = rows(parts, "sampled", what="chain of four nodes, a whole run", precision="float32")
    return max((row["per_second"] for row in found if row.get("ran_on", "host") != "host"), default=None)


def _precision(parts: Parts) -> float | None:
    exact = {row["circuit"]: row["numbers"] for row in rows(parts, "circuits", precision="float64") if "numbers" in row}
    errors = []
    for row in rows(parts, "circuits", precision="float32"):
        if row["circuit"] in exact and "numbers" in row:
            errors += [abs(a - b) for a, b in zip(row["numbers"], exact[row["circuit"]], strict=True)]
    return max(errors, default=None)


PROMISES: dict[str, tuple[Callable[[Parts], Any], str, Callable[[Any], bool]]] = {
    f"A dense two-qubit step on {QUBITS} qubits, any digits: ≥ 75 % of a copy": (
        _slowest_step,
        "{:.0f} %",
        lambda percent: percent >= 75,
    ),
    f"Brickwork of {QUBITS} qubits: ≥ 4 operations a pass": (
        _of_brickwork("operations_per_pass"),
        "{:.1f}",
        lambda count: count >= 4,
    ),
    "A two-qubit operation of it: ≤ 1.2 ms": (_of_brickwork("ms_per_operation"), "{:.2f} ms", lambda ms: ms <= 1.2),
    "The same in a whole run, with noise: ≤ 1.2 ms": (_with_noise, "{:.2f} ms", lambda ms: ms <= 1.2),
    "Superoperators in complex64, the fastest way: ≥ 5 × our time": (_best_peer, "{:.1f} ×", lambda times: times >= 5),
    "Trajectories of a chain of four nodes, whole runs: ≥ 10⁶ a second": (
        _sampled,
        "{:,.0f}",
        lambda rate: rate >= 1e6,
    ),
    "17 qubits in float32, in place: all of 3 complete": (_seventeen, "{} of 3", lambda count: count == 3),
    "float32 against float64: ≤ 1e-5": (_precision, "{:.0e}", lambda error: error <= 1e-5),
}
