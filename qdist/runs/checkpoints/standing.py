"""Where a run stands at a step: the value, and the plain values that a checkpoint keeps of it.

What follows from the job alone is not kept: clocks, delays and the ledger's entries are worked out again, and random
numbers are counted, so the number of the next shot is all that there is to their state.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.machine.plan import Part
from qdist.network.ledger import Account
from qdist.runs.ensemble import Ensemble, Record, Sums
from qdist.runs.evolution import Evolution, KeptBranch, Reading
from qdist.runs.results import Result


@dataclass(frozen=True, eq=False)
class Outline:
    """What identifies a plan without its numbers, and for each operation a sum that its numbers give.

    Attributes:
        shape: A checksum of the kinds of operations, their slots, digits and names.
        sums: Of the numbers of each operation, weighted; equal up to rounding on another machine.
    """

    shape: str
    sums: np.ndarray


@dataclass(frozen=True, eq=False)
class Standing:
    """Where a run stands.

    Attributes:
        axes: Path and values of each field of a sweep.
        points: Results of the points of a sweep that are done.
        point: The point that is under way, if all ranks share it.
        done: Operations of the plan that are done, or batches of shots.
        batch: Shots in a batch.
        first: Outline of the plan of the first point of a sweep.
        outline: Of the plan that is under way.
        ensemble: Sums over the shots of the batches that are done.
        evolution: Where the plan has led.
        parts: What this rank holds of the clusters whose vectors `evolution` has.
    """

    axes: tuple[tuple[str, tuple[float, ...]], ...] = ()
    points: Mapping[int, Result] = field(default_factory=dict)
    point: int | None = None
    done: int = 0
    batch: int | None = None
    first: Outline | None = None
    outline: Outline | None = None
    ensemble: Ensemble | None = None
    evolution: Evolution | None = None
    parts: tuple[Part, ...] = ()


BEGINNING = Standing()


def plain_standing(standing: Standing) -> dict[str, Any]:
    """As lists and mappings of numbers, text and arrays, without the vectors."""
    ensemble, evolution = standing.ensemble, standing.evolution
    return {
        "axes": [[path, list(values)] for path, values in standing.axes],
        "points": _plain_points(standing.points),
        "point": standing.point,
        "done": standing.done,
        "batch": standing.batch,
        "first": _plain_outline(standing.first),
        "outline": _plain_outline(standing.outline),
        "ensemble": None if ensemble is None else _plain_ensemble(ensemble),
        "evolution": None if evolution is None else _plain_evolution(evolution),
    }


def full_standing(plain: Mapping[str, Any]) -> Standing:
    """The value of `plain_standing`; its evolution has no vectors yet.

    Raises:
        KeyError, TypeError, ValueError: Something is missing or is of another type.
    """
    ensemble, evolution = plain["ensemble"], plain["evolution"]
    return Standing(
        axes=tuple((str(path), tuple(values)) for path, values in plain["axes"]),
        points=_full_points(plain["points"]),
        point=None if plain["point"] is None else int(plain["point"]),
        done=int(plain["done"]),
        batch=None if plain["batch"] is None else int(plain["batch"]),
        first=_full_outline(plain["first"]),
        outline=_full_outline(plain["outline"]),
        ensemble=None if ensemble is None else _full_ensemble(ensemble),
        evolution=None if evolution is None else _full_evolution(evolution),
    )


def _plain_outline(outline: Outline | None) -> dict[str, Any] | None:
    return None if outline is None else {"shape": outline.shape, "sums": outline.sums}


def _full_outline(plain: Mapping[str, Any] | None) -> Outline | None:
    return None if plain is None else Outline(str(plain["shape"]), np.asarray(plain["sums"], float))


def _plain_evolution(evolution: Evolution) -> dict[str, Any]:
    return {
        "drawn": evolution.drawn,
        "accepted": evolution.accepted,
        "kept": [
            [k.label, k.is_herald, None if k.probability is None else np.asarray(k.probability, float), k.accepted]
            for k in evolution.kept
        ],
        "readings": [
            [r.label, np.asarray(r.time, float), [None if v is None else _host(v) for v in r.vectors], r.accepted]
            for r in evolution.readings
        ],
    }


def _host(vector: Any) -> np.ndarray:
    """The numbers of a vector, which may be on a device."""
    return np.asarray(vector)


def _full_evolution(plain: Mapping[str, Any]) -> Evolution:
    kept = [
        KeptBranch(str(label), bool(is_herald), None if p is None else _number(p), accepted)
        for label, is_herald, p, accepted in plain["kept"]
    ]
    readings = [
        Reading(str(label), _number(time), tuple(vectors), accepted)
        for label, time, vectors, accepted in plain["readings"]
    ]
    return Evolution(drawn=dict(plain["drawn"]), accepted=plain["accepted"], kept=kept, readings=readings)


def _number(array: np.ndarray) -> Any:
    return float(array) if array.ndim == 0 else array


def _plain_sums(sums: Sums | None) -> Any:
    return None if sums is None else [sums.total, sums.weight]


def _full_sums(plain: Any) -> Sums | None:
    return None if plain is None else Sums(*plain)


def _plain_ensemble(ensemble: Ensemble) -> dict[str, Any]:
    return {
        "records": [
            [record.label, _plain_sums(record.time), [_plain_sums(pair) for pair in record.pairs]]
            for record in ensemble.records
        ],
        "correlators": _plain_sums(ensemble.correlators),
        "counts": [list(ensemble.counts), np.array(list(ensemble.counts.values()), np.int64)],
        "kept": ensemble.kept,
        "kept_weight": ensemble.kept_weight,
        "started": ensemble.started,
        "accounts": _plain_accounts(ensemble.accounts),
    }


def _full_ensemble(plain: Mapping[str, Any]) -> Ensemble:
    """Without what the job says: the executor fills it in."""
    outcomes, numbers = plain["counts"]
    records = [
        Record(str(label), Sums(*time), [_full_sums(pair) for pair in pairs]) for label, time, pairs in plain["records"]
    ]
    return Ensemble(
        mode="sampled",
        probabilities_wanted=False,
        correlator_strings=(),
        qubits=(),
        records=records,
        correlators=_full_sums(plain["correlators"]),
        counts=Counter(dict(zip(outcomes, numbers.tolist(), strict=True))),
        kept=[(str(label), bool(is_herald)) for label, is_herald in plain["kept"]],
        kept_weight=[float(weight) for weight in plain["kept_weight"]],
        started=float(plain["started"]),
        accounts=_full_accounts(plain["accounts"]),
    )


_COLUMNS = ("made", "used", "wasted", "attempts", "bits")


def _plain_accounts(accounts: Sequence[tuple[float, Account]]) -> list[Any]:
    """One row of numbers for each batch; links and routes are written once for those that have the same."""
    found: list[Any] = []
    for weight, account in accounts:
        columns = [getattr(account, name) for name in _COLUMNS]
        keys = [[list(key) if isinstance(key, tuple) else key for key in column] for column in columns]
        row = [weight, *(value for column in columns for value in column.values())]
        if not found or found[-1][0] != keys:
            found.append([keys, []])
        found[-1][1].append(row)
    return [[keys, np.array(rows, float)] for keys, rows in found]


def _full_accounts(plain: Sequence[Any]) -> list[tuple[float, Account]]:
    accounts = []
    for keys, rows in plain:
        for weight, *values in rows.tolist():
            left = iter(values)
            columns: list[dict[Any, float]] = []
            for column in keys:
                columns.append({tuple(key) if isinstance(key, list) else str(key): next(left) for key in column})
            accounts.append((weight, Account(*columns)))
    return accounts


def _plain_points(points: Mapping[int, Result]) -> dict[str, Any]:
    """Column by column: arrays of one path that have one shape at all points are one array."""
    numbers = sorted(points)
    paths = dict.fromkeys(path for number in numbers for path in points[number].data)
    return {
        "numbers": np.array(numbers, np.int64),
        "attributes": [points[number].attributes for number in numbers],
        "columns": {path: _column([points[number].data.get(path) for number in numbers]) for path in paths},
    }


def _column(arrays: Sequence[np.ndarray | None]) -> Any:
    first = arrays[0]
    kinds = {None if array is None else (array.dtype, array.shape) for array in arrays}
    if first is None or len(kinds) > 1:
        return list(arrays)
    if first.dtype.kind == "U" and all(np.array_equal(array, first) for array in arrays if array is not None):
        return {"same": first}
    return {"stacked": np.stack([array for array in arrays if array is not None])}


def _rows(column: Any, count: int) -> Sequence[np.ndarray | None]:
    if isinstance(column, list):
        return column
    return [column["same"]] * count if "same" in column else list(column["stacked"])


def _full_points(plain: Mapping[str, Any]) -> dict[int, Result]:
    numbers, attributes = plain["numbers"].tolist(), plain["attributes"]
    data: list[dict[str, np.ndarray]] = [{} for _ in numbers]
    for path, column in plain["columns"].items():
        for found, array in zip(data, _rows(column, len(data)), strict=True):
            if array is not None:
                found[path] = array
    return {number: Result(dict(a), d) for number, a, d in zip(numbers, attributes, data, strict=True)}
