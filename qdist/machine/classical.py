"""Classical bits as digits: matrices of functions, tests and copies on the correlators (I, Z) of bits.

A distribution p over k bits has the correlators c = H p with H = ⊗ [[1, 1], [1, −1]], so a map A on distributions
acts on correlators as H A H⁻¹. Integers are read with the first bit of a test least significant; digits are ordered
with the first bit most significant, as everywhere.
"""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from qdist.machine.instructions import Test
from qdist_kernels.namespace import namespace


def walsh(array: np.ndarray, axis: int) -> np.ndarray:
    """⊗ [[1, 1], [1, −1]] along an axis of length 2ᵏ, one bit at a time; its inverse is itself over 2ᵏ."""
    array = np.moveaxis(array, axis, 0)
    size = array.shape[0]
    array = array.reshape(size, -1)
    step = 1
    while step < size:
        pairs = array.reshape(-1, 2, step, array.shape[1])
        array = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(size, -1)
        step *= 2
    return array


def outcomes(num_bits: int) -> np.ndarray:
    """All outcomes as rows of bits, shape (2ᵏ, k), in the order of the digits."""
    return (np.arange(2**num_bits)[:, None] >> np.arange(num_bits - 1, -1, -1)[None, :]) & 1


def accepted(test: Test, bits: tuple[str, ...]) -> np.ndarray:
    """For each joint outcome of `bits`, whether the test (of some of them) holds."""
    table = outcomes(len(bits))
    return np.asarray(test.holds([table[:, bits.index(bit)] for bit in test.bits]), bool)


def distribution_map(table: np.ndarray) -> np.ndarray:
    """The matrix on correlators of a map on distributions, A of shape (2^out, 2^in): H A H⁻¹."""
    return walsh(walsh(table, 0), 1).T / table.shape[1]


def function_matrix(function: Callable[[np.ndarray], np.ndarray], num_bits: int) -> np.ndarray:
    """A new bit f(b), put in front of the bits that it is computed from: shape (2^{k+1}, 2ᵏ)."""
    table = np.zeros((2, 2**num_bits, 2**num_bits))
    values = np.asarray(function(outcomes(num_bits)), int)
    table[values, np.arange(2**num_bits), np.arange(2**num_bits)] = 1
    return distribution_map(table.reshape(2 ** (num_bits + 1), 2**num_bits))


def filter_matrix(accept: np.ndarray) -> np.ndarray:
    """Keep the part of the distribution where `accept` is true: shape (2ᵏ, 2ᵏ)."""
    return _filter_matrix(tuple(accept.tolist()))


@lru_cache(maxsize=64)
def _filter_matrix(accept: tuple[bool, ...]) -> np.ndarray:
    return distribution_map(np.diag(np.array(accept, float)))


def kron(a: Any, b: Any) -> Any:
    """Kronecker product of two matrices, in a tenth of the time that NumPy's takes for small ones."""
    product = a[:, None, :, None] * b[None, :, None, :]
    return product.reshape(a.shape[0] * b.shape[0], a.shape[1] * b.shape[1])


def conditional_matrix(accept: np.ndarray, matrix: Any, otherwise: Any) -> Any:
    """`matrix` on the qubits where the bits are accepted, `otherwise` elsewhere; bits in front of the qubits."""
    return kron(filter_matrix(accept), matrix) + kron(filter_matrix(~accept), otherwise)


def outcome_matrix(outcome_matrices: tuple[Any, Any], confusion: Any) -> Any:
    """An observation as one matrix: the new bit in front of what is left of the qubit.

    Row block I is Σ_o W_o, row block Z is Σ_o (P(0|o) − P(1|o)) W_o.
    """
    xp = namespace(*outcome_matrices, confusion)
    zero, one = outcome_matrices
    signs = confusion[0] - confusion[1]
    return xp.concatenate([zero + one, signs[0] * zero + signs[1] * one])


def restrict(test: Test, known: dict[str, int]) -> Test | bool:
    """The test that is left when some bits are known, or its answer when all are."""
    if test.parity is not None:
        test = Test(tuple(bit for bit, times in Counter(test.bits).items() if times % 2), parity=test.parity)
    rest = tuple(bit for bit in test.bits if bit not in known)
    if not rest:
        return bool(test.holds([known[bit] for bit in test.bits]))
    if test.parity is not None:
        return Test(rest, parity=(test.parity + sum(known[b] for b in test.bits if b in known)) % 2)
    values = set()
    for value in test.values or ():
        digits = {bit: value >> k & 1 for k, bit in enumerate(test.bits)}
        if value < 2 ** len(test.bits) and all(digits[bit] == known[bit] for bit in test.bits if bit in known):
            values.add(sum(digits[bit] << k for k, bit in enumerate(rest)))
    return Test(rest, frozenset(values))
