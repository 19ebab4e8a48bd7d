"""Circuits from files against Qiskit, with and without noise, whole and cut over nodes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import qdist as qd
from qdist.network.circuits import Instruction, Register
from tests import qiskit_reference as reference

FOLDER = Path(__file__).parents[1] / "data" / "circuits"
FILES = sorted(FOLDER.glob("*/*.qasm"))
UNDECLARED = "vqe_uccsd_n6"  # the published file measures registers that it never declares
KEPT = reference.kept_probabilities()
TOLERANCE = {"float64": 1e-9, "float32": 1e-5}


def text_of(path):
    text = path.read_text()
    if path.stem == UNDECLARED:
        return "\n".join(line for line in text.splitlines() if not line.startswith("measure"))
    return text


def noise():
    return qd.uniform_noise(
        one_qubit={"depolarizing": reference.ONE_QUBIT},
        two_qubit={"depolarizing": reference.TWO_QUBIT},
        readout={"p01": reference.P01, "p10": reference.P10},
    )


def run_circuit(text, model, precision):
    program, network = qd.circuit_program(qd.parse_qasm(text), noise=model)
    job = qd.Job(program=program, network=network, precision=precision)
    return qd.run(job, keep_state=False)["results/probabilities"]


@pytest.mark.parametrize("noisy", [False, True], ids=["ideal", "noisy"])
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_circuit_agrees_with_qiskit(path, noisy):
    text = text_of(path)
    expected = KEPT.get((path.stem, noisy))
    if expected is None:
        expected = reference.probabilities(text, noise=noisy)

    for precision, tolerance in TOLERANCE.items():
        found = run_circuit(text, noise() if noisy else None, precision)
        assert np.abs(found - expected).max() < tolerance, precision


@pytest.mark.parametrize("noisy", [False, True], ids=["ideal", "noisy"])
def test_probabilities_that_are_kept_are_those_of_qiskit(noisy):
    (path,) = (path for path in FILES if path.stem == "ising_n10")

    assert np.allclose(KEPT[path.stem, noisy], reference.probabilities(text_of(path), noise=noisy), rtol=0, atol=1e-14)


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "random"], ids=lambda p: p.stem)
def test_random_circuits_agree_with_the_published_distributions(path):
    """The published numbers are those of one history of the resets, so a history is kept by postselection."""
    circuit = qd.read_qasm(path)
    published = published_distribution(path, circuit.num_qubits)
    branch = HISTORIES[path.stem]
    program, network = qd.circuit_program(with_observed_resets(circuit))
    bits = [f"reset[{k}]" for k in range(len(branch))]
    kept = {bit: int(value) for bit, value in zip(bits, branch, strict=True)}
    program = replace(program, bits=())

    job = qd.Job(program=program, network=network, precision="float64", mode="postselected", postselect=kept)
    found = qd.run(job, keep_state=False)["results/probabilities"]

    assert np.abs(found - published).max() < 1e-9


HISTORIES = {"36": "001", "37": "0100", "38": "0100000", "39": "011", "40": "000000"}


def published_distribution(path, num_qubits):
    """The published strings have qubit 0 last."""
    table = np.zeros(2**num_qubits)
    for line in (path.parent / f"{path.stem}_result.txt").read_text().splitlines():
        string, probability = line.split()
        table[int(string[::-1], 2)] = float(probability)
    return table


def with_observed_resets(circuit):
    """The same circuit in which each reset is preceded by a measurement into a bit of its own."""
    instructions, count = [], circuit.num_bits
    for instruction in circuit.instructions:
        if instruction.kind == "measure":
            continue
        if instruction.kind == "reset":
            instructions.append(
                Instruction("measure", "measure", (), instruction.qubits, (count,), line=instruction.line)
            )
            count += 1
        instructions.append(instruction)
    registers = (*circuit.bits, Register("reset", count - circuit.num_bits))
    return replace(circuit, bits=registers, instructions=tuple(instructions))


def four_bit_strings(result):
    return dict(zip(result["results/outcome"], result["results/probabilities"], strict=True))


@pytest.mark.parametrize("name", ["qft_n4", "adder_n4", "inverseqft_n4", "qec_sm_n5", "fredkin_n3", "qpe_n9"])
def test_a_circuit_cut_over_two_nodes_gives_the_same_distribution(name):
    circuit = qd.read_qasm(FOLDER / "qasmbench" / f"{name}.qasm")
    whole, network = qd.circuit_program(circuit)
    expected = qd.run(qd.Job(program=whole, network=network, precision="float64"), keep_state=False)
    names = [circuit.qubit_name(i) for i in range(circuit.num_qubits)]
    half = len(names) // 2
    two = qd.chain(2, qubits=len(names) - half + 2)

    program, _ = qd.circuit_program(circuit, network=two, placement={"n0": names[:half], "n1": names[half:]})
    found = qd.run(qd.Job(program=program, network=two, precision="float64"), keep_state=False)

    assert np.allclose(found["results/probabilities"], expected["results/probabilities"], atol=1e-12)
    assert found["ledger/pairs_made"].sum() == found["ledger/pairs_used"].sum()
    assert found["ledger/bits_sent"].sum() > 0


def test_a_gate_between_nodes_without_a_link_swaps_along_the_path():
    circuit = qd.parse_qasm('OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; h q[0]; cx q[0],q[1];')
    network = qd.chain(4, qubits=3)

    program, _ = qd.circuit_program(circuit, network=network, placement={"n0": ["q[0]"], "n3": ["q[1]"]})
    result = qd.run(qd.Job(program=program, network=network, precision="float64"))

    assert np.isclose(qd.fidelity(result.state(["n0/0", "n3/0"]), qd.bell()), 1.0)
    assert list(result["ledger/pairs_used"]) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("gate", "pairs"), [("cx", 1), ("cz", 1), ("ch", 1), ("rzz(0.3)", 1), ("swap", 2), ("rxx(0.4)", 2)]
)
def test_a_gate_between_nodes_costs_one_pair_if_it_is_controlled_and_two_if_not(gate, pairs):
    circuit = qd.parse_qasm(
        f'OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; ry(0.3) q[0]; rx(1) q[1]; {gate} q[0],q[1];'
    )
    network = qd.chain(2, qubits=3)
    whole, alone = qd.circuit_program(circuit)
    expected = qd.run(qd.Job(program=whole, network=alone, precision="float64")).state(["qpu/0", "qpu/1"])

    program, _ = qd.circuit_program(circuit, network=network, placement={"n0": ["q[0]"], "n1": ["q[1]"]})
    result = qd.run(qd.Job(program=program, network=network, precision="float64"))

    assert np.allclose(result.state(["n0/0", "n1/0"]).vector, expected.vector, atol=1e-12)
    assert result["ledger/pairs_used"].sum() == pairs
