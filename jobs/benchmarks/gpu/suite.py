"""The part of the test suite that is about kernels and devices, where JAX computes on the GPU."""

import re
from collections.abc import Callable

from jobs.benchmarks.gpu.processes import Deadline, Ended, run

ON_GPU = (
    (0, "tests/kernels tests/runs/test_at_once.py -n 4"),
    (0, "tests/mpi/test_sharding.py -k device"),
    (2, "tests/mpi/test_sharding.py -k slices"),
    (2, "tests/mpi/test_sharding.py -k device"),
)
DRY = (
    (0, "tests/kernels/test_precision.py tests/kernels/test_staging.py"),
    (2, "tests/mpi/test_sharding.py -k device"),
)


def tests(asked: tuple[tuple[int, str], ...], deadline: Deadline, limit: float, say: Callable[[str], None]) -> Ended:
    """What pytest counts, on one process and on ranks."""
    whole, end = Ended("done"), Deadline(deadline.at - max(0.0, deadline.left() - limit))
    for ranks, arguments in asked:
        # Ranks see to it themselves that they share a GPU; the workers of pytest-xdist do not.
        alone = {} if ranks else {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        pytest = ["-m", "pytest", "-p", "no:cacheprovider", "--color=no", *arguments.split()]
        one = run(pytest, end, limit, ranks, **alone)
        counted = re.findall(r"\d+ (?:passed|failed|skipped|errors?)\b", one.said.rpartition("\n")[2])
        whole.rows.append(
            {
                "tests": arguments,
                "ranks": ranks or 1,
                "status": one.status,
                "found": ", ".join(counted),
                "seconds": round(one.seconds, 1),
                "is_right": one.status in ("done", "skipped"),
            }
        )
        if one.status != "done":
            whole.rows[-1]["said"] = one.said
        say(f"{arguments} on {ranks or 1} ranks: {one.status}, {whole.rows[-1]['found']} in {one.seconds:.0f} s")
    return whole
