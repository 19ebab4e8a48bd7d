"""The record of a comparison: when, on what machine, with which versions, and every number."""

import json
import os
import platform
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from jobs.benchmarks.peers.contestants import contestant

FOLDER = Path(__file__).parents[1] / "records"
FORMAT = 2


def start(names: Sequence[str], threads: int, *, quick: bool) -> dict[str, Any]:
    """A record without numbers; it names no machine, only its kind."""
    packages = sorted({package for name in names for package in contestant(name).PACKAGES} | {"jax", "jaxlib", "numpy"})
    return {
        "format": FORMAT,
        "date": time.strftime("%Y-%m-%d"),
        "quick": quick,
        "machine": machine(),
        "threads": threads,
        "kernels": os.environ.get("QDIST_KERNELS", ""),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
        "load_before": os.getloadavg()[0],
    }


def again(old: dict[str, Any], now: dict[str, Any], sections: Sequence[str]) -> dict[str, Any]:
    """A record some of whose sections are measured again, where and with what the others were measured."""
    for key in ("quick", "machine", "threads", "kernels", "versions"):
        if old[key] != now[key]:
            raise SystemExit(
                f"`{key}` of the record must be {now[key]} as here, but is {old[key]}. Make the record anew."
            )
    entry = {"sections": list(sections), "date": now["date"], "load_before": now["load_before"]}
    return old | {"again": [*old.get("again", ()), entry]}


def machine() -> dict[str, Any]:
    """Processor, cores and memory."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "vector_instructions": [name for name in ("avx2", "avx512f") if name in flags],
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
    }


def write(record: dict[str, Any], path: Path | None) -> Path:
    """Write it, by default among the records under its date; a quick one has a name of its own."""
    if path is None:
        path = FOLDER / f"cpu_{'quick_' if record['quick'] else ''}{record['date']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        found = record.get("format")
    except (OSError, ValueError, AttributeError) as problem:
        raise SystemExit(f"A record must be a JSON file that the race wrote, but {path} is none: {problem}.") from None
    if found != FORMAT:
        raise SystemExit(f"`format` of {path} must be {FORMAT}, but is {found}. Make the record again.")
    return record
