"""The instructions of the machine: what happens to named digits, with every number already in a matrix.

A wire is a named digit of a correlation vector: a qubit (I, Z, X, Y: four entries) or a classical bit (I, Z: two). The
network room lowers steps of a program to these instructions; the planner turns them into kernel calls. Matrices act
on stored vectors, so their rows and columns are in digit order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdist.errors import QdistError

MAX_TABLE = 16
"""Bits up to which a test is asked by looking up the answers to all outcomes."""


@dataclass(frozen=True)
class Test:
    """A question to classical bits: is the integer made of `bits` (the first least significant) one of `values`?

    With `parity` set instead of `values`: is the sum of the bits modulo 2 equal to it? Any number of bits can be asked
    for a parity, since it is one product of their Z digits.
    """

    __test__ = False  # keeps pytest from collecting it

    bits: tuple[str, ...]
    values: frozenset[int] | None = None
    parity: int | None = None

    def __post_init__(self) -> None:
        if not self.bits:
            raise QdistError("A test must ask for at least one bit, but asks for none.")
        if self.parity not in (None, 0, 1):
            raise QdistError(f"`parity` must be 0 or 1, but is {self.parity}.")
        for value in self.values or ():
            if not 0 <= value < 2 ** len(self.bits):
                raise QdistError(
                    f"A value must be from 0 to {2 ** len(self.bits) - 1} to be asked of {len(self.bits)} bits, but is "
                    f"{value}."
                )

    def holds(self, outcomes: list[Any]) -> Any:
        """The answer for known outcomes: ints, or integer arrays of one length (one entry per shot)."""
        if self.parity is not None:
            return sum(outcomes) % 2 == self.parity
        wide = (np.asarray(each, np.int64) if isinstance(each, np.ndarray) else each for each in outcomes)
        integer = sum(outcome << k for k, outcome in enumerate(wide))
        if len(outcomes) > MAX_TABLE:
            return np.isin(integer, list(self.values or ()))
        table = np.zeros(2 ** len(outcomes), bool)
        table[list(self.values or ())] = True
        return table[integer]


@dataclass(frozen=True, eq=False)
class EachShot:
    """A matrix or a number that is another one in each shot, and is computed when a batch of shots is run.

    A plan does not depend on random numbers: what does is in it as the recipe.

    Attributes:
        like: An array of the shape that it has in a shot; where it is 0, it is 0 in every shot.
        of: From the random numbers of a batch to one value a shot: (shots, …), or `qdist_kernels.Entries` of a matrix.
    """

    like: np.ndarray
    of: Callable[[Any], Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """In one shot."""
        return self.like.shape


@dataclass(frozen=True, eq=False)
class Create:
    """New qubits in a state: `vector` has shape (4ⁿ,)."""

    qubits: tuple[str, ...]
    vector: Any


@dataclass(frozen=True, eq=False)
class Act:
    """A matrix of shape (4ⁿ, 4ⁿ), which each shot may have its own of, on live qubits.

    With `when`, it acts only where the test holds, and is the same in all shots.
    """

    qubits: tuple[str, ...]
    matrix: Any
    when: Test | None = None


@dataclass(frozen=True, eq=False)
class JointRelax:
    """Waiting for one random time together: a correlated mixture of relaxations, exact.

    Written for the deviation from equilibrium, relaxation is diagonal, so the average over the random time is one
    factor per combination of digits: shift Z by −`equilibria`·I, multiply by `factors`, shift back.

    Attributes:
        qubits: The n qubits that wait.
        equilibria: ⟨Z⟩ at equilibrium of each, shape (n,).
        factors: E[Π_q exp(−rate_q(digit)·wait_q)], shape (4ⁿ,), digit order.
    """

    qubits: tuple[str, ...]
    equilibria: np.ndarray
    factors: np.ndarray


@dataclass(frozen=True, eq=False)
class Observe:
    """An outcome 0 or 1 is written to a bit.

    Attributes:
        qubit: The qubit that is observed.
        bit: The new bit.
        outcomes: One completely positive matrix per true outcome, shape (4, 4), or (1, 4) if the qubit is destroyed.
        confusion: P(bit reads r | true outcome o) as `confusion[r, o]`.
        when: If given, the qubit is observed only where the test holds, and the bit is a copy of `otherwise` elsewhere.
        otherwise: The bit that is copied; `None` is the constant 0.
    """

    qubit: str
    bit: str
    outcomes: tuple[np.ndarray, np.ndarray]
    confusion: np.ndarray
    when: Test | None = None
    otherwise: str | None = None

    @property
    def keeps_qubit(self) -> bool:
        return self.outcomes[0].shape[0] == 4


@dataclass(frozen=True)
class Parity:
    """A new bit that is the sum of others modulo 2."""

    bit: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Project:
    """Only the branches where the test holds go on; the trace becomes their probability (a herald)."""

    test: Test
    label: str


@dataclass(frozen=True)
class Remove:
    """A qubit leaves the simulation: partial trace."""

    qubit: str


@dataclass(frozen=True, eq=False)
class Look:
    """Reduced states are read, without disturbing anything.

    Attributes:
        label: What the program calls this moment.
        groups: The groups of qubits to be read, each as one reduced state.
        relaxations: For each group, one matrix a qubit, (4, 4) in all or in each shot: what it suffers until then.
        time: The moment in seconds: a mean, or one value for each shot.
    """

    label: str
    groups: tuple[tuple[str, ...], ...]
    relaxations: tuple[tuple[Any, ...], ...]
    time: Any


Instruction = Create | Act | JointRelax | Observe | Parity | Project | Remove | Look
