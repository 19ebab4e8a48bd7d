"""The command line. The only room that prints, reads arguments and knows of a terminal."""

import contextlib
import functools
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
import typer.core

from qdist.runs.garbage import none_to_collect

if TYPE_CHECKING:
    from qdist.machine.comm import Comm
    from qdist.runs.job import Job
    from qdist.runs.sweep import Sweep

# Nothing else of qdist is imported up here: NumPy counts its threads when it is loaded, and ranks set them before.

WRONG, STOPPED, AGAIN = 2, 130, 75
SIGNATURE = b"\x89HDF"

HELP = """
Simulate quantum states that are spread over the nodes of a network.

A job is a TOML file that says which circuit or protocol runs on which network. To run one and look at what it gives:

\b
    qdist run jobs/ghz_star.toml
    qdist show jobs/ghz_star.h5
    qdist plot jobs/ghz_star.h5

To share one job among several ranks, start them with MPI: mpirun -n 4 qdist run JOB

Whatever is wrong with a job is said before anything is computed. The exit code is 0 if all went well, 2 if the job,
a file or the command line is wrong, and 75 if the run was asked to stop (SIGUSR1, SIGTERM, Ctrl-C) and can go on from
a checkpoint with `qdist run --resume JOB`.
"""


class _Commands(typer.core.TyperGroup):
    """Turns mistakes of the user into one line and an exit code. Other exceptions are bugs and keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        from qdist.errors import QdistError
        from qdist.runs.launch import Together

        try:
            return super().invoke(ctx)
        except Together as end:
            _tell(str(end))
            raise typer.Exit(AGAIN) from None
        except QdistError as error:
            _tell(str(error))
            raise typer.Exit(WRONG) from None
        except KeyboardInterrupt:
            # A progress bar may stand on this line.
            typer.echo("\r\033[KStopped by Ctrl-C." if sys.stderr.isatty() else "Stopped by Ctrl-C.", err=True)
            raise typer.Exit(STOPPED) from None


app = typer.Typer(
    cls=_Commands,
    help=HELP,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

JobArgument = Annotated[Path, typer.Argument(metavar="JOB", help="The job, a TOML file.", show_default=False)]
ResultArgument = Annotated[
    Path, typer.Argument(metavar="RESULT", help="A result of `qdist run`, an HDF5 file.", show_default=False)
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program with these arguments, those of the process unless given, and exit.

    Under a launcher of several ranks, each of them calls this.

    Raises:
        SystemExit: Always, with the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no Greek is no reason to fail.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    # Other installed packages have no say in how a job file is read; looking for them takes 30 ms.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    with none_to_collect():
        from qdist.machine.ranks import launched, mask, thread_settings

    launch = launched(os.environ)
    if launch is not None and launch.size != 1:
        if launch.local_size is not None:
            os.environ.update(thread_settings(os.environ, max(1, len(mask()) // launch.local_size)))
        _run_on_ranks(arguments)
    with none_to_collect():
        from qdist.machine.comm import SERIAL

    _run(arguments, SERIAL)


def program() -> NoReturn:
    """The command `qdist`: `main`, after which the process ends at once where nobody waits for its end.

    Files are closed by then. To take apart what Python holds would be a tenth of the time of a small job. MPI and JAX
    have something to say at the end, and so have those who watch a process.
    """
    try:
        main()
    except SystemExit as end:
        watched = sys.gettrace() is not None or sys.getprofile() is not None
        if watched or not isinstance(end.code, int) or not sys.modules.keys().isdisjoint(("jax", "mpi4py")):
            raise
        code = end.code
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, BrokenPipeError):  # closed, or nobody reads on
            stream.flush()
    os._exit(code)


def _run(arguments: Sequence[str] | None, comm: "Comm") -> None:
    app(args=None if arguments is None else list(arguments), prog_name="qdist", obj=comm)


def _run_on_ranks(arguments: Sequence[str] | None) -> NoReturn:
    from qdist.errors import QdistError
    from qdist.runs.launch import guard, leave, printable, start

    try:
        comm = start(os.environ)
    except QdistError as error:
        typer.echo(printable(str(error)), err=True)
        raise SystemExit(WRONG) from None
    code: Any = 0
    with _only_first_speaks(comm):
        try:
            with guard(comm):
                _run(arguments, comm)
        except SystemExit as end:
            code = end.code
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    leave(comm, code or 0)


@contextlib.contextmanager
def _only_first_speaks(comm: "Comm") -> Iterator[None]:
    """All ranks do the same, so one of them is enough; what ends a rank goes around this (`launch.guard`)."""
    if comm.rank == 0:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield


def _by_one(command: Callable[..., None]) -> Callable[..., None]:
    """A command that rank 0 runs for all."""

    @functools.wraps(command)
    def on_first_rank(ctx: typer.Context, **options: Any) -> None:
        from qdist.runs.launch import on_first

        on_first(ctx.obj, functools.partial(command, ctx, **options))

    return on_first_rank


def _version(wanted: bool) -> None:
    if wanted:
        from qdist.runs.results import versions

        typer.echo(f"qdist {versions()['qdist_version']}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on from the last whole checkpoint; with none, start from the beginning.")
]
ForkOption = Annotated[
    bool, typer.Option("--fork", help="Go on although the job was changed: it is another run from that point on.")
]


@app.command()
def run(
    ctx: typer.Context,
    job: JobArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE.h5",
            show_default=False,
            help="Where to write the result; beside the job unless given.",
        ),
    ] = None,
    resume: ResumeOption = False,
    fork: ForkOption = False,
) -> None:
    """Run a job and write its result, an HDF5 file.

    Checkpoints are in a folder beside the result, when [checkpoint] of the job or a signal asks for them, and go when
    the run has ended. Runs of more than a second write the result while it grows; it replaces an existing file.
    """
    target = job.with_suffix(".h5") if out is None and job.name else out or job
    _run_job(ctx.obj, job, target, resume=resume, fork=fork)


@app.command()
def resume(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The result, the folder of checkpoints, or one of them.", show_default=False
        ),
    ],
    fork: ForkOption = False,
) -> None:
    """Go on with a run from its last whole checkpoint."""
    from qdist.runs.checkpoints.resuming import run_of
    from qdist.runs.launch import agree

    comm: Comm = ctx.obj
    job, out = agree(comm, lambda: run_of(file))
    _run_job(comm, job, out, resume=True, fork=fork)


def _run_job(comm: "Comm", job: Path, target: Path, *, resume: bool, fork: bool) -> None:
    with none_to_collect():
        from qdist.runs.checkpoints.resuming import Checkpoints, folder_of
        from qdist.runs.checkpoints.signals import listening
        from qdist.runs.execute import run as run_job
        from qdist.runs.jobfiles.reader import read_job
        from qdist.runs.launch import agree, guard, on_first
        from qdist.runs.results import write_result

    with listening(_say_asked) as asked, guard(comm) as nodes:
        described = agree(comm, lambda: read_job(job))
        on_first(comm, lambda: _check_target(target))
        agree(comm, _choose_kernels)
        checkpoints = Checkpoints(
            folder_of(target), resume, fork, live=target, job=str(job), asked=lambda: asked.by, tell=_tell
        )
        with _about(job):
            nodes += agree(comm, lambda: _hosted(_first_point(described), comm))
            result = run_job(described, comm=comm, progress=True, keep_state=False, checkpoints=checkpoints)
        on_first(comm, lambda: write_result(result, target))
        on_first(comm, lambda: checkpoints.clear())
    typer.echo(f"Wrote {target} after {result.attributes['wall_seconds']:.3g} s. Look at it with: qdist show {target}")


def _choose_kernels() -> None:
    """Compile what has not been compiled on this machine, and say why it takes a while, or why it cannot be done."""
    from qdist.errors import QdistError
    from qdist_kernels import native, settings

    os.environ.update({name: value for name, value in settings.of_jax().items() if name not in os.environ})
    try:
        if native.must_compile():
            _tell("Compiling the kernels for this machine: up to a minute, once.")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            native.is_used()
            native.is_used_on_gpu()
    except ValueError as problem:
        raise QdistError(str(problem)) from None
    for warning in said:
        _tell(str(warning.message))


def _tell(sentence: str) -> None:
    from qdist.runs.launch import printable

    try:
        typer.echo(printable(sentence), err=True)
    except OSError:
        # The terminal is gone, or the disk of the log is full: the run and its exit code are what counts.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _say_asked(signal: str) -> None:
    how = "Ctrl-C again" if signal == "SIGINT" else "Another signal"
    _tell(f"{signal}: stopping with a checkpoint at the next step. {how} ends the run at once.")


@app.command()
@_by_one
def plan(
    ctx: typer.Context,
    job: JobArgument,
    ranks: Annotated[
        int,
        typer.Option("--ranks", "-n", metavar="P", min=1, help="For how many MPI ranks, a power of two."),
    ] = 1,
) -> None:
    """Show what a job needs, without running it.

    Prints the number of steps, the clusters of qubits over time, the bytes they take, and when each qubit is last used.
    """
    from qdist.errors import QdistError
    from qdist.machine.comm import check_power_of_two
    from qdist.machine.memory import check_memory, device_bytes
    from qdist.runs.jobfiles.reader import read_job
    from qdist.runs.prepare import preview, ranks_here
    from qdist.runs.views.plan import describe_plan

    check_power_of_two(ranks)
    described = read_job(job)
    with _about(job):
        prepared, shared = preview(described, ranks)
    available, place = device_bytes()
    points = 1 if described is _first_point(described) else len(described)  # type: ignore[arg-type]
    several: dict[str, Any] = {"shared": shared, "ranks": ranks, "points": points} if ranks > 1 else {}
    typer.echo(describe_plan(prepared, available=available, place=place, **several))
    where = " if all of its ranks run on this machine" if ranks > 1 else ""
    try:
        check_memory(shared, ranks_here(ranks))
    except QdistError as error:
        typer.echo(f"This job does not fit{where}. {error}")
    else:
        typer.echo(f"This job fits{where}.")


@app.command()
@_by_one
def show(
    ctx: typer.Context,
    result: ResultArgument,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new rows of a running job as they come, until it has ended.")
    ] = False,
) -> None:
    """Print the main numbers of a result."""
    from qdist.runs.results import read_result
    from qdist.runs.views.follow import followed
    from qdist.runs.views.show import describe

    if follow:
        if not result.exists() and result.parent.is_dir():
            _tell(f"{result} is not there yet: waiting for it. Ctrl-C ends this.")
        for line in followed(result):
            typer.echo(line)
    typer.echo(describe(read_result(result), result), nl=False)


@app.command()
@_by_one
def check(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A result, a folder of checkpoints, or one of them.", show_default=False),
    ],
) -> None:
    """Verify every checksum of a result or of checkpoints.

    Says what is damaged, and what can still be read. The exit code is 1 if anything is damaged.
    """
    from qdist.runs.views.check import examine

    found = examine(file)
    typer.echo("\n".join(found.lines))
    if not found.is_whole:
        raise typer.Exit(1)


@app.command()
@_by_one
def plot(
    ctx: typer.Context,
    result: ResultArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FIG.png",
            show_default=False,
            help="The picture, .png, .pdf or .svg; beside the result unless given.",
        ),
    ] = None,
) -> None:
    """Draw a result as a picture.

    Shows correlations between nodes, metrics over time, outcomes and correlators, as far as the result has them.
    """
    from qdist.runs.results import read_result
    from qdist.runs.views.plot import plot_result

    target = result.with_suffix(".png") if out is None and result.name else out or result
    plot_result(read_result(result), target)
    typer.echo(f"Wrote {target}.")


@app.command()
@_by_one
def merge(
    ctx: typer.Context,
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT...", help="Results of parts of one sweep, HDF5 files.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE.h5", show_default=False, help="Where to write the whole.")
    ],
) -> None:
    """Join the results of many jobs into that of one sweep.

    The jobs may differ in numbers only, such as those of an array job on a cluster, one for each length of a link.
    Together they must be a whole grid, each point once.
    """
    from qdist.errors import QdistError
    from qdist.runs.merging import merged
    from qdist.runs.results import write_result

    _check_target(out)
    if any(out.resolve() == result.resolve() for result in results):
        raise QdistError(
            f"The output must be another file than those that are merged, but '{out}' is one of them. "
            "Choose another name."
        )
    whole = merged(results)
    write_result(whole, out)
    shape = " × ".join(str(len(axis.values)) for axis in whole.axes) or "1"
    typer.echo(f"Wrote {out} with {shape} points. Look at it with: qdist show {out}")


@app.command()
@_by_one
def validate(ctx: typer.Context) -> None:
    """Check this installation against published physics.

    Recomputes published results and prints both. The exit code is 1 if a number is off.
    """
    from qdist.runs.validation import run_validation, table

    _choose_kernels()
    rows = run_validation()
    typer.echo(table(rows))
    if not all(row.ok for row in rows):
        raise typer.Exit(1)


def _first_point(described: "Job | Sweep") -> "Job":
    """A job, or the first of a sweep."""
    from qdist.runs.sweep import Sweep

    return described.job(0) if isinstance(described, Sweep) else described


def _hosted(job: "Job", comm: "Comm") -> tuple[str, ...]:
    """The nodes of a job that this rank hosts."""
    from qdist.machine.ranks import hosted

    return hosted([node.name for node in job.network.nodes], comm.rank, comm.size, job.hosts or None)


@contextlib.contextmanager
def _about(job: Path) -> Iterator[None]:
    """Put the name of the job before what is found wrong only when it is prepared."""
    from qdist.errors import QdistError

    try:
        yield
    except QdistError as error:
        raise QdistError(f"{job}: {error}") from None


def _check_target(path: Path) -> None:
    """Raise unless a result may go to `path`: a new file, or one that was a result."""
    from qdist.errors import QdistError
    from qdist.runs.results import check_writable

    check_writable(path)
    if path.is_file() and path.stat().st_size:
        with open(path, "rb") as stream:
            if stream.read(len(SIGNATURE)) != SIGNATURE:
                raise QdistError(
                    f"The output must be a new file or a result to replace, but '{path}' is something else. "
                    "Name another file with `--out FILE.h5`."
                )
