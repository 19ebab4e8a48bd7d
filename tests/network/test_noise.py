"""Uniform noise is what its table says, and that of a device file is what Qiskit Aer makes of the same numbers."""

import json
import math

import numpy as np
import pytest
from qiskit.circuit import Parameter
from qiskit.circuit.library import CXGate, IGate, RZGate, SXGate, XGate
from qiskit.quantum_info import PTM
from qiskit.transpiler import InstructionProperties, QubitProperties, Target
from qiskit_aer.noise.device.models import basic_device_gate_errors

from qdist.errors import QdistError
from qdist.network.noise import (
    CircuitNoise,
    find_device_file,
    read_device_noise,
    shipped_device_files,
    uniform_noise,
)
from qdist.physics.channels import Channel, average_gate_fidelity, depolarizing
from qdist.physics.gates import GATES

LIMA, DUMMY12, DUMMY16 = "ibmq_limaConfig.json", "dummy_ibmq12.json", "dummy_ibmq16.json"
GATE_CLASSES = {"id": IGate(), "rz": RZGate(Parameter("angle")), "sx": SXGate(), "x": XGate(), "cx": CXGate()}


def table_of(name):
    return json.loads(find_device_file(name).read_text())


def noise_of(name):
    return read_device_noise(find_device_file(name))


def combined(noise, qubits):
    """The transfer matrix of a gate's channels on its qubits, the first most significant."""
    total = np.eye(4 ** len(qubits))
    for channel, where in noise:
        if len(where) == len(qubits):
            matrix = channel.ptm
        else:
            matrix = np.kron(*[channel.ptm if (qubit,) == where else np.eye(4) for qubit in qubits])
        total = matrix @ total
    return total


def aer_errors(data):
    """Transfer matrices of the errors that Qiskit Aer derives from the numbers of a device file."""
    count = data["num_qubits"]
    properties = [QubitProperties(t1=data["T1"][str(q)], t2=data["T2"][str(q)]) for q in range(count)]
    target = Target(num_qubits=count, qubit_properties=properties)
    for name, instruction in GATE_CLASSES.items():
        rows = {}
        for key, duration in data["gate_lens"].items():
            if key.rstrip("0123456789_") == name:
                qubits = tuple(int(number) for number in key.removeprefix(name).split("_"))
                rows[qubits] = InstructionProperties(duration=duration, error=data["gate_errs"][key])
        target.add_instruction(instruction, rows)
    errors = {}
    for name, qubits, error in basic_device_gate_errors(target=target):
        matrix = PTM(error).data.real
        if len(qubits) == 2:
            matrix = matrix.reshape(4, 4, 4, 4).transpose(1, 0, 3, 2).reshape(16, 16)
        errors[name, tuple(qubits)] = matrix
    return errors


@pytest.mark.parametrize(
    ("file", "scale_errors"),
    [(LIMA, 1), (LIMA, 10), (DUMMY12, 1), (DUMMY12, 1e6)],
)
def test_gate_noise_is_that_of_qiskit_aer(file, scale_errors, tmp_path):
    data = table_of(file)
    data["gate_errs"] = {key: error * scale_errors for key, error in data["gate_errs"].items()}
    if data["num_qubits"] > 5:
        data["gate_lens"] = {key: data["gate_lens"][key] for key in data["gate_lens"] if not key.startswith("cx")} | {
            key: value for key, value in data["gate_lens"].items() if key.startswith(("cx9_", "cx11_"))
        }
        data["gate_errs"] = {key: data["gate_errs"][key] for key in data["gate_lens"]}
    path = tmp_path / "device.json"
    path.write_text(json.dumps(data))
    noise = read_device_noise(path)
    expected = aer_errors(data)
    assert {name for name, _ in expected} == {"id", "sx", "x", "cx"}
    for (name, qubits), matrix in expected.items():
        np.testing.assert_allclose(combined(noise.gate_noise(name, qubits), qubits), matrix, atol=1e-12)
    depolarized = [key for key in expected if noise.gate_noise(*key)[0][0].name == "depolarizing"]
    assert depolarized or scale_errors == 1


@pytest.mark.parametrize(("gate_name", "qubits"), [("sx", (0,)), ("cx", (0, 1)), ("cx", (1, 2))])
def test_the_noise_of_a_gate_has_the_calibrated_average_error(gate_name, qubits):
    error = table_of(LIMA)["gate_errs"][gate_name + "_".join(map(str, qubits))]
    noisy = Channel("noise", combined(noise_of(LIMA).gate_noise(gate_name, qubits), qubits))
    ideal = Channel("identity", np.eye(4 ** len(qubits)))
    assert 1 - average_gate_fidelity(noisy, ideal) == pytest.approx(error, rel=1e-9)


def test_relaxation_alone_remains_where_it_exceeds_the_gate_error():
    noise = noise_of(DUMMY12).gate_noise("cx", (3, 4))
    assert [(channel.name, where) for channel, where in noise] == [
        ("thermal_relaxation", (3,)),
        ("thermal_relaxation", (4,)),
    ]


def test_depolarizing_noise_comes_first_and_on_the_pair():
    noise = noise_of(LIMA).gate_noise("cx", (2, 1))
    assert [(channel.name, where) for channel, where in noise] == [
        ("depolarizing", (2, 1)),
        ("thermal_relaxation", (2,)),
        ("thermal_relaxation", (1,)),
    ]


@pytest.mark.parametrize("error", [0.75, 0.8, 1.0])
def test_a_gate_that_always_fails_has_the_largest_depolarizing_noise(error, tmp_path):
    data = table_of(LIMA)
    data["gate_errs"]["sx0"] = error
    data["gate_lens"]["sx0"] = 0.0
    (tmp_path / "x.json").write_text(json.dumps(data))
    (channel, where), *rest = read_device_noise(tmp_path / "x.json").gate_noise("sx", (0,))
    assert (where, rest) == ((0,), [])
    np.testing.assert_allclose(channel.ptm, depolarizing(1.0).ptm, atol=1e-12)


def test_a_gate_that_lasts_forever_leaves_the_ground_state(tmp_path):
    data = table_of(LIMA)
    data["gate_errs"]["sx0"] = 0.9
    data["gate_lens"]["sx0"] = 1e9
    (tmp_path / "x.json").write_text(json.dumps(data))
    noise = read_device_noise(tmp_path / "x.json").gate_noise("sx", (0,))
    expected = np.zeros((4, 4))
    expected[[0, 3], 0] = 1
    np.testing.assert_allclose(combined(noise, (0,)), expected, atol=1e-12)


@pytest.mark.parametrize("file", [DUMMY12, DUMMY16])
def test_t2_is_lowered_to_twice_t1_and_nothing_else_changes(file):
    data, noise = table_of(file), noise_of(file)
    t1, t2 = ([data[key][str(q)] for q in range(data["num_qubits"])] for key in ("T1", "T2"))
    beyond = [q for q in range(data["num_qubits"]) if t2[q] > 2 * t1[q]]
    assert beyond
    for q in range(data["num_qubits"]):
        assert noise.t1[q] == t1[q]
        assert noise.t2[q] == (2 * t1[q] if q in beyond else t2[q])


@pytest.mark.parametrize("file", shipped_device_files())
def test_readout_errors_are_named_by_what_was_prepared(file):
    data, noise = table_of(file), noise_of(file)
    for q in range(data["num_qubits"]):
        assert noise.readout(q) == (data["prob_meas1_prep0"][str(q)], data["prob_meas0_prep1"][str(q)])


def _same(noise, one, other):
    left, right = noise.gate_noise(*one), noise.gate_noise(*other)
    assert noise.gate_duration(*one) == noise.gate_duration(*other)
    np.testing.assert_array_equal(combined(left, one[1]), combined(right, one[1]))


def test_gates_that_the_file_does_not_list_take_the_values_of_its_own():
    noise = noise_of(LIMA)
    for name in [rule.name for rule in GATES.values() if rule.num_qubits == 1]:
        if name in ("rz", "z", "s", "sdg", "t", "tdg", "p", "phase", "u1", "u0"):
            assert noise.gate_noise(name, (1,)) == ()
            assert noise.gate_duration(name, (1,)) == 0.0
        else:
            _same(noise, (name, (1,)), ("sx", (1,)))
    for name in [rule.name for rule in GATES.values() if rule.num_qubits == 2]:
        _same(noise, (name, (3, 4)), ("cx", (3, 4)))
        assert noise.gate_duration(name, (3, 4)) != noise.gate_duration(name, (4, 3))


def test_a_pair_in_the_other_direction_is_used_before_the_mean(tmp_path):
    data = table_of(LIMA)
    for key in ("gate_lens", "gate_errs"):
        del data[key]["cx0_1"]
    (tmp_path / "x.json").write_text(json.dumps(data))
    noise = read_device_noise(tmp_path / "x.json")
    for name in ("cx", "cz"):
        assert noise.gate_duration(name, (0, 1)) == data["gate_lens"]["cx1_0"]


def test_a_pair_that_is_not_coupled_takes_the_mean_of_all_cx():
    data, noise = table_of(LIMA), noise_of(LIMA)
    durations = [value for key, value in data["gate_lens"].items() if key.startswith("cx")]
    errors = [value for key, value in data["gate_errs"].items() if key.startswith("cx")]
    assert noise.gate_duration("cx", (0, 4)) == pytest.approx(np.mean(durations), rel=1e-12)
    trace = np.trace(combined(noise.gate_noise("cx", (0, 4)), (0, 4)))
    assert trace == pytest.approx(16 - 20 * np.mean(errors), rel=1e-12)


def test_identity_has_noise_only_if_the_file_lists_it(tmp_path):
    data = table_of(LIMA)
    assert noise_of(LIMA).gate_duration("id", (0,)) == data["gate_lens"]["id0"]
    for key in ("gate_lens", "gate_errs"):
        data[key] = {name: value for name, value in data[key].items() if not name.startswith(("id", "rz"))}
    (tmp_path / "x.json").write_text(json.dumps(data))
    noise = read_device_noise(tmp_path / "x.json")
    for name in ("id", "rz", "t"):
        assert noise.gate_noise(name, (0,)) == ()
        assert noise.gate_duration(name, (0,)) == 0.0


def test_steps_that_are_no_gates_have_no_noise_but_their_durations():
    data, noise = table_of(LIMA), noise_of(LIMA)
    for name, qubits in [("reset", (0,)), ("measure", (2,)), ("barrier", (0, 1, 2, 3, 4)), ("barrier", ())]:
        assert noise.gate_noise(name, qubits) == ()
    assert noise.gate_duration("reset", (0,)) == data["gate_lens"]["reset0"]
    assert noise.gate_duration("measure", (2,)) == data["readout_length"]["2"]
    assert noise.gate_duration("barrier", (0, 1, 2)) == 0.0


def test_a_gate_named_u1_is_not_read_as_u_on_qubit_ten(tmp_path):
    numbers = {str(q): 1e-4 for q in range(11)}
    gates = {f"u3{q}": 1e-7 for q in range(11)} | {"u10": 3e-8, "cx0_1": 2e-7}
    data = {"name": "old", "num_qubits": 11, "basis_gates": ["u", "u1", "u2", "u3", "cx"]}
    data |= {key: numbers for key in ("T1", "T2", "readout_length", "prob_meas0_prep1", "prob_meas1_prep0")}
    data |= {"gate_lens": gates, "gate_errs": {key: 0.0 for key in gates}}
    (tmp_path / "old.json").write_text(json.dumps(data))
    noise = read_device_noise(tmp_path / "old.json")
    assert noise.gate_duration("u1", (0,)) == 3e-8
    assert noise.gate_duration("h", (10,)) == 1e-7


@pytest.mark.parametrize("file", shipped_device_files())
def test_every_shipped_file_gives_physical_noise_for_every_gate(file):
    noise = noise_of(file)
    assert isinstance(noise, CircuitNoise)
    for name, qubits in noise.gates:
        matrix = combined(noise.gate_noise(name, qubits), qubits)
        np.testing.assert_allclose(matrix[0], np.eye(len(matrix))[0], atol=0)
        assert np.abs(matrix).max() <= 1 + 1e-12


def _without(key):
    return lambda data: data.pop(key)


def _with(key, value, inside=None):
    def change(data):
        (data[inside] if inside else data)[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_without("T1"), "The file must have an entry `T1`, but has none."),
        (
            lambda data: data.update({"gate_lengths": data.pop("gate_lens")}),
            "The file must have an entry `gate_lens`, but has none. Did you mean 'gate_lengths'?",
        ),
        (_without("name"), "The file must have an entry `name`, but has none."),
        (_with("num_qubits", "5"), "`num_qubits` must be an integer, but is '5'."),
        (_with("num_qubits", True), "`num_qubits` must be an integer, but is True."),
        (_with("num_qubits", 0), "`num_qubits` must be at least 1, but is 0."),
        (_with("num_qubits", 6), '`T1` must have an entry for each of the 6 qubits, but lacks "5".'),
        (_with("T1", [1, 2]), "`T1` must be a table, but is [1, 2]."),
        (_with("0", 0.0, "T1"), '`T1["0"]` must be positive (seconds), but is 0.0.'),
        (_with("3", -1e-5, "T2"), '`T2["3"]` must be at least 0 s, but is -1e-05.'),
        (_with("3", "long", "T2"), "`T2[\"3\"]` must be a number, but is 'long'."),
        (_with("0", math.nan, "T2"), "Every number must be finite, but one is NaN."),
        (_with("0", -math.inf, "T2"), "Every number must be finite, but one is -Infinity."),
        (_with("1", 1.5, "prob_meas0_prep1"), '`prob_meas0_prep1["1"]` must be a probability in [0, 1], but is 1.5.'),
        (_with("1", None, "readout_length"), '`readout_length["1"]` must be a number, but is None.'),
        (_with("sx0", -1.0, "gate_lens"), '`gate_lens["sx0"]` must be at least 0 s, but is -1.0.'),
        (_with("sx0", 2, "gate_errs"), '`gate_errs["sx0"]` must be a probability in [0, 1], but is 2.'),
        (
            _with("sx7", 0.1, "gate_errs"),
            '`gate_lens` and `gate_errs` must list the same gates, but "sx7" is not in `gate_lens`.',
        ),
        (
            lambda data: [data[key].update({"cx0_0": 0.1}) for key in ("gate_lens", "gate_errs")],
            '"cx0_0" in `gate_lens` must act on different qubits below 5, but does not.',
        ),
        (
            lambda data: [data[key].update({"sx5": 0.1}) for key in ("gate_lens", "gate_errs")],
            '"sx5" in `gate_lens` must act on different qubits below 5, but does not.',
        ),
        (
            lambda data: [data[key].update({"iswap0_1": 0.1}) for key in ("gate_lens", "gate_errs")],
            '"iswap0_1" in `gate_lens` must be a gate of `basis_gates` and one or two qubits as in "cx0_1", but',
        ),
        (
            lambda data: [data[key].pop(f"{name}2") for key in ("gate_lens", "gate_errs") for name in ("sx", "x")],
            "`gate_lens` must list one of sx, x, u3, u2, u for each qubit, but has none for qubit 2.",
        ),
        (
            lambda data: data.update(
                {k: {g: v for g, v in data[k].items() if g[:2] != "cx"} for k in ("gate_lens", "gate_errs")}
            ),
            "`gate_lens` must list one of cx, ecr, cz, but has none.",
        ),
    ],
)
def test_a_wrong_device_file_is_refused_with_its_name_and_entry(change, sentence, tmp_path):
    data = table_of(LIMA)
    change(data)
    (tmp_path / "mine.json").write_text(json.dumps(data))
    with pytest.raises(QdistError) as error:
        read_device_noise(tmp_path / "mine.json")
    assert str(error.value).startswith("mine.json: " + sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{1}", "mine.json: The file must be JSON, but line 1 is not (Expecting property name"),
        (b"[1]", "mine.json: The file must hold a table, but holds a list."),
        (b"\xff\xfe", "mine.json: The file must be text in UTF-8, but is not."),
        (None, "mine.json: The file must be readable, but is not (No such file or directory)."),
    ],
)
def test_a_file_that_is_no_table_is_refused(content, sentence, tmp_path):
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(QdistError) as error:
        read_device_noise(path)
    assert str(error.value).startswith(sentence)


TOO_WIDE = (
    "ibmq_limaConfig.json: the device must have at least the 6 qubits of the circuit, but has 5. "
    "Take a larger device or uniform noise."
)


@pytest.mark.parametrize(
    "ask",
    [
        lambda noise: noise.gate_noise("sx", (0,), 6),
        lambda noise: noise.gate_noise("cx", (0, 5)),
        lambda noise: noise.gate_duration("sx", (5,)),
        lambda noise: noise.readout(5),
    ],
)
def test_a_circuit_wider_than_the_device_is_refused(ask):
    with pytest.raises(QdistError) as error:
        ask(noise_of(LIMA))
    assert str(error.value) == TOO_WIDE


def test_a_device_file_is_found_beside_the_job_before_the_shipped_ones(tmp_path):
    job = tmp_path / "job.toml"
    job.touch()
    shipped = find_device_file(LIMA, job)
    assert shipped.parent.name == "ibmq"
    own = tmp_path / LIMA
    own.touch()
    assert find_device_file(LIMA, job) == find_device_file(LIMA, tmp_path) == find_device_file(own) == own


def test_a_missing_device_file_is_answered_with_the_closest_shipped_one(tmp_path):
    with pytest.raises(QdistError) as error:
        find_device_file("ibmq_lima.json", tmp_path)
    assert str(error.value) == (
        f"A device file must exist, but 'ibmq_lima.json' is neither in '{tmp_path}' nor shipped. "
        "Did you mean 'ibmq_limaConfig.json'?"
    )


def test_uniform_noise_follows_every_gate_but_the_identity():
    noise = uniform_noise({"depolarizing": 0.01}, {"depolarizing": 0.02})
    for rule in GATES.values():
        if rule.num_qubits > 2:
            continue
        qubits = (3, 1)[: rule.num_qubits]
        found = noise.gate_noise(rule.name, qubits, 5)
        if rule.name in ("id", "u0"):
            assert found == ()
            continue
        ((channel, where),) = found
        assert where == qubits
        expected = depolarizing((0.01, 0.02)[rule.num_qubits - 1], rule.num_qubits)
        np.testing.assert_array_equal(channel.ptm, expected.ptm)
    for name in ("barrier", "measure", "reset"):
        assert noise.gate_noise(name, (0, 1)) == ()


def test_several_channels_act_in_the_order_written_and_one_qubit_ones_on_each_qubit():
    noise = uniform_noise(
        two_qubit={
            "amplitude_damping": 0.1,
            "depolarizing2": {"p": 0.02},
            "thermal_relaxation": {"duration": 1e-6, "t1": 1e-4, "t2": 1e-4},
            "zz_crosstalk": 0.3,
            "pauli_channel2": {"probabilities": {"XX": 0.01}},
            "over_rotation": {"axis": "X", "angle": 0.1},
        }
    )
    assert [(channel.name, where) for channel, where in noise.gate_noise("cx", (4, 2))] == [
        ("amplitude_damping", (4,)),
        ("amplitude_damping", (2,)),
        ("depolarizing", (4, 2)),
        ("thermal_relaxation", (4,)),
        ("thermal_relaxation", (2,)),
        ("zz_crosstalk", (4, 2)),
        ("pauli_channel2", (4, 2)),
        ("over_rotation", (4,)),
        ("over_rotation", (2,)),
    ]
    assert noise.gate_noise("h", (0,)) == ()


def test_uniform_readout_and_durations():
    noise = uniform_noise(readout={"p10": 0.2})
    assert noise.readout(7) == (0.0, 0.2)
    assert uniform_noise().readout(0) == (0.0, 0.0)
    assert noise.gate_duration("cx", (0, 1)) == 0.0


def test_gradients_go_through_uniform_noise():
    import jax

    def shrink(p):
        ((channel, _),) = uniform_noise({"depolarizing": p}).gate_noise("x", (0,))
        return channel.ptm[1, 1]

    assert jax.grad(shrink)(0.1) == pytest.approx(-4 / 3, rel=1e-6)


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        (
            {"one_qubit": {"depolarising": 0.1}},
            "`one_qubit.depolarising` must name a channel, but there is no 'depolarising'. "
            "Did you mean 'depolarizing'?",
        ),
        (
            {"one_qubit": {"zz_crosstalk": 0.1}},
            "`one_qubit.zz_crosstalk` must act on one qubit, but acts on 2. Move it to `two_qubit`.",
        ),
        ({"two_qubit": {"depolarizing": 1.1}}, "`two_qubit.depolarizing`: `p` must be a probability in [0, 1]"),
        ({"two_qubit": {"depolarizing": "1"}}, "`two_qubit.depolarizing.p` must be a number, but is '1'."),
        ({"two_qubit": {"depolarizing": {"q": 1}}}, "`two_qubit.depolarizing` has no parameter 'q'. Known: p."),
        (
            {"one_qubit": {"thermal_relaxation": 1e-6}},
            "`one_qubit.thermal_relaxation` must be a table of duration, t1, t2, excited_population, but is 1e-06.",
        ),
        (
            {"one_qubit": {"thermal_relaxation": {"duration": 1e-6, "t1": 1.0}}},
            "`one_qubit.thermal_relaxation` must have duration, t1, t2, excited_population, but lacks t2.",
        ),
        (
            {"one_qubit": {"over_rotation": {"axis": "W", "angle": 0.1}}},
            "`one_qubit.over_rotation`: `axis` must be 'X', 'Y' or 'Z', but is 'W'.",
        ),
        (
            {"two_qubit": {"pauli_channel2": {"probabilities": {"XX": "a"}}}},
            "`two_qubit.pauli_channel2.probabilities` must be a number, but is 'a'.",
        ),
        ({"readout": {"p11": 0.1}}, "`readout` must have the keys p01 and p10, but has 'p11'."),
        ({"readout": {"p01": -0.1}}, "`readout.p01` must be a probability in [0, 1], but is -0.1."),
        ({"readout": {"p01": [0.1]}}, "`readout.p01` must be a number, but is [0.1]."),
    ],
)
def test_a_wrong_noise_table_is_refused_with_its_place(tables, sentence):
    with pytest.raises(QdistError) as error:
        uniform_noise(**tables)
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("noise", [uniform_noise({"depolarizing": 0.1}), noise_of(LIMA)])
@pytest.mark.parametrize("qubits", [(), (0, 1, 2)])
def test_gates_of_other_than_one_or_two_qubits_are_refused(noise, qubits):
    with pytest.raises(QdistError) as error:
        noise.gate_noise("ccx", qubits)
    assert str(error.value) == (
        f"A gate with noise must act on one or two qubits, but 'ccx' acts on {len(qubits)}. "
        "Write it as gates of one and two qubits."
    )
