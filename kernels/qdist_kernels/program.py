"""Programs: small matrices on bits of a vector's index, grouped into passes, and how native code is told them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LARGEST_STEP = 6
"""Bits that a step of a native kernel may have."""

TILE_BYTES = 2**18
"""Of a tile: half of the L2 cache that processors have had since 2019."""


@dataclass(frozen=True, eq=False)
class Step:
    """One matrix, or the factors of a diagonal one, on some bits of a vector's index.

    Attributes:
        bits: The most significant of the matrix's index first; bit 0 is the vector's least significant. Descending.
        numbers: Shape (2ᵏ, 2ᵏ), or (2ᵏ,) for factors; never traced.
    """

    bits: tuple[int, ...]
    numbers: np.ndarray

    @property
    def is_diagonal(self) -> bool:
        return self.numbers.ndim == 1


@dataclass(frozen=True, eq=False)
class Pass:
    """What happens while a tile, the entries that differ in some bits of their index, is in the cache.

    Attributes:
        tile: Its bits, ascending; those of every step are among them.
        steps: In order.
    """

    tile: tuple[int, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """Passes over a vector of 2^bits entries, in order."""

    bits: int
    passes: tuple[Pass, ...]
    _encoded: dict[Any, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All of them, in an order that gives the same state as the one in which they were asked for."""
        return tuple(step for each in self.passes for step in each.steps)

    def encoded(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """The program as `sources/passes.h` reads it: integers, and numbers in a precision."""
        key = np.dtype(dtype)
        if key not in self._encoded:
            self._encoded[key] = _encode(self.passes, key)
        return self._encoded[key]


def _encode(passes: Sequence[Pass], dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    code, numbers, used = [len(passes)], [np.zeros(0, dtype)], 0
    for each in passes:
        place = {bit: k for k, bit in enumerate(each.tile)}
        code += [len(each.tile), len(each.steps), *each.tile]
        for step in each.steps:
            code += [int(step.is_diagonal), len(step.bits), *(place[bit] for bit in step.bits), used]
            numbers.append(np.asarray(step.numbers, dtype).reshape(-1))
            used += step.numbers.size
    return np.array(code, np.int32), np.concatenate(numbers)


def one_step(step: Step, bits: int, itemsize: int) -> Program:
    """The program of one step on a vector of 2^bits entries, with tiles whose rows are as long as they can be."""
    size = max(len(step.bits), min(bits, (TILE_BYTES // itemsize).bit_length() - 1))
    rest = [bit for bit in range(bits) if bit not in step.bits]
    tile = sorted([*step.bits, *rest[: size - len(step.bits)]])
    return Program(bits, (Pass(tuple(tile), (step,)),))


def bits_of(dims: Sequence[int], axes: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Bits of the index of a vector with these digits (powers of two), and those of some digits, descending."""
    widths = [size.bit_length() - 1 for size in dims]
    left = sum(widths)
    total, tops = left, []
    for width in widths:
        tops.append(left - 1)
        left -= width
    return total, tuple(tops[axis] - k for axis in axes for k in range(widths[axis]))
