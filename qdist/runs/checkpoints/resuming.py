"""Going on: the last whole checkpoint of a folder, and whether a job is the one that it is of."""

import contextlib
import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qdist.errors import QdistError
from qdist.machine.comm import SERIAL, Comm
from qdist.machine.plan import Keep, Read
from qdist.runs.checkpoints import files
from qdist.runs.checkpoints.files import Damaged
from qdist.runs.checkpoints.keeper import Identity, Keeper
from qdist.runs.checkpoints.outline import outline_of
from qdist.runs.checkpoints.standing import Outline, Standing
from qdist.runs.checkpoints.stored import Checkpoint, read_checkpoint
from qdist.runs.job import Job
from qdist.runs.launch import agree, on_first
from qdist.runs.results import remove_unfinished
from qdist.runs.sweep import Sweep

if TYPE_CHECKING:
    from qdist.runs.prepare import Prepared

TOLERANCE = 1e-9
"""Of the sums of an operation's numbers: other machines round otherwise, other programs differ by more."""


@dataclass(frozen=True)
class Checkpoints:
    """Where a run keeps its checkpoints, and how it starts.

    Attributes:
        folder: A folder of their own; it is made when the first is written, and removed when the run has ended.
        resume: Whether to go on from the last whole one; with none, the run starts from the beginning.
        fork: Whether to go on although the job was changed: from that point on it is another run.
        live: A result file that is rewritten while the run goes on.
        job: The path of the job file, for a later `qdist resume`.
        asked: Gives the name of the signal that asks this process to stop; the run then ends with `Stopped`.
        tell: Told in a sentence what a person should know, on all ranks.
    """

    folder: str | Path
    resume: bool = False
    fork: bool = False
    live: str | Path | None = None
    job: str = ""
    asked: Callable[[], str | None] = lambda: None
    tell: Callable[[str], None] = lambda _: None

    def clear(self) -> None:
        """Remove the checkpoints and their folder: the run has ended, and its result is written."""
        folder = Path(self.folder)
        files.tidy(folder)
        for serial, _ in files.masters(folder):
            files.remove(folder, serial)
        with contextlib.suppress(OSError):  # it was never made, or something else is in it
            folder.rmdir()


def folder_of(result: Path) -> Path:
    """Where the checkpoints of a run are whose result goes to a file."""
    return result.with_suffix(".checkpoints")


def run_of(file: Path) -> tuple[Path, Path]:
    """The job and the result of a run.

    Args:
        file: Its result, which may not be there yet, its folder of checkpoints, or one of them.

    Raises:
        QdistError: There is no checkpoint, or it does not say which job it is of.
    """
    folder = file.parent if file.is_file() and file.parent.suffix == ".checkpoints" else file
    folder = folder if folder.is_dir() else folder_of(file)
    checkpoint, _ = last_whole(folder, SERIAL)
    if checkpoint is None:
        raise QdistError(
            f"A run to resume must have a checkpoint, but there is none in '{folder}'. Start it with `qdist run JOB`."
        )
    job, out = checkpoint.attributes["job"], checkpoint.attributes["out"]
    if not job or not out:
        raise QdistError(
            f"The checkpoint must name its job file, but '{checkpoint.path}' is of a run from Python. Call `qdist.run` "
            "with the same job and `Checkpoints(…, resume=True)`."
        )
    return Path(job), Path(out)


def last_whole(folder: Path, comm: Comm) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint of which every byte is there, and what is wrong with those after it.

    Raises:
        QdistError: There are checkpoints, but none is whole.
    """
    complaints: list[str] = []
    serials = comm.broadcast([serial for serial, _ in files.masters(folder)])
    for serial in serials:
        try:
            return read_checkpoint(folder / files.master_name(serial), comm), complaints
        except Damaged as error:
            complaints.append(str(error))
    if complaints:
        raise QdistError(
            f"A checkpoint in '{folder}' must be whole, but none is. {' '.join(complaints)} "
            "Restore the folder from a copy, or remove it and start from the beginning."
        )
    return None, []


def check_unused(folder: Path) -> None:
    """Raise if there are checkpoints that a new run would replace."""
    found = files.masters(folder)
    if found:
        raise QdistError(
            f"A new run must have no checkpoints of an earlier one, but '{folder}' has {len(found)}. Go on from the "
            "last with `--resume`, or remove the folder."
        )


def check_same(checkpoint: Checkpoint, identity: Identity, *, fork: bool) -> None:
    """Raise unless a job may go on from a checkpoint: it is the same job, or a fork of one precision and mode.

    Raises:
        QdistError: With what differs.
    """
    found = checkpoint.attributes
    for name in ("precision", "mode", "seed"):
        if found[name] != getattr(identity, name) and (name != "seed" or not fork):
            raise QdistError(
                f"`{name}` must be that of the checkpoint, {found[name]}, but is {getattr(identity, name)}. "
                "Change it back, or remove the checkpoints and start from the beginning."
            )
    if found["text"] != identity.text and not fork:
        raise QdistError(
            f"The job must be the one of the checkpoint, but {_difference(found['text'], identity.text)}. "
            "Change it back, or go on with the changed job from this point with `--resume --fork`."
        )


def _difference(old: str, new: str) -> str:
    """The first line that differs."""
    before, after = old.splitlines(), new.splitlines()
    for kind, i, _, k, _ in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "replace":
            return f"line {k + 1} is now `{after[k].strip()}` and was `{before[i].strip()}`"
        if kind == "delete":
            return f"line {i + 1} of it, `{before[i].strip()}`, is gone"
        if kind == "insert":
            return f"line {k + 1}, `{after[k].strip()}`, is new"
    return "its line ends were changed"


def check_plan(stored: Outline, now: Outline) -> None:
    """Raise unless a plan is the one of a checkpoint, up to rounding."""
    if stored.shape != now.shape or not np.allclose(stored.sums, now.sums, TOLERANCE, TOLERANCE, equal_nan=True):
        raise QdistError(
            "The job must give the plan of the checkpoint, but gives another one: a file that it names was changed, "
            "or another version of qdist wrote the checkpoint. Use the same files and version, or start from the "
            "beginning."
        )


def check_sweep(standing: Standing, job: Job | Sweep) -> None:
    """Raise unless a job has the points of the checkpoint; a job without a sweep goes on from one without.

    Raises:
        QdistError: It has other points, or gives another plan for the first.
    """
    if standing.axes != (job.paths if isinstance(job, Sweep) else ()):
        raise QdistError(
            "The points of [sweep] must be those of the checkpoint, but are others. Change it back, or start from the "
            "beginning."
        )
    if isinstance(job, Sweep) and standing.first is not None:
        check_plan(standing.first, outline_of_first(job))


def outline_of_first(sweep: Sweep) -> Outline:
    """Of the plan of the first point of a sweep."""
    from qdist.runs.prepare import prepare

    return outline_of(prepare(sweep.job(0), keep_state=False).plan)


def check_going_on(standing: Standing, prepared: "Prepared") -> None:
    """Raise unless a run under way can go on in a plan: it is the one that it began, or, in a fork, close enough.

    Raises:
        QdistError: The files that the job names were changed, another version of qdist plans otherwise, or a fork
            differs in what was done already.
    """
    assert prepared.whole is not None
    plan, done = prepared.whole, standing.done
    if standing.outline is not None:
        check_plan(standing.outline, outline_of(plan))
    if standing.batch != prepared.batch:
        raise QdistError(
            f"Batches must have as many shots as before the checkpoint, {standing.batch}, but have {prepared.batch}. "
            "Start from the beginning."
        )
    if standing.batch is not None and done * standing.batch >= prepared.job.shots:
        raise QdistError(
            f"`shots` must be more than were drawn before the checkpoint, {done * standing.batch}, but is "
            f"{prepared.job.shots}. Raise it, or start from the beginning."
        )
    if standing.evolution is None:
        return
    before = plan.operations[:done]
    reads, keeps = (sum(isinstance(each, kind) for each in before) for kind in (Read, Keep))
    seen, kept = standing.evolution.readings, standing.evolution.kept
    groups = {len(reading.vectors) for reading in seen} - {len(prepared.job.pairs)}
    if done > len(plan.operations) or reads != len(seen) or keeps != len(kept) or groups:
        raise QdistError(
            f"The job must be at the same point after {done} operations as the one of the checkpoint, but has other "
            "records, pairs or heralds before it. Change only what comes later, or start from the beginning."
        )


def _tidy(folder: Path, live: Path | None) -> None:
    """Remove what killed processes have left half written."""
    files.tidy(folder)
    if live is not None:
        remove_unfinished(live)


def opened(checkpoints: Checkpoints, job: Job, comm: Comm, *, text: str) -> tuple[Keeper, Checkpoint | None]:
    """The keeper of a run, and the checkpoint from which it goes on, if there is one.

    Args:
        checkpoints: Where, and whether to go on.
        job: What is run; of a sweep the first point.
        comm: The ranks; all of them call this.
        text: The job file.

    Raises:
        QdistError: On every rank: there are checkpoints that a new run would replace, none is whole, or they are of
            another job.
    """
    folder, live = Path(checkpoints.folder), None if checkpoints.live is None else Path(checkpoints.live)
    place = str(Path(checkpoints.job).resolve()) if checkpoints.job else ""
    out = "" if live is None else str(live.resolve())
    identity = Identity(text, place, out, job.precision, job.mode, job.seed)
    if not checkpoints.resume:
        on_first(comm, lambda: check_unused(folder))
    on_first(comm, lambda: _tidy(folder, live))
    checkpoint, complaints = last_whole(folder, comm) if checkpoints.resume else (None, [])
    for complaint in complaints:
        checkpoints.tell(f"{complaint} Going on from the checkpoint before it.")
    if checkpoint is not None:
        agree(comm, partial(check_same, checkpoint, identity, fork=checkpoints.fork))
        if checkpoints.fork:
            checkpoint = replace(checkpoint, standing=replace(checkpoint.standing, first=None, outline=None))
        checkpoints.tell(f"Going on from '{checkpoint.path}'.")
    elif checkpoints.resume:
        checkpoints.tell(f"There is no checkpoint in '{folder}': starting from the beginning.")
    serials = [serial for serial, _ in comm.broadcast(files.masters(folder))]
    whole = 0 if checkpoint is None else files.serial_of(checkpoint.path)
    keeper = Keeper(
        comm,
        folder,
        job.saving,
        identity,
        asked=checkpoints.asked,
        live=live,
        previous=max(serials, default=0),
        damaged=frozenset(serial for serial in serials if serial > whole),
        resumed=0 if checkpoint is None else checkpoint.attributes["resumed"] + 1,
    )
    return keeper, checkpoint
