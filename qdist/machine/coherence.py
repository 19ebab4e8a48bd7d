"""What a matrix does to x bits: which of its qubits may have theirs in the rank's number while it acts.

A matrix acts without communication when the x bits that ranks hold after it are a linear function of those that they
held before: diagonal gates, Pauli noise, damping, reset and Z measurement leave them alone, CNOT adds the control's to
the target's, SWAP exchanges them.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

TINY = 1e-14
"""Entries below this are rounding errors of products of matrices; they do not move correlations."""

Digits = Sequence[tuple[str, int]]
"""Wires and the sizes of their digits: 4 for a qubit, 2 for a bit."""


@dataclass(frozen=True)
class Move:
    """How rank bits change while a matrix acts.

    Attributes:
        inputs: Qubits whose x bits are rank bits before.
        outputs: Those whose x bits are in the same rank bits afterwards.
        rows: x of `outputs[i]` is the sum of x of `inputs[j]` over the bits j of `rows[i]`.
        gone: Qubits whose x bit was a rank bit and is 0 from now on: ranks where it is 1 have nothing left.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: tuple[int, ...]
    gone: tuple[str, ...] = ()


def moves(matrices: Sequence[Any], inputs: Digits, outputs: Digits) -> dict[frozenset[str], Move]:
    """For each set of qubits whose x bits may be rank bits while the matrices act: what becomes of the rank bits.

    Args:
        matrices: Shapes (rows, columns), all on the same digits.
        inputs: Of the columns.
        outputs: Of the rows.
    """
    before = [wire for wire, size in inputs if size == 4]
    after = [wire for wire, size in outputs if size == 4]
    pairs = _pairs(matrices, inputs, outputs)
    found = {frozenset[str](): Move((), (), ())}
    for count in range(1, len(before) + 1):
        for chosen in itertools.combinations(before, count):
            move = _move(chosen, before, after, pairs)
            if move is not None:
                found[frozenset(chosen)] = move
    return found


def _pairs(matrices: Sequence[Any], inputs: Digits, outputs: Digits) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Values of the x bits (after, before) between which a matrix has an entry."""
    bits = [kind for _, size in (*outputs, *inputs) for kind in ("xz" if size == 4 else "z")]
    largest: Any = 0.0
    for matrix in matrices:
        largest = np.maximum(largest, np.abs(np.asarray(matrix, float)).reshape(-1))
    z_axes = tuple(k for k, kind in enumerate(bits) if kind == "z")
    moved = largest.reshape((2,) * len(bits)).max(axis=z_axes)
    count = sum(size == 4 for _, size in outputs)
    return [(tuple(map(int, row[:count])), tuple(map(int, row[count:]))) for row in np.argwhere(moved > TINY)]


def _move(chosen: tuple[str, ...], before: list[str], after: list[str], pairs: list[Any]) -> Move | None:
    places = {wire: before.index(wire) for wire in chosen}
    gone = tuple(w for w in chosen if w not in after and not any(x_in[places[w]] for _, x_in in pairs))
    inputs = tuple(w for w in chosen if w not in gone)
    same = [inputs] if set(inputs) <= set(after) else []
    for outputs in [*same, *itertools.combinations(after, len(inputs))]:
        known = {
            (tuple(x_in[places[w]] for w in inputs), tuple(x_out[after.index(w)] for w in outputs))
            for x_out, x_in in pairs
        }
        for rows in _invertible(len(inputs)):
            if all(_image(rows, x_in) == x_out for x_in, x_out in known):
                return Move(inputs, outputs, rows, gone)
    return None


def _image(rows: tuple[int, ...], bits: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sum(bit for k, bit in enumerate(bits) if row >> k & 1) % 2 for row in rows)


@cache
def _invertible(size: int) -> list[tuple[int, ...]]:
    """All invertible matrices over the bits, the identity first."""
    identity = tuple(1 << k for k in range(size))
    vectors = list(itertools.product((0, 1), repeat=size))
    others = [
        rows
        for rows in itertools.product(range(1, 2**size), repeat=size)
        if rows != identity and len({_image(rows, vector) for vector in vectors}) == len(vectors)
    ]
    return [identity, *others]
