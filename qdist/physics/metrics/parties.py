"""The qubits a metric is given: how many there are, their trace, and how they are split between two parties."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from qdist.errors import QdistError, did_you_mean
from qdist.physics.states import State
from qdist_kernels.namespace import is_jax

# A complex matrix of 12 qubits is 256 MiB, and diagonalizing it takes minutes on a laptop; 13 would be 64 times slower.
LARGEST_MATRIX = 12
# JAX without 64-bit integers indexes at most 2³¹ entries, and 4¹⁵ = 2³⁰.
LARGEST_VECTOR = 15

Party = Sequence[str]


def is_traced(value: Any) -> bool:
    """Whether `value` is inside `jax.jit`, `grad` or `vmap`, so that its numbers cannot be looked at."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.core.Tracer)


def tolerance_of(vector: Any) -> float:
    """How far an entry of a stored state may be off: 1e-9 in float64, 1e-5 in float32 (drift after many gates)."""
    return 1e-9 if vector.dtype == np.float64 else 1e-5


def normalized(state: State) -> State:
    """The state divided by its trace, which must not be zero."""
    if not is_traced(state.vector) and not state.vector[0] > 0:
        raise QdistError(
            f"The trace of a state must be positive, but is {float(state.vector[0]):g}. "
            "A branch of probability 0 has no metrics; look at `state.trace` first."
        )
    return state.normalized()


def check_exactly(metric: str, state: State, number: int) -> None:
    """Raise unless the state has `number` qubits."""
    if state.num_qubits != number:
        raise QdistError(
            f"The state for {metric} must have exactly {number} qubits, but has {state.num_qubits}. "
            "Take `state.reduced([...])` first."
        )


def check_at_least(metric: str, state: State, number: int) -> None:
    """Raise if the state has fewer than `number` qubits."""
    if state.num_qubits < number:
        raise QdistError(f"The state for {metric} must have at least {number} qubits, but has {state.num_qubits}.")


def check_at_most(metric: str, state: State, number: int = LARGEST_MATRIX) -> None:
    """Raise if the state has more than `number` qubits, before anything of that size is made."""
    if state.num_qubits > number:
        raise QdistError(
            f"The state for {metric} must have at most {number} qubits, since it works on matrices of 2ⁿ × 2ⁿ, "
            f"but has {state.num_qubits}. Take `state.reduced([...])` first, or a metric that only reads entries."
        )


def entries(state: State, positions: np.ndarray) -> Any:
    """The entries of the vector at `positions`."""
    if is_jax(state.vector) and state.num_qubits > LARGEST_VECTOR:
        raise QdistError(
            f"A JAX vector must have at most {LARGEST_VECTOR} qubits to be read by position, but has "
            f"{state.num_qubits}. Pass `State(numpy.asarray(vector), qubits)`."
        )
    return state.vector[positions]


def two_parties(
    metric: str, state: State, part_a: Party | None = None, part_b: Party | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of both parties.

    Without parties: the first ⌊n/2⌋ qubits, and the others. With one: it, and all other qubits. Qubits in neither
    party are traced out by the caller.
    """
    check_at_least(metric, state, 2)
    if part_a is None and part_b is None:
        part_a = state.qubits[: state.num_qubits // 2]
    if part_a is None:
        part_a = [name for name in state.qubits if name not in tuple(part_b or ())]
    if part_b is None:
        part_b = [name for name in state.qubits if name not in tuple(part_a)]
    for name in (*part_a, *part_b):
        if name not in state.qubits:
            raise QdistError(f"The state for {metric} has no qubit '{name}'.{did_you_mean(name, state.qubits)}")
    shared = sorted(set(part_a) & set(part_b))
    if shared:
        raise QdistError(f"The two parties of {metric} must have different qubits, but both have {shared}.")
    if not part_a or not part_b:
        raise QdistError(f"Each party of {metric} must have at least one qubit, but one has none.")
    return tuple(part_a), tuple(part_b)
