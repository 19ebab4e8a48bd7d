import math
import re
from pathlib import Path

import numpy as np
import pytest
import qiskit
import qiskit.circuit.library as qiskit_gates
import stim
from qiskit.quantum_info import PTM, Operator

from qdist.errors import QdistError
from qdist.physics import gates
from qdist.physics.gates import GATES, Gate, controlled, gate, inverse, power, unitary_gate

# Twenty or so float64 operations on numbers of size 1.
EXACT = 1e-13
ANGLES = [(0.3, 0.7, -1.1, 0.4), (-2.9, 1.6, 0.2, 3.0), (math.pi, -math.pi / 2, math.pi / 2, 0.0)]

QISKIT_NAMES = {
    "CX": "CXGate", "U": "UGate", "c3sqrtx": "C3SXGate", "cphase": "CPhaseGate", "cp": "CPhaseGate",
    "cswap": "CSwapGate", "id": "IGate", "iswap": "iSwapGate", "p": "PhaseGate", "phase": "PhaseGate",
    "sdg": "SdgGate", "swap": "SwapGate", "sxdg": "SXdgGate", "tdg": "TdgGate", "u0": "IGate",
}  # fmt: skip

# e^(i …) by which our matrix differs from Qiskit's; every other gate has Qiskit's phase.
PHASES = {
    "u2": lambda phi, lam: -(phi + lam) / 2,
    "u3": lambda theta, phi, lam: -(phi + lam) / 2,
    "U": lambda theta, phi, lam: theta / 2,
}

STIM_NAMES = {
    "id": "I", "x": "X", "y": "Y", "z": "Z", "h": "H", "s": "S", "sdg": "S_DAG", "sx": "SQRT_X", "sxdg": "SQRT_X_DAG",
    "cx": "CX", "cy": "CY", "cz": "CZ", "swap": "SWAP", "iswap": "ISWAP", "dcx": "SWAPCX",
}  # fmt: skip


def examples():
    return [(name, ANGLES[i][: rule.num_params]) for name, rule in GATES.items() for i in range(len(ANGLES))]


def qiskit_matrix(name, params):
    factory = getattr(qiskit_gates, QISKIT_NAMES.get(name, name.upper() + "Gate"))
    return Operator(factory(*([] if name == "u0" else params))).reverse_qargs().data


def multiplied(definition, num_qubits):
    """The matrix of a list of steps, by moving axes of an identity; shares no code with the product."""
    total = np.eye(2**num_qubits, dtype=complex).reshape([2] * num_qubits + [2**num_qubits])
    for name, params, positions in definition:
        unitary, k = gate(name, *params).unitary, len(positions)
        total = np.tensordot(unitary.reshape([2] * 2 * k), total, axes=(range(k, 2 * k), positions))
        total = np.moveaxis(total, range(k), positions)
    return total.reshape(2**num_qubits, -1)


def qelib1_definitions():
    """The steps of every gate that the qelib1.inc of Qiskit defines without parameters."""
    text = (Path(qiskit.__file__).parent / "qasm" / "libs" / "qelib1.inc").read_text()
    text = re.sub(r"//.*", "", text)
    definitions = {}
    for name, arguments, body in re.findall(r"gate (\w+) ([\w, ]+?)\s*\{([^}]*)\}", text):
        qubits = [qubit.strip() for qubit in arguments.split(",")]
        steps = []
        for step in filter(None, map(str.strip, body.split(";"))):
            called, angles, targets = re.fullmatch(r"(\w+)(?:\(([^)]*)\))?\s+(.*)", step).groups()
            params = tuple(eval(angle, {"pi": math.pi}) for angle in angles.split(",")) if angles else ()
            steps.append((called, params, tuple(qubits.index(target.strip()) for target in targets.split(","))))
        definitions[name] = tuple(steps)
    return definitions


def test_every_gate_has_the_matrix_of_qiskit_and_the_phase_of_stdgates():
    for name, params in examples():
        expected = qiskit_matrix(name, params)
        if name in PHASES:
            expected = expected * np.exp(1j * PHASES[name](*params))
        np.testing.assert_allclose(gate(name, *params).unitary, expected, atol=EXACT, err_msg=f"{name}{params}")


def test_every_clifford_gate_has_the_matrix_of_stim():
    for name, stim_name in STIM_NAMES.items():
        expected = stim.Tableau.from_named_gate(stim_name).to_unitary_matrix(endian="big")
        overlap = np.trace(expected.conj().T @ gate(name).unitary) / len(expected)
        assert abs(overlap) == pytest.approx(1, abs=1e-6), name  # Stim returns complex64


def test_the_table_holds_both_openqasm_libraries():
    libraries = Path(qiskit.__file__).parent / "qasm" / "libs"
    for file in ("qelib1.inc", "stdgates.inc"):
        names = re.findall(r"^gate (\w+)", (libraries / file).read_text(), flags=re.MULTILINE)
        assert len(names) > 25
        assert set(names) <= set(GATES), file


def test_every_rule_states_its_own_name_and_sizes():
    for name, rule in GATES.items():
        made = gate(name, *ANGLES[0][: rule.num_params])
        assert (made.name, made.num_qubits, rule.name) == (name, rule.num_qubits, name)


def test_every_ptm_is_the_one_of_qiskit():
    swap_digits = np.arange(16).reshape(4, 4).T.reshape(-1)
    for name, params in examples():
        made = gate(name, *params)
        if made.num_qubits > 2:
            continue
        expected = PTM(Operator(made.unitary)).data.real
        np.testing.assert_allclose(made.ptm, expected, atol=EXACT, err_msg=name)
        if made.num_qubits == 2:
            little_endian = PTM(Operator(made.unitary).reverse_qargs()).data.real
            np.testing.assert_allclose(made.ptm, little_endian[np.ix_(swap_digits, swap_digits)], atol=EXACT)


def test_the_ptm_of_a_clifford_gate_is_exactly_a_signed_permutation():
    for name in STIM_NAMES:
        ptm = gate(name).ptm
        assert set(np.unique(ptm)) <= {-1.0, 0.0, 1.0}, name
        assert (np.abs(ptm).sum(axis=0) == 1).all(), name


def test_the_first_row_of_every_ptm_is_exact():
    for name, params in examples():
        ptm = gate(name, *params).ptm
        assert (ptm[0] == np.eye(len(ptm))[0]).all(), name


def test_the_control_of_cx_is_its_first_qubit():
    assert (gate("cx").unitary == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]).all()


def test_every_large_gate_has_a_definition_that_multiplies_to_its_unitary():
    large = {name: rule for name, rule in GATES.items() if rule.num_qubits > 2}
    assert large.keys() == {"ccx", "ccz", "cswap", "rccx", "c3x", "c4x", "c3sqrtx", "rc3x"}
    for name, rule in large.items():
        made = multiplied(rule.definition, rule.num_qubits)
        overlap = np.vdot(gate(name).unitary, made) / len(made)
        assert abs(overlap) == pytest.approx(1, abs=EXACT), name
        np.testing.assert_allclose(made, overlap * gate(name).unitary, atol=EXACT, err_msg=name)


def test_every_definition_is_the_one_of_qelib1():
    known = qelib1_definitions()
    for name, rule in GATES.items():
        if rule.definition and name != "ccz":
            assert rule.definition == known[name], name
    assert GATES["ccz"].definition == (("h", (), (2,)), ("ccx", (), (0, 1, 2)), ("h", (), (2,)))


def test_every_definition_has_the_steps_of_the_qiskit_gate():
    # Qiskit renames u1, u2 and cu1; its C4X uses the relative-phase gate where qelib1.inc has c3x, so it is left out.
    quarter = math.pi / 4
    renamed = {("u2", (0.0, math.pi)): ("h", ()), ("u1", (quarter,)): ("t", ()), ("u1", (-quarter,)): ("tdg", ())}
    for name in ("ccx", "ccz", "cswap", "rccx", "c3x", "c3sqrtx", "rc3x"):
        circuit = getattr(qiskit_gates, QISKIT_NAMES.get(name, name.upper() + "Gate"))().definition
        theirs = [
            (step.name, tuple(step.params), tuple(circuit.find_bit(qubit).index for qubit in step.qubits))
            for step in circuit.data
        ]
        ours = []
        for called, params, positions in GATES[name].definition:
            called, params = renamed.get((called, params), (called, params))
            ours.append((called.replace("cu1", "cp"), params, positions))
        assert ours == theirs, name


def test_noise_never_meets_a_definition_without_an_end():
    def depth(name):
        return 1 + max((depth(step[0]) for step in GATES[name].definition), default=0)

    assert max(depth(name) for name in GATES) == 3  # c4x is made of c3x, which is made of small gates


def test_equal_gates_are_one_object():
    assert gate("rx", 0.25) is gate("rx", 0.25)
    assert gate("rx", 1) is gate("rx", np.float64(1.0))
    assert gate("rx", 0.25) is not gate("rx", 0.26)


def test_a_shared_gate_cannot_be_overwritten():
    made = gate("h")
    for array in (made.unitary, made.ptm):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 2


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("cswp", (), "standard library, but is 'cswp'. Did you mean 'cswap'?"),
        ("H", (), "Did you mean 'h'?"),
        ("frobnicate", (), "make it from its matrix with `unitary_gate`"),
        ("rx", (), "Gate 'rx' must have 1 parameter, but got 0."),
        ("cx", (0.1,), "Gate 'cx' must have 0 parameters, but got 1."),
        ("rz", (math.nan,), "must be a finite angle in radians, but is nan."),
        ("rz", (math.inf,), "must be a finite angle in radians, but is inf."),
    ],
)
def test_a_wrong_gate_is_refused_with_advice(name, params, message):
    with pytest.raises(QdistError) as caught:
        gate(name, *params)
    assert message in str(caught.value)


def test_a_unitary_gate_keeps_its_matrix():
    rng = np.random.default_rng(1)
    for size in (2, 4, 8):
        unitary = np.linalg.qr(rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size)))[0]
        made = unitary_gate(unitary, "scramble")
        assert made.name == "scramble"
        assert 2**made.num_qubits == size
        np.testing.assert_array_equal(made.unitary, unitary)
        np.testing.assert_allclose(made.ptm @ made.ptm.T, np.eye(size**2), atol=1e-12)


@pytest.mark.parametrize("matrix", [np.eye(3), np.eye(16), np.eye(1), np.ones((2, 4)), np.ones(4)])
def test_a_matrix_of_another_shape_is_not_a_gate(matrix):
    with pytest.raises(QdistError, match="must have shape"):
        unitary_gate(matrix)


def test_unitarity_is_checked_on_both_sides_of_the_tolerance():
    unitary_gate(np.eye(2) * (1 + 0.4 * gates.TOLERANCE))
    for bad in (np.eye(2) * (1 + gates.TOLERANCE), np.full((2, 2), np.nan)):
        with pytest.raises(QdistError, match="must be unitary"):
            unitary_gate(bad)


def test_the_controlled_gates_of_the_library_are_the_modifier_applied_to_their_base():
    pairs = {"cx": "x", "cy": "y", "cz": "z", "ch": "h", "csx": "sx", "cp": "p", "crx": "rx", "cry": "ry", "crz": "rz"}
    pairs |= {"cu3": "u", "ccx": "cx", "cswap": "swap"}
    for name, base in pairs.items():
        params = ANGLES[0][: GATES[name].num_params]
        made = controlled(gate(base, *params))
        np.testing.assert_allclose(made.unitary, gate(name, *params).unitary, atol=EXACT, err_msg=name)


def test_openqasm3_builds_its_library_from_the_controlled_built_in_gate():
    theta, phi, lam, gamma = ANGLES[0]
    built_in = controlled(gate("U", theta, phi, lam)).unitary
    phase = np.kron(gate("p", gamma - theta / 2).unitary, np.eye(2))
    np.testing.assert_allclose(built_in @ phase, gate("cu", theta, phi, lam, gamma).unitary, atol=EXACT)


def test_u3_has_determinant_one_as_stdgates_defines_it():
    for theta, phi, lam, _ in ANGLES:
        assert np.linalg.det(gate("u3", theta, phi, lam).unitary) == pytest.approx(1)
        assert np.linalg.det(gate("u2", phi, lam).unitary) == pytest.approx(1)


def test_a_negative_control_acts_on_zero():
    flip = np.kron(gate("x").unitary, np.eye(2))
    expected = flip @ gate("crx", 0.3).unitary @ flip
    made = controlled(gate("rx", 0.3), negative=True)
    np.testing.assert_allclose(made.unitary, expected, atol=EXACT)
    assert made.name == "negctrl @ rx"


def test_a_gate_and_its_inverse_cancel():
    for name, params in examples():
        made = gate(name, *params)
        np.testing.assert_allclose(
            inverse(made).unitary @ made.unitary, np.eye(len(made.unitary)), atol=EXACT, err_msg=name
        )


def test_fractional_powers_are_the_roots_of_the_library():
    roots = {"x": "sx", "z": "s", "s": "t", "sdg": "tdg", "cx": "csx", "c3x": "c3sqrtx"}
    for name, root in roots.items():
        np.testing.assert_allclose(power(gate(name), 0.5).unitary, gate(root).unitary, atol=1e-12, err_msg=name)


def test_rounding_does_not_choose_the_branch_of_a_root():
    for sign in (1, -1):
        almost_z = unitary_gate(np.diag([1, np.exp(sign * 1j * (math.pi - 1e-12))]))
        np.testing.assert_allclose(power(almost_z, 0.5).unitary, gate("s").unitary, atol=1e-11)


def test_integer_powers_repeat_the_gate_or_its_inverse():
    base = gate("u3", 0.3, 0.7, -1.1)
    for exponent in (-3, -1, 0, 1, 2, 5):
        expected = np.linalg.matrix_power(base.unitary, exponent)
        np.testing.assert_allclose(power(base, exponent).unitary, expected, atol=EXACT)


def test_the_parts_of_a_power_multiply_to_the_whole():
    for name, params in examples():
        if GATES[name].num_qubits > 3:
            continue
        base = gate(name, *params)
        parts = power(base, 0.3).unitary @ power(base, 0.7).unitary
        np.testing.assert_allclose(parts, base.unitary, atol=1e-11, err_msg=f"{name}{params}")


@pytest.mark.parametrize("exponent", [math.inf, math.nan])
def test_a_power_must_be_finite(exponent):
    with pytest.raises(QdistError, match="`exponent` must be finite"):
        power(gate("x"), exponent)


@pytest.mark.parametrize("x64", [False, True])
def test_traced_gates_equal_concrete_ones(x64):
    jax = pytest.importorskip("jax")
    rules = [rule for rule in GATES.values() if rule.num_params]

    def unitaries(*angles):
        return [gate(rule.name, *angles[: rule.num_params]).unitary for rule in rules]

    with jax.enable_x64(x64), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        made = jax.jit(unitaries)(*(jax.numpy.float32(angle) for angle in ANGLES[0]))
    for rule, found, expected in zip(rules, made, unitaries(*ANGLES[0]), strict=True):
        assert found.dtype == np.complex64
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=rule.name)


def test_a_gate_is_differentiable_in_its_angle():
    jax = pytest.importorskip("jax")

    def excited(angle):
        return (1 - gate("rx", angle).ptm[3, 3]) / 2

    slope = jax.grad(excited)(0.7)
    assert slope == pytest.approx(math.sin(0.7) / 2, rel=1e-5)


def test_modifiers_trace():
    jax = pytest.importorskip("jax")
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        made = jax.jit(lambda angle: inverse(controlled(power(gate("rx", angle), 3))).unitary)(jax.numpy.float32(0.3))
    np.testing.assert_allclose(made, gate("crx", -0.9).unitary, atol=1e-6)


def test_a_traced_gate_has_no_fractional_power():
    jax = pytest.importorskip("jax")
    with pytest.raises(QdistError, match="must be an integer for a gate with traced parameters"):
        power(gate("rx", jax.numpy.float32(0.3)), 0.5)


def test_a_gate_knows_its_size():
    assert Gate("anything", np.eye(8)).num_qubits == 3
