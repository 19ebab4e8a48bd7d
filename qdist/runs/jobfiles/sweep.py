"""The section [sweep] of a job file: paths and their values become a sweep, checked before anything is computed."""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.runs.job import Job
from qdist.runs.jobfiles.fields import RangeSection
from qdist.runs.jobfiles.lines import KeyPath, Source, dotted, key_lines
from qdist.runs.jobfiles.mistakes import odd_values, shaped, shown
from qdist.runs.jobfiles.numbers import Number, find_number, placed
from qdist.runs.schema import Axis
from qdist.runs.sweep import Sweep

MAX_AXES = 8
MAX_CHECKED = 256
"""Points whose jobs are made while the file is read. Of more, those with the smallest and largest values are: what a
field allows is an interval nearly everywhere, and making 100,000 jobs twice would take minutes."""

DIGITS = 12
"""Of the numbers of a range: enough for any field, and a person finds 0.3 again by typing 0.3."""

FORM = '"network.link.length" = [1e3, 1e4]'
WANTED = "a list of numbers or a range { start = …, stop = …, num = … }"

Build = Callable[[Mapping[str, Any], Source], Job]


@dataclass(frozen=True)
class _Maker:
    """Makes the job of a point: a value, not a closure, so that one rank can give it to others."""

    table: Mapping[str, Any]
    paths: tuple[KeyPath, ...]
    source: Source
    build: Build

    def __call__(self, point: tuple[float, ...]) -> Job:
        table: Any = self.table
        for path, value in zip(self.paths, point, strict=True):
            table = placed(table, path, value)
        return self.build(table, self.source)


def read_sweep(table: Mapping[str, Any], source: Source, build: Build) -> Sweep:
    """The sweep that a job file with a section [sweep] describes.

    Args:
        table: The whole file as TOML has it.
        source: Its text.
        build: Makes the job of a file without [sweep].

    Raises:
        QdistError: The section is wrong, or a point is: the message names the line.
    """
    section = table["sweep"]
    base = {key: value for key, value in table.items() if key != "sweep"}
    _check_section(section, source)
    numbers: dict[str, Number] = {}
    for key, given in section.items():
        numbers[key] = _number(key, given, base, numbers, source)
    values = {key: _values(key, section[key], number, source) for key, number in numbers.items()}
    names = axis_names(section)
    axes = [Axis(names[key], key, values[key], number.units, number.long_name) for key, number in numbers.items()]
    moved = {number.path: ("sweep", key) for key, number in numbers.items()}
    make = _Maker(base, tuple(number.path for number in numbers.values()), replace(source, moved=moved), build)
    with source.blame(("sweep",)):
        sweep = Sweep(tuple(axes), make, text=source.text)
    return replace(sweep, title=_checked_title(sweep, lambda: build(base, source)))


def _check_section(section: Any, source: Source) -> None:
    if isinstance(section, list):
        raise source.error(("sweep",), "Section [sweep] must be one table, but is a list. Write [sweep], once.")
    if not isinstance(section, dict):
        sentence = f"Section [sweep] must be a table, but is {shown(section)}. Write {FORM} in it."
        raise source.error(("sweep",), sentence)
    if not section:
        raise source.error(("sweep",), f"Section [sweep] must have a path with values, but is empty. Write {FORM}.")
    if len(section) > MAX_AXES:
        sentence = f"A sweep must have at most {MAX_AXES} paths, but has {len(section)}. Remove some."
        raise source.error(("sweep",), sentence)


def _number(key: str, given: Any, table: Mapping[str, Any], others: Mapping[str, Number], source: Source) -> Number:
    try:
        number = find_number(key, table)
        for other, known in others.items():
            shorter = min(len(number.path), len(known.path))
            if number.path[:shorter] == known.path[:shorter]:
                raise QdistError(f"A number must be swept once, but `{other}` sweeps this one too. Remove one.")
    except QdistError as error:
        path: KeyPath = ("sweep", key)
        while isinstance(given, dict) and given and not set(given) & set(RangeSection.model_fields):
            path, given = (*path, next(iter(given))), next(iter(given.values()))
        if len(path) > 2:
            whole = ".".join(map(str, path[1:]))
            with source.blame(path):
                find_number(whole, table)
            raise source.error(path, f'A path must be in quotes, but this one is not. Write "{whole}" = ….') from None
        raise source.error(path, str(error)) from None
    return number


def axis_names(keys: Iterable[str]) -> dict[str, str]:
    """The name of a coordinate for each path: letters, digits and `_` only."""
    names: dict[str, str] = {}
    for key in keys:
        name = plain = re.sub("[^A-Za-z0-9]+", "_", key).strip("_")
        while name in names.values():
            name = f"{plain}_{len(names)}"
        names[key] = name
    return names


def with_sweep(text: str, axes: Iterable[Axis]) -> str:
    """The text of a job with a section [sweep] of these axes at its end, instead of the one that it may have."""
    lines, places = text.splitlines(), key_lines(text)
    if ("sweep",) in places:
        start = places["sweep",]
        after = min((line for path, line in places.items() if path[0] != "sweep" and line > start), default=None)
        lines[start - 1 :] = lines[after - 1 :] if after else []
    written = [f"{_toml(axis.path)} = [{', '.join(map(repr, axis.values))}]" for axis in axes]
    return "\n".join([*lines, "", "[sweep]", *written, ""])


def _toml(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'


def _values(key: str, given: Any, number: Number, source: Source) -> tuple[float, ...]:
    path: KeyPath = ("sweep", key)
    if isinstance(given, dict):
        return _range(path, given, number, source)
    if not isinstance(given, list):
        raise source.error(path, f"`{key}` must be {WANTED}, but is {shown(given)}. Write {FORM}.")
    if not given:
        raise source.error(path, f"`{key}` must have at least one value, but the list is empty. Write {FORM}.")
    seen: dict[float, int] = {}
    for entry, value in enumerate(given):
        if sentence := _mistake(value, number):
            raise source.error((*path, entry), sentence)
        if value in seen:
            sentence = f"Values must be given once each, but {value} is entry {seen[value]} too. Remove one."
            raise source.error((*path, entry), sentence)
        seen[value] = entry
    return tuple(given) if number.is_integer else tuple(map(float, given))


def _mistake(value: Any, number: Number) -> str | None:
    """What is wrong with one value, in a sentence."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = " Write it without quotes." if isinstance(value, str) else " Remove it."
        return f"A value must be a number, but is {shown(value)}.{hint}"
    for _, sentence in odd_values(value, number.path):
        return sentence
    if number.is_integer and isinstance(value, float):
        hint = f" Write {int(value)} without a decimal point." if value.is_integer() else ""
        return f"`{dotted(number.path)}` must be a whole number, but is {value}.{hint}"
    return None


def _range(path: KeyPath, given: Mapping[str, Any], number: Number, source: Source) -> tuple[float, ...]:
    for name in ("start", "stop"):
        value = given.get(name)
        sentence = _mistake(value, number) if isinstance(value, int | float) else None
        if sentence is None and isinstance(value, float) and math.isinf(value):
            sentence = f"`{name}` must be finite, but is {value}. Give the values as a list."
        if sentence is not None:
            raise source.error((*path, name), sentence)
    section = shaped(RangeSection, given, source, path)
    start, stop = given["start"], given["stop"]
    if start == stop:
        sentence = f"`stop` must differ from `start`, but both are {start}. Write [{start}] for one value."
        raise source.error((*path, "stop"), sentence)
    if section.spacing == "log" and min(start, stop) <= 0:
        name = "start" if start <= 0 else "stop"
        sentence = f'`{name}` must be positive for spacing = "log", but is {given[name]}. Raise it, or use "linear".'
        raise source.error((*path, name), sentence)
    if number.is_integer:
        return _whole_range(path, start, stop, section, source)
    spread = np.geomspace if section.spacing == "log" else np.linspace
    inner = [float(f"{value:.{DIGITS}g}") for value in spread(start, stop, section.num)[1:-1]]
    values = (float(start), *inner, float(stop))
    if len(set(values)) < len(values):
        sentence = f"`num` must give different values, but {section.num} between {start} and {stop} do not. Lower it."
        raise source.error((*path, "num"), sentence)
    return values


def _whole_range(path: KeyPath, start: int, stop: int, section: RangeSection, source: Source) -> tuple[float, ...]:
    steps = section.num - 1
    if section.spacing == "linear" and (stop - start) % steps == 0:
        return tuple(range(start, stop, (stop - start) // steps)) + (stop,)
    if section.spacing == "log":
        exact = np.geomspace(start, stop, section.num)
        values = [start, *map(round, exact[1:-1]), stop]
        if np.allclose(values, exact, rtol=1e-9, atol=0):
            return tuple(values)
        sentence = f"`num` must make the range hit whole numbers, but {section.num} does not. Write a list of them."
        raise source.error((*path, "num"), sentence)
    fitting = next(k for k in range(min(steps, abs(stop - start)), 0, -1) if (stop - start) % k == 0)
    sentence = f"`num` must make the range hit whole numbers, but {section.num} does not. Set num = {fitting + 1}."
    raise source.error((*path, "num"), sentence)


def _checked_title(sweep: Sweep, base: Callable[[], Job]) -> str:
    """The title of the first job, after the jobs of as many points as is cheap have been made."""
    titles = []
    for number in range(len(sweep)) if len(sweep) <= MAX_CHECKED else _corners(sweep):
        try:
            job = sweep.job(number)
        except QdistError as error:
            _raise_without_point(error, base)
            raise
        titles.append(job.title or job.program.name)
    return titles[0]


def _raise_without_point(error: QdistError, base: Callable[[], Job]) -> None:
    """If the job is wrong without the sweep too, the point has nothing to do with it."""
    try:
        base()
    except QdistError as plain:
        if str(error).startswith(str(plain)):
            raise plain from None


def _corners(sweep: Sweep) -> Iterator[int]:
    """The points at which every axis has its smallest or its largest value."""
    ends = [sorted({int(np.argmin(axis.values)), int(np.argmax(axis.values))}) for axis in sweep.axes]
    for places in itertools.product(*ends):
        yield int(np.ravel_multi_index(places, sweep.shape))
