"""Checks and measures qdist on the GPU of this machine; `gpu_check.sh` calls it."""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

from jobs.benchmarks.gpu import accuracy, ranked, suite
from jobs.benchmarks.gpu.judged import NUMBERS, judged
from jobs.benchmarks.gpu.processes import Deadline, Ended, part, run
from jobs.benchmarks.gpu.table import table

FORMAT = 2
RECORDS = Path(__file__).parents[1] / "records"
SECONDS = 465.0
"""For everything; `gpu_check.sh` ends it after 480."""
PACKAGES = ("jax", "jaxlib", "numpy", "mpi4py", "mpich", "cupy", "cupy-cuda13x", "custatevec-cu13")


@dataclass(frozen=True)
class Part:
    """Something that is measured in a process of its own.

    Attributes:
        name: In the record; its first word is what the table knows it by.
        arguments: The part of this package, and what it is told.
        limit: Seconds that it may take.
        kernels: Native ones or JAX's.
    """

    name: str
    arguments: tuple[object, ...]
    limit: float
    kernels: str = "native"


COPIED = 2**31
WAYS = "cupy kernel,cupy tensordot,cuStateVec"
SOME_OF = "brickwork:14,QFT:14,brickwork:15,QFT:15,qft_n16,dnn_n16"

# What matters most comes first: what no longer fits is skipped.
ON_GPU = (
    Part("accuracy", ("accuracy", 11), 120),
    Part("timings in float32", ("timings", "float32", COPIED, 10, 11, 12, 13, 14, 15), 60),
    Part("large, 17 qubits in float32", ("large", "float32", 17, 18), 60),
    Part("timings in float32 of large vectors", ("timings", "float32", COPIED, 16, 17), 40),
    Part("large, 16 qubits in float32", ("large", "float32", 16, 0), 30),
    Part("circuits in float32", ("circuits", "float32", SOME_OF), 60),
    Part("peers", ("peers", "brickwork:13,brickwork:14,QFT:13,QFT:14", WAYS, 0), 60),
    Part("tests", (), 90),
    Part("circuits in float64", ("circuits", "float64", "brickwork:14,QFT:14"), 30),
    Part("sampled", ("sampled", 2**16, 2**21, 256, 9, 256), 75),
    Part("staging", ("staging", 2**30), 30),
    Part("timings in float64", ("timings", "float64", COPIED, 10, 11, 12, 13, 14, 15, 16), 45),
    Part("large, 16 qubits in float64", ("large", "float64", 16, 0), 30),
    Part("ranks", (), 60),
    Part("legs", (), 60),
    Part("circuits in float64 of files", ("circuits", "float64", "qft_n16,dnn_n16"), 40),
    Part("timings in float32 without native kernels", ("timings", "float32", COPIED, 13, 15), 45, "jax"),
    Part("circuits in float32 without native kernels", ("circuits", "float32", "brickwork:14"), 40, "jax"),
)
DRY = (
    Part("accuracy", ("accuracy", 6), 30),
    Part("timings in float32", ("timings", "float32", 2**20, 5, 6), 30),
    Part("large, 6 qubits in float32", ("large", "float32", 6, 30), 30),
    Part("circuits in float32", ("circuits", "float32", "brickwork:5,QFT:5,simon_n6"), 30),
    Part("peers", ("peers", "brickwork:5,QFT:5", WAYS, 1), 30),
    Part("tests", (), 60),
    Part("circuits in float64", ("circuits", "float64", "brickwork:5,QFT:5"), 30),
    Part("sampled", ("sampled", 2**9, 2**10, 4, 5, 4), 40),
    Part("staging", ("staging", 2**22), 30),
    Part("ranks", (), 40),
    Part("legs", (), 40),
    Part("timings in float32 without native kernels", ("timings", "float32", 2**20, 5), 30, "jax"),
)


def main(options: argparse.Namespace) -> int:
    """Run the parts one after another, and write the record after each."""
    began, deadline = time.monotonic(), Deadline(time.monotonic() + options.seconds)
    if options.cpu:
        os.environ["JAX_PLATFORMS"] = "cpu"
    identity = card(options.cpu)
    record: dict[str, Any] = {"format": FORMAT, "date": date.today().isoformat(), "is_dry": options.cpu, **identity}
    record |= {"versions": versions(), "cores": os.cpu_count(), "parts": {}}
    name = re.sub(r"\W+", "_", identity["card"].removeprefix("NVIDIA ")).lower()
    path = options.out or (None if options.cpu else RECORDS / f"gpu_{name}_{record['date']}_kernels.json")

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", flush=True)

    for each in DRY if options.cpu else ON_GPU:
        if not each.name.startswith(options.only):
            continue
        os.environ["QDIST_KERNELS"] = each.kernels
        ended = carried_out(each, options.cpu, deadline, say)
        record["parts"][each.name] = ended.as_record()
        record |= {"wrong": wrong(record["parts"]), "seconds": round(time.monotonic() - began)}
        record["is_right"] = not record["wrong"]
        say(f"{each.name}: {ended.status}, {len(ended.rows)} rows in {ended.seconds:.0f} s")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(record))
    print("", *record["wrong"], f"{record['seconds']} s. {'All is' if record['is_right'] else 'NOT'} right.", sep="\n")
    return not record["is_right"]


def carried_out(each: Part, is_dry: bool, deadline: Deadline, say: Callable[[str], None]) -> Ended:
    """A part's rows. Tests, ranks and legs are several processes."""
    began = time.monotonic()
    match each.name:
        case "tests":
            found = suite.tests(suite.DRY if is_dry else suite.ON_GPU, deadline, each.limit, say)
        case "ranks":
            found = ranked.shared([9] if is_dry else [12, 13], not is_dry, deadline, each.limit, say)
        case "legs":
            found = ranked.legs(9 if is_dry else 12, deadline, each.limit, say)
        case "peers":  # two libraries take memory on the card
            return run(part(*map(str, each.arguments)), deadline, each.limit, XLA_PYTHON_CLIENT_PREALLOCATE="false")
        case _:
            return run(part(*map(str, each.arguments)), deadline, each.limit)
    found.seconds = time.monotonic() - began
    return found


def wrong(parts: dict[str, dict[str, Any]]) -> list[str]:
    """What is not as it should be, in words; parts that did not fit are no mistakes."""
    found = [f"{name}: {each['status']}" for name, each in parts.items() if each["status"] in ("failed", "timed out")]
    for name, each in parts.items():
        for row in each["rows"]:
            about = f"{name}, " + ", ".join(str(value) for value in row.values() if isinstance(value, str | int))[:120]
            tolerance = accuracy.TOLERANCE.get(row.get("precision", "float32"), 0.0)
            if "failed" in row or not row.get("is_right", True) or not row.get("is_same", True):
                found.append(about)
            elif name.startswith(("accuracy", "large")) and not row.get("error", 0.0) <= tolerance:
                found.append(f"{about}: error {row['error']:.1e}")
            elif not row.get("is_refused", True) or row.get("is_in_place") is False:
                found.append(about)
    broken = {promise: number for promise, number, verdict in judged(parts) if verdict == "FAIL"}
    return found + [f"{promise} ({number})" for promise, number in broken.items() if promise.startswith(NUMBERS)]


def read(path: Path) -> dict[str, Any]:
    record = json.loads(path.read_text(encoding="utf-8"))
    if record.get("format") != FORMAT:
        raise SystemExit(f"`format` of {path} must be {FORMAT}, but is {record.get('format')}. Make the record again.")
    return record


def card(is_dry: bool) -> dict[str, Any]:
    """What the driver says of the GPU."""
    if is_dry:
        return {"card": platform.processor() or platform.machine(), "driver": None}
    asked = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    name, driver, memory = subprocess.check_output(asked, text=True).splitlines()[0].split(", ")
    return {"card": name, "driver": driver, "memory": memory}


def versions() -> dict[str, str | None]:
    from qdist.version import __version__

    found: dict[str, str | None] = {"python": platform.python_version(), "qdist": __version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    found["cupy"] = found["cupy"] or found["cupy-cuda13x"]
    return found


def on_part(name: str, *told: str) -> None:
    """What a process of its own does."""
    from jobs.benchmarks.gpu import circuits, large, peers, sampled, staging, timings

    match name, *told:
        case "accuracy", largest:
            accuracy.main(int(largest))
        case "timings", precision, copied, *sizes:
            timings.main(precision, int(copied), [int(n) for n in sizes])
        case "large", precision, qubits, refused:
            large.main(precision, int(qubits), int(refused))
        case "circuits", precision, cases:
            circuits.main(precision, cases.split(","))
        case "peers", cases, ways, is_dry:
            peers.main(cases.split(","), ways.split(","), is_dry == "1")
        case "sampled", *numbers:
            sampled.main(*map(int, numbers))
        case "staging", num_bytes:
            staging.main(int(num_bytes))
        case "numpy", qubits, depth:
            ranked.by_numpy(int(qubits), int(depth))
        case "on-rank", qubits, depth, precision:
            ranked.on_rank(int(qubits), int(depth), precision)
        case "leg", folder, qubits, precision, stop_at:
            ranked.on_leg(folder, int(qubits), precision, int(stop_at))
        case _:
            raise SystemExit(f"No part is called {name!r} with {told}.")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="a dry run without a GPU, with small sizes and no record")
    parser.add_argument("--out", type=Path, help="where the record is written")
    parser.add_argument("--only", default="", metavar="PART", help="parts whose names begin like this")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for everything")
    parser.add_argument("--table", type=Path, metavar="RECORD", help="print a record's tables, and do nothing else")
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        on_part(*sys.argv[2:])
    elif (options := parsed()).table:
        print(table(read(options.table)))
    else:
        raise SystemExit(main(options))
