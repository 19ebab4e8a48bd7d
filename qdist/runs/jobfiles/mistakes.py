"""What is wrong in the shape of a job file, in sentences: values of the wrong kind, unknown and missing fields."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from qdist.errors import did_you_mean
from qdist.runs.jobfiles.fields import JobFile, Section, heading, section_at, sections
from qdist.runs.jobfiles.lines import KeyPath, Source

INFINITE = ("t1", "t2")
"""The only fields that may be `inf`: lifetimes."""
NO_PROGRAM = (
    'A job must have a section [program], but has none. Add it, with `circuit = "FILE.qasm"` or `protocol = "NAME"`.'
)


def odd_values(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Values that TOML allows and no field takes, with what is wrong: huge integers, dates, nan, and most inf.

    The values of a sweep are left to who knows which fields they are for.
    """
    if path == ("sweep",):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from odd_values(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from odd_values(inner, (*path, number))
    elif isinstance(value, float) and math.isnan(value):
        yield path, f"{named(path)} must be a number, but is nan."
    elif isinstance(value, float) and math.isinf(value) and (path[-1] not in INFINITE or value < 0):
        yield path, f"{named(path)} must be finite, but is {value}. Only `t1` and `t2` can be inf."
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield path, f"{named(path)} must fit into 64 bits, but is an integer of {value.bit_length()} bits."
    elif not isinstance(value, str | float | int):
        yield path, f"{named(path)} must be text, a number, true, false, a list or a table, but is a date or a time."


def shaped(model: type[Section], table: Mapping[str, Any], source: Source, path: KeyPath = ()) -> Any:
    """The table as a section, or the first of its mistakes in the order of the lines."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        found = [((*path, *place), sentence) for place, sentence in mistakes(error, model)]
    # What stands in the file before what is missing there: a misspelled field is both.
    raise source.error(*min(found, key=lambda mistake: (source.line(mistake[0]) or 0, mistake[0] not in source.lines)))


def mistakes(error: ValidationError, model: type[Section]) -> list[tuple[KeyPath, str]]:
    """What pydantic found wrong, as paths and sentences."""
    return [_mistake(found, model) for found in error.errors(include_url=False)]


def _mistake(found: Any, model: type[Section]) -> tuple[KeyPath, str]:
    path: KeyPath = found["loc"]
    if found["type"] == "extra_forbidden":
        return path, _unknown(str(path[-1]), section_at(model, path[:-1]))
    if path == ("program",) and found["type"] == "missing":
        return (), NO_PROGRAM
    if found["type"] == "missing":
        return path, _missing(str(path[-1]), section_at(model, path[:-1]))
    known = found["type"] in WANTED
    wanted = WANTED[found["type"]].format(**found.get("ctx", {})) if known else found["msg"]
    return path, f"{named(path)} must be {wanted}, but is {shown(found['input'])}.{_hint(path, found)}"


WANTED = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list in [ ]",
    "sequence_str": "a list in [ ]",
    "tuple_type": "a list in [ ]",
    "is_instance_of": "a list in [ ]",
    "dict_type": "a table in {{ }}",
    "model_type": "a table",
    "too_short": "a list of {min_length} entries",
    "too_long": "a list of {max_length} entries",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
}


def _hint(path: KeyPath, found: Any) -> str:
    """What to type instead, where it can be guessed."""
    match found["type"], found["input"]:
        case "model_type", list() if len(path) == 1:
            return f" Write [{path[0]}] instead of [[{path[0]}]]."
        case "list_type", dict() if len(path) == 1:
            return f" Write [[{path[0]}]] instead of [{path[0]}], once for each."
        case "literal_error", str() as word:
            close = did_you_mean(word, [known.strip("'") for known in re.split(", | or ", found["ctx"]["expected"])])
            return close if "Did you mean" in close else ""
        case "int_type" | "float_type", str():
            return " Write a number without quotes."
        case "int_type", float() as number if number.is_integer():
            return f" Write {int(number)} without a decimal point."
        case "string_type", int() | float():
            return " Put it in quotes."
        case "list_type" | "sequence_str", str() as word:
            return f" Write [{shown(word)}] for a list of one."
    return ""


def _unknown(name: str, section: type[Section]) -> str:
    what = "section" if section is JobFile else "parameter" if section.owner.startswith("Protocol") else "field"
    homes = [heading(key) for key, inner in sections(JobFile) if name in inner.model_fields]
    hint = f" It belongs to {homes[0]}." if homes else did_you_mean(name, section.model_fields)
    return f"{section.owner} has no {what} '{name}'.{hint}"


def _missing(name: str, section: type[Section]) -> str:
    description = section.model_fields[name].description or ""
    what = f": {description[0].lower()}{description[1:]}" if description else "."
    return f"{section.owner} must have `{name}`, but it is missing. Add it{what}"


def named(path: KeyPath) -> str:
    """How a sentence calls a field: by its last name."""
    return f"Entry {path[-1]}" if isinstance(path[-1], int) else f"`{path[-1]}`"


def shown(value: Any) -> str:
    """A value of a job file in a message: short, and never a container of unknown depth."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return repr(value if len(value) <= 60 else value[:59] + "…")
        case dict():
            return "a table"
        case list() | tuple():
            return f"a list of {len(value)}" if value else "an empty list"
    return str(value)
