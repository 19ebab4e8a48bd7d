"""Classical outcomes at the end of a run: their exact joint distribution, or one draw for each shot."""

from collections import Counter
from typing import Any

import numpy as np

from qdist.machine.plan import BitPlace, Plan
from qdist.network.draws import Draws
from qdist.runs.evolution import Evolution
from qdist.runs.reading import reduced
from qdist_kernels import namespace, transfer

MAX_BITS = 22
"""A joint distribution is stored outcome by outcome up to this many bits (4 million)."""


def distribution(plan: Plan, evolution: Evolution) -> Any:
    """P(outcome) of all output bits, shape (2ᵏ,), the first bit most significant.

    Each cluster has a distribution of its own, read off the I and Z digits of its bits by a Walsh–Hadamard
    transform; the joint one is their product.
    """
    names = list(plan.bits)
    joint: Any = np.ones(1)
    order: list[str] = []
    for name, place in plan.bits.items():
        if place.constant is not None:
            joint = np.kron(joint, np.eye(2)[place.constant])
            order.append(name)
    for bits, piece in _pieces(plan, evolution):
        for k, bit in enumerate(bits):
            piece = _on_bit(piece, k, len(bits), plan.bits[bit].confusion)
        joint = namespace(joint, piece).kron(joint, piece)
        order += bits
    spread = joint.reshape((2,) * len(order)).transpose([order.index(name) for name in names])
    return spread.reshape(-1)


def drawn_outcomes(plan: Plan, evolution: Evolution, draws: Draws) -> np.ndarray:
    """Outcomes of all output bits for each shot, shape (shots, k): bits that waited until now are drawn here."""
    columns: dict[str, np.ndarray] = {}
    for name, place in plan.bits.items():
        if place.constant is not None:
            columns[name] = np.full(draws.shots, place.constant)
        elif place.drawn is not None:
            columns[name] = evolution.drawn[place.drawn]
    for bits, piece in _pieces(plan, evolution):
        columns |= _draw_jointly(bits, np.asarray(piece, float), plan.bits, draws)
    return np.stack([columns[name] for name in plan.bits], axis=1) if columns else np.zeros((draws.shots, 0), int)


def outcome_counts(rows: np.ndarray) -> Counter[str]:
    """How often each outcome string was drawn, from rows of bits, shape (shots, k ≥ 1)."""
    width = rows.shape[1]
    if width < 63:
        # As integers, which are sorted in a tenth of the time that rows of letters take.
        numbers, times = np.unique(rows @ (1 << np.arange(width - 1, -1, -1)), return_counts=True)
        return Counter({format(n, f"0{width}b"): t for n, t in zip(numbers.tolist(), times.tolist(), strict=True)})
    letters = np.ascontiguousarray((rows + ord("0")).astype(np.uint8)).view(f"S{width}").reshape(-1)
    return Counter({text.decode(): times for text, times in Counter(letters.tolist()).items()})


def _pieces(plan: Plan, evolution: Evolution) -> list[tuple[list[str], Any]]:
    """For each cluster with output bits: their names, and the distribution of what they are read from."""
    pieces = []
    for part in plan.final:
        bits = [name for name, place in plan.bits.items() if place.wire in part.wires]
        if not bits:
            continue
        wires = [str(plan.bits[name].wire) for name in bits]
        diagonal = reduced(evolution, [part], tuple(wires), diagonal=True)
        pieces.append((bits, probabilities_of(diagonal, len(bits))))
    return pieces


def probabilities_of(correlators: Any, num_bits: int) -> Any:
    """P = 2⁻ᵏ H c, one bit at a time, negative rounding errors clipped."""
    xp = namespace(correlators)
    hadamard = np.array([[0.5, 0.5], [0.5, -0.5]], correlators.dtype)
    for k in range(num_bits):
        correlators = _on_bit(correlators, k, num_bits, hadamard)
    clipped = xp.clip(correlators, 0.0, None)
    return clipped / clipped.sum(axis=-1, keepdims=True)


def _on_bit(vector: Any, k: int, num_bits: int, matrix: Any) -> Any:
    """Apply a 2×2 matrix to bit k, which stays where it is."""
    lead = vector.shape[:-1]
    moved = transfer(vector, matrix, dims=(2**k, 2, 2 ** (num_bits - k - 1)), axes=(1,))
    spread = moved.reshape(*lead, 2, 2**k, -1)
    return namespace(spread).swapaxes(spread, -3, -2).reshape(*lead, -1)


def _draw_jointly(bits: list[str], table: np.ndarray, places: Any, draws: Draws) -> dict[str, np.ndarray]:
    """Bit by bit by the chain rule: P(b_j | b_0 … b_{j−1}) from partial sums of the joint distribution."""
    by_time = sorted(range(len(bits)), key=lambda k: places[bits[k]].purpose)
    lead = table.shape[:-1]
    spread = table.reshape(*lead, *(2,) * len(bits))
    table = spread.transpose([*range(len(lead)), *(k + len(lead) for k in by_time)]).reshape(*lead, -1)
    sums = [table.reshape(*lead, 2**j, -1).sum(axis=-1) for j in range(len(bits) + 1)]
    prefix = np.zeros(draws.shots, np.int64)
    columns = {}
    for j, k in enumerate(by_time):
        total, zero = _entry(sums[j], prefix), _entry(sums[j + 1], 2 * prefix)
        place = places[bits[k]]
        outcome = (draws.uniform(place.purpose) * total >= zero).astype(np.int64)
        prefix = 2 * prefix + outcome
        columns[bits[k]] = _read(outcome, place, draws)
    return columns


def _entry(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    return table[index] if table.ndim == 1 else np.take_along_axis(table, index[:, None], axis=1)[:, 0]


def _read(outcome: np.ndarray, place: BitPlace, draws: Draws) -> np.ndarray:
    flip = np.array([place.confusion[1][0], place.confusion[0][1]])
    if not flip.any():
        return outcome
    return np.where(draws.uniform(place.purpose, 1) < flip[outcome], 1 - outcome, outcome)


def outcome_strings(num_bits: int) -> np.ndarray:
    """All bit strings in order, as an array of text."""
    return np.array([format(i, f"0{num_bits}b") for i in range(2**num_bits)]) if num_bits else np.array([""])
