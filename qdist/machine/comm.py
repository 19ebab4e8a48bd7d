"""How ranks talk: one protocol, with a single process and MPI behind it."""

import math
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Protocol

import numpy as np

from qdist.errors import QdistError
from qdist.machine import ranks

COUNT_LIMIT = 2**30
"""Elements of one message. MPI before version 4 counts in 32 bits with a sign; longer arrays are cut."""

SAID = 0.5
"""Seconds in which a launcher passes on the last words of a rank."""


@dataclass
class Traffic:
    """What one rank has moved so far.

    Attributes:
        bytes_sent: Of blocks of states (exchange, send, gather_blocks) that left this rank, once per receiver.
        bytes_received: Of blocks that came to this rank.
        collective_bytes: Of numbers that were summed, an array once, however many ranks there are.
        messages: Parts of blocks that this rank sent; more than one where an array is cut.
        remaps: Changes of layout, counted by who makes them.
        seconds: On the wall inside of calls, with waiting for other ranks.
    """

    bytes_sent: int = 0
    bytes_received: int = 0
    collective_bytes: int = 0
    messages: int = 0
    remaps: int = 0
    seconds: float = 0.0


class Comm(Protocol):
    """Ranks that work on one job.

    A call is made by all ranks in the same order; `exchange`, `send` and `receive` by the two it concerns. Arrays are
    C-contiguous NumPy arrays, or where `is_gpu_aware` also arrays of JAX that are ready. Values of `broadcast` and
    `gather` are control, of any type, and not counted.
    """

    @property
    def rank(self) -> int:
        """The number of this rank, from 0."""

    @property
    def size(self) -> int:
        """How many ranks there are, a power of two."""

    @property
    def local_rank(self) -> int:
        """The number of this rank among those of its host; a part of the ranks keeps the host's numbers."""

    @property
    def local_size(self) -> int:
        """How many ranks the host has."""

    @property
    def gpu_size(self) -> int:
        """How many ranks compute on the GPU of this one."""

    @property
    def traffic(self) -> Traffic:
        """What this rank has moved."""

    @property
    def is_gpu_aware(self) -> bool:
        """Whether arrays of a device may be handed over; others are staged on the host."""

    def exchange(self, partner: int, send: Any, receive: Any) -> None:
        """Give `send` to another rank and fill `receive` with what it gives, in both directions at once."""

    def send(self, to: int, array: Any) -> None:
        """Give an array to the rank that calls `receive`."""

    def receive(self, source: int, array: Any) -> None:
        """Fill an array with what the rank `source` sends."""

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Sum elementwise over the ranks: the same bits on every rank and in every run of this many ranks."""

    def broadcast(self, value: Any, root: int = 0) -> Any:
        """The value that rank `root` gives, on every rank."""

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, in their order, on every rank."""

    def gather_blocks(self, array: np.ndarray) -> np.ndarray:
        """The arrays of all ranks, of one shape and dtype: shape (size, *shape), on every rank."""

    def split(self, color: int) -> "Comm":
        """The ranks that give the same color, in the order of their numbers; they go on counting in `traffic`."""

    def barrier(self) -> None:
        """Wait until every rank is here."""

    def meet(self, value: Any, seconds: float = math.inf) -> list[Any] | None:
        """As `gather`, after a failure: other calls may have been missed, and other ranks may never come here.

        Returns:
            The values of all ranks, or None if one did not come within some seconds; only `abort` may follow then.
        """

    def close(self) -> None:
        """Part from the other ranks: waits for all of them, and is the last call."""

    def abort(self, code: int) -> NoReturn:
        """End all ranks at once, wherever they are, with an exit code."""


@dataclass(frozen=True)
class Serial:
    """One rank, alone: nothing is moved, and there is nobody to exchange with."""

    traffic: Traffic = field(default_factory=Traffic)
    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    gpu_size: int = 1
    is_gpu_aware: bool = False

    def exchange(self, partner: int, send: Any, receive: Any) -> None:
        """Raise: there is no other rank."""
        check_partner(self, partner)

    def send(self, to: int, array: Any) -> None:
        """Raise: there is no other rank."""
        check_partner(self, to)

    def receive(self, source: int, array: Any) -> None:
        """Raise: there is no other rank."""
        check_partner(self, source)

    def sum(self, array: np.ndarray) -> np.ndarray:
        """The array."""
        return array

    def broadcast(self, value: Any, root: int = 0) -> Any:
        """The value."""
        return value

    def gather(self, value: Any) -> list[Any]:
        """The value in a list."""
        return [value]

    def gather_blocks(self, array: np.ndarray) -> np.ndarray:
        """The array with an axis of length 1 in front."""
        return array[None]

    def split(self, color: int) -> "Serial":
        """This rank."""
        return self

    def barrier(self) -> None:
        """Nothing to wait for."""

    def meet(self, value: Any, seconds: float = math.inf) -> list[Any] | None:
        """The value in a list."""
        return [value]

    def close(self) -> None:
        """Nobody to part from."""

    def abort(self, code: int) -> NoReturn:
        """End the process."""
        raise SystemExit(code)


SERIAL: Comm = Serial()
"""For computations that are not told of ranks. Nothing is ever counted in its traffic."""


@dataclass(frozen=True)
class Mpi:
    """The ranks of an MPI communicator.

    Attributes:
        world: The communicator.
        aside: Another one of the same ranks, for those that failed.
    """

    world: Any
    aside: Any
    traffic: Traffic
    local_rank: int
    local_size: int
    is_gpu_aware: bool
    rank: int
    size: int
    gpu_size: int = 1

    def exchange(self, partner: int, send: Any, receive: Any) -> None:
        """Sendrecv, in parts of at most `COUNT_LIMIT` elements."""
        check_partner(self, partner)
        check_alike(send, receive)
        with self._timed():
            self._sendrecv(partner, send, receive)
        self.traffic.bytes_sent += send.nbytes
        self.traffic.bytes_received += receive.nbytes
        self.traffic.messages += _part_count(send)

    def send(self, to: int, array: Any) -> None:
        """Send, in parts of at most `COUNT_LIMIT` elements."""
        check_partner(self, to)
        with self._timed():
            for part in _parts(array, readonly=True):
                self.world.Send(part, dest=to)
        self.traffic.bytes_sent += array.nbytes
        self.traffic.messages += _part_count(array)

    def receive(self, source: int, array: Any) -> None:
        """Recv, in parts of at most `COUNT_LIMIT` elements."""
        check_partner(self, source)
        with self._timed():
            for part in _parts(array):
                self.world.Recv(part, source=source)
        self.traffic.bytes_received += array.nbytes

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Butterfly: after step k, the 2^(k+1) ranks whose numbers differ in the last bits have the same sum.

        Both partners add the lower rank's part to the upper rank's, so all have the same bits, whatever the timing.
        MPI's own Allreduce only recommends that to its implementations. log₂(size) messages, one spare array.
        """
        total = np.array(array, order="C")
        other = np.empty_like(total)
        with self._timed():
            for step in range(self.size.bit_length() - 1):
                partner = self.rank ^ 1 << step
                self._sendrecv(partner, total, other)
                first, second = (total, other) if self.rank < partner else (other, total)
                total = np.asarray(first + second)
        if self.size > 1:
            self.traffic.collective_bytes += total.nbytes
        return total

    def broadcast(self, value: Any, root: int = 0) -> Any:
        """Bcast of a pickled value; it stays in memory."""
        with self._timed():
            return self.world.bcast(value, root=root)

    def gather(self, value: Any) -> list[Any]:
        """Allgather of pickled values; they stay in memory."""
        with self._timed():
            return self.world.allgather(value)

    def gather_blocks(self, array: np.ndarray) -> np.ndarray:
        """One Bcast per rank, into its place: it can be cut without a second buffer, as Allgather cannot."""
        blocks = np.empty((self.size, *array.shape), array.dtype)
        blocks[self.rank] = array
        with self._timed():
            for root in range(self.size):
                for part in _parts(blocks[root]):
                    self.world.Bcast(part, root=root)
        others = self.size - 1
        self.traffic.bytes_sent += array.nbytes * others
        self.traffic.bytes_received += array.nbytes * others
        self.traffic.messages += _part_count(array) * others
        return blocks

    def split(self, color: int) -> "Mpi":
        """MPI_Comm_split."""
        with self._timed():
            part = self.world.Split(color, self.rank)
            return replace(self, world=part, aside=part.Dup(), rank=part.rank, size=part.size)

    def barrier(self) -> None:
        """MPI_Barrier."""
        with self._timed():
            self.world.Barrier()

    def meet(self, value: Any, seconds: float = math.inf) -> list[Any] | None:
        """MPI_Ibarrier, in a communicator without other calls: none that was missed can be mistaken for this."""
        request, until = self.aside.Ibarrier(), time.monotonic() + seconds
        while not request.Test():
            if time.monotonic() > until:
                return None
            time.sleep(0.001)
        return self.aside.allgather(value)

    def close(self) -> None:
        """MPI_Finalize, for all communicators: the exit code of a process that leaves without is lost."""
        from mpi4py import MPI

        MPI.Finalize()

    def abort(self, code: int) -> NoReturn:
        """MPI_Abort of the whole job, also from a part of its ranks."""
        from mpi4py import MPI

        # Launchers pass on what a rank has said, but not once they end it.
        time.sleep(SAID)
        MPI.COMM_WORLD.Abort(code)
        os._exit(code)

    def _sendrecv(self, partner: int, send: Any, receive: Any) -> None:
        for ours, theirs in zip(_parts(send, readonly=True), _parts(receive), strict=True):
            self.world.Sendrecv(ours, dest=partner, recvbuf=theirs, source=partner)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.traffic.seconds += time.perf_counter() - started


def check_partner(comm: Comm, partner: int) -> None:
    """Raise unless `partner` is another rank: this is a mistake of the caller, not of a user."""
    if not 0 <= partner < comm.size or partner == comm.rank:
        raise ValueError(f"The partner of rank {comm.rank} of {comm.size} must be another rank, but is {partner}.")


def check_alike(send: Any, receive: Any) -> None:
    """Raise unless two arrays have one dtype and size: this is a mistake of the caller, not of a user."""
    if send.dtype != receive.dtype or send.size != receive.size:
        raise ValueError(
            f"The arrays of an exchange must be alike, but have {send.size} entries of {send.dtype} "
            f"and {receive.size} of {receive.dtype}."
        )


def check_power_of_two(size: int) -> None:
    """Raise unless a number of ranks is a power of two: rank bits are bits of an index."""
    if size & (size - 1):
        less = 1 << size.bit_length() - 1
        raise QdistError(
            f"The number of ranks must be a power of two, but is {size}. Run with `-n {less}` or `-n {2 * less}`."
        )


def _part_count(array: Any) -> int:
    return max(1, -(-array.size // COUNT_LIMIT))


def _parts(array: Any, *, readonly: bool = False) -> Iterator[list[Any]]:
    """What MPI takes as buffers: a contiguous array of a host or a device, cut at `COUNT_LIMIT` elements."""
    from mpi4py import MPI

    if isinstance(array, np.ndarray):
        memory = MPI.buffer.frombuffer(array, readonly=readonly)
    else:
        # By its address: JAX gives nothing to write into by any protocol, and mpi4py cuts no buffer of a device.
        memory = MPI.buffer.fromaddress(array.unsafe_buffer_pointer(), array.nbytes, readonly=readonly)
    kind = MPI.Datatype.fromcode(np.dtype(array.dtype).char)
    width = array.dtype.itemsize
    for k in range(_part_count(array)):
        count = min(COUNT_LIMIT, array.size - k * COUNT_LIMIT)
        start = k * COUNT_LIMIT * width
        yield [memory[start : start + count * width], count, kind]


def connect(environ: Mapping[str, str]) -> Comm:
    """The ranks that were launched together with this process; one rank alone unless a launcher's variables say more.

    One rank never loads mpi4py.

    Args:
        environ: The environment of this process.

    Raises:
        QdistError: mpi4py or an MPI library is missing, the library does not belong to the launcher, or the number of
            ranks is not a power of two. All ranks raise it.
    """
    launch = ranks.launched(environ)
    if launch is None or launch.size == 1:
        return Serial()
    # Before MPI starts: ranks that start it and then leave are a failure to some launchers.
    check_power_of_two(launch.size or 1)
    with warnings.catch_warnings():
        # mpi4py warns of a launcher of another kind, which is an error here.
        warnings.simplefilter("ignore", RuntimeWarning)
        api = _mpi(launch)
        if not api.Is_initialized():
            api.Init_thread(api.THREAD_SERIALIZED)
    world = api.COMM_WORLD
    if world.size != (launch.size or world.size) or launch.rank >= world.size:
        raise _mismatch(launch, api, f"sees {world.size}")
    check_power_of_two(world.size)
    local = world.Split_type(api.COMM_TYPE_SHARED)
    place = local.rank, local.size, ranks.is_gpu_aware(environ)
    local.Free()
    return Mpi(world, world.Dup(), Traffic(), *place, world.rank, world.size)


def _mpi(launch: ranks.Launch) -> Any:
    """The module `mpi4py.MPI`, with an MPI library that may belong to the launcher and is not started yet."""
    try:
        import mpi4py

        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
        from mpi4py import MPI
    except ModuleNotFoundError:
        raise QdistError(
            f"mpi4py must be installed for several ranks, but is not, and {launch.launcher.name} started them. "
            "Install it with `pip install 'qdist[mpi]'`, or run one rank."
        ) from None
    except (ImportError, RuntimeError) as error:
        raise QdistError(
            f"mpi4py must find an MPI library, but says: {' '.join(str(error).split())}. Load your cluster's MPI, name "
            "its library in `MPI4PY_LIBMPI`, or install one with `pip install 'qdist[mpich]'`."
        ) from None
    if any(name in MPI.Get_library_version() for name in launch.launcher.foreign):
        # Such a library may end the process with words of its own when it is started.
        raise _mismatch(launch, MPI, "is of another")
    return MPI


def _mismatch(launch: ranks.Launch, api: Any, seen: str) -> QdistError:
    """What to say of ranks that would each compute alone, and all write the same file."""
    started = f"{launch.size} ranks" if launch.size else f"a rank {launch.rank}"
    library = " ".join(api.Get_library_version().splitlines()[0].split(",")[0].strip("\0").split())
    return QdistError(
        f"The launcher and the MPI library must be of one kind, but {launch.launcher.name} started {started}, and the "
        f"library of mpi4py ({library}) {seen}. {launch.launcher.advice}"
    )
