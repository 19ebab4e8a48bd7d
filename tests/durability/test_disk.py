"""A disk that is full or gone: the run ends with a sentence, and what was written before stays whole."""

import os
import shutil
import subprocess
import sys

import pytest

from qdist.errors import QdistError
from qdist.runs.checkpoints import files, keeper
from qdist.runs.execute import run
from tests.durability.runs import (
    ENVIRONMENT,
    MPIEXEC,
    assert_same,
    ended,
    masters,
    on_ranks,
    qdist_,
    result_of,
    started,
    write_job,
)

MEGABYTE = 2**20


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 12 MB in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `mount`")
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(folder, left):
    """Take the space of a disk, but for some bytes."""
    free = shutil.disk_usage(folder).free
    (folder / "ballast").write_bytes(b"\1" * max(0, free - left))


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("left", [0.0, 0.1])
def test_a_run_on_a_full_disk_ends_with_a_sentence_and_goes_on_when_there_is_space(small_disk, capsys, ranks, left):
    if ranks > 1 and not MPIEXEC.exists():
        pytest.skip("no mpiexec beside this Python: pip install 'qdist[mpich]'")
    job = write_job(small_disk, "exact", replaced={"every_steps = 4": "every_steps = 1"})
    on_ranks(ranks, job, stop_after=6 if ranks == 1 else 12, named=True)
    before = masters(job)
    fill(small_disk, int(left * MEGABYTE))
    with started("run", job, "--resume", ranks=ranks) as process:
        code, out, err = ended(process)
    assert (code, out) == (2, ""), err
    assert "No space left on device" in err
    assert "The last whole one" in err
    assert "`qdist run --resume JOB`" in err
    assert "Traceback" not in err
    assert qdist_(capsys, "check", before[0].parent)[0] == 0
    assert masters(job)[-1].name >= before[-1].name
    assert not list(small_disk.rglob("*.tmp"))
    (small_disk / "ballast").unlink()
    assert qdist_(capsys, "run", job, "--resume")[0] == 0
    assert_same(result_of(job), run(job, keep_state=False), exactly=ranks == 1)
    assert not before[0].parent.exists()


def test_the_end_of_a_run_on_a_full_disk_keeps_its_checkpoints(small_disk, capsys):
    job = write_job(small_disk, "exact", replaced={"every_steps = 4": "every_steps = 20"})
    last, _ = on_ranks(1, job, stop_after=1)
    fill(small_disk, 0)
    code, _, err = qdist_(capsys, "run", job, "--resume")
    assert code == 2
    assert "No space left on device" in err
    assert masters(job) == [last]
    (small_disk / "ballast").unlink()
    assert qdist_(capsys, "run", job, "--resume")[0] == 0
    assert_same(result_of(job), run(job, keep_state=False), exactly=True)


def test_a_log_on_the_full_disk_does_not_hide_the_exit_code(small_disk):
    job = write_job(small_disk, "exact", replaced={"every_steps = 4": "every_steps = 1"})
    on_ranks(1, job, stop_after=20)
    fill(small_disk, 0)
    command = [sys.executable, "-m", "qdist", "run", str(job), "--resume"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=full, env=ENVIRONMENT, check=False, timeout=60)
    assert done.returncode == 2


def on_the_third(monkeypatch, function, error):
    """Make a function of `files` fail at its third call."""
    real, count = getattr(files, function), [0]

    def broken(*arguments):
        count[0] += 1
        if count[0] >= 3:
            raise error
        return real(*arguments)

    monkeypatch.setattr(files, function, broken)


@pytest.mark.parametrize("function", ["write_master", "write_blocks", "sync"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_write_that_fails_ends_the_run_on_all_ranks(tmp_path, monkeypatch, function, ranks):
    job = write_job(tmp_path, "exact")
    on_the_third(monkeypatch, function, OSError(5, os.strerror(5)))
    with pytest.raises(QdistError, match=r"that failed: Input/output error\. .*--resume JOB"):
        on_ranks(ranks, job)
    monkeypatch.undo()
    for path in masters(job):
        assert files.read_master(path)
    assert_same(on_ranks(ranks, job, resume=True)[0], run(job, keep_state=False), exactly=ranks == 1)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_disk_that_keeps_other_bytes_than_were_written_is_found(tmp_path, monkeypatch, ranks):
    """The file is read back before it counts, and before an older one goes."""
    job = write_job(tmp_path, "exact", replaced={"every_steps = 4": "every_steps = 4\nkeep = 1"})
    last, _ = on_ranks(ranks, job, stop_after=2)
    real = files._crc_as_written

    def after_damage(path, places):
        with open(path, "r+b") as stream:
            stream.seek(places[-1][0] + 5)
            byte = stream.read(1)[0]
            stream.seek(-1, 1)
            stream.write(bytes([byte ^ 1]))
        return real(path, places)

    monkeypatch.setattr(files, "_crc_as_written", after_damage)
    with pytest.raises(QdistError, match="does not hold what was written to it"):
        on_ranks(ranks, job, resume=True)
    monkeypatch.undo()
    assert masters(job) == [last]
    assert files.read_master(last)


def test_a_folder_that_cannot_be_made_is_told(tmp_path, capsys):
    job = write_job(tmp_path, "exact")
    job.with_suffix(".checkpoints").write_text("a file")
    code, _, err = qdist_(capsys, "run", job)
    assert code == 2
    assert "job.checkpoints" in err
    assert "Traceback" not in err
    assert job.with_suffix(".checkpoints").read_text() == "a file"


def test_a_folder_that_vanishes_is_made_again(tmp_path, monkeypatch):
    job = write_job(tmp_path, "exact")
    real, count = keeper.Keeper._forget_old, [0]

    def vanish(self):
        real(self)
        count[0] += 1
        if count[0] == 2:
            shutil.rmtree(self._folder)

    monkeypatch.setattr(keeper.Keeper, "_forget_old", vanish)
    assert_same(on_ranks(1, job)[0], run(job, keep_state=False), exactly=True)
    assert count[0] > 3
    assert masters(job)
