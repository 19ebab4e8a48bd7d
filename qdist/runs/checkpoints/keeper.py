"""When a checkpoint is written, and what happens to the others: asked at every step, on all ranks together."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from qdist.errors import QdistError
from qdist.machine.comm import Comm
from qdist.machine.plan import Part
from qdist.runs.checkpoints import files
from qdist.runs.checkpoints.files import Stored
from qdist.runs.checkpoints.standing import Standing, plain_standing
from qdist.runs.job import Saving
from qdist.runs.launch import Together
from qdist.runs.results import Result, versions, write_result
from qdist_kernels import is_jax

LIVE_SECONDS = 1.0
"""Between two versions of a result that is still growing."""
LIVE_SHARE = 0.02
"""Of the time of a run that its growing result may cost."""
INLINE_BYTES = 2**18
"""Vectors up to this size that every rank has stand in the master; larger ones have a dataset of their own."""


class Stopped(Together):
    """The run was asked to stop, and did so with a checkpoint. All ranks raise it together."""

    def __init__(self, by: str, path: Path) -> None:
        super().__init__(f"Stopped by {by} with a checkpoint, '{path}'.")
        self.by = by
        self.path = path


@dataclass(frozen=True)
class Identity:
    """Which run a checkpoint is of.

    Attributes:
        text: The job file.
        job: Its path; empty if there was none.
        out: Where the result goes; empty if that was not said.
        precision: Of the state.
        mode: How measurements are treated.
        seed: Of random numbers.
    """

    text: str
    job: str
    out: str
    precision: str
    mode: str
    seed: int


class Keeps(Protocol):
    """What an executor tells at every step."""

    @property
    def resumed(self) -> int:
        """How often the run was resumed."""

    def step(self, done: int, standing: Callable[[], Standing], rows: int, partial: Callable[[], Result]) -> None:
        """All ranks are at the end of a step.

        Args:
            done: Steps of this kind.
            standing: Where the run stands now; asked for if a checkpoint is written.
            rows: How many rows the result has so far.
            partial: The result so far; asked for on rank 0 if it is shown.

        Raises:
            Stopped: Somebody asked for it.
        """

    def begin(self, done: int) -> None:
        """Steps are counted from here."""

    def inside(self, wrap: Callable[[Standing], Standing]) -> Any:
        """A context in which steps are of a part of the run: `wrap` puts where that part stands into the whole."""


class Nothing:
    """Nothing is kept, and nobody can ask to stop."""

    resumed = 0

    def step(self, done: int, standing: Callable[[], Standing], rows: int, partial: Callable[[], Result]) -> None:
        """Go on."""

    def begin(self, done: int) -> None:
        """Nothing to count."""

    @contextmanager
    def inside(self, wrap: Callable[[Standing], Standing]) -> Iterator[None]:
        """Nothing to put together."""
        yield


NOTHING: Keeps = Nothing()


class Keeper:
    """Checkpoints of one run.

    Args:
        comm: All ranks.
        folder: Where they are.
        saving: When they are due, and how many stay.
        identity: Of the run.
        asked: The name of the signal that asked this process to stop, if one did.
        live: Where the growing result is shown, if anywhere.
        previous: The serial number of the last checkpoint that is there.
        damaged: The serial numbers of those that are not whole; they go when there is a new one.
        resumed: How often the run was resumed.
    """

    def __init__(
        self,
        comm: Comm,
        folder: Path,
        saving: Saving,
        identity: Identity,
        *,
        asked: Callable[[], str | None],
        live: Path | None = None,
        previous: int = 0,
        damaged: frozenset[int] = frozenset(),
        resumed: int = 0,
    ) -> None:
        self.resumed = resumed
        self._comm, self._folder, self._saving, self._identity = comm, folder, saving, identity
        self._asked, self._live, self._serial, self._damaged = asked, live, previous, damaged
        self._wraps: list[Callable[[Standing], Standing]] = []
        self._saved_at = self._shown_at = time.monotonic()
        self._saved_done = self._shown_rows = 0
        self._shown_cost = 0.0

    @contextmanager
    def inside(self, wrap: Callable[[Standing], Standing]) -> Iterator[None]:
        """Steps of a part of the run; `wrap` puts where that part stands into the whole."""
        outer_done = self._saved_done
        self._wraps.append(wrap)
        try:
            yield
        finally:
            self._wraps.pop()
            self._saved_done = outer_done

    def begin(self, done: int) -> None:
        """See `Keeps.begin`."""
        self._saved_done = done

    def step(self, done: int, standing: Callable[[], Standing], rows: int, partial: Callable[[], Result]) -> None:
        """See `Keeps.step`."""
        by, is_due = self._agreed(done)
        if by is not None or is_due:
            now = standing()
            for wrap in reversed(self._wraps):
                now = wrap(now)
            path = self._save(now)
            self._saved_at, self._saved_done = time.monotonic(), done
            if by is not None:
                raise Stopped(by, path)
        if self._live is not None and self._comm.rank == 0 and not self._wraps and rows > self._shown_rows:
            self._show(rows, partial)

    def _agreed(self, done: int) -> tuple[str | None, bool]:
        """Who asked any rank to stop, and whether a checkpoint is due."""
        # Of a sweep, points are counted, not what goes on inside of one.
        every, seconds = None if self._wraps else self._saving.every_steps, self._saving.every_seconds
        is_due = every is not None and done - self._saved_done >= every
        is_due = is_due or (seconds is not None and time.monotonic() - self._saved_at >= seconds)
        if self._comm.size == 1:
            return self._asked(), is_due
        answers = self._comm.gather((self._asked(), is_due))
        return next((by for by, _ in answers if by is not None), None), answers[0][1]

    def _show(self, rows: int, partial: Callable[[], Result]) -> None:
        waited = time.monotonic() - self._shown_at
        if waited < max(LIVE_SECONDS, self._shown_cost / LIVE_SHARE):
            return
        assert self._live is not None
        started = time.monotonic()
        result = partial()
        attributes = {**result.attributes, "finished": 0, "resumed": self.resumed}
        try:
            write_result(replace(result, attributes=attributes), self._live)
            self._shown_rows = rows
        except QdistError as error:
            # A full disk may have room again before the end, and until then the checkpoints are what counts.
            if not isinstance(error.__cause__, OSError):
                raise
        self._shown_at = time.monotonic()
        self._shown_cost = self._shown_at - started

    def _save(self, standing: Standing) -> Path:
        serial, run = self._serial + 1, secrets.token_hex(8)
        run = self._comm.broadcast(run)
        path = self._folder / files.master_name(serial)
        blocks, inline, held = self._divided(standing)
        name = files.blocks_name(serial, self._comm.rank)
        stored: Stored | None = None
        error = self._on_first(lambda: self._folder.mkdir(exist_ok=True))
        if error is None and blocks:
            try:
                stored = files.write_blocks(self._folder / name, run, blocks)
                files.sync(self._folder)
            except OSError as caught:
                error = _reason(caught)
        found = self._comm.gather((stored, error, held))
        error = next((one for _, one, _ in found if one is not None), None)
        if error is None:
            error = self._write_master(path, run, standing, inline, found)
        if error is not None:
            if self._comm.rank == 0:
                files.remove(self._folder, serial)
            raise QdistError(self._cannot(error))
        self._serial = serial
        if self._comm.rank == 0:
            self._forget_old()
        return path

    def _divided(self, standing: Standing) -> tuple[dict[str, np.ndarray], dict[str, Any], list[dict[str, Any]]]:
        """What this rank writes into its file, what stands in the master, and a description of each block."""
        blocks: dict[str, np.ndarray] = {}
        inline: dict[str, Any] = {}
        held: list[dict[str, Any]] = []
        vectors = {} if standing.evolution is None else standing.evolution.vectors
        known = {part.slot: part for part in standing.parts}
        for slot, vector in vectors.items():
            part = known.get(slot, Part(slot, ()))
            is_shared = not part.is_split
            if is_shared and self._comm.rank > 0:
                continue
            on_device, array = is_jax(vector), np.asarray(vector)
            place = {"slot": slot, "bits": part.bits, "bands": part.bands, "on_device": on_device}
            if is_shared and array.nbytes <= INLINE_BYTES:
                inline[str(slot)] = {**place, "vector": array}
                continue
            blocks[f"clusters/{slot}"] = array
            file = files.blocks_name(self._serial + 1, self._comm.rank)
            held.append({**place, "file": file, "shape": array.shape, "dtype": array.dtype.str})
        return blocks, inline, held

    def _write_master(
        self, path: Path, run: str, standing: Standing, inline: dict[str, Any], found: Sequence[Any]
    ) -> str | None:
        clusters = _clusters([held for _, _, each in found for held in each])
        attributes = {
            **vars(self._identity),
            **versions(),
            "run": run,
            "ranks": self._comm.size,
            "resumed": self.resumed,
            "done": standing.done,
            "points_done": len(standing.points),
        }
        stored = [one for one, _, _ in found if one is not None]

        def write() -> None:
            progress = {**plain_standing(standing), "inline": inline, "clusters": clusters}
            files.write_master(path, attributes, stored, progress, clusters)

        return self._on_first(write)

    def _on_first(self, function: Callable[[], None]) -> str | None:
        """Call a function on rank 0; what went wrong is told to all."""
        error: str | None = None
        if self._comm.rank == 0:
            try:
                function()
            except OSError as caught:
                error = _reason(caught)
        return self._comm.broadcast(error)

    def _cannot(self, reason: str) -> str:
        last = files.masters(self._folder)
        left = f"The last whole one, '{last[0][1]}', is untouched" if last else "There is none yet"
        return (
            f"A checkpoint must be written to '{self._folder}', but that failed: {reason}. {left}. "
            "Free space or mend the disk, then go on with `qdist run --resume JOB`."
        )

    def _forget_old(self) -> None:
        """Remove all but the newest whole ones, once the newest was read back."""
        serials = [serial for serial, _ in files.masters(self._folder)]
        whole = [serial for serial in serials if serial not in self._damaged]
        for serial in {*serials} - {*whole[: self._saving.keep]}:
            files.remove(self._folder, serial)


def _reason(error: OSError) -> str:
    """h5py puts the reason into a long sentence."""
    text = error.strerror or str(error)
    known = [os.strerror(number) for number in (28, 122, 5, 13, 30)]  # no space, quota, I/O, permission, read-only
    return next((each for each in known if each in text), text)


def _clusters(held: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks of all ranks, cluster by cluster."""
    clusters: dict[int, dict[str, Any]] = {}
    for block in held:
        slot = block["slot"]
        common = {name: block[name] for name in ("slot", "bits", "shape", "dtype", "on_device")}
        cluster = clusters.setdefault(slot, {**common, "blocks": []})
        cluster["blocks"].append({"file": block["file"], "dataset": f"clusters/{slot}", "bands": block["bands"]})
    return list(clusters.values())
