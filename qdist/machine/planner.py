"""The planner: instructions become operations on vectors, and bits become digits only while something needs them.

It knows when each wire is needed for the last time, so a qubit or a bit that nothing needs again leaves its cluster.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.machine import classical
from qdist.machine.blocks import Blocks
from qdist.machine.clusters import Clusters
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
from qdist.machine.joins import joined_late
from qdist.machine.plan import BitPlace, Draw, Keep, Merge, Plan, Read, Scale, Transfer, Xor
from qdist_kernels.namespace import is_jax, namespace

CONDITION_ENTRIES = 64
"""Largest matrix side for an operation conditioned on digits; beyond it the answer is computed into a bit first."""

FOREVER = 1 << 60


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
    keep = None if keep is None else tuple(keep)
    last, stays = _last_uses(instructions), {*(keep or ()), *(outputs or {}).values()}
    leaving = {} if keep is None else {wire: number for wire, number in last.items() if wire not in stays}
    order = joined_late(instructions, leaving)
    if order != list(range(len(order))):
        instructions = [instructions[number] for number in order]
        last = _last_uses(instructions)
    planner = _Planner(instructions, last, dict(outputs or {}), keep, dict(postselect or {}), shots, itemsize)
    for index, (number, instruction) in enumerate(zip(order, instructions, strict=True)):
        planner.now, planner.clusters.now = index, number
        planner.instruction(instruction)
    return planner.finish()


@dataclass
class _Planner:
    instructions: Sequence[Instruction]
    last_read: dict[str, int]
    outputs: dict[str, str]
    keep: Iterable[str] | None
    postselect: dict[str, int]
    shots: int | None
    itemsize: int
    now: int = 0
    constants: dict[str, int] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)
    alias: dict[str, tuple[str, Any]] = field(default_factory=dict)
    purposes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clusters = Clusters(self.shots or 1, self.itemsize)
        self.blocks = Blocks(self.clusters)
        self.operations = self.clusters.operations
        self.compose = self.blocks.compose
        self.wanted = None if self.keep is None else set(self.keep)
        self.last_use = self.last_read | dict.fromkeys(self.outputs.values(), FOREVER)
        self._ends: dict[int, list[str]] = {}
        for wire, index in self.last_use.items():
            self._ends.setdefault(index, []).append(wire)
        self._flags = 0

    # -- instructions

    def instruction(self, instruction: Instruction) -> None:
        match instruction:
            case Create(qubits=qubits, vector=vector):
                self.compose((), qubits, vector[..., None], dict.fromkeys(qubits, 4))
            case Act():
                self._act(instruction)
            case JointRelax():
                self._joint_relax(instruction)
            case Observe():
                self._observe(instruction)
            case Parity(bit=bit, of=of):
                self._parity(bit, of)
                self._postselect(bit)
            case Project(test=test, label=label):
                self._project(test, label)
            case Remove(qubit=qubit):
                self._trace_out(qubit)
            case Look():
                self._look(instruction)
        self._drop_finished()

    def _postselect(self, bit: str) -> None:
        """Keep the wanted value of a bit that was computed, or measured under a condition."""
        if bit not in self.postselect:
            return
        value, label = self.postselect[bit], f"{bit} = {self.postselect[bit]}"
        if bit in self.blocks:
            self._filter((bit,), (), np.array([[0.5, 0.5 - value]]), label, is_herald=False)
            self.constants[bit] = value
        elif self.constants.get(bit) != value:
            raise QdistError(f"Bit '{bit}' must be able to be {value} to be postselected, but is {1 - value} always.")

    def _act(self, act: Act) -> None:
        if act.when is None:
            self.compose(act.qubits, act.qubits, act.matrix)
            return
        test = self._resolve(act.when)
        if test is True:
            self.compose(act.qubits, act.qubits, act.matrix)
        elif isinstance(test, Test):
            self._conditional(test, act.qubits, act.qubits, act.matrix, np.eye(4 ** len(act.qubits)))
        self._drop_dead(act.when.bits)

    def _conditional(
        self, test: Test, inputs: tuple[str, ...], outputs: tuple[str, ...], matrix: Any, otherwise: Any
    ) -> None:
        """A matrix where the test holds and another one elsewhere."""
        if self._is_drawn(test):
            self.blocks.now(inputs, outputs, matrix, test, otherwise)
            return
        side = 2 ** len(test.bits) * max(matrix.shape)
        if side > CONDITION_ENTRIES and len(test.bits) > 1:
            flag = self._flag(test)
            self._conditional(Test((flag,), frozenset({1})), inputs, outputs, matrix, otherwise)
            self._trace_out(flag)
            return
        bits = tuple(dict.fromkeys(test.bits))
        accept = classical.accepted(test, bits)
        self.compose(bits + inputs, bits + outputs, classical.conditional_matrix(accept, matrix, otherwise))

    def _flag(self, test: Test) -> str:
        """The answer of a test on digits as a new digit."""
        flag = f"?{self._flags}"
        self._flags += 1
        if test.parity is not None:
            self._parity_digit(flag, test.bits)
            if test.parity == 0:
                self.compose((flag,), (flag,), np.diag([1.0, -1.0]))
            return flag
        bits = tuple(dict.fromkeys(test.bits))
        accept = classical.accepted(test, bits)
        self.compose(bits, (flag, *bits), classical.function_matrix(lambda _: accept, len(bits)))
        return flag

    def _parity(self, bit: str, of: tuple[str, ...]) -> None:
        odd = [b for b, times in Counter(of).items() if times % 2]
        known = {b: self.constants[b] for b in odd if b in self.constants}
        rest = tuple(b for b in odd if b not in known)
        if not rest:
            self.constants[bit] = sum(known.values()) % 2
            return
        if all(b in self.drawn for b in rest):
            self.operations.append(Xor(bit, rest))
            self.drawn.add(bit)
            return
        self._parity_digit(bit, tuple(self._wire(b) for b in rest), frozenset(rest))
        if sum(known.values()) % 2:
            self.compose((bit,), (bit,), np.diag([1.0, -1.0]))
        self._drop_dead(of)

    def _parity_digit(self, bit: str, of: tuple[str, ...], droppable: frozenset[str] = frozenset()) -> None:
        """Z of the new digit is the product of the Z's; sources that are not needed again leave at once."""
        previous: str | None = None
        for source in of:
            gone = source in droppable and not self._needed_later(source)
            kept = () if gone else (source,)
            if previous is None:
                copy = np.array([[1, 0], [0, 1.0]]) if gone else np.array([[1, 0], [0, 1], [0, 1], [1, 0.0]])
                self.compose((source,), (bit, *kept), copy)
                previous = bit
                continue
            table = np.zeros((2, 2, 2, 2))
            for a in (0, 1):
                for b in (0, 1):
                    table[a, (a + b) % 2, a, b] = 1
            matrix = table[:, :1] if gone else table
            matrix = np.array([[1, 0, 0, 0], [0, 0, 0, 1.0]]) if gone else matrix.reshape(4, 4)
            self.compose((bit, source), (bit, *kept), matrix)

    def _observe(self, observe: Observe) -> None:
        qubit, bit = observe.qubit, observe.bit
        self.purposes[bit] = 2 * self.now
        left = (qubit,) if observe.keeps_qubit else ()
        if observe.when is not None:
            self._observe_if(observe)
            self._postselect(bit)
        elif bit in self.postselect:
            value = self.postselect[bit]
            chances = observe.confusion[value]
            matrix = chances[0] * observe.outcomes[0] + chances[1] * observe.outcomes[1]
            self._filter((qubit,), left, matrix, f"{bit} = {value}", is_herald=False)
            self.constants[bit] = value
        elif self.shots is not None and not self._defers(observe):
            self._draw(observe, None, None)
        elif self._collapses(observe):
            self.compose((qubit,), (qubit,), np.array([[1, 0, 0, 0], [0, 1, 0, 0.0]]), {qubit: 2})
            self.alias[bit] = (qubit, observe.confusion)
        elif not self._needed_later(bit):
            self.compose((qubit,), left, observe.outcomes[0] + observe.outcomes[1])
        else:
            matrix = classical.outcome_matrix(observe.outcomes, observe.confusion)
            self.compose((qubit,), (bit, *left), matrix)

    def _observe_if(self, observe: Observe) -> None:
        """A conditional measurement: where the test fails, the qubit is left alone and the bit is a copy."""
        assert observe.when is not None
        test = self._resolve(observe.when)
        if test is True:
            self._observe(Observe(observe.qubit, observe.bit, observe.outcomes, observe.confusion))
            return
        old = observe.otherwise
        if self.shots is not None and isinstance(test, Test):
            self._draw(observe, test, self.constants.get(old, old) if old else None)
            return
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
        slot = self.blocks.now(inputs, outputs, matrix)
        self.operations.append(Keep(label, is_herald, slot))

    def _draw(self, observe: Observe, when: Test | None, otherwise: str | int | None) -> None:
        self.blocks.draw(observe, 2 * self.now, when, otherwise)
        self.drawn.add(observe.bit)

    def _joint_relax(self, relax: JointRelax) -> None:
        shifts = []
        for k in range(len(relax.qubits)):
            z = relax.equilibria[k]
            shift = namespace(z).eye(4)
            shift = shift.at[1, 0].set(-z) if is_jax(shift) else _with_entry(shift, -float(z))
            shifts.append(shift)
        back = [2 * np.eye(4) - shift for shift in shifts]
        for qubit, shift in zip(relax.qubits, shifts, strict=True):
            self.compose((qubit,), (qubit,), shift)
        if len(relax.qubits) <= 2:
            self.compose(relax.qubits, relax.qubits, namespace(relax.factors).diag(relax.factors))
        else:
            self.blocks.flush(relax.qubits)
            self.clusters.scale(relax.qubits, relax.factors)
        for qubit, shift in zip(relax.qubits, back, strict=True):
            self.compose((qubit,), (qubit,), shift)

    def _trace_out(self, wire: str) -> None:
        row = np.zeros((1, self.blocks.dims[wire]))
        row[0, 0] = 1.0
        self.compose((wire,), (), row)

    def _look(self, look: Look) -> None:
        self.blocks.flush([q for group in look.groups for q in group])
        parts = tuple(self.clusters.locate(group) for group in look.groups)
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
        """Trace out bits that nothing needs again. A bit that was drawn, or is read off a qubit, is no digit."""
        for bit in dict.fromkeys(bits):
            if bit in self.blocks and not self._needed_later(bit):
                self._trace_out(bit)

    def _drop_finished(self) -> None:
        """Trace out qubits that nothing needs again, not even the end."""
        for wire in self._ends.get(self.now, ()):
            if self.wanted is not None and wire not in self.wanted and self.blocks.dims.get(wire) == 4:
                self._trace_out(wire)

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

    # -- the end

    def finish(self) -> Plan:
        """Trace out what is not wanted, apply the blocks that still wait, and say where everything is."""
        self.now = FOREVER - 1
        keep = self._kept_wires()
        for wire in [w for w in self.blocks.dims if w not in keep]:
            self._trace_out(wire)
        self.blocks.flush_all()
        return Plan(
            operations=tuple(self.operations),
            final=self.clusters.parts(),
            bits={name: self._place_of(wire, k) for k, (name, wire) in enumerate(self.outputs.items())},
            census=tuple(self.clusters.census),
            peak_bytes=self.clusters.peak_bytes,
            instructions=len(self.instructions),
            passes=sum(isinstance(op, Transfer | Scale | Draw | Merge) for op in self.operations),
            shots=self.shots or 1,
            itemsize=self.itemsize,
        )

    def _kept_wires(self) -> set[str]:
        outputs = {self._wire(wire) for wire in self.outputs.values()}
        qubits = {w for w, size in self.blocks.dims.items() if size == 4} | {q for q, _ in self.alias.values()}
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


def _is_z_measurement(outcomes: tuple[Any, Any]) -> bool:
    zero, one = outcomes
    if is_jax(zero) or zero.shape != (4, 4):
        return False
    return bool(np.allclose(zero + one, np.diag([1, 1, 0, 0]), atol=1e-14) and np.allclose(zero[0], [0.5, 0.5, 0, 0]))


def _wires_read(instruction: Instruction) -> tuple[str, ...]:
    """Bits and qubits."""
    match instruction:
        case Act(qubits=qubits, when=None) | JointRelax(qubits=qubits):
            return qubits
        case Act(qubits=qubits, when=Test(bits=bits)):
            return (*bits, *qubits)
        case Observe(qubit=qubit, when=Test(bits=bits), otherwise=otherwise):
            return (*bits, *([otherwise] if otherwise else []), qubit)
        case Observe(qubit=qubit) | Remove(qubit=qubit):
            return (qubit,)
        case Parity(of=of):
            return of
        case Project(test=Test(bits=bits)):
            return bits
        case Look(groups=groups):
            return tuple(q for group in groups for q in group)
    return ()


def _last_uses(instructions: Sequence[Instruction]) -> dict[str, int]:
    last: dict[str, int] = {}
    for index, instruction in enumerate(instructions):
        for wire in _wires_read(instruction):
            last[wire] = index
    return last
