"""Warm kernels: every contestant has its circuit ready, and only the numbers flow."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jobs.benchmarks.peers.circuits import Case, build
from jobs.benchmarks.peers.contest import Contestant, Silent, fairest, rounds
from jobs.benchmarks.peers.contestants import contestant

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
"""Of half the sum of all differences of probabilities, and of ⟨Z…Z⟩."""
LARGEST_CHECKED = 12
"""Qubits up to which all probabilities are compared; above only ⟨Z…Z⟩, since a run takes minutes."""
LONGEST = {"aer": 90.0}
"""Seconds of a run, as foretold from the next smaller size, above which a contestant sits a case out."""
LONGEST_OF_OTHERS = 4.0
UNLIMITED = ("qdist", "stim")
SECONDS_A_CASE = 60.0

# Aer needs a quarter to two seconds for an operation on 12 and 13 qubits: those circuits are cut short.
PAIRS = {11: 50, 12: 25, 13: 10}
DEPTHS = {13: 2}
ROWS = {13: 1}
FILES = ["adder_n4", "basis_trotter_n4", "cat_state_n4", "qft_n4", "error_correctiond3_n5", "qec_en_n5", "qaoa_n6"]
FILES += ["simon_n6", "hhl_n7", "qpe_n9", "ising_n10"]
"""Circuits on 4 qubits and more that are made of gates, with all measurements at the end."""


def cases(quick: bool) -> Iterator[tuple[list[Any], str]]:
    """What is run: families with their arguments, and precisions, small ones first."""
    for n in (4, 8, 10) if quick else range(4, 14):
        for family, argument in _shapes(n)[: 3 if quick and n > 4 else None]:
            for precision in ("float32", "float64") if n < (10 if quick else 13) else ("float32",):
                yield [family, n, *argument], precision
    for stem in FILES[3:4] if quick else FILES:
        for precision in ("float32", "float64"):
            yield ["file", stem], precision


def _shapes(n: int) -> list[tuple[str, list[int]]]:
    shapes = [
        ("brickwork", [DEPTHS.get(n, 10)]),
        ("random pairs", [PAIRS.get(n, 100)]),
        ("QFT", [ROWS[n]] if n in ROWS else []),
    ]
    return shapes + [("Clifford", [10])] * (n in (4, 8, 10, 12))


class Foretelling:
    """How long a run will take: four times as long an operation for each qubit more, and a little."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[int, float]] = {}

    def seconds(self, name: str, precision: str, case: Case) -> float:
        qubits, each = self._known.get((name, precision), (0, 0.0))
        return each * 4.2 ** (case.num_qubits - qubits) * len(case.operations)

    def learn(self, name: str, precision: str, case: Case, seconds: float) -> None:
        if case.num_qubits >= self._known.get((name, precision), (0, 0.0))[0]:
            self._known[name, precision] = case.num_qubits, seconds / len(case.operations)


def run(names: Sequence[str], threads: int, *, quick: bool, say: Any) -> list[dict[str, Any]]:
    """Time every case with every contestant that can do it.

    Returns:
        For each case and precision the times of the contestants, why others did not race, and how far results differ.
    """
    everyone = {name: Contestant(name, threads) for name in names if name != "sequence"}
    foretelling = Foretelling()
    found = []
    try:
        for spec, precision in cases(quick):
            row = _one_case(everyone, spec, precision, foretelling, quick=quick)
            found.append(row)
            say(_line(row))
    finally:
        for one in everyone.values():
            one.close()
    return found


def _one_case(
    everyone: dict[str, Contestant], spec: list[Any], precision: str, foretelling: Foretelling, *, quick: bool
) -> dict[str, Any]:
    case = build(*spec)
    row: dict[str, Any] = {
        "case": spec,
        "name": case.name,
        "qubits": case.num_qubits,
        "gates": sum(hasattr(one, "name") for one in case.operations),
        "precision": precision,
        "out": {},
        "facts": {},
        "differences": {},
    }
    longest = {name: (5.0 if quick else LONGEST.get(name, LONGEST_OF_OTHERS)) for name in everyone}
    racing: list[Contestant] = []
    for name, one in everyone.items():
        if precision not in contestant(name).PRECISIONS or (name == "stim" and spec[0] != "Clifford"):
            continue
        expected = foretelling.seconds(name, precision, case)
        if name not in UNLIMITED and expected > longest[name]:
            row["out"][name] = f"about {expected:.0f} s a run"
            continue
        try:
            row["facts"][name] = one.ask(do="prepare", case=spec, precision=precision)["facts"]
            racing.append(one)
        except Silent as error:
            row["out"][name] = str(error)
    _compare(racing, case, row)
    row["times"] = rounds(racing, repetitions=3 if quick else 5, most_seconds=5.0 if quick else SECONDS_A_CASE)
    for name, times in row["times"].items():
        seconds = fairest(times)
        if seconds is not None:
            foretelling.learn(name, precision, case, seconds)
    _compare_values(row)
    return row


def _compare(racing: list[Contestant], case: Case, row: dict[str, Any]) -> None:
    """Half the sum of all differences of probabilities to ours; those whose result is another do not race."""
    if case.num_qubits > LARGEST_CHECKED:
        return
    ours = None
    for one in list(racing):
        try:
            probabilities = one.probabilities()
        except Silent as error:
            row["out"][one.name] = str(error)
            racing.remove(one)
            continue
        ours = probabilities if ours is None else ours
        row["differences"][one.name] = float(np.abs(probabilities - ours).sum() / 2)


def _compare_values(row: dict[str, Any]) -> None:
    values = {name: times["value"] for name, times in row["times"].items() if times["value"] is not None}
    for name, value in values.items():
        difference = abs(value - values["qdist"])
        row["differences"][name] = max(difference, row["differences"].get(name, 0.0))


def agree(row: dict[str, Any]) -> bool:
    """Whether all that compute, which Stim does not, found the same."""
    return all(far <= TOLERANCE[row["precision"]] for name, far in row["differences"].items() if name != "stim")


def _line(row: dict[str, Any]) -> str:
    times = {name: fairest(one) for name, one in row["times"].items()}
    parts = [f"{name} {seconds * 1e3:.3g} ms" for name, seconds in times.items() if seconds is not None]
    parts += [f"{name}: {why}" for name, why in row["out"].items()]
    verdict = "" if agree(row) else f"  RESULTS DIFFER {row['differences']}"
    return f"{row['name']} n={row['qubits']} {row['precision']}: {', '.join(parts)}{verdict}"
