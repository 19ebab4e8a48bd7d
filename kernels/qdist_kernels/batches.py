"""Batches of small vectors on the host: shots lie next to one another, so an operation is a few sweeps over all shots.

A batch has shape (shots, entries) like every other, but is stored entry by entry (its transpose is contiguous). Kernels
give batches that are stored so, and take others as well. A product of one tiny matrix with one tiny vector, shot by
shot, would cost a call each; here each entry of the matrix that is not zero costs one sweep.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from qdist_kernels import native

SPARSE = 64
"""Entries of a matrix up to which it is applied one by one; for more, a copy and a matrix product take less time."""


@dataclass(frozen=True, eq=False)
class Entries:
    """One matrix a shot, by the entries that are not zero in all shots.

    Attributes:
        shape: Rows and columns.
        places: Row and column of each entry, row by row.
        values: Of each entry: a number, or an array with one a shot.
    """

    shape: tuple[int, int]
    places: tuple[tuple[int, int], ...]
    values: tuple[Any, ...]

    def dense(self, shots: int) -> np.ndarray:
        """Shape (shots, rows, columns)."""
        array = np.zeros((shots, *self.shape))
        for (row, column), value in zip(self.places, self.values, strict=True):
            array[:, row, column] = value
        return array

    @property
    def shots(self) -> int:
        """How many there are; 1 if they are all the same."""
        return next((len(value) for value in self.values if isinstance(value, np.ndarray)), 1)


def entries_of(matrix: np.ndarray) -> Entries:
    """A matrix (rows, columns), or one a shot (shots, rows, columns), by its entries."""
    rows, columns = matrix.shape[-2:]
    if matrix.ndim == 2:
        at = np.nonzero(matrix)
        places = tuple(zip(at[0].tolist(), at[1].tolist(), strict=True))
        return Entries((rows, columns), places, tuple(matrix[at].tolist()))
    found = {(r, c): matrix[:, r, c] for r in range(rows) for c in range(columns) if matrix[:, r, c].any()}
    return Entries((rows, columns), tuple(found), tuple(np.ascontiguousarray(value) for value in found.values()))


def chosen(matrices: Sequence[np.ndarray], which: np.ndarray, factor: np.ndarray | None = None) -> Entries:
    """Matrix number `which[s]` in shot s, times `factor[s]`.

    Args:
        matrices: All of one shape.
        which: Integers, shape (shots,).
        factor: Shape (shots,).
    """
    table = np.stack(matrices)
    places, values = [], []
    known: dict[tuple[float, ...], Any] = {}
    for row, column in np.ndindex(*table.shape[1:]):
        choices = tuple(table[:, row, column].tolist())
        if not any(choices):
            continue
        if choices not in known:
            same = len(set(choices)) == 1
            value: Any = choices[0] if same else np.asarray(choices)[which]
            known[choices] = value if factor is None else value * factor
        places.append((row, column))
        values.append(known[choices])
    return Entries((int(table.shape[1]), int(table.shape[2])), tuple(places), tuple(values))


def contract(vector: np.ndarray, matrix: Any, *, dims: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """Contract digits with one matrix for all shots or one a shot, and put the new digits in front.

    v'[s, a, rest] = Σ_b W[s, a, b] v[s, b, rest]

    Args:
        vector: Shape (shots, prod(dims)), or (prod(dims),) if the matrix is one a shot.
        matrix: An array (rows, columns) or (shots, rows, columns), or `Entries`.
        dims: Size of each digit.
        axes: Which digits, ascending.

    Returns:
        Shape (shots, rows · rest).
    """
    rest = (dims[k] for k in range(len(dims)) if k not in axes)
    return _contracted(_Digits(_batch(vector), dims, axes), None, matrix, (matrix.shape[-2], *rest), (0,), vector.dtype)


def replace(vector: np.ndarray, matrix: Any, *, dims: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """Contract digits with a square matrix; the new digits stand where the old ones did. Else as `contract`.

    v'[s, …, a, …] = Σ_b W[s, a, b] v[s, …, b, …]
    """
    return _contracted(_Digits(_batch(vector), dims, axes), None, matrix, dims, axes, vector.dtype)


def contract_two(
    first: np.ndarray,
    second: np.ndarray,
    matrix: Entries,
    *,
    dims: tuple[int, ...],
    axes: tuple[int, ...],
    cut: int,
) -> np.ndarray:
    """`contract` of the tensor product of two vectors, of which one or both are a batch; it is never written out.

    v'[s, a, rest₁, rest₂] = Σ_bc W[s, a, b, c] v₁[s, b, rest₁] v₂[s, c, rest₂]

    Args:
        first: Has the digits before `cut`.
        second: Has the others.
        matrix: Of each shot.
        dims: Size of each digit of both.
        axes: Which digits, ascending.
        cut: How many digits the first one has.
    """
    left = _Digits(_batch(first), dims[:cut], tuple(a for a in axes if a < cut))
    right = _Digits(_batch(second), dims[cut:], tuple(a - cut for a in axes if a >= cut))
    rest = math.prod(dims) // math.prod(dims[a] for a in axes)
    return _contracted(left, right, matrix, (matrix.shape[0], rest), (0,), first.dtype)


def _batch(vector: np.ndarray) -> np.ndarray:
    """Stored entry by entry: shape (entries, shots), or (entries, 1) if all shots share it."""
    return by_entry(vector if vector.ndim == 2 else vector[None])


@dataclass(frozen=True, eq=False)
class _Digits:
    """A batch, and which of its digits are contracted or new."""

    array: np.ndarray
    dims: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def shots(self) -> int:
        return self.array.shape[-1]

    def front(self) -> np.ndarray:
        """The digits at `axes` first, then the others, then the shots: a view."""
        rest = [k for k in range(len(self.dims)) if k not in self.axes]
        return self.array.reshape(*self.dims, -1).transpose(*self.axes, *rest, -1)

    def rows(self) -> list[np.ndarray]:
        """The view of the other digits and the shots for each value of the digits at `axes`."""
        front = self.front()
        return [front[index] for index in np.ndindex(front.shape[: len(self.axes)])]


def _places(dims: tuple[int, ...], axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which entries the values of the digits at `axes` stand for, and those of the others; they add up."""
    positions = np.arange(math.prod(dims)).reshape(dims)
    front = positions.transpose(*axes, *(k for k in range(len(dims)) if k not in axes))
    table = front.reshape(math.prod(dims[a] for a in axes), -1)
    return table[:, 0], table[0]


def _contracted(
    left: _Digits, right: _Digits | None, matrix: Any, dims: tuple[int, ...], axes: tuple[int, ...], dtype: Any
) -> np.ndarray:
    """A new batch with digits `dims`, of which those at `axes` are the rows of the matrix."""
    entries = matrix if isinstance(matrix, Entries) else entries_of(matrix)
    shots = max(left.shots, 1 if right is None else right.shots, entries.shots)
    result = _Digits(np.empty((math.prod(dims), shots), dtype), dims, axes)
    if dtype in native.SUFFIXES and native.is_used():
        _by_native(result, left, right, entries)
    elif right is not None:
        _by_products(result, left, right, entries)
    elif len(entries.places) > SPARSE and entries.shots == 1:
        target = result.front()
        moved = np.matmul(entries.dense(1)[0].astype(dtype), left.front().reshape(entries.shape[1], -1))
        target[...] = moved.reshape(target.shape)
    else:
        columns = left.rows()
        values = (np.asarray(value, dtype) for value in entries.values)
        terms = zip(entries.places, values, strict=True)
        _sum_terms(result.rows(), ((row, columns[column], value) for (row, column), value in terms))
    return result.array.T


def _by_products(result: _Digits, left: _Digits, right: _Digits, entries: Entries) -> None:
    """For each row and each value of the second vector's digits, first what the first vector gives."""
    first, second = left.rows(), right.rows()
    parts: dict[tuple[int, int], np.ndarray] = {}
    for (row, column), value in zip(entries.places, entries.values, strict=True):
        part = first[column // len(second)] * np.asarray(value, result.array.dtype)
        place = row, column % len(second)
        parts[place] = parts[place] + part if place in parts else part
    rows = result.array.reshape(entries.shape[0], math.prod(first[0].shape[:-1]), -1, result.shots)
    flat = [column.reshape(-1, column.shape[-1]) for column in second]
    terms = ((row, part.reshape(-1, 1, part.shape[-1]), flat[column]) for (row, column), part in parts.items())
    _sum_terms(rows, terms)


def _sum_terms(rows: Any, terms: Iterable[tuple[int, Any, Any]]) -> None:
    """Each row becomes the sum of the products of its terms: the first is written, the others are added."""
    term = np.empty(rows[0].shape, rows[0].dtype)
    empty = set(range(len(rows)))
    for row, one, two in terms:
        if row in empty:
            empty.remove(row)
            np.multiply(one, two, out=rows[row])
        else:
            np.multiply(one, two, out=term)
            rows[row] += term
    for row in empty:
        rows[row][...] = 0


def _by_native(result: _Digits, left: _Digits, right: _Digits | None, entries: Entries) -> None:
    """A few hundred shots at a time, which stay in the cache; other threads may work meanwhile."""
    dims = tuple(None if each is None else (each.dims, each.axes) for each in (result, left, right))
    order, sums = _sums(entries.places, dims)
    arrays = [None if each is None else each.array for each in (result, left, right)]
    native.contract(arrays, sums, [entries.values[k] for k in order])


@cache
def _sums(places: tuple[tuple[int, int], ...], dims: tuple[Any, ...]) -> tuple[list[int], native.Sums]:
    """The order in which the entries of a matrix are added, and what is added to what, for the native kernel."""
    order, given, rows, columns = grouped(places, dims)
    return order, native.Sums(given, rows, columns)


def grouped(places: tuple[tuple[int, int], ...], dims: tuple[Any, ...]) -> tuple[list[int], list[Any], list[Any], Any]:
    """A contraction as native kernels do it.

    Args:
        places: Row and column of each entry of the matrix.
        dims: Of the result, of the vector, and of the other one of which the tensor product is taken or `None`: the
            size of each digit, and which digits are new or contracted.

    Returns:
        The order of the entries; of each of the three where the values of its digits are, and where those of its other
        digits; groups (row, column of the other vector, first entry, entries), ascending; the column of each entry.
    """
    given = [([0], [0]) if each is None else _places(*each) for each in dims]
    others = len(given[2][0])
    keys = [(row, column % others) for row, column in places]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    groups: dict[tuple[int, int], list[int]] = {}
    for number, k in enumerate(order):
        groups.setdefault(keys[k], [number, 0])[1] += 1
    rows = [(*key, *group) for key, group in groups.items()]
    return order, given, rows, [places[k][1] // others for k in order]


def product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Tensor product of two batches, or of a batch and one vector; the digits of the second one last.

    v[s, a, b] = v₁[s, a] v₂[s, b]
    """
    one, two = (by_entry(vector if vector.ndim == 2 else vector[None]) for vector in (first, second))
    joined = one[:, None] * two[None]
    return joined.reshape(-1, joined.shape[-1]).T


def select(vector: np.ndarray, *, dims: tuple[int, ...], axes: tuple[int, ...], indices: tuple[int, ...]) -> np.ndarray:
    """A new batch of the entries whose digits at `axes` equal `indices`.

    v'[s, rest] = v[s, indices…, rest]
    """
    place: list[Any] = [slice(None)] * len(dims)
    for axis, index in zip(axes, indices, strict=True):
        place[axis] = index
    digits = by_entry(vector).reshape(*dims, -1)
    return digits[tuple(place)].reshape(-1, vector.shape[0]).copy().T


def reordered(vector: np.ndarray, dims: tuple[int, ...], order: Sequence[int]) -> np.ndarray:
    """The digits of a batch in another order."""
    digits = by_entry(vector).reshape(*dims, -1).transpose(*order, len(dims))
    return digits.reshape(-1, len(vector)).T


def taken(vector: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The entries at some positions: shape (shots, k)."""
    return by_entry(vector)[positions].T


def by_entry(vector: np.ndarray) -> np.ndarray:
    """The transpose of a batch, contiguous: a view of one that is stored entry by entry, else a copy."""
    return np.ascontiguousarray(vector.T)
