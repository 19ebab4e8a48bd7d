"""The section [checkpoint]: what is wrong in it is said in one sentence, with the line."""

import pytest

from tests.durability.runs import qdist_, write_job


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("every_steps = 0", "must be at least 1, but is 0"),
        ("every_steps = -3", "must be at least 1, but is -3"),
        ("every_steps = 1.5", "must be a whole number, but is 1.5"),
        ('every_steps = "often"', "must be a whole number, but is 'often'"),
        ("every_steps = true", "must be a whole number, but is true"),
        ("every_seconds = 0", "must be more than 0, but is 0"),
        ("every_seconds = -1.0", "must be more than 0, but is -1.0"),
        ("every_seconds = inf", "must be finite"),
        ("every_seconds = nan", "must be a number, but is nan"),
        ('every_seconds = "10 min"', "must be a number"),
        ("keep = 0", "must be at least 1, but is 0"),
        ("keep = 2.5", "must be a whole number"),
        ("every_step = 5", "Did you mean 'every_steps'?"),
        ('folder = "elsewhere"', "folder"),
    ],
)
def test_a_bad_value_is_one_sentence_with_its_line(tmp_path, capsys, line, words):
    job = write_job(tmp_path, "chain", replaced={"every_steps = 2": line})
    number = job.read_text().splitlines().index(line) + 1
    code, out, err = qdist_(capsys, "run", job)
    assert (code, out) == (2, "")
    assert err.startswith(f"{job}, line {number}, ")
    assert words in err
    assert err.count("\n") == 1
    assert not job.with_suffix(".h5").exists()


def test_an_empty_section_writes_no_checkpoint(tmp_path, capsys):
    job = write_job(tmp_path, "chain", replaced={"every_steps = 2\n": ""})
    assert qdist_(capsys, "run", job)[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["circuit.qasm", "job.h5", "job.toml"]
