"""Blocks, branches and loops: loops are unrolled, tests of measured bits become conditions of instructions."""

from collections.abc import Iterable, Sequence
from typing import Any

from openqasm3 import ast

from qdist.network.circuits import conditions, operands, questions, values
from qdist.network.circuits.circuit import Condition
from qdist.network.circuits.expressions import cast
from qdist.network.circuits.mistakes import Mistake
from qdist.network.circuits.names import Variable
from qdist.network.circuits.reader import Guard, ProgramReader


class LeaveLoop(Exception):
    """`break`."""


class NextTurn(Exception):
    """`continue`."""


class EndOfProgram(Exception):
    """`end`."""


def block(reader: ProgramReader, node: ast.CompoundStatement | ast.Box) -> None:
    """`{ … }`, and `box { … }`, which keeps instructions where they are anyway."""
    if isinstance(node, ast.Box):
        if node.duration is not None:
            raise Mistake("A `box` must have no duration, but has one. Write the delays inside of it.")
        _run(reader, node.body)
    else:
        _run(reader, node.statements)


def branch(reader: ProgramReader, node: ast.BranchingStatement) -> None:
    """`if (test) … else …`."""
    test = questions.test(node.condition, reader.scope)
    if isinstance(test, bool):
        _run(reader, node.if_block if test else node.else_block)
        return
    guard = Guard(frozenset(test.bits))
    _run_under(reader, test, guard, node.if_block)
    if node.else_block:
        _run_under(reader, conditions.negation(test), guard, node.else_block)


def switch(reader: ProgramReader, node: ast.SwitchStatement) -> None:
    """`switch (target) { case 0, 1 { … } default { … } }`."""
    seen: set[int] = set()
    tests = []
    for labels, body in node.cases:
        numbers = [values.whole(reader.evaluate(label), "A label of `case`") for label in labels]
        if seen & set(numbers) or len(set(numbers)) != len(numbers):
            raise Mistake(f"The labels of `case` must be different, but {numbers} has one that was there before.")
        seen |= set(numbers)
        tests.append((_one_of(reader, node.target, numbers), body))
    if all(isinstance(test, bool) for test, _ in tests):
        chosen = next((body for test, body in tests if test), node.default)
        _run(reader, chosen.statements if chosen is not None else [])
        return
    _run_cases(reader, tests, node.default)


def _run_cases(reader: ProgramReader, tests: list[tuple[Any, Any]], default: ast.CompoundStatement | None) -> None:
    guard = Guard(frozenset(bit for test, _ in tests for bit in test.bits))
    for test, body in tests:
        _run_under(reader, test, guard, body.statements)
    if default is not None:
        neither = conditions.ALWAYS
        for test, _ in tests:
            neither = conditions.conjunction(neither, conditions.negation(test))
        _run_under(reader, neither, guard, default.statements)


def for_loop(reader: ProgramReader, node: ast.ForInLoop) -> None:
    """`for int i in [0:3] { … }`, unrolled."""
    for value in _turns(reader, node.set_declaration):
        with reader.block() as scope:
            scope.declare(node.identifier.name, Variable(cast(value, node.type, scope), node.type))
            if not _one_turn(reader, node.block):
                return


def while_loop(reader: ProgramReader, node: ast.WhileLoop) -> None:
    """`while (i < 3) { … }` on values that are known; a program whose length depends on a measurement is not static."""
    while True:
        test = questions.test(node.while_condition, reader.scope)
        if not isinstance(test, bool):
            raise Mistake(
                "The condition of `while` must be known before the program runs, but depends on a measured bit. "
                "Use a `for` loop with an `if` in its body."
            )
        if not test:
            return
        reader.count_steps()
        with reader.block():
            if not _one_turn(reader, node.block):
                return


def leave_loop(reader: ProgramReader, node: ast.BreakStatement) -> None:
    """`break;`."""
    check_certain(reader, reader.body.loops[-1], "break")
    raise LeaveLoop


def next_turn(reader: ProgramReader, node: ast.ContinueStatement) -> None:
    """`continue;`."""
    check_certain(reader, reader.body.loops[-1], "continue")
    raise NextTurn


def end(reader: ProgramReader, node: ast.EndStatement) -> None:
    """`end;`."""
    check_certain(reader, 0, "end")
    raise EndOfProgram


def check_certain(reader: ProgramReader, guards: int, word: str) -> None:
    """Raise if the current statement happens only for some outcomes of measurements inside of `guards` tests."""
    if len(reader.body.guards) > guards:
        raise Mistake(
            f"`{word}` must happen or not whatever is measured, but is in an `if` on a measured bit. "
            "Put what follows into the `else`."
        )


def _run(reader: ProgramReader, statements: Iterable[Any]) -> None:
    with reader.block():
        reader.run(statements)


def _run_under(reader: ProgramReader, test: Condition, guard: Guard, statements: Sequence[Any]) -> None:
    with reader.under(test, guard):
        _run(reader, statements)


def _one_turn(reader: ProgramReader, statements: Sequence[Any]) -> bool:
    """Run the body of a loop; False if it is left."""
    reader.body.loops.append(len(reader.body.guards))
    try:
        reader.run(statements)
    except NextTurn:
        return True
    except LeaveLoop:
        return False
    finally:
        reader.body.loops.pop()
    return True


def _turns(reader: ProgramReader, declared: Any) -> Iterable[Any]:
    if isinstance(declared, ast.DiscreteSet):
        return [reader.evaluate(value) for value in declared.values]
    if not isinstance(declared, ast.RangeDefinition):
        raise Mistake("A loop must go over a range `[0:3]` or a set `{0, 3}`, but does not.")
    if declared.start is None or declared.end is None:
        raise Mistake("The range of a loop must have both ends, but has not.")
    turns = operands.span(declared, 0, 0, reader.scope)
    reader.count_steps(turns)
    return turns


def _one_of(reader: ProgramReader, target: Any, numbers: list[int]) -> bool | Condition:
    """Whether the target of a `switch` is one of the labels."""
    equalities = [
        ast.BinaryExpression(op=ast.BinaryOperator["=="], lhs=target, rhs=ast.IntegerLiteral(value=number))
        for number in numbers
    ]
    expression: Any = equalities[0]
    for equality in equalities[1:]:
        expression = ast.BinaryExpression(op=ast.BinaryOperator["||"], lhs=expression, rhs=equality)
    return questions.test(expression, reader.scope)
