"""Programs of random steps, and what they do by plain NumPy."""

import numpy as np

import qdist_kernels as kernels
from qdist_kernels.program import LARGEST_STEP, in_one_group
from tests.kernels.stages import product, random_stages


def random_program(bits, rng, *, groups=2, passes=2, steps=4):
    """Steps on random bits, of all sizes, dense, diagonal and in stages, in parts and tiles of random bits."""
    made = []
    for _ in range(groups):
        part = some_of(range(bits), rng)
        tiles = [some_of(part, rng) for _ in range(passes)]
        made.append(kernels.Group(part, tuple(random_pass(tile, rng, steps) for tile in tiles)))
    return kernels.Program(bits, tuple(made))


def some_of(bits, rng):
    return tuple(sorted(map(int, rng.choice(bits, rng.integers(1, len(bits) + 1), replace=False))))


def random_pass(tile, rng, steps):
    inside = []
    for _ in range(steps):
        count = rng.integers(1, min(len(tile), LARGEST_STEP) + 1)
        chosen = tuple(map(int, np.sort(rng.choice(tile, count, replace=False))[::-1]))
        stages, numbers = (), rng.normal(size=(2**count,) * rng.integers(1, 3)) / 2 ** (count / 2)
        if count == 4 and rng.random() < 0.8:
            stages = random_stages(rng)
            numbers = product(stages)
        inside.append(kernels.Step(chosen, numbers, stages))
    return kernels.Pass(tile, tuple(inside))


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


def trading_program(rng):
    """Staged steps in a tile with short rows: lanes trade places with bits that fewer steps have."""
    bits, low = int(rng.integers(9, 15)), int(rng.integers(3, 6))
    high = sorted(
        map(int, rng.choice(range(low, bits), int(rng.integers(max(4, 8 - low), bits - low + 1)), replace=False))
    )
    tile = (*range(low), *high)
    inside = []
    for _ in range(int(rng.integers(2, 5))):
        pool = (*range(low), *high[:2]) if rng.random() < 0.6 else tile
        chosen = tuple(sorted(map(int, rng.choice(pool, 4, replace=False)), reverse=True))
        stages = random_stages(rng)
        inside.append(kernels.Step(chosen, product(stages), stages))
    extra = random_pass(tile, rng, 2).steps
    return in_one_group(bits, (kernels.Pass(tile, (*inside, *extra)),))


def lone_program(rng):
    """One step after another, each alone in its pass, in tiles of its bits and mostly the lowest others of a part."""
    bits = int(rng.integers(8, 14))
    part = tuple(range(bits)) if rng.random() < 0.6 else tuple(sorted({*range(5), *some_of(range(bits), rng)}))
    passes = []
    for _ in range(3):
        (step,) = random_pass(part, rng, 1).steps
        rest = [bit for bit in part if bit not in step.bits]
        if rng.random() < 0.2:
            rest = rest[1:]
        passes.append(kernels.Pass(tuple(sorted({*step.bits, *rest[: int(rng.integers(1, 8))]})), (step,)))
    return kernels.Program(bits, (kernels.Group(part, tuple(passes)),))
