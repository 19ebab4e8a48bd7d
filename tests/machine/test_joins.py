"""The order of gates in which clusters stay small for longest."""

import cProfile
from collections import defaultdict

import numpy as np
import pytest

from qdist.machine.instructions import Act, Create, Instruction, Observe, Remove
from qdist.machine.joins import joined_late
from qdist.machine.plan import Merge, Transfer
from qdist.machine.planner import make_plan
from qdist.runs.evolve import evolve


def qubits_of(instruction: Instruction) -> tuple[str, ...]:
    return (instruction.qubit,) if isinstance(instruction, Observe | Remove) else instruction.qubits


def created(count: int) -> list[Instruction]:
    return [Create((f"q{k}",), np.array([1.0, 1.0, 0.0, 0.0])) for k in range(count)]


def unitary(rng: np.random.Generator, qubits: int) -> np.ndarray:
    """A random orthogonal matrix that leaves the trace alone: enough for what order can change."""
    size = 4**qubits
    found = np.eye(size)
    found[1:, 1:] = np.linalg.qr(rng.normal(size=(size - 1, size - 1)))[0]
    return found


def random_acts(rng: np.random.Generator, count: int, qubits: int) -> list[Instruction]:
    return [
        Act(tuple(f"q{k}" for k in rng.choice(qubits, size, replace=False)), unitary(rng, size))
        for size in map(int, rng.integers(1, 3, count))
    ]


def brickwork(qubits: int, depth: int) -> list[Instruction]:
    rng = np.random.default_rng(qubits)
    found = created(qubits)
    for layer in range(depth):
        found += [Act((f"q{k}",), unitary(rng, 1)) for k in range(qubits)]
        found += [Act((f"q{k}", f"q{k + 1}"), unitary(rng, 2)) for k in range(layer % 2, qubits - 1, 2)]
    return found


def of_each_qubit(instructions: list[Instruction]) -> dict[str, list[int]]:
    found = defaultdict(list)
    for instruction in instructions:
        for qubit in qubits_of(instruction):
            found[qubit].append(id(instruction))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_every_qubit_sees_its_instructions_in_the_same_order(seed):
    rng = np.random.default_rng(seed)
    acts = created(9) + random_acts(rng, 60, 9)
    acts.append(Remove("q3"))
    acts += [act for act in random_acts(rng, 40, 9) if "q3" not in act.qubits]
    order = joined_late(acts, {})
    found = [acts[number] for number in order]
    assert of_each_qubit(found) == of_each_qubit(acts)
    assert sorted(order) == list(range(len(acts)))
    assert order[69] == 69, "a removal stays where it is"


def test_small_clusters_and_those_that_fit_nowhere_keep_their_order():
    for qubits in (6, 21):
        acts = brickwork(qubits, 5)
        assert joined_late(acts, {}) == list(range(len(acts)))


def large_steps(instructions: list[Instruction], qubits: int) -> int:
    return sum(
        isinstance(one, Transfer) and len(one.dims) == qubits
        for one in make_plan(instructions, keep=None, itemsize=8).operations
    )


def test_the_light_cones_of_brickwork_are_done_before_the_last_join():
    # Of 45 gates, 5 are in the creation of pairs. The last join is of a pair at the end and the 8 other qubits, of
    # which 12 gates wait for no gate across: a triangle of 3, 3, 2, 2, 1 and 1.
    assert large_steps(brickwork(10, 10), 10) == 45 - 5 - 12


def largest(instructions: list[Instruction], keep: list[str]) -> int:
    return make_plan(instructions, keep=keep, itemsize=8).largest // 2


@pytest.mark.parametrize("seed", range(30))
def test_qubits_that_leave_early_still_do(seed, monkeypatch):
    # A window that slides over the qubits: in the order given, few of them live at a time.
    rng = np.random.default_rng(seed)
    qubits = int(rng.integers(9, 15))
    acts = created(qubits)
    for first in range(qubits - 3):
        for _ in range(int(rng.integers(1, 5))):
            a, b = rng.choice(4, 2, replace=False) + first
            acts.append(Act((f"q{a}", f"q{b}"), unitary(rng, 2)))
    keep = [f"q{qubits - 1}"]
    ours = largest(acts, keep)
    monkeypatch.setattr("qdist.machine.joins.SMALL_QUBITS", 99)
    assert ours <= largest(acts, keep) + 1


def test_brickwork_of_which_one_qubit_is_kept_is_as_small_as_in_the_order_given(monkeypatch):
    ours = largest(brickwork(12, 3), ["q11"])
    monkeypatch.setattr("qdist.machine.joins.SMALL_QUBITS", 99)
    assert ours <= largest(brickwork(12, 3), ["q11"])


def test_many_qubits_and_many_gates_are_ordered_in_steps_that_grow_with_them():
    calls = []
    for qubits in (500, 2000):
        acts = created(qubits) + [Act((f"q{k}", f"q{k + 1}"), np.eye(16)) for k in range(0, qubits, 2)]
        # Many short stretches.
        acts += [one for _ in range(qubits // 3) for one in (Remove("q0"), *created(1), Act(("q0",), np.eye(4)))]
        profile = cProfile.Profile()
        profile.runcall(joined_late, acts, {})
        calls.append(sum(one.callcount for one in profile.getstats()))
    assert calls[1] < 5 * calls[0]


def test_gates_that_wait_in_a_cluster_are_applied_before_it_is_joined():
    rng = np.random.default_rng(0)
    chain = created(8) + [Act((f"q{k}", f"q{k + 1}"), unitary(rng, 2)) for k in range(7)]
    operations = make_plan(chain, keep=None, itemsize=8).operations
    last = max(k for k, one in enumerate(operations) if isinstance(one, Merge))
    assert sum(isinstance(one, Transfer) for one in operations[last:]) == 1, "only the gate that joins"


def after(acts: list[Act], qubits: int) -> np.ndarray:
    """The vector of all qubits, each act on all of it and in the order given."""
    state = np.ones(())
    for _ in range(qubits):
        state = np.multiply.outer(state, [1.0, 1.0, 0.0, 0.0])
    for act in acts:
        axes, k = [int(qubit[1:]) for qubit in act.qubits], len(act.qubits)
        moved = np.tensordot(act.matrix.reshape((4,) * 2 * k), state, axes=(range(k, 2 * k), axes))
        state = np.moveaxis(moved, range(k), axes)
    return state


@pytest.mark.parametrize("seed", range(6))
def test_the_state_is_the_same(seed):
    acts = random_acts(np.random.default_rng(seed), 80, 8)
    plan = make_plan(created(8) + acts, keep=None, itemsize=8)
    (part,) = plan.final
    wires = [wire for wire, kind in part.bits if kind == "x"]
    vector = np.asarray(evolve(plan, np.float64).vectors[part.slot]).reshape((4,) * 8)
    found = vector.transpose([wires.index(f"q{k}") for k in range(8)])
    np.testing.assert_allclose(found, after(acts, 8), atol=1e-12)
