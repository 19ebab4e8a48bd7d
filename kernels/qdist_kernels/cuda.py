"""Programs as the kernel for GPUs (`sources/tiles.h`) reads them: where entries lie in shared memory, who takes which.

Shared memory has 32 banks of 4 bytes, and the lanes of a warp are served at once if no two of them meet in a bank. Bits
of a step are those that lanes cannot differ in, so the bank of an entry must depend on all bits of its index: it is a
codeword's symbol of a cyclic code. Whichever 5 bits of a tile's 14 a step has, 5 others reach all banks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from qdist_kernels.program import ON_CUDA, Pass, Program, Step, one_step

CODE = 512
"""Integers of a launch, always: one shape is compiled, and three blocks' share of the memory is not exceeded."""

NUMBERS_BYTES = 2**13, 2**14
"""Of the numbers of a launch: at least, and at most unless one matrix is larger. With the larger one two blocks share a
multiprocessor instead of three, which costs less than to read the vector once more."""

BANKS = {4: (5, 0b101011), 8: (4, 0b10011)}
"""Bits of a bank's number, and the polynomial of the code, by the bytes of an entry. BCH [15, 5, 7], with the check
polynomial x⁵ + x³ + x + 1; and for doubles, which 16 lanes read at a time, the simplex code [15, 4, 8]: x⁴ + x + 1."""


@dataclass(frozen=True, eq=False)
class Launch:
    """What one call of the kernel does.

    Attributes:
        tile_bits: Of a tile.
        code: int32, shape (CODE,).
        numbers: Matrices and factors.
    """

    tile_bits: int
    code: np.ndarray
    numbers: np.ndarray


def is_fit(bits: int) -> bool:
    """Whether the kernel takes vectors of 2^bits entries."""
    return bits >= ON_CUDA.least_bits


@cache
def addresses(tile_bits: int, itemsize: int) -> tuple[int, ...]:
    """Where entries lie, in bytes, of whose index in a tile one bit is 1; others lie at the sum (XOR) of their bits'.

    Bit b lies in bank x^b, a remainder modulo the code's polynomial.
    """
    width, polynomial = BANKS[itemsize]
    bank, found = 1, []
    for bit in range(tile_bits):
        found.append(itemsize * (bank | (1 << bit >> width << width)))
        bank <<= 1
        bank ^= polynomial * (bank >> width)
    return tuple(found)


def launches(program: Program, dtype: Any) -> tuple[Launch, ...]:
    """A program, one pass after another; a pass with too many steps for one launch becomes several."""
    return tuple(_launch(each, np.dtype(dtype)) for each in _parts(program, np.dtype(dtype).itemsize))


def _parts(program: Program, itemsize: int) -> Iterator[Pass]:
    """The passes that the kernel can do; those that were planned for other tiles step by step."""
    size = ON_CUDA.bits(program.bits, itemsize)
    for each in program.passes:
        if len(each.tile) <= size and len(each.tile) >= ON_CUDA.least_bits and each.tile[1] == 1:
            yield from _divided(each, itemsize)
        else:
            for step in each.steps:
                yield from one_step(step, program.bits, itemsize, ON_CUDA).passes


def _divided(each: Pass, itemsize: int) -> Iterator[Pass]:
    steps: list[Step] = []
    used, numbers = _head(each.tile), 0
    for step in each.steps:
        length, many = _length(step, len(each.tile)), _rounded(step.numbers.size)
        if steps and (used + length > CODE or (numbers + many) * itemsize > NUMBERS_BYTES[1]):
            yield Pass(each.tile, tuple(steps))
            steps, used, numbers = [], _head(each.tile), 0
        steps.append(step)
        used, numbers = used + length, numbers + many
    yield Pass(each.tile, tuple(steps))


def _launch(each: Pass, dtype: np.dtype) -> Launch:
    size, gaps = len(each.tile), _gaps(each.tile)
    code = [len(each.steps), len(gaps), 0, 0, *(part for gap in gaps for part in gap)]
    code += [*addresses(size, dtype.itemsize), *each.tile]
    code += [0] * (_head(each.tile) - len(code))
    place = {bit: k for k, bit in enumerate(each.tile)}
    numbers: list[np.ndarray] = []
    used = 0
    for step in each.steps:
        rows, lanes = _addressed(tuple(place[bit] for bit in step.bits), size, dtype.itemsize)
        matrix = np.asarray(step.numbers, dtype)
        factors, sources = _monomial(matrix)
        record = [*rows.tolist(), *([] if factors is None else rows[sources].tolist()), *lanes]
        record += [0] * (-len(record) % 4)
        code += [int(factors is None), len(step.bits), used, len(record), *record]
        kept = (matrix if factors is None else factors).reshape(-1)
        numbers.append(np.pad(kept, (0, _rounded(kept.size) - kept.size)))
        used += numbers[-1].size
    length = max(NUMBERS_BYTES[0] // dtype.itemsize, 1 << (used - 1).bit_length())
    padded = np.zeros(length, dtype)
    padded[:used] = np.concatenate(numbers)
    return Launch(size, np.array(code + [0] * (CODE - len(code)), np.int32), padded)


@cache
def _addressed(places: tuple[int, ...], size: int, itemsize: int) -> tuple[np.ndarray, list[int]]:
    """Addresses of the rows of a step on these bits of a tile, and those of the tile's other bits, lanes' first."""
    at = addresses(size, itemsize)
    rest = [part for place, part in enumerate(at) if place not in places]
    return _sums([at[place] for place in reversed(places)]), _lanes_first(rest, itemsize)


def _head(tile: Sequence[int]) -> int:
    return _rounded(4 + 2 * len(_gaps(tile)) + 2 * len(tile))


def _length(step: Step, size: int) -> int:
    """At most, whatever the step's numbers are."""
    return 4 + _rounded(2 * 2 ** len(step.bits) + size - len(step.bits))


def _rounded(count: int) -> int:
    """Up to whole chunks of 16 bytes."""
    return -(-count // 4) * 4


def _gaps(tile: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of a tile's bits: the first, and how many."""
    firsts = [bit for bit in tile if bit - 1 not in tile]
    return [(first, next(k for k in range(1, len(tile) + 1) if first + k not in tile)) for first in firsts]


def _sums(parts: Sequence[int]) -> np.ndarray:
    """The sum (XOR) of the parts of each number's bits."""
    sums = np.zeros(1, np.int64)
    for part in parts:
        sums = np.concatenate([sums, sums ^ part])
    return sums


def _monomial(matrix: np.ndarray) -> tuple[np.ndarray | None, Any]:
    """If no row has more than one entry: those, and in which columns they are."""
    if matrix.ndim == 1:
        return matrix, slice(None)
    if np.count_nonzero(matrix, axis=1).max() > 1:
        return None, None
    columns = np.abs(matrix).argmax(axis=1)
    return matrix[np.arange(len(matrix)), columns], columns


def _lanes_first(parts: list[int], itemsize: int) -> list[int]:
    """Parts of addresses, those first that together reach all banks."""
    chosen: list[int] = []
    reached = {0}
    for part in parts:
        bank = part // itemsize % 2 ** BANKS[itemsize][0]
        if bank not in reached:
            chosen.append(part)
            reached |= {other ^ bank for other in reached}
    return chosen + [part for part in parts if part not in chosen]
