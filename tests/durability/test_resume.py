"""Going on from a checkpoint: on any number of ranks as if nothing had happened, only with its own job."""

import re
import shutil
from pathlib import Path

import pytest

from qdist.errors import QdistError
from qdist.runs.checkpoints.resuming import folder_of
from qdist.runs.checkpoints.stored import read_checkpoint
from qdist.runs.execute import run
from qdist.runs.jobfiles.reader import read_job
from qdist.runs.results import write_result
from tests.durability.runs import (
    JOBS,
    NOISE,
    assert_same,
    circuit,
    masters,
    on_ranks,
    qdist_,
    result_of,
    write_job,
)
from tests.threads import run_ranks
from tests.tolerances import TOLERANCE

RANKS = [(1, 1), (2, 2), (4, 4), (1, 4), (4, 2), (2, 1)]
STEPS = {"exact": 3, "chain": 5, "sampled": 2, "postselected": 3, "sweep": 2}


def undisturbed(folder, kind, ranks, every_steps=None):
    """A run of a kind of job, which may stop at the same points: in between, operations are rounded together."""
    path = write_job(folder / "undisturbed", kind)
    if every_steps:
        stop_every(path, every_steps)
    job = read_job(path)
    return run_ranks(ranks, lambda comm: run(job, comm=comm, keep_state=False))[0]


def stop_every(path, steps):
    path.write_text(re.sub(r"every_steps = \d", f"every_steps = {steps}", path.read_text()))


@pytest.mark.parametrize("kind", JOBS)
@pytest.mark.parametrize(("before", "after"), RANKS)
def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path, kind, before, after):
    job = write_job(tmp_path, kind)
    stopped, _ = on_ranks(before, job, stop_after=STEPS[kind] if before == 1 else 1)
    assert stopped == masters(job)[-1]
    result, told = on_ranks(after, job, resume=True)
    assert told == [f"Going on from '{stopped}'."]
    assert result.attributes["resumed"] == 1
    assert_same(result, undisturbed(tmp_path, kind, after), exactly=before == after)


@pytest.mark.parametrize("kind", JOBS)
def test_a_run_that_is_stopped_at_every_step_ends_as_one_that_was_never_stopped(tmp_path, kind):
    job = write_job(tmp_path, kind)
    stop_every(job, 1)
    number = 0
    while isinstance(found := on_ranks(1, job, stop_after=1, resume=True)[0], Path):
        number += 1
    assert number > 2
    assert found.attributes["resumed"] == number
    assert_same(found, undisturbed(tmp_path, kind, 1, every_steps=1), exactly=True)


def test_over_three_numbers_of_ranks_in_turn(tmp_path):
    job = write_job(tmp_path, "exact")
    for ranks in (1, 4, 2, 4, 1):
        assert on_ranks(ranks, job, stop_after=1, resume=True)[0] == masters(job)[-1]
    result, _ = on_ranks(2, job, resume=True)
    assert_same(result, undisturbed(tmp_path, "exact", 2), exactly=False)


def test_ranks_write_a_file_each_and_the_master_lists_them(tmp_path):
    job = write_job(tmp_path, "exact")
    stopped, _ = on_ranks(4, job, stop_after=4)
    assert sorted(path.name for path in stopped.parent.glob(f"{stopped.stem}.*")) == sorted(
        [stopped.name, *(f"{stopped.stem}.rank{rank}.h5" for rank in range(4))]
    )
    assert read_checkpoint(stopped).attributes["ranks"] == 4


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_so_many_checkpoints_stay_as_the_job_says(tmp_path, keep):
    job = write_job(tmp_path, "chain", replaced={"every_steps = 2": f"every_steps = 1\nkeep = {keep}"})
    on_ranks(1, job, stop_after=7)
    assert [path.name for path in masters(job)] == [f"{serial:08d}.h5" for serial in range(8 - keep, 8)]


def test_the_steps_of_a_sweep_are_its_points(tmp_path):
    job = write_job(tmp_path, "sweep", replaced={"every_steps = 2": "every_steps = 5\nkeep = 100"})
    on_ranks(1, job)
    points = [len(read_checkpoint(path).standing.points) for path in masters(job)]
    assert len(points) in (1, 2)  # several points between two meetings of the ranks
    assert all(count >= 5 for count in points)
    assert [read_checkpoint(path).standing.point for path in masters(job)] == [None] * len(points)


def test_a_sweep_that_goes_on_counts_its_points_from_there(tmp_path):
    job = write_job(tmp_path, "sweep", replaced={"every_steps = 2": "every_steps = 1000"})
    on_ranks(2, job, stop_after=2)
    on_ranks(2, job, resume=True)
    assert [path.name for path in masters(job)] == ["00000001.h5"]


# The command line


@pytest.fixture
def stopped(tmp_path):
    """The job of an exact run that stopped with two checkpoints."""
    job = write_job(tmp_path, "exact")
    on_ranks(1, job, stop_after=10, named=True)
    assert len(masters(job)) == 2
    return job


def test_with_none_the_run_starts_from_the_beginning(tmp_path, capsys):
    job = write_job(tmp_path, "exact")
    code, _, err = qdist_(capsys, "run", job, "--resume")
    assert (code, err) == (
        0,
        f"There is no checkpoint in '{folder_of(job.with_suffix('.h5'))}': starting from the beginning.\n",
    )
    assert_same(result_of(job), run(job), exactly=True)


def test_a_new_run_does_not_replace_checkpoints(stopped, capsys):
    code, out, err = qdist_(capsys, "run", stopped)
    assert (code, out) == (2, "")
    assert "has 2" in err
    assert "--resume" in err
    assert len(masters(stopped)) == 2


@pytest.mark.parametrize("what", ["result", "folder", "master"])
def test_resume_takes_the_result_the_folder_or_a_master(stopped, capsys, what):
    named = {"result": stopped.with_suffix(".h5"), "folder": masters(stopped)[0].parent, "master": masters(stopped)[0]}
    last = masters(stopped)[-1]
    code, out, err = qdist_(capsys, "resume", named[what])
    assert (code, err) == (0, f"Going on from '{last}'.\n")
    assert out.startswith(f"Wrote {stopped.with_suffix('.h5')} after ")
    assert not last.parent.exists()
    assert_same(result_of(stopped), run(stopped), exactly=True)


def test_resume_without_a_checkpoint_says_how_to_start(tmp_path, capsys):
    for place in (tmp_path / "job.h5", tmp_path):
        code, _, err = qdist_(capsys, "resume", place)
        assert code == 2
        assert "Start it with `qdist run JOB`" in err


def test_another_precision_is_refused(stopped, capsys):
    stopped.write_text(stopped.read_text().replace("float64", "float32"))
    for options in ([], ["--fork"]):
        code, _, err = qdist_(capsys, "run", stopped, "--resume", *options)
        assert code == 2
        assert "`precision` must be that of the checkpoint, float64, but is float32." in err
    assert len(masters(stopped)) == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "a run"', 'title = "b"', 'line 2 is now `title = "b"` and was `title = "a run"`'),
        ("two_qubit = { depolarizing = 0.02 }", "", "line 12 is now `` and was `two_qubit = { depolarizing = 0.02 }`"),
        ("[checkpoint]", "# why\n[checkpoint]", "line 13, `# why`, is new"),
        ("every_steps = 4\n", "", "line 14 of it, `every_steps = 4`, is gone"),
    ],
)
def test_another_job_is_refused_with_the_line_that_differs(stopped, capsys, old, new, words):
    text = stopped.read_text()
    assert old in text
    stopped.write_text(text.replace(old, new))
    code, _, err = qdist_(capsys, "run", stopped, "--resume")
    assert code == 2
    assert words in err
    assert "--fork" in err
    assert len(masters(stopped)) == 2


@pytest.mark.parametrize("kind", ["exact", "sweep"])
def test_a_circuit_that_was_changed_is_refused(tmp_path, kind):
    """Also between the points of a sweep, whose numbers would be of two circuits."""
    changed = {
        "exact": {},
        "sweep": {"[checkpoint]": '[sweep]\n"noise.one_qubit.depolarizing" = [0.0, 0.1, 0.2]\n[checkpoint]'},
    }
    job = write_job(tmp_path, "exact", replaced=changed[kind])
    (tmp_path / "circuit.qasm").write_text(circuit(qubits=4))
    job.write_text(job.read_text().replace("ZZIIIIIXX", "ZZXX").replace("every_steps = 4", "every_steps = 1"))
    stopped, _ = on_ranks(1, job, stop_after={"exact": 5, "sweep": 1000}[kind])
    if kind == "sweep":
        stopped = masters(job)[-1]
        assert read_checkpoint(stopped).standing.point is None
    (tmp_path / "circuit.qasm").write_text(circuit(qubits=4, angle=0.4))
    with pytest.raises(QdistError, match="file that it names was changed"):
        on_ranks(1, job, resume=True)
    (tmp_path / "circuit.qasm").write_text(circuit(qubits=4))
    assert on_ranks(1, job, resume=True)[0].attributes["resumed"] == 1


# Forks


def test_a_fork_goes_on_with_another_title(stopped, capsys):
    wanted = run(stopped)
    stopped.write_text(stopped.read_text().replace("a run", "another"))
    last = masters(stopped)[-1]
    code, _, err = qdist_(capsys, "run", stopped, "--resume", "--fork")
    assert (code, err) == (0, f"Going on from '{last}'.\n")
    assert result_of(stopped).attributes["title"] == "another"
    assert_same(result_of(stopped), wanted, exactly=True)


def test_a_fork_goes_on_with_other_noise_from_that_point(tmp_path):
    job = write_job(tmp_path, "exact", replaced={"every_steps = 4": "every_steps = 1"})
    on_ranks(1, job, stop_after=20)
    before = run(job)
    job.write_text(job.read_text().replace(NOISE, NOISE + "readout = { p01 = 0.1, p10 = 0.2 }\n"))
    found, after = on_ranks(1, job, resume=True, fork=True)[0], run(job)
    assert not (before["results/probabilities"] == after["results/probabilities"]).all()
    assert_same(found, after, exactly=True)


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_fork_of_a_sampled_run_adds_shots(tmp_path, ranks):
    job = write_job(tmp_path, "sampled")
    on_ranks(1, job, stop_after=2)
    job.write_text(job.read_text().replace("90000", "120000"))
    found, _ = on_ranks(ranks, job, resume=True, fork=True)
    wanted = run(job, keep_state=False)
    assert found["results/counts"].sum() == 120000
    assert found["results/counts"].tolist() == wanted["results/counts"].tolist()
    # Shots are in twenty groups for the errors; those before the fork are in groups of the smaller number.
    for name in ("correlators", "probabilities"):
        assert found[f"results/{name}"] == pytest.approx(wanted[f"results/{name}"], abs=TOLERANCE["float64"])
        assert found[f"results/{name}_stderr"] == pytest.approx(wanted[f"results/{name}_stderr"], rel=0.2)


def test_a_fork_with_fewer_shots_than_were_drawn_is_refused(tmp_path):
    job = write_job(tmp_path, "sampled")
    on_ranks(1, job, stop_after=4)
    job.write_text(job.read_text().replace("90000", "40000"))
    with pytest.raises(QdistError, match="shots"):
        on_ranks(1, job, resume=True, fork=True)


@pytest.mark.parametrize(("before", "after"), [("sweep", "chain"), ("chain", "sweep")])
def test_a_fork_is_of_the_same_kind(tmp_path, before, after):
    """A job cannot go on inside of a point of a sweep, nor a sweep from a job."""
    job = write_job(tmp_path, before)
    on_ranks(1, job, stop_after=3)
    job.write_text(JOBS[after])
    with pytest.raises(QdistError, match="sweep"):
        on_ranks(1, job, resume=True, fork=True)


# What a killed process leaves behind


def test_what_a_killed_run_left_half_written_is_removed(stopped, capsys):
    folder = masters(stopped)[0].parent
    (folder / "00000011.h5.tmp").write_bytes(b"half")
    (folder / "00000011.rank0.h5").write_bytes(b"no master")
    (folder / "00000011.rank1.h5.tmp").write_bytes(b"half")
    (folder.parent / ".job.h5.0123456789ab.tmp").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    (folder.parent / ".other.h5.0123456789ab.tmp").write_bytes(b"of another result")
    assert qdist_(capsys, "resume", folder)[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt"]
    left = sorted(path.name for path in folder.parent.glob(".*"))
    assert left == [".other.h5.0123456789ab.tmp"]


def test_a_run_that_died_between_its_result_and_the_removal_of_its_checkpoints_ends_again(stopped, capsys):
    write_result(run(stopped), stopped.with_suffix(".h5"))
    assert qdist_(capsys, "run", stopped, "--resume")[0] == 0
    assert not masters(stopped)


def test_a_folder_that_was_moved_with_its_job_goes_on(stopped, capsys, tmp_path):
    wanted = run(stopped)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("job.toml", "circuit.qasm", "job.checkpoints"):
        shutil.move(stopped.parent / name, moved / name)
    assert qdist_(capsys, "run", moved / "job.toml", "--resume")[0] == 0
    assert_same(result_of(moved / "job.toml"), wanted, exactly=True)
