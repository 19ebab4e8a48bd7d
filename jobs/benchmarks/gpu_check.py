"""What `gpu_check.sh` runs: tests on the GPU, one state on one rank and on two that share it, a stopped run, timings.

Two ranks on one GPU are a test of the path that a GPU for each rank takes: own process, own block, exchange staged on
the host. Their seconds say little, as they wait for one another.
"""

import argparse
import importlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

from ranks import brickwork

HERE = Path(__file__).resolve().parent
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
COPY_BYTES = 2**31
SETTINGS = ("CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_PREALLOCATE", "NPROC")
PACKAGES = ("qdist", "jax", "jaxlib", "numpy", "mpi4py", "mpich")


def mpiexec():
    """The launcher of this Python's MPI."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = os.environ.get("MPIEXEC") or (str(beside) if beside.exists() else shutil.which("mpiexec"))
    return found or sys.exit("No mpiexec: install qdist[mpich], or name one in MPIEXEC.")


def start(arguments, ranks=0, **environ):
    """A process of this Python, or some ranks of it."""
    command = [mpiexec(), "-n", str(ranks)] if ranks else []
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*command, sys.executable, *map(str, arguments)], env=os.environ | environ, **pipe)


def finish(process):
    """The last line that it said, as JSON; without one all of it is printed."""
    said, _ = process.communicate()
    lines = [line for line in said.splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        print(said, flush=True)
        return None
    return json.loads(lines[-1])


# Tests.


def tests(say):
    found = []
    pytest = ["-m", "pytest", "-p", "no:cacheprovider"]
    for ranks, arguments in (
        (0, ["tests/kernels", "-n", "4"]),
        (0, ["tests/mpi/test_sharding.py", "-k", "device"]),
        (2, ["tests/mpi/test_sharding.py", "-k", "device"]),
    ):
        began = time.perf_counter()
        # Ranks see to it themselves that they share a GPU; the workers of pytest-xdist do not.
        alone = {} if ranks else {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        process = start([*pytest, *arguments], ranks, **alone)
        said, _ = process.communicate()
        counted = re.findall(r"(\d+ (?:passed|failed|skipped|errors?))", said.splitlines()[-1] if said else "")
        if process.returncode:
            print(said, flush=True)
        found.append(
            {
                "tests": " ".join(arguments),
                "ranks": ranks or 1,
                "found": ", ".join(counted),
                "seconds": round(time.perf_counter() - began, 1),
                "is_right": process.returncode == 0,
            }
        )
        say(f"{found[-1]['tests']} on {ranks or 1} ranks: {found[-1]['found']} in {found[-1]['seconds']} s")
    return found


# One state on one rank, and on two.


def job_of(qubits, depth, precision):
    """Noisy brickwork, and correlators of one and of two qubits: those of all would be rounding errors."""
    import qdist as qd

    program, network = brickwork(qubits, depth)
    strings = [(letter + "I" * qubits)[:qubits] for letter in "XYZ"]
    strings += [("I" * k + pair + "I" * qubits)[:qubits] for k in range(qubits - 1) for pair in ("ZZ", "XY", "IX")]
    record = qd.Recording(correlators=tuple(strings), probabilities=False)
    return qd.Job(program=program, network=network, precision=precision, record=record)


def numbers_of(result):
    return [*map(float, result["results/correlators"]), float(result.final.purity())]


def by_numpy(qubits, depth):
    """The numbers in float64 on the host: no array of JAX is ever made."""
    import qdist as qd
    from qdist_kernels import is_jax

    importlib.import_module("qdist_kernels.transfer").HOST_ENTRIES = 2**62
    result = qd.run(job_of(qubits, depth, "float64"))
    assert not any(is_jax(vector) for vector in result.final.evolution.vectors.values())
    print(json.dumps({"numbers": numbers_of(result)}))


def on_rank(qubits, depth, precision):
    """Run it on the ranks of this process; rank 0 prints what all of them found and used."""
    import qdist as qd
    from qdist_kernels import is_jax

    with qd.connected(os.environ) as comm:
        job = job_of(qubits, depth, precision)
        qd.run(job, comm=comm)  # compiles
        result = qd.run(job, comm=comm)
        import jax

        blocks = [vector for vector in result.final.evolution.vectors.values() if is_jax(vector)]
        stats = jax.devices()[0].memory_stats() or {}
        used = {
            "devices": [str(device) for device in jax.devices()],
            "kind": jax.devices()[0].device_kind,
            "blocks_on": sorted({str(device) for block in blocks for device in block.devices()}),
            "block_entries": max((block.size for block in blocks), default=0),
            "ranks_on_it": comm.gpu_size,
            "peak_bytes": stats.get("peak_bytes_in_use"),
            "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
        }
        used = comm.gather(used)
        numbers = numbers_of(result)
        if comm.rank == 0:
            columns = {name.split("/")[1]: result[name].tolist() for name in result.data if name.startswith("traffic/")}
            wall = float(result.attributes["wall_seconds"])
            print(json.dumps({"numbers": numbers, "used": used, "wall_seconds": wall, **columns}))


def runs(cases, references, platform_name, say):
    """Each case on 1 and on 2 ranks; whether numbers, bytes and devices are right."""
    found = []
    for qubits, depth, precision in cases:
        for ranks in (1, 2):
            arguments = [__file__, "--on-rank", qubits, depth, precision]
            one = finish(start(arguments, ranks if ranks > 1 else 0))
            row = {"qubits": qubits, "depth": depth, "precision": precision, "ranks": ranks, "is_right": False}
            found.append(row)
            expected = references[qubits, depth]()
            if one is None or expected is None:
                say(f"{qubits} qubits in {precision} on {ranks} ranks: FAILED")
                continue
            row |= {name: value for name, value in one.items() if name != "numbers"}
            row["error"] = max(abs(a - b) for a, b in zip(one["numbers"], expected, strict=True))
            there = all(
                len(used["blocks_on"]) == 1
                and used["devices"][:1] == used["blocks_on"]
                and (platform_name != "gpu" or "cuda" in used["blocks_on"][0])
                and used["block_entries"] == 4**qubits // ranks
                for used in one["used"]
            )
            shared = (
                ranks == 1
                or platform_name != "gpu"
                or all(
                    used["settings"].get("XLA_PYTHON_CLIENT_PREALLOCATE") == "false" and used["ranks_on_it"] == ranks
                    for used in one["used"]
                )
            )
            as_planned = one["bytes_sent"] == one["planned_bytes"] and (ranks == 1 or min(one["bytes_sent"]) > 0)
            row["is_right"] = row["error"] <= TOLERANCE[precision] and there and shared and as_planned
            say(
                f"{qubits} qubits in {precision} on {ranks} ranks: error {row['error']:.1e}, "
                f"{max(one['bytes_sent'])} bytes sent{'' if as_planned else ', NOT as planned'}, "
                f"{max(one['communication_seconds']):.3f} s in communication, {max(one['compute_seconds']):.3f} s in "
                f"compute, blocks on {[used['blocks_on'] for used in one['used']]}{'' if there else ', NOT as wanted'}"
                f"{'' if shared else ', memory NOT shared'}"
            )
    return found


# A run that is stopped and goes on.


def on_leg(folder, qubits, precision, stop_after):
    """A run, or the rest of one if there is a checkpoint; it stops after some steps if that is not 0."""
    import qdist as qd
    from qdist.runs.checkpoints.keeper import Stopped

    with qd.connected(os.environ) as comm:
        steps = iter(range(stop_after - 1, -1, -1) if stop_after else ())
        options = qd.Checkpoints(folder, resume=True, asked=lambda: "the check" if next(steps, -1) == 0 else None)
        job = replace(job_of(qubits, 4, precision), saving=qd.Saving(every_steps=10**6))
        try:
            result = qd.run(job, comm=comm, checkpoints=options)
            found = {"numbers": numbers_of(result), "resumed": int(result.attributes["resumed"])}
        except Stopped as stopped:
            found = {"stopped": stopped.by, "seconds": time.perf_counter()}
        import jax

        if comm.rank == 0:
            print(json.dumps(found | {"device": str(jax.devices()[0])}))


def legs(qubits, say):
    """A run that was stopped on the GPU goes on there with the same bits, on two ranks or a CPU to rounding."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for precision in ("float32", "float64"):
            whole = finish(start([__file__, "--leg", Path(name) / f"none_{precision}", qubits, precision, 0]))
            folder = Path(name) / precision
            stopped = finish(start([__file__, "--leg", folder, qubits, precision, 18]))
            checkpoint = sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0
            for where, ranks, environ in (("1 rank", 0, {}), ("2 ranks", 2, {}), ("CPU", 0, {"JAX_PLATFORMS": "cpu"})):
                row = {"precision": precision, "goes_on": where, "checkpoint_bytes": checkpoint, "is_right": False}
                rows.append(row)
                one = finish(start([__file__, "--leg", folder, qubits, precision, 0], ranks, **environ))
                if whole is None or stopped is None or one is None or "stopped" not in stopped or one["resumed"] != 1:
                    say(f"{qubits} qubits in {precision}, stopped, on {where}: FAILED")
                    continue
                row |= {"qubits": qubits, "device": one["device"]}
                row["error"] = max(abs(a - b) for a, b in zip(one["numbers"], whole["numbers"], strict=True))
                row["is_right"] = row["error"] <= (0 if where == "1 rank" else TOLERANCE[precision])
                say(f"{qubits} qubits in {precision}, stopped, on {where}: differs by {row['error']:.1e}")
    return rows


# Timings.


def seconds_of(call, state, repeats=7, least=0.05):
    """Median seconds of `state = call(state)`, each repeated until it takes a while; and the state."""
    state = call(call(state)).block_until_ready()
    took, count = [], 1
    while len(took) < repeats:
        began = time.perf_counter()
        for _ in range(count):
            state = call(state)
        state.block_until_ready()
        spent = time.perf_counter() - began
        if spent < least and not took:
            count = max(2 * count, int(count * least / max(spent, 1e-6)))
            continue
        took.append(spent / count)
    return statistics.median(took), state


def copy_bandwidth(num_bytes):
    """Bytes per second, read and written, of the fastest way to copy a large array."""
    import jax
    import jax.numpy as jnp

    source = jnp.arange(num_bytes // 4, dtype=jnp.float32)
    copies = {"copy": jnp.copy, "negation": jax.jit(lambda x: -x)}
    return {name: 2 * num_bytes / seconds_of(call, source)[0] for name, call in copies.items()}


def measure(sizes, copy_bytes):
    """Copy bandwidth, milliseconds of one two-qubit PTM in place, and what its products would be in TF32."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from qdist_kernels import update
    from qdist_kernels.transfer import _compiled_in_place

    copies = copy_bandwidth(copy_bytes)
    best = max(copies.values())
    rng = np.random.default_rng(0)
    matrix = np.linalg.qr(rng.normal(size=(16, 16)))[0].astype(np.float32)
    rows = []
    for qubits in sizes:
        fill = jax.jit(lambda n: jnp.cos(jnp.arange(n, dtype=jnp.int32).astype(jnp.float32)), static_argnums=0)
        dims = (4,) * qubits
        for where, axes in {
            "first": (0, 1),
            "middle": (qubits // 2 - 1, qubits // 2),
            "last": (qubits - 2, qubits - 1),
            "first and last": (0, qubits - 1),
        }.items():
            row = {"qubits": qubits, "digits": where}
            rows.append(row)
            try:
                vector = fill(4**qubits)
                spare = _compiled_in_place().lower(vector, matrix, dims=dims, axes=axes).compile().memory_analysis()
                took, vector = seconds_of(lambda v, d=dims, a=axes: update(v, matrix, dims=d, axes=a), vector, 3)
                row |= {"ms": 1e3 * took, "of_copy": 8 * 4**qubits / took / best}
                row["spare_bytes"] = getattr(spare, "temp_size_in_bytes", None)
                del vector
            except Exception as error:
                row["error"] = " ".join(str(error).split())[:300]
                vector = None
    vector = rng.normal(size=4**8).astype(np.float32)
    exact = matrix.astype(float) @ vector.astype(float).reshape(16, -1)

    def error(found):
        return float(np.linalg.norm(np.asarray(found, float).reshape(16, -1) - exact) / np.linalg.norm(exact))

    products = {
        "update": error(update(jnp.array(vector), matrix, dims=(4,) * 8, axes=(0, 1))),
        "matmul_by_default": error(jnp.matmul(matrix, vector.reshape(16, -1))),
    }
    print(json.dumps({"copy_bytes_per_second": copies, "passes": rows, "relative_errors": products}))


# The whole.


def card(platform_name):
    """What the driver says of the GPU."""
    if platform_name != "gpu":
        return {"card": platform.processor() or platform.machine(), "driver": None}
    asked = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    name, driver, memory = subprocess.check_output(asked, text=True).splitlines()[0].split(", ")
    return {"card": name, "driver": driver, "memory": memory}


def versions():
    from importlib.metadata import PackageNotFoundError, version

    from qdist.version import __version__

    found = {"python": platform.python_version(), "qdist": __version__}
    for name in PACKAGES[1:]:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def table(record):
    """The record for a reader."""
    measured = record["measured"]
    best = max(measured["copy_bytes_per_second"].values())
    lines = [
        f"{record['card']}, driver {record['driver']}, jax {record['versions']['jax']}",
        f"copy: {best / 1e9:.0f} GB/s, read and written",
        "",
        "| qubits | precision | ranks | error | bytes sent | as planned | s communication | s compute | blocks on |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in record["runs"]:
        cells = [row["qubits"], row["precision"], row["ranks"]]
        if "error" in row:
            where = ", ".join(used["blocks_on"][0] if used["blocks_on"] else "host" for used in row["used"])
            cells += [f"{row['error']:.1e}", f"{max(row['bytes_sent']):,}", row["bytes_sent"] == row["planned_bytes"]]
            cells += [f"{max(row[name]):.3f}" for name in ("communication_seconds", "compute_seconds")] + [where]
        else:
            cells += ["FAILED", *"–––––"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "| stopped and resumed | precision | goes on on | differs by |", "|---|---|---|---|"]
    for row in record["legs"]:
        difference = f"{row['error']:.1e}" if "error" in row else "FAILED"
        lines.append(f"| {row.get('qubits', '')} qubits | {row['precision']} | {row['goes_on']} | {difference} |")
    lines += [
        "",
        "| qubits | digits | ms a pass | of copy bandwidth | bytes beside the vector |",
        "|---|---|---|---|---|",
    ]
    for row in measured["passes"]:
        what = [row.get("error", "")[:60], "–", "–"]
        if "ms" in row:
            what = [f"{row['ms']:.3f}", f"{100 * row['of_copy']:.2g} %", f"{row['spare_bytes'] or 0:,}"]
        lines.append("| " + " | ".join([str(row["qubits"]), row["digits"], *what]) + " |")
    errors = measured["relative_errors"]
    lines += ["", f"relative error of a product: {errors['update']:.1e}; {errors['matmul_by_default']:.1e} by default"]
    lines += [f"{row['tests']} on {row['ranks']} ranks: {row['found']}, {row['seconds']} s" for row in record["tests"]]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    began = time.perf_counter()
    if options.cpu:
        os.environ["JAX_PLATFORMS"] = "cpu"
    platform_name = "cpu" if options.cpu else "gpu"
    identity = card(platform_name)

    def say(text):
        print(f"[{time.perf_counter() - began:5.0f} s] {text}", flush=True)

    # 11 qubits are the fewest that leave the host: smaller vectors stay in NumPy.
    cases = [(n, 4, p) for n in ((11,) if options.cpu else (12, 13)) for p in ("float32", "float64")]
    # They compute beside the tests, on cores that those leave.
    waiting = {(n, d): start([__file__, "--numpy", n, d], JAX_PLATFORMS="cpu") for n, d, _ in cases[::2]}
    known = {}

    def reference(key):
        if key not in known:
            known[key] = (finish(waiting[key]) or {}).get("numbers")
        return known[key]

    record = {"date": date.today().isoformat(), **identity, "versions": versions(), "cores": os.cpu_count()}
    record["tests"] = tests(say)
    record["legs"] = legs(cases[0][0], say)
    record["runs"] = runs(cases, {key: lambda key=key: reference(key) for key in waiting}, platform_name, say)
    sizes = (10, 11) if options.cpu else (10, 11, 12, 13, 14, 15)
    measuring = [__file__, "--measure", 2**24 if options.cpu else COPY_BYTES, *sizes]
    record["measured"] = finish(start(measuring))
    say("measured")
    wrong = [row for row in (*record["tests"], *record["runs"], *record["legs"]) if not row["is_right"]]
    if record["measured"] is None or record["measured"]["relative_errors"]["update"] > 1e-6:
        wrong.append("measured")
    record |= {"is_right": not wrong, "seconds": round(time.perf_counter() - began)}
    if record["measured"]:
        print(table(record))
    if not options.cpu or options.out:
        name = re.sub(r"\W+", "_", identity["card"].removeprefix("NVIDIA ")).lower()
        path = options.out or HERE / "records" / f"gpu_{name}_{record['date']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{record['seconds']} s. {'NOT right.' if wrong else 'All is right.'}")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--numpy", qubits, depth]:
            by_numpy(int(qubits), int(depth))
        case ["--on-rank", qubits, depth, precision]:
            on_rank(int(qubits), int(depth), precision)
        case ["--leg", folder, qubits, precision, stop_after]:
            on_leg(folder, int(qubits), precision, int(stop_after))
        case ["--measure", copied, *sizes]:
            measure([int(n) for n in sizes], int(copied))
        case _:
            main()
