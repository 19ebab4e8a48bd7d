"""Programs: small matrices on bits of a vector's index, grouped into passes, and how native code is told them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist_kernels.stages import Stage

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


@dataclass(frozen=True, eq=False)
class Program:
    """Groups of passes over a vector of 2^bits entries, in order."""

    bits: int
    groups: tuple[Group, ...]
    _encoded: dict[Any, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Those of all groups."""
        return tuple(each for group in self.groups for each in group.passes)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All of them, in an order that gives the same state as the one in which they were asked for."""
        return tuple(step for each in self.passes for step in each.steps)

    def encoded(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """The program as `sources/passes.h` reads it: integers, and numbers in a precision."""
        key = np.dtype(dtype)
        if key not in self._encoded:
            self._encoded[key] = _encode(self.groups, key)
        return self._encoded[key]


def _encode(groups: Sequence[Group], dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    code, numbers, used = [len(groups)], [np.zeros(0)], 0
    for group in groups:
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


def one_step(step: Step, bits: int, itemsize: int) -> Program:
    """The program of one step on a vector of 2^bits entries, with tiles whose rows are as long as they can be."""
    size = max(len(step.bits), min(bits, (TILE_BYTES // itemsize).bit_length() - 1))
    rest = [bit for bit in range(bits) if bit not in step.bits]
    tile = sorted([*step.bits, *rest[: size - len(step.bits)]])
    return Program(bits, (Group(tuple(range(bits)), (Pass(tuple(tile), (step,)),)),))


def bits_of(dims: Sequence[int], axes: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """Bits of the index of a vector with these digits (powers of two), and those of some digits, descending."""
    widths = [size.bit_length() - 1 for size in dims]
    left = sum(widths)
    total, tops = left, []
    for width in widths:
        tops.append(left - 1)
        left -= width
    return total, tuple(tops[axis] - k for axis in axes for k in range(widths[axis]))
