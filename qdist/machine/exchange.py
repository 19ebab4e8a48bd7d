"""Moving parts of blocks between ranks: what a remap, a share or a gather of a plan does.

A block's part is never copied as a whole: it goes in pieces of at most `PIECE_BYTES`, so the receive buffer (and a send
buffer of the same size) is the only extra memory, and never more than half a block.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from qdist.machine.comm import Comm
from qdist_kernels import is_jax, read_piece, select, view, write_piece

PIECE_BYTES = 2**20
"""Of one message: large enough for the bandwidth of any network, small beside any block that is worth splitting."""

Piece = tuple[tuple[int, ...], tuple[int, ...]]
"""Where a piece begins along each axis of a block's view, and its size there."""


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
        shape, pieces = _pieces(block, dims, axes, values)
        for starts, sizes in pieces:
            send = _outgoing(read_piece(block, shape, starts, sizes), comm)
            receive = _buffer(send)
            comm.exchange(partner, send, receive)
            block = write_piece(block, receive, shape, starts, sizes)
    comm.traffic.remaps += 1
    return block


def share(block: Any, comm: Comm, *, dims: tuple[int, ...], axis: int, partner: int) -> Any:
    """Send the half of a block whose bit at `axis` is 1 to a rank that has none; the other half is returned."""
    block = _shot_by_shot(block)
    shape, pieces = _pieces(block, dims, (axis,), (1,))
    for starts, sizes in pieces:
        comm.send(partner, _outgoing(read_piece(block, shape, starts, sizes), comm))
    comm.traffic.remaps += 1
    return select(block, dims=dims, axes=(axis,))


def take_share(block: np.ndarray, comm: Comm, *, dims: tuple[int, ...], axis: int, partner: int) -> np.ndarray:
    """The other end of `share`: fills `block`, whose digits are `dims` without the one at `axis`."""
    shape, pieces = _pieces(block, dims, (axis,), (1,))
    _, (place,) = view((*block.shape[:-1], *dims), (axis + block.ndim - 1,))
    left = shape[:place] + shape[place + 1 :]
    for starts, sizes in pieces:
        receive = np.empty(sizes[:place] + sizes[place + 1 :], block.dtype)
        comm.receive(partner, receive)
        block = write_piece(block, receive, left, starts[:place] + starts[place + 1 :], receive.shape)
    comm.traffic.remaps += 1
    return block


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


def _pieces(
    block: Any, dims: tuple[int, ...], axes: tuple[int, ...], values: tuple[int, ...]
) -> tuple[tuple[int, ...], Iterator[Piece]]:
    """The view of a block and the pieces of its entries whose bits at `axes` have these values."""
    lead = block.shape[:-1]
    whole = (*lead, *dims)
    shape, places = view(whole, tuple(a + len(lead) for a in axes))
    starts = [0] * len(shape)
    counts = list(shape)
    place, before = -1, -2
    for axis, value in zip(axes, values, strict=True):
        place += axis != before + 1
        starts[places[place]] = 2 * starts[places[place]] + value
        before = axis
    for k in places:
        counts[k] = 1
    left = max(1, PIECE_BYTES // block.dtype.itemsize)
    sizes = list(counts)
    for k in reversed(range(len(shape))):
        sizes[k] = min(counts[k], left)
        left = max(1, left // sizes[k])
    return tuple(shape), _tiles(starts, counts, sizes)


def _tiles(starts: list[int], counts: list[int], sizes: list[int]) -> Iterator[Piece]:
    """Boxes of these sizes, smaller at the far ends where they do not divide the counts."""
    for number in np.ndindex(*(-(-count // size) for count, size in zip(counts, sizes, strict=True))):
        offsets = [int(n) * size for n, size in zip(number, sizes, strict=True)]
        left = [min(size, count - offset) for size, count, offset in zip(sizes, counts, offsets, strict=True)]
        yield tuple(start + offset for start, offset in zip(starts, offsets, strict=True)), tuple(left)


def _shot_by_shot(block: Any) -> Any:
    """Pieces are boxes of an array in its usual order; kernels of small batches store it in another."""
    return block if is_jax(block) else np.ascontiguousarray(block)


def _outgoing(piece: Any, comm: Comm) -> Any:
    """On the host, unless the ranks talk from device to device; MPI does not wait for JAX."""
    return piece.block_until_ready() if comm.is_gpu_aware and is_jax(piece) else np.ascontiguousarray(piece)


def _buffer(like: Any) -> Any:
    if not is_jax(like):
        return np.empty_like(like)
    import jax.numpy as jnp

    return jnp.empty_like(like).block_until_ready()
