"""Programs of batches of shots for a GPU: all that happens to a batch is one call of one kernel (`sources/shots.h`).

A shot of a repeater chain is some hundred numbers and some thousand products of them. Step by step, a device would be
asked fifty times a batch, which takes it milliseconds, and every step would read and write all vectors. One jitted
program of the whole would be compiled anew for each plan, by seconds for tens of steps. So the program is data, which
one kernel interprets: a thread has a shot from its first vector to what is seen of it. What threads hold stays in the
GPU's caches; its memory sees only the numbers that come and the results that go, half a kilobyte a shot. Random numbers
of draws are made where they are used, the same ones as on the host.

A few thousand shots take the host a few milliseconds, and a device seconds before the first one: `is_used_for` says
which of the two takes the batches of a job.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist_kernels import native
from qdist_kernels.batches import grouped
from qdist_kernels.staging import on_host

LEAST_SHOTS = 2**20
"""Of a job that a GPU takes: two cores of a host make a hundred thousand a second, and JAX and its device need some
seconds until they can begin."""

BATCH = 2**17
"""Shots that a GPU takes at a time: two for each thread."""

LANES = 2**16
"""Threads, at most: an H100 has 132 multiprocessors for up to 2048 each."""

WORK_BYTES = 2**26
"""What all of them hold together, if that leaves `LEAST_LANES`: more would not stay in the cache of a GPU."""

LEAST_LANES = 2**14

LARGEST = 2**13
"""Rows that a thread may hold: half a gigabyte of all threads in float32."""

NONE, NUMBERS, WORK, RESULTS, VALUES, CHOICE = range(-1, 5)
SUMS, DRAWS, TESTS, BOTH = range(1, 5)
MOST_BITS = 16
"""That a table of answers is asked."""


def is_used_for(shots: int) -> bool:
    """Whether a GPU takes the batches of a job with so many shots, if it can (`Writer` says)."""
    return shots >= LEAST_SHOTS and native.is_used_on_gpu()


class UnfitError(Exception):
    """A program that the kernel cannot run; the host does it step by step."""


@dataclass(frozen=True)
class Place:
    """Where some numbers of a shot are: `size` rows from `base` on."""

    kind: int
    base: int
    size: int = 1


@dataclass(frozen=True)
class Value:
    """An entry of a matrix: a number, a row of numbers that come with the batch, or a choice by a row of `work`."""

    kind: int
    index: int
    by: int = 0


@dataclass(frozen=True, eq=False)
class Shots:
    """A program.

    Attributes:
        code: int32; its length is a power of two.
        numbers: The same for all shots.
        values: Rows that come with each batch.
        results: Rows that are given; the first tells which draw was impossible, from 1, or 0.
        work: Rows that a thread holds.
    """

    code: np.ndarray
    numbers: np.ndarray
    values: int
    results: int
    work: int


def run(program: Shots, values: np.ndarray, *, seed: int, first: int) -> np.ndarray:
    """Run a batch.

    Args:
        program: What to do.
        values: Shape (rows, shots), of the program's precision.
        seed: Of the random numbers.
        first: The number of the first shot, a multiple of 4.

    Returns:
        Shape (rows, shots).
    """
    where = np.array([seed & (2**64 - 1), first], np.uint64).view(np.int32)
    return on_host(native.run_shots(program, values, where, _lanes(program, values.shape[1])))


def num_bytes(program: Shots, shots: int) -> int:
    """What a batch of so many takes on a device, and at most on the host."""
    rows = (program.values + program.results) * shots + program.work * _lanes(program, shots)
    return rows * program.numbers.itemsize


def _lanes(program: Shots, shots: int) -> int:
    return min(LANES, max(LEAST_LANES, WORK_BYTES // (program.work * program.numbers.itemsize)), shots)


@dataclass
class Writer:
    """Writes a program, step by step. Bits and chosen outcomes are rows like other numbers."""

    dtype: Any
    values: int = 0
    results: int = 1
    draws: int = 0
    _code: list[int] = field(default_factory=list)
    _numbers: list[np.ndarray] = field(default_factory=list)
    _used: int = 0
    _known: dict[tuple[float, ...], int] = field(default_factory=dict)
    _work: int = 0
    _free: dict[int, list[int]] = field(default_factory=dict)

    # -- places

    def shared(self, numbers: Any) -> Place:
        """Numbers that are the same for all shots; those that are there already are not stored again."""
        array = np.array(numbers, self.dtype).reshape(-1)
        key = tuple(array.tolist())
        if key not in self._known:
            self._known[key] = self._used
            self._numbers.append(array)
            self._used += array.size
        return Place(NUMBERS, self._known[key], array.size)

    def number(self, value: float) -> Value:
        return Value(NUMBERS, self.shared([value]).base)

    def choice(self, values: Sequence[float], by: Place) -> Value:
        """The one of some numbers that a row tells; a number if they are all the same."""
        if len(set(values)) == 1:
            return self.number(values[0])
        return Value(CHOICE, self.shared(values).base, by.base)

    def given(self) -> Value:
        """A new row of numbers that come with a batch."""
        self.values += 1
        return Value(VALUES, self.values - 1)

    def result(self, size: int = 1) -> Place:
        """New rows that are given."""
        self.results += size
        return Place(RESULTS, self.results - size, size)

    def room(self, size: int = 1) -> Place:
        """Rows of a thread, until they are given back."""
        waiting = self._free.get(size)
        if waiting:
            return Place(WORK, waiting.pop(), size)
        self._work += size
        if self._work > LARGEST:
            raise UnfitError(f"A thread may hold {LARGEST} numbers.")
        return Place(WORK, self._work - size, size)

    def free(self, place: Place) -> None:
        if place.kind == WORK:
            self._free.setdefault(place.size, []).append(place.base)

    # -- steps

    def contract(
        self,
        entries: Sequence[tuple[int, int, Value]],
        into: tuple[tuple[int, ...], tuple[int, ...]],
        left: tuple[Place, tuple[int, ...], tuple[int, ...]],
        right: tuple[Place, tuple[int, ...], tuple[int, ...]] | None = None,
        *,
        factor: Place | None = None,
        out: Place | None = None,
    ) -> Place:
        """`batches.contract`, `replace` or `contract_two`: sizes of digits and which of them are contracted, or new.

        Args:
            entries: Row, column and value of each entry of the matrix.
            into: Digits of the result.
            left: The vector and its digits.
            right: The other one of which the tensor product is taken.
            factor: A row by which all is multiplied.
            out: Where the result goes; rows of the thread unless given.
        """
        places = tuple((row, column) for row, column, _ in entries)
        others = None if right is None else right[1:]
        order, given, groups, columns = grouped(places, (into, left[1:], others))
        return self.add_up(
            [[int(k) for k in part] for each in given for part in each],
            [list(map(int, group)) for group in groups],
            [(int(column), entries[k][2]) for column, k in zip(columns, order, strict=True)],
            left[0],
            None if right is None else right[0],
            factor=factor,
            out=out or self.room(math.prod(into[0])),
        )

    def take(self, vector: Place, positions: Sequence[int], *, out: Place | None = None) -> Place:
        """Some entries of a vector, in this order."""
        return self.multiply(vector, positions, out=out)

    def multiply(
        self,
        vector: Place,
        positions: Sequence[int],
        other: Place | None = None,
        others: Sequence[int] = (0,),
        *,
        out: Place | None = None,
    ) -> Place:
        """The tensor product of some entries of two vectors."""
        count = len(positions) * len(others)
        places = [[0], list(range(count)), [0], list(positions), [0], list(others)]
        out = out or self.room(count)
        return self.add_up(places, [[0, 0, 0, 1]], [(0, self.number(1.0))], vector, other, factor=None, out=out)

    def add_up(
        self,
        places: Sequence[Sequence[int]],
        groups: Sequence[Sequence[int]],
        entries: Sequence[tuple[int, Value]],
        left: Place,
        right: Place | None,
        *,
        factor: Place | None,
        out: Place,
    ) -> Place:
        """Write the sums that `sources/shots.h` describes; rows without an entry become 0."""
        to, _, columns, firsts, others, seconds = places
        told: list[int] = []
        seen: set[int] = set()
        for row, other, first, count in groups:
            told += [row, other, first, count, int(row in seen)]
            seen.add(row)
        for row in sorted(set(range(len(to))) - seen):
            told += [row, 0, 0, 0, 0]
        head = [*self._at(out), *self._at(left), *self._at(right), -1 if factor is None else factor.base]
        head += [len(to), len(firsts), len(others), len(seconds), len(told) // 5, len(columns)]
        flat = [part for column, value in entries for part in (column, value.kind, value.index, value.by)]
        self._write(SUMS, head, *places, told, flat)
        return out

    def draw(
        self,
        left: tuple[Place, Sequence[int]],
        right: tuple[Place, Sequence[int]] | None,
        chances: Any,
        *,
        purpose: int,
        flips: Sequence[float] | None,
        flag: Place | None,
        otherwise: Place | None,
    ) -> tuple[Place, Place, Place]:
        """Draw an outcome.

        Args:
            left: A vector, and where the entries are that chances are sums of.
            right: The other one of which the tensor product is taken.
            chances: What each outcome's probability has of each entry, shape (2, entries).
            purpose: Of the random number.
            flips: How likely each outcome is read as the other one.
            flag: A row that is 0 where nothing happens.
            otherwise: The bit that is read there.

        Returns:
            The bit that is read; the outcome, 2 where nothing happened; and one over the probability of the outcome.
        """
        both, bit = self.room(2), self.room()
        self.draws += 1
        others = (None, (0,)) if right is None else right
        head = [*self._at(left[0]), *self._at(others[0]), len(left[1]), len(others[1]), self.shared(chances).base]
        head += [purpose, -1 if flips is None else self.shared(flips).base, -1 if flag is None else flag.base]
        head += [both.base, bit.base, *self._at(otherwise), self.draws, 0]
        self._write(DRAWS, head, left[1], others[1])
        return bit, Place(WORK, both.base), Place(WORK, both.base + 1)

    def test(self, bits: Sequence[Place], *, parity: int | None = None, answers: Sequence[bool] = ()) -> Place:
        """Whether the sum of bits is odd or even, or the answer to the integer that they make, the first bit least."""
        if parity is None and len(bits) > MOST_BITS:
            raise UnfitError(f"A table has answers for {MOST_BITS} bits.")
        out = self.room()
        table = -1 if parity is not None else self.shared(np.asarray(answers, float)).base
        self._write(TESTS, [out.base, table, parity or 0, len(bits)], [bit.base for bit in bits])
        return out

    def both(self, first: Place, second: Place) -> Place:
        """The product of two rows."""
        out = self.room()
        self._write(BOTH, [out.base, first.base, second.base])
        return out

    def _at(self, place: Place | None) -> tuple[int, int]:
        return (NONE, 0) if place is None else (place.kind, place.base)

    def _write(self, does: int, *parts: Sequence[int]) -> None:
        told = [number for part in parts for number in part]
        self._code += [does, len(told) + 2, *told]

    def program(self) -> Shots:
        """All that was written."""
        code = np.zeros(1 << max(6, len(self._code).bit_length()), np.int32)
        code[: len(self._code)] = self._code
        numbers = np.zeros(1 << max(6, self._used.bit_length()), self.dtype)
        numbers[: self._used] = np.concatenate([*self._numbers, np.zeros(0)])
        return Shots(code, numbers, max(1, self.values), self.results, max(1, self._work))
