"""Programs: small matrices on bits of a vector's index, grouped into passes, and how native code is told them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from qdist_kernels.stages import Stage

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
        part_bytes: Of a part that takes many passes before the next part does; `None` if vectors are not cut into any.
        part_rows: The lowest bits that are in every part: memory is far away, and read best in long rows.
        staged_bits: Vectors of at least this many bits are worth finding the stages of a dense matrix for.
    """

    num_bytes: int
    reading: Mapping[int, float]
    whole_bits: int
    parts_bits: int
    least_bits: int
    part_bytes: int | None
    part_rows: int
    staged_bits: float

    def bits(self, bits: int, itemsize: int) -> int:
        """Bits of a tile of a vector that has 2^bits entries."""
        if bits <= self.whole_bits:
            return bits
        return min(max(bits - self.parts_bits, self.least_bits), (self.num_bytes // itemsize).bit_length() - 1)

    def part(self, bits: int, itemsize: int) -> int:
        """Bits of a part of it: all, unless there are at least 2^parts_bits parts."""
        size = bits if self.part_bytes is None else (self.part_bytes // itemsize).bit_length() - 1
        return size if bits >= size + self.parts_bits else bits


ON_HOST = Tiles(
    num_bytes=2**18,
    reading={4: 4.0, 6: 2.0, 8: 1.7},
    whole_bits=14,
    parts_bits=2,
    least_bits=0,
    part_bytes=2**22,
    part_rows=8,
    staged_bits=16,
)
"""Half of the L2 cache that processors have had since 2019; four tiles for the cores to share. On 2¹⁴ entries or fewer,
cores would wait for each other longer than they compute. What reading costs is measured. The L3 cache holds a part for
each core."""

ON_CUDA = Tiles(
    num_bytes=2**16,
    reading={4: 5.0, 6: 4.6, 8: 4.5},
    whole_bits=10,
    parts_bits=8,
    least_bits=10,
    part_bytes=None,
    part_rows=0,
    staged_bits=math.inf,
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
        stages: The same matrix on two digits as a product of sparse ones, if there are any; the first acts first.
    """

    bits: tuple[int, ...]
    numbers: np.ndarray
    stages: tuple[Stage, ...] = ()

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
class Group:
    """Passes that a part of the vector takes one after another before the next part does, so that it stays in a cache.

    Attributes:
        part: The bits in which the entries of a part differ, ascending; those of every tile are among them.
        passes: In order.
    """

    part: tuple[int, ...]
    passes: tuple[Pass, ...]


def integers_and_numbers(program: "Program", dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """A program as `sources/passes.h` reads it."""
    code, numbers, used = [len(program.groups)], [np.zeros(0)], 0
    for group in program.groups:
        code += [len(group.part), len(group.passes), *group.part]
        for each in group.passes:
            place = {bit: k for k, bit in enumerate(each.tile)}
            code += [len(each.tile), len(each.steps), *each.tile]
            for step in each.steps:
                code += [int(step.is_diagonal), len(step.bits), *(place[bit] for bit in step.bits), used]
                code.append(len(step.stages))
                for stage in step.stages:
                    places = zip(stage.blocks.kinds, stage.blocks.columns, stage.blocks.rows, strict=True)
                    code += [number for kind, columns, rows in places for number in (kind, *columns, *rows)]
                parts = [np.reshape(part, -1) for part in (step.numbers, *(stage.numbers for stage in step.stages))]
                numbers += parts
                used += sum(map(len, parts))
    return np.array(code, np.int32), np.concatenate(numbers).astype(dtype)


@dataclass(frozen=True, eq=False)
class Program:
    """Groups of passes over a vector of 2^bits entries, in order."""

    bits: int
    groups: tuple[Group, ...]
    _encoded: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Those of all groups."""
        return tuple(each for group in self.groups for each in group.passes)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All of them, in an order that gives the same state as the one in which they were asked for."""
        return tuple(step for each in self.passes for step in each.steps)

    def encoded(self, dtype: Any, encode: Callable[["Program", Any], Any] = integers_and_numbers) -> Any:
        """The program in a precision as a kernel reads it; it is kept for the next time."""
        key = encode, np.dtype(dtype)
        if key not in self._encoded:
            self._encoded[key] = encode(self, key[1])
        return self._encoded[key]


def in_one_group(bits: int, passes: tuple[Pass, ...]) -> Program:
    """The program of passes that the whole vector takes one after another."""
    return Program(bits, (Group(tuple(range(bits)), passes),))


def one_step(step: Step, bits: int, itemsize: int, tiles: Tiles) -> Program:
    """The program of one step on a vector of 2^bits entries, with tiles whose rows are as long as they can be."""
    size = max(len(step.bits), tiles.bits(bits, itemsize))
    rest = [bit for bit in range(bits) if bit not in step.bits]
    tile = sorted([*step.bits, *rest[: size - len(step.bits)]])
    return in_one_group(bits, (Pass(tuple(tile), (step,)),))


def bits_of(dims: Sequence[int], axes: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Bits of the index of a vector with these digits (powers of two), and those of some digits, descending."""
    return _bits_of(tuple(dims), tuple(axes))


@lru_cache(maxsize=4096)
def _bits_of(dims: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    widths = [size.bit_length() - 1 for size in dims]
    left = sum(widths)
    total, tops = left, []
    for width in widths:
        tops.append(left - 1)
        left -= width
    return total, tuple(tops[axis] - k for axis in axes for k in range(widths[axis]))
