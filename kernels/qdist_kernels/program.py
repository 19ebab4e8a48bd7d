"""Programs: small matrices on bits of a vector's index, grouped into passes, and how native code is told them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LARGEST_STEP = 6
"""Bits that a step of a native kernel may have."""


@dataclass(frozen=True, eq=False)
class Tiles:
    """How vectors are cut into tiles where they lie.

    Attributes:
        num_bytes: Of a tile.
        reading: Bits of a row (the lowest bits, which are in every tile: so many neighbors in memory), and for each how
            long it takes to read a tile and write it back, in dense steps on it. Longer rows are read faster, shorter
            ones leave more bits to choose.
        whole_bits: Vectors of at most this many bits are one tile.
        parts_bits: Larger ones are at least 2^parts_bits tiles, if those have no fewer than `least_bits`.
        least_bits: Of a tile.
        beginnings: With how many of the steps that wait a pass may begin. The best one is looked for, which takes time.
    """

    num_bytes: int
    reading: Mapping[int, float]
    whole_bits: int
    parts_bits: int
    least_bits: int
    beginnings: int

    def bits(self, bits: int, itemsize: int) -> int:
        """Bits of a tile of a vector that has 2^bits entries."""
        if bits <= self.whole_bits:
            return bits
        return min(max(bits - self.parts_bits, self.least_bits), (self.num_bytes // itemsize).bit_length() - 1)


ON_HOST = Tiles(
    num_bytes=2**18, reading={4: 4.0, 6: 2.0, 8: 1.7}, whole_bits=14, parts_bits=2, least_bits=0, beginnings=0
)
"""Half of the L2 cache that processors have had since 2019; four tiles for the cores to share. On 2¹⁴ entries or fewer,
cores would wait for each other longer than they compute. What reading costs is measured."""

ON_CUDA = Tiles(
    num_bytes=2**16, reading={4: 5.0, 6: 4.6, 8: 4.5}, whole_bits=10, parts_bits=8, least_bits=10, beginnings=16
)
"""A third of the shared memory of a multiprocessor. A dense two-qubit step takes 2⁴ products an entry, 0.51 ms for 4¹⁵
entries at the peak of an H100 and about 0.65 ms with what surrounds them; reading and writing these takes 2.9 ms, and
longer where a row is half a line of 128 bytes. Any step finds room beside the shortest rows in 2¹⁰ entries."""


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


def integers_and_numbers(program: "Program", dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """A program as `sources/passes.h` reads it."""
    code, numbers, used = [len(program.passes)], [np.zeros(0, dtype)], 0
    for each in program.passes:
        place = {bit: k for k, bit in enumerate(each.tile)}
        code += [len(each.tile), len(each.steps), *each.tile]
        for step in each.steps:
            code += [int(step.is_diagonal), len(step.bits), *(place[bit] for bit in step.bits), used]
            numbers.append(np.asarray(step.numbers, dtype).reshape(-1))
            used += step.numbers.size
    return np.array(code, np.int32), np.concatenate(numbers)


@dataclass(frozen=True, eq=False)
class Program:
    """Passes over a vector of 2^bits entries, in order."""

    bits: int
    passes: tuple[Pass, ...]
    _encoded: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All of them, in an order that gives the same state as the one in which they were asked for."""
        return tuple(step for each in self.passes for step in each.steps)

    def encoded(self, dtype: Any, encode: Callable[["Program", Any], Any] = integers_and_numbers) -> Any:
        """The program in a precision as a kernel reads it; it is kept for the next time."""
        key = encode, np.dtype(dtype)
        if key not in self._encoded:
            self._encoded[key] = encode(self, key[1])
        return self._encoded[key]


def one_step(step: Step, bits: int, itemsize: int, tiles: Tiles) -> Program:
    """The program of one step on a vector of 2^bits entries, with tiles whose rows are as long as they can be."""
    size = max(len(step.bits), tiles.bits(bits, itemsize))
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
