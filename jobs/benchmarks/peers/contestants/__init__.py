"""One contestant a file. Each says how it is installed, in which precisions it computes, and makes a case ready.

`ready(case, precision, threads)` does all that can be done before the numbers flow: building, binding noise,
transpiling, planning. What it returns has `run()`, one run from |0⟩ to the expectation value of Z on all qubits, which
returns that value and the seconds that the program itself reports, if it does; and `probabilities()` of all outcomes,
qubit 0 most significant, which is not timed.
"""

from importlib import import_module, metadata
from types import ModuleType
from typing import Protocol

import numpy as np

NAMES = ("qdist", "aer", "qulacs", "quantumsim", "stim", "sequence")


class Ready(Protocol):
    """A case that waits for its start."""

    def run(self) -> tuple[float, float | None]: ...

    def probabilities(self) -> np.ndarray: ...


def contestant(name: str) -> ModuleType:
    """The file of a contestant. It loads the program itself only when a case is made ready."""
    return import_module(f"jobs.benchmarks.peers.contestants.{'ours' if name == 'qdist' else name}")


def missing(name: str) -> str | None:
    """What to type if a contestant is not installed."""
    module = contestant(name)
    try:
        for package in module.PACKAGES:
            metadata.version(package)
    except metadata.PackageNotFoundError:
        return f"{name} is skipped, since it is not installed. Type: pip install {' '.join(module.PACKAGES)}"
    return None
