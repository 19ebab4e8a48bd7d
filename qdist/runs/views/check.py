"""What is damaged in a result or in a folder of checkpoints, in sentences."""

from dataclasses import dataclass
from pathlib import Path

from qdist.errors import QdistError
from qdist.runs.checkpoints import files
from qdist.runs.checkpoints.files import Damaged
from qdist.runs.checkpoints.resuming import folder_of
from qdist.runs.checkpoints.stored import Checkpoint, read_checkpoint
from qdist.runs.results import damaged_arrays, read_result


@dataclass(frozen=True)
class Examined:
    """What was found: a line for each file, and whether all is whole."""

    lines: tuple[str, ...]
    is_whole: bool


def examine(path: Path) -> Examined:
    """Check every byte of a result and of the checkpoints that belong to it, of a folder of them, or of one.

    Raises:
        QdistError: There is nothing of this kind at the path.
    """
    if path.is_dir():
        return _folder(path)
    if files.MASTER_NAME.fullmatch(path.name) and path.parent.is_dir() and _is_master(path):
        return _checkpoint(path)
    found = _result(path)
    folder = folder_of(path)
    if not files.masters(folder):
        return found
    beside = _folder(folder)
    return Examined(found.lines + beside.lines, found.is_whole and beside.is_whole)


def _is_master(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(5) == b"qdist" or path.parent.suffix == ".checkpoints"


def _result(path: Path) -> Examined:
    if not path.exists() and files.masters(folder_of(path)):
        return Examined((f"{path}: not written yet.",), True)
    try:
        result = read_result(path)
    except QdistError as error:
        if not path.exists():
            raise
        damaged, whole = damaged_arrays(path)
        lines = [str(error)]
        lines += [f"Damaged: {', '.join(damaged)}."] if damaged else []
        lines += [f"Can still be read: {', '.join(whole)}."] if whole else ["Nothing in it can be read."]
        return Examined(tuple(lines), False)
    state = "whole" if result.attributes.get("finished", 1) else "whole, of a run that has not ended"
    odd = (f"{path}: not known to this qdist: {', '.join(result.unknown)}.",) if result.unknown else ()
    return Examined((f"{path}: {state}, {len(result.data)} arrays.", *odd), True)


def _folder(folder: Path) -> Examined:
    masters = files.masters(folder)
    if not masters:
        raise QdistError(f"A folder must hold checkpoints, but '{folder}' holds none.")
    found = [_checkpoint(path) for _, path in masters]
    lines = [line for each in found for line in each.lines]
    whole = [path for each, (_, path) in zip(found, masters, strict=True) if each.is_whole]
    if len(whole) < len(found):
        lines.append(f"A run can go on from '{whole[0]}'." if whole else "No run can go on from here.")
    return Examined(tuple(lines), len(whole) == len(found))


def _checkpoint(path: Path) -> Examined:
    try:
        checkpoint = read_checkpoint(path)
    except Damaged as error:
        return Examined((str(error),), False)
    return Examined((f"{path}: whole, {_described(checkpoint)}.",), True)


def _described(checkpoint: Checkpoint) -> str:
    standing, ranks = checkpoint.standing, checkpoint.attributes["ranks"]
    words = [f"written by {ranks} rank{'s' if ranks > 1 else ''}"]
    words += [f"{len(standing.points)} points done"] if standing.axes else []
    words += [f"{standing.done} {'batches of shots' if standing.batch else 'operations'} done"] if standing.done else []
    words += [f"{len(checkpoint.clusters)} clusters"] if checkpoint.clusters else []
    return ", ".join(words)
