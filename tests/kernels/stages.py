"""Matrices on two digits that are products of sparse ones."""

import numpy as np

from qdist_kernels import stages_of
from qdist_kernels.stages import on_both


def rotation(rng, *, shift=False):
    """A trace-preserving matrix of one qubit that mixes X, Y and Z, and with a shift moves their origin."""
    matrix = np.eye(4)
    matrix[1:, 1:] = 0.9 * np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if shift:
        matrix[3, 0] = 0.1
    return matrix


def permutation(rng):
    """A signed permutation of two digits with scales, as a CNOT with Pauli noise is; the identity stays."""
    order = np.concatenate([[0], 1 + rng.permutation(15)])
    return np.eye(16)[order] * rng.choice([-0.9, 0.9, 0.8], 16)


def random_factors(rng):
    """One-qubit matrices around a signed permutation, some left out."""
    around = [((digit,), rotation(rng, shift=rng.random() < 0.3)) for digit in (0, 1, 0, 1)]
    kept = [factor for factor in around if rng.random() < 0.6]
    place = int(rng.integers(len(kept) + 1))
    digits = (0, 1) if rng.random() < 0.5 else (1, 0)
    return [*kept[:place], (digits, permutation(rng)), *kept[place:]]


def random_stages(rng):
    """Those of some factors that have any."""
    while not (found := stages_of(random_factors(rng))):
        pass
    return found


def product(stages):
    """The matrix of stages, the first one first."""
    matrix = np.eye(16)
    for stage in stages:
        matrix = stage.matrix @ matrix
    return matrix


def dense(factors):
    """The matrix of factors, the first one first."""
    matrix = np.eye(16)
    for digits, part in factors:
        matrix = on_both(digits, part) @ matrix
    return matrix
