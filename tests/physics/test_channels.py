import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import qutip
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import PTM, Choi, Kraus, Operator, SuperOp
from qiskit.quantum_info import average_gate_fidelity as qiskit_average_gate_fidelity
from qiskit.quantum_info import process_fidelity as qiskit_process_fidelity
from qiskit_aer import noise

from qdist.errors import QdistError
from qdist.physics import channels
from qdist.physics.channels import CHANNELS, Channel, Instrument
from qdist.physics.gates import gate, unitary_gate

# A few dozen float64 operations on numbers of size 1.
EXACT = 1e-13
FLOAT32 = 2e-6

ONE, X, Y, Z = np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
LOWER = np.array([[0, 1], [0, 0]])  # |0⟩⟨1|
PAULIS = {"I": ONE, "X": X, "Y": Y, "Z": Z}
PAIRS = ["".join(pair) for pair in itertools.product("IXYZ", repeat=2)]


def string(labels):
    matrix = np.eye(1)
    for label in labels:
        matrix = np.kron(matrix, PAULIS[label])
    return matrix


def reference_ptm(kraus):
    """R_ij = 2⁻ⁿ Tr(P_i Σ_k K_k P_j K_k†), one entry at a time."""
    dimension = len(kraus[0])
    strings = [string(s) for s in itertools.product("IXYZ", repeat=dimension.bit_length() - 1)]
    mapped = [sum(k @ p @ k.conj().T for k in kraus) for p in strings]
    return np.array([[np.trace(p @ m).real for m in mapped] for p in strings]) / dimension


def pauli_kraus(probabilities):
    size = len(next(iter(probabilities)))
    rest = 1 - sum(probabilities.values())
    return [math.sqrt(max(rest, 0)) * string("I" * size)] + [math.sqrt(p) * string(s) for s, p in probabilities.items()]


def damping_kraus(gamma, excited_population=0.0):
    keep = math.sqrt(1 - gamma)
    down, up = math.sqrt(1 - excited_population), math.sqrt(excited_population)
    return [
        down * np.diag([1, keep]),
        down * math.sqrt(gamma) * LOWER,
        up * np.diag([keep, 1]),
        up * math.sqrt(gamma) * LOWER.T,
    ]


def thermal_kraus(duration, t1, t2, excited_population=0.0):
    pure_dephasing = (1 - math.exp(duration / (2 * t1) - duration / t2)) / 2
    damping = damping_kraus(1 - math.exp(-duration / t1), excited_population)
    return [p @ k for p in pauli_kraus({"Z": max(pure_dephasing, 0)}) for k in damping]


def rotation_kraus(labels, angle):
    size = 2 ** len(labels)
    return [math.cos(angle / 2) * np.eye(size) - 1j * math.sin(angle / 2) * string(labels)]


KRAUS = {
    "depolarizing": lambda p: pauli_kraus(dict.fromkeys("XYZ", p / 3)),
    "depolarizing2": lambda p: pauli_kraus(dict.fromkeys(PAIRS[1:], p / 15)),
    "dephasing": lambda p: pauli_kraus({"Z": p}),
    "bit_flip": lambda p: pauli_kraus({"X": p}),
    "bit_phase_flip": lambda p: pauli_kraus({"Y": p}),
    "pauli_channel": lambda x=0.0, y=0.0, z=0.0: pauli_kraus({"X": x, "Y": y, "Z": z}),
    "pauli_channel2": lambda probabilities: pauli_kraus({"II": 0.0} | probabilities),
    "amplitude_damping": damping_kraus,
    "generalized_amplitude_damping": damping_kraus,
    "thermal_relaxation": thermal_kraus,
    "reset": lambda: [np.diag([1, 0]), LOWER],
    "over_rotation": lambda axis, angle: rotation_kraus(axis, angle),
    "zz_crosstalk": lambda angle: rotation_kraus("ZZ", angle),
}

# The first of each lies inside its interval, so that it can be differentiated; the others are limits.
EXAMPLES = {
    "depolarizing": [{"p": p} for p in (0.1, 0.0, 0.75, 1.0)],
    "depolarizing2": [{"p": p} for p in (0.1, 0.0, 15 / 16, 1.0)],
    "dephasing": [{"p": p} for p in (0.2, 0.0, 0.5, 1.0)],
    "bit_flip": [{"p": p} for p in (0.2, 0.0, 1.0)],
    "bit_phase_flip": [{"p": p} for p in (0.2, 0.0, 1.0)],
    "pauli_channel": [{"x": 0.1, "y": 0.02, "z": 0.3}, {"z": 0.3}, {"x": 0.5, "y": 0.5}, {}],
    "pauli_channel2": [{"probabilities": p} for p in ({"XX": 0.1, "ZI": 0.2, "YZ": 0.03}, {"IY": 1.0}, {})],
    "amplitude_damping": [{"gamma": gamma} for gamma in (0.3, 0.0, 1.0)],
    "generalized_amplitude_damping": [
        {"gamma": gamma, "excited_population": q} for gamma, q in ((0.3, 0.2), (1.0, 0.5), (0.4, 1.0), (0.0, 0.3))
    ],
    "thermal_relaxation": [
        {"duration": 3e-6, "t1": 1e-5, "t2": 1.5e-5, "excited_population": 0.2},
        {"duration": 3e-6, "t1": 1e-5, "t2": 2e-5},
        {"duration": 3e-6, "t1": 1e-5, "t2": 2e-5, "excited_population": 0.1},
        {"duration": 3e-6, "t1": math.inf, "t2": 1e-6},
        {"duration": 1.0, "t1": math.inf, "t2": math.inf},
        {"duration": 0.0, "t1": 1e-5, "t2": 1e-5},
    ],
    "reset": [{}],
    "over_rotation": [{"axis": axis, "angle": 0.3} for axis in "XYZ"],
    "zz_crosstalk": [{"angle": -0.7}],
}


def examples():
    return [(name, parameters) for name, rows in EXAMPLES.items() for parameters in rows]


def make(name, parameters):
    return CHANNELS[name].function(**parameters)


def little_endian(kraus):
    return [Operator(k).reverse_qargs().data for k in kraus]


def qiskit_ptm(channel):
    """The PTM of a Qiskit channel with its qubit 0 as our first."""
    ptm = PTM(channel).data.real
    if len(ptm) == 16:
        swapped = np.arange(16).reshape(4, 4).T.reshape(-1)
        ptm = ptm[np.ix_(swapped, swapped)]
    return ptm


def aer_channel(name, parameters):
    """The same channel made by Qiskit Aer, or None where it has no such function."""
    p = parameters.get("p")
    if name == "depolarizing":
        return noise.depolarizing_error(p * 4 / 3, 1)
    if name == "depolarizing2":
        return noise.depolarizing_error(p * 16 / 15, 2)
    if name in ("dephasing", "bit_flip", "bit_phase_flip"):
        return noise.pauli_error([({"dephasing": "Z", "bit_flip": "X", "bit_phase_flip": "Y"}[name], p), ("I", 1 - p)])
    if name == "pauli_channel" and parameters:
        return noise.pauli_error(
            [(k.upper(), v) for k, v in parameters.items()] + [("I", 1 - sum(parameters.values()))]
        )
    if name == "pauli_channel2" and parameters["probabilities"]:
        pairs = parameters["probabilities"]
        return noise.pauli_error([(k[::-1], v) for k, v in pairs.items()] + [("II", 1 - sum(pairs.values()))])
    if name in ("amplitude_damping", "generalized_amplitude_damping"):
        return noise.amplitude_damping_error(parameters["gamma"], parameters.get("excited_population", 0))
    if name == "thermal_relaxation":
        times = parameters["t1"], parameters["t2"], parameters["duration"]
        return noise.thermal_relaxation_error(*times, parameters.get("excited_population", 0))
    if name == "reset":
        return noise.reset_error(1.0)
    return None


def test_every_row_of_the_table_has_examples_and_a_kraus_form():
    assert CHANNELS.keys() == EXAMPLES.keys() == KRAUS.keys()


def test_every_channel_equals_its_kraus_form():
    for name, parameters in examples():
        expected = reference_ptm(KRAUS[name](**parameters))
        np.testing.assert_allclose(make(name, parameters).ptm, expected, atol=EXACT, err_msg=f"{name}{parameters}")


def test_every_channel_is_completely_positive_and_keeps_the_trace_exactly():
    for name, parameters in examples():
        made = make(name, parameters)
        size = 4 ** CHANNELS[name].num_qubits
        assert made.ptm.shape == (size, size), name
        assert (made.ptm[0] == np.eye(size)[0]).all(), name
        assert channels.is_completely_positive(made, 1e-12), f"{name}{parameters}"


def test_every_channel_agrees_with_qiskit():
    for name, parameters in examples():
        expected = qiskit_ptm(Kraus(little_endian(KRAUS[name](**parameters))))
        np.testing.assert_allclose(make(name, parameters).ptm, expected, atol=EXACT, err_msg=f"{name}{parameters}")


def test_every_noise_function_of_aer_gives_the_same_channel():
    compared = set()
    for name, parameters in examples():
        theirs = aer_channel(name, parameters)
        if theirs is not None:
            compared.add(name)
            np.testing.assert_allclose(
                make(name, parameters).ptm, qiskit_ptm(SuperOp(theirs)), atol=1e-10, err_msg=f"{name}{parameters}"
            )
    assert CHANNELS.keys() - compared == {"over_rotation", "zz_crosstalk"}


def test_thermal_relaxation_solves_the_master_equation():
    duration, t1, t2, q = 0.7, 1.3, 0.9, 0.2
    raising, lowering = qutip.basis(2, 1) * qutip.basis(2, 0).dag(), qutip.basis(2, 0) * qutip.basis(2, 1).dag()
    pure_dephasing = 1 / t2 - 1 / (2 * t1)
    collapse = [
        math.sqrt((1 - q) / t1) * lowering,
        math.sqrt(q / t1) * raising,
        math.sqrt(pure_dephasing / 2) * qutip.sigmaz(),
    ]
    evolution = (qutip.liouvillian(None, collapse) * duration).expm()
    kraus = [k.full() for k in qutip.to_kraus(evolution)]
    made = channels.thermal_relaxation(duration, t1, t2, excited_population=q)
    np.testing.assert_allclose(made.ptm, reference_ptm(kraus), atol=1e-9)


def test_crosstalk_is_the_evolution_under_an_always_on_coupling():
    coupling, time = 2 * math.pi * 1e5, 3e-7
    hamiltonian = coupling / 2 * qutip.tensor(qutip.sigmaz(), qutip.sigmaz())
    unitary = (-1j * hamiltonian * time).expm().full()
    np.testing.assert_allclose(channels.zz_crosstalk(coupling * time).ptm, reference_ptm([unitary]), atol=EXACT)


def test_full_noise_forgets_the_state():
    mixed = np.diag([1, 0, 0, 0])
    np.testing.assert_allclose(channels.depolarizing(3 / 4).ptm, mixed, atol=1e-15)
    np.testing.assert_allclose(channels.depolarizing(15 / 16, num_qubits=2).ptm, np.diag([1] + [0] * 15), atol=1e-15)
    np.testing.assert_array_equal(channels.dephasing(0.5).ptm, np.diag([1, 0, 0, 1]))
    np.testing.assert_array_equal(channels.amplitude_damping(1.0).ptm, channels.reset().ptm)


def test_waiting_twice_is_waiting_once():
    first, second = (channels.thermal_relaxation(t, 2.0, 1.5, excited_population=0.1) for t in (0.3, 0.5))
    whole = channels.thermal_relaxation(0.8, 2.0, 1.5, excited_population=0.1)
    np.testing.assert_allclose(first.then(second).ptm, whole.ptm, atol=EXACT)


@pytest.mark.parametrize("name", [name for name, rule in CHANNELS.items() if rule.probabilities])
def test_every_probability_is_accepted_in_its_interval_and_refused_outside(name):
    rule = CHANNELS[name]
    others = {k: (0.0 if k in rule.probabilities else v) for k, v in EXAMPLES[name][0].items()}
    for parameter in rule.probabilities:
        for good in (0, 1, 0.5):
            make(name, others | {parameter: good})
        for bad in (-1e-9, 1 + 1e-9, math.nan):
            with pytest.raises(QdistError, match=rf"`{parameter}` must be a probability in \[0, 1\], but is {bad}"):
                make(name, others | {parameter: bad})


def test_the_parameters_in_the_table_are_those_of_the_functions():
    for name, rule in CHANNELS.items():
        known = {key for row in EXAMPLES[name] for key in row}
        assert known == set(rule.parameters), name
        assert set(rule.probabilities) <= known, name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: channels.pauli_channel(x=0.5, y=0.5, z=1e-6), "must add up to at most 1, but add up to 1"),
        (lambda: channels.pauli_channel2({"XX": 0.6, "ZZ": 0.6}), "must add up to at most 1, but add up to 1.2"),
        (lambda: channels.pauli_channel2({"XX": 1.2}), "`XX` must be a probability in [0, 1], but is 1.2."),
        (lambda: channels.pauli_channel2({"X": 0.1}), "two letters out of I, X, Y, Z, but has 'X'"),
        (lambda: channels.pauli_channel2({"XW": 0.1}), "two letters out of I, X, Y, Z, but has 'XW'"),
        (lambda: channels.depolarizing(0.1, num_qubits=0), "`num_qubits` must be at least 1, but is 0."),
        (lambda: channels.thermal_relaxation(-1e-9, 1, 1), "`duration` must be at least 0 s, but is -1e-09."),
        (lambda: channels.thermal_relaxation(math.nan, 1, 1), "`duration` must be at least 0 s, but is nan."),
        (lambda: channels.thermal_relaxation(math.inf, 1, 1), "`duration` must be finite, but is inf."),
        (lambda: channels.thermal_relaxation(1, 0, 1), "`t1` must be positive"),
        (lambda: channels.thermal_relaxation(1, 1, math.nan), "`t2` must be positive"),
        (lambda: channels.thermal_relaxation(1, 1, 2.1), "`t2` must be at most 2·t1 = 2 s, but is 2.1 s."),
        (lambda: channels.over_rotation("W", 0.1), "`axis` must be 'X', 'Y' or 'Z', but is 'W'."),
        (lambda: channels.over_rotation("XY", 0.1), "`axis` must be 'X', 'Y' or 'Z', but is 'XY'."),
        (lambda: channels.zz_crosstalk(math.nan), "must be a finite angle in radians, but is nan"),
        (lambda: channels.measurement("z"), "`basis` must be 'X', 'Y' or 'Z', but is 'z'."),
        (lambda: channels.measurement(p01=1.1), "`p01` must be a probability in [0, 1], but is 1.1."),
        (lambda: channels.measurement(p10=-0.1), "`p10` must be a probability in [0, 1], but is -0.1."),
        (lambda: channels.loss(2), "`p` must be a probability in [0, 1], but is 2."),
        (
            lambda: channels.kraus_channel([ONE / 2]),
            "must satisfy Σ K†K = 1, but it differs from the identity by 0.75.",
        ),
        (lambda: channels.kraus_channel([np.eye(3)]), "but have the shapes [(3, 3)]."),
        (lambda: channels.kraus_channel([ONE, np.eye(4)]), "but have the shapes [(2, 2), (4, 4)]."),
        (lambda: channels.kraus_channel([np.eye(1)]), "but have the shapes [(1, 1)]."),
        (lambda: channels.kraus_channel([]), "but have the shapes []."),
        (lambda: channels.ptm_channel(np.diag([0.9, 0, 0, 0])), "first row of a Pauli transfer matrix must be"),
        (lambda: channels.ptm_channel(np.full((4, 4), np.nan)), "first row of a Pauli transfer matrix must be"),
        (lambda: channels.ptm_channel(np.eye(4) + 0j), "must be real, but is complex"),
        (lambda: channels.ptm_channel(np.eye(3)), "must have shape (4ⁿ, 4ⁿ), but has (3, 3)."),
        (lambda: channels.ptm_channel(np.eye(8)), "must have shape (4ⁿ, 4ⁿ), but has (8, 8)."),
        (lambda: channels.ptm_channel(np.eye(4)[:1]), "must have shape (4ⁿ, 4ⁿ), but has (1, 4)."),
        (lambda: channels.ptm_channel(np.ones(4)), "must have shape (4ⁿ, 4ⁿ), but has (4,)."),
        (lambda: channels.ptm_channel(np.diag([1, 1, -1, 1])), "Choi matrix has the eigenvalue -0.5."),
        (lambda: Instrument("odd", (np.eye(3),)), "must have shape (4^m, 4^n), but has (3, 3)."),
        (lambda: channels.reset().then(channels.zz_crosstalk(0.1)), "'reset' acts on 1 and 'zz_crosstalk' on 2"),
        (
            lambda: channels.process_fidelity(channels.reset(), gate("cx")),
            "`target` must act on as many qubits as the channel (1), but acts on 2.",
        ),
    ],
)
def test_a_mistake_is_named_with_what_was_found(call, message):
    with pytest.raises(QdistError) as caught:
        call()
    assert message in str(caught.value)


def test_the_limits_themselves_are_allowed():
    channels.pauli_channel(x=0.1, y=0.2, z=0.7)  # adds up to 1 but for rounding
    channels.pauli_channel2(dict.fromkeys(PAIRS[1:], 1 / 15))
    channels.thermal_relaxation(1, 1, 2)
    channels.ptm_channel(np.diag([1, 1, 1, 1 - 1e-7]) @ np.eye(4))
    channels.kraus_channel([ONE * (1 + 1e-7)])


def test_complete_positivity_is_judged_on_both_sides_of_the_tolerance():
    # diag(1, 1, s, 1) has the lowest Choi eigenvalue (s−1)/4 of trace 1: the transpose, s = −1, is not physical.
    for excess, physical in ((0.5e-6, True), (8e-6, False)):
        edge = Channel("edge", np.diag([1, 1, 1 - excess, 1]))
        assert channels.is_completely_positive(edge, 1e-6) is physical


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2]), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_a_kraus_channel_is_the_map_of_its_operators(seed, num_qubits, num_operators):
    rng = np.random.default_rng(seed)
    size = 2**num_qubits
    tall = rng.normal(size=(num_operators * size, size)) + 1j * rng.normal(size=(num_operators * size, size))
    kraus = np.linalg.qr(tall)[0].reshape(num_operators, size, size)
    made = channels.kraus_channel(kraus)
    np.testing.assert_allclose(made.ptm, reference_ptm(kraus), atol=EXACT)
    assert (made.ptm[0] == np.eye(size**2)[0]).all()
    np.testing.assert_allclose(channels.ptm_channel(made.ptm.tolist()).ptm, made.ptm, atol=0)


def test_then_applies_the_first_channel_first():
    flipped_then_damped = channels.bit_flip(1.0).then(channels.amplitude_damping(0.4))
    expected = reference_ptm([k @ X for k in damping_kraus(0.4)])
    np.testing.assert_allclose(flipped_then_damped.ptm, expected, atol=EXACT)
    assert (flipped_then_damped.ptm[0] == [1, 0, 0, 0]).all()


def test_tensor_puts_the_first_channel_on_the_first_qubit():
    both = channels.amplitude_damping(0.4).tensor(channels.dephasing(0.1))
    kraus = [np.kron(a, b) for a in damping_kraus(0.4) for b in pauli_kraus({"Z": 0.1})]
    np.testing.assert_allclose(both.ptm, reference_ptm(kraus), atol=EXACT)
    assert both.num_qubits == 2


def test_the_channel_of_a_gate_is_its_conjugation():
    for made in (gate("u3", 0.3, 0.7, -1.1), gate("cu3", 0.3, 0.7, -1.1), unitary_gate(Z @ X)):
        np.testing.assert_allclose(channels.from_gate(made).ptm, reference_ptm([made.unitary]), atol=EXACT)


def test_the_choi_matrix_is_the_one_of_qiskit():
    for name, parameters in examples():
        kraus = KRAUS[name](**parameters)
        # Qiskit's Choi is in its own qubit order on both sides; giving it our matrices unreversed undoes that.
        expected = Choi(Kraus(kraus)).data
        np.testing.assert_allclose(channels.choi(make(name, parameters)), expected, atol=EXACT, err_msg=name)


def test_fidelities_are_those_of_qiskit():
    targets = {1: gate("u3", 0.3, 0.7, -1.1), 2: gate("cu3", 0.3, 0.7, -1.1)}
    for name, parameters in examples():
        target = targets[CHANNELS[name].num_qubits]
        noisy = channels.from_gate(target).then(make(name, parameters))
        theirs = SuperOp(Operator(target.unitary)).compose(SuperOp(Kraus(KRAUS[name](**parameters))))
        assert channels.process_fidelity(noisy, target) == pytest.approx(
            qiskit_process_fidelity(theirs, Operator(target.unitary)), abs=1e-12
        )
        assert channels.average_gate_fidelity(noisy, target) == pytest.approx(
            qiskit_average_gate_fidelity(theirs, Operator(target.unitary)), abs=1e-12
        )


def test_depolarizing_loses_the_average_gate_fidelity_its_docstring_states():
    for p in (0.0, 0.03, 1.0):
        one, two = channels.depolarizing(p), channels.depolarizing(p, num_qubits=2)
        assert 1 - channels.average_gate_fidelity(one, gate("id")) == pytest.approx(2 * p / 3, abs=1e-15)
        identity = channels.from_gate(gate("id")).tensor(channels.from_gate(gate("id")))
        assert 1 - channels.average_gate_fidelity(two, identity) == pytest.approx(4 * p / 5, abs=1e-15)


def instruments():
    for basis in "XYZ":
        for keep in (True, False):
            for p01, p10 in ((0.0, 0.0), (0.1, 0.03), (1.0, 0.5)):
                yield channels.measurement(basis, p01=p01, p10=p10, keep=keep)
    yield from (channels.loss(p) for p in (0.0, 0.3, 1.0))


def mapped(matrix, rho):
    """A PTM from one qubit to one or none, applied to a density matrix."""
    correlations = matrix @ [np.trace(PAULIS[label] @ rho).real for label in "IXYZ"]
    if len(correlations) == 1:
        return np.array([[correlations[0]]])
    return sum(c * PAULIS[label] for c, label in zip(correlations, "IXYZ", strict=True)) / 2


def test_the_maps_of_every_instrument_add_up_to_a_trace_preserving_one():
    for made in instruments():
        total = made.matrices[0] + made.matrices[1]
        assert (total[0] == [1, 0, 0, 0]).all(), made
        assert made.num_qubits == 1


def test_every_map_of_every_instrument_is_completely_positive():
    for made in instruments():
        for matrix in made.matrices:
            # The map on one half of Σ_ab |aa⟩⟨bb|.
            blocks = []
            for a, b in itertools.product(range(2), repeat=2):
                unit = np.zeros((2, 2))
                unit[a, b] = 1
                coefficients = [np.trace(PAULIS[label] @ unit) for label in "IXYZ"]
                out = matrix @ coefficients
                blocks.append(
                    sum(c * PAULIS[label] for c, label in zip(out, "IXYZ", strict=True)) / 2
                    if len(out) == 4
                    else out.reshape(1, 1)
                )
            total = np.block([[blocks[0], blocks[1]], [blocks[2], blocks[3]]])
            assert np.linalg.eigvalsh(total)[0] > -1e-14, made


def test_a_measurement_projects_on_the_true_outcome_and_reads_with_errors():
    rng = np.random.default_rng(5)
    ket = rng.normal(size=2) + 1j * rng.normal(size=2)
    rho = np.outer(ket, ket.conj()) / np.vdot(ket, ket)
    p01, p10 = 0.1, 0.03
    for basis in "XYZ":
        true = [(ONE + sign * PAULIS[basis]) / 2 @ rho @ (ONE + sign * PAULIS[basis]) / 2 for sign in (1, -1)]
        read = [(1 - p01) * true[0] + p10 * true[1], p01 * true[0] + (1 - p10) * true[1]]
        kept = channels.measurement(basis, p01=p01, p10=p10)
        gone = channels.measurement(basis, p01=p01, p10=p10, keep=False)
        for bit in (0, 1):
            np.testing.assert_allclose(mapped(kept.matrices[bit], rho), read[bit], atol=1e-15)
            np.testing.assert_allclose(mapped(gone.matrices[bit], rho), [[np.trace(read[bit]).real]], atol=1e-15)


def test_a_certain_readout_error_swaps_the_bit_and_not_the_qubit():
    good, wrong = channels.measurement(), channels.measurement(p01=1.0, p10=1.0)
    np.testing.assert_array_equal(good.matrices[0], wrong.matrices[1])
    np.testing.assert_array_equal(good.matrices[1], wrong.matrices[0])


def test_the_readout_confusion_has_the_order_of_aer():
    confusion = channels.readout_confusion(0.1, 0.03)
    theirs = noise.ReadoutError([[0.9, 0.1], [0.03, 0.97]])  # rows P(read | outcome)
    np.testing.assert_allclose(confusion, np.array(theirs.probabilities).T, atol=1e-15)
    np.testing.assert_array_equal(confusion.sum(axis=0), [1, 1])


def test_loss_leaves_zero_and_raises_the_flag():
    rho = np.array([[0.3, 0.2j], [-0.2j, 0.7]])
    kept, lost = channels.loss(0.25).matrices
    np.testing.assert_allclose(mapped(kept, rho), 0.75 * rho, atol=1e-15)
    np.testing.assert_allclose(mapped(lost, rho), 0.25 * np.diag([1, 0]), atol=1e-15)


def numbers(name):
    """The first example's parameters that are plain numbers, and the rest."""
    parameters = EXAMPLES[name][0]
    plain = {key: value for key, value in parameters.items() if isinstance(value, float)}
    return plain, {key: value for key, value in parameters.items() if key not in plain}


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax")
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield jax


def traceable():
    return [name for name in CHANNELS if numbers(name)[0]]


def test_the_gradient_of_a_fidelity_through_depolarizing_is_the_finite_difference(jax):
    identity = gate("id")
    with jax.enable_x64(True):
        loss = lambda p: channels.average_gate_fidelity(channels.depolarizing(p), identity) ** 2  # noqa: E731
        for p in (0.0, 0.1, 0.9):
            slope = jax.grad(loss)(p)
            difference = (loss(p + 1e-6) - loss(p - 1e-6)) / 2e-6 if p else (loss(1e-6) - loss(0.0)) / 1e-6
            assert slope == pytest.approx(difference, rel=1e-5)


def test_every_channel_has_the_derivative_of_its_finite_difference(jax):
    with jax.enable_x64(True):
        for name in traceable():
            plain, rest = numbers(name)

            def ptm(values, name=name, rest=rest):
                return make(name, rest | values).ptm

            slopes = jax.jit(jax.jacfwd(ptm))({key: jax.numpy.float64(value) for key, value in plain.items()})
            for key, value in plain.items():
                step = 1e-5 * value
                difference = (ptm(plain | {key: value + step}) - ptm(plain | {key: value - step})) / (2 * step)
                np.testing.assert_allclose(value * slopes[key], value * difference, atol=1e-8, err_msg=f"{name}, {key}")


def test_every_probability_has_a_finite_derivative_at_zero(jax):
    for name in [name for name in traceable() if CHANNELS[name].probabilities]:
        plain, rest = numbers(name)
        zeros = {key: jax.numpy.float32(0) for key in plain if key in CHANNELS[name].probabilities}
        rest |= {key: value for key, value in plain.items() if key not in zeros}
        slopes = jax.jit(jax.jacfwd(lambda values, name=name, rest=rest: make(name, rest | values).ptm))(zeros)
        assert all(np.isfinite(slope).all() for slope in slopes.values()), name


def test_traced_channels_equal_concrete_ones_and_are_not_validated(jax):
    for name in traceable():
        plain, rest = numbers(name)
        values = {key: jax.numpy.float32(value) for key, value in plain.items()}
        made = jax.jit(lambda values, name=name, rest=rest: make(name, rest | values).ptm)(values)
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, make(name, EXAMPLES[name][0]).ptm, atol=FLOAT32, err_msg=name)
        assert (np.asarray(made[0]) == np.eye(len(made))[0]).all()
    channels.depolarizing(jax.numpy.float32(1.5))
    channels.pauli_channel(x=jax.numpy.float32(0.8), y=0.9)


def test_instruments_and_combinations_trace(jax):
    float32 = jax.numpy.float32
    measured = channels.measurement("X", p01=float32(0.1), p10=0.03)
    for found, expected in zip(measured.matrices, channels.measurement("X", p01=0.1, p10=0.03).matrices, strict=True):
        np.testing.assert_allclose(found, expected, atol=FLOAT32)
    np.testing.assert_allclose(channels.loss(float32(0.3)).matrices[1], channels.loss(0.3).matrices[1], atol=FLOAT32)
    damping, relaxing = channels.amplitude_damping(float32(0.3)), channels.thermal_relaxation(1.0, 2.0, 3.0)
    concrete = channels.amplitude_damping(0.3)
    np.testing.assert_allclose(damping.then(relaxing).ptm, concrete.then(relaxing).ptm, atol=FLOAT32)
    np.testing.assert_allclose(relaxing.tensor(damping).ptm, relaxing.tensor(concrete).ptm, atol=FLOAT32)
    np.testing.assert_allclose(channels.choi(damping), channels.choi(concrete), atol=FLOAT32)
    assert channels.is_completely_positive(damping)
    pairs = channels.pauli_channel2({"XX": float32(0.1), "ZI": 0.2})
    np.testing.assert_allclose(pairs.ptm, channels.pauli_channel2({"XX": 0.1, "ZI": 0.2}).ptm, atol=FLOAT32)
    operators = [jax.numpy.asarray(k, "float32") for k in damping_kraus(0.3)]
    np.testing.assert_allclose(channels.kraus_channel(operators).ptm, concrete.ptm, atol=FLOAT32)
    np.testing.assert_allclose(channels.ptm_channel(damping.ptm).ptm, concrete.ptm, atol=FLOAT32)


def test_channels_map_over_a_batch_of_parameters(jax):
    durations = np.linspace(0, 2, 5)
    batch = jax.vmap(lambda t: channels.thermal_relaxation(t, 1.0, 1.5).ptm)(jax.numpy.asarray(durations, "float32"))
    expected = [channels.thermal_relaxation(t, 1.0, 1.5).ptm for t in durations]
    np.testing.assert_allclose(batch, expected, atol=FLOAT32)


def test_importing_the_channels_does_not_import_jax():
    code = "import sys, qdist.physics.channels; sys.exit('jax' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
