"""The plain reader gives the circuit of the reference reader, or leaves the text to it."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qdist.errors import QdistError
from qdist.network.circuits import limits, plain, reference
from qdist.network.circuits.dialects import QASM2

ROOT = Path(__file__).parents[2]
HEADER = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
FILES = [
    path
    for folder in ("tests/data/circuits", "tests/data/qasm", "jobs/benchmarks/peers/deep")
    for path in sorted((ROOT / folder).rglob("*.qasm"))
    if "OPENQASM 3" not in path.read_text()
]
NOT_PLAIN = {
    "vqe_uccsd_n6",  # measures a register that it does not declare
    "qasm2_features",  # has every construct
}
# The reference parser takes 0.6 ms for a statement, so only the beginning of a long file is compared.
MOST_STATEMENTS = 2500


def beginning(path):
    """The file, its last statements cut off if it is very long."""
    return "".join(statement + ";" for statement in path.read_text().split(";")[:-1][:MOST_STATEMENTS])


def from_reference(text):
    """The circuit or the error of the reference reader."""
    try:
        return reference.read(text, QASM2, name="circuit", path="")
    except QdistError as error:
        return str(error)


def assert_same_or_left(text):
    """`repr` tells 0.0 from -0.0."""
    circuit = plain.read(text, name="circuit", path="")
    assert circuit is None or repr(circuit) == repr(from_reference(text)), text
    return circuit is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_published_files_are_plain_and_read_as_by_the_reference(path):
    assert assert_same_or_left(beginning(path)) == (path.stem not in NOT_PLAIN)
    assert (plain.read(path.read_text(), name="", path="") is not None) == (path.stem not in NOT_PLAIN)


DECLARED = HEADER + "qreg q[3]; qreg r[3];\nqreg in[1]; creg c[3];\ncreg d[1];\n"
PLAIN = [
    "// a comment; h q;\n/* more\n; */ h /* and */ q [ 0 ] ;\n\n  cx\n q[0],\n r;",
    "u3(pi/2, -pi^2/3, 2*-pi/(3-1)) q; rx(-2^2) q[0]; rx(2^-1^2) q[0]; rx(3-2-1) q[0]; rx(8/4/2) q[0]; rx(--1) q[0];",
    "rx(-0) q[0]; rx(-0.0) q[0]; rx(0*-1.0) q[0]; rx(.5) q; rx(5.) q; rx(5.e-1) q; rx(1E+2) q; rx(007) q; rx(2**3) q;",
    "rx(sin(pi/4)^2 + cos ( 1 ) * tan(0.1) - exp(1) / ln(2) + sqrt(2)) q;",
    "rx(1/3) q; rx(10^20) q; rx(12345678901234567890) q; rx(1/(2-3)) q; rx(7-3*2+1) q; rx(2*3^2) q; rx((2*3)^2) q;",
    "gate f(s, t) x, y { rx(s/t) x; barrier y, x; cx x,y; }\ngate g a,b,h { f(pi, 2) b, a; h h; }\n"
    "g q[0],\nq[1], r; f(1, 3) q, r; gate e a { } e q; gate u_() a { U(0, 0, pi) a; }",
    "gate f(a) b { rx(a) b; } f(0.0) q[0]; f(-0.0) q[0]; f(0) q[1];",
    "gate swap a, b { cx a, b; } swap q[0], q[1]; gate r_1(t, u) a { rx(u) a; } r_1(1, 2) q; h in;",
    "measure q -> c; if(c==5) x q; if (d == 0) h q[0]; if(d==1) h q; if ( c == 9 ) z q[0];\nif(c==0)\n\nrx(pi) q[1];",
    "if(c==0) x q[0]; if(c==1) x q[1]; measure q[1] -> c[1]; if(c==2) reset q; if(c==3) barrier q; if(c==0) cx q, r;",
    "measure q[0] -> d; measure q[0] -> c[2]; reset in; barrier q, q[0], r[2], in; cx q, in[0]; cx in[0], r[1];",
    "qreg h[1]; h h; qreg measured[1]; h measured; creg ifs[1]; x q;qreg gates[2]; h gates[1]; qreg int[2]; x int;",
    "ccx in[0], q, r;",
    "x\rq; x\r\nq; // \r x r;\n",
    "// x^y **/\nrx(2^3) q;",
]
# Mistakes, and what few files have.
ODD = [
    "gate f(a, b) x, y { rx(a/b) x; cx x, y; barrier x, y; g; }",
    "gate f a { } f q; gate g() a { CX a, a; }",
    "swap q, r; gate f a, b { swap a, b; } gate swap a, b { cx a, b; } f q, r;",
    "gate sx a { sx a; } sx q[0];",
    *(
        "h",
        "h;",
        "h q",
        "h q;;",
        "q;",
        "h s;",
        "h q[3];",
        "h q[-1];",
        "h c;",
        "h(1) q;",
        "rx q;",
        "rx() q;",
        "rx(1,2) q;",
    ),
    *(
        "cx q;",
        "cx q, q;",
        "cx q[0], q[0];",
        "cx q, in;",
        "cx q, r, r;",
        "cx q,;",
        "nope q;",
        "h q[0][0];",
        "h q[0:1];",
    ),
    *("qreg q[1];", "creg q[1];", "qreg pi[2]; rx(pi) q;", "qreg s[0];", "qreg s[5000];", "qreg s[4090];", "qreg s;"),
    *(
        "qreg gate[2];",
        "qreg _s[1];",
        "qreg $0[1];",
        "qreg é[1];",
        "qreg 2s[1];",
        "creg s[99999999999];",
        "qreg s[1],;",
        "creg s[1] q;",
    ),
    *("rx(1/0) q;", "rx(1e400) q;", "rx(1.0e400) q;", "rx(sqrt(-1)) q;", "rx(ln(0)) q;", "rx((-8)^(1/3)) q;"),
    *(
        "rx(inf) q;",
        "rx(nan) q;",
        "rx(1/inf) q;",
        "rx(+1) q;",
        "rx(1++1) q;",
        "rx(2pi) q;",
        "rx(2 3) q;",
        "rx(1.5.2) q;",
    ),
    *(
        "rx(1_0) q;",
        "rx(0x1F) q;",
        "rx(1ns) q;",
        "rx(sin) q;",
        "rx(sin()) q;",
        "rx(sin 1) q;",
        "rx(pi(1)) q;",
        "rx(c) q;",
    ),
    *(
        "rx(1,) q;",
        "rx((1) q;",
        "rx(1)) q;",
        "rx(1 q;",
        "rx(1*) q;",
        "rx(*1) q;",
        "rx(2^^3) q;",
        "rx(2*^3) q;",
        "rx(1%2) q;",
    ),
    *(
        "measure q;",
        "measure q -> c[0];",
        "measure q -> d;",
        "measure q[0] -> r;",
        "measure c -> q;",
        "measure q -> c -> c;",
    ),
    *(
        "measure q - > c;",
        "c = measure q;",
        "reset;",
        "reset q, r;",
        "barrier;",
        "barrier q,;",
        "barrier(1) q;",
        "reset c;",
    ),
    *(
        "if(c==1) measure q -> c;",
        "if(c==1) measure q[0] -> c[0];",
        "if(c==1);",
        "if(c==1)",
        "if(c=1) x q;",
        "if(q==1) x q;",
    ),
    *(
        "if(c[0]==1) x q;",
        "if(c==1) { x q; }",
        "if(c==1) x q; else z q;",
        "if(c==1) if(c==1) x q;",
        "if(c==1) qreg s[1];",
    ),
    *("if(c>=1) x q;", "if(c==-1) x q;", "if(c==1) nope q;", "if(s==1) x q;", "if c==1 x q;", "if(c==0) cx q, q;"),
    *("gate h a { x a; }", "gate q a { x a; }", "gate f a { f a; }", "gate f a { rx(b) a; }", "gate f a, a { x a; }"),
    *("gate f(a) a { x a; }", "gate f a { x b; }", "gate f a { cx a, a; }", "gate f a { x a; } gate f a { y a; }"),
    *("gate f(pi) a { rx(pi) a; } f(1) q;", "gate f(sin) a { x a; }", "gate f a { measure a -> c[0]; }", "gate f { }"),
    *(
        "gate f a { x q[0]; }",
        "gate f a { x a }",
        "gate f a { gate g b { x b; } }",
        "gate f a { x a; ",
        "gate f a  x a; }",
    ),
    *(
        "gate f a { barrier a, a; } f q;",
        "gate f(t) a { rx(1/t) a; } f(0) q;",
        "gate f(t) a { rx(1/(t-0.5)) a; } f(1) q;",
    ),
    *("gate f a { x a; } qreg f[1];", "gate f a { x a; } f(1) q;", "gate f a, b { cx a, b; } f q[0], q[0];"),
    *(
        "opaque f a;",
        "gate opaque a { }",
        "pragma x",
        "#pragma x",
        "@note\nx q;",
        "OPENQASM 2.0;",
        'include "qelib1.inc";',
    ),
    *('include "other.inc";', "let s = q;", "int i = 1;", "U(1,2,3) q; CX q, r; ctrl @ x q, r;", "h q; }", "{ h q; }"),
    *("/* open", "h q; /* open", "rx(1 /* open) q;", "/* ^/ h q;", "rx(1 /^ 2) q; */ 3) q;", "/* */ */", "/", "h q /;"),
    *("h\fq;", "h\u00a0q;", "h\vq;", "\ufeffh q;", "h q\0;", "h $0;", "rx(ﬁ) q;", "rx(٣) q;", "h q[٣];"),
    "gate f0(t) a { rx(t) a; }" + "".join(f"gate f{k + 1}(t) a {{ f{k}(t + 1) a; }}" for k in range(40)) + "f40(0) q;",
    "gate f0 a { x a; x a; }" + "".join(f"gate f{k + 1} a {{ f{k} a; f{k} a; }}" for k in range(30)) + "f30 q;",
    f"rx({'(' * 90}1{')' * 90}) q;",
    f"rx({'-' * 200}1) q;",
    f"rx({'9' * 5000}) q;",
]


@pytest.mark.parametrize("statements", [*PLAIN, *ODD])
def test_every_construct_is_read_as_by_the_reference_or_left_to_it(statements, monkeypatch):
    monkeypatch.setattr(limits, "MAX_INSTRUCTIONS", 10_000)

    assert_same_or_left(DECLARED + statements)
    assert_same_or_left(statements + "\n" + DECLARED)


def test_plain_constructs_are_not_left_to_the_reference():
    for statements in PLAIN:
        assert plain.read(DECLARED + statements, name="", path="") is not None, statements


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "OPENQASM 2;",
            "OPENQASM 2.0 ;",
            "OPENQASM\n2.7;\n",
            "/* a */ // b\n OPENQASM 2.0;",
            "OPENQASM /**/ 2.0;",
        ),
        *("OPENQASM 2.0", "OPENQASM 02.0;", "OPENQASM 2.;", "OPENQASM2.0;", "OPENQASM 2.0; OPENQASM 2.0;", "\ufeff"),
    ],
)
@pytest.mark.parametrize(
    "include",
    [
        *(
            "",
            'include "qelib1.inc";',
            '\n// a\ninclude"qelib1.inc"\n;',
            "include 'qelib1.inc';",
            "include qelib1.inc;",
        ),
        *('include "qelib1.inc"', 'include /* */ "qelib1.inc";', 'include "qelib1.inc//";', 'include " qelib1.inc";'),
    ],
)
def test_headers_are_read_as_by_the_reference_or_left_to_it(header, include):
    for body in ("qreg q[1]; h q;", "gate h a { U(pi/2, 0, pi) a; }\nqreg q[1]; h q;", "", "creg c[1];"):
        assert_same_or_left(header + include + body)


@pytest.mark.parametrize(("limit", "value"), [("MAX_INSTRUCTIONS", 5), ("MAX_STEPS", 8), ("MAX_WIRES", 5)])
def test_a_text_with_more_than_a_program_may_hold_is_left_to_the_reference(limit, value, monkeypatch):
    monkeypatch.setattr(limits, limit, value)
    sizes = {1: "", 9: ""}

    for number in range(1, 10):
        text = f"{HEADER}gate f a {{ x a; y a; }}\nqreg q[{number}];" + "f q[0];" * number
        sizes[number] = plain.read(text, name="", path="") is not None
        assert_same_or_left(text)

    assert (sizes[1], sizes[9]) == (True, False)


EXPRESSIONS = st.recursive(
    st.sampled_from(["0", "1", "2", "pi", "0.5", "1.25e-3", ".5", "3.", "a"]),
    lambda inner: st.one_of(
        st.builds("{}{}{}".format, inner, st.sampled_from("+-*/^"), inner),
        st.builds("-{}".format, inner),
        st.builds("({})".format, inner),
        st.builds("{}({})".format, st.sampled_from(["sin", "sqrt", "ln"]), inner),
    ),
    max_leaves=5,
)
OPERANDS = st.sampled_from(["q", "r", "q[0]", "q[1]", "q[2]", "r[0]", "r [1]", "in", "in[0]", "c", "q[9]", "s"])
GATES = st.sampled_from(["x", "rx", "cx", "u3", "U", "CX", "swap", "f", "g", "ccx", "nope"])


@st.composite
def statements(draw):
    kind = draw(
        st.sampled_from(["gate", "gate", "gate", "gate", "define", "if", "measure", "barrier", "reset", "creg"])
    )
    gap = draw(st.sampled_from([" ", "\n", "  ", " // h q;\n", "/* ;\n */"]))
    if kind == "gate":
        name = draw(GATES)
        right = {"rx": 1, "u3": 3, "U": 3, "f": 1}.get(name, 0)
        number = draw(st.sampled_from([right] * 9 + [1]))
        params = [draw(EXPRESSIONS).replace("a", "7") for _ in range(number)]
        count = draw(st.sampled_from([{"cx": 2, "CX": 2, "swap": 2, "ccx": 3, "g": 2}.get(name, 1)] * 9 + [2]))
        operands = [draw(OPERANDS) for _ in range(count)]
        listed = f"({', '.join(params)})" if params else ""
        return f"{name}{listed}{gap}{', '.join(operands)};"
    if kind == "define":
        angle = draw(EXPRESSIONS)
        name = draw(st.sampled_from(["f", "g", "swap"]))
        return f"gate {name}(a){gap}b {{ rx({angle}) b; {draw(GATES)} b; }}"
    if kind == "if":
        return f"if(c=={draw(st.integers(0, 9))}){gap}{draw(statements())}"
    if kind == "measure":
        return f"measure{gap}{draw(OPERANDS)} -> {draw(st.sampled_from(['c', 'c[0]', 'c[2]', 'd', 'q']))};"
    if kind == "creg":
        return f"creg {draw(st.sampled_from(['e', 'c', 'pi', 'output', 'x']))}[{draw(st.integers(0, 3))}];"
    return f"{kind} {draw(OPERANDS)};"


@st.composite
def programs(draw):
    """Programs of which about half are right, the rest wrong in one place or more."""
    defined = "gate f(a) b { rx(a/3) b; barrier b; }\ngate g a, b { cx a, b; f(2) b; }\n"
    text = DECLARED + defined + "\n".join(draw(st.lists(statements(), min_size=1, max_size=6)))
    if draw(st.booleans()):
        place = draw(st.integers(0, len(text)))
        text = (
            text[:place]
            + draw(st.sampled_from(["", *';,()[]{}/*^-> \n\rq1._="', "//", "/*", "if"]))
            + text[place + draw(st.integers(0, 2)) :]
        )
    return text


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(programs())
@example(DECLARED + "x q;")
def test_random_programs_are_read_as_by_the_reference_or_left_to_it(text):
    assert_same_or_left(text)


def test_reading_a_plain_file_imports_no_parser():
    code = (
        "import sys, qdist\n"
        "circuit = qdist.read_qasm(sys.argv[1])\n"
        "print(len(circuit.instructions), {'openqasm3', 'antlr4'} & set(sys.modules))"
    )
    path = ROOT / "tests/data/circuits/qasmbench/adder_n4.qasm"
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"}

    done = subprocess.run(
        [sys.executable, "-c", code, path], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "27 set()"
