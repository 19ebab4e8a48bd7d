"""What one rank does: each operation on a split cluster becomes one on its block, with its part of the matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qdist.machine.coherence import Digits, Move
from qdist.machine.costs import peak_bytes
from qdist.machine.frames import Frame, bits_of, placed, restricted
from qdist.machine.layout import Bit, Layout
from qdist.machine.plan import (
    Draw,
    Drop,
    Gather,
    Keep,
    Load,
    Merge,
    Operation,
    Part,
    Plan,
    Read,
    Remap,
    Scale,
    Split,
    Spread,
    Stop,
    Take,
    Transfer,
    batched_by,
)

Options = Mapping[frozenset[str], Move]


class RankPlan:
    """Writes the operations of one rank and counts the bytes that it sends and holds."""

    def __init__(self, plan: Plan, ranks: int, rank: int) -> None:
        self._plan = plan
        self._ranks = ranks
        self._rank = rank
        self._layouts: dict[int, Layout] = {}
        self._batched: set[int] = set()
        self._operations: list[Operation] = []
        self._bytes_sent = 0
        self._remaps = 0
        self._largest_block = 0

    # -- clusters that every rank has

    def plain(self, operation: Operation) -> None:
        """An operation on replicated clusters."""
        self._batched |= batched_by(operation, self._batched)
        self._operations.append(operation)

    def split(
        self, operation: Operation, wires: Sequence[str], digits: Digits, merged: tuple[Digits, Digits] | None
    ) -> None:
        """An operation that makes a cluster large: from here on each rank has the entries of its x bits.

        Args:
            operation: A load, a merge or a transfer.
            wires: The qubits whose x bits become rank bits.
            digits: Of the whole cluster after it.
            merged: Of the two clusters before a merge.
        """
        bits = bits_of(digits)
        left = tuple(bit for bit in bits if bit[1] == "z" or bit[0] not in wires)
        layout = Layout(tuple(wires), tuple(1 << k for k in range(len(wires))), left)
        self._batched |= batched_by(operation, self._batched)
        match operation:
            case Load(slot=slot, vector=vector):
                axes, values = self._fixed(layout, bits)
                index: list[Any] = [slice(None)] * len(bits)
                for axis, value in zip(axes, values, strict=True):
                    index[axis] = value
                lead = vector.shape[:-1]
                band = np.asarray(vector).reshape(*lead, *(2,) * len(bits))[(..., *index)].reshape(*lead, -1)
                self._operations.append(replace(operation, vector=band))
            case Merge(slot=slot, other=other):
                assert merged is not None
                for part, part_digits in ((slot, merged[0]), (other, merged[1])):
                    self._take(part, layout, bits_of(part_digits))
                self._operations.append(operation)
            case Transfer(slot=slot) | Draw(slot=slot):
                self._operations.append(operation)
                self._take(slot, layout, bits)
        self._layouts[slot] = layout
        self._note_block(slot)

    def _take(self, slot: int, layout: Layout, bits: tuple[Bit, ...]) -> None:
        axes, values = self._fixed(layout, bits)
        if axes:
            self._operations.append(Take(slot, (2,) * len(bits), axes, values))

    def _fixed(self, layout: Layout, bits: tuple[Bit, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        axes = tuple(k for k, (wire, kind) in enumerate(bits) if kind == "x" and wire in layout.split)
        return axes, tuple(layout.x_of(bits[axis][0], self._rank) for axis in axes)

    # -- split clusters

    def act(self, operation: Operation, inputs: Digits, outputs: Digits, after: Digits, options: Options) -> None:
        """An operation on a split cluster, in a layout that allows it."""
        match operation:
            case Merge():
                self._merge(operation, after)
            case Keep(slot=int(slot)):
                self._operations.append(replace(operation, split=self._split(slot)))
            case Scale():
                self._scale(operation, inputs)
            case Transfer():
                self._transfer(operation, inputs, outputs, options)
            case Draw():
                self._draw(operation, inputs, outputs, options)

    def _split(self, slot: int) -> Split:
        return Split(self._layouts[slot].is_empty(self._rank))

    def _merge(self, merge: Merge, after: Digits) -> None:
        """A replicated cluster joins: its digits are all local. (No rank is empty then: the schedule sees to it.)"""
        old = self._layouts.pop(merge.other, None)
        is_other_split = old is not None
        layout = old or self._layouts[merge.slot]
        known = {wire for wire, _ in layout.bits}
        new = bits_of([(wire, size) for wire, size in after if wire not in known])
        bits = new + layout.bits if is_other_split else layout.bits + new
        self._batched |= batched_by(merge, self._batched)
        self._operations.append(merge)
        self._layouts[merge.slot] = replace(layout, bits=bits)
        self._note_block(merge.slot)

    def _scale(self, scale: Scale, inputs: Digits) -> None:
        layout = self._layouts[scale.slot]
        if layout.is_empty(self._rank):
            return
        wanted = bits_of(inputs)
        here = sorted((bit for bit in wanted if bit in layout.bits), key=layout.bits.index)
        factors = restricted(scale.factors[None], [], wanted, [], here, {}, self._bands(layout, wanted))[0]
        axes = tuple(layout.bits.index(bit) for bit in here)
        self._operations.append(Scale(scale.slot, (2,) * len(layout.bits), axes, factors))

    def _transfer(self, transfer: Transfer, inputs: Digits, outputs: Digits, options: Options) -> None:
        before = self._layouts[transfer.slot]
        frame = self._begin(before, inputs, outputs, options)
        in_place = not transfer.differs_by_shot and len(frame.rows) == len(frame.columns)
        rows = frame.rows
        if in_place:
            rows = placed(frame.columns, rows)
            bits = list(before.bits)
            for old, new in zip(frame.columns, rows, strict=True):
                bits[before.bits.index(old)] = new
            after = tuple(bits)
        else:
            after = (*rows, *(bit for bit in before.bits if bit not in frame.columns))
        self._batched |= batched_by(transfer, self._batched)
        if not before.is_empty(self._rank):
            if frame.after.is_empty(self._rank):
                self._operations.append(Drop(transfer.slot))
            else:
                matrix = frame.part(transfer.matrix, rows)
                otherwise = None if transfer.otherwise is None else frame.part(transfer.otherwise, rows)
                dims, axes = (2,) * len(before.bits), tuple(before.bits.index(bit) for bit in frame.columns)
                self._operations.append(
                    Transfer(transfer.slot, dims, axes, matrix, (), (), in_place, transfer.test, otherwise)
                )
        self._layouts[transfer.slot] = replace(frame.after, bits=after)
        self._note_block(transfer.slot)

    def _draw(self, draw: Draw, inputs: Digits, outputs: Digits, options: Options) -> None:
        before = self._layouts[draw.slot]
        frame = self._begin(before, inputs, outputs, options)
        is_empty = before.is_empty(self._rank)
        if not is_empty and frame.after.is_empty(self._rank):
            self._operations.append(Drop(draw.slot))
            is_empty = True
        zero, one = (frame.part(matrix, frame.rows) for matrix in draw.outcomes)
        # Probabilities are read where every split x bit is 0.
        chances = tuple(frame.part(np.asarray(row)[None], [], zeros=True)[0] for row in draw.chances)
        dims, axes = (2,) * len(before.bits), tuple(before.bits.index(bit) for bit in frame.columns)
        self._batched |= batched_by(draw, self._batched)
        self._operations.append(
            replace(draw, dims=dims, axes=axes, outcomes=(zero, one), chances=chances, split=Split(is_empty))
        )
        rest = tuple(bit for bit in before.bits if bit not in frame.columns)
        self._layouts[draw.slot] = replace(frame.after, bits=(*frame.rows, *rest))
        self._note_block(draw.slot)

    def _begin(self, layout: Layout, inputs: Digits, outputs: Digits, options: Options) -> Frame:
        chosen = frozenset(wire for wire, size in inputs if size == 4) & layout.split
        return Frame(layout, layout.moved(options[chosen]), bits_of(inputs), bits_of(outputs), self._rank)

    def _bands(self, layout: Layout, bits: Sequence[Bit]) -> dict[Bit, int]:
        return {bit: layout.x_of(bit[0], self._rank) for bit in bits if bit[1] == "x" and bit[0] in layout.split}

    def remap(self, slot: int, wanted: Sequence[str]) -> None:
        """Change which qubits are split: idle rank bits are given out first, then x bits trade places."""
        layout = self._layouts[slot]
        incoming = [wire for wire in wanted if wire not in layout.split]
        for place in [k for k, wire in enumerate(layout.wires) if wire is None]:
            layout = self._spread(slot, layout, place, incoming.pop(0))
        places = [k for k, wire in enumerate(layout.wires) if wire not in wanted]
        if places:
            layout = self._trade(slot, layout, places, incoming)
        self._layouts[slot] = layout

    def _spread(self, slot: int, layout: Layout, place: int, wire: str) -> Layout:
        bit = (wire, "x")
        axis = layout.bits.index(bit)
        values = list(layout.values(self._rank))
        sends = values[place] == 0
        values[place] ^= 1
        wires = list(layout.wires)
        wires[place] = wire
        after = Layout(tuple(wires), layout.masks, tuple(b for b in layout.bits if b != bit))
        if not after.is_empty(self._rank):
            partner = layout.rank_with(values)
            dims = (2,) * len(layout.bits)
            self._operations.append(Spread(slot, dims, axis, partner, sends, self._batch(slot)))
            if sends:
                self._bytes_sent += self._block_bytes(slot, layout) // 2
        self._remaps += 1
        return after

    def _trade(self, slot: int, layout: Layout, places: list[int], incoming: list[str]) -> Layout:
        incoming = sorted(incoming, key=lambda wire: layout.bits.index((wire, "x")))
        axes = tuple(layout.bits.index((wire, "x")) for wire in incoming)
        own = layout.values(self._rank)
        partners = []
        for flips in range(1, 2 ** len(places)):
            values = list(own)
            for k, place in enumerate(places):
                values[place] ^= flips >> k & 1
            partners.append((layout.rank_with(values), tuple(values[place] for place in places)))
        if not layout.is_empty(self._rank):
            self._operations.append(Remap(slot, (2,) * len(layout.bits), axes, tuple(partners)))
            self._bytes_sent += self._block_bytes(slot, layout) * len(partners) >> len(places)
        self._remaps += 1
        wires, bits = list(layout.wires), list(layout.bits)
        for place, axis, wire in zip(places, axes, incoming, strict=True):
            evicted = wires[place]
            assert evicted is not None
            wires[place], bits[axis] = wire, (evicted, "x")
        return Layout(tuple(wires), layout.masks, tuple(bits))

    def gather(self, slot: int, digits: Digits) -> None:
        """Every rank gets the whole cluster, with these digits in this order."""
        layout = self._layouts.pop(slot)
        held = [k for k, wire in enumerate(layout.wires) if wire is not None]
        ranks = []
        for number in range(2 ** len(held)):
            values = [0] * len(layout.wires)
            for k, place in enumerate(held):
                values[place] = number >> (len(held) - 1 - k) & 1
            ranks.append(layout.rank_with(values))
        sources = [(layout.wires[k], "x") for k in held] + list(layout.bits)
        order = tuple(sources.index(bit) for bit in bits_of(digits))
        dims, is_empty = (2,) * len(layout.bits), layout.is_empty(self._rank)
        self._operations.append(Gather(slot, dims, tuple(ranks), order, is_empty, self._batch(slot)))
        self._bytes_sent += self._block_bytes(slot, layout) * (self._ranks - 1)

    def read(self, read: Read) -> None:
        """A record: of split clusters each rank knows its own part."""
        parts = tuple(tuple(self._here(part) for part in group) for group in read.parts)
        self._operations.append(replace(read, parts=parts))

    def stop(self, stop: Stop) -> None:
        """A point at which the run may be interrupted, and how the split clusters lie there."""
        parts = tuple(layout.part(slot, self._rank) for slot, layout in self._layouts.items())
        self._operations.append(replace(stop, parts=parts))

    def _here(self, part: Part) -> Part:
        return self._layouts[part.slot].part(part.slot, self._rank) if part.slot in self._layouts else part

    # -- sums

    def _batch(self, slot: int) -> int | None:
        return self._plan.shots if slot in self._batched else None

    def _block_bytes(self, slot: int, layout: Layout) -> int:
        return 2 ** len(layout.bits) * (self._batch(slot) or 1) * self._plan.itemsize

    def _note_block(self, slot: int) -> None:
        self._largest_block = max(self._largest_block, self._block_bytes(slot, self._layouts[slot]))

    def finish(self) -> Plan:
        """The plan of this rank."""
        return replace(
            self._plan,
            operations=tuple(self._operations),
            final=tuple(self._here(part) for part in self._plan.final),
            peak_bytes=peak_bytes(self._operations, self._plan),
            ranks=self._ranks,
            remaps=self._remaps,
            bytes_sent=self._bytes_sent,
            block_bytes=self._largest_block,
        )
