"""Random numbers that depend on the seed, the shot and the purpose only: the same on any machine and rank count."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist_kernels.namespace import is_jax

_BLOCK = 4
"""Numbers that one step of the Philox counter yields; batches of shots start at multiples of it."""


@dataclass(frozen=True)
class Draws:
    """Uniform numbers for a batch of shots.

    Shot s reads position s of a stream of its own for each purpose: a counter-based generator (Philox 4×64) keyed by
    the seed and the purpose, so any batch of shots can be drawn anywhere, in any order.

    Attributes:
        seed: Of the run.
        first: The number of the first shot, a multiple of 4.
        shots: How many shots.
    """

    seed: int
    first: int
    shots: int

    def __post_init__(self) -> None:
        if self.first % _BLOCK:
            raise QdistError(f"`first` must be a multiple of {_BLOCK}, but is {self.first}.")

    def uniform(self, *purpose: int) -> np.ndarray:
        """Numbers in [0, 1), shape (shots,), for a purpose named by up to two integers below 2³¹."""
        first, second = (*purpose, 0, 0)[:2]
        bits = np.random.Philox(key=[self.seed & (2**64 - 1), (first << 32) + second])
        bits.advance(self.first // _BLOCK)
        return (bits.random_raw(self.shots) >> np.uint64(11)) * 2.0**-53

    def attempts(self, step: int, link: int, probability: Any) -> Any:
        """Numbers of attempts until success, geometric, shape (shots,); the number 1 where success is certain.

        N = ⌈ln(1−u) / ln(1−p)⌉
        """
        if is_jax(probability):
            raise QdistError('A traced success probability cannot be sampled. Use mode = "exact" for derivatives.')
        if probability == 1:
            return 1.0
        u = self.uniform(2 * step + 1, link)
        return np.maximum(1.0, np.ceil(np.log1p(-u) / math.log1p(-probability)))
