"""Rows about links: how long parallel links take, and what a fiber lets through."""

import math

import numpy as np

from qdist.network.graph import Network, star
from qdist.network.links import repeaterless_bound, transmission
from qdist.network.program import Generate, Herald, Lose, Prepare, Program, Record, Step, bit_is
from qdist.runs.validation.simulate import laboratory, simulate
from qdist.runs.validation.table import TOLERANCE, Row

ORDER = "order statistics"
SHOTS = 20_000


def _parallel_links(number: int, probability: float) -> tuple[Program, Network]:
    """A star whose links all try at the same times, once a second."""
    network = star(number, qubits=number, link={"success_probability": probability, "attempt_duration": 1.0})
    pairs = tuple((f"hub/{k}", f"n{k}/0") for k in range(number))
    return Program((Generate(pairs), Record("all up")), pairs=pairs), network


def waiting_times() -> list[Row]:
    """Recorded mean time until all links are up, averaged exactly and over shots."""
    rows, p = [], 0.1
    for n in (1, 2, 4):
        signs = [math.comb(n, k) * (-1) ** (k + 1) / (1 - (1 - p) ** k) for k in range(1, n + 1)]
        expected = sum(signs)
        program, network = _parallel_links(n, p)
        time = float(simulate(program, network)["metrics/time"][0])
        rows.append(Row(10, f"parallel links, n = {n}, p = .1: mean attempts", expected, time, TOLERANCE, ORDER))
        if n > 1:
            sampled = simulate(program, network, mode="sampled", shots=SHOTS, seed=1)
            # The largest of n geometric times spreads less than one of them, √(1−p)/p attempts.
            tolerance = 5 * math.sqrt(1 - p) / p / math.sqrt(SHOTS)
            value = float(sampled["metrics/time"][0])
            rows.append(Row(10, f"parallel links, n = {n}, p = .1: {SHOTS} shots", expected, value, tolerance, ORDER))
    return rows


def photon_through(kilometers: int) -> float:
    """Probability that a photon passes one kilometer after another."""
    lab, (photon,) = laboratory(1)
    steps: list[Step] = [Prepare((photon,))]
    for k in range(kilometers):
        steps += [Lose(photon, f"lost {k}", 1 - float(transmission(1000.0))), Herald(bit_is(f"lost {k}", 0))]
    return float(simulate(steps, lab)["results/success_probability"])


def fiber() -> list[Row]:
    """Fifty kilometers, piece by piece and as the mean number of attempts of a link."""
    network = star(1, link={"length": 50e3})
    program = Program((Generate((("hub/0", "n0/0"),)),))
    sampled = simulate(program, network, mode="sampled", shots=SHOTS, seed=1)
    attempts = float(np.sum(sampled["ledger/attempts"]))
    eta, source = photon_through(50), "Pirandola 2017"
    tolerance = 5 * math.sqrt(0.9) / 0.1 / math.sqrt(SHOTS)
    return [
        Row(11, "photon through 50 pieces of 1 km", 0.1, eta, TOLERANCE, source),
        Row(11, f"attempts over 50 km, {SHOTS} shots", 10.0, attempts, tolerance, source),
        Row(
            11,
            "repeaterless bound at that transmission",
            -math.log2(0.9),
            float(repeaterless_bound(eta)),
            TOLERANCE,
            source,
        ),
    ]
