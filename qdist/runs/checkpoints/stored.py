"""A checkpoint that was read: where its run stood, and the vectors of its clusters in any layout."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.machine.comm import SERIAL, Comm
from qdist.machine.plan import Part
from qdist.runs.checkpoints import files
from qdist.runs.checkpoints.files import Damaged
from qdist.runs.checkpoints.standing import Standing, full_standing
from qdist.runs.evolution import Evolution
from qdist.runs.final import FinalStates

Bit = tuple[str, str]
NEEDED = {"text": str, "job": str, "out": str, "precision": str, "mode": str, "seed": int, "run": str, "ranks": int}
DTYPES: dict[str, np.dtype] = {"<f4": np.dtype("<f4"), "<f8": np.dtype("<f8")}
NEEDED |= {"resumed": int, "done": int, "points_done": int, "qdist_version": str}


@dataclass(frozen=True)
class Block:
    """Where a part of a cluster's vector is stored, and the x bits that it has all of."""

    file: str
    dataset: str
    bands: dict[str, int]


@dataclass(frozen=True, eq=False)
class Cluster:
    """A stored vector.

    Attributes:
        slot: Its number in the plan.
        bits: Of the index of each block, the most significant first.
        dtype: Of its numbers.
        on_device: Whether it was in the memory of JAX's device.
        blocks: Its parts; one if it was not split.
        vector: The whole, if it is small and stands in the master.
    """

    slot: int
    bits: tuple[Bit, ...]
    dtype: np.dtype
    on_device: bool
    blocks: tuple[Block, ...] = ()
    vector: np.ndarray | None = None

    @property
    def wires(self) -> tuple[str, ...]:
        """The qubits and bits whose correlations it holds."""
        return tuple(wire for wire, kind in self.bits if kind == "z")

    @property
    def part(self) -> Part:
        """The whole vector on one rank: split x bits in front of the z bits of their qubits."""
        split = self.blocks[0].bands if self.blocks else {}
        bits: list[Bit] = []
        for wire, kind in self.bits:
            bits += [(wire, "x")] if kind == "z" and wire in split else []
            bits.append((wire, kind))
        return Part(self.slot, tuple(bits))


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A whole checkpoint: every byte of it was checked when it was read.

    Attributes:
        path: Of its master.
        attributes: Job text, versions, number of ranks, …
        standing: Where the run stood, without vectors.
        clusters: The stored vectors.
    """

    path: Path
    attributes: dict[str, Any]
    standing: Standing
    clusters: tuple[Cluster, ...]

    @property
    def done(self) -> int:
        """Operations of the plan that were done, or batches of shots."""
        return self.standing.done

    def __repr__(self) -> str:
        counts = (self.done, "steps done"), (len(self.standing.points), "points done"), (len(self.clusters), "clusters")
        return f"Checkpoint({str(self.path)!r}, {', '.join(f'{count} {what}' for count, what in counts)})"

    def states(self) -> FinalStates:
        """The states of an exact run at the checkpoint, as `final_states` gives them at the end; on one rank.

        Raises:
            QdistError: The run draws its outcomes, or is between the points of a sweep: there is no state then.
        """
        if self.standing.evolution is None:
            raise QdistError(
                "`states` must be asked of a checkpoint with a state, but this one is between batches of shots or "
                "points of a sweep. Look at its `standing`."
            )
        parts = tuple(cluster.part for cluster in self.clusters if cluster.bits)
        return FinalStates(parts, self.evolution(parts))

    def evolution(self, parts: Sequence[Part], comm: Comm = SERIAL) -> Evolution:
        """Where the plan had led, with what this rank holds of each cluster.

        Args:
            parts: The clusters as they are to lie here, by whatever split.
            comm: The ranks.

        Raises:
            QdistError: The clusters are not those of the checkpoint.
        """
        assert self.standing.evolution is not None
        by_wires = {frozenset(cluster.wires): cluster for cluster in self.clusters if cluster.bits}
        vectors: dict[int, Any] = {
            cluster.slot: _placed(np.array(cluster.vector), cluster)
            for cluster in self.clusters
            if not cluster.bits and cluster.vector is not None
        }
        for part in parts:
            cluster = by_wires.pop(frozenset(part.wires), None)
            if cluster is None or cluster.part.qubits != part.qubits:
                raise QdistError(_other_clusters(part, cluster))
            if not part.is_empty:
                vectors[part.slot] = _placed(self._vector(cluster, part), cluster)
        if by_wires:
            raise QdistError(_other_clusters(None, next(iter(by_wires.values()))))
        return replace(self.standing.evolution, vectors=vectors, comm=comm)

    def _vector(self, cluster: Cluster, part: Part) -> np.ndarray:
        """The entries of a part: of each block those whose x bits the part has."""
        if cluster.vector is not None:
            return _common(cluster.vector, cluster.bits, {}, part)[2]
        vector = np.zeros((2,) * len(part.bits), cluster.dtype)
        for block in cluster.blocks:
            here = dict(part.bands)
            if any(here.get(wire, value) != value for wire, value in block.bands.items()):
                continue
            shape = (2 ** len(cluster.bits),)
            with files.mapped(self.path.parent / block.file, block.dataset, shape, cluster.dtype) as stored:
                into, place, found = _common(stored, cluster.bits, block.bands, part)
                vector[place] = found.reshape(into)
        return vector.reshape(-1)


def _common(
    stored: np.ndarray, bits: Sequence[Bit], bands: dict[str, int], part: Part
) -> tuple[tuple[int, ...], tuple[Any, ...], np.ndarray]:
    """What a stored block and a part have in common: its shape and place in the part, and the entries in its order."""
    wanted = dict(part.bands)
    taken = tuple(wanted[wire] if kind == "x" and wire in wanted else slice(None) for wire, kind in bits)
    left = [bit for bit, index in zip(bits, taken, strict=True) if isinstance(index, slice)]
    found = stored.reshape((2,) * len(bits))[taken]
    place = tuple(bands[wire] if kind == "x" and wire in bands else slice(None) for wire, kind in part.bits)
    order = [left.index(bit) for bit, index in zip(part.bits, place, strict=True) if isinstance(index, slice)]
    return (2,) * len(order), place, np.array(found.transpose(order)).reshape(-1)


def _placed(vector: np.ndarray, cluster: Cluster) -> Any:
    """Back in the memory where it was, so that the same kernels go on with it."""
    if not cluster.on_device:
        return vector
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(vector.dtype.itemsize == 8):
        return jnp.array(vector)


def _other_clusters(part: Part | None, cluster: Cluster | None) -> str:
    wanted = "no other cluster" if part is None else f"a cluster of {', '.join(part.wires[:6])}"
    found = f"one of {', '.join(cluster.wires[:6])}" if cluster is not None else "none of just these"
    return (
        f"The job must have the clusters of the checkpoint at this point, but it has {wanted}, and the checkpoint has "
        f"{found}. Go on with the job that the checkpoint is of."
    )


def read_checkpoint(path: str | Path, comm: Comm = SERIAL) -> Checkpoint:
    """Read a checkpoint, and check every byte of its files; ranks share the work.

    Args:
        path: Its master, `FOLDER/00000012.h5`, or the folder for the newest.
        comm: The ranks; all of them call this.

    Raises:
        Damaged: A file is missing, was changed, is of another run or of a newer format.
        QdistError: There is no checkpoint.
    """
    path = Path(path)
    is_folder = path.is_dir() and files.MASTER_NAME.fullmatch(path.name) is None
    if is_folder:
        path = next((master for _, master in files.masters(path)), path)
    if not path.exists() or (is_folder and path.is_dir()):
        raise QdistError(f"A checkpoint must be there, but '{path}' is none. `qdist run` writes them while it runs.")
    attributes, stored, plain = files.read_master(path)
    complaints = []
    for number, each in enumerate(stored):
        if number % comm.size == comm.rank:
            try:
                files.check_file(path.parent, each, str(attributes.get("run", "")))
            except Damaged as error:
                complaints.append(str(error))
    together = [complaint for found in comm.gather(complaints) for complaint in found]
    if together:
        raise Damaged(" ".join(together))
    try:
        for name, kind in NEEDED.items():
            if not isinstance(attributes[name], kind):
                raise TypeError(f"{name} is not what it should be")
        clusters = tuple(_clusters(plain, {each.name for each in stored}))
        return Checkpoint(path, attributes, full_standing(plain), clusters)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise Damaged(f"'{path}' has a right checksum, but cannot be understood ({error}).") from None


def _clusters(plain: Any, known: set[str]) -> Iterable[Cluster]:
    for slot, found in plain["inline"].items():
        vector = found["vector"]
        bits = _bits(found["bits"])
        if vector.shape != (2 ** len(bits),):
            raise ValueError("a vector has not the size of its index")
        yield Cluster(int(slot), bits, vector.dtype, bool(found["on_device"]), vector=vector)
    for found in plain["clusters"]:
        blocks = tuple(
            Block(block["file"], block["dataset"], {str(wire): int(value) for wire, value in block["bands"]})
            for block in found["blocks"]
        )
        if not blocks or any(block.file not in known for block in blocks):
            raise ValueError("a block is in a file that is not listed")
        dtype = DTYPES[found["dtype"]]
        yield Cluster(int(found["slot"]), _bits(found["bits"]), dtype, bool(found["on_device"]), blocks)


def _bits(plain: Any) -> tuple[Bit, ...]:
    bits = tuple((str(wire), str(kind)) for wire, kind in plain)
    if any(kind not in ("x", "z") for _, kind in bits) or len(set(bits)) != len(bits):
        raise ValueError("the bits of an index are not known")
    return bits
