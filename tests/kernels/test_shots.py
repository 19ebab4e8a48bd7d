"""Programs of batches of shots: the kernel's source on a processor, and JAX's call of it, against plain NumPy."""

import ctypes
import itertools

import numpy as np
import pytest

from qdist_kernels import build, shots
from qdist_kernels.native import SUFFIXES, run_shots
from qdist_kernels.shots import Place, UnfitError, Writer

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-12}
SHOTS, DIMS = 13, (4, 2, 4)
AXES = [axes for count in (0, 1, 2) for axes in itertools.combinations(range(3), count)]


def emulated(program, values, where, lanes, *, backwards=False):
    """Lane after lane, as threads of a GPU would have it."""
    library = ctypes.CDLL(str(build.library("emulated")))
    results = np.zeros((program.results, values.shape[1]), values.dtype)
    work = np.full((program.work, lanes), np.nan, values.dtype)
    arrays = program.code, program.numbers, np.ascontiguousarray(values), where, results, work
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in arrays)
    function = getattr(library, f"qdist_shots_{SUFFIXES[values.dtype]}")
    function(*pointers, ctypes.c_int64(values.shape[1]), ctypes.c_int64(lanes), int(backwards))
    return results


def in_jax(program, values, where, lanes):
    return np.asarray(run_shots(program, values, where, lanes))


def ran(writer, values, seed=0, first=0, lanes=4):
    """What all ways give, which are the same bits."""
    program = writer.program()
    where = np.array([seed, first], np.uint64).view(np.int32)
    found = emulated(program, values, where, lanes)
    assert np.array_equal(emulated(program, values, where, lanes, backwards=True), found)
    assert np.array_equal(emulated(program, values, where, SHOTS), found)
    assert np.allclose(in_jax(program, values, where, lanes), found, atol=TOLERANCE[values.dtype])
    return found


def given_rows(writer, rng, size):
    """A vector of each shot that comes with the batch, as rows of the thread; and its numbers."""
    firsts = [writer.given() for _ in range(size)]
    one = writer.shared([1.0])
    entries = [(row, 0, value) for row, value in enumerate(firsts)]
    return writer.contract(entries, ((size,), (0,)), (one, (1,), (0,))), rng.normal(size=(size, SHOTS))


def dense(entries, shape):
    """One matrix a shot."""
    matrix = np.zeros((SHOTS, *shape))
    for row, column, value in entries:
        matrix[:, row, column] = value
    return matrix


def contracted(matrix, vector, dims, axes):
    array = np.moveaxis(vector.reshape(dims), axes, range(len(axes)))
    return matrix @ array.reshape(matrix.shape[-1], -1)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_contraction_is_that_of_each_shot(axes, dtype):
    rng, writer = np.random.default_rng(len(axes)), Writer(np.dtype(dtype))
    vector, numbers = given_rows(writer, rng, 32)
    side = int(np.prod([DIMS[axis] for axis in axes], initial=1))
    # Numbers, choices and rows of the batch; the last row has no entries.
    bit = writer.test([vector_of_bits(writer)], parity=1)
    entries, wanted, more = [], [], []
    for row, column in itertools.product(range(2), range(side)):
        match rng.integers(3):
            case 0:
                value = rng.normal()
                entries.append((row, column, writer.number(value)))
            case 1:
                choices = rng.normal(size=2).tolist()
                entries.append((row, column, writer.choice(choices, bit)))
                value = np.where(BITS % 2 == 1, choices[1], choices[0])
            case _:
                value = rng.normal(size=SHOTS)
                entries.append((row, column, writer.given()))
                more.append(value)
        wanted.append((row, column, value))
    rest = tuple(size for axis, size in enumerate(DIMS) if axis not in axes)
    out = writer.result(3 * int(np.prod(rest, initial=1)))
    writer.contract(entries, ((3, *rest), (0,)), (vector, DIMS, axes), out=out)

    rows = np.array([*numbers, BITS, *more]).astype(dtype)
    found = ran(writer, rows)[out.base : out.base + out.size]

    matrix = dense(wanted, (3, side))
    for shot in range(SHOTS):
        expected = contracted(matrix[shot], numbers[:, shot], DIMS, axes)
        assert np.allclose(found[:, shot], expected.reshape(-1), atol=10 * TOLERANCE[np.dtype(dtype)])


BITS = np.random.default_rng(0).integers(0, 2, SHOTS)


def vector_of_bits(writer):
    """A row with a bit of each shot, as one that was drawn."""
    row = writer.given()
    return writer.contract([(0, 0, row)], ((1,), (0,)), (writer.shared([1.0]), (1,), (0,)))


@pytest.mark.parametrize("first", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("second", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_two_vectors_are_contracted_as_their_product_would_be(first, second, dtype):
    rng, writer = np.random.default_rng(0), Writer(np.dtype(dtype))
    left, numbers = given_rows(writer, rng, 8)
    shared = rng.normal(size=8)
    right = writer.shared(shared)
    dims = (4, 2, 2, 4)
    axes = (*first, *(axis + 2 for axis in second))
    side = int(np.prod([dims[axis] for axis in axes]))
    matrix = rng.normal(size=(2, side)) * (rng.random((2, side)) < 0.6)
    entries = [(row, column, writer.number(matrix[row, column])) for row, column in np.argwhere(matrix).tolist()]
    rest = tuple(size for axis, size in enumerate(dims) if axis not in axes)
    factor = vector_of_bits(writer)
    out = writer.result(2 * int(np.prod(rest, initial=1)))
    writer.contract(
        entries, ((2, *rest), (0,)), (left, dims[:2], first), (right, dims[2:], second), factor=factor, out=out
    )

    found = ran(writer, np.array([*numbers, BITS + 0.5]).astype(dtype))[out.base :]

    for shot in range(SHOTS):
        whole = np.kron(numbers[:, shot], shared)
        expected = (BITS[shot] + 0.5) * contracted(matrix, whole, dims, axes).reshape(-1)
        assert np.allclose(found[:, shot], expected, atol=10 * TOLERANCE[np.dtype(dtype)])


def by_numpy(seed, purpose, second, first):
    """Random numbers of shots from `first` on."""
    keys = np.array([seed, (purpose << 32) + second], np.uint64)
    state = np.random.Philox(key=keys, counter=np.array([first // 4, 0, 0, 0], np.uint64))
    return (state.random_raw(SHOTS) >> np.uint64(11)) * 2.0**-53


@pytest.mark.parametrize(("seed", "purpose", "second"), [(0, 0, 0), (7, 12, 1), (2**64 - 1, 2**31 - 1, 2**20)])
def test_random_numbers_are_those_of_numpy(seed, purpose, second):
    library = ctypes.CDLL(str(build.library("emulated")))
    library.qdist_uniform.restype = ctypes.c_double
    key = (purpose << 32) + second
    for first in (0, 4, 2**34):
        found = [
            library.qdist_uniform(ctypes.c_uint64(seed), ctypes.c_uint64(key), ctypes.c_int64(first + shot))
            for shot in range(SHOTS)
        ]
        assert found == by_numpy(seed, purpose, second, first).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_outcome_is_drawn_read_and_told(dtype):
    writer = Writer(np.dtype(dtype))
    vector, _ = given_rows(writer, np.random.default_rng(0), 2)
    flag = vector_of_bits(writer)
    chances = np.array([[0.5, 0.5], [0.5, -0.5]])
    bit, outcome, factor = writer.draw(
        (vector, [0, 1]), None, chances, purpose=5, flips=(0.2, 0.7), flag=flag, otherwise=writer.shared([1.0])
    )
    rows = [writer.take(each, [0], out=writer.result()) for each in (bit, outcome, factor)]
    z = np.linspace(-1, 1, SHOTS)

    found = ran(writer, np.array([np.ones(SHOTS), z, BITS]).astype(dtype), seed=3, first=8)

    drawn = (by_numpy(3, 5, 0, 8) >= (1 + z) / 2).astype(int)
    read = np.where(by_numpy(3, 5, 1, 8) < np.array([0.2, 0.7])[drawn], 1 - drawn, drawn)
    probability = np.where(drawn == 0, 1 + z, 1 - z) / 2
    assert np.array_equal(found[rows[0].base], np.where(BITS, read, 1))
    assert np.array_equal(found[rows[1].base], np.where(BITS, drawn, 2))
    assert np.allclose(found[rows[2].base], np.where(BITS, 1 / probability, 1), rtol=1e-5)
    assert not found[0].any()


def test_the_first_draw_without_a_possible_outcome_is_told():
    writer = Writer(np.dtype(float))
    vector, _ = given_rows(writer, np.random.default_rng(0), 1)
    for _ in range(2):
        writer.draw((vector, [0]), None, [[1.0], [1.0]], purpose=0, flips=None, flag=None, otherwise=None)
    values = np.arange(SHOTS)[None] % 2 * 1.0
    assert np.array_equal(ran(writer, values)[0], 1 - values[0])


def test_tests_of_bits_are_asked_by_parity_or_by_a_table():
    writer = Writer(np.dtype(np.float32))
    bits = [vector_of_bits(writer) for _ in range(3)]
    odd, table = writer.test(bits, parity=1), writer.test(bits, answers=[k in (1, 6) for k in range(8)])
    asked = [odd, table, writer.both(odd, table)]
    rows = [writer.take(each, [0], out=writer.result()) for each in asked]
    values = np.random.default_rng(0).integers(0, 2, (3, SHOTS))

    found = ran(writer, values.astype(np.float32))

    wanted = [values.sum(axis=0) % 2, np.isin(values[0] + 2 * values[1] + 4 * values[2], (1, 6))]
    for row, expected in zip(rows, [*wanted, wanted[0] * wanted[1]], strict=True):
        assert np.array_equal(found[row.base], expected)


def test_rows_that_are_given_back_are_used_again_and_there_is_a_limit():
    writer = Writer(np.dtype(float))
    first = writer.room(5)
    writer.free(first)
    assert writer.room(5) == first
    assert writer.room(5) != first
    writer.free(Place(shots.NUMBERS, 0))
    with pytest.raises(UnfitError):
        writer.room(shots.LARGEST)
    with pytest.raises(UnfitError):
        writer.test([first] * (shots.MOST_BITS + 1), answers=[])


def test_numbers_are_copied_when_they_are_written():
    writer, numbers = Writer(np.dtype(float)), np.array([1.0, 2.0])
    place = writer.shared(numbers)
    numbers[:] = 0
    assert writer.program().numbers[place.base : place.base + 2].tolist() == [1.0, 2.0]


def test_what_threads_hold_fits_a_cache_and_few_batches_need_few_threads(monkeypatch):
    asked = []
    monkeypatch.setattr(shots.native, "run_shots", lambda program, values, where, lanes: asked.append(lanes))
    monkeypatch.setattr(shots, "on_host", lambda array: array)
    for work, count in ((10, 2**17), (1000, 2**17), (8000, 2**17), (10, 100)):
        program = shots.Shots(np.zeros(64, np.int32), np.zeros(64, np.float32), 1, 1, work)
        shots.run(program, np.zeros((1, count), np.float32), seed=0, first=0)
    assert asked == [2**16, 2**26 // 4000, 2**14, 100]
