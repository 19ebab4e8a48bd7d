"""OpenQASM 2 and 3 as circuits: from a file or text, through the reference parser, to a flat list of instructions.

Loops, subroutines, branches on known values and gates that the program defines are unrolled; gates of the standard
library stay as they are written, since noise follows each of them once. What a static program cannot do, or what a
simulator would have to ignore (annotations, pragmas, calibrations, inputs, stretches), is an error with its line.
"""

import contextlib
import io
import re
import threading
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from openqasm3 import ast
from openqasm3.parser import QASM3ParsingError, parse

from qdist.errors import QdistError
from qdist.network.circuits import control_flow, declarations, gate_calls, measurements, subroutines
from qdist.network.circuits.circuit import Circuit, Register
from qdist.network.circuits.dialects import QASM2, QASM3, QASM3_ONLY_WORDS, Dialect
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.reader import ProgramReader

_SILENCED = threading.Lock()
"""Held while what the whole process prints goes nowhere: of two threads, the later would restore the wrong stream."""

_VISITORS: dict[type, Callable[..., None]] = {
    ast.QuantumGate: gate_calls.call,
    ast.QuantumPhase: gate_calls.global_phase,
    ast.QuantumGateDefinition: gate_calls.define,
    ast.Include: gate_calls.include,
    ast.QuantumMeasurementStatement: measurements.measure,
    ast.QuantumReset: measurements.reset,
    ast.QuantumBarrier: measurements.barrier,
    ast.DelayInstruction: measurements.delay,
    ast.QubitDeclaration: declarations.declare_qubits,
    ast.ClassicalDeclaration: declarations.declare_classical,
    ast.ConstantDeclaration: declarations.declare_constant,
    ast.IODeclaration: declarations.declare_io,
    ast.AliasStatement: declarations.declare_alias,
    ast.ClassicalAssignment: declarations.assign,
    ast.CompoundStatement: control_flow.block,
    ast.Box: control_flow.block,
    ast.BranchingStatement: control_flow.branch,
    ast.SwitchStatement: control_flow.switch,
    ast.ForInLoop: control_flow.for_loop,
    ast.WhileLoop: control_flow.while_loop,
    ast.BreakStatement: control_flow.leave_loop,
    ast.ContinueStatement: control_flow.next_turn,
    ast.EndStatement: control_flow.end,
    ast.SubroutineDefinition: subroutines.define_subroutine,
    ast.ExpressionStatement: subroutines.statement,
    ast.ReturnStatement: subroutines.leave,
}

_BLANK = r"(?:\s|//[^\n]*|/\*.*?\*/)*+"
_VERSION = re.compile(_BLANK + r"OPENQASM\s+([0-9]+)(?:\.[0-9]+)?\s*;", re.DOTALL)
_EMPTY = re.compile(_BLANK + r"\Z", re.DOTALL)
_RESERVED = re.compile(rf"\b({'|'.join(sorted(QASM3_ONLY_WORDS))})\b")
# Names in OpenQASM 2 start with a letter, so this prefix makes a name that no program has.
_PREFIX = "_"
_DISGUISED = re.compile(rf"\b{_PREFIX}({'|'.join(sorted(QASM3_ONLY_WORDS))})\b")


def read_qasm(path: str | PathLike[str]) -> Circuit:
    """A circuit from an OpenQASM file, named after the file.

    Args:
        path: The file, UTF-8 text. See `parse_qasm` for what it may hold.

    Raises:
        QdistError: The file cannot be read, or is not a program that can be simulated.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QdistError(f"{path}: a QASM file must be UTF-8 text, but byte {error.start} is not.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise QdistError(f"{path}: a QASM file must be readable, but is not ({reason}). Check the path.") from None
    return parse_qasm(text, name=path.stem, path=str(path))


def parse_qasm(text: str, *, name: str = "circuit", path: str = "") -> Circuit:
    """A circuit from OpenQASM 2 or 3 text.

    Without an `OPENQASM` line the text is OpenQASM 2 if it includes qelib1.inc and OpenQASM 3 otherwise. In OpenQASM 2
    the gates that Qiskit adds to qelib1.inc count as part of it. Integers divide as floats in OpenQASM 2 and as
    integers in OpenQASM 3. Classical bits hold outcomes of measurements only, and 0 before.

    Args:
        text: The program.
        name: What tables and messages call the circuit.
        path: The file it is from; messages start with it, or with `name`.

    Raises:
        QdistError: The text is not a program that can be simulated; the message names the line.
    """
    place = path or name
    if _EMPTY.match(text):
        raise QdistError(f"{place}: a QASM file must hold a program, but is empty.")
    dialect = _dialect(text, place)
    if dialect is QASM2:
        text = _for_parser(text)
    try:
        return _circuit(text, dialect, name, path, place)
    except Mistake as mistake:
        line = f", line {mistake.line}" if mistake.line is not None else ""
        raise QdistError(f"{place}{line}: {_plain(str(mistake), dialect)}") from None


def _circuit(text: str, dialect: Dialect, name: str, path: str, place: str) -> Circuit:
    program = _parsed(text, dialect)
    reader = ProgramReader(dialect, _VISITORS, subroutines.call_for_value)
    try:
        reader.run(program.statements)
    except control_flow.EndOfProgram:
        pass
    except RecursionError:
        raise _located("Blocks and expressions must not be nested so deeply. Split them up.", reader.line) from None
    if not reader.qubit_registers:
        raise Mistake("A program must have qubits, but declares none.")
    return Circuit(
        name,
        tuple(Register(_plain(register.name, dialect), register.size) for register in reader.qubit_registers),
        tuple(Register(_plain(register.name, dialect), register.size) for register in reader.bit_registers),
        tuple(reader.body.instructions),
        path,
    )


def _dialect(text: str, place: str) -> Dialect:
    version = _VERSION.match(text)
    if version is None:
        return QASM2 if re.search(r'^\s*include\s+"qelib1\.inc"', text, re.MULTILINE) else QASM3
    number = int(version[1]) if len(version[1]) < 4 else 0
    if number not in (2, 3):
        line = 1 + text.count("\n", 0, version.start(1))
        raise QdistError(f"{place}, line {line}: the version of OpenQASM must be 2 or 3, but is {version[1][:9]}.")
    return QASM2 if number == 2 else QASM3


def _for_parser(text: str) -> str:
    """OpenQASM 2 in words of OpenQASM 3: `^` is a power, and names may be words that are reserved only later."""
    return _RESERVED.sub(rf"{_PREFIX}\1", text).replace("^", "**")


def _plain(text: str, dialect: Dialect) -> str:
    """Undo `_for_parser` for names."""
    return _DISGUISED.sub(r"\1", text) if dialect is QASM2 else text


def _located(sentence: str, line: int | None) -> Mistake:
    mistake = Mistake(sentence)
    mistake.line = line
    return mistake


def _parsed(text: str, dialect: Dialect) -> ast.Program:
    """The syntax tree; whatever the parser complains about is a mistake of the text."""
    # ANTLR prints what it finds wrong, besides raising it.
    silence = io.StringIO()
    try:
        with _SILENCED, contextlib.redirect_stderr(silence), contextlib.redirect_stdout(silence):
            return parse(text)
    except QASM3ParsingError as error:
        raise _syntax_mistake(error, text) from None
    except RecursionError:
        raise Mistake("Blocks and expressions must not be nested so deeply. Split them up.") from None
    except Exception as error:
        # The reference parser raises whatever its visitor stumbles over, e.g. ValueError for integers of 5000 digits.
        raise Mistake(f"The text must be a QASM program, but the parser fails ({error}).") from None


def _syntax_mistake(error: Exception, text: str) -> Mistake:
    """The parser's complaint with its line; it keeps them in the message or in the token it stopped at."""
    located = re.match(r"L(\d+):C\d+: (.*)", str(error), re.DOTALL)
    if located:
        return _located(f"The text must be a QASM program, but: {located[2]}.", int(located[1]))
    token = _offending_token(error)
    if token is None:
        return Mistake("The text must be a QASM program, but the parser cannot tell where it is not.")
    line = text.splitlines()[token.line - 1] if token.line <= len(text.splitlines()) else ""
    if line.lstrip().startswith("opaque"):
        return _located("A gate must have a definition, but is `opaque`. Define it with `gate`.", token.line)
    found = "the end of the file" if token.text == "<EOF>" else f"'{token.text}'"
    return _located(
        f"The text must be a QASM program, but {found} does not fit. Check this line and the end of the one before.",
        token.line,
    )


def _offending_token(error: BaseException | None) -> Any:
    while error is not None:
        for part in (error, *error.args):
            token = getattr(part, "offendingToken", None)
            if token is not None:
                return token
        error = error.__cause__
    return None
