"""qdist: planned once, executed warm."""

import contextlib
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

import qdist as qd
from jobs.benchmarks.peers.circuits import Case, Gate
from qdist.machine.plan import Passes, Scale, Transfer
from qdist.machine.tiling import tiled
from qdist_kernels.program import bits_of

PACKAGES = ("qdist",)
PRECISIONS = ("float32", "float64")


class Warm:
    """A job that is planned once and executed any number of times: the only lines that know how a run does it."""

    def __init__(self, job: qd.Job, *, keep_state: bool = True) -> None:
        self.precision = job.precision
        self.plan = tiled(qd.prepare(job, keep_state=keep_state).plan)

    def execute(self, progress: Callable[[int], object] | None = None) -> Any:
        """All vectors at the end, computed; `progress` is called after each operation."""
        from qdist.runs.evolve import evolve

        with precision_of(self.plan, self.precision) as jax:
            evolution = evolve(self.plan, np.dtype(self.precision), progress=progress)
            if jax is not None:
                jax.block_until_ready(list(evolution.vectors.values()))
        return evolution

    def seconds(self) -> tuple[float, float]:
        """Of a run, and of those operations in it that read the vector of all qubits."""
        times = [time.perf_counter()]
        self.execute(lambda _: times.append(time.perf_counter()))
        state = {id(one) for one in of_state(self.plan)}
        each = zip(self.plan.operations, pairwise(times), strict=True)
        return times[-1] - times[0], sum(end - start for one, (start, end) in each if id(one) in state)

    def facts(self) -> dict[str, Any]:
        """What the plan says of itself: operations after fusion, and how often they pass over the state."""
        return {"operations": operations(self.plan), "two_qubit": two_qubit(self.plan), "passes": passes(self.plan)}


@contextlib.contextmanager
def precision_of(plan: Any, precision: str) -> Any:
    """JAX, told to compute in this precision; `None` where small vectors stay on the host, as in a run."""
    from qdist_kernels.placement import stays_on_host

    if "jax" not in sys.modules and stays_on_host(2**plan.largest * plan.shots):
        yield None
        return
    import jax

    with jax.enable_x64(precision == "float64"):
        yield jax


def of_state(plan: Any) -> list[Any]:
    """Operations after fusion that read the vector of all qubits; those on parts of it cost next to nothing."""
    found = []
    for one in plan.operations:
        bits = one.program.bits if isinstance(one, Passes) else 0
        bits = bits_of(one.dims, ())[0] if isinstance(one, Transfer | Scale) else bits
        if bits == plan.largest:
            found.append(one)
    return found


def operations(plan: Any) -> int:
    """How many."""
    return sum(one.count if isinstance(one, Passes) else 1 for one in of_state(plan))


def two_qubit(plan: Any) -> int:
    """Those of them that act on two qubits."""
    found = 0
    for one in of_state(plan):
        if isinstance(one, Passes):
            found += sum(len(step.bits) == 4 for step in one.program.steps)
        else:
            found += len(one.axes) == 2
    return found


def passes(plan: Any) -> int:
    """How often the state is read and written by them."""
    return sum(len(one.program.passes) if isinstance(one, Passes) else 1 for one in of_state(plan))


def job_of(case: Case, precision: str) -> qd.Job:
    """One node with all qubits, noise as channels of the program."""
    names = tuple(f"a/{i}" for i in range(case.num_qubits))
    program = qd.Program((qd.Prepare(names), *(_step(one, names) for one in case.operations)), qubits=names)
    network = qd.Network((qd.Node("a", case.num_qubits),))
    return qd.Job(program=program, network=network, precision=precision, record=qd.Recording(probabilities=False))


def _step(operation: Any, names: tuple[str, ...]) -> qd.Apply:
    qubits = tuple(names[i] for i in operation.qubits)
    if isinstance(operation, Gate):
        return qd.apply(operation.name, *qubits, params=operation.params)
    channel = "depolarizing" if len(qubits) == 1 else "depolarizing2"
    return qd.Apply(qd.CHANNELS[channel].function(operation.probability), qubits)


class Ready:
    """A circuit that is planned once."""

    def __init__(self, case: Case, precision: str) -> None:
        job = job_of(case, precision)
        self.names, self.warm = job.program.qubits, Warm(job)

    def run(self) -> tuple[float, None]:
        return float(self._states().correlator(dict.fromkeys(self.names, "Z"))), None

    def probabilities(self) -> np.ndarray:
        return np.asarray(self._states().probabilities(self.names), float)

    def _states(self) -> qd.FinalStates:
        return qd.FinalStates(self.warm.plan.final, self.warm.execute())

    def facts(self) -> dict[str, Any]:
        return self.warm.facts()


def ready(case: Case, precision: str, threads: int) -> Ready:
    """The threads are as many as the cores that the process may use."""
    return Ready(case, precision)
