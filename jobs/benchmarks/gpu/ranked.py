"""One state on one rank and on two that share a GPU, and runs that are stopped and go on.

Two ranks on one GPU are a test of the path that a GPU for each rank takes: own process, own block, exchange staged on
the host. Their seconds say little, as they wait for one another.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from jobs.benchmarks.gpu.processes import Deadline, Ended, emit, finish, part, run, start
from jobs.benchmarks.ranks import brickwork

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
SETTINGS = ("CUDA_VISIBLE_DEVICES", "XLA_PYTHON_CLIENT_PREALLOCATE", "NPROC")
DEPTH = 4
EVERY, STOP_AT = 8, 2
"""Operations between two points where a run can be stopped, and at which of them it is."""


def job_of(qubits: int, depth: int, precision: str) -> Any:
    """Noisy brickwork, and correlators of one and of two qubits: those of all would be rounding errors."""
    import qdist as qd

    program, network = brickwork(qubits, depth)
    strings = [(letter + "I" * qubits)[:qubits] for letter in "XYZ"]
    strings += [("I" * k + pair + "I" * qubits)[:qubits] for k in range(qubits - 1) for pair in ("ZZ", "XY", "IX")]
    record = qd.Recording(correlators=tuple(strings), probabilities=False)
    return qd.Job(program=program, network=network, precision=precision, record=record)


def moving_job_of(qubits: int, depth: int, precision: str) -> Any:
    """The same, and chains of gates there and back and there.

    After the last join all qubits are needed twice, so whichever is split has to be moved.
    """
    import qdist as qd

    job = job_of(qubits, depth, precision)
    names = job.program.qubits
    chains = [pair for path in (names, names[::-1], names) for pair in pairwise(path)]
    steps = [step for one, two in chains for step in (qd.apply("cx", one, two), qd.apply("h", two))]
    return replace(job, program=replace(job.program, steps=(*job.program.steps, *steps)))


def numbers_of(result: Any) -> list[float]:
    return [*map(float, result["results/correlators"]), float(result.final.purity())]


def by_numpy(qubits: int, depth: int) -> None:
    """The numbers in float64 on the host: no array of JAX is ever made."""
    import qdist as qd
    from qdist_kernels import is_jax, placement

    placement.HOST_ENTRIES = 2**62
    result = qd.run(moving_job_of(qubits, depth, "float64"))
    assert not any(is_jax(vector) for vector in result.final.evolution.vectors.values())
    emit(numbers=numbers_of(result))


def on_rank(qubits: int, depth: int, precision: str) -> None:
    """Run it on the ranks of this process; rank 0 prints what all of them found and used."""
    import qdist as qd
    from qdist_kernels import is_jax

    with qd.connected(os.environ) as comm:
        job = moving_job_of(qubits, depth, precision)
        qd.run(job, comm=comm)  # compiles
        result = qd.run(job, comm=comm)
        import jax

        vectors = list(result.final.evolution.vectors.values())
        blocks = [vector for vector in vectors if is_jax(vector)]
        stats = jax.devices()[0].memory_stats() or {}
        used = {
            "devices": [str(device) for device in jax.devices()],
            "kind": jax.devices()[0].device_kind,
            "blocks_on": sorted({str(device) for block in blocks for device in block.devices()}),
            "block_entries": max((block.size for block in vectors), default=0),
            "ranks_on_it": comm.gpu_size,
            "peak_bytes": stats.get("peak_bytes_in_use"),
            "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
        }
        used = comm.gather(used)
        numbers = numbers_of(result)
        if comm.rank == 0:
            columns = {name.split("/")[1]: result[name].tolist() for name in result.data if name.startswith("traffic/")}
            emit(numbers=numbers, used=used, wall_seconds=float(result.attributes["wall_seconds"]), **columns)


def shared(sizes: list[int], on_gpu: bool, deadline: Deadline, limit: float, say: Callable[[str], None]) -> Ended:
    """Each size and precision on 1 and on 2 ranks; whether numbers, bytes and devices are right."""
    cases = [(n, precision) for n in sizes for precision in TOLERANCE]
    alone = {"JAX_PLATFORMS": "cpu", "QDIST_KERNELS": "jax"}
    # They compute beside each other, on cores that the GPU leaves.
    waiting = {n: start(part("numpy", n, DEPTH), **alone) for n in sizes}
    end = Deadline(deadline.at - max(0.0, deadline.left() - limit))
    references = {n: finish(process, end.left()) for n, process in waiting.items()}
    found = Ended("done")
    for qubits, precision in cases:
        for ranks in (1, 2):
            one = run(part("on-rank", qubits, DEPTH, precision), end, limit, 0 if ranks == 1 else ranks)
            row = {"qubits": qubits, "depth": DEPTH, "precision": precision, "ranks": ranks, "is_right": False}
            if one.status == "skipped":
                found.status = "skipped"
                continue
            row |= _judged(one, references[qubits], row, on_gpu)
            found.rows.append(row)
            error = row.get("failed") or f"error {row['error']:.1e}"
            say(f"{qubits} qubits in {precision} on {ranks} ranks: {error}")
    return found


def _judged(one: Ended, reference: Ended, case: dict[str, Any], on_gpu: bool) -> dict[str, Any]:
    if not one.rows or not reference.rows:
        return {"failed": f"{one.status} {one.said} {reference.status} {reference.said}".strip()}
    row = dict(one.rows[-1])
    expected, numbers, used = reference.rows[-1]["numbers"], row.pop("numbers"), row["used"]
    error = max(abs(a - b) for a, b in zip(numbers, expected, strict=True))
    there = all(each["block_entries"] == 4 ** case["qubits"] // case["ranks"] for each in used)
    if on_gpu:
        there = there and all(each["devices"][:1] == each["blocks_on"] for each in used)
        there = there and all("cuda" in each["blocks_on"][0] for each in used)
    if on_gpu and case["ranks"] > 1:
        preallocated = [each["settings"].get("XLA_PYTHON_CLIENT_PREALLOCATE") for each in used]
        there = there and set(preallocated) == {"false"} and {each["ranks_on_it"] for each in used} == {case["ranks"]}
    as_planned = row["bytes_sent"] == row["planned_bytes"] and (case["ranks"] == 1 or min(row["bytes_sent"]) > 0)
    is_right = error <= TOLERANCE[case["precision"]] and there and as_planned
    return row | {"error": error, "is_there": there, "is_as_planned": as_planned, "is_right": is_right}


def on_leg(folder: str, qubits: int, precision: str, stop_at: int) -> None:
    """A run, or the rest of one if there is a checkpoint; it stops at a point where it can, unless that is 0."""
    import qdist as qd

    with qd.connected(os.environ) as comm:
        steps = iter(range(stop_at - 1, -1, -1) if stop_at else ())
        options = qd.Checkpoints(Path(folder), resume=True, asked=lambda: "the check" if next(steps, -1) == 0 else None)
        job = replace(job_of(qubits, DEPTH, precision), saving=qd.Saving(every_steps=EVERY))
        found: dict[str, Any]
        try:
            result = qd.run(job, comm=comm, checkpoints=options)
            found = {"numbers": numbers_of(result), "resumed": int(result.attributes["resumed"])}
        except qd.Stopped as stopped:
            found = {"stopped": stopped.by}
        import jax

        if comm.rank == 0:
            emit(**found, device=str(jax.devices()[0]))


def legs(qubits: int, deadline: Deadline, limit: float, say: Callable[[str], None]) -> Ended:
    """A run that was stopped on the GPU goes on there with the same bits, on two ranks or a CPU to rounding."""
    found, end = Ended("done"), Deadline(deadline.at - max(0.0, deadline.left() - limit))
    with tempfile.TemporaryDirectory() as name:
        for precision in ("float32", "float64"):
            folder = Path(name) / precision
            whole = run(part("leg", Path(name) / f"none_{precision}", qubits, precision, 0), end, limit)
            stopped = run(part("leg", folder, qubits, precision, STOP_AT), end, limit)
            size = sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0
            for where, ranks, environ in (("1 rank", 0, {}), ("2 ranks", 2, {}), ("CPU", 0, {"JAX_PLATFORMS": "cpu"})):
                one = run(part("leg", folder, qubits, precision, 0), end, limit, ranks, **environ)
                if one.status == "skipped":
                    found.status = "skipped"
                    continue
                row = {"qubits": qubits, "precision": precision, "goes_on": where, "checkpoint_bytes": size}
                row |= _same(whole, stopped, one, 0 if where == "1 rank" else TOLERANCE[precision])
                found.rows.append(row)
                difference = row.get("failed") or f"differs by {row['error']:.1e}"
                say(f"{qubits} qubits in {precision}, stopped, on {where}: {difference}")
    return found


def _same(whole: Ended, stopped: Ended, one: Ended, tolerance: float) -> dict[str, Any]:
    last = [each.rows[-1] if each.rows else {} for each in (whole, stopped, one)]
    if "numbers" not in last[0] or "stopped" not in last[1] or last[2].get("resumed") != 1:
        words = [f"{each.status} {each.said}".strip() for each in (whole, stopped, one)]
        return {"failed": "; ".join(words), "is_right": False}
    error = max(abs(a - b) for a, b in zip(last[2]["numbers"], last[0]["numbers"], strict=True))
    return {"device": last[2]["device"], "error": error, "is_right": error <= tolerance}
