"""Cold processes: `qdist run JOB.toml`, which writes its HDF5 file, against a script that runs the same file in Aer.

Python keeps the bytecode of modules in both, as it does unless it is told not to.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jobs.benchmarks.peers.circuits import NOISE, qasm_path, qasm_stems

MOST_QUBITS = 10
FAULTY = ("vqe_uccsd_n6",)
"""Uses a register that it does not declare, as published: neither program reads it."""
TOLERANCE, EACH_GATE = 1e-5, 1e-9
"""Of half the sum of all differences of probabilities, and more for each gate: Aer rounds after every one."""
SIGMAS = 6
"""Where Aer draws 1,024 shots."""
LONG, VERY_LONG = 10.0, 60.0
"""Seconds of both processes above which two repetitions must do, or the first one, whatever it had to compile."""
LONGEST = 100.0
"""Seconds after which a process is ended: it counts as so long."""
JOB = """[run]
precision = "float32"
[program]
circuit = "{path}"
[noise]
one_qubit = {{ depolarizing = {one} }}
two_qubit = {{ depolarizing = {two} }}
"""


def stems(quick: bool) -> list[str]:
    """The files with at most 10 qubits."""
    if quick:
        return ["qft_n4", "hhl_n7"]
    return [stem for stem in qasm_stems() if stem not in FAULTY and _qubits(stem) <= MOST_QUBITS]


def _qubits(stem: str) -> int:
    lines = qasm_path(stem).read_text(encoding="utf-8").splitlines()
    return sum(int(line.split("[")[1].split("]")[0]) for line in lines if line.strip().startswith("qreg"))


def run(names: Sequence[str], threads: int, *, quick: bool, say: Any) -> list[dict[str, Any]]:
    """Time both processes on each file in turn; the first of each only fills caches and does not count.

    Returns:
        For each file the seconds of each process, and how far their probabilities are apart.
    """
    repetitions = 2 if quick else 5
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for stem in stems(quick):
            commands = _commands(stem, Path(folder), threads)
            commands = {name: command for name, command in commands.items() if name in names}
            first, outputs = {}, {}
            for name, command in commands.items():
                first[name], outputs[name] = _seconds(command)
            both = sum(first.values())
            rows = {name: [seconds] if both > VERY_LONG else [] for name, seconds in first.items()}
            for repetition in range(0 if both > VERY_LONG else 2 if both > LONG else repetitions):
                for name in list(commands)[:: -1 if repetition % 2 else 1]:
                    seconds, outputs[name] = _seconds(commands[name])
                    rows[name].append(seconds)
            row: dict[str, Any] = {"file": stem, "qubits": _qubits(stem), "wall": rows, "first": first}
            row["ended"] = [name for name, output in outputs.items() if output is None]
            if "aer" in outputs and not row["ended"]:
                gates = qasm_path(stem).read_text(encoding="utf-8").count(";")
                row |= _difference(Path(folder) / f"{stem}.h5", json.loads(outputs["aer"]), gates)
            found.append(row)
            times = ", ".join(f"{name} {sorted(seconds)[len(seconds) // 2]:.2f} s" for name, seconds in rows.items())
            times += "".join(f" ({name} was ended)" for name in row["ended"])
            say(f"cold {stem}: {times}" + ("" if row.get("agree", True) else f"  RESULTS DIFFER {row['difference']}"))
    return found


def _commands(stem: str, folder: Path, threads: int) -> dict[str, list[str]]:
    path, job, out = qasm_path(stem), folder / f"{stem}.toml", folder / f"{stem}.h5"
    job.write_text(JOB.format(path=path, one=NOISE[1], two=NOISE[2]), encoding="utf-8")
    script = Path(__file__).with_name("aer_script.py")
    return {
        "qdist": [sys.executable, "-m", "qdist", "run", str(job), "--out", str(out)],
        "aer": [sys.executable, str(script), str(path), "single", str(threads)],
    }


def _seconds(command: list[str]) -> tuple[float, str | None]:
    """How long a process takes, and what it prints; nothing if it was ended."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return LONGEST, None
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return seconds, done.stdout


def _difference(path: Path, theirs: dict[str, float], gates: int) -> dict[str, Any]:
    from qdist import read_result

    result = read_result(path)
    ours = dict(zip(result["results/outcome"].tolist(), result["results/probabilities"].tolist(), strict=True))
    words = set(ours) | set(theirs)
    gaps = {word: abs(ours.get(word, 0.0) - theirs.get(word, 0.0)) for word in words}
    is_drawn = all((1024 * value).is_integer() for value in theirs.values())
    if is_drawn:
        agree = all(gap <= SIGMAS * math.sqrt(max(ours.get(word, 0.0), 1 / 1024) / 1024) for word, gap in gaps.items())
    else:
        agree = sum(gaps.values()) / 2 <= TOLERANCE + EACH_GATE * gates
    return {"difference": sum(gaps.values()) / 2, "drawn": is_drawn, "agree": agree}
