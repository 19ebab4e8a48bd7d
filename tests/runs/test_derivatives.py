"""JAX goes through a whole exact program: derivatives, compilation and batches over noise parameters."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

import qdist as qd


def swapped_fidelity(p):
    """Fidelity after a swap in which every number depends on p: pairs, gates, memories, random waiting."""
    device = qd.Device(name="d", t1=1e-2, t2=5e-3 * (1 + p), two_qubit_error=p, readout_p01=p / 2)
    link = {"length": 1e4, "fidelity": 1 - p, "success_probability": 0.1 + p}
    network = qd.chain(3, qubits=2, device=device, link=link)
    program = qd.protocols.repeater_chain(network)
    return qd.fidelity(qd.final_states(program, network).state(program.pairs[0]), qd.bell())


def heralded_yield(q):
    """Fidelity times success probability of two rounds of purification."""
    network = qd.chain(2, qubits=3, link={"weights": [1 - 3 * q, q, q, q], "success_probability": 0.3})
    program = qd.protocols.purified_pair(("n0", "n1"), "dejmps", 2)
    final = qd.final_states(program, network)
    return qd.fidelity(final.state(("n0/0", "n1/0")), qd.bell()) * final.success_probability


def rotated(angle):
    """A correlator of a circuit with feed-forward."""
    network = qd.Network((qd.Node("a", 2),))
    steps = (
        qd.Prepare(("a/0", "a/1")),
        qd.apply("rx", "a/0", params=(angle,)),
        qd.apply("crx", "a/0", "a/1", params=(2 * angle,)),
        qd.Measure("a/0", "m", keep=True),
        qd.apply("ry", "a/1", params=(angle,), when=qd.bit_is("m")),
    )
    return qd.final_states(qd.Program(steps), network).state(("a/0", "a/1")).correlator("ZZ")


@pytest.mark.parametrize(("function", "at"), [(swapped_fidelity, 0.02), (heralded_yield, 0.1), (rotated, 0.7)])
def test_gradients_agree_with_finite_differences(function, at):
    step = 1e-5
    with jax.enable_x64(True):
        found = jax.grad(function)(at)
    expected = (function(at + step) - function(at - step)) / (2 * step)

    assert np.isclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("function", "at"), [(heralded_yield, 0.1), (rotated, 0.7)])
def test_compiled_and_batched_programs_give_the_same_numbers(function, at):
    with jax.enable_x64(True):
        compiled = jax.jit(function)(at)
        batch = jax.vmap(function)(jnp.array([at, at / 2]))

    assert np.allclose([compiled, *batch], [function(at), function(at), function(at / 2)], atol=1e-12)


def test_importing_the_package_initializes_no_device():
    import subprocess
    import sys

    code = "import sys, qdist; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def products(jaxpr):
    """The precision of each matrix product of a computation, and of what it calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from products(inner)


@pytest.mark.parametrize("function", [swapped_fidelity, heralded_yield, rotated], ids=lambda f: f.__name__)
def test_every_product_asks_for_full_precision_that_gpus_would_else_round(function):
    for traced in (function, jax.grad(function)):
        found = list(products(jax.make_jaxpr(traced)(0.05).jaxpr))
        assert found
        assert set(found) == {(jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)}
