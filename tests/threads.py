"""Ranks that are threads of one process, for tests: the same calls as over MPI, no launcher."""

import functools
import pickle
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.machine import comm as machine
from qdist.machine.comm import Traffic, check_alike, check_partner

PATIENCE = 60.0
"""Seconds that a rank waits for another before the run is given up."""


class LostRank(BaseException):
    """Another rank failed, or did not answer: this one cannot go on. Not an `Exception`: a process would be gone."""


class _World:
    """All that the ranks of one run share: so that the first failure wakes everybody."""

    def __init__(self) -> None:
        self.failed = threading.Event()
        self.lock = threading.Lock()
        self.groups: list[_Group] = []

    def fail(self) -> None:
        with self.lock:
            self.failed.set()
            for group in self.groups:
                group.stop()

    def group(self, size: int) -> "_Group":
        group = _Group(size)
        with self.lock:
            self.groups.append(group)
            if self.failed.is_set():
                group.stop()
        return group


class _Group:
    def __init__(self, size: int) -> None:
        self.slots: list[Any] = [None] * size
        self.gate = threading.Barrier(size)
        self.meetings: list[dict[int, Any]] = []
        self.queues: dict[tuple[int, int], queue.Queue[Any]] = {
            (a, b): queue.Queue() for a in range(size) for b in range(size)
        }

    def stop(self) -> None:
        self.gate.abort()
        for line in self.queues.values():
            line.put(LostRank())

    def wait(self) -> None:
        try:
            self.gate.wait(PATIENCE)
        except threading.BrokenBarrierError:
            raise LostRank from None


def _timed(call):
    @functools.wraps(call)
    def timed(self, *arguments, **options):
        started = time.perf_counter()
        try:
            return call(self, *arguments, **options)
        finally:
            self.traffic.seconds += time.perf_counter() - started

    return timed


@dataclass(frozen=True)
class ThreadComm:
    """`qdist.machine.comm.Comm` over queues."""

    world: _World
    group: _Group
    rank: int
    size: int
    local_rank: int
    local_size: int
    traffic: Traffic = field(default_factory=Traffic)
    is_gpu_aware: bool = False
    gpu_size: int = 1

    def exchange(self, partner, send, receive):
        check_partner(self, partner)
        check_alike(send, receive)
        self.send(partner, send)
        self.receive(partner, receive)

    @_timed
    def send(self, to, array):
        check_partner(self, to)
        assert array.flags.c_contiguous, "MPI takes contiguous arrays only"
        self.group.queues[self.rank, to].put(array.copy())
        self.traffic.bytes_sent += array.nbytes
        self.traffic.messages += max(1, -(-array.size // machine.COUNT_LIMIT))

    @_timed
    def receive(self, source, array):
        check_partner(self, source)
        assert array.flags.c_contiguous, "MPI takes contiguous arrays only"
        try:
            came = self.group.queues[source, self.rank].get(timeout=PATIENCE)
        except queue.Empty:
            raise LostRank from None
        if isinstance(came, LostRank):
            raise came
        check_alike(came, array)
        np.copyto(array, came.reshape(array.shape))
        self.traffic.bytes_received += array.nbytes

    def sum(self, array):
        # The tree of additions of the butterfly over MPI: bit for bit the same number.
        parts = [np.array(part) for part in self.gather(np.array(array))]
        while len(parts) > 1:
            parts = [np.asarray(a + b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        if self.size > 1:
            self.traffic.collective_bytes += parts[0].nbytes
        return parts[0]

    def broadcast(self, value, root=0):
        return self.gather(value)[root]

    def gather(self, value):
        # Pickled, as MPI does it: what one rank changes is not changed on the others.
        return [pickle.loads(one) for one in self._share(pickle.dumps(value))]

    @_timed
    def _share(self, value):
        self.group.slots[self.rank] = value
        self.group.wait()
        values = list(self.group.slots)
        self.group.wait()
        return values

    def gather_blocks(self, array):
        blocks = np.stack(self.gather(array.copy()))
        moved = array.nbytes * (self.size - 1)
        self.traffic.bytes_sent += moved
        self.traffic.bytes_received += moved
        self.traffic.messages += max(1, -(-array.size // machine.COUNT_LIMIT)) * (self.size - 1)
        return blocks

    def split(self, color):
        colors = self._share(color)
        members = [rank for rank in range(self.size) if colors[rank] == color]
        made = self.world.group(len(members)) if self.rank == members[0] else None
        group = self._share(made)[members[0]]
        rank = members.index(self.rank)
        return ThreadComm(
            self.world, group, rank, len(members), self.local_rank, self.local_size, self.traffic, self.is_gpu_aware
        )

    @_timed
    def barrier(self):
        self.group.wait()

    def meet(self, value, seconds=PATIENCE):
        with self.world.lock:
            here = next((m for m in self.group.meetings if self.rank not in m), None)
            if here is None:
                self.group.meetings.append(here := {})
            here[self.rank] = value
        until = time.monotonic() + seconds
        while len(here) < self.size:
            if time.monotonic() > until or self.world.failed.is_set():
                return None
            time.sleep(0.001)
        return [here[rank] for rank in range(self.size)]

    def close(self):
        self.barrier()

    def abort(self, code):
        self.world.fail()
        raise SystemExit(code)


def run_ranks(size: int, function: Callable[[Any], Any]) -> list[Any]:
    """Call `function(comm)` on each of `size` ranks, each a thread, and return what they return.

    The first exception of a rank is raised here; the others are stopped where they wait.
    """
    world = _World()
    group = world.group(size)
    results: list[Any] = [None] * size
    errors: list[BaseException] = []

    def work(rank: int) -> None:
        try:
            results[rank] = function(ThreadComm(world, group, rank, size, rank, size))
        except BaseException as error:
            errors.append(error)
            world.fail()

    threads = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in sorted(errors, key=lambda error: isinstance(error, LostRank)):
        raise error
    return results
