"""What a run leaves behind: the value `Result`, and the one HDF5 file that it is written to and read from.

The file follows the netCDF-4 conventions, so h5py, xarray (`open_datatree(path, engine="h5netcdf")`) and the netCDF
tools open it. Nothing in it is unprotected: arrays carry a Fletcher-32 checksum, and attributes, scalars and text sit
in structures that HDF5 checksums itself. That is why text has a fixed length: HDF5 keeps text of variable length in a
heap without a checksum.
"""

import contextlib
import glob
import importlib.metadata
import io
import math
import os
import platform
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from qdist.errors import QdistError, did_you_mean
from qdist.runs import schema
from qdist.runs.schema import Axis
from qdist.version import __version__

SIGNATURE = b"\x89HDF\r\n\x1a\n"
ABOUT = (
    "Result of one run of qdist, a simulator of quantum states over a network. Text is UTF-8. Each array says its "
    "unit and definition; NaN means no value. `job` is the text that asked for the run. If it asked for a sweep, the "
    "swept fields are in /sweep and are the first dimensions of the arrays."
)
FORMAT_OF_HDF5 = ("v110", "v110")  # for any HDF5 since 2016; before, the index of chunks had no checksum
WHOLE_CHUNK = 2**20  # bytes; smaller arrays are one chunk, so that they have one checksum
SWEEP = "sweep"  # the group of the swept fields
NAME = 64  # letters of a result's name that its temporary file begins with
AGAIN = "Restore it from a copy, or run the job again."


@dataclass(frozen=True, eq=False)
class Result:
    """What a run computed.

    Attributes:
        attributes: Title, mode, seed, precision, versions, …: see `schema.ATTRIBUTES`.
        data: The arrays by their path in the file, such as `"results/probabilities"`, coordinates included: see
            `schema.SCHEMA`.
        final: The states at the end of the run, with a method `state(qubits)`. In memory only, never written.
        unknown: What a file held that the schema does not list, by path. It was not read.
        axes: The swept fields, the leading dimensions of every array that depends on the point. Their values are also
            `result["sweep/NAME"]`.
    """

    attributes: dict[str, str | int | float]
    data: dict[str, np.ndarray]
    final: Any = None
    unknown: tuple[str, ...] = field(default=(), kw_only=True)
    axes: tuple[Axis, ...] = field(default=(), kw_only=True)

    def __getitem__(self, path: str) -> np.ndarray:
        swept = {f"{SWEEP}/{axis.name}": axis for axis in self.axes}
        if path in swept:
            return swept[path].coordinate
        if path not in self.data:
            raise QdistError(f"This result has no array '{path}'.{did_you_mean(path, [*self.data, *swept])}")
        return self.data[path]

    def dims(self, path: str) -> tuple[str, ...]:
        """The names of the dimensions of an array, the swept fields first."""
        return schema.dims_of(path, self[path].shape, self.axes)

    def state(self, qubits: Sequence[str]) -> Any:
        """The reduced state of `qubits` at the end of the run, a `qdist.physics.states.State`.

        Raises:
            QdistError: The result was read from a file or is of a sweep, which keep no states.
        """
        if self.final is None:
            raise QdistError(
                "`state` needs the states in memory, but this result holds none: files and sweeps keep metrics, not "
                "states. Run the program in this Python session, or record the metrics of the pair in the program."
            )
        return self.final.state(qubits)

    def probability(self, outcome: str) -> Any:
        """Probability of the classical bits being `outcome`, such as `"010"`; the first character is the first bit.

        In the result of a sweep it is an array with one dimension for each swept field.
        """
        probabilities, outcomes = self["results/probabilities"], self["results/outcome"]
        lengths = np.unique(np.char.str_len(outcomes)).tolist() if len(outcomes) else [0]
        if len(outcome) not in lengths or set(outcome) - {"0", "1"}:
            wanted = " or ".join(map(str, lengths))
            raise QdistError(f"`outcome` must be {wanted} characters 0 or 1, but is '{outcome}'.")
        found = probabilities[..., outcomes == outcome].sum(axis=-1)
        return found if self.axes else float(found)

    def __repr__(self) -> str:
        words = [repr(self.attributes.get("title", "")), str(self.attributes.get("mode", ""))]
        words += [" × ".join(str(len(axis.values)) for axis in self.axes) + " points"] if self.axes else []
        words += [f"{len(self[path])} {name}" for path, name in _COUNTED if path in self.data]
        return f"Result({', '.join(word for word in words if word)})"


_COUNTED = (
    ("results/outcome", "outcomes"),
    ("results/pauli", "correlators"),
    ("metrics/step", "records"),
    ("metrics/pair", "pairs"),
    ("ledger/link", "links"),
)


def versions() -> dict[str, str]:
    """The versions that a result depends on, as attributes."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    """Reads package metadata, so JAX is not imported; a sweep asks at each of its points."""
    found = {"qdist_version": __version__, "python_version": platform.python_version()}
    for package in ("numpy", "jax", "h5py"):
        try:
            found[f"{package}_version"] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[f"{package}_version"] = "not installed"
    return found


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise unless a result can be written to `path`; meant for before the compute. Leaves nothing behind.

    An existing file is fine if it may be written to: it will be replaced as a whole.

    Raises:
        QdistError: The folder is missing or cannot be written to, or `path` is a folder, a device or write-protected.
    """
    try:
        target = Path(path).resolve()
        if target.is_dir():
            raise QdistError(f"The output must be a file, but '{path}' is a folder. Add a file name such as 'run.h5'.")
        if not target.parent.is_dir():
            raise QdistError(
                f"The output folder must exist, but '{target.parent}' does not. Create it with `mkdir -p`."
            )
        if target.exists():
            _check_replaceable(target)
        probe = _temporary(target)
        probe.touch(exist_ok=False)
        probe.unlink()
    except (OSError, ValueError) as error:
        raise error if isinstance(error, QdistError) else _cannot_write(path, error) from error


def _check_replaceable(target: Path) -> None:
    mode = target.stat().st_mode
    if not stat.S_ISREG(mode):
        raise QdistError(f"The output must be a file, but '{target}' is a device or a pipe. Choose another name.")
    # Renaming over a file needs no permission on the file itself: without this check protection would be ignored.
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(target, os.W_OK):
        raise QdistError(f"The output must be writable, but '{target}' is write-protected. Choose another name.")


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name[:NAME]}.{secrets.token_hex(6)}.tmp")


def remove_unfinished(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed while they wrote a result have left beside it."""
    target = Path(path).resolve()
    start = f".{target.name[:NAME]}."
    if len(target.name) > NAME or not target.parent.is_dir():
        return  # another result may begin with the same letters
    for each in target.parent.glob(f"{glob.escape(start)}*.tmp"):
        if re.fullmatch(r"[0-9a-f]{12}\.tmp", each.name.removeprefix(start)):
            with contextlib.suppress(OSError):
                each.unlink()


def _cannot_write(path: str | os.PathLike[str], error: Exception) -> QdistError:
    reason = getattr(error, "strerror", None) or str(error)
    return QdistError(
        f"The output must be writable, but '{path}' cannot be written: {reason}. Choose another folder or free space."
    )


def write_result(result: Result, path: str | os.PathLike[str]) -> None:
    """Write `result` to `path` as a whole or not at all.

    The file is built in memory, written under a temporary name in the same folder, synced and renamed: a reader sees
    the old file or the new one. The same result gives the same bytes (from h5py 3.15 on; before, times are in it).

    Raises:
        QdistError: The result does not fit the schema, or `path` cannot be written.
    """
    attributes = {name: _plain(value) for name, value in result.attributes.items()}
    attributes = {**versions(), "about": ABOUT, **attributes, "format_version": schema.FORMAT_VERSION}
    if result.axes:
        attributes[SWEEP] = " ".join(axis.name for axis in result.axes)
    data = {name: _array(value) for name, value in result.data.items()}
    schema.check_attributes(attributes, result.axes)
    schema.check_data(data, result.axes)
    check_writable(path)
    target = Path(path).resolve()
    try:
        _replace(target, _image(attributes, data, result.axes))
    except OSError as error:
        raise _cannot_write(path, error) from error


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(str) if array.dtype.kind in "OT" else array


def _image(attributes: Mapping[str, Any], data: Mapping[str, np.ndarray], axes: Sequence[Axis]) -> bytes:
    """The bytes of the file, built without touching a disk."""
    stream = io.BytesIO()
    dims = {path: schema.dims_of(path, data[path].shape, axes) for path in schema.SCHEMA if path in data}
    with h5py.File(stream, "w", libver=FORMAT_OF_HDF5, track_order=True) as file:
        for name in schema.ATTRIBUTES:
            if name in attributes:
                write_attribute(file, name, attributes[name])
        scales = _write_axes(file, dims, axes)
        datasets = {path: _write_array(file, path, data[path]) for path in dims}
        _attach_coordinates(datasets, scales, dims)
    return stream.getvalue()


def _write_axes(file: h5py.File, dims: Mapping[str, tuple[str, ...]], axes: Sequence[Axis]) -> dict[str, h5py.Dataset]:
    """The swept fields, once in `/sweep` and once in each group that needs them: netCDF looks no further than up."""
    scales = {}
    groups = dict.fromkeys([SWEEP, *(path.partition("/")[0] for path in dims)])
    for folder in groups if axes else ():
        named = {name for path, names in dims.items() if path.startswith(f"{folder}/") for name in names}
        for axis in axes:
            if folder != SWEEP and axis.name not in named:
                continue
            dataset = _create(_group(file, folder), axis.name, axis.coordinate)
            meaning = {"path": axis.path, "units": axis.units, "long_name": axis.long_name}
            for name, text in {**meaning, "definition": schema.AXIS.definition}.items():
                write_attribute(dataset, name, text)
            dataset.make_scale(axis.name)
            scales[f"{folder}/{axis.name}"] = dataset
    return scales


def _group(file: h5py.File, name: str) -> h5py.Group:
    return file[name] if name in file else file.create_group(name, track_order=True)


def write_attribute(owner: Any, name: str, value: str | int | float) -> None:
    if isinstance(value, str):
        encoded = value.encode()
        owner.attrs.create(name, encoded, dtype=h5py.string_dtype("utf-8", max(1, len(encoded))))
    else:
        owner.attrs[name] = value


def _write_array(file: h5py.File, path: str, array: np.ndarray) -> h5py.Dataset:
    variable = schema.SCHEMA[path]
    folder, _, name = path.rpartition("/")
    group = _group(file, folder)
    if variable.kind == "text":
        array = np.char.encode(array, "utf-8")
        # At least two bytes: the netCDF library takes entries of one byte for the characters of one word.
        array = array.astype(h5py.string_dtype("utf-8", max(2, array.dtype.itemsize)))
    dataset = _create(group, name, array)
    _write_meaning(dataset, variable)
    return dataset


def _write_meaning(dataset: h5py.Dataset, variable: schema.Variable) -> None:
    meaning = {"units": variable.units, "long_name": variable.long_name, "definition": variable.definition}
    meaning["_Encoding"] = "utf-8" if variable.kind == "text" else ""
    meaning["flag_meanings"] = " ".join(variable.flags.values())
    for name, text in meaning.items():
        if text:
            write_attribute(dataset, name, text)
    if variable.flags:
        dataset.attrs["flag_values"] = np.array(list(variable.flags), dataset.dtype)


def _create(group: h5py.Group, name: str, array: np.ndarray) -> h5py.Dataset:
    if array.ndim == 0:
        return _create_scalar(group, name, array)
    if array.size == 0:
        return group.create_dataset(name, data=array)
    chunks = array.shape if array.nbytes <= WHOLE_CHUNK else True
    return group.create_dataset(name, data=array, chunks=chunks, fletcher32=True)


def _create_scalar(group: h5py.Group, name: str, array: np.ndarray) -> h5py.Dataset:
    """A scalar cannot be chunked, so it has no Fletcher-32; inside its header, HDF5's own checksum covers it."""
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    creation.set_obj_track_times(False)
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    identifier = h5py.h5d.create(group.id, name.encode(), h5py.h5t.py_create(array.dtype), space, creation)
    identifier.write(h5py.h5s.ALL, h5py.h5s.ALL, array)
    return h5py.Dataset(identifier)


def _attach_coordinates(
    datasets: Mapping[str, h5py.Dataset], axes: Mapping[str, h5py.Dataset], dims: Mapping[str, tuple[str, ...]]
) -> None:
    """Name the dimensions (netCDF-4 dimension scales), and for records their time and label (CF `coordinates`)."""
    scales = {path: dataset for path, dataset in datasets.items() if schema.is_coordinate(path)}
    for path, dataset in scales.items():
        dataset.make_scale(path.rpartition("/")[2])
    for path, dataset in datasets.items():
        names = dims[path] if path not in scales else ()
        for number, dim in enumerate(names):
            where = schema.coordinate(path, dim)
            dataset.dims[number].attach_scale(axes[where] if where in axes else scales[where])
        beside = {name: schema.coordinate(path, name) for name in schema.RECORD_COORDINATES}
        found = [name for name, where in beside.items() if where in datasets]
        if found and "step" in names and path not in beside.values():
            write_attribute(dataset, "coordinates", " ".join(found))


def _replace(target: Path, content: bytes) -> None:
    temporary = _temporary(target)
    try:
        with open(temporary, "xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    # The file is whole already; some network file systems refuse to sync a folder.
    with contextlib.suppress(OSError):
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_result(path: str | os.PathLike[str]) -> Result:
    """Read a result file, trusting none of its bytes.

    Every array is checked against the schema before memory is taken for it. Nothing is executed, no link out of the
    file is followed, no compression filter is loaded. What the schema does not list is named in `unknown`, not read.

    Raises:
        QdistError: There is no such file, it is not a result, is of a newer format, is damaged or breaks the schema.
    """
    _check_signature(Path(path))
    try:
        with h5py.File(path, "r", locking=False) as file:
            attributes, size = _read_attributes(file), os.path.getsize(path)
            axes = _read_axes(file, str(attributes.get(SWEEP, "")).split(), size)
            schema.check_attributes(attributes, axes)
            data, unknown = _read_groups(file, axes, size)
            schema.check_data(data, axes)
            return Result(attributes, data, unknown=unknown, axes=axes)
    except QdistError as error:
        raise QdistError(f"'{path}' cannot be read. {error}") from error
    except Exception as error:  # on damaged bytes h5py raises nearly any type: OSError, RuntimeError, KeyError, …
        what = "is cut short" if "truncated file" in str(error) else f"is damaged ({error})"
        raise QdistError(f"'{path}' must be a whole HDF5 file, but {what}. {AGAIN}") from error


def damaged_arrays(path: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """Of a file that cannot be read as a whole: which arrays are damaged, and which can be read, by path."""
    damaged: list[str] = []
    whole: list[str] = []
    try:
        with h5py.File(path, "r", locking=False) as file:
            for folder, member in _members(file):
                for name, dataset in _members(member) if isinstance(member, h5py.Group) else ():
                    where = f"{folder}/{name}"
                    try:
                        _check_storage(dataset, where, os.path.getsize(path))
                        dataset[()]
                        whole.append(where)
                    except Exception:
                        damaged.append(where)
    except Exception:  # h5py raises nearly any type on damaged bytes
        pass
    return damaged, whole


def _check_signature(path: Path) -> None:
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "does not exist"
        raise QdistError(f"A result must be a file, but '{path}' {found}. `qdist run JOB.toml` writes one.")
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(SIGNATURE))
    except OSError as error:
        raise QdistError(f"A result must be readable, but '{path}' is not: {error.strerror}.") from error
    if start != SIGNATURE:
        found = "is empty" if not start else "is not"
        raise QdistError(f"A result must be an HDF5 file, but '{path}' {found}. `qdist run JOB.toml` writes one.")


def _read_attributes(file: h5py.File) -> dict[str, str | int | float]:
    if "format_version" not in file.attrs:
        raise QdistError("A result must have the attribute `format_version`, but this HDF5 file was not made by qdist.")
    version = _read_attribute(file, "format_version")
    if isinstance(version, int) and version > schema.FORMAT_VERSION:
        raise QdistError(
            f"Its format must be at most {schema.FORMAT_VERSION}, but is {version}: a newer qdist wrote it. "
            "Upgrade with `pip install --upgrade qdist`."
        )
    return {name: _read_attribute(file, name) for name in schema.ATTRIBUTES if name in file.attrs}


def _read_attribute(owner: Any, name: str) -> str | int | float:
    attribute = owner.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind not in "Siuf" or attribute.dtype.itemsize > _size(owner.file):
        raise QdistError(
            f"Attribute `{name}` must be one number or text of fixed length, but is {attribute.dtype} of shape "
            f"{attribute.shape}. {AGAIN}"
        )
    value = owner.attrs[name].item()
    return value.decode() if isinstance(value, bytes) else value


def _size(file: h5py.File) -> int:
    return file.id.get_filesize()


def _read_axes(file: h5py.File, names: Sequence[str], file_bytes: int) -> tuple[Axis, ...]:
    axes = []
    group = dict(_members(file)).get(SWEEP) if names else None
    members = dict(_members(group)) if isinstance(group, h5py.Group) else {}
    for name in names:
        values = _read_axis(members.get(name), f"{SWEEP}/{name}", file_bytes)
        meaning = {key: str(_read_attribute(members[name], key)) for key in ("path", "units", "long_name")}
        axes.append(Axis(name, values=tuple(values.tolist()), **meaning))
    return tuple(axes)


def _read_axis(dataset: Any, path: str, file_bytes: int) -> np.ndarray:
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1 or dataset.dtype.kind not in "fi":
        raise QdistError(f"`{path}` must be a list of numbers, but is none. {AGAIN}")
    _check_storage(dataset, path, file_bytes)
    return np.asarray(dataset[()])


def _read_groups(
    file: h5py.File, axes: Sequence[Axis], file_bytes: int
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    data = {}
    unknown = [name for name in file.attrs if name not in schema.ATTRIBUTES]
    groups = {path.partition("/")[0] for path in schema.SCHEMA} | ({SWEEP} if axes else set())
    swept = {axis.name: axis for axis in axes}
    for folder, member in _members(file):
        if folder not in groups or not isinstance(member, h5py.Group):
            unknown.append(folder)
            continue
        for name, dataset in _members(member):
            path = f"{folder}/{name}"
            if name in swept:
                _check_copy(_read_axis(dataset, path, file_bytes), path, swept[name])
            elif path in schema.SCHEMA:
                data[path] = _read_array(dataset, path, axes, file_bytes)
            else:
                unknown.append(path)
    return data, tuple(unknown)


def _check_copy(values: np.ndarray, path: str, axis: Axis) -> None:
    if tuple(values.tolist()) != axis.values:
        raise QdistError(f"`{path}` must be equal to `{SWEEP}/{axis.name}`, but is not. {AGAIN}")


def _members(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """Names and objects of a group; None for a link that leads elsewhere, so that no other file is ever opened."""
    for name in group:
        hard = isinstance(group.get(name, getlink=True), h5py.HardLink)
        yield name, group[name] if hard else None


def _read_array(dataset: Any, path: str, axes: Sequence[Axis], file_bytes: int) -> np.ndarray:
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise QdistError(f"`{path}` must be an array, but is a group, a link or empty. {AGAIN}")
    schema.dims_of(path, dataset.shape, axes)
    is_text = dataset.dtype.kind == "S"
    schema.check_kind(path, np.dtype("U") if is_text else dataset.dtype)
    _check_storage(dataset, path, file_bytes)
    array = np.asarray(dataset[()])
    return np.char.decode(array, "utf-8") if is_text else array.astype(array.dtype.newbyteorder("="))


def _check_storage(dataset: h5py.Dataset, path: str, file_bytes: int) -> None:
    """Raise unless the array's bytes are in this file, all of them, under no filter but the checksum."""
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(i)[0] for i in range(creation.get_nfilters())}
    if (
        creation.get_layout() == h5py.h5d.VIRTUAL
        or creation.get_external_count()
        or filters - {h5py.h5z.FILTER_FLETCHER32}
    ):
        raise QdistError(f"`{path}` must be stored in the file itself without compression, but is not. {AGAIN}")
    stored = min(dataset.id.get_storage_size(), file_bytes)
    if dataset.nbytes > stored:
        raise QdistError(f"`{path}` must have its {dataset.nbytes} bytes in the file, but {stored} are there. {AGAIN}")
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if chunk > file_bytes:
        raise QdistError(f"`{path}` must have chunks smaller than the file, but has chunks of {chunk} bytes. {AGAIN}")
