"""Which numbers of a job a sweep can change: from a path in words to the field, its type, its unit and its name."""

import dataclasses
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Union, get_args, get_origin

from qdist.errors import QdistError, did_you_mean
from qdist.network.devices import DURATIONS, Device
from qdist.network.protocols.catalog import PROTOCOLS
from qdist.physics.channels import CHANNELS
from qdist.runs.jobfiles.fields import (
    JobFile,
    LinkSection,
    LinkTemplate,
    NetworkSection,
    NodeSection,
    NoiseSection,
    Section,
)
from qdist.runs.jobfiles.lines import KeyPath, dotted

PART = re.compile(r'(?:(?P<word>[\w-]+)|"(?P<quoted>[^"]*)")(?P<indices>(?:\[\d{1,9}\])*)(?P<end>\.|$)')
SAME = ("sweep", "ranks")
"""Sections that are the same at all points."""

METERS = ("length", "radius", "side")
SECONDS = ("attempt_duration", "duration", "t1", "t2", *DURATIONS)
UNITS = {
    **dict.fromkeys(METERS, "m"),
    **dict.fromkeys(SECONDS, "s"),
    "loss_db_per_km": "dB/km",
    "angle": "rad",
}
"""By the last name of a field; others are plain numbers."""


@dataclass(frozen=True)
class Place:
    """What may stand somewhere in a job file.

    Attributes:
        what: In words, such as "text".
        number: `int` or `float` if it may be a number.
        owner: How a message calls the table that it is.
        fields: The fields that it has if it is a table.
        others: What every field is of a table whose fields the user names.
        entries: What every entry is if it is a list.
    """

    what: str
    number: type | None = None
    owner: str = "This table"
    fields: Mapping[str, "Place"] = field(default_factory=dict)
    others: "Place | None" = None
    entries: "Place | None" = None


TEXT = Place("text")
WHOLE, REAL = Place("a whole number", int), Place("a number", float)


@dataclass(frozen=True)
class Number:
    """A number of a job.

    Attributes:
        path: Where it stands.
        is_integer: Whether it must be a whole number.
        units: SI unit, `"1"` for a plain number.
        long_name: In words: `"length of every link"`.
    """

    path: KeyPath
    is_integer: bool
    units: str
    long_name: str


def find_number(text: str, table: Mapping[str, Any]) -> Number:
    """The number that a path such as `"links[0].fidelity"` names; it need not stand in the file.

    Args:
        text: The path.
        table: The job, as TOML has it. Nothing in it needs to be right.

    Raises:
        QdistError: There is no such field in any job, or not in this one, or it is no number.
    """
    path = key_path(text)
    _check_section(text, path, table)
    place, value = _job(table), table
    for depth, part in enumerate(path):
        place = _inside(place, value, path[: depth + 1])
        value = _value(value, part)
    if place.number is None:
        inner = next((name for name, inner in place.fields.items() if inner.number), None)
        hint = f' Sweep a number in it, such as "{text}.{inner}".' if inner else " Sweep a number."
        hint = f' Sweep a number in it, such as "{text}[0]…".' if place.entries else hint
        raise QdistError(f"`{text}` must be a number, but is {place.what}.{hint}")
    name = str(next(part for part in reversed(path) if isinstance(part, str)))
    return Number(path, place.number is int, UNITS.get(name, "1"), _long_name(path, table))


def key_path(text: str) -> KeyPath:
    """`("links", 0, "fidelity")` for `"links[0].fidelity"`."""
    path: list[str | int] = []
    at, end = 0, "."
    while end:
        match = PART.match(text, at)
        if match is None:
            raise QdistError(
                'A swept field must be a path such as "network.link.length" or "links[0].fidelity", '
                f"but is '{text}'. Write its names with dots between them."
            )
        path.append(match["word"] if match["quoted"] is None else match["quoted"])
        path += [int(index) for index in re.findall(r"\d+", match["indices"])]
        at, end = match.end(), match["end"]
    return tuple(path)


def written_path(path: KeyPath) -> str:
    """`"links[0].fidelity"` for `("links", 0, "fidelity")`: what `key_path` reads."""
    words = [f"[{part}]" if isinstance(part, int) else f".{_quoted(part)}" for part in path]
    return "".join(words).removeprefix(".")


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w-]+", word) else f'"{word}"'


def placed(table: Any, path: KeyPath, value: float) -> Any:
    """The job with a number set: a copy as deep as the path goes. A device's name becomes the preset of a table."""
    if not path:
        return value
    part, rest = path[0], path[1:]
    if isinstance(part, int):
        return [*table[:part], placed(table[part], rest, value), *table[part + 1 :]]
    if isinstance(table, str):
        table = {"preset": table}
    known = table if isinstance(table, dict) else {}
    return {**known, part: placed(known.get(part), rest, value)}


def _check_section(text: str, path: KeyPath, table: Mapping[str, Any]) -> None:
    if path[0] in SAME:
        raise QdistError(
            f"`{text}` must be the same at all points, but is swept: results do not depend on it. "
            f"Set it in [{path[0]}]."
        )
    if path[0] == "network" and "network" not in table:
        raise QdistError(
            f"`{text}` must be a field of this job, but there is no section [network]. "
            'Sweep a field of its nodes or links, such as "links[0].length".'
        )
    if path[0] in ("nodes", "links") and "network" in table:
        raise QdistError(
            f"`{text}` must be a field of this job, but it has a section [network]. "
            'Sweep a field of all, such as "network.link.length", or write the network as [[nodes]] and [[links]].'
        )


def _inside(place: Place, value: Any, path: KeyPath) -> Place:
    """What stands one step further down, at the end of `path`."""
    part, here = path[-1], dotted(path[:-1])
    if isinstance(part, int):
        if place.entries is None:
            raise QdistError(f"`{here}` must be a list to have an entry [{part}], but is {place.what}. Remove the [ ].")
        size = len(value) if isinstance(value, list) else 0
        if part >= size:
            known = f"[0] to [{size - 1}]" if size > 1 else "[0]" if size else "none"
            raise QdistError(
                f"`{dotted(path)}` must be an entry of this job, but `{here}` has {known}. Change the number."
            )
        return place.entries
    if place.entries is not None:
        raise QdistError(f'`{here}` must be given with a number, but has none. Write "{here}[0].{part}" for the first.')
    if place.others is not None:
        return place.others
    if not place.fields:
        raise QdistError(f"`{here}` must be a table to have a field '{part}', but is {place.what}. Remove '.{part}'.")
    if part not in place.fields:
        what = "section" if len(path) == 1 else "field"
        raise QdistError(f"{place.owner} has no {what} '{part}'.{did_you_mean(part, place.fields)}")
    return place.fields[part]


def _value(value: Any, part: str | int) -> Any:
    inside = isinstance(value, list) if isinstance(part, int) else isinstance(value, dict) and part in value
    return value[part] if inside else None


def _job(table: Mapping[str, Any]) -> Place:
    """A job file with the parameters of its protocol."""
    program = table.get("program")
    name = program.get("protocol") if isinstance(program, dict) else None
    protocol = PROTOCOLS.get(name) if isinstance(name, str) else None
    parameters = {} if protocol is None else {key: _typed(p.annotation) for key, p in protocol.parameters.items()}
    known = {key: _typed(info.annotation) for key, info in JobFile.model_fields.items() if key not in SAME}
    known["program"] = dataclasses.replace(
        known["program"],
        fields={**parameters, **known["program"].fields},
        owner=f"Protocol '{name}'" if protocol is not None else "Section [program]",
    )
    return Place("a job", owner="A job", fields=known)


def _typed(annotation: Any) -> Place:
    """What a field of some type is."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return _section(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _typed(next(argument for argument in arguments if argument is not types.NoneType))
    if origin is Annotated:
        return _typed(arguments[0])
    if origin is dict:
        return Place("a table", others=_typed(arguments[1]))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return Place("a list", entries=_typed(arguments[0]))
    return PLAIN.get(annotation, TEXT)


PLAIN = {int: WHOLE, float: REAL, bool: Place("true or false")}


def _section(section: type[Section]) -> Place:
    fields = {key: SPECIAL.get((section, key)) or _typed(info.annotation) for key, info in section.model_fields.items()}
    return Place("a table", owner=section.owner, fields=fields)


def _channel(name: str, parameters: Sequence[str]) -> Place:
    kinds = {"axis": TEXT, "probabilities": Place("a table", others=REAL)}
    fields = {key: kinds.get(key, REAL) for key in parameters}
    alone = float if [place.number for place in fields.values()] == [float] else None
    return Place("a table", alone, f"Channel '{name}'", fields)


_ENTRY = Place("a number", float, entries=REAL)
_MATRIX = Place("a list", entries=Place("a list", entries=_ENTRY))
_DEVICE = Place(
    "a device",
    owner="A device",
    fields={info.name: TEXT if info.type is str else REAL for info in dataclasses.fields(Device)} | {"preset": TEXT},
)
_READOUT = Place("a table", owner="`readout`", fields={"p01": REAL, "p10": REAL})
_CHANNELS = Place(
    "a table",
    owner="A circuit's noise",
    fields={name: _channel(name, rule.parameters) for name, rule in CHANNELS.items()},
)
SPECIAL = {
    (LinkSection, "matrix"): _MATRIX,
    (LinkTemplate, "matrix"): _MATRIX,
    (NodeSection, "device"): _DEVICE,
    (NetworkSection, "device"): _DEVICE,
    (NoiseSection, "one_qubit"): _CHANNELS,
    (NoiseSection, "two_qubit"): _CHANNELS,
    (NoiseSection, "readout"): _READOUT,
}
"""Fields whose types do not say what is in them."""


def _long_name(path: KeyPath, table: Mapping[str, Any]) -> str:
    """What a field is called on an axis: "t2 of alice", "length of every link", "rounds"."""
    words = [part for part in path if isinstance(part, str)]
    name = dotted(path[path.index(words[-1]) :]).replace("_", " ")
    match path:
        case ("nodes", int(number), *_):
            return f"{name} of {_value(_value(_value(table, 'nodes'), number), 'name')}"
        case ("links", int(number), *_):
            ends = _value(_value(_value(table, "links"), number), "between")
            return f"{name} of {'-'.join(map(str, ends)) if isinstance(ends, list) else dotted(path[:2])}"
        case ("network", "link", *_):
            return f"{name} of every link"
        case ("network", "device", *_):
            return f"{name} of every node"
        case ("noise", where, *_) if len(words) > 2:
            return f"{name}, {str(where).replace('_', ' ')}"
    return name
