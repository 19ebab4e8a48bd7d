"""Stages: a matrix on two digits as a product of sparse ones, each of which is four small matrices side by side.

The matrix of a noisy two-qubit gate between one-qubit ones is dense, and its factors are sparse: a CNOT with
depolarizing noise is a signed permutation with scales, a one-qubit operation mixes at most four entries. A stage
takes the 16 entries of a group in four blocks of four, from any places to any places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SIZE = 16
"""Entries of two digits: stages have so many rows and columns."""

BLOCK = 4
"""Rows and columns of a block."""

TINY = 2.0**-51
"""Entries below it are what rounding left of zeros, in products of matrices whose entries are at most about 1."""

DIAGONAL, THREE, FULL = 0, 1, 2
"""Kinds of blocks: factors only; a factor, then a 3 × 3 matrix; 4 × 4. `sources/passes.h` has the same."""

PRODUCTS = {DIAGONAL: 4, THREE: 10, FULL: 16}
"""Products of each, for every entry of the block's columns."""

MOST_PRODUCTS = 256
"""Stages with more in all are no faster than the dense matrix, which has 256 and needs nothing written between."""


@dataclass(frozen=True, eq=False)
class Block:
    """A matrix between four entries of a group and four: v'[rows] = numbers · v[columns]."""

    kind: int
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    numbers: np.ndarray


Stage = tuple[Block, ...]
"""Four blocks, by kind, that have every row and every column once; an only one keeps each block where it is."""


def stages_of(factors: Sequence[tuple[tuple[int, ...], np.ndarray]]) -> tuple[Stage, ...]:
    """A product of matrices on one or both of two digits of size 4, as few stages; empty where dense is as fast.

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
    stages = [(matrix, _packed(matrix)) for _, matrix in chain]
    if not all(bins for _, bins in stages):
        return ()
    made = tuple(_blocks(matrix, bins) for matrix, bins in stages)
    if len(made) == 1 and any(set(block.rows) != set(block.columns) for block in made[0]):
        made = (*made, _UNCHANGED)
    return made if sum(PRODUCTS[block.kind] for stage in made for block in stage) <= MOST_PRODUCTS else ()


def _append_all(chain: list[tuple[frozenset[int], np.ndarray]], single: dict[int, np.ndarray]) -> None:
    for digit in sorted(single):
        _append(chain, frozenset([digit]), on_both((digit,), single.pop(digit)))


def _append(chain: list[tuple[frozenset[int], np.ndarray]], own: frozenset[int], matrix: np.ndarray) -> None:
    """Into a stage if it stays one, past those on the other digit, which commute; else as a new one."""
    for place in reversed(range(len(chain))):
        before, earlier = chain[place]
        if _packed(product := matrix @ earlier):
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
    spread = np.zeros((4, 4, 4, 4))
    for k in range(4):
        spread[(slice(None), k, slice(None), k) if digits == (0,) else (k, slice(None), k, slice(None))] = matrix
    return spread.reshape(SIZE, SIZE)


def _packed(matrix: np.ndarray) -> list[tuple[list[int], list[int]]]:
    """Rows and columns of the blocks of a stage; empty if the matrix mixes more entries than a block has."""
    parts = _components(np.abs(matrix) > TINY)
    bins: list[tuple[list[int], list[int]]] = [([], []) for _ in range(SIZE // BLOCK)]
    for rows, columns in sorted(parts, key=lambda part: -max(map(len, part))):
        for in_rows, in_columns in bins:
            if len(in_rows) + len(rows) <= BLOCK and len(in_columns) + len(columns) <= BLOCK:
                # Small parts in front, where kinds of blocks expect them.
                in_rows[:0], in_columns[:0] = rows, columns
                break
        else:
            return []
    return bins


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


def _blocks(matrix: np.ndarray, bins: list[tuple[list[int], list[int]]]) -> Stage:
    return tuple(sorted((_block(matrix, *part) for part in bins), key=lambda block: block.kind))


def _block(matrix: np.ndarray, rows: list[int], columns: list[int]) -> Block:
    numbers = matrix[np.array(rows)[:, None], columns]
    numbers[np.abs(numbers) <= TINY] = 0.0
    beside = numbers - np.diag(np.diagonal(numbers))
    kind = FULL if beside[0].any() or beside[:, 0].any() else THREE if beside.any() else DIAGONAL
    return Block(kind, tuple(columns), tuple(rows), numbers)


_UNCHANGED = _blocks(np.eye(SIZE), _packed(np.eye(SIZE)))
"""After a stage that moves entries to other blocks and would overwrite what those have not read."""
