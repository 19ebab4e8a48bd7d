"""A job file says what it says: every field arrives in the job, and no text breaks the reader."""

import math
import random
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qdist.errors import QdistError
from qdist.network import graph
from qdist.network.circuit_program import circuit_program
from qdist.network.circuits import read_qasm
from qdist.network.devices import device
from qdist.network.noise import uniform_noise
from qdist.network.protocols import PROTOCOLS, build_protocol
from qdist.runs.execute import run
from qdist.runs.job import DEFAULT_METRICS, Job, Recording
from qdist.runs.jobfiles import fields
from qdist.runs.jobfiles.lines import Source, dotted, key_lines
from qdist.runs.jobfiles.reader import parse_job, read_job
from qdist.runs.sweep import Sweep

JOBS = Path(__file__).parents[2] / "jobs"
EXAMPLES = {path.name: path.read_text(encoding="utf-8") for path in sorted(JOBS.glob("*.toml"))}
QFT = """
[run]
seed = 1
precision = "float64"          # or "float32"
mode = "exact"                 # "sampled" (with shots = N), "postselected"
[program]
circuit = "circuits/qft_n4.qasm"
[noise]                        # for circuits; leave out for none
one_qubit = { depolarizing = 0.001 }
two_qubit = { depolarizing = 0.01 }
readout = { p01 = 0.02, p10 = 0.03 }
[record]
probabilities = true
correlators = ["ZZII", "XXII"]
"""
TWO_NODES = """
[[nodes]]
name = "alice"
qubits = 2
[[nodes]]
name = "bob"
qubits = 2
[[links]]
between = ["bob", "alice"]
"""
PAIRS = '[program]\nprotocol = "pair_generation"\n'


def job(text, folder=JOBS):
    return parse_job(text, folder=folder)


def network(text):
    return job(text + PAIRS).network


def test_every_field_of_the_fixed_schema_arrives():
    found = job(QFT)
    assert (found.seed, found.precision, found.mode, found.text) == (1, "float64", "exact", QFT)
    assert found.record == Recording(True, ("ZZII", "XXII"), None, DEFAULT_METRICS)
    assert [(node.name, node.qubits) for node in found.network.nodes] == [("qpu", 4)]


def test_a_job_gives_the_numbers_of_the_same_run_written_in_python():
    noise = uniform_noise({"depolarizing": 0.001}, {"depolarizing": 0.01}, {"p01": 0.02, "p10": 0.03})
    program, node = circuit_program(read_qasm(JOBS / "circuits" / "qft_n4.qasm"), noise=noise)
    expected = run(Job(program=program, network=node, precision="float64", seed=1))
    found = run(job(QFT))
    np.testing.assert_array_equal(found["results/probabilities"], expected["results/probabilities"])


def test_readout_p01_reads_one_when_zero_was_prepared(tmp_path):
    (tmp_path / "idle.qasm").write_text("OPENQASM 3; qubit q; bit c; c = measure q;")
    text = '[program]\ncircuit = "idle.qasm"\n[noise]\nreadout = { p01 = 0.25 }\n[run]\nprecision = "float64"\n'
    assert run(job(text, tmp_path)).probability("1") == pytest.approx(0.25)


def test_sections_left_out_have_defaults():
    found = job('[program]\ncircuit = "circuits/qft_n4.qasm"\n')
    assert (found.seed, found.precision, found.mode, found.title) == (0, "float32", "exact", "")
    assert found.record == Recording()


def test_sampled_and_postselected_modes_take_their_fields():
    sampled = job(QFT.replace('"exact"', '"sampled"\nshots = 17'))
    assert (sampled.mode, sampled.shots) == ("sampled", 17)
    kept = job(QFT.replace('"exact"', '"postselected"\npostselect = { "c[0]" = 1 }'))
    assert dict(kept.postselect) == {"c[0]": 1}


def test_nodes_and_links_arrive_with_their_devices():
    found = network(
        """
        [[nodes]]
        name = "alice"
        device = "color_center"
        [[nodes]]
        name = "bob"
        qubits = 2
        device = { preset = "trapped_ion", t2 = 3.0 }
        [[nodes]]
        name = "carl"
        [nodes.device]
        t1 = inf
        t2 = 5
        [[links]]
        between = ["alice", "bob"]
        length = 10_000
        weights = [0.7, 0.1, 0.1, 0.1]
        success_probability = 0.5
        attempt_duration = 1e-3
        [[links]]
        between = ["bob", "carl"]
        matrix = [[0.5, 0, 0, [0, -0.5]], [0, 0, 0, 0], [0, 0, 0, 0], [[0, 0.5], 0, 0, 0.5]]
        """
    )
    alice, bob, carl = found.nodes
    assert (alice.device, bob.qubits) == (device("color_center"), 2)
    assert (bob.device.t2, bob.device.two_qubit_error) == (3.0, device("trapped_ion").two_qubit_error)
    assert (carl.device.t1, carl.device.t2, carl.device.two_qubit_error) == (math.inf, 5, 0)
    first, second = found.links
    assert (first.length, first.weights, first.success_probability) == (10_000, (0.7, 0.1, 0.1, 0.1), 0.5)
    assert first.attempt_duration == 1e-3
    assert second.matrix[0][3] == -0.5j


def test_each_topology_makes_the_network_of_its_function():
    link = {"length": 3.0, "fidelity": 0.9}
    common = '\nqubits = 4\nlink = { length = 3.0, fidelity = 0.9 }\nprefix = "m"\n'
    options = {"qubits": 4, "link": link, "prefix": "m"}
    cases = (
        ('topology = "chain"\nnodes = 3', graph.chain(3, **options)),
        ('topology = "ring"\nnodes = 4', graph.ring(4, **options)),
        ('topology = "star"\nnodes = 5\ncenter = "c"', graph.star(4, center="c", **options)),
        ('topology = "grid"\nrows = 2\ncolumns = 3', graph.grid(2, 3, **options)),
        ('topology = "complete"\nnodes = 4', graph.complete(4, **options)),
        (
            'topology = "random"\nnodes = 4\nseed = 2\nprobability = 0.9',
            graph.random_network(4, probability=0.9, seed=2, **options),
        ),
        (
            'topology = "random"\nnodes = 5\nseed = 1\nradius = 80\nside = 100.0',
            graph.random_network(5, seed=1, radius=80, side=100.0, **options),
        ),
    )
    for text, expected in cases:
        assert network(f"[network]\n{text}{common}") == expected, text


def test_a_star_of_five_nodes_has_five_nodes():
    assert len(network('[network]\ntopology = "star"\nnodes = 5\nqubits = 4\n').nodes) == 5


def test_the_device_of_a_topology_is_that_of_every_node():
    found = network('[network]\ntopology = "chain"\nnodes = 2\n[network.device]\npreset = "trapped_ion"\nt2 = 4.0\n')
    assert [node.device.t2 for node in found.nodes] == [4.0, 4.0]


def test_parameters_of_a_protocol_are_fields_of_the_program():
    text = TWO_NODES + '[program]\nprotocol = "purification"\nbetween = ["alice", "bob"]\nscheme = "bbpssw"\n'
    found = job(text)
    expected = build_protocol("purification", found.network, {"between": ("alice", "bob"), "scheme": "bbpssw"})
    assert found.program == expected


def test_lists_of_pairs_are_parameters_too():
    found = job(TWO_NODES + '[program]\nprotocol = "graph_state"\nedges = [["bob", "alice"]]\n')
    assert found.program.pairs == (("bob/0", "alice/0"),)


def test_every_protocol_can_be_asked_for_by_a_job():
    for protocol in PROTOCOLS.values():
        asked = fields.parameters_of(protocol).model_fields
        assert list(asked) == list(protocol.parameters), protocol.name


def test_pairs_of_a_circuit_are_named_by_its_qubits_or_by_the_nodes():
    placed = TWO_NODES.replace("qubits = 2", "qubits = 4") + QFT
    placement = 'placement = { bob = ["q[3]", "q[0]"], alice = ["q[1]", "q[2]"] }\n[noise]'
    text = placed.replace("[noise]", placement) + 'pairs = [["q[0]", "q[1]"], ["bob/0", "q[2]"]]\n'
    assert job(text).pairs == (("bob/1", "alice/0"), ("bob/0", "alice/1"))


def test_a_device_file_is_found_beside_the_job_or_among_the_shipped_ones(tmp_path):
    shipped = job(QFT.split("one_qubit")[0] + 'device = "ibmq_limaConfig.json"\n')
    data = Path(graph.__file__).parent / "data" / "ibmq" / "ibmq_limaConfig.json"
    (tmp_path / "mine.json").write_bytes(data.read_bytes())
    text = QFT.split("one_qubit")[0].replace("circuits/qft", str(JOBS / "circuits" / "qft")) + 'device = "mine.json"\n'
    assert job(text, tmp_path).program == shipped.program


def test_paths_start_at_the_folder_of_the_job(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "job.toml").write_text('[program]\ncircuit = "../c.qasm"\n')
    (tmp_path / "c.qasm").write_text("OPENQASM 3; qubit q;")
    monkeypatch.chdir(JOBS)
    assert len(read_job(tmp_path / "a" / "job.toml").program.qubits) == 1


def test_line_ends_and_marks_of_other_editors_are_accepted(tmp_path):
    path = tmp_path / "windows.toml"
    text = QFT.replace("circuits/", f"{JOBS.as_posix()}/circuits/").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_job(path).seed == 1


def test_every_field_of_the_schema_is_described():
    text = fields.markdown()
    for name, section in fields.sections(fields.JobFile):
        assert f"`{fields.heading(name)}`" in text
        for key, field in section.model_fields.items():
            assert field.description, f"{name}.{key}"
            assert f"| `{key}` |" in text


def test_ranks_arrive_and_are_chosen_unless_given():
    found = job(TWO_NODES + PAIRS + '[ranks]\nhosts = [["bob"], ["alice"], [], []]\nper_state = 2\n')
    assert (found.hosts, found.per_state) == ((("bob",), ("alice",), (), ()), 2)
    found = job(TWO_NODES + PAIRS)
    assert (found.hosts, found.per_state) == ((), None)


def test_ranks_of_a_job_in_python_are_checked_too():
    made = job(TWO_NODES + PAIRS)
    for hosts, words in (
        ("ab", "a list of names for each rank"),
        ((("alice",), ("bob",), ()), "a power of two of them, but has 3"),
        ((("alice", "bob", "bo"),), "'bo' is none. Did you mean 'bob'"),
    ):
        with pytest.raises(QdistError, match=words):
            replace(made, hosts=hosts)
    for count in (0, 3, -2, 1.0, True):
        with pytest.raises(QdistError, match="`per_state` must be a power of two"):
            replace(made, per_state=count)


# Where a field stands.

TRICKY = '''title = "a [b] # c = d"
[a]
b.c = 1
"b".'d e' = [ # a comment ] }
  [1, 2], # another
  { x = "}", y.z = [] },
]
[[t]]
x = """
[fake]
y = 1
"""
[t.u]
v = 1
[[t]]
[[t.w]]
k = 'it'
'''


def test_lines_are_found_in_every_form_of_toml():
    lines = {dotted(path): line for path, line in key_lines(TRICKY).items()}
    expected = {
        "title": 1, "a": 2, "a.b": 3, "a.b.c": 3, "a.b.d e": 4, "a.b.d e[0]": 5, "a.b.d e[0][1]": 5, "a.b.d e[1].x": 6,
        "a.b.d e[1].y.z": 6, "t": 8, "t[0].x": 9, "t[0].u": 13, "t[0].u.v": 14, "t[1]": 15, "t[1].w": 16,
        "t[1].w[0]": 16, "t[1].w[0].k": 17,
    }  # fmt: skip
    for path, line in expected.items():
        assert lines.get(path) == line, path
    assert not [path for path in lines if "fake" in path]


def paths_of(value, path=()):
    """Every key and list entry of parsed TOML."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths_of(inner, (*path, key))


@pytest.mark.parametrize("text", [*EXAMPLES.values(), QFT, TWO_NODES], ids=[*EXAMPLES, "qft", "two nodes"])
def test_lines_are_found_for_exactly_the_fields_that_there_are(text):
    assert set(key_lines(text)) == set(paths_of(tomllib.loads(text)))


def test_the_line_of_a_missing_field_is_that_of_its_table():
    assert Source("x", TRICKY).line(("t", 0, "u", "missing", "deeper")) == 13


def test_terminals_are_not_commanded_by_names_from_a_file():
    assert "\x1b" not in str(Source("x", "a = 1\n").error(("a\x1b[31m",), "bad \x1b\n text"))


@given(st.text(alphabet="ab[]{}=\"'#,.\n\\ 1", max_size=40))
def test_finding_lines_ends_on_any_text(text):
    assert isinstance(key_lines(text), dict)


# Any text.

PIECES = ["1", "0", "-1", "1.5", "nan", "inf", "true", '"x"', '""', "[]", "{}", "[[]]", '["a"]', "{ a = 1 }", "9" * 30]
PIECES += ["2020-01-01", '"n0"', '"trapped_ion"', '"\\u0000"', '"sampled"', *'=[]\n"#é\x00', "'"]


def mutated(text, seed):
    """The text with a few characters, lines or values changed."""
    rng = random.Random(seed)
    for _ in range(rng.choice((1, 1, 2, 4))):
        lines = text.split("\n")
        n, i = rng.randrange(len(lines)), rng.randrange(len(text))
        match rng.randrange(5):
            case 0:
                text = text[:i] + text[i + rng.randrange(1, 9) :]
            case 1:
                text = text[:i] + rng.choice(PIECES) + text[i:]
            case 2:
                text = "\n".join(lines[:n] + lines[n + 1 :])
            case 3:
                text = "\n".join([*lines[:n], rng.choice(lines), *lines[n:]])
            case _:
                lines[n] = f"{lines[n].split('=')[0]}= {rng.choice(PIECES)}"
                text = "\n".join(lines)
        text = text or "\n"
    return text


def job_or_message(text):
    try:
        return parse_job(text, name="job.toml", folder=JOBS)
    except QdistError as error:
        return str(error)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(set(EXAMPLES) - {"long_chain.toml"})), st.integers(0, 10**9))
def test_a_changed_job_is_a_job_or_one_clear_line(name, seed):
    found = job_or_message(mutated(EXAMPLES[name], seed))
    assert isinstance(found, Job | Sweep) or (found.startswith("job.toml") and len(found.splitlines()) == 1)
