"""Conditions on measured bits: the sets of bit values that fulfil them, as equations and joined."""

from collections.abc import Collection, Sequence

import numpy as np

from qdist.network.circuits.circuit import Condition
from qdist.network.circuits.limits import MAX_CONDITION_BITS
from qdist.network.circuits.mistakes import Mistake

ALWAYS = Condition((), frozenset({0}))
NEVER = Condition((), frozenset())


def equals(numbers: Sequence[int], value: int, asked: Sequence[int]) -> Condition:
    """Whether bits make the integer `value`, the first least significant; all but `asked` are 0."""
    check_number(len(asked))
    ones = [number for k, number in enumerate(numbers) if value >> k & 1]
    if value >> len(numbers) or not set(ones) <= set(asked):
        return NEVER
    return simplest(tuple(asked), [sum(1 << asked.index(number) for number in ones)])


def negation(condition: Condition) -> Condition:
    """The condition that holds where this one does not."""
    every = frozenset(range(1 << len(condition.bits)))
    return simplest(condition.bits, every - condition.values)


def conjunction(left: Condition, right: Condition) -> Condition:
    """The condition that holds where both do."""
    bits = tuple(sorted({*left.bits, *right.bits}))
    check_number(len(bits))
    words = np.arange(1 << len(bits))
    holds = np.ones(len(words), bool)
    for part in (left, right):
        own = sum((words >> bits.index(number) & 1) << k for k, number in enumerate(part.bits))
        holds &= np.isin(own, list(part.values))
    return simplest(bits, words[holds].tolist())


def check_number(number: int) -> None:
    """Raise if a condition asks more bits than it may."""
    if number > MAX_CONDITION_BITS:
        raise Mistake(
            f"A condition must ask at most {MAX_CONDITION_BITS} measured bits, but asks {number}. "
            "Use smaller registers, one for each condition."
        )


def simplest(bits: tuple[int, ...], accepted: Collection[int]) -> Condition:
    """The condition, without bits that it need not ask if it holds always or never."""
    if len(accepted) in (0, 1 << len(bits)):
        return ALWAYS if accepted else NEVER
    return Condition(bits, frozenset(accepted))
