"""Whatever is wrong ends with exit code 2 and one clear line, before anything is computed, and leaves no file."""

import os

import pytest

from qdist.runs import execute
from qdist.runs.cli import main

QFT = """[run]
seed = 1
mode = "exact"
[program]
circuit = "bell.qasm"
[noise]
one_qubit = { depolarizing = 0.001 }
readout = { p01 = 0.02, p10 = 0.03 }
[record]
correlators = ["ZZ", "XX"]
"""
CHAIN = """[[nodes]]
name = "alice"
qubits = 2
device = "color_center"
[[nodes]]
name = "bob"
qubits = 2
device = { preset = "color_center", t2 = 2.0 }
[[links]]
between = ["alice", "bob"]
length = 10e3
fidelity = 0.95
[program]
protocol = "purification"
between = ["alice", "bob"]
"""
SHAPE = """[network]
topology = "chain"
nodes = 3
[program]
protocol = "pair_generation"
"""
BELL = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];\nh q[0];\ncx q[0],q[1];\nmeasure q -> c;\n'

# What is changed, into what, the field and the line that the message names, and words that it must have.
IN_CIRCUIT_JOB = (
    ("seed = 1", "sed = 1", "line 2, `run.sed`", "no field 'sed'", "Did you mean 'seed'?"),
    ("seed = 1", "probabilities = true", "line 2, `run.probabilities`", "It belongs to [record]."),
    ("[noise]", "[nois]", "line 6, `nois`", "no section 'nois'", "Did you mean 'noise'?"),
    ("[noise]", "[sweep]", "line 7, `sweep.one_qubit", "A job has no section 'one_qubit'"),
    ("[run]", "[[run]]", "line 1, `run`", "Write [run] instead of [[run]]."),
    ("[run]\nseed = 1\n", "seed = 1\n[run]\n", "line 1, `seed`", "It belongs to [run]."),
    ("seed = 1", 'seed = "1"', "line 2, `run.seed`", "must be a whole number, but is '1'", "without quotes"),
    ("seed = 1", "seed = 1.0", "line 2, `run.seed`", "Write 1 without a decimal point."),
    ("seed = 1", "seed = true", "line 2, `run.seed`", "must be a whole number, but is true"),
    ("seed = 1", "seed = -1", "line 2, `run.seed`", "must be at least 0, but is -1"),
    ("seed = 1", "seed = nan", "line 2, `run.seed`", "must be a number, but is nan"),
    ("seed = 1", "seed = " + "9" * 30, "line 2, `run.seed`", "must fit into 64 bits"),
    ("seed = 1", "seed = " + "9" * 5000, "must fit into 64 bits"),
    ("seed = 1", "seed = 0x" + "f" * 6000, "line 2, `run.seed`", "must fit into 64 bits"),
    ("seed = 1", "seed = 2020-01-01", "line 2, `run.seed`", "is a date or a time"),
    ("seed = 1", "seed = 1\nseed = 2", "line 3", "A key must be given once"),
    ("seed = 1", "title = 5", "line 2, `run.title`", "must be text in quotes, but is 5"),
    ("seed = 1", 'precision = "double"', "line 2, `run.precision`", "one of 'float32' or 'float64'"),
    ("seed = 1", "shots = 10", "line 2, `run.shots`", 'set mode = "sampled"'),
    ("seed = 1", 'postselect = { "c[0]" = 1 }', "line 2, `run.postselect`", 'mode "exact"'),
    ('mode = "exact"', 'mode = "exakt"', "line 3, `run.mode`", "Did you mean 'exact'?"),
    ('mode = "exact"', "mode = exact", "line 3", "A value must be text in quotes"),
    ('mode = "exact"', 'mode = "exact', "line 3", "Add the quote."),
    ('mode = "exact"', 'mode "exact"', "line 3", "no `=`"),
    ('mode = "exact"', 'mode = "sampled"\nshots = 0', "line 4, `run.shots`", "must be at least 1, but is 0"),
    ('mode = "exact"', 'mode = "postselected"', "line 1, `run.postselect`", "must name the outcome"),
    (
        'mode = "exact"',
        'mode = "postselected"\npostselect = { "d[0]" = 1 }',
        "line 4, `run.postselect`",
        "Did you mean 'c[0]'?",
    ),
    ("0.001", "1.2", "line 7, `noise.one_qubit.depolarizing`", "must be a probability in [0, 1], but is 1.2"),
    ("0.001", "nan", "line 7, `noise.one_qubit.depolarizing`", "must be a number, but is nan"),
    ("0.001", "true", "line 7, `noise.one_qubit.depolarizing`", "must be a number, but is True"),
    ("depolarizing", "depolarising", "line 7, `noise.one_qubit.depolarising`", "Did you mean 'depolarizing'?"),
    ("p01 = 0.02", "p01 = -0.02", "line 8, `noise.readout.p01`", "must be a probability in [0, 1], but is -0.02"),
    ("p01 = 0.02", "p00 = 0.02", "line 8, `noise.readout`", "must have the keys p01 and p10"),
    ("readout", 'device = "dummy_ibmq12.json"\nreadout', "line 7, `noise.one_qubit`", "left out beside `device`"),
    ("bell.qasm", "bel.qasm", "line 5, `program.circuit`", "does not exist", "Did you mean 'bell.qasm'?"),
    ("bell.qasm", ".", "line 5, `program.circuit`", "is a folder"),
    ("bell.qasm", "/dev/zero", "line 5, `program.circuit`", "is a device or a pipe"),
    ("bell.qasm", "a" * 300, "line 5, `program.circuit`", "cannot be opened"),
    ("bell.qasm", "a\\u0000b", "line 5, `program.circuit`", "does not exist"),
    ("bell.qasm", "empty.qasm", "line 5, `program.circuit`", "empty.qasm", "but is empty"),
    ("bell.qasm", "binary.qasm", "line 5, `program.circuit`", "must be UTF-8 text"),
    ("bell.qasm", "syntax.qasm", "line 5, `program.circuit`", "syntax.qasm, line 5", "does not fit"),
    ("bell.qasm", "gate.qasm", "line 5, `program.circuit`", "gate.qasm, line 5", "Gate 'foo'"),
    ("circuit =", "#", "line 4, `program`", "neither is given"),
    ("circuit", 'protocol = "ghz_state"\ncircuit', "line 4, `program`", "both are given"),
    ("circuit", "rounds = 2\ncircuit", "line 5, `program.rounds`", "A circuit has no parameter 'rounds'."),
    ("circuit", 'placement = { a = ["q[0]"] }\ncircuit', "line 5, `program.placement`", "must name nodes"),
    ("[noise]", '[[nodes]]\nname = "qpu"\n[noise]', "line 6, `nodes[0].qubits`", "must be at least 2", "but is 1"),
    ('"XX"', '"XXX"', "line 10, `record.correlators[1]`", "one letter for each of the 2 qubits", "'XXX' has 3"),
    ('"XX"', '"XQ"', "line 10, `record.correlators[1]`", "made of I, X, Y and Z"),
    ('["ZZ", "XX"]', '"ZZ"', "line 10, `record.correlators`", "must be a list", "Write ['ZZ']"),
    ("correlators", "metrics = []\ncorrelators", "line 10, `record.metrics`", "there are none"),
    ("correlators", 'pairs = [["q[0]", "q[7]"]]\ncorrelators', "line 10, `record.pairs[0]`", "no qubit 'q[7]'"),
    ("correlators", 'pairs = [["q[0]", "qpu/0"]]\ncorrelators', "line 10, `record.pairs[0]`", "two different qubits"),
    ("correlators", 'pairs = [["qpu/0", "qpu/2"]]\ncorrelators', "line 10, `record.pairs[0]`", "less than 2"),
    ("correlators", 'pairs = [["q[0]", "q[1]"]]\nmetrics = ["fidelty"]\ncorrelators', "metrics[0]`", "'fidelity'?"),
)  # fmt: skip
IN_CHAIN_JOB = (
    ("t2 = 2.0", "t1 = 0.5", "line 8, `nodes[1].device`", "`t2` must be at most 2·t1 = 1 s"),
    ("t2 = 2.0", "t2 = -1.0", "line 8, `nodes[1].device.t2`", "must be positive"),
    ("t2 = 2.0", "t3 = 2.0", "line 8, `nodes[1].device`", "no field 't3'"),
    ("t2 = 2.0", "readout_duration = inf", "line 8, `nodes[1].device.readout_duration`", "must be finite"),
    ("t2 = 2.0", "readout_p01 = 1.5", "line 8, `nodes[1].device.readout_p01`", "must be a probability"),
    ('"color_center"\n', '"color_centre"\n', "line 4, `nodes[0].device`", "Did you mean 'color_center'?"),
    ('"color_center"\n', "7\n", "line 4, `nodes[0].device`", "must be the name of a device in quotes, or a table"),
    ("10e3", "-10e3", "line 11, `links[0].length`", "must be at least 0 m, but is -10000.0"),
    ("10e3", "'10 km'", "line 11, `links[0].length`", "must be a number, but is '10 km'"),
    ("10e3", "10 km", "line 11", "more follows"),
    ("10e3", "inf", "line 11, `links[0].length`", "must be finite, but is inf"),
    ("10e3", "1e9", "line 11, `links[0].length`", "lets none"),
    ("0.95", "95", "line 12, `links[0].fidelity`", "must be a probability in [0, 1], but is 95"),
    ("fidelity = 0.95", "matrix = [[1, 0], [0, 0]]", "line 12, `links[0].matrix`", "four rows of four numbers"),
    ('"bob"]\nl', '"bbo"]\nl', "line 10, `links[0].between[1]`: No node is called 'bbo'. Did you mean 'bob'?"),
    ('["alice", "bob"]\nl', '["alice"]\nl', "line 10, `links[0].between`", "must be a list of 2 entries"),
    ('["alice", "bob"]\nl', '["bob", "bob"]\nl', "line 10, `links[0].between`", "two different nodes"),
    ('between = ["alice", "bob"]\nl', "l", "line 9, `links[0].between`", "is missing", "names of its two nodes"),
    ('name = "bob"', 'name = "alice"', "line 6, `nodes[1].name`", "must be unique, but 'alice' is used twice"),
    ('name = "bob"', 'name = "bob/1"', "line 6, `nodes[1].name`", "A node name must be"),
    ('name = "bob"\n', "", "line 5, `nodes[1].name`", "is missing"),
    ("[program]", '[[links]]\nbetween = ["bob", "alice"]\n[program]', "line 14, `links[1].between`", "have one"),
    ("[[links]]", "[links]", "line 9, `links`", "Write [[links]] instead of [links]"),
    ("qubits = 2", "qubits = 0", "line 3, `nodes[0].qubits`", "must be at least 1, but is 0"),
    ("qubits = 2", "qubits = 1", "line 3, `nodes[0].qubits`", "must be at least 2"),
    ('"purification"', '"purificaton"', "line 14, `program.protocol`", "Did you mean 'purification'?"),
    ('"purification"', '"bb48"', "line 14, `program.protocol`", "Protocols: ", "repeater_chain"),
    ('ion"\nbetween = ["alice", "bob"]\n', 'ion"\n', "line 13, `program.between`", "must have `between`, but it is"),
    ('protocol = "pur', 'rouns = 1\nprotocol = "pur', "line 14, `program.rouns`", "Did you mean 'rounds'?"),
    ('protocol = "pur', 'rounds = "1"\nprotocol = "pur', "line 14, `program.rounds`", "must be a whole number"),
    ('protocol = "pur', 'rounds = 99\nprotocol = "pur', "line 14, `program.rounds`", "must be from 0 to 10"),
    ('protocol = "pur', 'scheme = "best"\nprotocol = "pur', "line 14, `program.scheme`", "one of bbpssw, dejmps"),
    ('protocol = "pur', 'placement = {}\nprotocol = "pur', "line 14, `program.placement`", "it is for circuits"),
    ("[program]", "[noise]\n[program]", "line 13, `noise`", "it is for circuits"),
    ("[program]", '[network]\ntopology = "chain"\n[program]', "line 1, `nodes`", "given once"),
)  # fmt: skip
IN_SHAPE_JOB = (
    ('"chain"', '"chian"', "line 2, `network.topology`", "Did you mean 'chain'?"),
    ("nodes = 3\n", "", "line 1, `network`", "`nodes` must be given"),
    ("nodes = 3", "nodes = 3\nrows = 2", "line 4, `network.rows`", "It is for grid."),
    ("nodes = 3", "nodes = 1000000000", "line 3, `network.nodes`", "must be at most 100000"),
    ('"chain"\nnodes = 3', '"complete"\nnodes = 50000', "line 1, `network`", "at most 100,000 nodes"),
    ('"chain"\nnodes = 3', '"ring"\nnodes = 2', "line 3, `network.nodes`", "must be at least 3"),
    ("nodes = 3", "nodes = 3\nlink = { lenght = 1 }", "line 4, `network.link.lenght`", "Did you mean 'length'?"),
    ("nodes = 3", "nodes = 3\nlink = { fidelity = 2 }", "line 4, `network.link.fidelity`", "must be a probability"),
    ("[network]\n", "[network]\nqubits = 1\n", "line 2, `network.qubits`", "must be at least 2 for this protocol"),
    ('[network]\ntopology = "chain"\nnodes = 3\n', "", "line 2, `program.protocol`", "must have a network"),
)  # fmt: skip
# What follows [sweep] or [ranks] at the end of a job, from line 17 of CHAIN and line 7 of SHAPE on, and the message.
IN_SWEEP_OF_CHAIN = (
    ('"links[0].lenght" = [1]', "line 17, `sweep.links[0].lenght`", "no field 'lenght'. Did you mean 'length'?"),
    ('"link[0].length" = [1]', "A job has no section 'link'. Did you mean 'links'?"),
    ('"links[1].length" = [1]', "`links[1]` must be an entry", "`links` has [0]"),
    ('"nodes[7].qubits" = [1]', "`nodes` has [0] to [1]", "Change the number."),
    ('"links.length" = [1]', "`links` must be given with a number", 'Write "links[0].length"'),
    ('"links[0]" = [1]', "`links[0]` must be a number, but is a table", '"links[0].length"'),
    ('"links" = [1]', "`links` must be a number, but is a list", "Sweep a number in it"),
    ('"links[0].length.x" = [1]', "`links[0].length` must be a table to have a field 'x', but is a number"),
    ('"links[0].length[0]" = [1]', "`links[0].length` must be a list to have an entry [0]"),
    ('"links[0].between[0]" = [1]', "must be a number, but is text"),
    ('"links[0].weights[0]" = [1]', "`links[0].weights[0]` must be an entry", "has none"),
    ('"program.scheme" = [1]', "`program.scheme` must be a number, but is text"),
    ('"program.rouns" = [1]', "Protocol 'purification' has no field 'rouns'. Did you mean 'rounds'?"),
    ('"run.mode" = [1]', "line 17, `sweep.run.mode`: `run.mode` must be a number, but is text. Sweep a number."),
    ('"record.probabilities" = [1]', "must be a number, but is true or false"),
    ('"nodes[0].device.t3" = [1]', "A device has no field 't3'."),
    ('"nodes[0].device.preset" = [1]', "must be a number, but is text"),
    ('"network.link.length" = [1]', "there is no section [network]", '"links[0].length"'),
    ('"noise.readout.p01" = [0.1]', "line 17, `noise`: Section [noise] must be left out with a protocol"),
    ('"sweep.x" = [1]', "must be the same at all points"),
    ('"ranks.per_state" = [1, 2]', "results do not depend on it. Set it in [ranks]."),
    ('"links 0" = [1]', "must be a path such as", "but is 'links 0'"),
    ('"" = [1]', "must be a path such as"),
    ("program.rounds = [1]", "line 17, `sweep.program.rounds`: A path must be in quotes", 'Write "program.rounds" = '),
    ("[sweep.program]\nrounds = [1]", "line 18, `sweep.program.rounds`: A path must be in quotes"),
    ("links.length = [1]", "line 17, `sweep.links.length`", 'Write "links[0].length"'),
    ('"links[0].length" = 1', "`links[0].length` must be a list of numbers or a range", "but is 1"),
    ('"links[0].length" = "1"', "must be a list of numbers or a range", "but is '1'"),
    ('"links[0].length" = []', "must have at least one value, but the list is empty"),
    ('"links[0].length" = [1,\n"2"]', "line 18, `sweep.links[0].length[1]`", "must be a number, but is '2'"),
    ('"links[0].length" = [true]', "must be a number, but is true"),
    ('"links[0].length" = [[1]]', "must be a number, but is a list of 1"),
    ('"links[0].length" = [2020-01-01]', "must be a number, but is 2020-01-01"),
    ('"links[0].length" = [nan]', "`length` must be a number, but is nan"),
    ('"links[0].length" = [inf]', "`length` must be finite, but is inf"),
    ('"nodes[1].device.t2" = [-inf]', "`t2` must be finite, but is -inf"),
    ('"links[0].length" = [' + "9" * 30 + "]", "must fit into 64 bits"),
    ('"links[0].length" = [1, 2, 1.0]', "`sweep.links[0].length[2]`", "once each, but 1.0 is entry 0 too"),
    ('"run.seed" = [1.0]', "`run.seed` must be a whole number, but is 1.0. Write 1 without a decimal point."),
    ('"program.rounds" = [1.5]', "`program.rounds` must be a whole number, but is 1.5."),
    ('"links[0].fidelity" = [0.9, 1.2]', "line 17, `links[0].fidelity`", "1.2. This is at `links[0].fidelity` = 1.2."),
    ('"program.rounds" = [1, 99]', "line 17, `program.rounds`", "from 0 to 10", "This is at `program.rounds` = 99."),
    ('"run.shots" = [10]', "line 17, `run.shots`", 'set mode = "sampled"'),
    ('"nodes[1].device.t1" = [0.5]', "line 8, `nodes[1].device.t2`", "at most 2·t1 = 1 s", "device.t1` = 0.5."),
    ('"links[0].length" = { start = 1, stop = 2 }', "line 17, `sweep.links[0].length.num`", "A range must have `num`"),
    ('"links[0].length" = { strat = 1, stop = 2, num = 2 }', "A range has no field 'strat'. Did you mean 'start'?"),
    ('"links[0].length" = {}', "A range must have `start`, but it is missing"),
    ('"links[0].length" = { start = 1, stop = 2, num = 1 }', "`num` must be at least 2, but is 1"),
    ('"links[0].length" = { start = 1, stop = 2, num = 2.5 }', "`num` must be a whole number, but is 2.5"),
    ('"links[0].length" = { start = 1, stop = 2, num = 1000000 }', "`num` must be at most 100000"),
    ('"links[0].length" = { start = "1", stop = 2, num = 2 }', "`start` must be a number, but is '1'"),
    ('"links[0].length" = { start = 1, stop = 1, num = 2 }', "must differ from `start`", "Write [1] for one value"),
    ('"links[0].length" = { start = 0, stop = 1, num = 3, spacing = "log" }', "`start` must be positive", '"linear"'),
    ('"links[0].length" = { start = 1, stop = 2, num = 3, spacing = "lin" }', "Did you mean 'linear'?"),
    ('"links[0].length" = { start = nan, stop = 2, num = 3 }', "must be a number, but is nan"),
    ('"nodes[1].device.t2" = { start = 1, stop = inf, num = 3 }', "`stop` must be finite, but is inf"),
    ('"links[0].length" = { start = 1.0, stop = 1.00000000000001, num = 9 }', "`num` must give different values"),
    ('"run.seed" = { start = 1, stop = 10, num = 4, spacing = "log" }', "hit whole numbers, but 4 does not. Write"),
    ('"run.seed" = { start = 1, stop = 10, num = 5 }', "hit whole numbers, but 5 does not. Set num = 4."),
    ('"run.seed" = { start = 1, stop = 8, num = 100 }', "hit whole numbers, but 100 does not. Set num = 8."),
    ('"run.seed" = { start = 1.0, stop = 10, num = 4 }', "`run.seed` must be a whole number, but is 1.0"),
    ('"run.seed" = { start = 1, stop = 400, num = 400 }\n"links[0].length" = { start = 1, stop = 400, num = 400 }',
     "line 16, `sweep`", "at most 100,000 points, but has 400 × 400 = 160,000"),
    ("\n".join(f'"links[0].matrix[{i}][{i}]" = [1]' for i in range(9)), "at most 8 paths, but has 9"),
    ('"links[0].length" = [1]\n"links[00].length" = [2]', "line 18", "once, but `links[0].length` sweeps this one"),
    ("", "line 16, `sweep`: Section [sweep] must have a path with values, but is empty"),
)  # fmt: skip
IN_SWEEP_OF_SHAPE = (
    ('"links[0].length" = [1]', "it has a section [network]", '"network.link.length"'),
    ('"network.link" = [1]', "must be a number, but is a table", '"network.link.length"'),
    ('"network.nodes" = [1, 2]', "must hold at least one link", "This is at `network.nodes` = 1."),
    ('"network.nodes" = [2, 100001]', "line 7, `network.nodes`", "must be at most 100000", "`network.nodes` = 100001."),
)
IN_RANKS = (
    ("hosts = [['alice'], ['bob'], []]", "line 17, `ranks.hosts`", "a power of two of them, but has 3"),
    ("hosts = [['alice', 'bob', 'alice'], []]", "line 17, `ranks.hosts[0][2]`", "names 'alice' more than once"),
    ("hosts = [['alice'], []]", "line 17, `ranks.hosts`", "'bob' is missing. Add it to a rank."),
    ("hosts = [['alice'],\n['bbo']]", "line 18, `ranks.hosts[1][0]`", "'bbo' is none. Did you mean 'bob'?"),
    ("hosts = ['alice', 'bob']", "line 17, `ranks.hosts[0]`", "must be a list in [ ]", "Write ['alice']"),
    ("hosts = 'alice'", "line 17, `ranks.hosts`", "must be a list in [ ]"),
    ("per_state = 3", "line 17, `ranks.per_state`", "must be a power of two, such as 1, 2 or 4, but is 3"),
    ("per_state = 0", "line 17, `ranks.per_state`", "must be at least 1, but is 0"),
    ("per_state = 4\nhosts = [['alice'], ['bob']]", "line 17, `ranks.per_state`", "2 in `hosts`, but is 4. Lower it."),
    ("host = [['alice'], ['bob']]", "line 17, `ranks.host`", "Did you mean 'hosts'?"),
)
ALL = (
    [(QFT, row) for row in IN_CIRCUIT_JOB]
    + [(CHAIN, row) for row in IN_CHAIN_JOB]
    + [(SHAPE, row) for row in IN_SHAPE_JOB]
)


ENDINGS = (
    [(CHAIN + "[sweep]\n", row) for row in IN_SWEEP_OF_CHAIN]
    + [(SHAPE + "[sweep]\n", row) for row in IN_SWEEP_OF_SHAPE]
    + [(CHAIN + "[ranks]\n", row) for row in IN_RANKS]
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with circuits, where nothing may be computed."""
    (tmp_path / "bell.qasm").write_text(BELL)
    (tmp_path / "empty.qasm").write_text("")
    (tmp_path / "binary.qasm").write_bytes(bytes(range(256)))
    (tmp_path / "syntax.qasm").write_text(BELL.replace("creg c[2];", "creg c[2]"))
    (tmp_path / "gate.qasm").write_text(BELL.replace("h q", "foo q"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(execute, "evolve", lambda *args, **options: pytest.fail("something was computed"))
    return tmp_path


def refused(capsys, *arguments):
    """The one line with which the program ends."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert end.value.code == 2, err
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(("text", "row"), ALL, ids=[f"{row[1]:.30} {i}" for i, (_, row) in enumerate(ALL)])
def test_a_wrong_job_is_refused_with_its_line_and_field(folder, capsys, text, row):
    old, new, *words = row
    assert old in text
    (folder / "job.toml").write_text(text.replace(old, new, 1))
    before = sorted(os.listdir(folder))
    message = refused(capsys, "run", "job.toml")
    assert message.startswith("job.toml")
    for word in words:
        assert word in message
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize(("text", "row"), ENDINGS, ids=[f"{row[0]:.30} {i}" for i, (_, row) in enumerate(ENDINGS)])
def test_a_wrong_sweep_or_wrong_ranks_are_refused_with_their_line_and_field(folder, capsys, text, row):
    (folder / "job.toml").write_text(text + row[0] + "\n")
    message = refused(capsys, "run", "job.toml")
    assert message.startswith("job.toml, line ")
    for word in row[1:]:
        assert word in message


def test_a_sweep_that_is_no_table_is_refused(folder, capsys):
    for begin, words in (("sweep = 5\n", "must be a table, but is 5"), ("[[sweep]]\n", "Write [sweep]")):
        (folder / "job.toml").write_text(begin + CHAIN)
        message = refused(capsys, "run", "job.toml")
        assert message.startswith("job.toml, line 1, `sweep`")
        assert words in message


def test_the_jobs_that_are_broken_here_are_right_before(folder, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    for text in (QFT, CHAIN, SHAPE.replace("nodes = 3", "nodes = 3\nqubits = 2")):
        (folder / "job.toml").write_text(text)
        with pytest.raises(SystemExit) as end:
            main(["run", "job.toml"])
        assert end.value.code == 0, text


def test_a_file_that_is_no_job_is_refused(folder, capsys):
    (folder / "folder.toml").mkdir()
    contents = {
        "empty.toml": b"",
        "comment.toml": b"# nothing\n",
        "binary.toml": bytes(range(256)),
        "utf16.toml": QFT.encode("utf-16"),
        "json.toml": b'{"run": 1}\n',
        "yaml.toml": b"seed: 1\n",
        "nul.toml": b"\x00",
        "deep.toml": b"a = " + b"[" * 5000 + b"]" * 5000,
        "deep_tables.toml": b"a = " + b"{a=" * 3000 + b"1" + b"}" * 3000,
        "dotted.toml": b"a" + b".a" * 3000 + b" = 1",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    cases = {
        "empty.toml": "must have a section [program]",
        "comment.toml": "must have a section [program]",
        "binary.toml": "must be text in UTF-8, but byte 128 is not",
        "utf16.toml": "must be text in UTF-8, but byte 0 is not",
        "json.toml": "json.toml, line 1",
        "yaml.toml": "yaml.toml, line 1",
        "nul.toml": "nul.toml, line 1",
        "deep.toml": "must not be nested so deeply",
        "deep_tables.toml": "must not be nested so deeply",
        "dotted.toml": "must not be nested so deeply",
        "folder.toml": "is a folder",
        "emty.toml": "does not exist. Did you mean 'empty.toml'?",
        "bell.qasm": "is a circuit",
        "/dev/null": "is a device or a pipe",
        "x" * 300: "is not (File name too long)",
        "bell.qasm/x.toml": "does not exist",
    }
    for name, words in cases.items():
        for command in ("run", "plan"):
            message = refused(capsys, command, name)
            assert words in message, name
            assert name in message


def test_an_output_that_cannot_be_written_is_refused_before_the_run(folder, capsys):
    (folder / "job.toml").write_text(QFT)
    (folder / "other.txt").write_text("mine")
    cases = {
        "nowhere/x.h5": "must exist",
        ".": "is a folder",
        "job.toml": "is something else",
        "other.txt": "is something else",
        "/dev/null": "is a device or a pipe",
        "job.toml/x.h5": "must exist",
    }
    for path, words in cases.items():
        assert words in refused(capsys, "run", "job.toml", "--out", path), path
    assert (folder / "other.txt").read_text() == "mine"
    assert (folder / "job.toml").read_text() == QFT


def test_an_existing_result_survives_a_failure(folder, capsys):
    result = folder / "job.h5"
    result.write_bytes(b"\x89HDF\r\n\x1a\n and so on")
    for text in (QFT.replace("seed", "sed"), "[", wide(folder, 30)):
        (folder / "job.toml").write_text(text)
        refused(capsys, "run", "job.toml")
        assert result.read_bytes() == b"\x89HDF\r\n\x1a\n and so on"


def wide(folder, qubits):
    """A job whose state fits into no machine."""
    gates = "".join(f"cx q[{i}],q[{i + 1}];\n" for i in range(qubits - 1))
    (folder / "wide.qasm").write_text(f'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[{qubits}];\nh q[0];\n{gates}')
    return f'[program]\ncircuit = "wide.qasm"\n[record]\nprobabilities = false\ncorrelators = ["{"X" * qubits}"]\n'


def test_a_state_that_is_too_big_is_refused_with_what_is_needed_and_what_fits(folder, capsys):
    (folder / "job.toml").write_text(wide(folder, 30))
    message = refused(capsys, "run", "job.toml")
    for words in ("job.toml: ", "30 qubits", "EiB", "Clusters of up to", "fit here"):
        assert words in message


def test_a_result_that_is_not_one_is_refused(folder, capsys, monkeypatch):
    (folder / "job.toml").write_text(QFT)
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit):
        main(["run", "job.toml"])
    capsys.readouterr()
    whole = (folder / "job.h5").read_bytes()
    (folder / "short.h5").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.h5").write_bytes(b"")
    cases = {
        "none.h5": "does not exist",
        ".": "is a folder",
        "job.toml": "must be an HDF5 file",
        "empty.h5": "is empty",
        "short.h5": "is cut short",
    }
    for name, words in cases.items():
        for command in ("show", "plot"):
            assert words in refused(capsys, command, name), name
    for picture, words in (
        ("x.gif", "must end in .png"),
        ("nowhere/x.png", "must exist"),
        ("job.h5", "must end in .png"),
    ):
        assert words in refused(capsys, "plot", "job.h5", "--out", picture)
    assert (folder / "job.h5").read_bytes() == whole


def test_a_wrong_command_line_has_exit_code_2(folder, capsys):
    (folder / "job.toml").write_text(QFT)
    cases = (
        (["rnu", "job.toml"], "No such command 'rnu'"),
        (["run"], "Missing argument"),
        (["run", "job.toml", "job.toml"], "unexpected extra argument"),
        (["run", "--outt", "x", "job.toml"], "--out"),
        (["run", "job.toml", "--out"], "requires an argument"),
        (["show"], "Missing argument"),
    )
    for arguments, words in cases:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        out, err = capsys.readouterr()
        assert (end.value.code, out) == (2, ""), arguments
        assert words in err
