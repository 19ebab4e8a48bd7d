"""Moving parts of blocks between ranks: what a remap, a share or a gather of a plan does.

A block's part is never copied as a whole. It is cut into messages of at most `PIECE_BYTES`, the same on both sides
wherever their blocks lie. A block on the host goes message by message, so the receive buffer (and a send buffer of the
same size) is the only extra memory. A block on an accelerator passes through the host in slices of many messages
(`qdist_kernels.passage`): while one is on the wire, the next one leaves the device and the last one comes back to it.
At most two of each are on the device, no more than the part. Neither way takes more than half a block.
"""

import math
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from qdist.machine.comm import Comm
from qdist_kernels import Box, in_order, is_jax, native, passage, select, view

PIECE_BYTES = 2**20
"""Of one message: large enough for the bandwidth of any network, small beside any block that is worth splitting."""

SLICE_BYTES = 2**24
"""Of what a device copies at a time, at most: it takes 0.5 ms, ten times as long as to ask for it."""

SLICES = 4
"""Of a part of a device's block, at least, if it has so many messages: with fewer there is nothing to overlap."""


def remap(
    block: Any,
    comm: Comm,
    *,
    dims: tuple[int, ...],
    axes: tuple[int, ...],
    partners: tuple[tuple[int, tuple[int, ...]], ...],
) -> Any:
    """Trade with each partner the entries whose bits at `axes` are its values, in place.

    One all-to-all in a group of 2^m ranks sends (1 − 2⁻ᵐ) of the block.

    Args:
        block: Shape (prod(dims),) or (shots, prod(dims)); it must not be used again.
        comm: The ranks.
        dims: Of the block's digits.
        axes: The m bits.
        partners: Rank and values of the bits, in an order in which both sides of each pair meet.
    """
    block = _shot_by_shot(block)
    for partner, values in partners:
        part = _Part(block, comm, dims, axes, values)
        through = passage(block, part.shape, is_direct=comm.is_gpu_aware)
        for box, send in in_order(through, part.boxes()):
            receive = through.room(math.prod(box[1]))
            for start, end in part.messages(box):
                comm.exchange(partner, _cut(send, start, end), _cut(receive, start, end))
            through.put(box, receive)
        block = through.vector
    comm.traffic.remaps += 1
    return block


def share(block: Any, comm: Comm, *, dims: tuple[int, ...], axis: int, partner: int) -> Any:
    """Send the half of a block whose bit at `axis` is 1 to a rank that has none; the other half is returned."""
    block = _shot_by_shot(block)
    part = _Part(block, comm, dims, (axis,), (1,))
    for box, send in in_order(passage(block, part.shape, is_direct=comm.is_gpu_aware), part.boxes()):
        for start, end in part.messages(box):
            comm.send(partner, _cut(send, start, end))
    comm.traffic.remaps += 1
    return select(block, dims=dims, axes=(axis,))


def take_share(block: Any, comm: Comm, *, dims: tuple[int, ...], axis: int, partner: int) -> Any:
    """The other end of `share`: fills `block`, whose digits are `dims` without the one at `axis`, in place."""
    part = _Part(block, comm, dims, (axis,), (1,))
    _, (place,) = view((*block.shape[:-1], *dims), (axis + block.ndim - 1,))
    through = passage(block, _without(part.shape, place), is_direct=comm.is_gpu_aware)
    for starts, sizes in part.boxes():
        receive = through.room(math.prod(sizes))
        for start, end in part.messages((starts, sizes)):
            comm.receive(partner, _cut(receive, start, end))
        through.put((_without(starts, place), _without(sizes, place)), receive)
    comm.traffic.remaps += 1
    return through.vector


def gather(block: Any, comm: Comm, *, dims: tuple[int, ...], ranks: tuple[int, ...], order: tuple[int, ...]) -> Any:
    """The whole vector of a split cluster, on every rank.

    Args:
        block: This rank's part; any array of its shape where it has none.
        comm: The ranks.
        dims: Of the block's digits.
        ranks: Which ranks hold blocks, by the value of their 2ᵏ rank bits.
        order: Of the k rank bits and then the digits, as they stand in the result.
    """
    blocks = comm.gather_blocks(np.ascontiguousarray(block))[list(ranks)]
    rank_bits = (2,) * (len(ranks).bit_length() - 1)
    lead = blocks.shape[1:-1]
    spread = np.moveaxis(blocks, 0, -2).reshape(*lead, *rank_bits, *dims)
    return spread.transpose([*range(len(lead)), *(k + len(lead) for k in order)]).reshape(*lead, -1)


class _Part:
    """The entries of a block whose bits at some axes have some values, as boxes of a view of it.

    A box is what passes through the host at a time, and is made of whole messages, whose entries follow one another.

    Args:
        block: Or any of as many vectors, where it will be.
        comm: The ranks.
        dims: Of a block that has the bits.
        axes: The bits.
        values: Theirs.
    """

    def __init__(
        self, block: Any, comm: Comm, dims: tuple[int, ...], axes: tuple[int, ...], values: tuple[int, ...]
    ) -> None:
        lead = block.shape[:-1]
        shape, places = view((*lead, *dims), tuple(a + len(lead) for a in axes))
        self.shape = tuple(shape)
        self._starts, self._counts = [0] * len(shape), list(shape)
        place, before = -1, -2
        for axis, value in zip(axes, values, strict=True):
            place += axis != before + 1
            self._starts[places[place]] = 2 * self._starts[places[place]] + value
            before = axis
        for k in places:
            self._counts[k] = 1
        itemsize = block.dtype.itemsize
        self._message = _filled(self._counts, [1] * len(shape), PIECE_BYTES // itemsize)
        num_bytes = math.prod(self._message) * itemsize
        together = 1
        if native.is_on_device(block) and not comm.is_gpu_aware:
            part_bytes = math.prod(self._counts) * itemsize
            together = min(SLICE_BYTES, part_bytes // SLICES) // num_bytes
        self._box = _filled(self._counts, self._message, together)

    def boxes(self) -> Iterator[Box]:
        """All of them, in the order of their entries."""
        return _tiles(self._starts, self._counts, self._box)

    def messages(self, box: Box) -> Iterator[tuple[int, int]]:
        """Begin and end of each message in the entries of a box."""
        tiles = _tiles([0] * len(self.shape), list(box[1]), self._message)
        return pairwise(accumulate((math.prod(sizes) for _, sizes in tiles), initial=0))


def _filled(counts: list[int], unit: list[int], most: int) -> list[int]:
    """The largest box of at most so many units, one at least, whose entries follow one another."""
    sizes, left = list(unit), max(1, most)
    for k in reversed(range(len(counts))):
        units = min(-(-counts[k] // unit[k]), left)
        sizes[k] = min(counts[k], units * unit[k])
        left //= units
    return sizes


def _tiles(starts: list[int], counts: list[int], sizes: list[int]) -> Iterator[Box]:
    """Boxes of these sizes, smaller at the far ends where they do not divide the counts."""
    for number in np.ndindex(*(-(-count // size) for count, size in zip(counts, sizes, strict=True))):
        offsets = [int(n) * size for n, size in zip(number, sizes, strict=True)]
        left = [min(size, count - offset) for size, count, offset in zip(sizes, counts, offsets, strict=True)]
        yield tuple(start + offset for start, offset in zip(starts, offsets, strict=True)), tuple(left)


def _without(numbers: tuple[int, ...], place: int) -> tuple[int, ...]:
    return numbers[:place] + numbers[place + 1 :]


def _cut(array: Any, start: int, end: int) -> Any:
    """Some of a flat array's entries; all of them are the array, which a device need not cut."""
    return array if end - start == array.size else array[start:end]


def _shot_by_shot(block: Any) -> Any:
    """Pieces are boxes of an array in its usual order; kernels of small batches store it in another."""
    return block if is_jax(block) else np.ascontiguousarray(block)
