"""The results of the points of a sweep become one: every array gains the swept fields as its leading dimensions."""

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from qdist.runs import schema
from qdist.runs.results import Result
from qdist.runs.schema import Axis

Arrays = Mapping[str, np.ndarray]


def stacked(axes: Sequence[Axis], points: Sequence[Result]) -> Result:
    """One result of all points.

    A coordinate that differs between points (`pair`, `outcome`, …) is joined: it holds what any point has, text in the
    order in which it first appears, numbers ascending, so that each point keeps its order. Where a point has no value
    there is NaN, no count, or what else the schema calls missing. Attributes stay if they are the same at every point.

    Args:
        axes: The swept fields, the first changing most slowly.
        points: One result for each point, in the order of the points.
    """
    arrays = [point.data for point in points]
    paths = [path for path in schema.SCHEMA if any(path in each for each in arrays)]
    along = {path: _joined(path, arrays) for path in paths if schema.is_coordinate(path)}
    known: dict[Hashable, np.ndarray] = {}
    places = [{path: _places(path, each[path], along, known) for path in along if path in each} for each in arrays]
    shape = tuple(len(axis.values) for axis in axes)
    data = {path: along[path] if path in along else _stacked(path, arrays, along, places, shape) for path in paths}
    return Result(_common([point.attributes for point in points]), data, axes=tuple(axes))


def _common(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is the same everywhere."""
    first = attributes[0]
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in attributes)}


def _joined(path: str, arrays: Sequence[Arrays]) -> np.ndarray:
    found = list({_key(each[path]): each[path] for each in arrays if path in each}.values())
    if len(found) == 1:
        return found[0]
    entries = dict.fromkeys(entry for array in found for entry in _entries(array))
    is_text = found[0].dtype.kind == "U"
    return np.array([value for value, _ in (entries if is_text else sorted(entries))])


def _key(array: np.ndarray) -> Hashable:
    return array.dtype.str, array.tobytes()


def _entries(array: np.ndarray) -> list[tuple[Any, int]]:
    """Each value, and how often it was there before: an instruction of a plan may have several rows."""
    times: Counter[Any] = Counter()
    entries = []
    for value in array.tolist():
        entries.append((value, times[value]))
        times[value] += 1
    return entries


def _places(path: str, array: np.ndarray, along: Arrays, known: dict[Hashable, np.ndarray]) -> np.ndarray:
    """Where the entries of a coordinate stand in the joined one; most points have the same ones."""
    key = path, _key(array)
    if key not in known:
        place = {entry: number for number, entry in enumerate(_entries(along[path]))}
        known[key] = np.array([place[entry] for entry in _entries(array)], int)
    return known[key]


def _stacked(
    path: str,
    arrays: Sequence[Arrays],
    along: Arrays,
    places: Sequence[Mapping[str, np.ndarray]],
    shape: tuple[int, ...],
) -> np.ndarray:
    present = [each[path] for each in arrays if path in each]
    dims = [schema.coordinate(path, dim) for dim in schema.SCHEMA[path].dims[: present[0].ndim]]
    sizes = tuple(len(along[dim]) for dim in dims)
    is_whole = len(present) == len(arrays) and all(array.shape == sizes for array in present)
    dtype, missing = _storage(path, present, is_whole)
    table = np.full((len(arrays), *sizes), missing, dtype)
    for point, (each, place) in enumerate(zip(arrays, places, strict=True)):
        if path in each:
            block: Any = (point, *np.ix_(*(place[dim] for dim in dims)))
            table[block] = each[path]
    agreed = _agreed(table, missing) if schema.SCHEMA[path].once else None
    return table.reshape(*shape, *sizes) if agreed is None else agreed


def _storage(path: str, present: Sequence[np.ndarray], is_whole: bool) -> tuple[np.dtype, Any]:
    """The dtype that holds the arrays of all points, and what stands where there is no value."""
    dtype, missing = np.result_type(*{array.dtype for array in present}), schema.SCHEMA[path].missing
    if dtype.kind == "U":
        return dtype, ""
    if dtype.kind == "i" and math.isnan(missing):
        return (dtype, 0) if is_whole else (np.dtype(float), missing)
    return dtype, missing


def _agreed(table: np.ndarray, missing: Any) -> np.ndarray | None:
    """What all points have that have anything, shape of one point; `None` if two of them differ."""
    there = table != missing
    first = np.take_along_axis(table, there.argmax(axis=0)[None], axis=0)[0]
    return first if ((table == first) | ~there).all() else None
