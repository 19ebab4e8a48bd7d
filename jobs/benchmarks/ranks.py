"""What sharing a state among ranks costs: bytes against the plan, time, and memory against the block.

    python jobs/benchmarks/ranks.py            # everything, about two minutes
    python jobs/benchmarks/ranks.py --quick    # fewer qubits, two ranks

It starts the `mpiexec` of this Python's environment on 1, 2, 4 and 8 ranks of this machine, more than it may have
cores, so seconds say little; bytes must be exactly those of the plan. The exit code is 1 if they are not, or if memory
grows beyond 1.7 blocks.
"""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

MIB = 2**20
LARGEST_GROWTH = 1.7
"""Of resident memory over an idle process that has loaded JAX, in blocks."""


def brickwork(num_qubits, depth):
    """Random U3 and depolarizing on every qubit, CNOT bricks with two-qubit depolarizing."""
    import numpy as np

    import qdist as qd

    rng = np.random.default_rng(0)
    names = [f"a/{i}" for i in range(num_qubits)]
    steps = [qd.Prepare(tuple(names))]
    for layer in range(depth):
        for name in names:
            steps.append(qd.apply("u3", name, params=tuple(6 * rng.random(3))))
            steps.append(qd.Apply(qd.CHANNELS["depolarizing"].function(0.001), (name,)))
        for i in range(layer % 2, num_qubits - 1, 2):
            steps.append(qd.apply("cx", names[i], names[i + 1]))
            steps.append(qd.Apply(qd.CHANNELS["depolarizing2"].function(0.01), (names[i], names[i + 1])))
    network = qd.Network((qd.Node("a", num_qubits),))
    return qd.Program(tuple(steps), qubits=tuple(names)), network


def resident():
    """Bytes of this process in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Watch:
    """The largest resident memory while it is entered, looked at every 2 ms."""

    def __enter__(self):
        self.base = self.peak = resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self):
        while not self._done.wait(0.002):
            self.peak = max(self.peak, resident())

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


def on_rank(num_qubits, depth, precision):
    """Run the circuit on the ranks of this process; rank 0 prints what all of them did, as JSON."""
    import jax.numpy as jnp

    import qdist as qd
    from qdist.machine.in_and_out import in_and_out_bytes
    from qdist.network.lowering import lower

    with qd.connected(os.environ) as comm:
        program, network = brickwork(num_qubits, depth)
        record = qd.Recording(correlators=("Z" * num_qubits,), probabilities=False)
        job = qd.Job(program=program, network=network, precision=precision, record=record)
        jnp.zeros(8).block_until_ready()
        with Watch() as watch:
            result = qd.run(job, comm=comm, keep_state=False)
        split = program.qubits[: comm.size.bit_length() - 1]
        other = in_and_out_bytes(lower(program, network).instructions, split, 4**num_qubits // comm.size)
        growth = comm.gather(watch.peak - watch.base)
        columns = {name.split("/")[1]: result[name].tolist() for name in result.data if name.startswith("traffic/")}
        if comm.rank == 0:
            columns |= {"in_and_out": other, "growth": growth, "correlator": float(result["results/correlators"][0])}
            print(json.dumps(columns))


def measure(ranks, num_qubits, depth, precision):
    command = [str(Path(sys.executable).with_name("mpiexec")), "-n", str(ranks), sys.executable, __file__]
    command += ["--on-rank", str(num_qubits), str(depth), precision]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def row(ranks, num_qubits, precision, found):
    sent, planned = max(found["bytes_sent"]), max(found["planned_bytes"])
    fewer = f"{found['in_and_out'] / sent:.0f}" if sent else "–"
    seconds = f"{max(found['communication_seconds']):.2f} | {max(found['compute_seconds']):.2f}"
    cells = (
        ranks,
        num_qubits,
        precision,
        max(found["block_bytes"]),
        sent,
        planned,
        max(found["remaps"]),
        fewer,
        seconds,
    )
    return "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |"


COLUMNS = ("ranks", "qubits", "precision", "bytes of a block", "sent by each rank", "planned", "remaps")
COLUMNS += ("times fewer than in and out", "s in communication", "s in compute")
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def main():
    quick = "--quick" in sys.argv
    depth = 4 if quick else 10
    sizes = [(2, 9)] if quick else [(1, 10), (2, 10), (4, 10), (8, 10)]
    growing = [] if quick else [(1, 10), (4, 11), (8, 11)]
    wrong = False
    started = time.perf_counter()
    for title, cases, precisions in (
        ("Strong scaling", sizes, ("float32", "float64")),
        ("Weak scaling: a qubit more is four times the entries", growing, ("float32",)),
    ):
        if not cases:
            continue
        print(f"{title}, noisy brickwork of depth {depth}\n\n{HEAD}")
        for precision in precisions:
            values = []
            for ranks, num_qubits in cases:
                found = measure(ranks, num_qubits, depth, precision)
                print(row(ranks, num_qubits, precision, found), flush=True)
                wrong = wrong or found["bytes_sent"] != found["planned_bytes"]
                values.append((num_qubits, found["correlator"]))
            same = {n: [value for m, value in values if m == n] for n, _ in values}
            wrong = wrong or any(max(v) - min(v) > 1e-5 for v in same.values())
        print()
    if not quick:
        found = measure(2, 13, 8, "float32")
        block = max(found["block_bytes"])
        ratio = max(found["growth"]) / block
        print(f"13 qubits in float32 on 2 ranks: blocks of {block / MIB:.0f} MiB, memory grows by {ratio:.2f} blocks.")
        wrong = wrong or ratio >= LARGEST_GROWTH
    print(
        f"{time.perf_counter() - started:.0f} s on {len(os.sched_getaffinity(0))} cores. "
        + ("NOT as planned." if wrong else "As planned.")
    )
    raise SystemExit(wrong)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--on-rank"]:
        on_rank(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        main()
