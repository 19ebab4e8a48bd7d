"""What is damaged in a result or in a folder of checkpoints, in sentences."""

import contextlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qdist.errors import QdistError
from qdist.runs.checkpoints import files
from qdist.runs.checkpoints.files import Damaged
from qdist.runs.checkpoints.resuming import folder_of
from qdist.runs.checkpoints.stored import Checkpoint, read_checkpoint
from qdist.runs.results import damaged_arrays, read_result
from qdist.runs.views.text import WIDTH, bytes_text, counted, printable

UNKNOWN = "Not known to this qdist, and not read"


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
    if files.MASTER_NAME.fullmatch(path.name) and _is_master(path):
        return _checkpoint(path)
    blocks = files.BLOCKS_NAME.fullmatch(path.name)
    if blocks and (master := path.with_name(files.master_name(int(blocks[1])))).exists():
        return _checkpoint(master)
    found = _result(path)
    folder = folder_of(path)
    if not files.masters(folder):
        return found
    beside = _folder(folder)
    return Examined(found.lines + beside.lines, found.is_whole and beside.is_whole)


def _is_master(path: Path) -> bool:
    if path.parent.suffix == ".checkpoints" or not path.is_file():
        return path.is_file()
    with contextlib.suppress(OSError), open(path, "rb") as stream:
        return stream.read(5) == b"qdist"
    return False


def _result(path: Path) -> Examined:
    if not path.exists() and files.masters(folder_of(path)):
        return Examined((f"{printable(path)}: not written yet.",), True)
    try:
        result = read_result(path)
    except QdistError as error:
        if not path.exists():
            raise
        damaged, whole = damaged_arrays(path)
        lines = [printable(error), *_listed("Damaged", damaged), *_listed("Can still be read", whole)]
        return Examined((*lines, *(() if whole else ("Nothing in it can be read.",))), False)
    state = "whole" if result.attributes.get("finished", 1) else "whole, of a run that has not ended"
    lines = [f"{printable(path)}: {state}, {counted(len(result.data), 'array')}.", *_listed(UNKNOWN, result.unknown)]
    return Examined(tuple(lines), True)


def _listed(what: str, names: Sequence[str]) -> list[str]:
    """A sentence that names arrays, over as many lines as it takes."""
    text = printable(f"{what}: {', '.join(names)}.")
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False) if names else []


def _folder(folder: Path) -> Examined:
    masters = files.masters(folder)
    if not masters:
        raise QdistError(f"A folder must hold checkpoints, but '{folder}' holds none.")
    found = [_checkpoint(path) for _, path in masters]
    lines = [line for each in found for line in each.lines]
    whole = [path for each, (_, path) in zip(found, masters, strict=True) if each.is_whole]
    if len(whole) < len(found):
        lines.append(f"A run can go on from '{printable(whole[0])}'." if whole else "No run can go on from here.")
    return Examined(tuple(lines), len(whole) == len(found))


def _checkpoint(path: Path) -> Examined:
    try:
        checkpoint = read_checkpoint(path)
    except Damaged as error:
        return Examined((printable(error),), False)
    return Examined((f"{printable(path)}: whole, {_described(checkpoint)}.",), True)


def _described(checkpoint: Checkpoint) -> str:
    standing, clusters = checkpoint.standing, [cluster for cluster in checkpoint.clusters if cluster.wires]
    size = sum(2 ** len(cluster.part.bits) * cluster.dtype.itemsize for cluster in clusters)
    words = [f"written by {counted(checkpoint.attributes['ranks'], 'rank')}"]
    words += [f"{counted(len(standing.points), 'point')} done"] if standing.axes else []
    steps = ("batch of shots", "batches of shots") if standing.batch else ("operation", "operations")
    words += [f"{counted(standing.done, *steps)} done"] if standing.done else []
    words += [f"{counted(len(clusters), 'cluster')} of {bytes_text(size)}"] if clusters else []
    return ", ".join(words)
