"""One rank's part of a matrix: which bits of its digits are local, and the entries between them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qdist.machine.coherence import Digits
from qdist.machine.instructions import EachShot
from qdist.machine.layout import Bit, Layout, index_bits
from qdist_kernels import Entries


class Frame:
    """One operation on one rank: which bits of its digits are local before and after, and its part of a matrix."""

    def __init__(
        self, before: Layout, after: Layout, inputs: tuple[Bit, ...], outputs: tuple[Bit, ...], rank: int
    ) -> None:
        self.after = after
        self.columns = sorted((bit for bit in inputs if bit in before.bits), key=before.bits.index)
        self.rows = [bit for bit in outputs if not (bit[1] == "x" and bit[0] in after.split)]
        self._inputs, self._outputs = inputs, outputs
        self._bands_in = {bit: before.x_of(bit[0], rank) for bit in inputs if bit not in before.bits}
        self._bands_out = {bit: after.x_of(bit[0], rank) for bit in outputs if bit not in self.rows}

    def part(self, matrix: Any, rows: Sequence[Bit], *, zeros: bool = False) -> Any:
        """The part of a matrix between this rank's entries; `zeros` is that of the rank whose bits are all 0."""
        outputs = self._outputs if rows or self._bands_out else ()
        if matrix.shape[-2] == 1:
            outputs = ()
        bands_in = dict.fromkeys(self._bands_in, 0) if zeros else self._bands_in
        bands_out = {bit: value for bit, value in self._bands_out.items() if bit in outputs}

        def part(array: Any) -> np.ndarray:
            return restricted(array, outputs, self._inputs, rows, self.columns, bands_out, bands_in)

        if isinstance(matrix, EachShot):
            return EachShot(part(matrix.like), lambda draws: part(_dense(matrix.of(draws), draws)))
        return part(matrix)


def _dense(matrices: Any, draws: Any) -> np.ndarray:
    return matrices.dense(draws.shots) if isinstance(matrices, Entries) else matrices


def restricted(
    matrix: Any,
    outputs: Sequence[Bit],
    inputs: Sequence[Bit],
    rows: Sequence[Bit],
    columns: Sequence[Bit],
    bands_out: Mapping[Bit, int],
    bands_in: Mapping[Bit, int],
) -> np.ndarray:
    """Fix the bits that the rank gives, and put the others in the order of `rows` and `columns`."""
    array = np.asarray(matrix)
    lead = array.shape[:-2]
    spread = array.reshape(*lead, *(2,) * (len(outputs) + len(inputs)))
    index = [bands_out.get(bit, slice(None)) for bit in outputs] + [bands_in.get(bit, slice(None)) for bit in inputs]
    spread = spread[(..., *index)]
    left_out = [bit for bit in outputs if bit not in bands_out]
    left_in = [bit for bit in inputs if bit not in bands_in]
    order = [left_out.index(bit) for bit in rows] + [len(left_out) + left_in.index(bit) for bit in columns]
    axes = [*range(len(lead)), *(len(lead) + k for k in order)]
    return np.ascontiguousarray(spread.transpose(axes)).reshape(*lead, 2 ** len(rows), 2 ** len(columns))


def bits_of(digits: Digits) -> tuple[Bit, ...]:
    return index_bits([wire for wire, _ in digits], [size for _, size in digits])


def placed(columns: Sequence[Bit], rows: Sequence[Bit]) -> list[Bit]:
    """The new bits in the places of the old ones, each where it was if it was there."""
    new = [bit for bit in rows if bit not in columns]
    return [bit if bit in rows else new.pop(0) for bit in columns]
