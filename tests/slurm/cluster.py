"""A real Slurm of two nodes on this machine, from its Debian packages: started, used and stopped, nothing stays.

Only root can start one. All that it writes is in one folder, and no part of it is shared with a Slurm that the machine
may have: its ports, keys and sockets are its own.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "jobs"
ALLOWED = "QDIST_INSTALL_SLURM"
"""The variable that lets the tests install Slurm."""
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")
SYSTEM = "/usr/sbin:/sbin"
NODES = ("n1", "n2")
POLL = 0.1

CONFIGURATION = """
ClusterName=qdist
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# A node may say that it has more cores than the machine.
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=2
ReturnToService=2
GresTypes=gpu
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 Gres=gpu:1 State=UNKNOWN"
# Slurm hands out a GPU by its device file, and never opens it.
GPU = "NodeName={name} Name=gpu File=/dev/null\n"


def why_not() -> str | None:
    """Why no Slurm can be started here; it is installed first if that is allowed."""
    if os.environ.get(ALLOWED) != "1":
        return f"starting a Slurm takes minutes, and maybe packages: let the tests do it with {ALLOWED}=1"
    if os.geteuid() != 0:
        return "only root can start a Slurm"
    missing = _missing()
    if not missing:
        return None
    if shutil.which("apt-get") is None:
        return f"no {', '.join(missing)}, and no apt-get to install {' '.join(PACKAGES)}"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        if done.returncode:
            return f"`apt-get {' '.join(command)}` failed: {' '.join(done.stderr.split())[-300:]}"
    missing = _missing()
    return f"no {', '.join(missing)}, though its packages are installed" if missing else None


def _missing() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


def _path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}:{SYSTEM}"


@dataclass
class Cluster:
    """A Slurm that runs, and what is asked of it.

    Attributes:
        folder: Everything it writes.
        environment: The variables with which its commands find it.
        daemons: Its processes, in the order in which they were started.
    """

    folder: Path
    environment: Mapping[str, str]
    daemons: list[subprocess.Popen] = field(default_factory=list)

    def ask(self, *command: str, cwd: Path | None = None) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def submit(self, script: str, *arguments: str, cwd: Path, options: Sequence[str] = ()) -> str:
        """Submit a script of `jobs/` as it is; the number of the job."""
        return self.ask("sbatch", "--parsable", *options, str(SCRIPTS / script), *arguments, cwd=cwd)

    def job(self, number: str) -> dict[str, str]:
        """What Slurm says of a job."""
        words = self.ask("scontrol", "show", "job", "-o", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def until(
        self, condition: Callable[[], object], what: str, seconds: float = 120, while_running: str | None = None
    ) -> None:
        """Wait for a condition, in vain if a job that must run is over."""
        end = time.monotonic() + seconds
        while not condition():
            state = self.job(while_running)["JobState"] if while_running else "RUNNING"
            assert time.monotonic() < end, f"Not in {seconds} s: {what}.\n{self._logs()}"
            assert state == "RUNNING", f"Job {while_running} is {state}, but not yet: {what}.\n{self._logs()}"
            time.sleep(POLL)

    def until_state(self, number: str, state: str, seconds: float = 120) -> None:
        """Wait until a job is in a state; a job that is over and in another is an error."""
        over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "BOOT_FAIL", "OUT_OF_MEMORY"} - {state}

        def is_there() -> bool:
            found = self.job(number)["JobState"]
            assert found not in over, f"Job {number} is {found}, not {state}.\n{self._logs()}"
            return found == state

        self.until(is_there, f"job {number} is {state}", seconds)

    def signal(self, number: str) -> None:
        """What Slurm does shortly before the time limit, but not a minute early or late."""
        self.ask("scancel", "--signal=USR1", "--batch", number)

    def start_again(self, number: str) -> None:
        """Wait until a job is back in the queue, and let it start now: by itself it would wait for two minutes."""
        self.until_state(number, "PENDING")
        # Not in the same second: slurmd takes the job for the one that it has just ended.
        self.ask("scontrol", "update", f"jobid={number}", "StartTime=now+2")

    def _logs(self) -> str:
        logs = [*self.folder.glob("*.log"), *self.folder.parent.glob("**/qdist-*.log")]
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in logs)


@contextmanager
def started(folder: Path, **variables: str) -> Iterator[Cluster]:
    """A Slurm in a folder; `variables` are in the environment of what is submitted."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "PMI"))}
    environment |= {"PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf"), **variables}
    cluster = Cluster(folder, environment)
    _configure(folder)
    try:
        # Munge wants folders that nobody else can write to, up to the root; this one is in a temporary folder.
        files = {"key-file": "munge.key", "seed-file": "munge.seed", "log-file": "munge.log", "pid-file": "munge.pid"}
        own = [f"--{option}={folder / name}" for option, name in files.items()]
        _start(cluster, "munged", "--foreground", "--force", f"--socket={folder / 'munge.socket'}", *own)
        cluster.until((folder / "munge.socket").exists, "munged listens")
        _start(cluster, "slurmctld", "-D")
        for name in NODES:
            _start(cluster, "slurmd", "-D", "-N", name)
        idle = ["idle"] * len(NODES)
        cluster.until(lambda: _states(cluster) == idle, "all nodes are idle")
        yield cluster
    finally:
        _stop(cluster)


def _configure(folder: Path) -> None:
    host = socket.gethostname().split(".")[0]
    controller, *ports = _free_ports(1 + len(NODES))
    nodes = "\n".join(NODE.format(name=name, host=host, port=port) for name, port in zip(NODES, ports, strict=True))
    text = CONFIGURATION.format(host=host, controller=controller, folder=folder, nodes=nodes)
    (folder / "slurm.conf").write_text(text)
    (folder / "gres.conf").write_text("".join(GPU.format(name=name) for name in NODES))
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    for name in ("state", *(f"spool.{name}" for name in NODES)):
        (folder / name).mkdir()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _start(cluster: Cluster, *command: str) -> None:
    with open(cluster.folder / f"{command[0]}.{len(cluster.daemons)}.out.log", "w") as log:
        daemon = subprocess.Popen(command, env=cluster.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    cluster.daemons.append(daemon)


def _states(cluster: Cluster) -> list[str]:
    done = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--format=%T"],
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout.split()


def _stop(cluster: Cluster) -> None:
    if len(cluster.daemons) > 1:
        with suppress(AssertionError, subprocess.TimeoutExpired):
            cluster.ask("scancel", "--signal=KILL", "--full", "--user=root")
            cluster.ask("scancel", "--user=root")
            cluster.until(lambda: not cluster.ask("squeue", "--noheader"), "no job is left", seconds=15)
    for daemon in reversed(cluster.daemons):
        daemon.terminate()
        try:
            daemon.wait(timeout=10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
    for process in left_over(cluster.folder):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def left_over(folder: Path) -> list[int]:
    """Processes that were started in this Slurm."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"SLURM_CONF={folder}/slurm.conf".encode() in environ.read_bytes():
                found.append(int(environ.parent.name))
    return found
