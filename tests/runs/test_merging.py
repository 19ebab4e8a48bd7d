"""Files of parts of a sweep become what one run of the whole sweep is, or one sentence says why not."""

import re
from dataclasses import replace

import numpy as np
import pytest

import qdist
from qdist.errors import QdistError
from qdist.runs import merging
from qdist.runs.cli import main
from qdist.runs.execute import run
from qdist.runs.jobfiles.reader import parse_job
from qdist.runs.merging import merged
from qdist.runs.results import read_result, write_result

JOB = """# One link.
[run]
title = "link"
precision = "float64"
seed = 3
[[nodes]]
name = "alice"
device = { preset = "trapped_ion", t2 = 2.0 }
[[nodes]]
name = "bob"
[[links]]
between = ["alice", "bob"]
length = 10e3 # meters
fidelity = 0.95
[program]
protocol = "pair_generation"
"""
CHAIN = """
[run]
mode = "sampled"
shots = 20
seed = 9
[network]
topology = "chain"
nodes = 3
qubits = 2
[network.link]
length = 1e3
success_probability = 0.5
[program]
protocol = "repeater_chain"
"""
LENGTHS = '"links[0].length" = [1e3, 2e3, 3e3]\n'
FIDELITIES = '"links[0].fidelity" = [0.9, 0.95]\n'


@pytest.fixture
def computed(tmp_path):
    """A function that runs jobs and writes each result to a file of its own."""

    def files(*texts):
        names = []
        for text in texts:
            names.append(tmp_path / f"part_{len(names)}.h5")
            write_result(run(parse_job(text), keep_state=False), names[-1])
        return names

    return files


def whole(text):
    return run(parse_job(text), keep_state=False)


def assert_same(found, expected):
    """The same axes and arrays, but for clocks on the wall, and what both say about the run."""
    assert found.axes == expected.axes
    assert found.data.keys() == expected.data.keys()
    for path, array in expected.data.items():
        assert found.dims(path) == expected.dims(path), path
        if not path.endswith("_seconds"):
            np.testing.assert_array_equal(found[path], array, err_msg=path)
    for name in ("mode", "seed", "precision", "title", "shots"):
        assert found.attributes.get(name) == expected.attributes.get(name), name


def test_single_jobs_become_the_sweep_over_the_number_in_which_they_differ(computed):
    files = computed(*(JOB.replace("10e3", text) for text in ("3e3", "1000", "2e3")))
    assert_same(merged(files), whole(f"{JOB}[sweep]\n{LENGTHS}"))


def test_a_grid_of_single_jobs_has_an_axis_for_each_number_in_the_order_of_the_job(computed):
    texts = [JOB.replace("0.95", f).replace("10e3", n) for f in ("0.9", "0.95") for n in ("1e3", "2e3", "3e3")]
    assert_same(merged(computed(*texts)), whole(f"{JOB}[sweep]\n{LENGTHS}{FIDELITIES}"))


def test_parts_of_a_sweep_have_the_values_of_an_axis_shared_out(computed):
    parts = '"links[0].length" = [3e3]\n', '"links[0].length" = [1e3, 2e3]\n'
    texts = [f"{JOB}[sweep]\n{part}{FIDELITIES}" for part in parts]
    assert_same(merged(computed(*texts)), whole(f"{JOB}[sweep]\n{LENGTHS}{FIDELITIES}"))


def test_sweeps_at_different_values_of_another_number_gain_an_axis(computed):
    texts = [f"{JOB.replace('10e3', length)}[sweep]\n{FIDELITIES}" for length in ("1e3", "2e3", "3e3")]
    assert_same(merged(computed(*texts)), whole(f"{JOB}[sweep]\n{LENGTHS}{FIDELITIES}"))


def test_a_single_job_completes_a_sweep(computed):
    files = computed(f"{JOB}[sweep]\n{LENGTHS}", JOB.replace("10e3", "5e3"))
    assert_same(merged(files), whole(f"{JOB}[sweep]\n" + LENGTHS.replace("]\n", ", 5e3]\n")))


def test_points_with_other_pairs_outcomes_and_seeds_are_joined_as_in_a_sweep(computed):
    changed = [CHAIN.replace("nodes = 3", f"nodes = {nodes}") for nodes in (2, 4)]
    texts = [f'{text}[sweep]\n"run.seed" = [{seed}]\n' for text in changed for seed in (1, 5)]
    found = merged(computed(*texts))
    assert_same(found, whole(f'{CHAIN}[sweep]\n"network.nodes" = [2, 4]\n"run.seed" = [1, 5]\n'))
    assert "seed" not in found.attributes


def test_the_job_of_the_whole_asks_for_the_whole_and_can_be_merged_again(computed, tmp_path):
    rows = []
    for number, fidelity in enumerate(("0.9", "0.95")):
        rows.append(tmp_path / f"row_{number}.h5")
        texts = [JOB.replace("0.95", fidelity).replace("10e3", length) for length in ("1e3", "2e3", "3e3")]
        found = merged(computed(*texts))
        write_result(found, rows[-1])
        assert "# meters" in found.attributes["job"]
        assert_same(found, whole(found.attributes["job"]))
    both = merged(rows)
    assert_same(both, whole(both.attributes["job"]))
    assert [axis.path for axis in both.axes] == ["links[0].fidelity", "links[0].length"]


SECTIONS = {
    "in the middle": ("[program]", f"[sweep]\n{FIDELITIES} # and more\n\n[program]"),
    "values on many lines": ("[program]", '[sweep]\n"links[0].fidelity" = [\n  0.9, # [run]\n  0.95,\n]\n[program]'),
    "a table in a line": ("# One link.\n", 'sweep = { "links[0].fidelity" = [0.9, 0.95] }\n'),
    "a range": ("[program]", '[sweep."links[0].fidelity"]\nstart = 0.9\nstop = 0.95\nnum = 2\n[program]'),
    "a key with a dot": ("# One link.\n", 'sweep."links[0].fidelity" = [0.9, 0.95]\n'),
}


@pytest.mark.parametrize("place", SECTIONS)
def test_a_section_sweep_is_replaced_wherever_it_stands(computed, place):
    old, new = SECTIONS[place]
    texts = [JOB.replace(old, new).replace("10e3", length) for length in ("1e3", "2e3", "3e3")]
    found = merged(computed(*texts))
    assert_same(found, whole(f"{JOB}[sweep]\n{LENGTHS}{FIDELITIES}"))
    assert_same(found, whole(found.attributes["job"]))


def test_titles_and_ranks_may_differ(computed):
    first, second = JOB, JOB.replace("10e3", "2e3").replace('"link"', '"another"') + "[ranks]\nper_state = 1\n"
    found = merged(computed(first, second))
    assert found.axes[0].values == (2e3, 10e3)
    assert not {"title", "wall_seconds", "ranks"} & set(found.attributes)


def test_one_file_stays_what_it_is(computed):
    (file,) = computed(JOB)
    assert merged([file]).axes == ()
    with pytest.raises(QdistError, match="must be at least one, but none is given"):
        merged([])


REFUSED = {
    "mode": (JOB.replace("seed = 3", 'seed = 3\nmode = "sampled"'), "`run.mode` is not given in '.*' and 'sampled' in"),
    "seed left out": (JOB.replace("seed = 3", ""), "only in numbers .* `run.seed` is not given in '.*1.h5' and 3 in"),
    "name": (JOB.replace("bob", "bert"), r"`nodes\[1\].name` is 'bob' in '.*' and 'bert' in '.*'\. Merge those"),
    "more nodes": (JOB.replace("[[links]]", '[[nodes]]\nname = "carl"\n[[links]]', 1), "`nodes` is a list in"),
    "device": (JOB.replace('{ preset = "trapped_ion", t2 = 2.0 }', '"trapped_ion"'), r"`nodes\[0\].device` is a table"),
    "same": (JOB, "each point once, but '.*part_0.h5' and '.*part_1.h5' both hold the same job. Leave one out"),
    "overlap": (f"{JOB}[sweep]\n" + LENGTHS.replace("3e3", "10e3"), r"both hold `links\[0\].length` = 10000.0\."),
    "hole": (
        JOB.replace("10e3", "2e3").replace("0.95", "0.9"),
        r"all 2 × 2 points of a grid, but 2 are missing, the first at "
        r"`links\[0\].length` = 2000.0, `links\[0\].fidelity` = 0.95\. Run what is missing",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_grid_is_refused_in_one_sentence(computed, case):
    text, sentence = REFUSED[case]
    with pytest.raises(QdistError, match=sentence):
        merged(computed(JOB, text))


def test_a_swept_number_that_another_job_leaves_out_is_refused(computed):
    texts = f"{JOB}[sweep]\n{FIDELITIES}", JOB.replace("fidelity = 0.95\n", "")
    with pytest.raises(QdistError, match=r"`links\[0\].fidelity` is not given in '.*part_1.h5'"):
        merged(computed(*texts))


STRANGE = {
    "no job": ({"job": ""}, "must have the text of its job, but '.*part_1.h5' was run from Python"),
    "no TOML": ({"job": "[run"}, "must have a job that can be read, but that of '.*part_1.h5' cannot"),
    "deep": ({"job": f"a = {'[' * 9000}"}, "must have a job that can be read"),
    "other sections": ({"job": "run = 3\nnodes = 4\n"}, "differ only in numbers"),
    "huge seed": ({"job": JOB.replace("seed = 3", f"seed = {2**64}")}, "differ only in numbers"),
    "nan": ({"job": JOB.replace("10e3", "nan")}, "differ only in numbers"),
    "true": ({"job": JOB.replace("seed = 3", "seed = true")}, "differ only in numbers"),
    "unfinished": ({"finished": 0}, "must be finished, but the run of '.*part_1.h5' is not"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_strange_job_is_refused_in_one_sentence(computed, monkeypatch, case):
    """The text of a job is as little to be trusted as the rest of a file."""
    attributes, sentence = STRANGE[case]

    def read(name):
        result = read_result(name)
        return replace(result, attributes=result.attributes | attributes) if "part_1" in name else result

    monkeypatch.setattr(merging, "read_result", read)
    with pytest.raises(QdistError, match=sentence):
        merged(computed(JOB, JOB.replace("10e3", "2e3")))


def test_jobs_nested_too_deeply_to_compare_are_refused(computed, monkeypatch):
    job = f"{'.'.join('a' * 3_000)} = 1\n"
    monkeypatch.setattr(merging, "read_result", lambda name: replace(read_result(name), attributes={"job": job}))
    with pytest.raises(QdistError, match="must not be nested so deeply, but one of 2 is"):
        merged(computed(JOB, JOB))


def test_an_axis_that_its_job_does_not_have_is_refused(computed, monkeypatch):
    def read(name):
        result = read_result(name)
        return replace(result, axes=tuple(replace(axis, path="links[7].length") for axis in result.axes))

    monkeypatch.setattr(merging, "read_result", read)
    with pytest.raises(QdistError, match=r"that of '.*part_0.h5' cannot: `links\[7\]` must be an entry of this job"):
        merged(computed(f"{JOB}[sweep]\n{LENGTHS}", JOB))


def test_open_shows_many_files_as_one(computed):
    tree = qdist.open(computed(JOB.replace("10e3", "1e3"), JOB))
    assert tree["metrics/fidelity"].dims == ("links_0_length", "step", "pair")
    assert tree["sweep/links_0_length"].attrs["units"] == "m"
    assert tree.attrs["sweep"] == "links_0_length"


def qdist_(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return (end.value.code, *capsys.readouterr())


def test_the_command_writes_the_whole_sweep(computed, tmp_path, capsys):
    files = computed(*(JOB.replace("10e3", text) for text in ("1e3", "2e3", "3e3")))
    code, out, err = qdist_(capsys, "merge", *files, "--out", tmp_path / "all.h5")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"Wrote .*all\.h5 with 3 points\. Look at it with: qdist show .*all\.h5\n", out)
    assert_same(read_result(tmp_path / "all.h5"), merged(files))


def test_the_command_overwrites_none_of_its_files(computed, capsys):
    files = computed(JOB, JOB.replace("10e3", "2e3"))
    before = files[0].read_bytes()
    code, out, err = qdist_(capsys, "merge", *files, "--out", files[0])
    assert (code, out) == (2, "")
    assert "must be another file than those that are merged" in err
    assert files[0].read_bytes() == before
    assert qdist_(capsys, "merge", *files)[0] == 2
