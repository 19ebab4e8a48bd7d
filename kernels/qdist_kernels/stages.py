"""Stages: a matrix on two digits as a product of sparse ones, each of which is four small matrices side by side.

The matrix of a noisy two-qubit gate between one-qubit ones is dense, and its factors are sparse: a CNOT with
depolarizing noise is a signed permutation with scales, a one-qubit operation mixes at most four entries. A stage
takes the 16 entries of a group in four blocks of four, from any places to any places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SIZE = 16
"""Entries of two digits: stages have so many rows and columns."""

BLOCK = 4
"""Rows and columns of a block."""

TINY = 2.0**-51
"""Entries below it, in units of the largest, are what rounding left of zeros in a product of matrices."""

DIAGONAL, THREE, FULL = 0, 1, 2
"""Kinds of blocks: factors only; a factor, then a 3 × 3 matrix; 4 × 4. `sources/steps.h` has the same."""

PRODUCTS = {DIAGONAL: 4, THREE: 10, FULL: 16}
"""Products of each, for every entry of the block's columns."""

MOST_PRODUCTS = 160
"""Stages with more in all are no faster than the dense matrix, which has 256 and needs nothing written between."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Where the four blocks of a stage are; each row and each column is in one.

    Attributes:
        kinds: Ascending.
        columns: Shape (4, 4): those of each block.
        rows: Shape (4, 4).
    """

    kinds: tuple[int, ...]
    columns: np.ndarray
    rows: np.ndarray

    @property
    def products(self) -> int:
        return sum(PRODUCTS[kind] for kind in self.kinds)

    @property
    def stay(self) -> bool:
        """Whether each block leaves its entries among themselves: a stage may overwrite what it reads."""
        return np.array_equal(np.sort(self.columns), np.sort(self.rows))


@dataclass(frozen=True, eq=False)
class Stage:
    """v'[rows] = numbers · v[columns] for each block.

    Attributes:
        blocks: Where they are.
        numbers: Shape (4, 4, 4): a matrix each.
    """

    blocks: Blocks
    numbers: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """Shape (16, 16)."""
        found = np.zeros((SIZE, SIZE))
        found[self.blocks.rows[:, :, None], self.blocks.columns[:, None, :]] = self.numbers
        return found


def stages_of(factors: Sequence[tuple[tuple[int, ...], np.ndarray]]) -> tuple[Stage, ...]:
    """A product of matrices on one or both of two digits of size 4, as few stages; empty where dense is as fast.

    A single stage lets each block keep its entries.

    Args:
        factors: Of the product, the first one to act first: its digits (0, the more significant, and 1), in the order
            of the matrix's index.
    """
    chain: list[tuple[frozenset[int], np.ndarray]] = []
    single: dict[int, np.ndarray] = {}
    for digits, matrix in factors:
        if len(digits) == 1:
            single[digits[0]] = matrix @ single[digits[0]] if digits[0] in single else matrix
            continue
        _append_all(chain, single)
        _append(chain, frozenset(digits), on_both(digits, matrix))
    _append_all(chain, single)
    stages = [stage for _, matrix in chain if (stage := _stage(matrix))]
    finite = all(np.isfinite(matrix).all() for _, matrix in chain)
    if not finite or len(stages) < len(chain) or sum(stage.blocks.products for stage in stages) > MOST_PRODUCTS:
        return ()
    if len(stages) == 1 and not stages[0].blocks.stay:
        stages.append(UNCHANGED)
    return tuple(stages)


def _append_all(chain: list[tuple[frozenset[int], np.ndarray]], single: dict[int, np.ndarray]) -> None:
    for digit in sorted(single):
        _append(chain, frozenset([digit]), on_both((digit,), single.pop(digit)))


def _append(chain: list[tuple[frozenset[int], np.ndarray]], own: frozenset[int], matrix: np.ndarray) -> None:
    """Into a stage if it stays one, past those on the other digit, which commute; else as a new one."""
    for place in reversed(range(len(chain))):
        before, earlier = chain[place]
        if _blocks(product := matrix @ earlier):
            chain[place] = before | own, product
            return
        if before & own:
            break
    chain.append((own, matrix))


def on_both(digits: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
    """The matrix on two digits, shape (16, 16), of one on one of them, or on both in either order."""
    if len(digits) == 2:
        spread = matrix.reshape(4, 4, 4, 4)
        return (spread if digits == (0, 1) else spread.transpose(1, 0, 3, 2)).reshape(SIZE, SIZE)
    one = np.eye(4)
    left, right = (matrix, one) if digits == (0,) else (one, matrix)
    return (left[:, None, :, None] * right[None, :, None, :]).reshape(SIZE, SIZE)


def _stage(matrix: np.ndarray) -> Stage | None:
    blocks = _blocks(matrix)
    if blocks is None:
        return None
    kept = np.where(_filled(matrix), matrix, 0.0)
    return Stage(blocks, kept[blocks.rows[:, :, None], blocks.columns[:, None, :]])


def _filled(matrix: np.ndarray) -> np.ndarray:
    sizes = np.abs(matrix)
    return sizes > TINY * sizes.max()


def _blocks(matrix: np.ndarray) -> Blocks | None:
    return _blocks_of(np.packbits(_filled(matrix)).tobytes())


@lru_cache(maxsize=1024)
def _blocks_of(pattern: bytes) -> Blocks | None:
    """The blocks of a stage by its entries that are not zero; `None` if they mix more entries than a block has."""
    filled = np.unpackbits(np.frombuffer(pattern, np.uint8)).astype(bool).reshape(SIZE, SIZE)
    bins: list[tuple[list[int], list[int]]] = [([], []) for _ in range(SIZE // BLOCK)]
    for rows, columns in sorted(_components(filled), key=lambda part: -max(map(len, part))):
        for in_rows, in_columns in bins:
            if len(in_rows) + len(rows) <= BLOCK and len(in_columns) + len(columns) <= BLOCK:
                # Small parts in front, where kinds of blocks expect them.
                in_rows[:0], in_columns[:0] = rows, columns
                break
        else:
            return None
    found = sorted((_kind(filled[np.ix_(rows, columns)]), rows, columns) for rows, columns in bins)
    kinds = tuple(kind for kind, _, _ in found)
    return Blocks(kinds, np.array([columns for _, _, columns in found]), np.array([rows for _, rows, _ in found]))


def _components(filled: np.ndarray) -> list[tuple[list[int], list[int]]]:
    """Rows and columns that entries connect, as masks that grow together."""
    parts: list[tuple[int, int]] = []
    for row, mask in enumerate((filled @ (1 << np.arange(SIZE))).tolist()):
        rows, columns, rest = 1 << row, mask, []
        for part in parts:
            if part[1] & mask:
                rows, columns = rows | part[0], columns | part[1]
            else:
                rest.append(part)
        parts = [*rest, (rows, columns)]
    used = sum(columns for _, columns in parts)
    parts += [(0, 1 << column) for column in range(SIZE) if not used >> column & 1]
    return [(_ones(rows), _ones(columns)) for rows, columns in parts]


def _ones(mask: int) -> list[int]:
    return [k for k in range(SIZE) if mask >> k & 1]


def _kind(filled: np.ndarray) -> int:
    beside = filled & ~np.eye(BLOCK, dtype=bool)
    if beside[0].any() or beside[:, 0].any():
        return FULL
    return THREE if beside.any() else DIAGONAL


UNCHANGED = Stage(Blocks((DIAGONAL,) * 4, *(np.arange(SIZE).reshape(4, 4),) * 2), np.array([np.eye(BLOCK)] * 4))
"""After a stage that moves entries to other blocks, and would overwrite what those have not read."""
