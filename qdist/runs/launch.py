"""Many ranks as one program: they fail together, one of them says so, and all leave with one exit code.

What every rank can see is raised by every rank (`agree`, `on_first`). What only one rank meets ends all of them
(`guard`): the others may wait for it where no exception reaches them.
"""

import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn, TypeVar

from qdist.errors import QdistError
from qdist.machine.comm import Comm, connect
from qdist.machine.ranks import (
    device_settings,
    gpu_count,
    gpu_identity,
    launched,
    mask,
    memory_settings,
    own_cores,
)
from qdist_kernels import settings

WRONG, BROKEN, STOPPED = 2, 1, 130
PATIENCE = 2.0
"""Seconds until a rank that failed ends the others. If they come to fail as well, one report is enough."""
MAX_NODES = 8

T = TypeVar("T")


class Together(Exception):
    """An end that all ranks have agreed on: nobody is left waiting, and nobody needs to be told."""


class Agreed(QdistError):
    """A mistake that all ranks are known to have raised: one of them tells it, and nobody is left waiting."""


def start(environ: MutableMapping[str, str]) -> Comm:
    """The ranks that were launched together with this process (`qdist.machine.comm.connect`).

    Each takes its share of the cores and GPUs of its host, by variables that JAX reads when it computes first. A single
    one may have nearly all memory of its GPU.

    Raises:
        QdistError: They cannot work together. Only the launcher's first rank raises it.
        SystemExit: The same, on other ranks; a little later, as some launchers end all ranks when the first one leaves.
    """
    try:
        comm = connect(environ)
    except QdistError:
        launch = launched(environ)
        if launch is None or launch.rank == 0:
            raise
        time.sleep(PATIENCE)
        raise SystemExit(WRONG) from None
    if comm.size == 1:
        environ.update(memory_settings(environ, gpu_count()))
        return comm
    environ.update(_share(comm, environ))
    settings.threads.cache_clear()  # a script may have computed something already
    # CUDA reads the variables when it is asked first.
    gpus = comm.gather((platform.node(), gpu_identity()))
    return replace(comm, gpu_size=gpus.count(gpus[comm.rank]))  # type: ignore[type-var]


def cores_of(comm: Comm) -> int:
    """How many cores this rank may keep busy; all ranks call this."""
    masks = comm.gather((platform.node(), mask()))
    return own_cores(mask(), [other for host, other in masks if host == platform.node()])


def _share(comm: Comm, environ: Mapping[str, str]) -> dict[str, str]:
    own = {"cores": cores_of(comm), "local_rank": comm.local_rank, "local_size": comm.local_size}
    return device_settings(environ, **own, gpus=gpu_count())


@contextmanager
def connected(environ: MutableMapping[str, str]) -> Iterator[Comm]:
    """The ranks of a script that `mpirun` starts: an error that the script does not catch ends all of them.

    Without a launcher it is one rank. Several ranks share the cores and GPUs of their host, if JAX has not computed
    anything yet. Ctrl-C, and an exit with an error on some ranks only, end all as well.

    Args:
        environ: `os.environ`.

    Raises:
        QdistError: The ranks cannot work together, or all of them made the same mistake. Rank 0 alone raises it; the
            others exit.

    Examples:
        with qd.connected(os.environ) as comm:
            result = qd.run(job, comm=comm)
            if comm.rank == 0:
                qd.write_result(result, "chain.h5")
    """
    comm = start(environ)
    try:
        with guard(comm):
            yield comm
    except Agreed:
        if comm.rank == 0:
            raise
        raise SystemExit(BROKEN) from None
    except SystemExit as end:
        if end.code and comm.meet(None, PATIENCE) is None:
            if isinstance(end.code, str):
                _tell(f"{end.code}\n")
            comm.abort(end.code if isinstance(end.code, int) else BROKEN)
        raise


def agree(comm: Comm, function: Callable[[], T]) -> T:
    """Call a function on every rank, and go on only if it found nothing wrong on any.

    Args:
        comm: The ranks; all of them call this.
        function: What may raise a `QdistError` on some ranks or on all; it must not communicate.

    Returns:
        What the function returns on this rank.

    Raises:
        QdistError: On every rank, what the first rank that failed found; which ranks, if it is not all of them.
    """
    if comm.size == 1:
        return function()
    value, found = _attempt(function)
    errors = comm.gather(found)
    failed = [rank for rank, error in enumerate(errors) if error is not None]
    if failed:
        where = "" if len(failed) == comm.size else _on_ranks(failed)
        raise QdistError(f"{where}{errors[failed[0]]}")
    return value  # type: ignore[return-value]


def on_first(comm: Comm, function: Callable[[], object]) -> None:
    """Call a function on rank 0 alone, while the others wait.

    Raises:
        QdistError: On every rank, if the function raises it.
    """
    if comm.size == 1:
        function()
        return
    found = None
    try:
        if comm.rank == 0:
            found = _attempt(function)[1]
    finally:
        found = comm.broadcast(found)
    if found is not None:
        raise QdistError(found)


def _attempt(function: Callable[[], T]) -> tuple[T | None, str | None]:
    try:
        return function(), None
    except QdistError as error:
        return None, str(error)


def _on_ranks(failed: Sequence[int]) -> str:
    names = ", ".join(map(str, failed[:MAX_NODES])) + (", …" if len(failed) > MAX_NODES else "")
    return f"On rank{'s' if len(failed) > 1 else ''} {names}: "


@contextmanager
def guard(comm: Comm) -> Iterator[list[str]]:
    """End all ranks if an exception leaves this block on one: nobody waits forever for a rank that is gone.

    A report on stderr says which rank, which nodes it hosts, and what happened. If all ranks failed in the same way,
    there is one report; a `QdistError` is then raised on all of them.

    Args:
        comm: All ranks. One rank alone is left as it is.

    Yields:
        The nodes that this rank hosts: the block fills the list when it knows them.

    Raises:
        QdistError: All ranks raised the same one.
    """
    nodes: list[str] = []
    try:
        yield nodes
    except (Agreed, Together):
        raise
    except KeyboardInterrupt:
        if comm.size > 1:
            _stop(comm)
        raise
    except Exception as error:
        if comm.size > 1:
            _end(comm, nodes, error)
        raise


def _stop(comm: Comm) -> NoReturn:
    together = comm.meet(None, PATIENCE) is not None
    if not together:
        # Who waits inside of MPI does not hear Ctrl-C. Of those who do, the first tells it and ends all.
        time.sleep(min(comm.rank, MAX_NODES) * PATIENCE / MAX_NODES)
    if comm.rank == 0 or not together:
        _tell("Stopped by Ctrl-C.\n")
    if together:
        raise SystemExit(STOPPED)
    comm.abort(STOPPED)


def _end(comm: Comm, nodes: Sequence[str], error: Exception) -> NoReturn:
    is_mistake = isinstance(error, QdistError)
    errors = comm.meet(f"{type(error).__name__}: {error}", PATIENCE)
    is_same = errors is not None and len(set(errors)) == 1
    if is_same and is_mistake:
        raise Agreed(str(error)) from None
    if not is_same or comm.rank == 0:
        _tell(report("Every rank" if is_same else _name(comm, nodes), error))
    if errors is not None:
        # All have told what they had to tell.
        comm.meet(None, PATIENCE)
    comm.abort(WRONG if is_mistake else BROKEN)


def _name(comm: Comm, nodes: Sequence[str]) -> str:
    names = ", ".join(nodes[:MAX_NODES]) + (", …" if len(nodes) > MAX_NODES else "")
    return f"Rank {comm.rank} of {comm.size}" + (f", which hosts {names}," if nodes else "")


def report(who: str, error: Exception) -> str:
    """What is said of an error that ends all ranks: the sentence of a mistake, the traceback of a bug."""
    if isinstance(error, QdistError):
        return f"{who} ended the job: {printable(str(error))}\n"
    return f"{who} ended the job:\n{''.join(traceback.format_exception(error))}"


def printable(text: str) -> str:
    """Names of files and fields may hold what a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _tell(text: str) -> None:
    # The real stream: the command line silences `sys.stderr` of all ranks but one.
    if sys.__stderr__ is not None:
        sys.__stderr__.write(text)
        sys.__stderr__.flush()


def leave(comm: Comm, code: int) -> NoReturn:
    """End this rank with all others, with the largest of their exit codes.

    MPI is ended before, as some launchers take an exit code for a crash otherwise, and all ranks have the same code, as
    some look at one of them only. The process ends as any other: MPICH says goodbye to its launcher in a handler of
    the C library, and without it the launcher kills the ranks that are a moment later.
    """
    code = max(comm.meet(code) or [code])
    comm.close()
    raise SystemExit(code)
