"""The planner: fuses instructions into small matrices, merges and cuts clusters, and counts the bytes.

Everything that happens to a few wires is first gathered in a *block*: one matrix from wires that exist to wires that
will exist, of at most two qubits. A block is applied to the big vector only when something else needs one of its wires,
so a gate, its noise, the waiting before it, the creation of its qubits and a measurement after it cost one pass.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.machine import classical
from qdist.machine.instructions import (
    Act,
    Create,
    Instruction,
    JointRelax,
    Look,
    Observe,
    Parity,
    Project,
    Remove,
    Test,
)
from qdist.machine.plan import (
    BitPlace,
    Census,
    Draw,
    Keep,
    Load,
    Merge,
    Operation,
    Part,
    Plan,
    Read,
    Scale,
    Transfer,
    Xor,
    entries,
)
from qdist_kernels.namespace import is_jax, namespace

BLOCK_ENTRIES = 16
"""Dense blocks stop at two qubits: a three-qubit block costs more than two of these."""

CONDITION_ENTRIES = 64
"""Largest matrix side for an operation conditioned on digits; beyond it the answer is computed into a bit first."""

FOREVER = 1 << 60


@dataclass(eq=False)
class _Block:
    """A matrix (…, prod(out), prod(in)) that waits to be applied."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    matrix: Any

    @property
    def is_batched(self) -> bool:
        return self.matrix.ndim == 3


def make_plan(
    instructions: Sequence[Instruction],
    *,
    outputs: Mapping[str, str] | None = None,
    keep: Iterable[str] | None = None,
    postselect: Mapping[str, int] | None = None,
    shots: int | None = None,
    itemsize: int = 4,
) -> Plan:
    """Plan instructions.

    Args:
        instructions: In an order that respects cause and effect.
        outputs: Name of each output bit, and the wire that holds it.
        keep: Qubits whose state is wanted at the end; all that are alive if `None`.
        postselect: Outcomes that are kept, by wire.
        shots: Trajectories at a time, if outcomes are to be drawn; `None` carries all branches.
        itemsize: Bytes of a number.
    """
    planner = _Planner(instructions, dict(outputs or {}), keep, dict(postselect or {}), shots, itemsize)
    for index, instruction in enumerate(instructions):
        planner.now = index
        planner.instruction(instruction)
    return planner.finish()


@dataclass
class _Planner:
    instructions: Sequence[Instruction]
    outputs: dict[str, str]
    keep: Iterable[str] | None
    postselect: dict[str, int]
    shots: int | None
    itemsize: int
    now: int = 0
    operations: list[Operation] = field(default_factory=list)
    slots: dict[int, list[str]] = field(default_factory=dict)
    slot_of: dict[str, int] = field(default_factory=dict)
    dims: dict[str, int] = field(default_factory=dict)
    blocks: dict[str, _Block] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)
    alias: dict[str, tuple[str, Any]] = field(default_factory=dict)
    batched: set[int] = field(default_factory=set)
    stored_dims: dict[str, int] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    purposes: dict[str, int] = field(default_factory=dict)
    census: list[Census] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.peak = 0
        self._held = 0
        self._widths: Counter[int] = Counter()
        self._next_slot = 0
        self._touched_slot = -1
        self._temporaries = 0
        self.wanted = None if self.keep is None else set(self.keep)
        self.last_read = _last_uses(self.instructions)
        self.last_use = dict(self.last_read)
        for wire in self.outputs.values():
            self.last_use[wire] = FOREVER

    # -- instructions

    def instruction(self, instruction: Instruction) -> None:
        match instruction:
            case Create(qubits=qubits, vector=vector):
                self._create(qubits, vector)
            case Act():
                self._act(instruction)
            case JointRelax():
                self._joint_relax(instruction)
            case Observe():
                self._observe(instruction)
            case Parity(bit=bit, of=of):
                self._parity(bit, of)
            case Project(test=test, label=label):
                self._project(test, label)
            case Remove(qubit=qubit):
                self._trace_out(qubit)
            case Look():
                self._look(instruction)
        self._drop_finished(_qubits_read(instruction))

    def _create(self, qubits: tuple[str, ...], vector: Any) -> None:
        for qubit in qubits:
            if qubit in self.slot_of:
                self._flush(next(block for block in self.blocks.values() if qubit in block.inputs))
            self.dims[qubit] = 4
        batched = vector.ndim == 2
        self._compose((), qubits, vector[:, :, None] if batched else vector[:, None])

    def _act(self, act: Act) -> None:
        if act.when is None:
            self._compose(act.qubits, act.qubits, act.matrix)
            return
        test = self._resolve(act.when)
        if test is True:
            self._compose(act.qubits, act.qubits, act.matrix)
        elif isinstance(test, Test):
            self._conditional(test, act.qubits, act.qubits, act.matrix, np.eye(4 ** len(act.qubits)))
        self._drop_dead(act.when.bits)

    def _conditional(
        self, test: Test, inputs: tuple[str, ...], outputs: tuple[str, ...], matrix: Any, otherwise: Any
    ) -> None:
        """A matrix where the test holds and another one elsewhere."""
        if self._is_drawn(test):
            self._flush_wires(inputs)
            self._emit_transfer(inputs, outputs, matrix, test, otherwise)
            return
        side = 2 ** len(test.bits) * max(matrix.shape)
        if side > CONDITION_ENTRIES and len(test.bits) > 1:
            flag = self._flag(test)
            self._conditional(Test((flag,), frozenset({1})), inputs, outputs, matrix, otherwise)
            self._trace_out(flag)
            return
        bits = tuple(dict.fromkeys(test.bits))
        accept = classical.accepted(test, bits)
        self._compose(bits + inputs, bits + outputs, classical.conditional_matrix(accept, matrix, otherwise))

    def _flag(self, test: Test) -> str:
        """The answer of a test on digits as a new digit."""
        flag = f"?{self._temporaries}"
        self._temporaries += 1
        if test.parity is not None:
            self._parity_digit(flag, test.bits)
            if test.parity == 0:
                self._compose((flag,), (flag,), np.diag([1.0, -1.0]))
            return flag
        bits = test.bits
        accept = classical.accepted(test, bits)
        self.dims[flag] = 2
        self._compose(bits, (flag, *bits), classical.function_matrix(lambda _: accept, len(bits)))
        return flag

    def _parity(self, bit: str, of: tuple[str, ...]) -> None:
        known = {b: self.constants[b] for b in of if b in self.constants}
        rest = tuple(b for b in of if b not in known)
        if not rest:
            self.constants[bit] = sum(known.values()) % 2
            return
        if all(b in self.drawn for b in rest):
            self.operations.append(Xor(bit, of))
            self.drawn.add(bit)
            return
        self._parity_digit(bit, tuple(self._wire(b) for b in rest), frozenset(rest))
        if sum(known.values()) % 2:
            self._compose((bit,), (bit,), np.diag([1.0, -1.0]))
        self._drop_dead(of)

    def _parity_digit(self, bit: str, of: tuple[str, ...], droppable: frozenset[str] = frozenset()) -> None:
        """Z of the new digit is the product of the Z's; sources that are not needed again leave at once."""
        self.dims[bit] = 2
        previous: str | None = None
        for source in of:
            gone = source in droppable and not self._needed_later(source)
            kept = () if gone else (source,)
            if previous is None:
                copy = np.array([[1, 0], [0, 1.0]]) if gone else np.array([[1, 0], [0, 1], [0, 1], [1, 0.0]])
                self._compose((source,), (bit, *kept), copy)
                previous = bit
                continue
            table = np.zeros((2, 2, 2, 2))
            for a in (0, 1):
                for b in (0, 1):
                    table[a, (a + b) % 2, a, b] = 1
            matrix = table[:, :1] if gone else table
            matrix = np.array([[1, 0, 0, 0], [0, 0, 0, 1.0]]) if gone else matrix.reshape(4, 4)
            self._compose((bit, source), (bit, *kept), matrix)

    def _observe(self, observe: Observe) -> None:
        qubit, bit = observe.qubit, observe.bit
        self.purposes[bit] = 2 * self.now
        left = (qubit,) if observe.keeps_qubit else ()
        if observe.when is not None:
            self._observe_if(observe)
        elif bit in self.postselect:
            value = self.postselect[bit]
            chances = observe.confusion[value]
            matrix = chances[0] * observe.outcomes[0] + chances[1] * observe.outcomes[1]
            self._filter((qubit,), left, matrix, f"{bit} = {value}", is_herald=False)
            self.constants[bit] = value
        elif self.shots is not None and not self._defers(observe):
            self._flush_wires((qubit,))
            self._emit_draw(observe, None, None)
        elif self._collapses(observe):
            self._compose((qubit,), (qubit,), np.array([[1, 0, 0, 0], [0, 1, 0, 0.0]]), {qubit: 2})
            self.alias[bit] = (qubit, observe.confusion)
        elif not self._needed_later(bit):
            self._compose((qubit,), left, observe.outcomes[0] + observe.outcomes[1])
        else:
            matrix = classical.outcome_matrix(observe.outcomes, observe.confusion)
            self._compose((qubit,), (bit, *left), matrix)

    def _observe_if(self, observe: Observe) -> None:
        """A conditional measurement: where the test fails, the qubit is left alone and the bit is a copy."""
        assert observe.when is not None
        test = self._resolve(observe.when)
        if test is True:
            self._observe(Observe(observe.qubit, observe.bit, observe.outcomes, observe.confusion))
            return
        if observe.bit in self.postselect:
            raise QdistError(f"A conditional measurement cannot be postselected, but bit '{observe.bit}' is.")
        if self.shots is not None:
            if test is False:
                test = Test(observe.when.bits, frozenset())
            self._flush_wires((observe.qubit,))
            self._emit_draw(observe, test, observe.otherwise)
            return
        old = observe.otherwise
        if test is False:
            if old is None or old in self.constants:
                self.constants[observe.bit] = self.constants.get(old, 0) if old else 0
            else:
                self._parity(observe.bit, (old,))
            return
        self._observe_where(observe, test, old)
        self._drop_dead([*observe.when.bits, *([old] if old else [])])

    def _observe_where(self, observe: Observe, test: Test, old: str | None) -> None:
        qubit, bit = observe.qubit, observe.bit
        measured = classical.outcome_matrix(observe.outcomes, observe.confusion)
        if old is None or old in self.constants:
            sign = 1.0 - 2.0 * (self.constants[old] if old else 0)
            copied = np.kron(np.array([[1.0], [sign]]), np.eye(4))
            self._conditional(test, (qubit,), (bit, qubit), measured, copied)
            return
        source = self._wire(old)
        spread = np.zeros((2, 2, 4, 2, 4))
        for k in (0, 1):
            spread[:, k, :, k, :] = measured.reshape(2, 4, 4)
        copied = np.zeros((2, 2, 4, 2, 4))
        for k, n in ((0, 0), (0, 1), (1, 0), (1, 1)):
            copied[n, k, :, (k + n) % 2, :] = np.eye(4)
        if source in test.bits:
            flag = self._flag(test)
            test = Test((flag,), frozenset({1}))
        self._conditional(test, (source, qubit), (bit, source, qubit), spread.reshape(16, 8), copied.reshape(16, 8))
        for name in test.bits:
            if name.startswith("?"):
                self._trace_out(name)

    def _project(self, test: Test, label: str) -> None:
        resolved = self._resolve(test)
        if resolved is True:
            self.operations.append(Keep(label, True))
        elif resolved is False:
            raise QdistError(f"Herald '{label}' must be able to succeed, but the postselected outcomes exclude it.")
        elif self._is_drawn(resolved):
            self.operations.append(Keep(label, True, test=resolved))
        elif len(resolved.bits) == 1:
            accept = classical.accepted(resolved, resolved.bits)
            self._filter(resolved.bits, resolved.bits, classical.filter_matrix(accept), label)
            self._drop_dead(test.bits)
        else:
            flag = self._flag(resolved)
            self._filter((flag,), (flag,), classical.filter_matrix(np.array([False, True])), label)
            self._trace_out(flag)
            self._drop_dead(test.bits)

    def _filter(
        self, inputs: tuple[str, ...], outputs: tuple[str, ...], matrix: Any, label: str, *, is_herald: bool = True
    ) -> None:
        """A matrix that does not preserve the trace, followed by a note of the probability."""
        self._flush_wires(inputs)
        self._emit_transfer(inputs, outputs, matrix)
        for wire in inputs:
            if wire not in outputs:
                del self.dims[wire]
        self.operations.append(Keep(label, is_herald, self._touched_slot))

    def _joint_relax(self, relax: JointRelax) -> None:
        shifts = []
        for k in range(len(relax.qubits)):
            z = relax.equilibria[k]
            shift = namespace(z).eye(4)
            shift = shift.at[1, 0].set(-z) if is_jax(shift) else _with_entry(shift, -float(z))
            shifts.append(shift)
        back = [2 * np.eye(4) - shift for shift in shifts]
        for qubit, shift in zip(relax.qubits, shifts, strict=True):
            self._compose((qubit,), (qubit,), shift)
        if len(relax.qubits) <= 2:
            self._compose(relax.qubits, relax.qubits, namespace(relax.factors).diag(relax.factors))
        else:
            self._flush_wires(relax.qubits)
            slot = self._join(relax.qubits)
            wires = self.slots[slot]
            order = sorted(range(len(relax.qubits)), key=lambda k: wires.index(relax.qubits[k]))
            factors = relax.factors.reshape((4,) * len(order)).transpose(order).reshape(-1)
            axes = tuple(wires.index(relax.qubits[k]) for k in order)
            self._emit(Scale(slot, self._dims_of(wires), axes, factors), slot, entries(self._dims_of(wires)))
        for qubit, shift in zip(relax.qubits, back, strict=True):
            self._compose((qubit,), (qubit,), shift)

    def _trace_out(self, wire: str) -> None:
        row = np.zeros((1, self.dims[wire]))
        row[0, 0] = 1.0
        self._compose((wire,), (), row)

    def _look(self, look: Look) -> None:
        self._flush_wires([q for group in look.groups for q in group])
        parts = tuple(self._locate(group) for group in look.groups)
        self.operations.append(Read(look.label, look.time, look.groups, parts, look.relaxations))

    # -- bits: where they are, and when they are dropped

    def _wire(self, bit: str) -> str:
        return self.alias[bit][0] if bit in self.alias else bit

    def _resolve(self, test: Test) -> Test | bool:
        """The test in terms of wires that are digits or drawn, or its answer."""
        rest = classical.restrict(test, self.constants)
        if isinstance(rest, bool):
            return rest
        return Test(tuple(self._wire(bit) for bit in rest.bits), rest.values, rest.parity)

    def _is_drawn(self, test: Test) -> bool:
        return all(bit in self.drawn or bit in self.constants for bit in test.bits)

    def _needed_later(self, wire: str) -> bool:
        return self.last_use.get(wire, -1) > self.now

    def _drop_dead(self, bits: Iterable[str]) -> None:
        for bit in dict.fromkeys(bits):
            is_digit = (
                bit in self.dims and bit not in self.drawn and bit not in self.constants and bit not in self.alias
            )
            if is_digit and not self._needed_later(bit) and (bit in self.blocks or bit in self.slot_of):
                self._trace_out(bit)

    def _drop_finished(self, qubits: Iterable[str]) -> None:
        """Trace out qubits that nothing needs again, not even the end."""
        if self.wanted is None:
            return
        for qubit in qubits:
            present = self.dims.get(qubit) == 4 and (qubit in self.blocks or qubit in self.slot_of)
            if present and qubit not in self.wanted and not self._needed_later(qubit):
                self._trace_out(qubit)

    def _collapses(self, observe: Observe) -> bool:
        """Whether the measured qubit can itself hold the outcome: nothing but the end needs it again."""
        if not observe.keeps_qubit or self._needed_later(observe.qubit) or not _is_z_measurement(observe.outcomes):
            return False
        if self.wanted is not None and observe.qubit not in self.wanted:
            return False
        perfect = not is_jax(observe.confusion) and np.array_equal(observe.confusion, np.eye(2))
        return perfect or self._first_use_is_end(observe.bit)

    def _first_use_is_end(self, bit: str) -> bool:
        return self.last_read.get(bit, -1) <= self.now

    def _defers(self, observe: Observe) -> bool:
        """Whether the draw can wait until the end: nothing before the end needs the bit or the qubit."""
        return not self._needed_later(observe.qubit) and self._first_use_is_end(observe.bit)

    # -- blocks

    def _compose(
        self, inputs: tuple[str, ...], outputs: tuple[str, ...], matrix: Any, new_dims: dict[str, int] | None = None
    ) -> None:
        """Gather a matrix from `inputs` to `outputs` with the blocks of its inputs, as far as they stay small."""
        touching = list(dict.fromkeys(self.blocks[w] for w in inputs if w in self.blocks))
        touching.sort(key=lambda b: (b.matrix.shape[-1], b.matrix.shape[-2]))
        taken: list[_Block] = []
        for block in touching:
            if self._fits([*taken, block], inputs, outputs, matrix):
                taken.append(block)
            else:
                self._flush(block)
        joined = self._product(taken, inputs)
        self._replace(joined, inputs, outputs, matrix, new_dims or {})

    def _fits(self, blocks: list[_Block], inputs: tuple[str, ...], outputs: tuple[str, ...], matrix: Any) -> bool:
        held = {w for block in blocks for w in block.outputs}
        before = [w for block in blocks for w in block.inputs] + [w for w in inputs if w not in held]
        rest = [w for w in held if w not in inputs]
        size_in = entries(tuple(self._input_dim(w) for w in before))
        size_out = matrix.shape[-2] * entries(tuple(self.dims[w] for w in rest))
        limit = 4 if matrix.ndim == 3 or any(block.is_batched for block in blocks) else BLOCK_ENTRIES
        return max(size_in, size_out) <= limit

    def _input_dim(self, wire: str) -> int:
        """Entries of a digit as it stands in its slot, before a block that waits."""
        return self.stored_dims[wire] if wire in self.stored_dims else self.dims[wire]

    def _product(self, blocks: list[_Block], inputs: tuple[str, ...]) -> _Block:
        """One block for several, and the identity on the wires that are in none."""
        if len(blocks) == 1 and set(inputs) <= set(blocks[0].outputs):
            return blocks[0]
        free = tuple(w for w in dict.fromkeys(inputs) if not any(w in block.outputs for block in blocks))
        parts = [*blocks]
        if not parts and not free:
            return _Block((), (), np.ones((1, 1)))
        if free:
            parts.append(_Block(free, free, np.eye(entries(tuple(self.dims[w] for w in free)))))
        joined = parts[0]
        for block in parts[1:]:
            matrix = _kron(joined.matrix, block.matrix)
            joined = _Block(joined.inputs + block.inputs, joined.outputs + block.outputs, matrix)
        return joined

    def _replace(
        self, block: _Block, inputs: tuple[str, ...], outputs: tuple[str, ...], matrix: Any, new_dims: dict[str, int]
    ) -> None:
        """`matrix` after `block`."""
        for wire in block.outputs:
            self.blocks.pop(wire, None)
        for wire in block.inputs:
            if wire in self.slot_of and wire in self.dims:
                self.stored_dims.setdefault(wire, self.dims[wire])
        rest = tuple(w for w in block.outputs if w not in inputs)
        dims = tuple(self.dims[w] for w in block.outputs)
        order = [block.outputs.index(w) for w in (*inputs, *rest)]
        old = block.matrix
        lead = old.shape[:-2]
        spread = old.reshape(*lead, *dims, old.shape[-1])
        shift = len(lead)
        spread = spread.transpose([*range(shift), *(shift + k for k in order), shift + len(dims)])
        columns = spread.reshape(*lead, matrix.shape[-1], -1)
        product = namespace(matrix, columns).matmul(matrix, columns)
        for wire in inputs:
            if wire not in outputs:
                del self.dims[wire]
        self.dims.update(new_dims)
        self.dims |= {w: 2 for w in outputs if w not in self.dims}
        new = _Block(block.inputs, outputs + rest, product.reshape(*product.shape[:-2], -1, old.shape[-1]))
        if not new.outputs and not new.inputs:
            return
        for wire in new.outputs:
            self.blocks[wire] = new
        if not new.outputs:
            self._flush(new)

    def _flush_wires(self, wires: Iterable[str]) -> None:
        for wire in wires:
            if wire in self.blocks:
                self._flush(self.blocks[wire])

    def _flush(self, block: _Block) -> None:
        for wire in block.outputs:
            self.blocks.pop(wire, None)
        self._emit_transfer(block.inputs, block.outputs, block.matrix)

    # -- vectors

    def _dims_of(self, wires: Iterable[str]) -> tuple[int, ...]:
        return tuple(self._input_dim(w) for w in wires)

    def _join(self, wires: Sequence[str]) -> int:
        """The slot that holds all of the wires, after merging their clusters."""
        first, *others = dict.fromkeys(self.slot_of[w] for w in wires)
        for other in others:
            moved = self.slots.pop(other)
            self.slots[first] += moved
            self.slot_of |= dict.fromkeys(moved, first)
            if other in self.batched:
                self.batched.discard(other)
                self.batched.add(first)
            self._resize(other, 0, -1)
            self._emit(Merge(first, other), first)
        return first

    def _emit_transfer(
        self,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        matrix: Any,
        test: Test | None = None,
        otherwise: Any = None,
    ) -> None:
        batched = matrix.ndim == 3 or test is not None
        if not inputs:
            slot = self._next_slot
            self._next_slot += 1
            self._place(slot, list(outputs))
            if batched:
                self.batched.add(slot)
            self._emit(Load(slot, matrix[..., 0]), slot)
            self._touched_slot = slot
            return
        slot = self._join(inputs)
        wires = self.slots[slot]
        order = sorted(range(len(inputs)), key=lambda k: wires.index(inputs[k]))
        columns = _permute_columns(matrix, tuple(self._input_dim(w) for w in inputs), order)
        other = None if otherwise is None else _permute_columns(otherwise, self._dims_of(inputs), order)
        axes = tuple(wires.index(inputs[k]) for k in order)
        dims = self._dims_of(wires)
        if batched:
            self.batched.add(slot)
        for wire in inputs:
            self.slot_of.pop(wire, None)
            self.stored_dims.pop(wire, None)
        after = [*outputs, *(w for w in wires if w not in inputs)]
        self._place(slot, after)
        self._emit(Transfer(slot, dims, axes, columns, test, other), slot, entries(dims))
        self._touched_slot = slot

    def _emit_draw(self, observe: Observe, when: Test | None, otherwise: str | None) -> None:
        slot = self.slot_of[observe.qubit]
        wires = self.slots[slot]
        axis, dims = wires.index(observe.qubit), self._dims_of(wires)
        left = [observe.qubit] if observe.keeps_qubit else []
        after = left + [w for w in wires if w != observe.qubit]
        self.slot_of.pop(observe.qubit)
        if not left:
            del self.dims[observe.qubit]
        self._place(slot, after)
        self.batched.add(slot)
        self.drawn.add(observe.bit)
        draw = Draw(slot, dims, axis, observe.outcomes, observe.confusion, observe.bit, 2 * self.now, when, otherwise)
        self._emit(draw, slot, entries(dims))

    def _place(self, slot: int, wires: list[str]) -> None:
        self.slots[slot] = wires
        self.slot_of |= dict.fromkeys(wires, slot)

    def _emit(self, operation: Operation, slot: int, entries_in: int = 0) -> None:
        """Write an operation and count: what is held after it, and what it needs while it runs."""
        self.operations.append(operation)
        dims = self._dims_of(self.slots[slot])
        batch = (self.shots or 1) if slot in self.batched else 1
        self._resize(slot, entries(dims) * batch, sum(d.bit_length() - 1 for d in dims))
        scratch = batch * 2 * entries_in
        self.peak = max(self.peak, (self._held + scratch) * self.itemsize)
        self.census.append(Census(self.now, len(self.slots), max(self._widths), self._held * self.itemsize))

    def _resize(self, slot: int, size: int, width: int) -> None:
        old_size, old_width = self.sizes.pop(slot, (0, -1))
        self._held += size - old_size
        self._widths[old_width] -= 1
        if self._widths[old_width] <= 0:
            del self._widths[old_width]
        if width >= 0:
            self.sizes[slot] = (size, width)
            self._widths[width] += 1

    def _locate(self, group: Sequence[str]) -> tuple[Part, ...]:
        parts = []
        for slot in dict.fromkeys(self.slot_of[w] for w in group):
            wires = self.slots[slot]
            inside = tuple(w for w in wires if w in group)
            parts.append(Part(slot, self._dims_of(wires), tuple(wires.index(w) for w in inside), inside))
        return tuple(parts)

    # -- the end

    def finish(self) -> Plan:
        self.now = FOREVER - 1
        keep = self._kept_wires()
        for wire in [w for w in self.dims if w not in keep and (w in self.blocks or w in self.slot_of)]:
            self._trace_out(wire)
        for block in dict.fromkeys(self.blocks.values()):
            self._flush(block)
        final = tuple(
            Part(slot, self._dims_of(wires), tuple(range(len(wires))), tuple(wires))
            for slot, wires in self.slots.items()
            if wires
        )
        passes = sum(isinstance(op, Transfer | Scale | Draw | Merge) for op in self.operations)
        return Plan(
            tuple(self.operations),
            final,
            {name: self._place_of(wire, k) for k, (name, wire) in enumerate(self.outputs.items())},
            tuple(self.census),
            self.peak,
            len(self.instructions),
            passes,
            self.shots or 1,
            self.itemsize,
        )

    def _kept_wires(self) -> set[str]:
        outputs = {self._wire(wire) for wire in self.outputs.values()}
        bits = {w for w in self.dims if self.dims[w] == 2}
        qubits = {w for w in self.dims if w not in bits} | {q for q, _ in self.alias.values()}
        return outputs | (qubits if self.wanted is None else qubits & self.wanted)

    def _place_of(self, wire: str, number: int) -> BitPlace:
        purpose = self.purposes.get(wire, 2 * (len(self.instructions) + number))
        if wire in self.constants:
            return BitPlace(constant=self.constants[wire])
        if wire in self.drawn:
            return BitPlace(drawn=wire)
        if wire in self.alias:
            qubit, confusion = self.alias[wire]
            return BitPlace(wire=qubit, confusion=confusion, purpose=purpose)
        return BitPlace(wire=wire, confusion=np.eye(2), purpose=purpose)


def _with_entry(matrix: np.ndarray, value: float) -> np.ndarray:
    matrix[1, 0] = value
    return matrix


def _kron(a: Any, b: Any) -> Any:
    """Kronecker product over the last two axes."""
    xp = namespace(a, b)
    product = xp.einsum("...ij,...kl->...ikjl", a, b)
    return product.reshape(*product.shape[:-4], a.shape[-2] * b.shape[-2], a.shape[-1] * b.shape[-1])


def _permute_columns(matrix: Any, dims: tuple[int, ...], order: list[int]) -> Any:
    if order == list(range(len(order))):
        return matrix
    lead = matrix.shape[:-1]
    spread = matrix.reshape(*lead, *dims)
    axes = [*range(len(lead)), *(len(lead) + k for k in order)]
    return spread.transpose(axes).reshape(*lead, -1)


def _is_z_measurement(outcomes: tuple[Any, Any]) -> bool:
    zero, one = outcomes
    if is_jax(zero) or zero.shape != (4, 4):
        return False
    return bool(np.allclose(zero + one, np.diag([1, 1, 0, 0]), atol=1e-14) and np.allclose(zero[0], [0.5, 0.5, 0, 0]))


def _bits_read(instruction: Instruction) -> tuple[str, ...]:
    match instruction:
        case Act(when=Test(bits=bits)) | Project(test=Test(bits=bits)):
            return bits
        case Observe(when=Test(bits=bits), otherwise=otherwise):
            return (*bits, *([otherwise] if otherwise else []))
        case Parity(of=of):
            return of
    return ()


def _qubits_read(instruction: Instruction) -> tuple[str, ...]:
    match instruction:
        case Act(qubits=qubits) | JointRelax(qubits=qubits):
            return qubits
        case Observe(qubit=qubit) | Remove(qubit=qubit):
            return (qubit,)
        case Look(groups=groups):
            return tuple(q for group in groups for q in group)
    return ()


def _last_uses(instructions: Sequence[Instruction]) -> dict[str, int]:
    last: dict[str, int] = {}
    for index, instruction in enumerate(instructions):
        for wire in (*_bits_read(instruction), *_qubits_read(instruction)):
            last[wire] = index
    return last
