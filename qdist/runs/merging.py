"""The results of many files, each of some points of one sweep, become the result of the whole sweep."""

import contextlib
import itertools
import math
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.runs import schema
from qdist.runs.jobfiles.lines import KeyPath, dotted
from qdist.runs.jobfiles.numbers import find_number, placed, written_path
from qdist.runs.jobfiles.sweep import axis_names, with_sweep
from qdist.runs.results import ABOUT, SWEEP, Result, read_result
from qdist.runs.schema import Axis
from qdist.runs.stacking import stacked
from qdist.runs.sweep import MAX_POINTS

HOW = (("run", "title"), ("ranks",), ("checkpoint",), (SWEEP,))
"""Parts of a job that no number in its result depends on; a sweep's values are in the result itself."""

OWN = ("wall_seconds", "ranks", "resumed")
"""Attributes that are about the making of one file."""

ABSENT = "not given"


@dataclass(frozen=True)
class _Part:
    """One of the files.

    Attributes:
        name: Of the file.
        result: What is in it.
        table: Its job as TOML has it, without what no number depends on.
        swept: The axes of the result by what they sweep.
    """

    name: str
    result: Result
    table: dict[str, Any]
    swept: dict[KeyPath, Axis]

    def value(self, path: KeyPath) -> Any:
        """What the job has at a path, whatever is swept."""
        found: Any = self.table
        for key in path:
            inside = isinstance(found, list) and isinstance(key, int) and key < len(found)
            if not inside and not (isinstance(found, dict) and key in found):
                return ABSENT
            found = found[key]
        return found


def merged(paths: Iterable[str | os.PathLike[str]]) -> Result:
    """One result of the points of all files, equal to that of one sweep over all of them.

    Numbers in which the files' jobs differ become axes, in the order of the job, before the axes that the files have
    already, each with its values ascending. The job of the result is that of the first file with the whole [sweep].

    Args:
        paths: Results of single jobs, of parts of a sweep, or of both.

    Raises:
        QdistError: A file cannot be read, is unfinished or has no job; the jobs differ in more than numbers; or a point
            is there twice or missing.
    """
    files = [os.fspath(path) for path in paths]
    if len(files) < 2:
        if not files:
            raise QdistError("Results to merge must be at least one, but none is given. Name the files.")
        return read_result(files[0])
    parts = [_part(name) for name in files]
    try:
        return _whole(parts)
    except RecursionError:
        raise QdistError(
            f"The job of a result must not be nested so deeply, but one of {len(parts)} is. "
            "Restore the file from a copy."
        ) from None


def _whole(parts: Sequence[_Part]) -> Result:
    swept = {path: axis.path for part in parts for path, axis in part.swept.items()}
    differing = {path: written_path(path) for path in _differences([_fixed(part, swept) for part in parts])}
    numbers = differing | swept
    for path in numbers:
        _check_number(path, parts)
    names = axis_names(numbers.values())
    places = _places(numbers, parts)
    axes = []
    for text, values in zip(numbers.values(), zip(*places, strict=True), strict=True):
        found = find_number(text, parts[0].table)
        axes.append(Axis(names[text], text, tuple(sorted(set(values))), found.units, found.long_name))
    _check_grid(axes, places)
    grid = itertools.product(*(axis.values for axis in axes))
    whole = stacked(axes, [_point(*places[point]) for point in grid])
    return replace(whole, attributes=_attributes(whole, str(parts[0].result.attributes["job"])))


def _attributes(whole: Result, text: str) -> dict[str, Any]:
    """Those of all files, with the job that asks for the whole sweep; `text` is that of one file."""
    kept = {name: value for name, value in whole.attributes.items() if name not in OWN}
    names = " ".join(axis.name for axis in whole.axes)
    return {**kept, "about": ABOUT, "format_version": schema.FORMAT_VERSION, **_job(whole.axes, text), SWEEP: names}


def _job(axes: Sequence[Axis], text: str) -> dict[str, str]:
    """The attribute `job`; none if the text is written in a way in which its section [sweep] is not found."""
    job = with_sweep(text, axes)
    wanted = {**tomllib.loads(text), SWEEP: {axis.path: list(axis.values) for axis in axes}}
    with contextlib.suppress(ValueError, RecursionError):
        if tomllib.loads(job) == wanted:
            return {"job": job}
    return {}


def _part(name: str) -> _Part:
    result = read_result(name)
    text = str(result.attributes.get("job", ""))
    if not result.attributes.get("finished", 1):
        raise QdistError(
            f"A result to merge must be finished, but the run of '{name}' is not. "
            "Wait for its end, or go on with it: `qdist resume FILE`."
        )
    if not text:
        raise QdistError(
            f"A result to merge must have the text of its job, but '{name}' was run from Python. "
            "Run a `Sweep` instead, which gives one result."
        )
    try:
        table: dict[str, Any] = tomllib.loads(text)
        for path in HOW:
            _remove(table, *path)
        return _Part(name, result, table, {find_number(axis.path, table).path: axis for axis in result.axes})
    except (ValueError, RecursionError) as error:
        raise QdistError(
            f"A result to merge must have a job that can be read, but that of '{name}' cannot: {error} "
            "Restore the file from a copy, or run the job again."
        ) from error


def _remove(table: Any, key: str, *inner: str) -> None:
    if isinstance(table, dict) and inner:
        _remove(table.get(key), *inner)
    elif isinstance(table, dict):
        table.pop(key, None)


def _fixed(part: _Part, swept: Iterable[KeyPath]) -> Any:
    """The job without the values of what any of the files sweeps."""
    table: Any = part.table
    for path in swept:
        # A job without this field differs in more than numbers, which is found when all are compared.
        with contextlib.suppress(QdistError):
            find_number(written_path(path), table)
            table = placed(table, path, math.inf)
    return table


def _differences(values: Sequence[Any], path: KeyPath = ()) -> Iterator[KeyPath]:
    """The smallest parts in which the values are not all the same."""
    first = values[0]
    if all(isinstance(value, dict) for value in values):
        for key in dict.fromkeys(key for value in values for key in value):
            yield from _differences([value.get(key, ABSENT) for value in values], (*path, key))
    elif all(isinstance(value, list) and len(value) == len(first) for value in values):
        for number, entries in enumerate(zip(*values, strict=True)):
            yield from _differences(entries, (*path, number))
    elif any(value != first or isinstance(value, bool) != isinstance(first, bool) for value in values):
        yield path


def _check_number(path: KeyPath, parts: Sequence[_Part]) -> None:
    """Raise unless a field is a number that can be swept in the jobs of all parts that do not sweep it."""
    for part in parts:
        value = part.value(path)
        if path in part.swept or (_is_number(value) and _can_be_swept(path, part)):
            continue
        other = next((other for other in parts if other.value(path) != value), None)
        one = f"{_shown(value)} in '{part.name}'"
        also = "" if other is None else f" and {_shown(other.value(path))} in '{other.name}'"
        raise QdistError(
            f"Results to merge must differ only in numbers that a job can sweep, but `{dotted(path)}` is {one}{also}. "
            "Merge those of one kind."
        )


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return not math.isnan(value) and (isinstance(value, float) or -(2**63) <= value < 2**63)


def _can_be_swept(path: KeyPath, part: _Part) -> bool:
    try:
        found = find_number(written_path(path), part.table)
    except QdistError:
        return False
    return isinstance(part.value(path), int) or not found.is_integer


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return value if value is ABSENT else repr(value)


def _places(numbers: Mapping[KeyPath, str], parts: Sequence[_Part]) -> dict[tuple[float, ...], tuple[Result, Any]]:
    """Where each point is: a result, and the place along its axes."""
    places: dict[tuple[float, ...], tuple[Result, Any]] = {}
    holders: dict[tuple[float, ...], str] = {}
    whole = {path: find_number(text, parts[0].table).is_integer for path, text in numbers.items()}
    for part in parts:
        choices = [part.swept[path].values if path in part.swept else (part.value(path),) for path in numbers]
        own = list(part.swept)
        for values in itertools.product(*choices):
            point = tuple(
                value if is_whole else float(value) for value, is_whole in zip(values, whole.values(), strict=True)
            )
            if point in places:
                raise QdistError(
                    f"Results to merge must hold each point once, but '{holders[point]}' and '{part.name}' both hold "
                    f"{_at(numbers.values(), point) or 'the same job'}. Leave one out."
                )
            along = dict(zip(numbers, values, strict=True))
            index = tuple(part.swept[path].values.index(along[path]) for path in own)
            places[point], holders[point] = (part.result, index), part.name
    return places


def _at(texts: Iterable[str], point: Sequence[float]) -> str:
    return ", ".join(f"`{text}` = {value}" for text, value in zip(texts, point, strict=True))


def _check_grid(axes: Sequence[Axis], places: Mapping[tuple[float, ...], Any]) -> None:
    """Raise unless every combination of values is there."""
    size = math.prod(len(axis.values) for axis in axes)
    if len(places) > MAX_POINTS:
        raise QdistError(
            f"Results to merge must have at most {MAX_POINTS:,} points, but have {len(places):,}. Merge fewer."
        )
    if len(places) < size:
        grid = itertools.product(*(axis.values for axis in axes))
        first = next(point for point in grid if point not in places)
        shape, missing = " × ".join(f"{len(axis.values):,}" for axis in axes), size - len(places)
        where = f"{missing:,} are missing, the first at" if missing > 1 else "one is missing, at"
        raise QdistError(
            f"Results to merge must have all {shape} points of a grid, but {where} "
            f"{_at([axis.path for axis in axes], first)}. Run what is missing, or merge fewer files."
        )


def _point(result: Result, index: tuple[int, ...]) -> Result:
    """The result of one point of a sweep, or of a single job as it is."""
    names = {axis.name for axis in result.axes}
    data = {path: array[index] if names & set(result.dims(path)) else array for path, array in result.data.items()}
    return Result(result.attributes, {path: np.asarray(array) for path, array in data.items()})
