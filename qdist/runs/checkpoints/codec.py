"""Plain values with arrays in them become one text and one array for each type of number, and back.

Plain values are `None`, booleans, numbers, text, lists, and mappings from text. Every number comes back with all of its
bits. Nothing that is read is ever executed, and no array is made that the numbers in the file do not fill.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

ARRAY = "@array"  # no bit, link or field is called so
POOLS: dict[str, np.dtype] = {
    "f8": np.dtype(np.float64),
    "f4": np.dtype(np.float32),
    "i8": np.dtype(np.int64),
    "b1": np.dtype(np.uint8),
}
"""The types of numbers; truth values are stored as bytes."""


def pack(value: Any) -> tuple[str, dict[str, np.ndarray]]:
    """The text, in which arrays are named by pool, offset and shape, and the pools."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in POOLS}
    sizes = dict.fromkeys(POOLS, 0)

    def plain(item: Any) -> Any:
        if isinstance(item, np.generic):
            return item.item()
        if isinstance(item, Mapping):
            return {key: plain(each) for key, each in item.items()}
        if isinstance(item, list | tuple):
            return [plain(each) for each in item]
        if item is None or isinstance(item, bool | int | float | str):
            return item
        array = np.asarray(item)
        if array.dtype.kind == "U":
            return {ARRAY: ["text", array.reshape(-1).tolist(), list(array.shape)]}
        name = _pool_of(array.dtype)
        flat = array.astype(POOLS[name], copy=False).reshape(-1)
        place = sizes[name]
        parts[name].append(flat)
        sizes[name] += flat.size
        return {ARRAY: [name, place, list(array.shape)]}

    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    return text, {name: np.concatenate(found) for name, found in parts.items() if found}


def _pool_of(dtype: np.dtype) -> str:
    if dtype.kind == "b":
        return "b1"
    if dtype.kind in "iu":
        return "i8"
    if dtype.kind == "f":
        return "f4" if dtype.itemsize == 4 else "f8"
    raise TypeError(f"An array of {dtype} cannot be stored.")


def unpack(text: str, pools: Mapping[str, np.ndarray]) -> Any:
    """The value that was packed; tuples come back as lists.

    Raises:
        ValueError: An array lies outside of its pool.
    """

    def full(item: Any) -> Any:
        if isinstance(item, list):
            return [full(each) for each in item]
        if not isinstance(item, dict):
            return item
        if set(item) != {ARRAY}:
            return {key: full(each) for key, each in item.items()}
        name, place, shape = item[ARRAY]
        if name == "text":
            return np.array(place, str).reshape(shape)
        if not all(isinstance(n, int) and n >= 0 for n in (place, *shape)):
            raise ValueError("the shape of an array is not one")
        pool, size = pools.get(name, np.zeros(0)), math.prod(shape)
        if name not in POOLS or place + size > pool.size:
            raise ValueError("an array lies outside of the numbers that are there")
        array = pool[place : place + size].reshape(shape)
        return array.astype(bool) if name == "b1" else array.copy()

    return full(json.loads(text))
