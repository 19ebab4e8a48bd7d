"""Kill runs at random moments, resume them, and compare what they end with: prints a table.

    python jobs/benchmarks/kill_and_resume.py --kills 200 --ranks 1,2,4 --seed 0

Whole processes of `qdist run` are ended with SIGKILL: all of them, one rank, or the launcher alone; while they start,
between two steps, in the middle of writing a checkpoint, between its files, or while the result is written. Each is
resumed, often on another number of ranks, and may be killed again. At the end /results, /metrics and /ledger must be
those of a run that nobody disturbed: bit for bit on one number of ranks, else to rounding, with the same counts. The
exit code is 1 if any is not; its folder is kept then.
"""

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qdist.runs.checkpoints.resuming import folder_of
from qdist.runs.results import Result, read_result
from qdist.runs.views.check import examine

GROUPS = ("results", "metrics", "ledger")
ROUNDING = 1e-12
"""Of float64 numbers of order one, when sums were taken in another order."""
PATIENCE = 120.0
"""Seconds for one process."""
MPIEXEC = Path(sys.executable).parent / "mpiexec"

NOISE = """[noise]
one_qubit = { depolarizing = 0.001 }
two_qubit = { depolarizing = 0.01 }
readout = { p01 = 0.02, p10 = 0.03 }
"""
CIRCUIT = """[run]
precision = "float64"
[program]
circuit = "random.qasm"
[record]
probabilities = true
correlators = ["ZZIIIIIII", "IIXXIIIYY"]
"""
CHAIN = """[run]
precision = "float64"
seed = 7
MODE
[network]
topology = "chain"
nodes = 3
qubits = 2
device = { preset = "trapped_ion", t1 = inf, t2 = 1.0 }
link = { length = 10e3, fidelity = 0.94, success_probability = 0.01 }
[program]
protocol = "repeater_chain"
[record]
probabilities = true
correlators = ["XX", "ZZ"]
metrics = ["fidelity", "log_negativity", "chsh"]
"""
JOBS = {
    "exact circuit": CIRCUIT + NOISE + "[checkpoint]\nevery_steps = 3\n",
    "sampled chain": CHAIN.replace("MODE", 'mode = "sampled"\nshots = 98304') + "[checkpoint]\nevery_steps = 1\n",
    "sweep of a chain": CHAIN.replace("MODE", "")
    + '[sweep]\n"network.link.length" = { start = 5e3, stop = 75e3, num = 24 }\n'
    + '"network.link.fidelity" = [0.8, 0.85, 0.9, 0.95, 1.0]\n[checkpoint]\nevery_steps = 1\n',
    "sweep of a circuit": CIRCUIT + NOISE + '[sweep]\n"noise.two_qubit.depolarizing" = [0.0, 0.01, 0.02]\n'
    "[checkpoint]\nevery_seconds = 0.2\n",
}
"""Small ones of every kind; the vector of nine qubits is the smallest that ranks split."""


def random_circuit(num_qubits: int = 9, num_gates: int = 200) -> str:
    """Half u3 on random qubits, half cx on random pairs, measured at the end."""
    rng = random.Random(1)
    lines = ["OPENQASM 2.0;", 'include "qelib1.inc";', f"qreg q[{num_qubits}];", f"creg c[{num_qubits}];"]
    for _ in range(num_gates):
        a, b = rng.sample(range(num_qubits), 2)
        angles = ",".join(f"{rng.random():.6f}" for _ in range(3))
        lines.append(f"cx q[{a}],q[{b}];" if rng.random() < 0.5 else f"u3({angles}) q[{a}];")
    return "\n".join([*lines, "measure q -> c;"])


@dataclass
class Chain:
    """One run from its start to its end, with the kills on the way."""

    kind: str
    folder: Path
    ranks: list[int] = field(default_factory=list)
    kills: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.folder / "job.h5"

    @property
    def checkpoints(self) -> Path:
        return folder_of(self.out)


def write_job(kind: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "random.qasm").write_text(random_circuit())
    (folder / "job.toml").write_text(JOBS[kind])


def start(chain: Chain, ranks: int, *, resume: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """A process of `qdist`, or several, in a session of their own."""
    launcher = [str(MPIEXEC), "-n", str(ranks)] if ranks > 1 else []
    arguments = resume or ["run", "job.toml", "--resume"]
    log = open(chain.folder / f"leg{len(chain.ranks)}.log", "wb")  # noqa: SIM115
    chain.ranks.append(ranks)
    with log:
        return subprocess.Popen(
            [*launcher, sys.executable, "-m", "qdist", *arguments],
            cwd=chain.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def descendants(pid: int) -> list[int]:
    """Of a process, by Linux's list of children."""
    found = []
    with contextlib.suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            found += [child, *descendants(child)]
    return found


def is_rank(pid: int) -> bool:
    try:
        return b"\0qdist\0" in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"python")[2]
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_some(process: subprocess.Popen[bytes], whom: str, rng: random.Random) -> bool:
    """SIGKILL to all processes of a run, to one rank, or to its launcher; waits until all are gone.

    Returns:
        Whether the run was still there.
    """
    family = descendants(process.pid)
    ranks = [pid for pid in family if is_rank(pid) and is_alive(pid)]
    was_there = process.poll() is None
    if whom == "one rank" and ranks:
        kill(rng.choice(ranks))
    elif whom == "launcher":
        kill(process.pid)
    else:
        for pid in (process.pid, *family):
            kill(pid)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    until = time.monotonic() + 10
    while any(map(is_alive, family)) and time.monotonic() < until:
        time.sleep(0.01)
    if process.poll() is None:
        kill(process.pid)
    for pid in filter(is_alive, family):
        kill(pid)
    process.wait()
    return was_there and process.returncode != 0


def names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def masters(found: set[str]) -> set[str]:
    return {name for name in found if len(name) == len("00000001.h5") and name.endswith(".h5")}


def moment(kind: str, chain: Chain, rng: random.Random) -> Callable[[], bool]:
    """A question whether it is time to kill, asked again and again from the start of the processes on."""
    begun, before = time.monotonic(), masters(names(chain.checkpoints))
    after = [rng.uniform(0.0, 3.0) if kind == "at any time" else rng.uniform(0.0, 0.4)]
    seen: list[float] = []

    def at_any_time() -> bool:
        return time.monotonic() - begun > after[0]

    def in_a_step() -> bool:
        if not seen and masters(names(chain.checkpoints)) - before:
            seen.append(time.monotonic())
        return bool(seen) and time.monotonic() - seen[0] > after[0]

    count = [rng.randrange(4)]  # so many are let through

    def once(is_there: bool) -> bool:
        """At one of the first times that something comes up."""
        if is_there and not seen:
            seen.append(0.0)
            count[0] -= 1
        elif not is_there:
            seen.clear()
        return is_there and count[0] < 0

    def in_writing() -> bool:
        return once(any(name.endswith(".tmp") for name in names(chain.checkpoints)))

    def between_files() -> bool:
        found = names(chain.checkpoints)
        whole = {name.partition(".")[0] for name in masters(found)}
        return once(any(".rank" in name and name.partition(".")[0] not in whole for name in found))

    def at_the_result() -> bool:
        return any(name.endswith(".tmp") for name in names(chain.folder))

    questions = [at_any_time, in_a_step, in_writing, between_files, at_the_result]
    return next(each for each in questions if each.__name__ == kind.replace(" ", "_"))


MOMENTS = ("at any time", "in a step", "in a step", "in writing", "in writing", "between files", "at the result")


def leg(chain: Chain, ranks: int, rng: random.Random, *, is_to_die: bool) -> bool:
    """Go on with a run, and kill it if it does not end before. Returns whether it has ended."""
    at, whom = rng.choice(MOMENTS), rng.choice(["all", "all", "one rank", "launcher"] if ranks > 1 else ["all"])
    resume: list[str] = []
    if masters(names(chain.checkpoints)) and rng.random() < 0.5:
        resume = ["resume", rng.choice(["job.h5", "job.checkpoints"])]
    is_time, killed = moment(at, chain, rng), False
    process, until = start(chain, ranks, resume=resume), time.monotonic() + PATIENCE
    while process.poll() is None:
        if is_to_die and is_time():
            if kill_some(process, whom, rng):
                chain.kills.append(f"{at}: {whom}")
                killed = True
            break
        if time.monotonic() > until:
            kill_some(process, "all", rng)
            chain.wrong.append(f"leg {len(chain.ranks) - 1} did not end in {PATIENCE:g} s")
            return True
        time.sleep(0.0002)
    if process.returncode and not killed:
        chain.wrong.append(f"leg {len(chain.ranks) - 1} ended by itself with exit code {process.returncode}")
        return True
    if masters(names(chain.checkpoints)) and not (found := examine(chain.checkpoints)).is_whole:
        chain.wrong.append(f"after leg {len(chain.ranks) - 1}: {' '.join(found.lines)}")
    return process.returncode == 0


def run_chain(kind: str, folder: Path, choices: Sequence[int], kills: int, rng: random.Random) -> Chain:
    """Start a job, kill it so often, and resume it to its end."""
    chain = Chain(kind, folder)
    write_job(kind, folder)
    ranks, is_one = rng.choice(choices), rng.random() < 0.4
    for number in itertools.count():
        is_to_die = len(chain.kills) < kills and number < 3 * kills
        if leg(chain, ranks, rng, is_to_die=is_to_die):
            return chain
        ranks = ranks if is_one else rng.choice(choices)
    raise AssertionError


def differences(found: Result, wanted: Result, *, exactly: bool) -> list[str]:
    """Names of arrays that are not as they should be."""
    paths = {path for path in (*found.data, *wanted.data) if path.partition("/")[0] in GROUPS}
    return sorted(path for path in paths if not _is_same(found.data.get(path), wanted.data.get(path), exactly))


def _is_same(found: np.ndarray | None, wanted: np.ndarray | None, exactly: bool) -> bool:
    if found is None or wanted is None or found.shape != wanted.shape or found.dtype != wanted.dtype:
        return False
    if exactly or found.dtype.kind != "f":
        return found.tobytes() == wanted.tobytes()
    return bool(np.allclose(found, wanted, ROUNDING, ROUNDING, equal_nan=True))


def judge(chain: Chain, wanted: dict[int, Result]) -> None:
    """Compare the end of a run with that of undisturbed ones."""
    if chain.wrong:
        return
    exactly = len(set(chain.ranks)) == 1
    result = read_result(chain.out)
    chain.wrong += differences(result, wanted[chain.ranks[-1]], exactly=exactly)
    chain.wrong += [] if result.attributes["finished"] == 1 else ["it says that it has not finished"]
    left = names(chain.folder) - {"job.toml", "random.qasm", "job.h5"}
    chain.wrong += [f"it left {name}" for name in sorted(left) if not name.endswith(".log")]


def undisturbed(kind: str, folder: Path, choices: Sequence[int]) -> dict[int, Result]:
    found = {}
    for ranks in choices:
        chain = Chain(kind, folder / f"{kind.replace(' ', '_')}_{ranks}")
        write_job(kind, chain.folder)
        process = start(chain, ranks, resume=["run", "job.toml"])
        if process.wait(PATIENCE):
            raise SystemExit((chain.folder / "leg0.log").read_text())
        found[ranks] = read_result(chain.out)
    return found


def table(chains: Sequence[Chain]) -> str:
    lines = ["| killed | who | kills | whose run ended as if undisturbed |", "|---|---|---|---|"]
    every = Counter(each for chain in chains for each in chain.kills)
    right = Counter(each for chain in chains if not chain.wrong for each in chain.kills)
    for each in sorted(every):
        at, _, whom = each.partition(": ")
        lines.append(f"| {at} | {whom} | {every[each]} | {right[each]} |")
    lines += ["", "| job | ranks | runs | kills | right |", "|---|---|---|---|---|"]
    groups: dict[tuple[str, str], list[Chain]] = {}
    for chain in chains:
        kept = len(set(chain.ranks)) == 1
        groups.setdefault((chain.kind, str(chain.ranks[0]) if kept else "changed"), []).append(chain)
    for (kind, ranks), found in sorted(groups.items()):
        counts = len(found), sum(len(chain.kills) for chain in found), sum(not chain.wrong for chain in found)
        lines.append(f"| {kind} | {ranks} | {counts[0]} | {counts[1]} | {counts[2]} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--ranks", default="1,2,4", help="numbers of ranks, with commas between")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    choices = [int(word) for word in options.ranks.split(",")]
    rng = random.Random(options.seed)
    scratch = Path(tempfile.mkdtemp(prefix="kill_and_resume_"))
    wanted = {kind: undisturbed(kind, scratch / "undisturbed", choices) for kind in JOBS}
    chains: list[Chain] = []
    done = 0
    while done < options.kills:
        kind = list(JOBS)[len(chains) % len(JOBS)]
        kills = min(rng.choice([1, 2, 3]), options.kills - done)
        chain = run_chain(kind, scratch / f"run{len(chains)}", choices, kills, rng)
        judge(chain, wanted[kind])
        chains.append(chain)
        done += len(chain.kills)
        print(f"{done:4d} kills  {kind}, ranks {chain.ranks}: {chain.wrong or 'right'}", file=sys.stderr, flush=True)
        if not chain.wrong:
            shutil.rmtree(chain.folder)
    bad = [chain for chain in chains if chain.wrong]
    print(table(chains))
    right = sum(len(chain.kills) for chain in chains if not chain.wrong)
    print(f"\n{right} of {done} kills: the run ends as the uninterrupted one.")
    for chain in bad:
        print(f"{chain.folder}: {chain.kind}, ranks {chain.ranks}, {chain.kills}: {'; '.join(chain.wrong)}")
    if not bad:
        shutil.rmtree(scratch)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
