"""Batches of small vectors on the host: shots lie next to one another, so an operation is a few sweeps over all shots.

A batch has shape (shots, entries) like every other, but is stored entry by entry (its transpose is contiguous). Kernels
give batches that are stored so, and take others as well. A product of one tiny matrix with one tiny vector, shot by
shot, would cost a call each; here each entry of the matrix that is not zero costs one sweep.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        return next((len(value) for value in self.values if np.ndim(value)), 1)


def entries_of(matrix: np.ndarray) -> Entries:
    """A matrix (rows, columns), or one a shot (shots, rows, columns), by its entries."""
    rows, columns = matrix.shape[-2:]
    if matrix.ndim == 2:
        places = tuple((int(r), int(c)) for r, c in np.argwhere(matrix))
        return Entries((rows, columns), places, tuple(float(matrix[place]) for place in places))
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
    order = [*axes, *(k for k in range(len(dims)) if k not in axes), len(dims)]
    digits, entries, shots = _batch(vector, matrix, dims)
    source = digits.transpose(order)
    result = np.empty((matrix.shape[-2], *source.shape[len(axes) : -1], shots), vector.dtype)
    _fill(result, 1, source, len(axes), entries)
    return result.reshape(-1, shots).T


def replace(vector: np.ndarray, matrix: Any, *, dims: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """Contract digits with a square matrix; the new digits stand where the old ones did. Else as `contract`.

    v'[s, …, a, …] = Σ_b W[s, a, b] v[s, …, b, …]
    """
    order = [*axes, *(k for k in range(len(dims)) if k not in axes), len(dims)]
    digits, entries, shots = _batch(vector, matrix, dims)
    result = np.empty((*dims, shots), vector.dtype)
    _fill(result.transpose(order), len(axes), digits.transpose(order), len(axes), entries)
    return result.reshape(-1, shots).T


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
    left, right = _columns(first, dims[:cut], axes), _columns(second, dims[cut:], [a - cut for a in axes])
    shots = max(left[0].shape[-1], right[0].shape[-1], matrix.shots)
    result = np.empty((matrix.shape[0], len(left[0]), len(right[0]), shots), first.dtype)
    parts: dict[tuple[int, int], np.ndarray] = {}
    for (row, column), value in zip(matrix.places, matrix.values, strict=True):
        part = left[column // len(right)] * np.asarray(value, first.dtype)
        place = row, column % len(right)
        parts[place] = parts[place] + part if place in parts else part
    _sum_terms(result, [(row, part[:, None], right[column]) for (row, column), part in parts.items()])
    return result.reshape(-1, shots).T


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


def _columns(vector: np.ndarray, dims: tuple[int, ...], axes: Sequence[int]) -> list[np.ndarray]:
    """For each value of the digits at those of `axes` that there are: the other digits, shape (rest, shots or 1)."""
    here = [a for a in axes if 0 <= a < len(dims)]
    digits = by_entry(vector if vector.ndim == 2 else vector[None]).reshape(*dims, -1)
    front = digits.transpose(*here, *(k for k in range(len(dims)) if k not in here), -1)
    rest = math.prod(front.shape[len(here) : -1])
    return [front[index].reshape(rest, -1) for index in np.ndindex(front.shape[: len(here)])]


def _batch(vector: np.ndarray, matrix: Any, dims: tuple[int, ...]) -> tuple[np.ndarray, Entries, int]:
    """The vectors as (dims…, shots), or (dims…, 1) if they are all the same; the matrix; how many shots there are."""
    entries = matrix if isinstance(matrix, Entries) else entries_of(matrix)
    digits = by_entry(vector if vector.ndim == 2 else vector[None])
    return digits.reshape(*dims, -1), entries, max(digits.shape[-1], entries.shots)


def _fill(result: np.ndarray, out: int, source: np.ndarray, into: int, entries: Entries) -> None:
    """The first `into` axes of `source` are contracted and become the first `out` axes of `result`."""
    if len(entries.places) > SPARSE and entries.shots == 1:
        matrix = entries.dense(1)[0].astype(result.dtype)
        result[...] = np.matmul(matrix, source.reshape(matrix.shape[1], -1)).reshape(result.shape)
        return
    rows = [result[index] for index in np.ndindex(result.shape[:out])]
    columns = [source[index] for index in np.ndindex(source.shape[:into])]
    values = (np.asarray(value, result.dtype) for value in entries.values)
    _sum_terms(rows, ((r, columns[c], value) for (r, c), value in zip(entries.places, values, strict=True)))


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
