"""Any OpenQASM program as a circuit: the reference parser makes a tree of it, whose statements are followed in order.

Loops, subroutines, branches on known values and gates that the program defines are unrolled; gates of the standard
library stay as they are written, since noise follows each of them once. What a static program cannot do, or what a
simulator would have to ignore (annotations, pragmas, calibrations, inputs, stretches), is an error with its line.
"""

import contextlib
import io
import re
import threading
from collections.abc import Callable
from typing import Any

from openqasm3 import ast
from openqasm3.parser import QASM3ParsingError, parse

from qdist.errors import QdistError
from qdist.network.circuits import control_flow, declarations, gate_calls, measurements, subroutines
from qdist.network.circuits.circuit import Circuit, Register
from qdist.network.circuits.dialects import QASM2, QASM3_ONLY_WORDS, Dialect
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

_RESERVED = re.compile(rf"\b({'|'.join(sorted(QASM3_ONLY_WORDS))})\b")
# Names in OpenQASM 2 start with a letter, so this prefix makes a name that no program has.
_PREFIX = "_"
_DISGUISED = re.compile(rf"\b{_PREFIX}({'|'.join(sorted(QASM3_ONLY_WORDS))})\b")


def read(text: str, dialect: Dialect, *, name: str, path: str) -> Circuit:
    """The circuit of a program.

    Raises:
        QdistError: The text is not a program that can be simulated.
    """
    if dialect is QASM2:
        text = _for_parser(text)
    try:
        return _circuit(text, dialect, name, path)
    except Mistake as mistake:
        line = f", line {mistake.line}" if mistake.line is not None else ""
        raise QdistError(f"{path or name}{line}: {_plain(str(mistake), dialect)}") from None


def _circuit(text: str, dialect: Dialect, name: str, path: str) -> Circuit:
    program = _parsed(text)
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


def _parsed(text: str) -> ast.Program:
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
