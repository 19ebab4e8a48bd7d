"""Every byte of a checkpoint is covered: what is damaged is found and named, and never read as data."""

import random
import re
import shutil
import zlib

import pytest

from qdist.errors import QdistError
from qdist.machine.comm import SERIAL
from qdist.runs.checkpoints import files
from qdist.runs.checkpoints.files import Damaged
from qdist.runs.checkpoints.resuming import folder_of, last_whole
from qdist.runs.checkpoints.stored import read_checkpoint
from qdist.runs.execute import run
from qdist.runs.results import read_result, write_result
from tests.durability.runs import assert_same, masters, on_ranks, qdist_, result_of, write_job

CUTS = 50
KINDS = ("exact", "sampled", "sweep")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The jobs of stopped runs with two checkpoints each, by kind; of the exact one four ranks wrote block files."""
    jobs = {}
    for kind in KINDS:
        jobs[kind] = write_job(tmp_path_factory.mktemp(kind), kind)
        on_ranks(4 if kind == "exact" else 1, jobs[kind], stop_after=4 if kind == "exact" else 2, named=True)
        assert len(masters(jobs[kind])) == (1 if kind == "sweep" else 2)
    return jobs


@pytest.fixture
def stopped(kept, tmp_path):
    """A copy of the exact run, to be damaged."""
    for path in kept["exact"].parent.iterdir():
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    return tmp_path / "job.toml"


def newest(job):
    """The files of the newest checkpoint, the master first."""
    master = masters(job)[-1]
    return [master, *sorted(master.parent.glob(f"{master.stem}.rank*"))]


def flip(path, place, mask=0xFF):
    with open(path, "r+b") as stream:
        stream.seek(place)
        byte = stream.read(1)[0]
        stream.seek(place)
        stream.write(bytes([byte ^ mask]))


def assert_found(capsys, path, folder):
    """`qdist check` names the file, and the run goes on from another checkpoint or not at all."""
    code, out, err = qdist_(capsys, "check", folder)
    assert (code, err) == (1, "")
    assert str(path) in out
    assert "Traceback" not in out
    if len(files.masters(folder)) == 1:
        with pytest.raises(QdistError, match=re.escape(str(path))):
            last_whole(folder, SERIAL)
        return
    checkpoint, complaints = last_whole(folder, SERIAL)
    assert checkpoint is not None
    assert checkpoint.path.stem != path.name[:8]
    assert any(str(path) in complaint for complaint in complaints)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_anywhere_is_found_and_none_is_read(kept, capsys, flips, kind):
    rng = random.Random(kind)
    paths = newest(kept[kind])
    assert len(paths) == (5 if kind == "exact" else 1)
    for _ in range(flips // len(KINDS)):
        path = rng.choice(paths)
        place, mask = rng.randrange(path.stat().st_size), rng.randrange(1, 256)
        flip(path, place, mask)
        assert_found(capsys, path, path.parent)
        flip(path, place, mask)
    assert read_checkpoint(paths[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_short_anywhere_is_found_and_none_is_read(kept, capsys, kind):
    rng = random.Random(kind)
    paths = newest(kept[kind])
    for number in range(CUTS // len(KINDS) + 1):
        path = rng.choice(paths)
        content = path.read_bytes()
        path.write_bytes(content[: rng.randrange(len(content)) if number else 0])
        assert_found(capsys, path, path.parent)
        path.write_bytes(content)
    assert read_checkpoint(paths[0])


def test_every_flipped_bit_of_the_head_of_a_master_is_found(stopped):
    """The text that no checksum covers has one right form."""
    path = masters(stopped)[-1]
    for place in range(80):
        for bit in range(8):
            flip(path, place, 1 << bit)
            with pytest.raises(Damaged):
                read_checkpoint(path)
            flip(path, place, 1 << bit)
    assert read_checkpoint(path)


@pytest.mark.parametrize("rank", [None, 0, 3])
def test_what_was_appended_is_found(stopped, capsys, rank):
    path = newest(stopped)[0 if rank is None else 1 + rank]
    with open(path, "ab") as stream:
        stream.write(b"\0")
    assert_found(capsys, path, path.parent)


def test_a_missing_block_file_is_named(stopped, capsys):
    path = newest(stopped)[2]
    path.unlink()
    assert_found(capsys, path, path.parent)
    assert f"'{path}' is missing." in qdist_(capsys, "check", path.parent)[1]


def test_a_block_file_of_another_run_is_told_from_its_own(stopped, tmp_path, capsys):
    """Same job, same step, same size, same numbers: only the run is another."""
    other = write_job(tmp_path / "other", "exact")
    on_ranks(4, other, stop_after=4)
    mine, foreign = newest(stopped)[2], newest(other)[2]
    assert mine.stat().st_size == foreign.stat().st_size
    shutil.copy(foreign, mine)
    assert_found(capsys, mine, mine.parent)
    assert "of another run" in qdist_(capsys, "check", mine.parent)[1]


def test_a_block_file_of_another_rank_or_step_is_found(stopped, capsys):
    files_ = newest(stopped)
    shutil.copy(files_[1], files_[2])
    assert_found(capsys, files_[2], files_[2].parent)
    before = masters(stopped)[0]
    shutil.copy(before.with_suffix(".rank1.h5"), files_[2])
    assert_found(capsys, files_[2], files_[2].parent)


def test_a_folder_in_place_of_a_file_is_found(stopped, capsys):
    for path in newest(stopped)[:2]:
        content = path.read_bytes()
        path.unlink()
        path.mkdir()
        assert_found(capsys, path, path.parent)
        path.rmdir()
        path.write_bytes(content)


def test_a_checkpoint_of_a_newer_format_says_what_to_do(stopped, capsys):
    path = masters(stopped)[-1]
    content = path.read_bytes()
    assert content.startswith(b"qdist checkpoint, format 1,")
    path.write_bytes(content.replace(b"format 1,", b"format 2,", 1))
    code, out, _ = qdist_(capsys, "check", path)
    assert code == 1
    assert "a newer one wrote it" in out
    assert "pip install --upgrade qdist" in out
    assert_found(capsys, path, path.parent)


def test_a_master_with_a_right_checksum_and_wrong_content_is_refused(stopped, capsys):
    """Somebody made it up: the HDF5 part is nothing, or is of another shape."""
    path = masters(stopped)[-1]
    whole = path.read_bytes()[files.HEAD :]
    rng = random.Random(5)
    for number in range(60):
        rest = bytearray(whole)
        for _ in range(1 + number % 20):
            rest[rng.randrange(len(rest))] ^= rng.randrange(1, 256)
        rest = bytes(rest) if number else b"nothing"
        head = f"qdist checkpoint, format 1, crc32 of the rest {zlib.crc32(rest):08x}\n".encode()
        path.write_bytes(head.ljust(files.HEAD, b"\0") + rest)
        code, out, err = qdist_(capsys, "check", path)
        assert code in (0, 1)
        assert "Traceback" not in out + err


def test_check_says_what_can_still_be_read(stopped, capsys):
    first, last = masters(stopped)
    assert qdist_(capsys, "check", stopped.with_suffix(".h5"))[0] == 0
    assert qdist_(capsys, "check", last)[0] == 0
    flip(newest(stopped)[1], 5000)
    code, out, _ = qdist_(capsys, "check", last.parent)
    assert code == 1
    assert f"{first}: whole, written by 4 ranks" in out
    assert out.endswith(f"A run can go on from '{first}'.\n")
    flip(first, 5000)
    code, out, _ = qdist_(capsys, "check", last.parent)
    assert code == 1
    assert out.endswith("No run can go on from here.\n")


def test_resume_falls_back_to_the_checkpoint_before_and_says_so(stopped, capsys):
    first, last = masters(stopped)
    flip(newest(stopped)[3], 5000)
    code, _, err = qdist_(capsys, "run", stopped, "--resume")
    assert code == 0
    damaged, going_on = err.splitlines()
    assert str(newest_name := last.with_suffix(".rank2.h5")) in damaged, newest_name
    assert damaged.endswith("Going on from the checkpoint before it.")
    assert going_on == f"Going on from '{first}'."
    assert_same(result_of(stopped), run(stopped, keep_state=False), exactly=False)


def test_a_damaged_checkpoint_takes_no_place_of_a_whole_one(stopped):
    """After the next is written, two whole ones are there, as `keep` says."""
    first, last = masters(stopped)
    flip(last, 5000)
    on_ranks(4, stopped, stop_after=1, resume=True)
    assert masters(stopped) == [first, last.with_name("00000005.h5")]
    assert all(map(read_checkpoint, masters(stopped)))


def test_with_none_whole_nothing_is_computed(stopped, capsys):
    for path in masters(stopped):
        flip(path, 600)
    before = sorted(path.name for path in masters(stopped)[0].parent.iterdir())
    for arguments in (["run", stopped, "--resume"], ["resume", stopped.with_suffix(".h5")], ["run", stopped]):
        code, out, err = qdist_(capsys, *arguments)
        assert (code, out) == (2, "")
        assert "Traceback" not in err
        assert sorted(path.name for path in masters(stopped)[0].parent.iterdir()) == before
    assert not stopped.with_suffix(".h5").exists()


def test_a_damaged_result_is_found(tmp_path, capsys):
    """Each flipped byte is found, or lies where no number is: what is read is what was written."""
    job = write_job(tmp_path, "chain")
    result, path = run(job), tmp_path / "job.h5"
    write_result(result, path)
    rng, size = random.Random(1), path.stat().st_size
    found = 0
    for _ in range(60):
        place = rng.randrange(size)
        flip(path, place)
        code, out, err = qdist_(capsys, "check", path)
        assert code in (0, 1, 2), out + err
        if code:
            found += 1
            assert str(path) in out + err
            assert re.search(r"Can still be read: .*/|Nothing in it can be read|must be an HDF5 file", out + err)
        else:
            again = read_result(path)
            assert_same(again, result, exactly=True)
            assert {**again.attributes, **result.attributes} == again.attributes
        flip(path, place)
    assert found > 15
    assert qdist_(capsys, "check", path)[0] == 0


def test_check_of_what_is_no_result_and_no_checkpoint(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "notes.txt", tmp_path / "empty", tmp_path / "missing.h5"):
        code, out, err = qdist_(capsys, "check", path)
        assert code in (1, 2)
        assert str(path) in out + err
        assert "Traceback" not in out + err


def test_a_virtual_dataset_with_a_missing_block_reads_as_no_number(stopped):
    """A person with HDF5 alone gets the vector of a cluster from the master, and NaN where a block is missing."""
    import h5py
    import numpy as np

    master = masters(stopped)[-1]
    with h5py.File(master) as file:
        name = next(iter(file["clusters"]))
        whole = file["clusters"][name][()]
        bits = file["clusters"][name].attrs["bits"]
    assert whole.size == 2 ** len(bits.split())
    assert whole.reshape(-1)[0] == pytest.approx(1.0)
    newest(stopped)[2].unlink()
    with h5py.File(master) as file:
        assert np.isnan(file["clusters"][name][()]).sum() == whole.size // 4


def test_the_folder_of_a_result_is_beside_it(tmp_path):
    assert folder_of(tmp_path / "chain.h5") == tmp_path / "chain.checkpoints"
