"""One contestant in a process of its own: `python -m jobs.benchmarks.peers.worker NAME THREADS`.

It reads requests from stdin, one JSON object a line, and answers each with one line on stdout.
"""

import json
import os
import sys
import time
from typing import Any

import numpy as np

from jobs.benchmarks.peers.circuits import build
from jobs.benchmarks.peers.contestants import Ready, contestant


class Worker:
    def __init__(self, name: str, threads: int) -> None:
        self.module, self.threads = contestant(name), threads
        self.ready: Ready | None = None

    def prepare(self, case: list[Any], precision: str) -> dict[str, Any]:
        """Make a case ready, the one before it forgotten."""
        self.ready = None
        started = time.perf_counter()
        self.ready = self.module.ready(build(*case), precision, self.threads)
        facts = self.ready.facts() if hasattr(self.ready, "facts") else {}
        return {"seconds": time.perf_counter() - started, "facts": facts}

    def check(self, path: str) -> dict[str, Any]:
        """Write the probabilities of all outcomes into a file."""
        np.save(path, self.ready.probabilities())  # type: ignore[union-attr]
        return {}

    def run(self, loops: int) -> dict[str, Any]:
        """Seconds of a run, the mean over several: on the clock on the wall, and as the program reports them."""
        answers = []
        started = time.perf_counter()
        for _ in range(loops):
            answers.append(self.ready.run())  # type: ignore[union-attr]
        wall = (time.perf_counter() - started) / loops
        value, last = answers[-1]
        reported = None if last is None else sum(one for _, one in answers) / loops  # type: ignore[misc]
        return {"wall": wall, "reported": reported, "value": value}


def main() -> None:
    worker = Worker(sys.argv[1], int(sys.argv[2]))
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
