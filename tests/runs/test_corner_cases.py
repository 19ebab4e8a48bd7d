"""Legal programs at the edges: constants, bits that are written twice, heralds that cannot fail, postselection."""

import jax
import numpy as np
import pytest

import qdist as qd
from qdist.network.timing import RandomOrderError, TracedOrderError

COIN = (qd.Prepare(("a/0",)), qd.apply("h", "a/0"))
SECOND = (qd.Prepare(("a/1",)), qd.apply("h", "a/1"))


def run(steps, *, bits=(), network=None, pairs=(), qubits=(), **kwargs):
    program = qd.Program(tuple(steps), bits=bits, pairs=pairs, qubits=qubits)
    network = network or qd.Network((qd.Node("a", 3),))
    return qd.run(qd.Job(program=program, network=network, precision="float64", **kwargs))


POSTSELECTED = {
    "a bit that was a constant first": (
        [*COIN, qd.Combine("m", ()), qd.Measure("a/0", "m")],
        ("m",),
        {"m": 1},
        0.5,
    ),
    "the last of two writes": (
        [*COIN, qd.Measure("a/0", "m", keep=True), qd.apply("h", "a/0"), qd.Measure("a/0", "m")],
        ("m",),
        {"m": 1},
        0.5,
    ),
    "a sum of bits": (
        [*COIN, *SECOND, qd.Measure("a/0", "m"), qd.Measure("a/1", "n"), qd.Combine("x", ("m", "n"))],
        ("x",),
        {"x": 1},
        0.5,
    ),
    "a conditional measurement": (
        [*COIN, *SECOND, qd.Measure("a/1", "c"), qd.Measure("a/0", "m", keep=True, when=qd.bit_is("c"))],
        ("m",),
        {"m": 1},
        0.25,
    ),
}


@pytest.mark.parametrize("case", POSTSELECTED)
def test_postselection_keeps_the_outcome_of(case):
    steps, bits, wanted, probability = POSTSELECTED[case]

    result = run(steps, bits=bits, mode="postselected", postselect=wanted)

    assert np.isclose(result.probability("1"), 1.0)
    assert np.isclose(result["results/success_probability"], probability)


def test_a_record_does_not_see_what_is_postselected_after_it():
    network = qd.chain(2, qubits=4, link={"length": 1e3, "success_probability": 0.5})
    steps = [qd.Prepare(("n0/0",)), qd.Prepare(("n0/1",)), qd.apply("h", "n0/0"), qd.apply("cx", "n0/0", "n0/1")]
    steps += [qd.Generate((("n0/2", "n1/0"),)), qd.Record("before"), qd.Measure("n0/1", "m"), qd.Record("after")]

    result = run(steps, network=network, pairs=(("n0/0", "n1/0"),), mode="postselected", postselect={"m": 1})

    assert np.allclose(result["metrics/correlations"][:, 0, 3, 0], [0.0, -1.0])


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_a_herald_that_cannot_fail_has_probability_one(mode):
    steps = [*COIN, qd.Combine("z", ()), qd.Measure("a/0", "m")]
    steps += [qd.Herald(qd.bit_is("m", 1)), qd.Herald(qd.bit_is("z", 0))]

    result = run(steps, bits=("m",), mode=mode, shots=400)

    assert result["results/herald_probability"][1] == 1.0
    assert np.isclose(result["results/success_probability"], 0.5, atol=0.1)


@pytest.mark.parametrize("mode", ["exact", "sampled"])
@pytest.mark.parametrize(("value", "expected"), [(1, 0.0), (0, 0.5)])
def test_a_measurement_may_depend_on_a_constant(mode, value, expected):
    steps = [*COIN, qd.Combine("z", ()), qd.Measure("a/0", "m", keep=True, when=qd.bit_is("z", value))]

    result = run(steps, bits=("m",), mode=mode, shots=1000)

    assert np.isclose(result.probability("1"), expected, atol=0.08)


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_a_measurement_that_does_not_happen_leaves_a_constant_bit(mode):
    steps = [*COIN, qd.Prepare(("a/1",)), qd.Combine("m", ()), qd.Measure("a/1", "c")]
    steps += [qd.Measure("a/0", "m", keep=True, when=qd.bit_is("c"))]

    assert np.isclose(run(steps, bits=("m", "c"), mode=mode).probability("00"), 1.0)


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_the_sum_of_a_bit_with_itself_is_zero(mode):
    steps = [*COIN, qd.Measure("a/0", "m"), qd.Combine("x", ("m", "m"))]

    assert np.isclose(run(steps, bits=("x",), mode=mode).probability("0"), 1.0)


def test_a_conditional_reset_has_the_preparation_error_of_the_device():
    network = qd.Network((qd.Node("a", 2, qd.Device(name="d", preparation_error=0.1)),))
    steps = [qd.Prepare(("a/0",)), qd.Prepare(("a/1",)), qd.Measure("a/1", "c")]
    steps += [qd.Reset("a/0", when=qd.bit_is("c", 0)), qd.Measure("a/0", "m")]

    result = run(steps, bits=("m", "c"), network=network)

    assert np.isclose(result.probability("10"), 0.9 * 0.1)


def waited_too_long(duration):
    device = qd.Device(name="d", t1=1e-2, t2=1.2e-2)
    network = qd.chain(2, qubits=2, device=device, link={"length": 1e3, "success_probability": 0.3})
    steps = (qd.Prepare(("n0/1",)), qd.Wait(("n0/1",), duration), qd.Generate((("n0/0", "n1/0"),)))
    steps += (qd.apply("cx", "n0/1", "n0/0"),)
    return qd.final_states(qd.Program(steps), network).state(("n0/0",)).correlator("Z")


def test_an_order_of_events_that_is_random_or_traced_is_refused():
    with pytest.raises(RandomOrderError):
        waited_too_long(1e-2)
    with pytest.raises(TracedOrderError, match="JAX traces"), jax.enable_x64(True):
        jax.jit(waited_too_long)(1e-2)


def test_clusters_that_are_used_up_are_not_counted():
    steps = []
    for k in range(20):
        steps += [qd.Prepare(("a/0",)), qd.Prepare(("a/1",)), qd.apply("h", "a/0"), qd.apply("cx", "a/0", "a/1")]
        steps += [qd.Record(f"{k}"), qd.Measure("a/0", f"m{k}"), qd.Measure("a/1", f"n{k}")]

    result = run(steps, pairs=(("a/0", "a/1"),))

    assert result["plan/clusters"].max() == 1


def test_the_matrices_of_many_shots_are_made_when_they_are_needed_and_not_kept():
    device = qd.Device(name="d", t1=1e-2, t2=1e-2)
    network = qd.chain(2, qubits=2, device=device, link={"length": 1e3, "success_probability": 0.1})
    steps = [qd.Prepare(("n0/1",))]
    for k in range(30):
        steps += [qd.Generate((("n0/0", "n1/0"),)), qd.apply("cx", "n0/1", "n0/0")]
        steps += [qd.Measure("n0/0", f"a{k}"), qd.Measure("n1/0", f"b{k}")]
    job = qd.Job(program=qd.Program(tuple(steps)), network=network, mode="sampled", shots=20_000)

    prepared = qd.prepare(job)

    assert prepared.plan.peak_bytes < prepared.batch * 16 * 8 * 2


REFUSED = {
    "`state` must be of 1 qubits": lambda: qd.Prepare(("a/0",), qd.bell()),
    "`bits` must hold at least one bit": lambda: qd.Send((), "a", "a"),
    "`pairs` must hold at least one pair": lambda: qd.Generate(()),
    "`operation` must be a Gate or a Channel": lambda: qd.Apply("h", ("a/0",)),
    "A value must be from 0 to 1": lambda: qd.bit_is("m", 2),
    "`parity` must be 0 or 1": lambda: qd.parity_is(("m",), 2),
    "A test must ask for at least one bit": lambda: qd.parity_is((), 1),
    "A bit name must not be a qubit's name": lambda: run([*COIN, qd.Measure("a/0", "a/1")]),
    "`shots` must be an integer": lambda: run(COIN, shots=10.5),
    "`seed` must be an integer": lambda: run(COIN, seed=1.5),
    "`pairs` must be pairs of two different qubits": lambda: run(COIN, pairs=("a/0",)),
    "`qubits` of a program must be given once": lambda: run(COIN, qubits=("a/0", "a/0")),
    "qubits that are alive at the end": lambda: run([*COIN, qd.Measure("a/0", "m")], qubits=("a/0",)),
    "`qubits` must be a list of different qubits": lambda: run(COIN).state("a/0"),
    "At least one shot must pass": lambda: run(
        [qd.Prepare(("a/0",)), qd.Measure("a/0", "m"), qd.Herald(qd.bit_is("m"))], mode="sampled", shots=8
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_mistake_is_named(words):
    with pytest.raises(qd.QdistError, match=words):
        REFUSED[words]()
