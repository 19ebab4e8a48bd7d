"""Circuits are what Qiskit and the specification of OpenQASM say they are; whatever is wrong has a line and a reason."""

import functools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit.circuit import ClassicalRegister, QuantumRegister, library
from qiskit.circuit.classical import expr
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Operator

from qdist.errors import QdistError
from qdist.network.circuits import (
    Circuit,
    Condition,
    Instruction,
    Register,
    expand_wide_gates,
    parse_qasm,
    read_qasm,
)
from qdist.physics.gates import GATES, gate

DATA = Path(__file__).parent.parent / "data"
QASM2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
QASM3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
# As published, this one uses a register that it does not declare.
FAULTY = "vqe_uccsd_n6"
PUBLISHED = sorted(path for path in (DATA / "circuits").glob("*/*.qasm") if path.stem != FAULTY)
# What Qiskit calls gates of qelib1.inc after it has read them.
QELIB_NAMES = {"mcx": {4: "c3x", 5: "c4x"}, "rcccx": {4: "rc3x"}, "c3sx": {4: "c3sqrtx"}}
READ_QASM2 = functools.partial(qasm2.loads, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
ANGLE_TOLERANCE = 1e-12
MATRIX_TOLERANCE = 1e-10


@functools.cache
def published(path):
    return read_qasm(path)


def qiskit_steps(circuit, qubits=None, bits=None, condition=None):
    """A Qiskit circuit as (name, params, qubits, bits, condition), its own gates unrolled as in qelib1.inc."""
    qubits = qubits or {qubit: k for k, qubit in enumerate(circuit.qubits)}
    bits = bits or {bit: k for k, bit in enumerate(circuit.clbits)}
    steps = []
    for item in circuit.data:
        operation = item.operation
        numbers = [qubits[qubit] for qubit in item.qubits]
        name = QELIB_NAMES.get(operation.name, {}).get(len(numbers), operation.name)
        if name == "if_else":
            register, value = operation.condition
            inner = operation.blocks[0]
            steps += qiskit_steps(
                inner,
                dict(zip(inner.qubits, numbers, strict=True)),
                dict(zip(inner.clbits, [bits[bit] for bit in item.clbits], strict=True)),
                ({bits[bit] for bit in register}, [bits[bit] for k, bit in enumerate(register) if value >> k & 1]),
            )
        elif name in GATES or name in ("measure", "reset", "barrier"):
            steps.append((name, operation.params, tuple(numbers), tuple(bits[bit] for bit in item.clbits), condition))
        elif operation.definition is not None:
            inner = operation.definition
            steps += qiskit_steps(inner, dict(zip(inner.qubits, numbers, strict=True)), bits, condition)
    return steps


def assert_same_steps(circuit, reference):
    steps = qiskit_steps(reference)
    ours = circuit.instructions
    assert [(i.name.lower(), i.qubits, i.bits) for i in ours] == [(s[0], s[2], s[3]) for s in steps]
    for instruction, (_, params, _, _, condition) in zip(ours, steps, strict=True):
        np.testing.assert_allclose(instruction.params, np.array(params, float), atol=ANGLE_TOLERANCE)
        if condition is None:
            assert instruction.condition is None
            continue
        asked = instruction.condition.bits
        # A bit that was never measured is 0, so it is not asked.
        assert set(asked) <= condition[0]
        assert instruction.condition.values == {sum(1 << asked.index(bit) for bit in condition[1])}


def matrix(circuit):
    """The unitary of a circuit's gates, qubit 0 most significant."""
    size = circuit.num_qubits
    result = np.eye(2**size, dtype=complex).reshape((2,) * size + (-1,))
    for step in circuit.instructions:
        if step.kind == "barrier":
            continue
        unitary = step.unitary if step.kind == "unitary" else gate(step.name, *step.params).unitary
        count = len(step.qubits)
        result = np.tensordot(
            unitary.reshape((2,) * (2 * count)), result, axes=(range(count, 2 * count), list(step.qubits))
        )
        result = np.moveaxis(result, range(count), step.qubits)
    return result.reshape(2**size, -1)


def assert_same_matrix(circuit, reference):
    """Equal up to the global phase of the whole circuit."""
    ours, theirs = matrix(circuit), Operator(reference.reverse_bits()).data
    overlap = np.vdot(theirs, ours)
    assert abs(overlap) / len(ours) == pytest.approx(1, abs=MATRIX_TOLERANCE)
    np.testing.assert_allclose(ours, theirs * overlap / abs(overlap), atol=MATRIX_TOLERANCE)


def plain(circuit):
    """Instructions without lines."""
    return [
        (i.kind, i.name, i.params, i.qubits, i.bits, i.condition, i.duration) for i in circuit.instructions
    ]


def assert_same_circuit(one, other):
    assert plain(one) == plain(other)
    assert one.num_qubits == other.num_qubits
    assert one.num_bits == other.num_bits


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_circuits_are_read_as_qiskit_reads_them(path):
    reference = READ_QASM2(path.read_text())

    assert_same_steps(published(path), reference)


def test_published_unitary_circuits_have_the_matrix_that_qiskit_gives_them():
    for path in PUBLISHED:
        circuit, reference = published(path), READ_QASM2(path.read_text())
        if circuit.num_qubits > 6 or any(i.kind == "reset" or i.condition for i in circuit.instructions):
            continue
        reference.remove_final_measurements()
        kept = tuple(i for i in circuit.instructions if i.kind != "measure")

        assert_same_matrix(Circuit("", circuit.qubits, (), kept), reference)


def test_a_published_circuit_with_an_undeclared_register_is_an_error_at_its_line():
    path = DATA / "circuits" / "qasmbench" / f"{FAULTY}.qasm"

    with pytest.raises(QdistError, match=rf"{FAULTY}.qasm, line 2286: 'q' must be declared"):
        read_qasm(path)


def test_every_construct_of_openqasm_2_is_read_as_qiskit_reads_it():
    path = DATA / "qasm" / "qasm2_features.qasm"

    circuit = read_qasm(path)

    assert_same_steps(circuit, READ_QASM2(path.read_text()))
    assert circuit.name == "qasm2_features"
    assert circuit.path == str(path)
    assert circuit.qubits == (Register("q", 3), Register("in", 3), Register("one", 1))
    assert circuit.bits == (Register("c", 3), Register("output", 2))
    assert (circuit.qubit_name(4), circuit.bit_name(4)) == ("in[1]", "output[1]")


def test_every_gate_of_qiskits_qelib_is_in_the_library():
    names = [item.name for item in qasm2.LEGACY_CUSTOM_INSTRUCTIONS if item.name != "delay"]

    for item in (item for item in qasm2.LEGACY_CUSTOM_INSTRUCTIONS if item.name in names):
        params = f"({', '.join(str(0.1 * k + 0.1) for k in range(item.num_params))})" if item.num_params else ""
        qubits = ", ".join(f"q[{k}]" for k in range(item.num_qubits))
        circuit = parse_qasm(f"{QASM2}qreg q[5];\n{item.name}{params} {qubits};")
        assert [i.name for i in circuit.instructions] == [item.name]


def test_circuits_that_qiskit_writes_come_back_with_the_same_matrix():
    for seed in range(4):
        reference = random_circuit(4, 5, max_operands=4, seed=seed)

        assert_same_matrix(parse_qasm(qasm2.dumps(reference)), reference)
        assert_same_matrix(parse_qasm(qasm3.dumps(reference)), reference)


def test_a_definition_wins_over_qiskits_additions_but_not_over_the_official_library():
    own = parse_qasm(f"{QASM2}gate sxdg a {{ x a; }}\ngate r(t, f) a {{ ry(t) a; }}\nqreg q[1]; sxdg q; r(1, 2) q[0];")

    assert [(i.name, i.params) for i in own.instructions] == [("x", ()), ("ry", (1.0,))]
    with pytest.raises(QdistError, match="line 3: Gate 'h' must be defined once"):
        parse_qasm(f"{QASM2}gate h a {{ x a; }}\nqreg q[1];")


def test_without_an_include_a_program_defines_all_gates_but_the_builtin_ones():
    circuit = parse_qasm("OPENQASM 2.0; gate h a { U(pi/2, 0, pi) a; } qreg q[2]; h q[0]; CX q[0], q[1];")

    assert [i.name for i in circuit.instructions] == ["U", "CX"]


def test_without_a_version_the_include_decides():
    old = parse_qasm('include "qelib1.inc";\nqreg q[1]; rx(1/2) q[0];')
    new = parse_qasm('include "stdgates.inc";\nqubit q; rx(1/2) q;')

    assert old.instructions[0].params == (0.5,)
    assert new.instructions[0].params == (0.0,)


def test_control_flow_is_unrolled_into_gates_with_conditions():
    circuit = read_qasm(DATA / "qasm" / "control_flow.qasm")

    reference = read_qasm(DATA / "qasm" / "control_flow_as_qasm2.qasm")
    start = len(reference.instructions)
    assert plain(circuit)[:start] == plain(reference)
    both, four = (0, 1), (0, 1, 2, 3)
    odd = {word for word in range(16) if word.bit_count() % 2}
    assert [(i.name, i.qubits, i.condition) for i in circuit.instructions[start:]] == [
        ("x", (2,), Condition(both, frozenset({1}))),
        ("y", (2,), Condition(four, frozenset({9}))),
        ("z", (2,), Condition(four, frozenset({1, 5, 13}))),
        ("s", (3,), Condition(both, frozenset({0, 2, 3}))),
        ("x", (0,), Condition(four, frozenset(odd))),
        ("t", (0,), Condition((2, 3), frozenset({0, 3}))),
        ("tdg", (0,), Condition((2, 3), frozenset({1}))),
        ("sdg", (0,), Condition((2, 3), frozenset({2}))),
    ]


def test_teleportation_with_subroutines_equals_teleportation_written_out():
    circuit = read_qasm(DATA / "qasm" / "teleportation.qasm")

    assert_same_circuit(circuit, read_qasm(DATA / "qasm" / "teleportation_as_qasm2.qasm"))
    assert [i.line for i in circuit.instructions[3:6]] == [6, 7, 22]


def test_control_flow_that_qiskit_writes_is_understood():
    qubits, bits = QuantumRegister(3, "q"), ClassicalRegister(3, "c")
    reference = QuantumCircuit(qubits, bits)
    reference.measure(qubits, bits)
    with reference.if_test((bits, 3)) as otherwise:
        reference.x(0)
    with otherwise:
        reference.y(1)
    with reference.switch(bits) as case:
        with case(0, 1):
            reference.z(0)
        with case(case.DEFAULT):
            reference.t(0)
    with reference.for_loop(range(0, 4, 2)) as turn:
        reference.rx(turn * 0.5, 0)
    with reference.if_test(expr.logic_and(expr.less(bits, 5), expr.bit_not(bits[0]))):
        reference.delay(100, 2, unit="ns")

    circuit = parse_qasm(qasm3.dumps(reference))

    every = frozenset(range(8))
    asked = (0, 1, 2)
    assert [(i.name, i.params, i.condition) for i in circuit.instructions[3:]] == [
        ("x", (), Condition(asked, frozenset({3}))),
        ("y", (), Condition(asked, every - {3})),
        ("z", (), Condition(asked, frozenset({0, 1}))),
        ("t", (), Condition(asked, every - {0, 1})),
        ("rx", (0.0,), None),
        ("rx", (1.0,), None),
        ("delay", (), Condition(asked, frozenset({0, 2, 4}))),
    ]
    assert circuit.instructions[-1].duration == 1e-7


def test_conditions_hold_for_the_same_register_values_as_in_python():
    cases = {
        "c == 5": lambda c: c == 5,
        "c != 5": lambda c: c != 5,
        "c < 3": lambda c: c < 3,
        "3 >= c": lambda c: c <= 3,
        "c > 2 && c[1]": lambda c: c > 2 and c >> 1 & 1,
        "c[0]": lambda c: c & 1,
        "!c[0] || c[2]": lambda c: not c & 1 or c >> 2 & 1,
        "c[2] == true": lambda c: c >> 2 & 1,
        "c[0] == c[1]": lambda c: c & 1 == c >> 1 & 1,
        'c == "011"': lambda c: c == 3,
        "c[1:2] == 2": lambda c: c >> 1 == 2,
        "c[{2, 0}] == 1": lambda c: (c >> 2 & 1) + 2 * (c & 1) == 1,
        "~c == 6": lambda c: c == 1,
        "(c & \"110\") == 4": lambda c: c & 6 == 4,
        "c ^ 5 == 5": lambda c: c ^ (5 == 5),
        "(c | 1) == 3": lambda c: c | 1 == 3,
        "c << 1 == 6": lambda c: c << 1 & 7 == 6,
        "popcount(c) == 2": lambda c: c.bit_count() == 2,
        "rotl(c, 1) == 3": lambda c: (c << 1 | c >> 2) & 7 == 3,
        "int[3](c) < 0": lambda c: c >= 4,
        "uint[3](c) + 1 == 4": lambda c: c == 3,
        "int(c) % 3 == 1": lambda c: c % 3 == 1,
        "bool(c)": lambda c: c,
        "c[-1]": lambda c: c >> 2,
    }
    for text, holds in cases.items():
        circuit = parse_qasm(f"{QASM3}qubit[4] q; bit[3] c; c = measure q[0:2];\nif ({text}) x q[3];")

        condition = circuit.instructions[-1].condition
        accepted = {c for c in range(8) if sum((c >> bit & 1) << k for k, bit in enumerate(condition.bits)) in condition.values}
        assert accepted == {c for c in range(8) if holds(c)}, text


def test_a_bit_that_was_never_measured_is_zero():
    circuit = parse_qasm(
        f"{QASM2}qreg q[1]; creg c[20]; creg d[1];\nif (d==0) x q[0];\nif (d==1) y q[0];\n"
        "measure q[0] -> c[3];\nif (c==8) z q[0];\nif (c==9) h q[0];\nif (c==0) s q[0];"
    )

    assert [(i.name, i.condition) for i in circuit.instructions if i.kind == "gate"] == [
        ("x", None),
        ("z", Condition((3,), frozenset({1}))),
        ("s", Condition((3,), frozenset({0}))),
    ]


def test_nested_conditions_ask_all_their_bits():
    circuit = parse_qasm(
        f"{QASM3}qubit[2] q; bit a; bit b; a = measure q[0]; b = measure q[1];\n"
        "if (a) { if (b) x q[0]; else { y q[0]; b = measure q[1]; } } else z q[0];"
    )

    assert [(i.name, i.condition) for i in circuit.instructions[2:]] == [
        ("x", Condition((0, 1), frozenset({3}))),
        ("y", Condition((0, 1), frozenset({1}))),
        ("measure", Condition((0, 1), frozenset({1}))),
        ("z", Condition((0,), frozenset({0}))),
    ]


# OpenQASM 3 statements on `qubit[4] q; bit[4] c;`, and what they are in OpenQASM 2.
EQUIVALENTS = {
    "c = measure q;": "measure q -> c;",
    "c[1:2] = measure q[2:3];": "measure q[2] -> c[1]; measure q[3] -> c[2];",
    "measure q[0] -> c[3];": "measure q[0] -> c[3];",
    "let a = q[1:3]; h a[0]; x a;": "h q[1]; x q[1]; x q[2]; x q[3];",
    "let a = q[3:-1:2] ++ q[0]; cx a[0], a[2];": "cx q[3], q[0];",
    "let a = q[{0, 2}]; let b = a[1]; h b;": "h q[2];",
    "h q[-2:-1];": "h q[2]; h q[3];",
    "cx q[0], q[1:3];": "cx q[0], q[1]; cx q[0], q[2]; cx q[0], q[3];",
    "const float x0 = 2.5; const int n = 3; rx(x0 * n) q[n];": "rx(7.5) q[3];",
    "int i = 7 / 2; rx(i) q[i];": "rx(3) q[3];",
    "int i = -7 / 2; rx(i) q[0];": "rx(-3) q[0];",
    "float f = 7 / 2.0; f /= 2; rx(f) q[0];": "rx(1.75) q[0];",
    "uint[2] u = 5; rx(u) q[u];": "rx(1) q[1];",
    "angle a = -pi / 2; rx(a) q[0];": "rx(3*pi/2) q[0];",
    "angle[4] a = pi / 3; p(a) q[0];": "u1(3*pi/8) q[0];",
    "rx(arccos(0.5) + arcsin(1) - arctan(0)) q[0];": "rx(pi/3 + pi/2) q[0];".replace("pi/3 + pi/2", repr(math.acos(0.5) + math.asin(1))),
    "rx(mod(7, 4) + floor(2.7) + ceiling(0.2) + log(euler)) q[0];": "rx(7) q[0];",
    "rx(2 ** 3 ** 0 - tau / π) q[0];": "rx(0) q[0];",
    "rx(int(2.7) + float(true) + sizeof(q)) q[0];": "rx(7) q[0];",
    "bool on = 3 > 2 && !(1 == 2); if (on) x q[0]; else y q[0];": "x q[0];",
    "for int i in [0:2:3] x q[i];": "x q[0]; x q[2];",
    "for int i in [2:1] x q[i];": "",
    "for float f in {0.5, 1} rx(f) q[0];": "rx(0.5) q[0]; rx(1) q[0];",
    "for int i in [0:3] { if (i == 1) continue; if (i == 3) break; x q[i]; }": "x q[0]; x q[2];",
    "int i = 0; while (i < 3) { x q[i]; i += 2; }": "x q[0]; x q[2];",
    "for int i in [0:1] for int j in [0:1] cx q[i], q[2 + j];": "cx q[0],q[2]; cx q[0],q[3]; cx q[1],q[2]; cx q[1],q[3];",
    "switch (2) { case 0 { x q[0]; } case 1, 2 { y q[0]; } default { z q[0]; } }": "y q[0];",
    "gate g(a) u, v { rx(a / 2) u; for int i in [0:1] cx u, v; } g(1) q[0], q[1:2];": (
        "rx(0.5) q[0]; cx q[0],q[1]; cx q[0],q[1]; rx(0.5) q[0]; cx q[0],q[2]; cx q[0],q[2];"
    ),
    "gate rzz(t) u, v { cx u, v; rz(t) v; cx u, v; } rzz(0.3) q[0], q[1];": "cx q[0],q[1]; rz(0.3) q[1]; cx q[0],q[1];",
    "gphase(pi / 4); x q[0];": "x q[0];",
    "{ x q[0]; { y q[0]; } }": "x q[0]; y q[0];",
    "box { x q[0]; }": "x q[0];",
    "def f(qubit a, qubit[2] b, int n) { for int i in [1:n] cx a, b[i - 1]; } f(q[0], q[2:3], 2);": "cx q[0],q[2]; cx q[0],q[3];",
    "def f(qubit a) -> bit { h a; return measure a; } c[2] = f(q[1]);": "h q[1]; measure q[1] -> c[2];",
    "def f(int n) -> int { if (n <= 1) { return 1; } return n * f(n - 1); } rx(f(4)) q[0];": "rx(24) q[0];",
    "def f(qubit a, bit b) { if (b) x a; } c[0] = measure q[0]; f(q[1], c[0]);": (
        "measure q[0] -> c[0]; if (cc == 1) x q[1];"
    ),
    "c[0] = measure q[0]; bool same = c[0] == 1; if (same) x q[1];": "measure q[0] -> c[0]; if (cc == 1) x q[1];",
    "barrier;": "barrier q;",
    "barrier q[0], q[2:3];": "barrier q[0], q[2], q[3];",
    "reset q;": "reset q;",
    "x q[0]; end; y q[0];": "x q[0];",
    "ctrl @ x q[0], q[1];": "cx q[0], q[1];",
    "ctrl(2) @ x q[0], q[1], q[2];": "ccx q[0], q[1], q[2];",
    "ctrl(3) @ x q[0], q[1], q[2], q[3];": "c3x q[0], q[1], q[2], q[3];",
    "ctrl @ swap q[0], q[1], q[2];": "cswap q[0], q[1], q[2];",
    "ctrl @ rz(0.4) q[0], q[1];": "crz(0.4) q[0], q[1];",
    "ctrl @ gphase(0.4) q[3];": "p(0.4) q[3];",
    "ctrl @ ctrl @ gphase(0.4) q[3], q[0];": "cp(0.4) q[3], q[0];",
    "inv @ s q[0];": "sdg q[0];",
    "inv @ rx(0.4) q[0];": "rx(-0.4) q[0];",
    "inv @ ctrl @ t q[0];": None,
    "pow(2) @ rx(0.25) q[0];": "rx(0.5) q[0];",
    "gate g u, v { h u; cx u, v; t v; } inv @ g q[0], q[1];": "tdg q[1]; cx q[0],q[1]; h q[0];",
    "gate g u, v { h u; cx u, v; } pow(2) @ g q[0], q[1];": "h q[0]; cx q[0],q[1]; h q[0]; cx q[0],q[1];",
    "gate g u { rz(0.2) u; gphase(0.1); } ctrl @ g q[0], q[1];": "crz(0.2) q[0],q[1]; p(0.1) q[0];",
}
