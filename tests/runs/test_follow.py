"""`qdist show --follow` tells each row of a growing result once, as it comes, and ends when the run has ended."""

import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.runs import cli
from qdist.runs.results import read_result, write_result
from qdist.runs.views.follow import followed
from tests.sample_results import outcomes, repeater_chain, sweep

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"}
SWEEP = """[run]
title = "Bell pair"
precision = "float64"
[network]
topology = "chain"
nodes = 3
qubits = 2
device = "trapped_ion"
[network.link]
length = 10e3
fidelity = 0.94
success_probability = 0.1
[program]
protocol = "repeater_chain"
[sweep]
"""


def finished(result, value=1):
    return replace(result, attributes={**result.attributes, "finished": value})


def unfinished(result, records=None):
    """The result as it was when it had fewer records."""
    data = dict(result.data)
    for path, array in data.items():
        if path.startswith("metrics/") and result.dims(path)[:1] == ("step",):
            data[path] = array[:records]
    return finished(replace(result, data=data), 0)


def with_points(result, done):
    """A sweep of which so many points are done."""
    data = {path: array.copy() for path, array in result.data.items()}
    success = np.ones([len(axis.values) for axis in result.axes])
    success.reshape(-1)[done:] = np.nan
    return finished(replace(result, data={**data, "results/success_probability": success}), int(done == success.size))


def with_shots(done, success, finish=0):
    """A sampled run of 4000 shots of which so many were begun."""
    result = outcomes(1)
    kept = round(done * success)
    data = {"results/counts": np.array([kept - kept // 2, kept // 2]), "results/success_probability": np.array(success)}
    return finished(replace(result, data={**result.data, **data}), finish)


def grow(path, versions):
    """A waiting function that writes the next version each time."""
    left = iter(versions)
    return lambda seconds: write_result(next(left), path)


def never(seconds):
    raise AssertionError("it waited")


def lines_of(path, versions):
    return list(followed(path, grow(path, versions)))


def test_rows_are_told_once_as_they_come(tmp_path):
    result = finished(repeater_chain(3))
    versions = [unfinished(result, 1), unfinished(result, 1), unfinished(result, 3), result]
    told = []
    path = tmp_path / "chain.h5"
    write = grow(path, versions)

    def wait(seconds):
        told.append(len(lines))
        write(seconds)

    lines = []
    for line in followed(path, wait):
        lines.append(line)
    assert told == [0, 1, 1, 3]
    assert [line.split()[1] for line in lines] == [str(step) for step in result["metrics/step"]]


def test_a_row_has_its_moment_its_label_and_the_pairs_that_exist(tmp_path):
    path = tmp_path / "chain.h5"
    write_result(finished(repeater_chain(4)), path)
    lines = list(followed(path, never))
    assert lines[0] == (
        "step    0 at       0 s, record 0: fidelity alice/0-r1/0 0.9700, r1/0-r2/0 0.9625, r2/0-bob/0 0.9550"
    )
    w = 0.96 * 0.95 * 0.94 * np.exp(-400e-6 / 2e-3)  # the qubits of all links wait
    assert lines[-1] == f"step   16 at    250 µs, record 4: fidelity alice/0-bob/0 {(1 + 3 * w) / 4:.4f}"
    assert len({line.index(",") for line in lines}) == 1


def test_a_verdict_is_told_by_its_word(tmp_path):
    result = finished(repeater_chain(3))
    for path in [path for path in result.data if path.startswith("metrics/")]:
        if len(result.dims(path)) == 2 and path != "metrics/verdict":
            del result.data[path]
    path = tmp_path / "chain.h5"
    write_result(result, path)
    assert list(followed(path, never))[-1].endswith(": verdict alice/0-bob/0 bell-nonlocal")


def test_a_line_says_how_many_pairs_do_not_fit(tmp_path):
    path = tmp_path / "chain.h5"
    write_result(finished(repeater_chain(12)), path)
    lines = list(followed(path, never))
    assert all(len(line) <= 100 for line in lines)
    first = lines[0]
    shown, left = first.count("/0-"), int(first.split("and ")[1].split()[0])
    assert shown > 1
    assert shown + left == 11


def test_the_unit_of_a_metric_and_its_standard_error_are_told(tmp_path):
    result = finished(repeater_chain(3, sampled=True))
    for name in ("fidelity", "fidelity_stderr"):
        del result.data[f"metrics/{name}"]
    path = tmp_path / "chain.h5"
    write_result(result, path)
    (line,) = followed(path, never)
    assert line.startswith("10,000 shots: mutual information (bit) alice/0-bob/0 ")
    assert line.endswith(" ± 0.01")


def test_shots_are_counted_until_the_run_has_ended(tmp_path):
    versions = [with_shots(100, 1.0), with_shots(2500, 1.0), with_shots(4000, 1.0, 1)]
    assert lines_of(tmp_path / "ghz.h5", versions) == [
        "  100 of 4,000 shots",
        "2,500 of 4,000 shots",
        "4,000 of 4,000 shots",
    ]


def test_shots_that_a_herald_stopped_are_counted_too(tmp_path):
    versions = [with_shots(1000, 0.25), with_shots(4000, 0.25, 1)]
    assert lines_of(tmp_path / "ghz.h5", versions) == [
        "1,000 of 4,000 shots,   250 passed all heralds",
        "4,000 of 4,000 shots, 1,000 passed all heralds",
    ]


def test_a_sampled_run_without_outcomes_does_not_claim_to_be_done(tmp_path):
    result = with_shots(100, 1.0)
    for path in [path for path in result.data if path.startswith("results/")]:
        del result.data[path]
    assert lines_of(tmp_path / "ghz.h5", [result, finished(result)]) == ["some of 4,000 shots", "4,000 shots"]


@pytest.mark.parametrize("axes", [1, 2])
def test_points_of_a_sweep_are_counted(tmp_path, axes):
    result = sweep(axes)
    total = 3 * axes
    versions = [with_points(result, done) for done in (1, 2, total)]
    assert lines_of(tmp_path / "sweep.h5", versions) == [f"{done} of {total} points" for done in (1, 2, total)]


def test_a_finished_file_is_told_at_once(tmp_path):
    path = tmp_path / "chain.h5"
    for result in (finished(repeater_chain(3)), repeater_chain(3)):  # an older one does not say that it is finished
        write_result(result, path)
        assert len(list(followed(path, never))) == len(result["metrics/step"])


def test_a_file_that_begins_anew_is_told_from_its_beginning(tmp_path):
    """Another run replaces the file of one that was killed."""
    result = finished(repeater_chain(3))
    lines = lines_of(tmp_path / "chain.h5", [unfinished(result, 3), unfinished(result, 1), result])
    rows = len(result["metrics/step"])
    assert [line.split()[1] for line in lines] == [str(4 * row) for row in (*range(3), *range(rows))]


def test_a_file_that_vanishes_for_a_while_is_waited_for(tmp_path):
    path, result = tmp_path / "chain.h5", finished(repeater_chain(3))
    acts = iter([lambda: write_result(unfinished(result, 1), path), path.unlink, lambda: write_result(result, path)])
    assert len(list(followed(path, lambda seconds: next(acts)()))) == len(result["metrics/step"])


def test_text_from_a_file_cannot_command_the_terminal(tmp_path):
    result = finished(repeater_chain(3))
    result.data["metrics/label"] = np.array(["\x1b[2Jboo"] * len(result["metrics/step"]))
    pairs = [f"{pair}\n\x07" for pair in result["metrics/pair"]]
    result.data["metrics/pair"] = np.array(pairs)
    path = tmp_path / "chain.h5"
    write_result(result, path)
    for line in followed(path, never):
        assert line.isprintable()
        assert "?[2Jboo" in line


@pytest.mark.parametrize("content", [b"", b"mine", b"\x89HDF\r\n\x1a\n cut"], ids=["empty", "text", "cut"])
def test_what_is_no_result_is_one_sentence(tmp_path, capsys, content):
    path = tmp_path / "notes.h5"
    path.write_bytes(content)
    assert shown(path, capsys)[:2] == (2, "")


def test_damage_is_one_sentence(tmp_path, capsys):
    path, result = tmp_path / "chain.h5", finished(repeater_chain(3))
    write_result(result, path)
    content = path.read_bytes()
    place = content.find(result["metrics/fidelity"].tobytes())
    path.write_bytes(content[: place + 3] + bytes([content[place + 3] ^ 1]) + content[place + 4 :])
    code, out, err = shown(path, capsys)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert str(path) in err
    assert "damaged" in err


def test_a_folder_that_is_not_there_is_a_mistake(tmp_path):
    with pytest.raises(QdistError, match="must be in a folder that exists"):
        next(followed(tmp_path / "nowhere" / "chain.h5", never))


def shown(path, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["show", "--follow", str(path)])
    return (end.value.code, *capsys.readouterr())


def test_the_command_says_that_it_waits_and_ends_with_the_main_numbers(tmp_path, capsys):
    path, result = tmp_path / "chain.h5", finished(repeater_chain(3))
    writer = threading.Timer(0.6, lambda: write_result(result, path))
    writer.start()
    code, out, err = shown(path, capsys)
    writer.join()
    assert (code, err) == (0, f"{path} is not there yet: waiting for it. Ctrl-C ends this.\n")
    assert out.startswith("step    0 at")
    assert "Metrics of each pair, last value in 4 records" in out


def test_a_real_run_is_followed_from_before_its_first_point_to_its_end(tmp_path):
    """A sweep that takes some seconds, followed by another process that was there first."""
    lengths = ", ".join(map(str, range(1000, 61000, 100)))
    (tmp_path / "job.toml").write_text(f'{SWEEP}"network.link.length" = [{lengths}]\n')
    qdist = [sys.executable, "-m", "qdist"]
    pipes = {"env": ENVIRONMENT, "cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*qdist, "show", "--follow", "job.h5"], **pipes) as reader:
        assert reader.stderr.readline() == "job.h5 is not there yet: waiting for it. Ctrl-C ends this.\n"
        with subprocess.Popen([*qdist, "run", "job.toml"], **pipes) as run:
            before_the_end = reader.stdout.readline()
            still_running = run.poll() is None
            assert run.wait(120) == 0, run.stderr.read()
        rest = reader.stdout.read().splitlines()
        assert reader.wait(30) == 0, reader.stderr.read()
    points = [re.fullmatch(r" *(\d+) of 600 points", line.rstrip()) for line in (before_the_end, *rest)]
    done = [int(point[1]) for point in points if point]
    assert still_running
    assert 0 < done[0] < done[-1] == 600
    assert done == sorted(set(done))
    assert read_result(tmp_path / "job.h5").attributes["finished"] == 1
    assert "Sweep of 600 points" in "\n".join(rest)
