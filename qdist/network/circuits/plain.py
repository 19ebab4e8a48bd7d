"""OpenQASM 2 as nearly all files are written, read in one pass and without the reference parser.

That is: registers, gates on registers and their elements, gates that the program defines, measurements, resets and
barriers, and gates under `if (c == 1)`. In a text with anything else, or with a mistake, this reader sees only that it
is not plain: `reference` reads it again and has the words for what is wrong. So it gives up wherever there is doubt.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from qdist.network.circuits import conditions, limits, values
from qdist.network.circuits.circuit import Circuit, Condition, Instruction, Register
from qdist.network.circuits.dialects import QASM2
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.values import Value
from qdist.physics.gates import GATES, GateRule

_NAME = "[A-Za-z][A-Za-z0-9_]*+"
_COMMENT = re.compile(r"//[^\r\n]*+|/\*.*?(?:\*/|\Z)", re.DOTALL)
_BLANK = rf"(?:[ \t\r\n]|{_COMMENT.pattern})*+"
_VERSION = re.compile(rf"{_BLANK}OPENQASM[ \t\r\n]+2(?:\.[0-9]+)?[ \t\r\n]*;", re.DOTALL)
_INCLUDE = re.compile(rf'{_BLANK}include[ \t\r\n]*"{re.escape(QASM2.library)}"[ \t\r\n]*;', re.DOTALL)
# The rest of a plain text has none of these, so that `\s` below means what the reference parser skips.
_STRANGE = re.compile(r"[^A-Za-z0-9_ \t\r\n\[\](){};,.+*/=>-]")

_STATEMENT = re.compile(rf"\s*+({_NAME})\s*+(?:\(([^;{{}}]*)\))?([^;(){{}}]*);")
_DEFINITION = re.compile(rf"\s*+gate\s+({_NAME})\s*+(?:\(([^;(){{}}]*)\))?([^;(){{}}]*){{([^{{}}]*)}}")
_TEST = re.compile(rf"\s*+if\s*+\(\s*+({_NAME})\s*+==\s*+([0-9]+)\s*+\)")
_OPERAND = re.compile(rf"\s*+({_NAME})\s*+(?:\[\s*+([0-9]+)\s*+\]\s*+)?")
_FLOAT = re.compile(r"-?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TOKEN = re.compile(rf"\s*+((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|{_NAME}|\*\*|[-+*/()])\s*+")

_RESERVED = frozenset(("OPENQASM", "include", "gate", "opaque", "qreg", "creg", "measure", "reset", "barrier", "if"))
_NO_NAMES = _RESERVED | QASM2.builtin | QASM2.constants.keys() | QASM2.functions.keys()
_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4}
_OF_A_SIGN = 3
# Far below what the recursion of the reference parser can take.
_MAX_TOKENS = 64
_MAX_DEPTH = 16

Numbers = tuple[int, ...]
Angles = tuple[float, ...]


class _NotPlain(Exception):
    """Another reader must read this."""


@dataclass(frozen=True)
class _Gate:
    """A gate that the program defines.

    Attributes:
        params: The names of its angles.
        num_qubits: How many qubits it acts on.
        body: For each gate and barrier in it the name, the text of its parameters and the positions of its qubits.
    """

    params: tuple[str, ...]
    num_qubits: int
    body: tuple[tuple[str, str | None, Numbers], ...]

    @property
    def num_params(self) -> int:
        return len(self.params)


def read(text: str, *, name: str, path: str) -> Circuit | None:
    """The circuit that `reference` would make of an OpenQASM 2 program, None if the program is not plain."""
    reader = _Reader()
    try:
        reader.run(text)
    except (_NotPlain, Mistake, LookupError, ValueError):
        # Names and positions that are not there, and integers of too many digits, are no matter of this reader either.
        return None
    return Circuit(name, tuple(reader.qubit_registers), tuple(reader.bit_registers), tuple(reader.instructions), path)


@dataclass
class _Reader:
    """Everything that statements read and change.

    Attributes:
        line: The line of the statement that is being read.
        condition: Under which it happens, None for always.
        steps: How many statements there are, those of all gates that were unrolled included.
        qubits: The numbers of each register of qubits.
        bits: The numbers of each register of bits.
        written: The bits that have been measured.
        library: The gates of the standard library that the program may use.
        defined: The gates that it defines.
        called: Names of all gates in their bodies.
        unrolled: The bodies of those gates, by name and angles.
        angles: What each list of parameters means, by its text.
        applied: What each list of operands means, by its text: how many there are, and the qubits of each gate.
    """

    line: int = 1
    condition: Condition | None = None
    steps: int = 0
    qubit_registers: list[Register] = field(default_factory=list)
    bit_registers: list[Register] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    qubits: dict[str, Numbers] = field(default_factory=dict)
    bits: dict[str, Numbers] = field(default_factory=dict)
    written: set[int] = field(default_factory=set)
    library: dict[str, GateRule] = field(default_factory=lambda: {name: GATES[name] for name in QASM2.builtin})
    defined: dict[str, _Gate] = field(default_factory=dict)
    called: set[str] = field(default_factory=set)
    unrolled: dict[tuple[str, Angles], tuple[Instruction, ...]] = field(default_factory=dict)
    angles: dict[str, Angles] = field(default_factory=dict)
    applied: dict[str, tuple[int, tuple[Numbers, ...]]] = field(default_factory=dict)

    def run(self, text: str) -> None:
        """Read a program."""
        # As for the reference parser, to which `^/` at the end of a comment is `*` and the end of it.
        text = text.replace("^", "**")
        end = 0
        if version := _VERSION.match(text):
            end = version.end()
        if include := _INCLUDE.match(text, end):
            end = include.end()
            self.library |= {name: GATES[name] for name in QASM2.official | QASM2.extended}
        self.line += text.count("\n", 0, end)
        program = _COMMENT.sub(_blank, text[end:]).rstrip(" \t\r\n")
        if _STRANGE.search(program):
            raise _NotPlain
        self.steps = program.count(";") + program.count("if")
        self._run(program)
        if not self.qubit_registers:
            raise _NotPlain

    def _run(self, program: str) -> None:
        position = seen = 0
        while position < len(program):
            if definition := _DEFINITION.match(program, position):
                self._define(*definition.groups())
                position = definition.end()
                continue
            if test := _TEST.match(program, position):
                self.condition = self._condition(test[1], int(test[2]))
                position = test.end()
            statement = _match(_STATEMENT, program, position)
            position = statement.end()
            self.line += program.count("\n", seen, statement.start(1))
            seen = statement.start(1)
            self._follow(*statement.groups())
            self.condition = None
            self._check_room(len(self.instructions))

    def _follow(self, word: str, params: str | None, operands: str) -> None:
        """One statement."""
        number = len(self.instructions)
        if word not in _RESERVED:
            self._call(word, params, operands)
        elif params is not None:
            raise _NotPlain
        elif word == "barrier":
            wires = [qubit for part in operands.split(",") for qubit in _wires(part, self.qubits)[0]]
            self._emit("barrier", "barrier", (), tuple(dict.fromkeys(wires)))
        elif word == "reset":
            for qubit in _wires(operands, self.qubits)[0]:
                self._emit("reset", "reset", (), (qubit,))
        elif self.condition is not None:
            raise _NotPlain
        elif word == "measure":
            source, _, target = operands.partition("->")
            self._measure(source, target)
        elif word == "qreg":
            self._declare(operands, self.qubits, self.qubit_registers)
        elif word == "creg":
            self._declare(operands, self.bits, self.bit_registers)
        else:
            raise _NotPlain
        if self.condition is conditions.NEVER:
            del self.instructions[number:]

    def _condition(self, register: str, value: int) -> Condition | None:
        """`register == value`, of whose bits those that have not been measured are 0."""
        numbers = self.bits[register]
        condition = conditions.equals(numbers, value, [number for number in numbers if number in self.written])
        return None if condition is conditions.ALWAYS else condition

    def _declare(self, operand: str, numbers: dict[str, Numbers], registers: list[Register]) -> None:
        name, width = _parts(operand)
        size = int(width or 0)
        first = sum(register.size for register in registers)
        if self._is_taken(name) or not 1 <= size <= limits.MAX_REGISTER_SIZE or first + size > limits.MAX_WIRES:
            raise _NotPlain
        numbers[name] = tuple(range(first, first + size))
        registers.append(Register(name, size))

    def _is_taken(self, name: str) -> bool:
        return name in _NO_NAMES or name in self.defined or name in self.qubits or name in self.bits

    def _measure(self, source: str, target: str) -> None:
        qubits, _ = _wires(source, self.qubits)
        bits, _ = _wires(target, self.bits)
        for qubit, bit in zip(qubits, bits, strict=True):
            self._emit("measure", "measure", (), (qubit,), (bit,))
        self.written.update(bits)

    def _call(self, name: str, params: str | None, operands: str) -> None:
        """A gate, on each element of registers."""
        angles = () if params is None else self._angles(params)
        count, applications = self._applications(operands)
        gate = self.defined.get(name)
        _check(gate or self.library[name], angles, count)
        if gate is None:
            for qubits in applications:
                self._emit("gate", name, angles, qubits)
            return
        body = self._unroll(name, angles)
        self._check_room(len(self.instructions) + len(body) * len(applications))
        for qubits in applications:
            for step in body:
                self._emit(step.kind, step.name, step.params, tuple([qubits[position] for position in step.qubits]))

    def _emit(self, kind: str, name: str, angles: Angles, qubits: Numbers, bits: Numbers = ()) -> None:
        self.instructions.append(Instruction(kind, name, angles, qubits, bits, self.condition, self.line))

    def _check_room(self, number: int) -> None:
        if number > limits.MAX_INSTRUCTIONS or self.steps > limits.MAX_STEPS:
            raise _NotPlain

    def _angles(self, text: str) -> Angles:
        angles = self.angles.get(text)
        if angles is None:
            angles = self.angles[text] = _angles(text, QASM2.constants)
        return angles

    def _applications(self, text: str) -> tuple[int, tuple[Numbers, ...]]:
        if text in self.applied:
            return self.applied[text]
        parts = [_wires(part, self.qubits) for part in text.split(",")]
        sizes = {len(numbers) for numbers, is_register in parts if is_register} or {1}
        applications = tuple(
            tuple([numbers[k if is_register else 0] for numbers, is_register in parts]) for k in range(max(sizes))
        )
        if len(sizes) > 1 or any(len(set(qubits)) < len(parts) for qubits in applications):
            raise _NotPlain
        self.applied[text] = len(parts), applications
        return self.applied[text]

    def _define(self, name: str, params: str | None, qubits: str, body: str) -> None:
        """`gate name(params) qubits { … }`, tried out with some numbers as the reference does."""
        arguments = _names(params) if params else ()
        wires = _names(qubits)
        statements = []
        for word, angles, operands in _statements(body):
            positions = tuple([wires.index(operand.strip()) for operand in operands.split(",")])
            if len(set(positions)) < len(positions) or (word == "barrier" and angles is not None):
                raise _NotPlain
            statements.append((word, angles, positions))
        self.called |= {word for word, _, _ in statements}
        # What a gate of the library is replaced by is not what it was in bodies before.
        if self._is_taken(name) or name in self.called or (name in self.library and name in QASM2.official):
            raise _NotPlain
        if len({*arguments, *wires}) < len(arguments) + len(wires):
            raise _NotPlain
        self.defined[name] = _Gate(arguments, len(wires), tuple(statements))
        self._unroll(name, tuple([0.5 + 0.01 * k for k in range(len(arguments))]))

    def _unroll(self, name: str, angles: Angles, depth: int = 0) -> tuple[Instruction, ...]:
        """What a gate of the program consists of, as gates of the library on qubits 0, 1, …."""
        key = (name, angles)
        if key in self.unrolled:
            return self.unrolled[key]
        if depth > _MAX_DEPTH:
            raise _NotPlain
        gate = self.defined[name]
        names = {**QASM2.constants, **dict(zip(gate.params, angles, strict=True))}
        self.steps += len(gate.body)
        steps: list[Instruction] = []
        for word, params, qubits in gate.body:
            if word == "barrier":
                steps.append(Instruction("barrier", "barrier", (), qubits))
                continue
            inner = () if params is None else _angles(params, names)
            _check(self.defined.get(word) or self.library[word], inner, len(qubits))
            if word not in self.defined:
                steps.append(Instruction("gate", word, inner, qubits))
                continue
            for step in self._unroll(word, inner, depth + 1):
                own = tuple([qubits[position] for position in step.qubits])
                steps.append(Instruction(step.kind, step.name, step.params, own))
            self._check_room(len(steps))
        self.unrolled[key] = tuple(steps)
        return self.unrolled[key]


def _blank(comment: re.Match[str]) -> str:
    """What stands for a comment, so that lines keep their numbers."""
    if comment[0].startswith("/*") and not (comment[0].endswith("*/") and len(comment[0]) > 3):
        raise _NotPlain
    return "\n" * comment[0].count("\n") or " "


def _match(pattern: re.Pattern[str], text: str, position: int = 0) -> re.Match[str]:
    match = pattern.match(text, position)
    if match is None:
        raise _NotPlain
    return match


def _statements(text: str) -> Iterator[tuple[str, str | None, str]]:
    text, position = text.rstrip(), 0
    while position < len(text):
        statement = _match(_STATEMENT, text, position)
        position = statement.end()
        yield statement[1], statement[2], statement[3]


def _wires(text: str, registers: Mapping[str, Numbers]) -> tuple[Numbers, bool]:
    """The numbers that an operand stands for, and whether it is a register."""
    name, index = _parts(text)
    numbers = registers[name]
    return (numbers, True) if index is None else ((numbers[int(index)],), False)


def _parts(text: str) -> tuple[str, str | None]:
    """The name of an operand or of what is declared, and what is in its brackets."""
    operand = _OPERAND.fullmatch(text)
    if operand is None:
        raise _NotPlain
    return operand[1], operand[2]


def _names(text: str) -> tuple[str, ...]:
    names = tuple([part.strip() for part in text.split(",")])
    if not all(re.fullmatch(_NAME, name) and name not in _NO_NAMES for name in names):
        raise _NotPlain
    return names


def _check(gate: GateRule | _Gate, angles: Angles, num_qubits: int) -> None:
    if len(angles) != gate.num_params or num_qubits != gate.num_qubits:
        raise _NotPlain


def _angles(text: str, names: Mapping[str, float]) -> Angles:
    return tuple([values.real(_value(part.strip(), names), "An angle") for part in text.split(",")])


def _value(text: str, names: Mapping[str, float]) -> Value:
    """The value of an expression, in the arithmetic of the reference."""
    if _FLOAT.fullmatch(text):
        return float(text)
    # Tokens, and what is between them.
    parts = _TOKEN.split(text)
    if any(parts[::2]) or len(parts) > 2 * _MAX_TOKENS:
        raise _NotPlain
    tokens = parts[-2::-2]
    value = _expression(tokens, names)
    if tokens:
        raise _NotPlain
    return value


def _expression(tokens: list[str], names: Mapping[str, float], floor: int = 0) -> Value:
    """Take an expression from the end of reversed tokens, as far as its operators bind more than `floor`."""
    value = _operand(tokens, names)
    while tokens and _PRECEDENCE.get(tokens[-1], 0) > floor:
        symbol = tokens.pop()
        own = _PRECEDENCE[symbol]
        right = _expression(tokens, names, own - 1 if symbol == "**" else own)
        value = values.binary(symbol, value, right, QASM2.version)
    return value


def _operand(tokens: list[str], names: Mapping[str, float]) -> Value:
    token = tokens.pop()
    if token == "-":
        return values.unary("-", _expression(tokens, names, _OF_A_SIGN))
    if token == "(" or token in QASM2.functions:
        if token != "(" and tokens.pop() != "(":
            raise _NotPlain
        value = _expression(tokens, names)
        if tokens.pop() != ")":
            raise _NotPlain
        return value if token == "(" else values.checked(QASM2.functions[token][0], value, what=token)
    if token in names:
        return names[token]
    if token[0] not in ".0123456789":
        raise _NotPlain
    return int(token) if token.isdigit() else float(token)
