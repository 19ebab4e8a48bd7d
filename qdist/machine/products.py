"""Products of many matrices on a few wires.

Circuits repeat themselves: a Toffoli gate is the same fifteen gates and their noise wherever it stands. Matrices of
equal gates are the same arrays, so a product that was formed before is known by what it is made of.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from qdist.machine.plan import entries
from qdist_kernels import matmul

Places = tuple[int, ...]


class Products:
    """The products that were formed so far, by the places and the identity of their factors."""

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Any, list[Any]]] = {}

    def of(self, factors: Sequence[tuple[tuple[str, ...], Any]], wires: tuple[str, ...], sizes: tuple[int, ...]) -> Any:
        """The product of matrices on some of the wires, the first to act first.

        Args:
            factors: The wires that each acts on, in the order of its rows, and the matrix.
            wires: Those of the product.
            sizes: Of their digits.

        Returns:
            Shape (prod(sizes), prod(sizes)); not to be written to.
        """
        places = {some: tuple([wires.index(wire) for wire in some]) for some in {some for some, _ in factors}}
        key = sizes, tuple([(places[some], id(matrix)) for some, matrix in factors])
        if key not in self._known:
            product = _product([(places[some], matrix) for some, matrix in factors], sizes)
            # As long as the matrices live, nothing else has their identity.
            self._known[key] = product, [matrix for _, matrix in factors]
        return self._known[key][0]


def _product(factors: Iterable[tuple[Places, Any]], sizes: tuple[int, ...]) -> Any:
    """Those on one digit are gathered in small matrices until one on several comes."""
    total: Any = np.eye(entries(sizes))
    waiting: dict[Places, Any] = {}
    for places, matrix in factors:
        if len(places) == 1:
            waiting[places] = matmul(matrix, waiting[places]) if places in waiting else matrix
            continue
        for place in places:
            if (place,) in waiting:
                total = _after(total, (place,), waiting.pop((place,)), sizes)
        total = _after(total, places, matrix, sizes)
    for places, matrix in waiting.items():
        total = _after(total, places, matrix, sizes)
    return total


def _after(total: Any, places: Places, matrix: Any, sizes: tuple[int, ...]) -> Any:
    """A matrix on the digits at some places after `total`, whose rows have digits of these sizes."""
    if places == tuple(range(places[0], places[0] + len(places))):
        spread = total.reshape(entries(sizes[: places[0]]), matrix.shape[1], -1)
        return matmul(matrix, spread).reshape(total.shape)
    order = [*places, *(k for k in range(len(sizes)) if k not in places), len(sizes)]
    spread = total.reshape(*sizes, -1).transpose(order)
    product = matmul(matrix, spread.reshape(matrix.shape[1], -1)).reshape(spread.shape)
    return product.transpose(sorted(range(len(order)), key=order.__getitem__)).reshape(total.shape)
