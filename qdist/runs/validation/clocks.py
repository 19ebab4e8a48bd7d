"""Rows about time as phase: a clock that is off by t turns a qubit of splitting ω by ωt, here an `rz` gate."""

import math

import numpy as np

from qdist.network.graph import chain
from qdist.network.program import Generate, Measure, Prepare, Step, apply
from qdist.runs.validation.pairs import PAIR
from qdist.runs.validation.simulate import laboratory, outcomes
from qdist.runs.validation.table import TOLERANCE, Row

NODES = 24
"""Gauss–Hermite points of the average over jitter: more than enough for phases below 1 rad."""


def late_fidelity(phase: float) -> float:
    """P(+) of a qubit that was left in |+⟩ and turned by a phase."""
    lab, (qubit,) = laboratory(1)
    steps: list[Step] = [Prepare((qubit,)), apply("h", qubit), apply("rz", qubit, params=(phase,))]
    return float(outcomes([*steps, Measure(qubit, "m", "X")], lab, ("m",))[0])


def jitter() -> list[Row]:
    """The mean fidelity over Gaussian jitter: one run at each point of a Gauss–Hermite quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(NODES)
    rows, sigma = [], 1e-9
    for megahertz in (10, 100):
        angle = 2 * math.pi * megahertz * 1e6 * sigma
        values = [late_fidelity(angle * float(point)) for point in points]
        mean = float(np.dot(weights, values) / weights.sum())
        expected = (1 + math.exp(-(angle**2) / 2)) / 2
        rows.append(Row(24, f"jitter 1 ns at {megahertz} MHz", expected, mean, TOLERANCE, "elementary"))
    return rows


def fringe(phase: float, visibility: float) -> float:
    """P(Alice and Bob differ) in the X basis for singlets, Bob's half turned by a phase."""
    network = chain(2, link={"weights": (0.0, 0.0, (1 - visibility) / 2, (1 + visibility) / 2)})
    steps: list[Step] = [Generate((PAIR,)), apply("rz", PAIR[1], params=(phase,))]
    table = outcomes([*steps, Measure(PAIR[0], "a", "X"), Measure(PAIR[1], "b", "X")], network, ("a", "b"))
    return float(table[0, 1] + table[1, 0])


def synchronization() -> list[Row]:
    """The fringe of clock synchronization, and the error of the offset that its slope leaves after N singlets."""
    omega, singlets, source = 2 * math.pi * 1e9, 10_000, "Jozsa 2000"
    phase, visibility, step = 0.8, 0.9, 1e-4
    expected = (1 + visibility * math.cos(phase)) / 2
    middle = fringe(math.pi / 2, 1.0)
    slope = (fringe(math.pi / 2 + step, 1.0) - fringe(math.pi / 2 - step, 1.0)) / (2 * step) * omega
    error = math.sqrt(middle * (1 - middle) / singlets) / abs(slope)
    picoseconds = 1e12 / (omega * math.sqrt(singlets))
    return [
        Row(25, "singlet fringe at .8 rad, V = .9", expected, fringe(phase, visibility), TOLERANCE, source),
        Row(25, "offset error in ps, 1 GHz, 10⁴ singlets", picoseconds, error * 1e12, TOLERANCE, source),
    ]
