"""A sweep is its points: the same numbers as one run for each, on any number of ranks, in arrays with named axes."""

import pickle
import re
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest
import xarray

from qdist.errors import QdistError
from qdist.machine.comm import SERIAL
from qdist.machine.memory import available_bytes
from qdist.runs import schema
from qdist.runs.execute import run
from qdist.runs.job import Job
from qdist.runs.jobfiles.numbers import find_number, key_path, placed
from qdist.runs.jobfiles.reader import parse_job, read_job
from qdist.runs.results import Result, read_result, write_result
from qdist.runs.schema import NO_PAIR, Axis
from qdist.runs.stacking import stacked
from qdist.runs.sweep import Sweep, run_sweep
from tests.threads import run_ranks

CHAIN = """
[run]
title = "chain"
precision = "float64"
[[nodes]]
name = "alice"
qubits = 4
device = "trapped_ion"
[[nodes]]
name = "bob"
qubits = 4
device = { preset = "trapped_ion", t2 = 2.0 }
[[nodes]]
name = "carl"
qubits = 4
[[links]]
between = ["alice", "bob"]
length = 10e3
fidelity = 0.95
[[links]]
between = ["bob", "carl"]
weights = [0.9, 0.1, 0.0, 0.0]
[program]
protocol = "repeater_chain"
generation = "sequential"
"""
SHAPE = """
[network]
topology = "chain"
nodes = 3
qubits = 4
[program]
protocol = "repeater_chain"
[record]
probabilities = false
"""
JOBS = Path(__file__).parents[2] / "jobs"
BELL = 'OPENQASM 3; include "stdgates.inc"; qubit[2] q; bit[2] c; h q[0]; cx q[0], q[1]; c = measure q;'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bell.qasm").write_text(BELL)
    return tmp_path


def swept(text, *lines, **options):
    found = parse_job(f"{text}\n[sweep]\n" + "\n".join(lines), **options)
    assert isinstance(found, Sweep)
    return found


def point(job, comm=SERIAL, *_):
    return run(job, keep_state=False)


def values(text, line):
    return swept(text, line).axes[0].values


# What a job file says.


def test_the_points_are_the_grid_of_all_values_the_last_path_changing_fastest():
    found = swept(SHAPE, '"network.link.length" = [1e3, 2e3]', '"network.link.fidelity" = [0.9, 0.8, 0.7]')
    assert [axis.name for axis in found.axes] == ["network_link_length", "network_link_fidelity"]
    assert (found.shape, len(found)) == ((2, 3), 6)
    jobs = [found.job(number) for number in range(6)]
    links = [(job.network.links[0].length, job.network.links[0].fidelity) for job in jobs]
    assert links == [(1e3, 0.9), (1e3, 0.8), (1e3, 0.7), (2e3, 0.9), (2e3, 0.8), (2e3, 0.7)]
    assert [found.point(number) for number in range(6)] == links


def test_a_job_without_a_sweep_is_a_job():
    assert isinstance(parse_job(SHAPE), Job)


def test_the_job_of_a_point_is_the_job_of_the_text_with_the_number_in_it():
    found = swept(CHAIN, '"links[0].fidelity" = [0.9, 0.8]', '"nodes[1].device.t2" = [0.5]')
    text = CHAIN.replace("0.95", "0.8").replace("t2 = 2.0", "t2 = 0.5")
    expected = parse_job(text)
    assert (found.job(1).network, found.job(1).program) == (expected.network, expected.program)
    assert found.job(1).text == found.text


FIELDS = (
    # The path, a value, and how the job has it then: fields in the file, fields with defaults, and parts of lists.
    (CHAIN, "links[0].length", 5.0, lambda job: job.network.links[0].length),
    (CHAIN, "links[1].success_probability", 0.5, lambda job: job.network.links[1].success_probability),
    (CHAIN, "nodes[0].device.t2", 0.25, lambda job: job.network.nodes[0].device.t2),
    (CHAIN, "nodes[1].device.t1", 7.5, lambda job: job.network.nodes[1].device.t1),
    (CHAIN, "nodes[2].device.t2", 0.25, lambda job: job.network.nodes[2].device.t2),
    (CHAIN, "nodes[2].qubits", 7, lambda job: job.network.nodes[2].qubits),
    (CHAIN, "run.seed", 2**60 + 1, lambda job: job.seed),
    (SHAPE, "network.nodes", 4, lambda job: len(job.network.nodes)),
    (SHAPE, "network.link.loss_db_per_km", 0.5, lambda job: job.network.links[0].loss_db_per_km),
    (SHAPE, "network.device.readout_p01", 0.5, lambda job: job.network.nodes[2].device.readout_p01),
)


@pytest.mark.parametrize(("text", "path", "value", "read"), FIELDS, ids=[row[1] for row in FIELDS])
def test_a_swept_number_arrives_in_the_job(text, path, value, read):
    found = swept(text, f'"{path}" = [{value}]')
    assert read(found.job(0)) == value
    assert type(found.axes[0].values[0]) is type(value)


def test_parameters_of_a_protocol_can_be_swept():
    text = SHAPE.replace('"repeater_chain"', '"purification"\nbetween = ["n0", "n1"]')
    found = swept(text, '"program.rounds" = [0, 2]')
    for number, rounds in enumerate((0, 2)):
        expected = parse_job(text.replace('"purification"', f'"purification"\nrounds = {rounds}'))
        assert found.job(number).program == expected.program


def test_numbers_of_circuits_can_be_swept(folder):
    text = '[run]\nprecision = "float64"\n[program]\ncircuit = "bell.qasm"\n'
    cases = {
        '"noise.readout.p01" = [0.0, 0.25]': (0.5, 0.5 * 0.75**2),
        '"noise.one_qubit.dephasing" = [0.0, 0.5]': (0.5, 0.5),
        '"noise.two_qubit.depolarizing" = [0.0, 0.9375]': (0.5, 0.25),
        '"noise.two_qubit.pauli_channel.x" = [0.5]': (0.25,),
    }
    for line, expected in cases.items():
        found = run_sweep(swept(text, line, folder=folder), point)
        np.testing.assert_allclose(found.probability("00"), expected, atol=1e-12, err_msg=line)


def test_the_outcome_that_is_kept_can_be_swept(folder):
    text = '[program]\ncircuit = "bell.qasm"\n[run]\nmode = "postselected"\npostselect = { "c[0]" = 0 }\n'
    found = run_sweep(swept(text, "'run.postselect.\"c[0]\"' = [0, 1]", folder=folder), point)
    assert found.axes[0].name == "run_postselect_c_0"
    np.testing.assert_allclose(found.probability("11"), [0, 1], atol=1e-6)


def test_a_circuit_is_read_once_for_all_points(folder):
    found = swept('[program]\ncircuit = "bell.qasm"\n', '"noise.readout.p01" = [0.0, 0.25]', folder=folder)
    (folder / "bell.qasm").unlink()
    assert found.job(1).program.bits == ("c[0]", "c[1]")


def test_ranges_have_both_ends_and_the_numbers_that_a_person_would_type():
    line = '"network.link.fidelity" = {{ {} }}'
    assert values(SHAPE, line.format("start = 0.5, stop = 1, num = 6")) == (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    assert values(SHAPE, line.format("start = 0.9, stop = 0.3, num = 3")) == (0.9, 0.6, 0.3)
    third = values(SHAPE, line.format("start = 0.0, stop = 1.0, num = 4"))[1]
    assert third == pytest.approx(1 / 3, abs=1e-12)
    length = '"network.link.length" = {{ start = {}, stop = {}, num = {}, spacing = "log" }}'
    assert values(SHAPE, length.format("1", "1e5", 6)) == (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
    assert values(SHAPE, length.format("1e5", "1", 3)) == pytest.approx((1e5, 10**2.5, 1))


def test_ranges_over_whole_numbers_are_whole_numbers():
    seeds = '"run.seed" = {{ start = {}, stop = {}, num = {}, spacing = "{}" }}'
    assert values(SHAPE, seeds.format(2**62, 2**62 + 4, 3, "linear")) == (2**62, 2**62 + 2, 2**62 + 4)
    assert values(SHAPE, seeds.format(10, 4, 3, "linear")) == (10, 7, 4)
    found = values(SHAPE, seeds.format(1, 1000, 4, "log"))
    assert found == (1, 10, 100, 1000)
    assert all(type(value) is int for value in found)


def test_lifetimes_may_be_infinite():
    found = swept(SHAPE, '"network.device.t2" = [0.5, inf]')
    assert found.job(1).network.nodes[0].device.t2 == np.inf


def test_units_and_names_are_those_of_the_field(folder):
    cases = {
        (CHAIN, "links[1].length"): ("m", "length of bob-carl"),
        (CHAIN, "nodes[0].device.t2"): ("s", "t2 of alice"),
        (CHAIN, "links[1].weights[2]"): ("1", "weights[2] of bob-carl"),
        (SHAPE, "network.link.loss_db_per_km"): ("dB/km", "loss db per km of every link"),
        (SHAPE, "network.device.two_qubit_duration"): ("s", "two qubit duration of every node"),
        (SHAPE, "run.seed"): ("1", "seed"),
        (SHAPE, "noise.one_qubit.over_rotation.angle"): ("rad", "angle, one qubit"),
        (SHAPE, "noise.readout.p01"): ("1", "p01, readout"),
    }
    for (text, path), expected in cases.items():
        number = find_number(path, tomllib.loads(text))
        assert (number.units, number.long_name) == expected, path


def test_paths_are_read_with_their_numbers_and_quotes():
    assert key_path('links[0].matrix[1][2]."a.b".c') == ("links", 0, "matrix", 1, 2, "a.b", "c")
    for wrong in ("", ".", "a.", "a..b", "a[", "a[x]", "a[-1]", "[0]", "a b", 'a."b', "a[0]b"):
        with pytest.raises(QdistError, match="must be a path such as"):
            key_path(wrong)


def test_setting_a_number_changes_a_copy():
    table = {"nodes": [{"device": "x"}, {}]}
    assert placed(table, ("nodes", 0, "device", "t2"), 1.0)["nodes"][0] == {"device": {"preset": "x", "t2": 1.0}}
    assert placed(table, ("nodes", 1, "device", "t2"), 1.0)["nodes"] == [{"device": "x"}, {"device": {"t2": 1.0}}]
    assert table == {"nodes": [{"device": "x"}, {}]}


def test_names_of_coordinates_are_letters_digits_and_underscores_and_differ(folder):
    text = '[program]\ncircuit = "bell.qasm"\n[run]\nmode = "postselected"\npostselect = { "c[0]" = 0, "c[1]" = 0 }\n'
    lines = ["'run.postselect.\"c[0]\"' = [0]", '\'"run".postselect."c[1]"\' = [0]', "'run.\"seed\"' = [1]"]
    found = swept(text, *lines, folder=folder)
    assert [axis.name for axis in found.axes] == ["run_postselect_c_0", "run_postselect_c_1", "run_seed"]
    (folder / "bell.qasm").write_text(BELL + " bit[1] c_; c_[0] = measure q[0];")
    lines = ["'run.postselect.\"c[0]\"' = [0]", "'run.postselect.\"c_[0]\"' = [0]"]
    found = swept(text.replace("c[1]", "c_[0]"), *lines, folder=folder)
    assert [axis.name for axis in found.axes] == ["run_postselect_c_0", "run_postselect_c_0_1"]


def test_a_sweep_can_be_given_to_another_process(folder):
    found = swept('[program]\ncircuit = "bell.qasm"\n', '"noise.readout.p01" = [0.0, 0.25]', folder=folder)
    given = pickle.loads(pickle.dumps(found))
    assert (given.axes, given.title, given.text) == (found.axes, found.title, found.text)
    assert given.job(1).program.bits == found.job(1).program.bits


# When points are checked.


@pytest.fixture
def made(monkeypatch):
    """The points whose jobs are made, as they are made."""
    points = []
    job = Sweep.job
    monkeypatch.setattr(Sweep, "job", lambda self, number: (points.append(self.point(number)), job(self, number))[1])
    return points


def test_every_point_of_a_small_sweep_is_checked_when_the_file_is_read(made):
    swept(CHAIN, '"links[0].fidelity" = [0.9, 0.8, 0.7]', '"run.seed" = [1, 2, 3]')
    assert made == [(fidelity, seed) for fidelity in (0.9, 0.8, 0.7) for seed in (1, 2, 3)]
    lines = ('"nodes[1].device.t1" = [1.0, 3.0, 2.0]', '"nodes[1].device.t2" = [1.0, 5.0, 3.0]')
    with pytest.raises(QdistError, match=r"line 29, `nodes\[1\].device.t2`: .* at most 2·t1 = 2 s, but is 5 s"):
        swept(CHAIN, *lines)


def test_of_a_large_sweep_only_the_smallest_and_largest_values_are_checked_when_the_file_is_read(made):
    middle, wide = "{ start = 0.5, stop = 1.0, num = 300 }", "[2e3, 1e3, 5e3, 3e3]"
    found = swept(CHAIN, f'"links[0].fidelity" = {middle}', f'"links[0].length" = {wide}')
    assert len(found) == 1200
    assert sorted(made) == [(0.5, 1e3), (0.5, 5e3), (1.0, 1e3), (1.0, 5e3)]
    with pytest.raises(QdistError, match=r"but is 1\.5.*This is at `links\[0\]\.fidelity` = 1\.5\."):
        swept(CHAIN, f'"links[0].fidelity" = {middle.replace("1.0", "1.5")}')


def test_a_mistake_that_is_not_of_the_sweep_does_not_speak_of_points():
    with pytest.raises(QdistError) as error:
        swept(SHAPE.replace("qubits", "qbits"), '"network.link.length" = [1.0]')
    assert "This is at" not in str(error.value)
    assert "line 5, `network.qbits`" in str(error.value)


# Running.


def test_each_point_has_the_numbers_of_its_own_run():
    found = swept(CHAIN, '"links[0].fidelity" = [0.9, 0.8]', '"nodes[0].device.t2" = [0.1, 1.0, 10.0]')
    result = run_sweep(found, point)
    for number in range(6):
        place = np.unravel_index(number, (2, 3))
        alone = point(found.job(number))
        for path, array in without_traffic(alone).items():
            together = result[path][place] if result.dims(path)[0] == "links_0_fidelity" else result[path]
            np.testing.assert_array_equal(together, array, err_msg=path)


@pytest.mark.parametrize(("ranks", "ranks_per_point"), [(1, 1), (2, 1), (4, 1), (4, 2), (4, 4), (8, 2)])
def test_the_result_is_the_same_for_any_number_of_ranks(ranks, ranks_per_point):
    found = swept(CHAIN, '"links[0].fidelity" = [0.9, 0.8, 0.7]', '"run.seed" = [1, 2, 3]')
    alone = run_sweep(found, point)
    sizes = []

    def run_point(job, comm, *_):
        sizes.append(comm.size)
        return point(job)

    results = run_ranks(ranks, lambda comm: run_sweep(found, run_point, comm, ranks_per_point=ranks_per_point))
    assert set(sizes) == {ranks_per_point}
    assert len(sizes) == 9 * ranks_per_point
    for result in results:
        assert_same(result, alone)
    assert len({result.attributes["wall_seconds"] for result in results}) == 1
    assert {result.attributes["ranks"] for result in results} == {ranks}


def test_points_are_dealt_to_the_groups_in_turn():
    found = swept(SHAPE, f'"run.seed" = {list(range(10))}')
    dealt = {}

    def run_point(job, comm, *_):
        dealt[job.seed] = comm.rank, threading.get_ident()
        return point(job)

    run_ranks(4, lambda comm: run_sweep(found, run_point, comm))
    for seed in range(10):
        assert dealt[seed] == dealt[seed % 4]


def without_traffic(result):
    """The arrays that do not look at the clock on the wall."""
    return {path: array for path, array in result.data.items() if not path.startswith("traffic/")}


def assert_same(result, expected):
    assert result.axes == expected.axes
    assert list(result.data) == list(expected.data)
    for path, array in without_traffic(expected).items():
        np.testing.assert_array_equal(result[path], array, err_msg=path)
    for name, value in expected.attributes.items():
        assert name in ("ranks", "wall_seconds") or result.attributes[name] == value


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_an_error_at_a_point_says_where_on_every_rank_and_ends_the_sweep_soon(ranks):
    found = swept(SHAPE, f'"run.seed" = {list(range(1000))}', '"network.link.length" = [1.5]')
    tried, errors = [], []

    def run_point(job, comm, *_):
        tried.append(job.seed)
        if job.seed in (5, 6):
            raise QdistError("The run must end well, but did not. Try again.")
        return small(job.seed)

    def rank(comm):
        with pytest.raises(QdistError) as error:
            run_sweep(found, run_point, comm)
        errors.append(str(error.value))

    run_ranks(ranks, rank)
    expected = "The run must end well, but did not. Try again. This is at `run.seed` = 5, `network.link.length` = 1.5."
    assert errors == [expected] * ranks
    assert len(tried) <= 16


def test_a_point_that_cannot_be_made_ends_the_sweep_as_one_that_cannot_be_run():
    job = parse_job(SHAPE)

    def make(values):
        if values[0] == 2:
            raise QdistError("Two must not be, but is. Remove it.")
        return job

    with pytest.raises(QdistError, match=r"Remove it\. This is at `run\.seed` = 2"):
        run_sweep(Sweep((AXIS,), make), lambda job, comm, *_: small(1))


def small(value):
    """A result with one number."""
    return Result({"mode": "exact"}, {"results/success_probability": np.array(float(value))})


def test_results_that_would_not_fit_into_memory_are_refused_after_the_first_points(monkeypatch):
    found = swept(SHAPE, '"run.seed" = { start = 1, stop = 100000, num = 100000 }')
    large = np.zeros(available_bytes() // 8 // 50_000)
    data = {"results/outcome": np.array([""] * len(large)), "results/probabilities": large}
    tried = []
    with pytest.raises(QdistError, match=r"100,000 points of .* take .*Record less"):
        run_sweep(found, lambda job, comm, *_: (tried.append(job), Result({}, data))[1])
    assert len(tried) == 1


def test_a_number_of_ranks_that_cannot_share_points_is_refused():
    found = swept(SHAPE, '"run.seed" = [1]')
    for wrong in (0, 3, 8):
        with pytest.raises(QdistError, match=r"`per_state` must be a power of two that is at most .* 4, but is"):
            run_ranks(4, lambda comm, wrong=wrong: run_sweep(found, point, comm, ranks_per_point=wrong))


def test_progress_counts_points():
    class Bar:
        def start(self, total):
            self.total, self.count = total, 0

        def advance(self, count):
            self.count += count

        def close(self):
            self.closed = True

    bar = Bar()
    run_sweep(swept(SHAPE, '"run.seed" = [1, 2, 3]'), point, progress=bar)
    assert (bar.total, bar.count, bar.closed) == (3, 3, True)


def test_a_sweep_can_be_made_in_python():
    job = parse_job(SHAPE)
    axis = Axis("gain", "gain", (1, 2), "dB", "gain of the receiver")
    result = run_sweep(Sweep((axis,), lambda values: job, title="by hand"), point)
    assert result.attributes["title"] == "by hand"
    assert result.dims("metrics/fidelity") == ("gain", "step", "pair")
    for axes in ((), (axis, axis)):
        with pytest.raises(QdistError, match="must have different axes"):
            Sweep(axes, lambda values: job)
    for wrong in ((), (1, 1), (1, np.nan), (True,), ("x",)):
        with pytest.raises(QdistError, match="must have different numbers"):
            Axis("gain", "gain", wrong)
    for name in ("", "2gain", "a b", "a/b", "é"):
        with pytest.raises(QdistError, match="name of an axis must be"):
            Axis(name, "gain", (1,))


# Stacking.


def result(**data):
    return Result({"mode": "exact", "title": "x"}, {name.replace("__", "/"): np.array(v) for name, v in data.items()})


AXIS = Axis("run_seed", "run.seed", (1, 2))


def test_coordinates_are_joined_and_what_is_missing_says_so():
    first = result(
        metrics__step=[3, 7], metrics__pair=["a-b", "c-d"], metrics__label=["up", "down"],
        metrics__fidelity=[[0.1, 0.2], [0.3, 0.4]], metrics__verdict=[[1, 2], [3, 4]],
        results__outcome=["00", "11"], results__probabilities=[0.5, 0.5], results__counts=[3, 4],
        results__herald=["h"], results__herald_probability=[0.5],
    )  # fmt: skip
    second = result(
        metrics__step=[5, 7], metrics__pair=["e-f", "a-b"], metrics__label=["side", "down"],
        metrics__fidelity=[[0.5, 0.6], [0.7, 0.8]], metrics__verdict=[[0, 0], [1, 1]],
        results__outcome=["01", "00"], results__probabilities=[0.25, 0.75], results__counts=[1, 2],
    )  # fmt: skip
    found = stacked([AXIS], [first, second])
    nan = np.nan
    expected = {
        "metrics/step": [3, 5, 7],
        "metrics/pair": ["a-b", "c-d", "e-f"],
        "metrics/label": ["up", "side", "down"],
        "metrics/fidelity": [
            [[0.1, 0.2, nan], [nan, nan, nan], [0.3, 0.4, nan]],
            [[nan, nan, nan], [0.6, nan, 0.5], [0.8, nan, 0.7]],
        ],
        "metrics/verdict": [
            [[1, 2, NO_PAIR], [NO_PAIR] * 3, [3, 4, NO_PAIR]],
            [[NO_PAIR] * 3, [0, NO_PAIR, 0], [1, NO_PAIR, 1]],
        ],
        "results/outcome": ["00", "11", "01"],
        "results/probabilities": [[0.5, 0.5, 0], [0.75, 0, 0.25]],
        "results/counts": [[3, 4, 0], [2, 0, 1]],
        "results/herald_probability": [[0.5], [nan]],
    }
    for path, array in expected.items():
        np.testing.assert_array_equal(found[path], array, err_msg=path)
    assert found["results/counts"].dtype.kind == found["metrics/verdict"].dtype.kind == "i"


def test_labels_that_differ_between_points_gain_the_axis():
    points = [result(metrics__step=[3], metrics__label=[label]) for label in ("up", "down again")]
    found = stacked([AXIS], points)
    assert found.dims("metrics/label") == ("run_seed", "step")
    assert found["metrics/label"].tolist() == [["up"], ["down again"]]


def test_plans_are_stored_once_if_they_agree_and_keep_every_row_if_not():
    rows = {"plan__step": [2, 2, 3], "plan__bytes": [10, 30, 20]}
    assert stacked([AXIS], [result(**rows)] * 2).dims("plan/bytes") == ("step",)
    found = stacked([AXIS], [result(**rows), result(plan__step=[1, 2], plan__bytes=[5, 6])])
    assert found["plan/step"].tolist() == [1, 2, 2, 3]
    assert found["plan/bytes"].tolist() == [[0, 10, 30, 20], [5, 6, 0, 0]]


def test_whole_numbers_without_a_value_become_real():
    points = [result(ledger__link=["a-b"], ledger__attempts=[3]), result(ledger__link=["b-c"], ledger__attempts=[4])]
    np.testing.assert_array_equal(stacked([AXIS], points)["ledger/attempts"], [[3, np.nan], [np.nan, 4]])


def test_every_whole_number_of_the_schema_has_one_that_means_missing():
    for path, variable in schema.SCHEMA.items():
        is_number = variable.kind != "int" or schema.is_coordinate(path)
        assert is_number or variable.missing == int(variable.missing), path


def test_attributes_stay_if_they_are_the_same_at_every_point():
    points = [Result({"mode": "exact", "seed": seed, "total_pairs_made": 2.0}, {}) for seed in (1, 2)]
    assert stacked([AXIS], points).attributes == {"mode": "exact", "total_pairs_made": 2.0}


def test_a_sweep_over_the_number_of_nodes_joins_what_the_networks_have():
    found = run_sweep(swept(SHAPE, '"network.nodes" = [2, 4]'), point)
    assert found["network/node"].tolist() == ["n0", "n1", "n2", "n3"]
    assert found["network/length"].shape == (2, 3)
    assert np.isnan(found["network/length"][0]).tolist() == [False, True, True]
    last = found["metrics/fidelity"][1, :, found["metrics/pair"].tolist().index("n0/0-n3/0")]
    assert np.isfinite(last).any()


# Files.


def test_xarray_opens_a_sweep_with_named_axes_in_every_group(tmp_path):
    found = run_sweep(swept(CHAIN, '"links[0].fidelity" = [0.9, 0.8]', '"nodes[0].device.t2" = [0.1, inf]'), point)
    write_result(found, tmp_path / "x.h5")
    with xarray.open_datatree(tmp_path / "x.h5", engine="h5netcdf") as tree:
        for path, array in found.data.items():
            assert tree[path].dims == found.dims(path), path
            np.testing.assert_array_equal(tree[path].values.astype(array.dtype), array, err_msg=path)
        assert tree["sweep/links_0_fidelity"].attrs["path"] == "links[0].fidelity"
        assert tree["sweep/nodes_0_device_t2"].attrs["units"] == "s"
        assert tree["sweep/nodes_0_device_t2"].attrs["long_name"] == "t2 of alice"
        one = tree["metrics/fidelity"].sel(links_0_fidelity=0.8, nodes_0_device_t2=np.inf, pair="alice/0-carl/0")
        np.testing.assert_array_equal(one, found["metrics/fidelity"][1, 1, :, 0])
        np.testing.assert_array_equal(one.coords["time"], found["metrics/time"][1, 1])
    read = read_result(tmp_path / "x.h5")
    assert_same(read, found)
    assert read["sweep/links_0_fidelity"].tolist() == [0.9, 0.8]


def test_a_swept_seed_is_a_coordinate_and_no_attribute(tmp_path):
    found = run_sweep(swept(SHAPE, '"run.seed" = [5, 6]'), point)
    write_result(found, tmp_path / "x.h5")
    read = read_result(tmp_path / "x.h5")
    assert "seed" not in read.attributes
    assert read["sweep/run_seed"].dtype == np.int64


def test_the_example_of_the_readme_is_the_job_that_it_names():
    text = (JOBS.parent / "README.md").read_text(encoding="utf-8")
    block = next(block for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL) if "[sweep]" in block)
    job = (JOBS / "link_sweep.toml").read_text(encoding="utf-8")
    assert tomllib.loads(block)["sweep"] == tomllib.loads(job)["sweep"]


def test_the_example_shows_how_far_apart_nodes_may_be_for_a_key_and_for_a_bell_test():
    """Short-lived memories lose both at a length, long-lived ones keep both; ⟨ZZ⟩ knows nothing of dephasing."""
    result = run_sweep(read_job(JOBS / "link_sweep.toml"), point)
    xx, zz = np.moveaxis(result["results/correlators"], -1, 0)
    key = 1 - entropy((1 - xx) / 2) - entropy((1 - zz) / 2)
    chsh = result["metrics/chsh"][..., -1, list(result["metrics/pair"]).index("n0/0-n2/0")]
    np.testing.assert_allclose(zz, zz[0, 0], rtol=1e-9)
    for number in (key, chsh):
        assert (np.diff(number, axis=0) < 0).all()
        assert (np.diff(number, axis=1) > 0).all()
    assert (key[:, 0] > 0).tolist() == [True] * 3 + [False] * 5
    assert (chsh[:, 0] > 2).tolist() == [True] * 3 + [False] * 5
    assert (key[:, -1] > 0.36).all()


def entropy(p):
    return -p * np.log2(p) - (1 - p) * np.log2(1 - p)
