"""What `qdist check` and `qdist show --follow` say."""

from dataclasses import replace

import pytest

import qdist as qd
from qdist.errors import QdistError
from qdist.runs.results import write_result
from qdist.runs.views.check import examine
from qdist.runs.views.follow import followed
from tests.sample_results import repeater_chain


def unfinished(result, records=None):
    """The result as it was when it had fewer records."""
    data = dict(result.data)
    if records is not None:
        for path, array in data.items():
            if path.startswith("metrics/") and result.dims(path)[:1] == ("step",):
                data[path] = array[:records]
    return replace(result, data=data, attributes={**result.attributes, "finished": 0})


def grow(path, versions):
    """A waiting function that writes the next version each time."""
    left = iter(versions)
    return lambda seconds: write_result(next(left), path)


def test_rows_are_told_as_they_come_and_once(tmp_path):
    path, result = tmp_path / "chain.h5", repeater_chain(3)
    result = replace(result, attributes={**result.attributes, "finished": 1})
    versions = [unfinished(result, 1), unfinished(result, 1), unfinished(result, 2), result]
    lines = list(followed(path, grow(path, versions)))
    assert len(lines) == len(result["metrics/step"]) == len(set(lines))
    assert all(line.startswith("step ") and " at " in line for line in lines)


def test_shots_are_counted_until_the_run_has_ended(tmp_path):
    path, result = tmp_path / "chain.h5", repeater_chain(3, sampled=True)
    result = replace(result, attributes={**result.attributes, "finished": 1})
    lines = list(followed(path, grow(path, [unfinished(result), result])))
    assert len(lines) == 2
    assert all(f"{result.attributes['shots']:,} shots" in line for line in lines)


def test_a_finished_or_older_file_is_told_at_once(tmp_path):
    path, result = tmp_path / "chain.h5", repeater_chain(3)
    write_result(result, path)

    def never(seconds):
        raise AssertionError

    assert len(list(followed(path, never))) == len(result["metrics/step"])


def test_whole_results_and_checkpoints_are_whole(tmp_path):
    path = tmp_path / "chain.h5"
    write_result(repeater_chain(3), path)
    assert examine(path).is_whole
    program = qd.Program((qd.Prepare(("a/0", "a/1")), qd.apply("h", "a/0"), qd.apply("cx", "a/0", "a/1")))
    job = qd.Job(program=program, network=qd.Network((qd.Node("a", 2),)), saving=qd.Saving(every_steps=1))
    qd.run(job, checkpoints=qd.Checkpoints(tmp_path / "chain.checkpoints"))
    found = examine(path)
    assert found.is_whole
    assert len(found.lines) > 1
    assert "operations done" in found.lines[-1] or "operation" in found.lines[-1]


def test_a_damaged_result_says_what_can_still_be_read(tmp_path):
    path = tmp_path / "chain.h5"
    result = repeater_chain(3)
    write_result(result, path)
    content = bytearray(path.read_bytes())
    place = content.find(result["metrics/fidelity"].astype("<f8").tobytes())
    assert place > 0
    content[place + 3] ^= 1
    path.write_bytes(content)
    found = examine(path)
    assert not found.is_whole
    text = "\n".join(found.lines)
    assert "Damaged: metrics/fidelity." in text
    assert "metrics/concurrence" in text.split("Can still be read:")[1]


def test_nothing_at_a_path_is_a_mistake(tmp_path):
    for path in (tmp_path / "nothing.h5", tmp_path):
        with pytest.raises(QdistError, match="must"):
            examine(path)
