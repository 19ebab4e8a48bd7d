"""Circuits are what Qiskit and the specification of OpenQASM say; whatever is wrong has a line and a reason."""

import functools
from contextlib import suppress
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
    limits,
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
# The gates of qelib1.inc with Qiskit's additions, and what Qiskit calls some of them after it has read them.
QELIB = {item.name: item for item in qasm2.LEGACY_CUSTOM_INSTRUCTIONS if item.name != "delay"}
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
        elif name in QELIB or name in ("measure", "reset", "barrier"):
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
    """Instructions without lines, angles rounded."""
    return [
        (i.kind, i.name, tuple(round(p, 12) for p in i.params), i.qubits, i.bits, i.condition, i.duration)
        for i in circuit.instructions
    ]


def assert_same_circuit(one, other, message=""):
    assert plain(one) == plain(other), message
    assert (one.num_qubits, one.num_bits) == (other.num_qubits, other.num_bits), message


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
    for item in QELIB.values():
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


def test_what_a_gate_of_the_program_consists_of_has_the_line_of_its_call():
    circuit = parse_qasm(f"{QASM2}gate f(t) a {{\n  rx(t) a;\n  x a;\n}}\nqreg q[1];\nf(1) q[0];\nf(2) q[0];")

    assert [(i.name, i.line) for i in circuit.instructions] == [("rx", 8), ("x", 8), ("rx", 9), ("x", 9)]


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
    assert [i.line for i in circuit.instructions[3:6]] == [6, 7, 21]


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
        '(c & "110") == 4': lambda c: c & 6 == 4,
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
        asked = {c: sum((c >> bit & 1) << k for k, bit in enumerate(condition.bits)) for c in range(8)}
        assert {c for c in range(8) if asked[c] in condition.values} == {c for c in range(8) if holds(c)}, text


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


# OpenQASM 3 on `qubit[4] q; bit[4] c;` and the same in OpenQASM 2.
EQUIVALENTS = {
    "c = measure q;": "measure q -> c;",
    "c[1:2] = measure q[2:3];": "measure q[2] -> c[1]; measure q[3] -> c[2];",
    "measure q[0] -> c[3];": "measure q[0] -> c[3];",
    "let a = q[1:3]; h a[0]; x a;": "h q[1]; x q[1]; x q[2]; x q[3];",
    "let a = q[3:-1:2] ++ q[0]; cx a[0], a[2];": "cx q[3], q[0];",
    "let a = q[{0, 2}]; let b = a[1]; h b;": "h q[2];",
    "h q[-2:-1];": "h q[2]; h q[3];",
    "cx q[0], q[1:3];": "cx q[0],q[1]; cx q[0],q[2]; cx q[0],q[3];",
    "const float f = 2.5; const int n = 3; rx(f * n) q[n];": "rx(7.5) q[3];",
    "int i = 7 / 2; rx(i) q[i];": "rx(3) q[3];",
    "int i = -7 / 2; rx(i) q[0];": "rx(-3) q[0];",
    "float f = 7 / 2.0; f /= 2; rx(f) q[0];": "rx(1.75) q[0];",
    "uint[2] u = 5; rx(u) q[u];": "rx(1) q[1];",
    "angle a = -pi / 2; rx(a) q[0];": "rx(3*pi/2) q[0];",
    "angle[4] a = pi / 3; p(a) q[0];": "p(3*pi/8) q[0];",
    "rx(arcsin(1) - arctan(0) + arccos(0)) q[0];": "rx(pi) q[0];",
    "rx(mod(7, 4) + floor(2.7) + ceiling(0.2) + log(euler)) q[0];": "rx(7) q[0];",
    "rx(2 ** 3 ** 0 - tau / π) q[0];": "rx(0) q[0];",
    "rx(int(2.7) + float(true) + sizeof(q)) q[0];": "rx(7) q[0];",
    "gate g(tau) a { rx(tau) a; } g(1) q[0];": "rx(1) q[0];",
    "bool on = 3 > 2 && !(1 == 2); if (on) x q[0]; else y q[0];": "x q[0];",
    "for int i in [0:2:3] x q[i];": "x q[0]; x q[2];",
    "for int i in [2:1] x q[i];": "",
    "for float f in {0.5, 1} rx(f) q[0];": "rx(0.5) q[0]; rx(1) q[0];",
    "for int i in [0:3] { if (i == 0) continue; if (i == 2) break; x q[i]; }": "x q[1];",
    "int i = 0; while (i < 3) { x q[i]; i += 2; }": "x q[0]; x q[2];",
    "for int i in [0:1] for int j in [2:3] cz q[i], q[j];": "cz q[0],q[2]; cz q[0],q[3]; cz q[1],q[2]; cz q[1],q[3];",
    "int i = 1; { int i = 2; x q[i]; } x q[i];": "x q[2]; x q[1];",
    "switch (2) { case 0 { x q[0]; } case 1, 2 { y q[0]; } default { z q[0]; } }": "y q[0];",
    "gate g(a) u, v { rx(a / 2) u; for int i in [0:1] cx u, v; } g(1) q[0], q[1:2];": (
        "rx(0.5) q[0]; cx q[0],q[1]; cx q[0],q[1]; rx(0.5) q[0]; cx q[0],q[2]; cx q[0],q[2];"
    ),
    "gate rzz(t) u, v { cx u, v; rz(t) v; } rzz(0.3) q[0], q[1];": "cx q[0],q[1]; rz(0.3) q[1];",
    "gphase(pi / 4); x q[0];": "x q[0];",
    "{ x q[0]; { y q[0]; } }": "x q[0]; y q[0];",
    "box { x q[0]; }": "x q[0];",
    "def f(qubit a, qubit[2] b, int n) { for int i in [1:n] cx a, b[i - 1]; } f(q[0], q[2:3], 2);": (
        "cx q[0],q[2]; cx q[0],q[3];"
    ),
    "def f(qubit a) -> bit { h a; return measure a; } c[2] = f(q[1]);": "h q[1]; measure q[1] -> c[2];",
    "def f(int n) -> int { if (n <= 1) return 1; return n * f(n - 1); } rx(f(4)) q[0];": "rx(24) q[0];",
    "def f(qubit a, bit b) { if (b) x a; } c[0] = measure q[0]; f(q[1], c[0]);": (
        "measure q[0] -> c[0]; if (c == 1) x q[1];"
    ),
    "c[0] = measure q[0]; bool same = c[0] == 1; if (same) x q[1];": "measure q[0] -> c[0]; if (c == 1) x q[1];",
    "c[0] = measure q[0]; int k = 1; bool b = c[0] == k; k = 0; if (b) x q[1];": (
        "measure q[0] -> c[0]; if (c == 1) x q[1];"
    ),
    "const int n = 2; int k = 1; gate g a { rx(n) a; } def f(qubit a) { rx(k) a; } g q[0]; k = 3; f(q[1]);": (
        "rx(2) q[0]; rx(3) q[1];"
    ),
    "barrier;": "barrier q;",
    "barrier q[0], q[2:3];": "barrier q[0], q[2], q[3];",
    "reset q;": "reset q;",
    "x q[0]; end; y q[0];": "x q[0];",
    "ctrl @ x q[0], q[1];": "cx q[0],q[1];",
    "ctrl(2) @ x q[0], q[1], q[2];": "ccx q[0],q[1],q[2];",
    "ctrl(3) @ x q[0], q[1], q[2], q[3];": "c3x q[0],q[1],q[2],q[3];",
    "ctrl @ swap q[0], q[1], q[2];": "cswap q[0],q[1],q[2];",
    "ctrl @ rz(0.4) q[0], q[1];": "crz(0.4) q[0],q[1];",
    "ctrl @ gphase(0.4) q[3];": "p(0.4) q[3];",
    "ctrl @ ctrl @ gphase(0.4) q[3], q[0];": "cp(0.4) q[3],q[0];",
    "inv @ s q[0];": "sdg q[0];",
    "inv @ rx(0.4) q[0];": "rx(-0.4) q[0];",
    "pow(2) @ rx(0.25) q[0];": "rx(0.5) q[0];",
    "gate g u, v { h u; cx u, v; t v; } inv @ g q[0], q[1];": "tdg q[1]; cx q[0],q[1]; h q[0];",
    "gate g u, v { h u; cx u, v; } pow(2) @ g q[0], q[1];": "h q[0]; cx q[0],q[1]; h q[0]; cx q[0],q[1];",
    "gate g u { rz(0.2) u; gphase(0.1); } ctrl @ g q[0], q[1];": "crz(0.2) q[0],q[1]; p(0.1) q[0];",
}


def test_each_feature_of_openqasm_3_says_the_same_as_openqasm_2():
    for new, old in EQUIVALENTS.items():
        circuit = parse_qasm(f"{QASM3}qubit[4] q; bit[4] c;\n{new}")

        assert_same_circuit(circuit, parse_qasm(f"{QASM2}qreg q[4]; creg c[4];\n{old}"), new)


def test_modified_gates_have_the_matrix_that_qiskit_gives_them():
    u = library.UGate(0.1, 0.2, 0.3).to_matrix()
    # The phase of OpenQASM 3's U, u2 and u3, which a control makes visible.
    u_phase, u3_phase = np.exp(0.05j), np.exp(-0.25j)
    cases = {
        "ctrl @ ctrl @ h q[0], q[1], q[2];": (library.UnitaryGate(library.HGate()).control(2), [0, 1, 2]),
        "negctrl @ ry(0.7) q[2], q[0];": (library.RYGate(0.7).control(1, ctrl_state=0), [2, 0]),
        "ctrl @ negctrl @ z q[0], q[1], q[2];": (library.ZGate().control(2, ctrl_state=0b01), [0, 1, 2]),
        "negctrl(2) @ x q[0], q[1], q[2];": (library.XGate().control(2, ctrl_state=0), [0, 1, 2]),
        "pow(-1) @ sx q[1];": (library.SXdgGate(), [1]),
        "pow(0.5) @ x q[2];": (library.SXGate(), [2]),
        "pow(0.5) @ z q[2];": (library.SGate(), [2]),
        "inv @ pow(0.5) @ s q[2];": (library.TdgGate(), [2]),
        "pow(3) @ h q[2];": (library.HGate(), [2]),
        "pow(1 / 3.0) @ swap q[2], q[1];": (library.SwapGate().power(1 / 3), [2, 1]),
        "ctrl @ U(0.1, 0.2, 0.3) q[0], q[1];": (library.UnitaryGate(u_phase * u).control(1), [0, 1]),
        "ctrl @ u3(0.1, 0.2, 0.3) q[0], q[1];": (library.UnitaryGate(u3_phase * u).control(1), [0, 1]),
        "negctrl @ U(0.1, 0.2, 0.3) q[0], q[1];": (library.UnitaryGate(u_phase * u).control(1, ctrl_state=0), [0, 1]),
        "ctrl @ u2(0.1, 0.2) q[0], q[1];": (
            library.UnitaryGate(np.exp(-0.15j) * library.U2Gate(0.1, 0.2).to_matrix()).control(1),
            [0, 1],
        ),
        "negctrl @ gphase(0.7) q[1];": (library.DiagonalGate([np.exp(0.7j), 1]), [1]),
        "inv @ u2(0.3, 0.8) q[0];": (library.U2Gate(0.3, 0.8).inverse(), [0]),
        "inv @ u3(0.3, 0.8, 0.1) q[0];": (library.U3Gate(0.3, 0.8, 0.1).inverse(), [0]),
        "inv @ cu(0.1, 0.2, 0.3, 0.4) q[0], q[1];": (library.CUGate(0.1, 0.2, 0.3, 0.4).inverse(), [0, 1]),
        "inv @ ctrl(2) @ t q[2], q[1], q[0];": (library.TdgGate().control(2), [2, 1, 0]),
        "ctrl @ crx(0.4) q[0], q[1], q[2];": (library.CRXGate(0.4).control(1), [0, 1, 2]),
    }
    for text, (operation, qubits) in cases.items():
        reference = QuantumCircuit(3)
        reference.append(operation, qubits)

        circuit = parse_qasm(f"{QASM3}qubit[3] q;\n{text}")

        assert_same_matrix(circuit, reference)
        assert_same_matrix(expand_wide_gates(circuit), reference)


def test_a_gate_of_the_program_is_modified_as_a_whole():
    definition = "gate g(a) u, v { rx(a) v; ctrl @ h v, u; gphase(a / 3); }"
    inner = QuantumCircuit(2, global_phase=0.3)
    inner.rx(0.9, 1)
    inner.ch(1, 0)
    whole = library.UnitaryGate(Operator(inner))
    cases = {
        "ctrl @ g(0.9) q[2], q[0], q[1];": (whole.control(1), [2, 0, 1]),
        "negctrl @ g(0.9) q[2], q[0], q[1];": (whole.control(1, ctrl_state=0), [2, 0, 1]),
        "inv @ g(0.9) q[2], q[0];": (whole.inverse(), [2, 0]),
        "pow(-2) @ g(0.9) q[0], q[1];": (whole.inverse().repeat(2), [0, 1]),
        "pow(0.3) @ g(0.9) q[1], q[2];": (whole.power(0.3), [1, 2]),
        "ctrl @ pow(0.3) @ g(0.9) q[1], q[2], q[0];": (whole.power(0.3).control(1), [1, 2, 0]),
        "pow(0.5) @ ctrl @ inv @ g(0.9) q[1], q[2], q[0];": (whole.inverse().control(1).power(0.5), [1, 2, 0]),
    }
    for text, (operation, qubits) in cases.items():
        reference = QuantumCircuit(3)
        reference.append(operation, qubits)

        circuit = parse_qasm(f"{QASM3}qubit[3] q;\n{definition}\n{text}")

        assert_same_matrix(circuit, reference)
        assert_same_matrix(expand_wide_gates(circuit), reference)


def test_a_file_with_every_modifier_keeps_its_matrix_when_wide_gates_are_expanded():
    circuit = read_qasm(DATA / "qasm" / "modifiers.qasm")

    expanded = expand_wide_gates(circuit)

    assert max(len(i.qubits) for i in circuit.instructions) == 4
    assert max(len(i.qubits) for i in expanded.instructions) == 2
    assert abs(np.vdot(matrix(circuit), matrix(expanded))) == pytest.approx(16, abs=MATRIX_TOLERANCE)


def test_wide_gates_expand_to_gates_on_at_most_two_qubits_with_the_same_matrix():
    wide = [name for name, rule in GATES.items() if rule.num_qubits > 2]
    for name in wide:
        count = GATES[name].num_qubits
        qubits = tuple(reversed(range(count)))
        condition = Condition((0,), frozenset({1}))
        step = Instruction("gate", name, (), qubits, (), condition, 7)
        circuit = Circuit("", (Register("q", count),), (Register("c", 1),), (step,))

        expanded = expand_wide_gates(circuit)

        assert max(len(i.qubits) for i in expanded.instructions) == 2
        assert {(i.condition, i.line) for i in expanded.instructions} == {(condition, 7)}
        overlap = np.vdot(matrix(circuit), matrix(expanded))
        assert abs(overlap) == pytest.approx(2**count, abs=MATRIX_TOLERANCE)


def test_any_wide_unitary_expands_exactly():
    rng = np.random.default_rng(5)
    for count in (3, 4):
        unitary = np.linalg.qr(rng.normal(size=(2**count,) * 2) + 1j * rng.normal(size=(2**count,) * 2))[0]
        step = Instruction("unitary", "any", (), tuple(range(count)), unitary=unitary)
        circuit = Circuit("", (Register("q", count),), (), (step,))

        expanded = expand_wide_gates(circuit)

        assert max(len(i.qubits) for i in expanded.instructions) == 2
        np.testing.assert_allclose(np.abs(np.vdot(unitary, matrix(expanded))), 2**count, atol=MATRIX_TOLERANCE)


def test_physical_qubits_appear_in_the_order_of_their_use_and_wait_their_delays():
    circuit = read_qasm(DATA / "qasm" / "physical.qasm")

    assert [circuit.qubit_name(k) for k in range(circuit.num_qubits)] == ["$3", "$0"]
    assert [(i.kind, i.qubits, i.bits, i.duration) for i in circuit.instructions] == [
        ("gate", (0,), (), None),
        ("delay", (0,), (), 1e-7),
        ("delay", (1,), (), 1.05e-6),
        ("barrier", (1, 0), (), None),
        ("barrier", (0, 1), (), None),
        ("gate", (1,), (), None),
        ("measure", (0,), (0,), None),
        ("measure", (1,), (1,), None),
        ("reset", (1,), (), None),
        ("measure", (0,), (), None),
    ]


def test_a_bit_that_a_loop_declares_is_a_new_one_in_every_turn():
    circuit = parse_qasm(f"{QASM3}qubit q; for int i in [0:2] {{ bit b = measure q; if (b) x q; }}")

    assert circuit.bits == (Register("b", 1), Register("b_2", 1), Register("b_3", 1))
    assert [i.condition.bits for i in circuit.instructions if i.name == "x"] == [(0,), (1,), (2,)]


# Text after the header, line of the mistake, part of the message.
BAD_QASM2 = [
    ("qreg q[1];\nfoo q[0];", 4, "Gate 'foo' must be defined before it is used, but is not."),
    ("qreg q[1];\nrrx(1) q[0];", 4, "Did you mean 'rx'?"),
    ("qreg q[1];\nrx q[0];", 4, "Gate 'rx' must have 1 parameter(s), but got 0."),
    ("qreg q[1];\nh(1) q[0];", 4, "Gate 'h' must have 0 parameter(s), but got 1."),
    ("qreg q[1];\ncx q[0];", 4, "Gate 'cx' must act on 2 qubit(s), but got 1."),
    ("qreg q[2];\nh q[2];", 4, "An index of 'q' must be in [0, 1], but is 2."),
    ("qreg q[2];\nh q[-1];", 4, "An index of 'q' must be in [0, 1], but is -1."),
    ("qreg q[2];\nh q[0.5];", 4, "An index of 'q' must be a whole number, but is 0.5."),
    ("qreg q[2];\nqreg q[3];", 4, "'q' is declared again"),
    ("qreg q[2];\ncreg q[3];", 4, "'q' is declared again"),
    ("qreg q[2];\ncx q[1], q[1];", 4, "Gate 'cx' must act on different qubits, but got 'q[1]' twice."),
    ("qreg q[2]; qreg r[3];\ncx q, r;", 4, "must have the same size, but have sizes [2, 3]"),
    ("qreg q[2];\ncx q, q;", 4, "got 'q[0]' twice"),
    ("qreg q[2]; creg c[3];\nmeasure q -> c;", 4, "has 2 qubit(s) and 3 bit(s)"),
    ("qreg q[2]; creg c[2];\nmeasure c -> q;", 4, "must be a qubit or a register of qubits, but 'c' is not"),
    ("qreg q[2];\nmeasure q -> q;", 4, "must go to a bit"),
    ("qreg q[1];\nrx(1/0) q[0];", 4, "A divisor must not be zero"),
    ("qreg q[1];\nrx(ln(0)) q[0];", 4, "must give a finite real number"),
    ("qreg q[1];\nrx(sqrt(-1)) q[0];", 4, "must give a finite real number"),
    ("qreg q[1];\nrx(1e999) q[0];", 4, "must be a finite number, but is inf"),
    ("qreg q[1];\nrx(2^10000) q[0];", 4, "must give a finite real number"),
    ("qreg q[1];\nrx((-2)^0.5) q[0];", 4, "must be real"),
    ("qreg q[1];\nrx(log(2)) q[0];", 4, "A function must be defined before it is called, but 'log' is not."),
    ("qreg q[1];\nrx(sin(1, 2)) q[0];", 4, "Function 'sin' must have 1 argument(s), but got 2."),
    ("qreg q[1];\nrx(x) q[0];", 4, "'x' must be declared before it is used"),
    ("qreg q[1];\nrx(q) q[0];", 4, "'q' is a qubit. Measure it into a bit first."),
    ("qreg q[1];\nqubit r;", 4, "Gate 'qubit' must be defined"),
    ("qreg q[1];\nh reg[0];", 4, "'reg' must be declared before it is used, but is not."),
    ("gate f a { f a; }\nqreg q[1];", 3, "A gate must not call itself, but 'f' does."),
    ("gate f a {\n  g a;\n}\nqreg q[1];", 4, "Gate 'g' must be defined"),
    ("gate f a { cx a, a; }\nqreg q[1];", 3, "got 'a' twice"),
    ("gate f a, a { }\nqreg q[1];", 3, "'a' is declared again"),
    ("gate f(x) a { rx(y) a; }\nqreg q[1];", 3, "'y' must be declared"),
    ("gate f(x) a { rx(1/(x-0.5)) a; }\nqreg q[1];\nf(0.5) q[0];", 3, "A divisor must not be zero"),
    ("gate f a { h a[0]; }\nqreg q[1];", 3, "Only a register can be indexed, but 'a' is a single qubit."),
    ("qreg q[1];\ngate f a { h q[0]; }", 4, "'q' is declared outside"),
    ("gate f a { }\ngate f a { }\nqreg q[1];", 4, "Gate 'f' must be defined once"),
    ("gate cx a, b { }\nqreg q[1];", 3, "Gate 'cx' must be defined once"),
    ("qreg f[1];\ngate f a { }", 4, "A gate must have a name of its own"),
    ("gate f a { }\nqreg f[1];", 4, "'f' is already a gate or subroutine"),
    ("opaque f a, b;\nqreg q[1];", 3, "A gate must have a definition, but is `opaque`."),
    ("qreg q[0];", 3, "qreg size must be positive"),
    ("qreg q[5000];", 3, "must be in [1, 4096], but is 5000"),
    ("qreg q[4000];\nqreg r[97];", 4, "at most 4096 qubits, but has 4097"),
    ("qreg q[1]\nh q[0];", 4, "'h' does not fit. Check this line and the end of the one before."),
    ("qreg q[1];\nh q[0]", 4, "the end of the file does not fit"),
    ("qreg q[1];\nh q[0]; £", 4, "token recognition error"),
    ('qreg q[1];\ninclude "other.inc";', 4, "An included file must be 'qelib1.inc' in OpenQASM 2, but is 'other.inc'."),
    ("qreg q[13]; creg c[13];\nmeasure q -> c;\nif (c == 1) x q[0];", 5, "at most 12 measured bits, but asks 13"),
    (
        "qreg q[2]; creg c[2];\nmeasure q -> c;\nif (c == 1) measure q -> c;",
        5,
        "must not measure into a bit of its own",
    ),
    ("creg c[2];", None, "A program must have qubits, but declares none."),
    ("qreg q[1];\nrx(" + "(" * 300 + "1" + ")" * 300 + ") q[0];", None, "must not be nested so deeply"),
    (f"qreg q[1];\nrx({'9' * 5000}) q[0];", None, "the parser fails"),
]

BAD_QASM3 = [
    ("OPENQASM 4.0;\nqubit q;", 1, "the version of OpenQASM must be 2 or 3, but is 4."),
    ("OPENQASM 1;\nqubit q;", 1, "the version of OpenQASM must be 2 or 3, but is 1."),
    (
        "OPENQASM 3;\nqubit q; h q;",
        2,
        "Gate 'h' must be defined, but is not. Add `include \"stdgates.inc\";` at the top.",
    ),
    ('OPENQASM 3;\ninclude "qelib1.inc"; qubit q;', 2, "must be 'stdgates.inc' in OpenQASM 3, but is 'qelib1.inc'"),
    ("qubit q;\ninput float f;", 2, "A program must be complete, but 'f' is an input."),
    ("qubit q; bit c; c = measure q;\nwhile (c) { reset q; }", 2, "The condition of `while` must be known"),
    (
        "qubit q; bit c; c = measure q;\nif (c) {\n  c = measure q;\n  reset q; }",
        4,
        "must not measure into a bit of its own",
    ),
    (
        "qubit q; bit c; c = measure q;\nif (c) c = measure q; else reset q;",
        2,
        "must not measure into a bit of its own",
    ),
    ("qubit q; bit c; c = measure q;\nint i = 0; if (c) i = 1;", 2, "'i' is assigned where a measured bit is tested"),
    ("qubit q; bit c; c = measure q;\nint i = c; c = measure q; if (i == 1) reset q;", 2, "measured again since"),
    ("qubit q; bit c; c = measure q;\nfloat f = c;", 2, "must be known before the program runs"),
    ("qubit q; bit c; c = measure q; if (c) reset q;\nU(int(c), 0, 0) q;", 2, "must be known before the program runs"),
    ("qubit[2] q; bit c; c = measure q[0];\nreset q[c];", 2, "must be known before the program runs"),
    ("qubit q; bit c; c = measure q;\nfor int i in [0:1] { if (c) break; }", 2, "`break` must happen or not whatever"),
    ("qubit q; bit c; c = measure q;\nif (c) end;", 2, "`end` must happen or not whatever"),
    ('qubit q; bit[2] c;\nc = "01";', 2, "Bits must be written by measurements"),
    ("qubit q; bit[2] c;\nc[0] = measure q; c = 0;", 2, "Bits must be written by measurements"),
    ('qubit q; bit[2] c;\nc = "010";', 2, 'The value must fit into 2 bits, but is "010".'),
    ("qubit q;\nbool b = measure q;", 2, "must be kept in a bit"),
    ("qubit q;\nconst int n = 2; n = 3;", 2, "A constant must not be assigned, but 'n' is one here."),
    ("qubit q;\nint n; U(n, 0, 0) q;", 2, "'n' must have a value before it is used"),
    ("qubit q;\nint[4] n = 9;", 2, "must fit into 4 bits, but is 9"),
    ("qubit q;\nint n = 0.5;", 2, "must be a whole number, but is 0.5"),
    ("qubit q;\nangle a = 1; a[0] = 1;", 2, "must not be assigned, but is"),
    ("qubit q;\nfor int i in [0:0:3] reset q;", 2, "The step of a range must not be zero"),
    ("qubit q;\nint i = 2; while (i > 0) i *= i;", 2, "must have at most 4096 bits"),
    ("qubit[3] q;\nreset q[1:3];", 2, "A slice must lie in [0, 2], but goes from 1 to 3."),
    ("qubit[3] q;\nreset q[2:1];", 2, "must have one or more elements"),
    ("qubit[3] q;\nreset q[{0, -3}];", 2, "each once, but is [0, 0]"),
    ("qubit[3] q;\nreset q[0, 1];", 2, "must have one index, but has 2"),
    ("qubit[3] q;\nlet a = q[0:1] ++ q[1:2];", 2, "must join registers that share nothing"),
    ("qubit[3] q; bit c;\nlet a = q ++ c;", 2, "must join registers of qubits or registers of bits"),
    ("qubit[7] q;\nctrl(6) @ U(1, 0, 0) q[0], q[1], q[2], q[3], q[4], q[5], q[6];", 2, "must be in [1, 5], but is 6"),
    ("qubit q;\npow(0.5) @ U(1, 2, 3) q; ctrl @ U(1, 2, 3) q;", 2, "Gate 'U' must act on 2 qubit(s), but got 1."),
    ("qubit q;\ngate f a { delay[1ns] a; } inv @ f q;", 2, "must act on gates only, but the gate has a delay"),
    ("qubit q;\ngate f a { reset a; }", 2, "cannot have a non-unitary 'reset' instruction in a gate"),
    ("qubit q;\ngate f a { U(1, 0, 0) $0; }", 2, "must act on the gate's own qubits, but uses '$0'"),
    ("qubit q;\ndelay[3] q;", 2, "A duration must have a unit, but is 3."),
    ("qubit q;\ndelay[10dt] q;", 2, "must be in s, ms, us or ns, but is in dt"),
    ("qubit q;\ndelay[-1ns] q;", 2, "A delay must be finite and at least 0 s"),
    ("qubit q;\nU(1ns, 0, 0) q;", 2, "A number is needed here, but got 1e-09 s."),
    ("qubit q;\nU(1ns + 2, 0, 0) q;", 2, "`+` must have operands that fit"),
    ("qubit q;\nU(1, 0, 0)[10ns] q;", 2, "A gate must not be given a duration"),
    ("qubit q;\nbox[10ns] { reset q; }", 2, "A `box` must have no duration"),
    ("qubit q;\nstretch s;", 2, "A type must be bit, bool, int, uint, float, angle or duration, but is stretch."),
    ("qubit q;\narray[int, 2] a;", 2, "but is array"),
    ("qubit q;\ncomplex c;", 2, "but is complex"),
    ("qubit q;\nextern f(int) -> int;", 2, "`extern` is not"),
    ("qubit q;\ncal { }", 2, "`cal` is not"),
    ("qubit q;\ndefcal f $0 { }", 2, "`defcal` is not"),
    ("qubit q;\npragma noise off", 2, "a pragma is not"),
    ("qubit q;\n@fast\nreset q;", 2, "must have no annotations, but has '@fast'"),
    ("qubit q;\n1 + 1;", 2, "A statement must do something"),
    ("qubit q;\ndef f(qubit a) { reset q; } f(q);", 2, "'q' is declared outside"),
    ("qubit q;\ndef f(qubit a) { reset a; } f(q, q);", 2, "Subroutine 'f' must have 1 argument(s), but got 2."),
    ("qubit[2] q;\ndef f(qubit a) { reset a; } f(q);", 2, "Argument 'a' must have 1 element(s), but got 2."),
    ("qubit q;\ndef f(int n) { f(n); } f(1);", 2, "at most 64 deep"),
    ("qubit q;\ndef f(int n) { } U(f(1), 0, 0) q;", 2, "must return one, but does not"),
    ("qubit q; bit c;\ndef f(bit b) { b = measure $0; } f(c);", 2, "this bit belongs to the caller"),
    (
        "qubit q; bit c; c = measure q;\ndef f(bit b) -> bit { return b; } bit d = f(c);",
        2,
        "returns one of the caller's",
    ),
    (
        "qubit q; bit c;\ndef f(qubit a) -> bit { bit b = measure a; return b; } c = f(q);",
        2,
        "returns a bit of its own",
    ),
    ("qubit q; bit c;\ndef f(qubit a) -> bit { return measure a; } U(f(q), 0, 0) q;", 2, "but 'f' measures"),
    ("qubit q;\nswitch (1) { case 1 { } case 1 { } }", 2, "The labels of `case` must be different"),
    ("qubit q;\nbreak;", 2, "'break' statement outside loop"),
    (
        "qubit q; int n = 1;\ngate f a { U(n, 0, 0) a; }",
        2,
        "The body of a gate must use its own arguments and constants",
    ),
    ("qubit q; int n = 1;\ndef f() { n = 2; } f();", 2, "A constant must not be assigned, but 'n' is one here."),
    ("qubit[13] q; bit[13] c; c = measure q;\nint n = c;", 2, "at most 12 measured bits, but asks 13"),
    ("qubit q; bit c; c = measure q;\nint n = 1 / c;", 2, "A divisor must not be zero"),
    ("qubit q;\nif (0.5) reset q;", 2, "A condition must be true or false, but is the number 0.5."),
]


@pytest.mark.parametrize(
    ("text", "line", "message"), [(QASM2 + text, line, message) for text, line, message in BAD_QASM2] + BAD_QASM3
)
def test_mistakes_are_errors_with_their_line(text, line, message, capfd):
    with pytest.raises(QdistError) as caught:
        parse_qasm(text, path="folder/bad.qasm")

    where = "folder/bad.qasm" if line is None else f"folder/bad.qasm, line {line}:"
    assert str(caught.value).startswith(where)
    assert message in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_programs_that_take_too_long_or_grow_too_large_are_errors(monkeypatch):
    monkeypatch.setattr(limits, "MAX_INSTRUCTIONS", 1000)
    monkeypatch.setattr(limits, "MAX_STEPS", 4000)
    doubling = "".join(f"gate g{k + 1} a {{ g{k} a; g{k} a; }}\n" for k in range(12))
    growing = "gate g0(t) a { }\n" + "".join(
        f"gate g{k + 1}(t) a {{ g{k}(t) a; g{k}(t + {2**k}) a; }}\n" for k in range(20)
    )
    cases = [
        ("qubit q; for int i in [0:2000] reset q;", "at most 1000 instructions"),
        ("qubit q; for int i in [0:1000] { for int j in [0:1000] { } }", "at most 4000 steps"),
        (f"qubit q; for int i in [-1:{10**30}] {{ }}", "at most 4000 steps"),
        ("qubit q; while (true) { }", "at most 4000 steps"),
        (
            "qubit q; pow(1001) @ U(1, 0, 0) q; gate f a { U(1, 0, 0) a; U(1, 0, 0) a; } pow(1001) @ f q;",
            "at most 1000 instr",
        ),
        (f"gate g0 a {{ U(1, 0, 0) a; }}\n{doubling} qubit q; g12 q;", "line 11: A program must have at most 1000"),
        (f"{growing} qubit q; g20(0) q;", "at most 4000 steps"),
    ]
    for text, message in cases:
        with pytest.raises(QdistError, match=message):
            parse_qasm(text)


def test_files_that_hold_no_program_are_errors(tmp_path):
    cases = {
        "missing.qasm": (None, "must be readable, but is not (No such file or directory)"),
        "binary.qasm": (b"\xff\xfe\x00\x01", "must be UTF-8 text, but byte 0 is not"),
        "empty.qasm": (b"", "must hold a program, but is empty"),
        "comment.qasm": (b"// nothing\n/* here */\n", "must hold a program, but is empty"),
        "picture.qasm": (b"\x89PNG\r\n\x1a\n", "must be UTF-8 text"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(QdistError) as caught:
            read_qasm(path)
        assert str(caught.value).startswith(str(path))
        assert message in str(caught.value)
    with pytest.raises(QdistError, match="must be readable, but is not"):
        read_qasm(tmp_path)


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path):
    path = tmp_path / "windows.qasm"
    path.write_bytes(b"\xef\xbb\xbf" + f"{QASM2}qreg q[1];\nh q[0];\n".replace("\n", "\r\n").encode())

    assert [(i.name, i.line) for i in read_qasm(path).instructions] == [("h", 4)]


MUTABLE = [path.read_text() for path in sorted((DATA / "qasm").glob("*.qasm"))]
FRAGMENTS = [
    *"()[]{};,:@-+*/=<>!&|~^$\"'\n\0é9",
    "q",
    "c",
    "0",
    "-1",
    "1e999",
    "4097",
    "if",
    "measure",
    "pow",
    "let",
    "inv @ ",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(MUTABLE),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 6), st.sampled_from(FRAGMENTS)), min_size=1, max_size=4),
)
def test_a_damaged_file_is_a_circuit_or_an_error_but_nothing_else(text, damages):
    for position, removed, inserted in damages:
        start = position % len(text)
        text = text[:start] + inserted + text[start + removed :]

    with suppress(QdistError):
        circuit = parse_qasm(text)
        assert all(qubit < circuit.num_qubits for i in circuit.instructions for qubit in i.qubits)
