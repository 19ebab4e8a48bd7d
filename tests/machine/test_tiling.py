"""Which operations share a pass, and that none overtakes another one on the same bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdist.machine.plan import Keep, Merge, Passes, Stop, Transfer
from qdist.machine.tiling import groups_of, tiled
from qdist_kernels import Program, Step
from qdist_kernels.program import ON_CUDA, ON_HOST
from tests.machine.plans import plan_of


def step(bits, name):
    """The number 1, 2, … of a step is its factor."""
    return Step(tuple(sorted(bits, reverse=True)), np.full(2 ** len(bits), float(name)))


def brickwork(qubits, depth):
    digits = [(2 * k, 2 * k + 1) for k in range(qubits)]
    pairs = [(k, k + 1) for layer in range(depth) for k in range(layer % 2, qubits - 1, 2)]
    return [step(digits[a] + digits[b], number) for number, (a, b) in enumerate(pairs)]


@pytest.mark.parametrize("tiles", [ON_HOST, ON_CUDA], ids=["host", "CUDA"])
@given(st.integers(3, 26), st.lists(st.lists(st.integers(0, 25), min_size=1, max_size=6, unique=True), max_size=30))
def test_steps_on_the_same_bits_keep_their_order_and_fit_their_tile(tiles, bits, chosen):
    steps = [step({bit % bits for bit in each}, number) for number, each in enumerate(chosen)]
    program = Program(bits, tuple(groups_of(steps, bits, 4, tiles)))
    passes = program.passes
    for group in program.groups:
        assert list(group.part) == sorted(set(group.part))
        assert len(group.part) == tiles.part(bits, 4)
        assert all(set(one.tile) <= set(group.part) for one in group.passes)
    order = [int(each.numbers[0]) for one in passes for each in one.steps]
    assert sorted(order) == list(range(len(steps)))
    for one in passes:
        assert list(one.tile) == sorted(set(one.tile))
        assert len(one.tile) == tiles.bits(bits, 4)
        assert all(set(each.bits) <= set(one.tile) for each in one.steps)
    for bit in range(bits):
        on_it = [number for number in order if bit in steps[number].bits]
        assert on_it == sorted(on_it)


@pytest.mark.parametrize("qubits", range(8, 17))
@pytest.mark.parametrize("itemsize", [4, 8])
def test_three_or_more_operations_of_a_brickwork_share_a_pass(qubits, itemsize):
    steps = brickwork(qubits, 10)
    passes = Program(2 * qubits, tuple(groups_of(steps, 2 * qubits, itemsize, ON_HOST))).passes
    assert len(steps) >= 3 * len(passes)


@pytest.mark.parametrize("depth", [4, 10, 20])
@pytest.mark.parametrize("qubits", range(12, 18))
def test_four_or_more_operations_of_a_brickwork_share_a_pass_on_a_gpu(qubits, depth):
    steps = brickwork(qubits, depth)
    passes = Program(2 * qubits, tuple(groups_of(steps, 2 * qubits, 4, ON_CUDA))).passes
    assert len(steps) >= (4 if depth < 10 else 5) * len(passes)


def transfer(slot, axes, value):
    return Transfer(slot, (4,) * 8, axes, np.eye(16) * value, in_place=True)


def test_operations_wait_until_something_else_needs_their_vector():
    plan = plan_of(
        transfer(0, (0, 1), 2),
        transfer(1, (0, 1), 3),
        transfer(0, (1, 2), 4),
        Keep("", True, 1),
        transfer(0, (0, 1), 5),
    )
    kinds = [(type(each), each.slot) for each in tiled(plan).operations]
    assert kinds == [(Passes, 1), (Keep, 1), (Passes, 0)]
    (_, _, last) = tiled(plan).operations
    assert [each.numbers[0] for each in last.program.steps] == [2, 4, 5]


@pytest.mark.parametrize("barrier", [Stop(1), Merge(0, 1), Merge(1, 0)], ids=str)
def test_nothing_passes_a_stop_or_a_merge(barrier):
    plan = plan_of(transfer(0, (0, 1), 2), barrier, transfer(0, (0, 1), 3))
    assert [type(each) for each in tiled(plan).operations] == [Passes, type(barrier), Passes]


def test_an_operation_that_changes_digits_is_left_alone():
    changing = Transfer(0, (4,) * 8, (0,), np.ones((1, 4)))
    assert tiled(plan_of(changing)).operations == (changing,)
