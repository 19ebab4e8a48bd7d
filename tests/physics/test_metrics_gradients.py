"""Metrics trace under JAX: values and gradients agree with NumPy and finite differences, finite at singular points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qdist.physics import metrics
from qdist.physics.metrics import METRICS
from qdist.physics.states import State, basis_state, bell, from_matrix, ghz, maximally_mixed, werner

PAIR = ("alice/0", "bob/0")
TRACEABLE = [name for name in METRICS if name != "verdict"]
# Float32; roots of its rounding errors enter the concurrence.
SINGLE = 2e-4


def random_state(number: int, seed: int) -> State:
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(2**number, 2**number)) + 1j * rng.normal(size=(2**number, 2**number))
    return from_matrix(factor @ factor.conj().T / np.linalg.norm(factor) ** 2)


@pytest.mark.parametrize("name", TRACEABLE)
def test_value_and_gradient_agree_with_numpy_and_differences(name):
    function = METRICS[name].function
    value_and_gradient = jax.jit(jax.value_and_grad(lambda vector: function(State(vector, PAIR))))
    step = 1e-5
    for fidelity in (0.9, 0.6):
        direction = (werner(fidelity + step).vector - werner(fidelity - step).vector) / (2 * step)
        expected = (function(werner(fidelity + step)) - function(werner(fidelity - step))) / (2 * step)
        value, gradient = value_and_gradient(jnp.asarray(werner(fidelity).vector, jnp.float32))
        assert value == pytest.approx(function(werner(fidelity)), abs=SINGLE)
        assert np.asarray(gradient) @ direction == pytest.approx(expected, rel=1e-3, abs=SINGLE)
    for state in (bell(), basis_state("00"), maximally_mixed(2), werner(0.5)):
        value, gradient = value_and_gradient(jnp.asarray(state.vector, jnp.float32))
        assert value == pytest.approx(float(function(state)), abs=2e-3)
        assert np.isfinite(np.asarray(gradient)).all()


def test_every_entry_of_the_gradient_is_right_on_a_random_state():
    start = random_state(2, 8)
    target = random_state(2, 9)
    functions = {
        "fidelity": lambda state: metrics.fidelity(state, bell()),
        "Uhlmann fidelity": lambda state: metrics.fidelity(state, target),
        "chsh": metrics.chsh,
        "fisher": metrics.quantum_fisher_information,
        "negativity": metrics.negativity,
    }
    step = 1e-5
    for name, function in functions.items():
        gradient = jax.jit(jax.grad(lambda vector, function=function: function(State(vector, PAIR))))
        found = gradient(jnp.asarray(start.vector, jnp.float32))
        for entry in range(16):
            shift = step * np.eye(16)[entry]
            ends = [function(State(start.vector + sign * shift, PAIR)) for sign in (1, -1)]
            assert found[entry] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-3, rel=2e-3), (name, entry)


def test_a_traced_noise_parameter_reaches_the_metric():
    slope = jax.grad(lambda fidelity: metrics.chsh(werner(fidelity)))(0.9)
    assert slope == pytest.approx(2 * np.sqrt(2) * 4 / 3, rel=1e-5)
    slope = jax.grad(lambda fidelity: metrics.fidelity(bell(), werner(fidelity), pure=True))(0.9)
    assert slope == pytest.approx(1, rel=1e-5)


def test_outcomes_and_stabilizer_fidelities_are_traced_and_batched():
    states = jnp.asarray(np.stack([ghz(3).vector, maximally_mixed(3).vector]), jnp.float32)
    names = ("a/0", "b/0", "c/0")
    outcomes = jax.jit(jax.vmap(lambda vector: metrics.outcome_probabilities(State(vector, names), "XXX")))(states)
    expected = [[0.25, 0, 0, 0.25, 0, 0.25, 0.25, 0], [0.125] * 8]
    np.testing.assert_allclose(outcomes, expected, atol=1e-6)
    fidelities = jax.vmap(lambda vector: metrics.ghz_fidelity(State(vector, names)))(states)
    np.testing.assert_allclose(fidelities, [1, 0.125], atol=1e-6)
    edges = [(0, 1), (1, 2)]
    graphs = jax.vmap(lambda vector: metrics.graph_state_fidelity(State(vector, names), edges))(states)
    np.testing.assert_allclose(graphs, [0.25, 0.125], atol=1e-6)
