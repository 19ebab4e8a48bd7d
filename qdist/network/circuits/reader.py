"""The state of reading a program: what has been declared, what has happened, and under which condition it happens."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from openqasm3 import ast

from qdist.network.circuits import conditions, expressions, limits
from qdist.network.circuits.circuit import Condition, Instruction, Register, element_name
from qdist.network.circuits.dialects import Dialect
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.names import Bitstore, Scope, Variable, Wires
from qdist.network.circuits.values import Value
from qdist.physics.gates import GATES, GateRule


@dataclass
class Guard:
    """An `if` on measured bits whose body is being read.

    Attributes:
        bits: The bits it asks. Its body is flattened into instructions that each ask them again.
        rewritten: Whether the body has measured into one of them, so that they must not be asked again.
    """

    bits: frozenset[int]
    rewritten: bool = False


@dataclass(frozen=True)
class GateDefinition:
    """A gate that the program defines."""

    node: ast.QuantumGateDefinition

    @property
    def num_params(self) -> int:
        return len(self.node.arguments)

    @property
    def num_qubits(self) -> int:
        return len(self.node.qubits)


@dataclass(frozen=True)
class Call:
    """A subroutine whose body is being read.

    Attributes:
        return_type: What it returns.
        guards: The number of tests of measured bits around the call.
        first_bit: The first of the bits that it may declare.
    """

    return_type: ast.ClassicalType | None
    guards: int
    first_bit: int


@dataclass
class Body:
    """Where instructions go: the circuit, or one gate that the program defines.

    Attributes:
        gate: The definition of that gate; None for the circuit.
        instructions: What happens, for a gate on its qubits 0, 1, ….
        condition: Under which the next instruction happens, None for always.
        guards: The tests of measured bits around the current statement.
        loops: For each loop around the current statement, the number of guards outside of it.
        calls: The subroutines around the current statement.
    """

    gate: GateDefinition | None = None
    instructions: list[Instruction] = field(default_factory=list)
    condition: Condition | None = None
    guards: list[Guard] = field(default_factory=list)
    loops: list[int] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


class ProgramReader:
    """Everything that statements read and change.

    Attributes:
        dialect: OpenQASM 2 or 3.
        line: The line of the statement that is being read.
        scope: The names that it sees.
        body: Where its instructions go.
        bits: What is known of the classical bits.
        library: The gates of the standard library that the program may use.
        definitions: The gates that it defines.
        unrolled: The bodies of those gates, by name and parameters.
        subroutines: The subroutines that it defines.
    """

    def __init__(
        self,
        dialect: Dialect,
        visitors: Mapping[type, Callable[..., None]],
        call: Callable[["ProgramReader", ast.FunctionCall, Scope], Value],
    ) -> None:
        """An empty program; `visitors` say what to do with each kind of statement, `call` what with a subroutine."""
        self.dialect = dialect
        self.line = 0
        self.scope = Scope(self, self._constants())
        self.global_scope = self.scope
        self.body = Body()
        self.bits = Bitstore()
        self.library: dict[str, GateRule] = {name: GATES[name] for name in dialect.builtin}
        self.definitions: dict[str, GateDefinition] = {}
        self.unrolled: dict[tuple[str, tuple[float, ...]], tuple[Instruction, ...]] = {}
        self.subroutines: dict[str, ast.SubroutineDefinition] = {}
        self.qubit_registers: list[Register] = []
        self.bit_registers: list[Register] = []
        self._visitors = visitors
        self._call = call
        self._physical: dict[str, int] = {}
        self._num_qubits = 0
        self._num_bits = 0
        self._steps = 0

    def _constants(self) -> Scope:
        """The outermost scope, where π is declared."""
        scope = Scope(self)
        for name, value in self.dialect.constants.items():
            scope.declare(name, Variable(value))
        return scope

    def run(self, statements: Iterable[Any]) -> None:
        """Read statements in order."""
        for node in statements:
            self.line = node.span.start_line
            try:
                self._run_one(node)
            except Mistake as mistake:
                mistake.line = mistake.line or self.line
                raise

    def _run_one(self, node: Any) -> None:
        self.count_steps()
        visit = self._visitors.get(type(node))
        if visit is None:
            raise Mistake(f"A statement must be one that a simulator can follow, but {_title(node)} is not. Remove it.")
        if self.body.gate is not None and type(node) not in _OF_GATES:
            raise Mistake(f"The body of a gate must have gates only, but has {_title(node)}. Use a `def` instead.")
        if getattr(node, "annotations", None):
            raise Mistake(f"A program must have no annotations, but has '@{node.annotations[0].keyword}'. Remove it.")
        visit(self, node)

    def count_steps(self, turns: range = range(1)) -> None:
        """Raise if reading would take forever."""
        # `len` fails for ranges of more than 2⁶³ numbers.
        self._steps += 1 if len(turns[:2]) < 2 else 1 + (turns[-1] - turns[0]) // turns.step
        if self._steps > limits.MAX_STEPS:
            raise Mistake(
                f"A program must take at most {limits.MAX_STEPS} steps, but its loops take more. Shorten them."
            )

    def evaluate(self, node: Any, scope: Scope | None = None) -> Value:
        """The value of an expression."""
        return expressions.evaluate(node, scope or self.scope)

    def call(self, node: ast.FunctionCall, scope: Scope) -> Value:
        """The value of a subroutine, whose body happens now."""
        return self._call(self, node, scope)

    def emit(
        self,
        kind: str,
        name: str,
        params: tuple[float, ...] = (),
        qubits: tuple[int, ...] = (),
        bits: tuple[int, ...] = (),
        duration: float | None = None,
        unitary: np.ndarray | None = None,
    ) -> None:
        """Append an instruction, unless its condition never holds."""
        condition = self.body.condition
        if condition is not None:
            if not condition.values:
                return
            self._check_guards()
            condition = condition if condition.bits else None
        self.check_room(1)
        self.body.instructions.append(
            Instruction(kind, name, params, qubits, bits, condition, self.line, duration, unitary)
        )
        for bit in bits:
            self._write(bit)

    def check_room(self, number: int) -> None:
        """Raise if there are too many instructions for `number` more."""
        if len(self.body.instructions) + number > limits.MAX_INSTRUCTIONS:
            raise Mistake(
                f"A program must have at most {limits.MAX_INSTRUCTIONS} instructions, "
                "but its loops and gates give more."
            )

    def _check_guards(self) -> None:
        if any(guard.rewritten for guard in self.body.guards):
            raise Mistake(
                "A conditional statement must not measure into a bit of its own condition, except as its very last "
                "instruction, but does. Measure into another bit."
            )

    def _write(self, bit: int) -> None:
        self.bits.writes[bit] = self.bits.writes.get(bit, 0) + 1
        for guard in self.body.guards:
            guard.rewritten = guard.rewritten or bit in guard.bits

    @contextmanager
    def block(self, *, body_of: str = "") -> Iterator[Scope]:
        """A new scope for a block; for the body of a gate or a subroutine, in the global scope."""
        outer = self.scope
        self.scope = Scope(self, self.global_scope if body_of else outer, body_of=body_of)
        try:
            yield self.scope
        finally:
            self.scope = outer

    @contextmanager
    def under(self, condition: Condition, guard: Guard) -> Iterator[None]:
        """Statements that happen only where a condition on measured bits holds."""
        outer = self.body.condition
        self.body.condition = condition if outer is None else conditions.conjunction(outer, condition)
        self.body.guards.append(guard)
        try:
            yield
        finally:
            self.body.guards.pop()
            self.body.condition = outer

    @contextmanager
    def inside_gate(self, definition: GateDefinition) -> Iterator[Scope]:
        """The statements that make up a gate."""
        outer, line = self.body, self.line
        self.body = Body(definition)
        try:
            with self.block(body_of="gate") as scope:
                yield scope
        finally:
            self.body, self.line = outer, line

    @contextmanager
    def inside_call(self, definition: ast.SubroutineDefinition) -> Iterator[Scope]:
        """The statements of a subroutine."""
        line = self.line
        self.body.calls.append(Call(definition.return_type, len(self.body.guards), self._num_bits))
        try:
            with self.block(body_of="subroutine") as scope:
                yield scope
        finally:
            self.body.calls.pop()
            self.line = line

    def new_qubits(self, name: str, size: int) -> tuple[int, ...]:
        """The numbers of a new register of qubits."""
        first, self._num_qubits = self._num_qubits, _enough(self._num_qubits + size, "qubits")
        self.qubit_registers.append(Register(name, size))
        return tuple(range(first, self._num_qubits))

    def new_bits(self, name: str, size: int) -> tuple[int, ...]:
        """The numbers of a new register of bits; what a loop or a subroutine declares again gets a number."""
        first, self._num_bits = self._num_bits, _enough(self._num_bits + size, "bits")
        taken = {register.name for register in self.bit_registers}
        unique, copy = name, 1
        while unique in taken:
            copy += 1
            unique = f"{name}_{copy}"
        self.bit_registers.append(Register(unique, size))
        return tuple(range(first, self._num_bits))

    def physical_qubit(self, name: str) -> int:
        """The number of `$0`, which is declared by its first use."""
        if self.body.gate is not None:
            raise Mistake(f"The body of a gate must act on the gate's own qubits, but uses '{name}'.")
        if name not in self._physical:
            self._physical[name] = self.new_qubits(name, 1)[0]
        return self._physical[name]

    def qubit_label(self, qubit: int) -> str:
        """The name of a qubit, for messages."""
        if self.body.gate is not None:
            return self.body.gate.node.qubits[qubit].name
        return element_name(self.qubit_registers, qubit)

    def all_qubits(self) -> Wires:
        """Every qubit so far, for a barrier or a delay without operands."""
        number = self.body.gate.num_qubits if self.body.gate is not None else self._num_qubits
        return Wires(True, tuple(range(number)), True)


# What may stand in the body of a gate.
_OF_GATES = frozenset(
    {
        ast.QuantumGate,
        ast.QuantumPhase,
        ast.QuantumBarrier,
        ast.DelayInstruction,
        ast.ForInLoop,
        ast.BranchingStatement,
        ast.SwitchStatement,
        ast.CompoundStatement,
        ast.BreakStatement,
        ast.ContinueStatement,
    }
)


def _enough(number: int, what: str) -> int:
    if number > limits.MAX_WIRES:
        raise Mistake(f"A program must have at most {limits.MAX_WIRES} {what}, but has {number}.")
    return number


def _title(node: Any) -> str:
    titles = {
        ast.ExternDeclaration: "`extern`",
        ast.CalibrationStatement: "`cal`",
        ast.CalibrationDefinition: "`defcal`",
        ast.CalibrationGrammarDeclaration: "`defcalgrammar`",
        ast.Pragma: "a pragma",
    }
    return titles.get(type(node), type(node).__name__)
