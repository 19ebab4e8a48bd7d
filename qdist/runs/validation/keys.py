"""Rows about secret keys: an eavesdropper who measures and resends, and the key that errors leave."""

import math

import numpy as np

from qdist.network.graph import Network, chain
from qdist.network.program import (
    Apply,
    Combine,
    Generate,
    Herald,
    Measure,
    Prepare,
    Reset,
    Send,
    Step,
    apply,
    bit_is,
    parity_is,
    register_is,
)
from qdist.network.protocols import teleport
from qdist.physics import channels
from qdist.runs.validation.pairs import PAIR, chsh_experiment
from qdist.runs.validation.simulate import outcomes
from qdist.runs.validation.table import TOLERANCE, Row

SHOR = "Shor 2000"
KEYLESS = 0.110028
"""Where 1 − 2h(Q) = 0, to six digits."""


def coin(qubit: str, bit: str, probability: float = 0.5) -> list[Step]:
    """A random bit that is 1 with a probability: a rotated qubit is measured."""
    angle = 2 * math.asin(math.sqrt(probability))
    return [Prepare((qubit,)), apply("ry", qubit, params=(angle,)), Measure(qubit, bit)]


def line() -> Network:
    """Alice, Eve and Bob; Eve sits on the only fiber."""
    return chain(3, qubits=3)


ALICE, EVE, BOB = "n0", "n1", "n2"


def photon_sent(noise: float = 0.0) -> list[Step]:
    """Alice draws a bit `a` and a basis `x`, and her qubit travels to Eve over a perfect pair."""
    qubit, pair = f"{ALICE}/0", (f"{ALICE}/1", f"{EVE}/0")
    return [
        *coin(f"{ALICE}/2", "a"),
        *coin(f"{ALICE}/2", "x"),
        Prepare((qubit,)),
        apply("x", qubit, when=bit_is("a")),
        apply("h", qubit, when=bit_is("x")),
        Apply(channels.depolarizing(noise), (qubit,)),
        Generate((pair,)),
        *teleport(qubit, pair).steps,
    ]


def photon_forwarded(fraction: float) -> list[Step]:
    """Eve measures a fraction of the qubits in a basis that she draws, leaves them as found, and sends them on."""
    qubit, pair = f"{EVE}/0", (f"{EVE}/1", f"{BOB}/0")
    turn = apply("h", qubit, when=register_is(("intercept", "guess"), 3))
    return [
        *coin(f"{EVE}/2", "intercept", fraction),
        *coin(f"{EVE}/2", "guess"),
        turn,
        Measure(qubit, "e", keep=True, when=bit_is("intercept")),
        turn,
        Generate((pair,)),
        *teleport(qubit, pair).steps,
    ]


def sifted_errors(fraction: float, noise: float = 0.0) -> np.ndarray:
    """QBER in the Z and in the X basis, of the rounds in which Bob's own random basis was Alice's."""
    qubit = f"{BOB}/0"
    steps = [
        *photon_sent(noise),
        *photon_forwarded(fraction),
        *coin(f"{BOB}/2", "y"),
        apply("h", qubit, when=bit_is("y")),
        Measure(qubit, "b"),
        Herald(parity_is(("x", "y"), 0), "same basis"),
    ]
    table = outcomes(steps, line(), ("x", "a", "b"))
    return (table[:, 0, 1] + table[:, 1, 0]) / table.sum(axis=(1, 2))


def checked_rounds(number: int) -> float:
    """Probability that Eve, who measures every qubit, is caught by at least one of the bits that are compared."""
    qubit, memory = f"{BOB}/0", f"{BOB}/2"
    steps: list[Step] = [Prepare((memory,))]
    for _ in range(number):
        steps += [
            *photon_sent(),
            *photon_forwarded(1.0),
            Send(("a", "x"), ALICE, BOB),
            apply("h", qubit, when=bit_is("x")),
            Measure(qubit, "b"),
            Combine("wrong", ("a", "b")),
            Reset(memory, when=bit_is("wrong")),
            apply("x", memory, when=bit_is("wrong")),
        ]
    steps.append(Measure(memory, "caught"))
    return float(outcomes(steps, line(), ("caught",))[1])


def intercept_resend() -> list[Row]:
    """BB84 with an eavesdropper."""
    rows = []
    for fraction in (1.0, 0.5):
        errors = sifted_errors(fraction)
        case = f"BB84, {fraction:g} of the qubits intercepted: QBER"
        rows.append(Row(16, case, fraction / 4, float(errors.mean()), TOLERANCE, "textbook"))
    caught = checked_rounds(20)
    rows.append(Row(16, "BB84, Eve caught by 20 bits", 1 - 0.75**20, caught, TOLERANCE, "textbook"))
    return rows


def entropy(p: float) -> float:
    """h(p) in bits."""
    return sum(-x * math.log2(x) for x in (p, 1 - p) if x > 0)


def pair_errors(fidelity: float) -> np.ndarray:
    """QBER of BBM92 in the Z and in the X basis, from the outcomes on a Werner pair."""
    network = chain(2, link={"fidelity": fidelity})
    errors = []
    for basis in "ZX":
        measured = [Measure(q, bit, basis) for q, bit in zip(PAIR, ("a", "b"), strict=True)]
        table = outcomes([Generate((PAIR,)), *measured], network, ("a", "b"))
        errors.append(table[0, 1] + table[1, 0])
    return np.array(errors)


def key_rate(errors: np.ndarray) -> float:
    """Secret bits per sifted bit from the simulated errors: 1 − h(Q_Z) − h(Q_X)."""
    return 1 - entropy(errors[0]) - entropy(errors[1])


def largest_error_with_key() -> float:
    """The QBER at which the rate falls to 0, by halving an interval of fidelities of BBM92."""
    low, high = 0.8, 0.9
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (middle, high) if key_rate(pair_errors(middle)) < 0 else (low, middle)
    return float(pair_errors(high).mean())


def key_rates() -> list[Row]:
    """Rates at given errors."""
    bb84 = key_rate(sifted_errors(0.0, noise=3 * 0.01 / 2))
    bbm92 = key_rate(pair_errors(1 - 3 * 0.05 / 2))
    return [
        Row(17, "BB84 key rate at Q = .01", 1 - 2 * entropy(0.01), bb84, TOLERANCE, SHOR),
        Row(17, "BBM92 key rate at Q = .05", 1 - 2 * entropy(0.05), bbm92, TOLERANCE, SHOR),
        Row(17, "BBM92, Q where the rate is 0", KEYLESS, largest_error_with_key(), TOLERANCE, SHOR),
    ]


def intercepted_chsh(angle: float) -> float:
    """CHSH of Alice and Bob when Eve measures Bob's half at an angle in the x–z plane and sends on what is left."""
    half, alice, pair = f"{EVE}/0", f"{ALICE}/0", (f"{EVE}/1", f"{BOB}/0")
    steps = [
        Generate(((alice, half),)),
        apply("ry", half, params=(-angle,)),
        Measure(half, "e", keep=True),
        apply("ry", half, params=(angle,)),
        Generate((pair,)),
        *teleport(half, pair).steps,
    ]
    return chsh_experiment(line(), steps, alice, f"{BOB}/0")


def ekert() -> list[Row]:
    """E91 with Eve on every pair."""
    return [
        Row(
            18,
            f"E91, intercepted at {angle:g} rad: CHSH",
            math.sqrt(2),
            intercepted_chsh(angle),
            TOLERANCE,
            "Ekert 1991",
        )
        for angle in (0.0, 0.3, 1.0)
    ]
