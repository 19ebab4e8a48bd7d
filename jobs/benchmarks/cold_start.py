"""Time whole processes of `qdist run`, cold: start-up, reading, planning, computing, writing. Prints a table.

python jobs/benchmarks/cold_start.py [REPEATS]
"""

import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOBS = Path(__file__).parents[1]


def random_circuit(num_qubits: int, num_gates: int) -> str:
    """Half u3 on random qubits, half cx on random pairs, measured at the end."""
    rng = random.Random(1)
    lines = ["OPENQASM 2.0;", 'include "qelib1.inc";', f"qreg q[{num_qubits}];", f"creg c[{num_qubits}];"]
    for _ in range(num_gates):
        a, b = rng.sample(range(num_qubits), 2)
        angles = ",".join(f"{rng.random():.6f}" for _ in range(3))
        lines.append(f"cx q[{a}],q[{b}];" if rng.random() < 0.5 else f"u3({angles}) q[{a}];")
    return "\n".join([*lines, "measure q -> c;"])


def noisy_job(circuit: str) -> str:
    return (
        f'[program]\ncircuit = "{circuit}"\n[noise]\none_qubit = {{ depolarizing = 0.001 }}\n'
        "two_qubit = { depolarizing = 0.01 }\nreadout = { p01 = 0.02, p10 = 0.03 }\n"
    )


def seconds(job: Path, out: Path) -> float:
    """Wall-clock seconds of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "qdist", "run", str(job), "--out", str(out)], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "random_n10.qasm").write_text(random_circuit(10, 300))
        (scratch / "random_n10.toml").write_text(noisy_job("random_n10.qasm"))
        jobs = [*sorted(JOBS.glob("*.toml")), scratch / "random_n10.toml"]
        times = {job: [] for job in jobs}  # type: dict[Path, list[float]]
        for _ in range(repeats):
            for job in jobs:
                times[job].append(seconds(job, scratch / "out.h5"))
    print(f"Python {platform.python_version()}, {len(os.sched_getaffinity(0))} cores, median of {repeats}\n")
    print("| whole process, cold | seconds |\n|---|---|")
    for job, values in times.items():
        label = "300 gates on 10 qubits, with noise" if job.stem == "random_n10" else f"`jobs/{job.name}`"
        print(f"| {label} | {statistics.median(values):.1f} |")


if __name__ == "__main__":
    main()
