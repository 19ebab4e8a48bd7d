"""Matrices on two digits as products of sparse ones."""

import numpy as np
import pytest

from qdist_kernels import stages_of
from qdist_kernels.stages import DIAGONAL, FULL, MOST_PRODUCTS, THREE, on_both
from tests.kernels.stages import dense, permutation, product, random_factors, rotation

RNG = np.random.default_rng(0)
CP = np.eye(16)
for rows in ([1, 2, 13, 14], [4, 7, 8, 11], [5, 6, 9, 10]):
    CP[np.ix_(rows, rows)] = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
"""Mixes as a controlled phase does."""


@pytest.mark.parametrize("seed", range(200))
def test_the_product_of_the_stages_is_that_of_the_factors(seed):
    factors = random_factors(np.random.default_rng(seed))
    stages = stages_of(factors)
    if stages:
        assert np.allclose(product(stages), dense(factors), rtol=0, atol=1e-14)
        assert sum(stage.blocks.products for stage in stages) <= MOST_PRODUCTS + 16
    for stage in stages:
        assert sorted(stage.blocks.rows.flat) == sorted(stage.blocks.columns.flat) == list(range(16))
        assert list(stage.blocks.kinds) == sorted(stage.blocks.kinds)
        for kind, numbers in zip(stage.blocks.kinds, stage.numbers, strict=True):
            beside = numbers - np.diag(np.diag(numbers))
            assert kind == FULL or not (beside[0].any() or beside[:, 0].any())
            assert kind != DIAGONAL or not beside.any()
    if len(stages) == 1:
        assert stages[0].blocks.stay


def test_a_gate_between_one_qubit_operations_is_two_stages_of_three_by_three_blocks():
    stages = stages_of(
        [((0, 1), permutation(RNG)), ((0,), rotation(RNG)), ((1,), rotation(RNG)), ((0,), rotation(RNG))]
    )
    assert [stage.blocks.kinds for stage in stages] == [(THREE,) * 4] * 2


def test_a_controlled_phase_is_one_stage_however_often_it_comes():
    noise = ((0, 1), np.diag([1.0, *[0.99] * 15]))
    for factors in ([((0, 1), CP)], [((0, 1), CP), noise, ((0, 1), CP), noise]):
        (stage,) = stages_of(factors)
        assert stage.blocks.kinds == (DIAGONAL, FULL, FULL, FULL)


def test_a_matrix_that_mixes_everything_has_none():
    assert stages_of([((0, 1), RNG.normal(size=(16, 16)))]) == ()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_a_branch_that_is_hardly_ever_taken_keeps_its_entries(scale):
    factors = [((0, 1), scale * permutation(RNG)), ((0,), rotation(RNG))]
    assert np.allclose(product(stages_of(factors)), dense(factors), rtol=0, atol=1e-15 * scale)


def test_zeros_may_stand_alone():
    """A reset forgets all entries but one: rows and columns that nothing connects."""
    reset = np.zeros((4, 4))
    reset[0, 0] = reset[3, 0] = 1.0
    factors = [((0, 1), permutation(RNG)), ((1,), reset), ((0,), rotation(RNG))]
    stages = stages_of(factors)
    assert stages
    assert np.allclose(product(stages), dense(factors), rtol=0, atol=1e-15)


@pytest.mark.parametrize("digits", [(0,), (1,), (0, 1), (1, 0)])
def test_on_both(digits):
    matrix = RNG.normal(size=(4 ** len(digits),) * 2)
    vector = RNG.normal(size=(4, 4))
    spread = vector if digits != (1, 0) else vector.T
    if len(digits) == 2:
        expected = (matrix @ spread.reshape(-1)).reshape(4, 4)
        expected = expected if digits == (0, 1) else expected.T
    else:
        expected = matrix @ vector if digits == (0,) else vector @ matrix.T
    assert np.allclose((on_both(digits, matrix) @ vector.reshape(-1)).reshape(4, 4), expected)
