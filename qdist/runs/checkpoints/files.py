"""The files of a checkpoint: one with the blocks of each rank, and a master that says which belong together.

A file is written under a temporary name, synced, read back and renamed. A checkpoint exists when its master does. Every
byte is covered: the master's first 512 bytes hold a checksum of all others, and the master lists the size and checksum
of each block file. All of them are HDF5 files; the master shows each cluster as a virtual dataset over the blocks.
"""

import contextlib
import io
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from qdist.errors import QdistError
from qdist.runs.checkpoints.codec import POOLS, pack, unpack
from qdist.runs.results import FORMAT_OF_HDF5, write_attribute

FORMAT = 1
HEAD = 512
"""Bytes in front of the HDF5 part of a master."""
HEAD_TEXT = re.compile(rb"qdist checkpoint, format ([1-9]\d{0,8}), crc32 of the rest ([0-9a-f]{8})\n")
MASTER_NAME = re.compile(r"(\d{8})\.h5")
BLOCKS_NAME = re.compile(r"(\d{8})\.rank(\d+)\.h5")
TEMPORARY = ".tmp"
PIECE = 2**20
ABOUT = (
    "Checkpoint of a run of qdist, a simulator of quantum states over a network. `progress` is JSON text in which an "
    'array is {"@array": [pool, first, shape]}, entries of the dataset /pools/POOL. Each dataset in /clusters is the '
    "vector of Pauli expectation values of one cluster, with the bits of its index in the attribute `bits`, the most "
    "significant first: x and z of each qubit (I=00, Z=01, X=10, Y=11), z of each classical bit."
)


class Damaged(QdistError):
    """A checkpoint is not whole: the message says which file, and what is wrong with it."""


@dataclass(frozen=True)
class Stored:
    """A file of a checkpoint as its master lists it: its name, size in bytes and CRC-32."""

    name: str
    size: int
    crc: int


def master_name(serial: int) -> str:
    return f"{serial:08d}.h5"


def blocks_name(serial: int, rank: int) -> str:
    return f"{serial:08d}.rank{rank}.h5"


def serial_of(master: Path) -> int:
    """The number in the name of a master."""
    return int(master.name.removesuffix(".h5"))


def write_blocks(path: Path, run: str, blocks: Mapping[str, np.ndarray]) -> Stored:
    """Write arrays, one dataset each, and prove that they arrived: the file is read back before it gets its name.

    It is compared with what is in memory while the disk is at work.

    Raises:
        OSError: The file cannot be written, or holds something else than what was written. It is gone then.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        places = []
        with h5py.File(temporary, "w", libver=FORMAT_OF_HDF5) as file:
            write_attribute(file, "run", run)
            for name, array in blocks.items():
                dataset = file.create_dataset(name, data=np.ascontiguousarray(array))
                file.flush()
                places.append((dataset.id.get_offset(), array))
        with ThreadPoolExecutor(1) as aside:
            crc = aside.submit(_crc_as_written, temporary, places)
            sync(temporary)
        stored = Stored(path.name, temporary.stat().st_size, crc.result())
        os.replace(temporary, path)
        return stored
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _crc(path: Path) -> int:
    crc = 0
    with open(path, "rb", buffering=0) as stream:
        while piece := stream.read(PIECE):
            crc = zlib.crc32(piece, crc)
    return crc


def _crc_as_written(path: Path, places: Sequence[tuple[int, np.ndarray]]) -> int:
    """Of a file whose arrays are compared with those in memory, piece by piece.

    Raises:
        OSError: They differ.
    """
    regions = [(offset, np.ascontiguousarray(array).reshape(-1).view(np.uint8)) for offset, array in places]
    crc = position = 0
    with open(path, "rb", buffering=0) as stream:
        while piece := stream.read(PIECE):
            crc = zlib.crc32(piece, crc)
            read = np.frombuffer(piece, np.uint8)
            for offset, array in regions:
                start, end = max(offset, position), min(offset + array.size, position + read.size)
                if start < end and not np.array_equal(
                    read[start - position : end - position], array[start - offset : end - offset]
                ):
                    raise OSError(f"'{path.name}' does not hold what was written to it")
            position += read.size
    return crc


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; some network file systems refuse folders."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
            os.fsync(handle)
    finally:
        os.close(handle)


def write_master(
    path: Path,
    attributes: Mapping[str, Any],
    files: Sequence[Stored],
    progress: Any,
    clusters: Sequence[Mapping[str, Any]],
) -> None:
    """Write the master, as a whole or not at all: with its name the checkpoint exists."""
    image = _image(attributes, files, progress, clusters)
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with open(temporary, "wb") as stream:
            stream.write(image)
            stream.flush()
            os.fsync(stream.fileno())
        if temporary.read_bytes() != image:
            raise OSError(f"'{temporary.name}' does not hold what was written to it")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def _image(
    attributes: Mapping[str, Any], files: Sequence[Stored], progress: Any, clusters: Sequence[Mapping[str, Any]]
) -> bytes:
    stream = io.BytesIO()
    text, pools = pack(progress)
    with h5py.File(stream, "w", libver=FORMAT_OF_HDF5, userblock_size=HEAD) as file:
        for name, value in {"about": ABOUT, **attributes}.items():
            write_attribute(file, name, value)
        file.create_dataset("progress", data=np.frombuffer(text.encode(), np.uint8))
        for name, pool in pools.items():
            file.create_dataset(f"pools/{name}", data=pool)
        if files:
            names = [stored.name.encode() for stored in files]
            file.create_dataset("files/name", data=np.array(names, h5py.string_dtype("ascii", max(map(len, names)))))
            file.create_dataset("files/size", data=np.array([stored.size for stored in files], np.int64))
            file.create_dataset("files/crc32", data=np.array([stored.crc for stored in files], np.int64))
        for cluster in clusters:
            _write_virtual(file, cluster)
    rest = stream.getvalue()[HEAD:]
    head = f"qdist checkpoint, format {FORMAT}, crc32 of the rest {zlib.crc32(rest):08x}\n".encode()
    return head.ljust(HEAD, b"\0") + rest


def _write_virtual(file: h5py.File, cluster: Mapping[str, Any]) -> None:
    """The whole vector of a cluster, split bits first, for a reader that knows HDF5 alone."""
    blocks = cluster["blocks"]
    split = [wire for wire, _ in blocks[0]["bands"]]
    shape = (2 ** len(split), *cluster["shape"])
    layout = h5py.VirtualLayout(shape, np.dtype(cluster["dtype"]))
    for block in blocks:
        row = sum(value << (len(split) - 1 - k) for k, (_, value) in enumerate(block["bands"]))
        layout[row] = h5py.VirtualSource(block["file"], block["dataset"], tuple(cluster["shape"]))
    # A block that is missing must not read as zeros.
    dataset = file.create_virtual_dataset(f"clusters/{cluster['slot']}", layout, fillvalue=np.nan)
    bits = [f"x({wire})" for wire in split] + [f"{kind}({wire})" for wire, kind in cluster["bits"]]
    write_attribute(dataset, "bits", " ".join(bits))


def read_master(path: Path) -> tuple[dict[str, Any], tuple[Stored, ...], Any]:
    """The attributes, the list of block files and the progress of a master.

    Raises:
        Damaged: It cannot be read, is not whole, or is of a newer format.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Damaged(f"'{path}' cannot be read: {error.strerror}.") from None
    found = HEAD_TEXT.match(content[:HEAD])
    if found is None:
        raise Damaged(f"'{path}' does not begin as a checkpoint does.")
    if int(found[1]) > FORMAT:
        raise Damaged(
            f"'{path}' has format {int(found[1])}, and this qdist knows up to {FORMAT}: a newer one wrote it. "
            "Upgrade with `pip install --upgrade qdist`."
        )
    if content[found.end() : HEAD].strip(b"\0") or zlib.crc32(content[HEAD:]) != int(found[2], 16):
        raise Damaged(f"'{path}' is damaged or cut short: its checksum is wrong.")
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            return _parsed(file, len(content))
    except Exception as error:  # h5py raises nearly any type on bytes that are not what it wrote
        raise Damaged(f"'{path}' has a right checksum, but cannot be understood ({error}).") from None


def _parsed(file: h5py.File, size: int) -> tuple[dict[str, Any], tuple[Stored, ...], Any]:
    attributes = {}
    for name in file.attrs:
        value = file.attrs[name]
        attributes[name] = value.decode() if isinstance(value, bytes) else getattr(value, "item", lambda v=value: v)()
    there = [name for name in POOLS if f"pools/{name}" in file]
    pools = {name: _array(file, f"pools/{name}", size, POOLS[name]) for name in there}
    text = _array(file, "progress", size, np.dtype(np.uint8)).tobytes().decode()
    files: list[Stored] = []
    if "files/name" in file:
        names = [name.decode() for name in file["files/name"][()].tolist()]
        if not all(BLOCKS_NAME.fullmatch(name) for name in names):
            raise ValueError("a block file has an impossible name")
        sizes, sums = (_array(file, f"files/{name}", size, np.dtype(np.int64)) for name in ("size", "crc32"))
        files = [Stored(*row) for row in zip(names, sizes.tolist(), sums.tolist(), strict=True)]
    return attributes, tuple(files), unpack(text, pools)


def _array(file: h5py.File, name: str, size: int, dtype: np.dtype) -> np.ndarray:
    dataset = file[name]
    if dataset.is_virtual or dataset.external or dataset.dtype != dtype or dataset.ndim != 1 or dataset.nbytes > size:
        raise ValueError(f"{name} is not what it should be")
    return np.asarray(dataset[()])


def check_file(folder: Path, stored: Stored, run: str) -> None:
    """Raise unless a block file is there, and every byte of it is as it was written.

    Raises:
        Damaged: With what is wrong.
    """
    path = folder / stored.name
    try:
        size = path.stat().st_size
        if size != stored.size:
            found = "cut short" if size < stored.size else "too long"
            raise Damaged(f"'{path}' is {found}: it has {size} bytes, not {stored.size}.{_stranger(path, run)}")
        if _crc(path) != stored.crc:
            raise Damaged(f"'{path}' is damaged: its checksum is wrong.{_stranger(path, run)}")
    except FileNotFoundError:
        raise Damaged(f"'{path}' is missing.") from None
    except OSError as error:
        raise Damaged(f"'{path}' cannot be read: {error.strerror}.") from None


def _stranger(path: Path, run: str) -> str:
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = file.attrs["run"]
            name = found.decode() if isinstance(found, bytes) else str(found)
    except Exception:
        return ""
    return "" if name == run else " It is of another run."


@contextlib.contextmanager
def mapped(path: Path, dataset: str, shape: tuple[int, ...], dtype: np.dtype) -> Iterator[np.ndarray]:
    """The array of a block file that was checked: pages are read when they are looked at."""
    with h5py.File(path, "r", locking=False) as file:
        found = file[dataset]
        if found.shape != shape or found.dtype != dtype or found.chunks is not None or found.is_virtual:
            raise Damaged(f"'{path}' must hold an array of {shape} {dtype}, but does not.")
        offset = found.id.get_offset()
    yield np.memmap(path, dtype, "r", offset, shape)


def masters(folder: Path) -> list[tuple[int, Path]]:
    """Serial numbers and paths of the masters in a folder, the newest first.

    Raises:
        QdistError: The folder cannot be read.
    """
    if not folder.is_dir():
        return []
    try:
        found = [(MASTER_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    except OSError as error:
        raise QdistError(
            f"A folder of checkpoints must be readable, but '{folder}' is not: {error.strerror}. Mend it, or name "
            "another result with `--out FILE.h5`."
        ) from None
    return sorted(((int(match[1]), path) for match, path in found if match is not None), reverse=True)


def remove(folder: Path, serial: int) -> None:
    """Remove a checkpoint: its master first, so that it is never half there. If that is impossible, it stays."""
    with contextlib.suppress(OSError):
        (folder / master_name(serial)).unlink(missing_ok=True)
        for path in folder.glob(f"{serial:08d}.rank*"):
            path.unlink(missing_ok=True)


def tidy(folder: Path) -> None:
    """Remove what a killed run has left half written: temporary files, and blocks without a master."""
    whole = {serial for serial, _ in masters(folder)}
    for path in folder.iterdir() if folder.is_dir() else ():
        blocks = BLOCKS_NAME.fullmatch(path.name)
        stem = path.name.removesuffix(TEMPORARY)
        is_temporary = path.name != stem and (MASTER_NAME.fullmatch(stem) or BLOCKS_NAME.fullmatch(stem))
        if is_temporary or (blocks is not None and int(blocks[1]) not in whole):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
