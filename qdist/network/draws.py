"""Random numbers that depend on the seed, the shot and the purpose only: the same on any machine and rank count."""

import math
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.machine.instructions import EachShot

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
        known: What was worked out of these numbers, by whoever needs it again.
    """

    seed: int
    first: int
    shots: int
    _bits: "np.random.Philox" = field(default_factory=lambda: np.random.Philox(key=0), repr=False, compare=False)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    known: dict[Hashable, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.first % _BLOCK:
            raise QdistError(f"`first` must be a multiple of {_BLOCK}, but is {self.first}.")

    def uniform(self, *purpose: int) -> np.ndarray:
        """Numbers in [0, 1), shape (shots,), for a purpose named by up to two integers below 2³¹."""
        first, second = (*purpose, 0, 0)[:2]
        # The generator is set back: making one asks the system for entropy, which takes longer than a thousand numbers.
        state: Any = {
            "bit_generator": "Philox",
            "state": {
                "counter": np.array([self.first // _BLOCK, 0, 0, 0], np.uint64),
                "key": np.array([self.seed & (2**64 - 1), (first << 32) + second], np.uint64),
            },
            "buffer": np.zeros(_BLOCK, np.uint64),
            "buffer_pos": _BLOCK,
            "has_uint32": 0,
            "uinteger": 0,
        }
        with self._one_at_a_time:
            self._bits.state = state
            raw = self._bits.random_raw(self.shots)
        return (raw >> np.uint64(11)) * 2.0**-53

    def attempts(self, step: int, link: int, probability: float) -> np.ndarray:
        """Numbers of attempts until success, geometric, shape (shots,), for a probability below 1.

        N = ⌈ln(1−u) / ln(1−p)⌉
        """
        u = self.uniform(2 * step + 1, link)
        return np.maximum(1.0, np.ceil(np.log1p(-u) / math.log1p(-probability)))


def attempts(step: int, link: int, probability: float) -> EachShot:
    """The number of attempts that a link will need in a step, in each shot."""
    return EachShot(np.ones(()), lambda draws: draws.attempts(step, link, probability))
