"""Programs of random steps, and what they do by plain NumPy."""

import numpy as np

import qdist_kernels as kernels
from qdist_kernels.program import LARGEST_STEP


def random_program(bits, rng, *, passes=3, steps=4):
    """Steps on random bits, of all sizes, dense and diagonal, in tiles of random bits."""
    made = []
    for _ in range(passes):
        tile = np.sort(rng.choice(bits, rng.integers(1, bits + 1), replace=False))
        inside = []
        for _ in range(steps):
            count = rng.integers(1, min(len(tile), LARGEST_STEP) + 1)
            chosen = np.sort(rng.choice(tile, count, replace=False))[::-1]
            shape = (2**count,) * rng.integers(1, 3)
            inside.append(kernels.Step(tuple(map(int, chosen)), rng.normal(size=shape) / 2 ** (count / 2)))
        made.append(kernels.Pass(tuple(map(int, tile)), tuple(inside)))
    return kernels.Program(bits, tuple(made))


def expected(vector, program):
    """Step by step, with the digits in front."""
    for step in program.steps:
        axes = [vector.ndim - 1 + program.bits - 1 - bit for bit in step.bits]
        array = vector.astype(float).reshape(*vector.shape[:-1], *(2,) * program.bits)
        array = np.moveaxis(array, axes, range(len(axes)))
        matrix = np.diag(step.numbers) if step.is_diagonal else step.numbers
        moved = (matrix @ array.reshape(len(matrix), -1)).reshape(array.shape)
        vector = np.moveaxis(moved, range(len(axes)), axes).reshape(vector.shape)
    return vector
