"""Result files as an xarray `DataTree`: named dimensions, labels, units and definitions, after the reader's checks."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qdist.errors import QdistError
from qdist.runs import schema
from qdist.runs.merging import merged
from qdist.runs.results import SWEEP, Result, read_result
from qdist.runs.schema import Axis

if TYPE_CHECKING:
    from xarray import DataTree

Arrays = dict[str, tuple[tuple[str, ...], np.ndarray, Mapping[str, Any]]]
"""By name: dimensions, values and attributes, as xarray takes them."""


def open(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> "DataTree":
    """A result as an xarray `DataTree` with the groups of the file, or the results of a sweep's many files as one.

    The file is read whole by `read_result`, which trusts none of its bytes, and is closed again. Every array has named
    dimensions, each with a coordinate, and the attributes `units`, `long_name` and `definition`; text is `str`, and has
    no unit. The verdict, a code, has `flag_values` and `flag_meanings`. Swept fields are coordinates in every group
    that depends on them, and all of them are in `/sweep`. The attributes of the root are those of the file.

    Args:
        source: A result of any version of the format, or several whose jobs differ only in numbers: these become the
            first dimensions, as in the result of one sweep. All points of the grid must be there, each once: counts
            and probabilities have no value that could say "missing".

    Raises:
        QdistError: xarray is not installed, a file cannot be read, or the files are not parts of one sweep.
    """
    xarray = _xarray()
    result = read_result(source) if isinstance(source, str | os.PathLike) else merged(source)
    groups = {name: _dataset(xarray, result, name) for name in _groups(result)}
    return xarray.DataTree.from_dict({"/": xarray.Dataset(attrs=result.attributes), **groups})


def _xarray() -> Any:
    try:
        import xarray

        xarray.DataTree  # noqa: B018 (since 2024.10)
    except (ImportError, AttributeError) as error:
        raise QdistError(
            "`open` needs xarray 2024.10 or newer, but it is not installed. Install it with "
            "`pip install 'qdist[analysis]'`. Without it, `read_result` gives NumPy arrays."
        ) from error
    return xarray


def _groups(result: Result) -> list[str]:
    found = dict.fromkeys(path.partition("/")[0] for path in schema.SCHEMA if path in result.data)
    return [*([SWEEP] if result.axes else []), *found]


def _dataset(xarray: Any, result: Result, group: str) -> Any:
    arrays: Arrays = {}
    for path in schema.SCHEMA:
        if path in result.data and path.startswith(f"{group}/"):
            arrays[path.partition("/")[2]] = (result.dims(path), result[path], _meaning(path, result[path].dtype))
    used = {dim for dims, _, _ in arrays.values() for dim in dims}
    axes: Arrays = {
        axis.name: ((axis.name,), axis.coordinate, _meaning_of_axis(axis))
        for axis in result.axes
        if group == SWEEP or axis.name in used
    }
    names = used | {name for name in schema.RECORD_COORDINATES if "step" in used}
    beside = {name: array for name, array in arrays.items() if name in names}
    return xarray.Dataset({name: arrays[name] for name in arrays if name not in beside}, {**axes, **beside})


def _meaning(path: str, dtype: np.dtype) -> dict[str, Any]:
    variable = schema.SCHEMA[path]
    meaning: dict[str, Any] = {"units": variable.units, "long_name": variable.long_name}
    meaning["definition"] = variable.definition
    if variable.flags:
        meaning["flag_values"] = np.array(list(variable.flags), dtype)
        meaning["flag_meanings"] = " ".join(variable.flags.values())
    return {name: value for name, value in meaning.items() if not isinstance(value, str) or value}


def _meaning_of_axis(axis: Axis) -> dict[str, str]:
    meaning = {"path": axis.path, "units": axis.units, "long_name": axis.long_name}
    return {**meaning, "definition": schema.AXIS.definition}
