"""The command line. The only room that prints, reads arguments and knows of a terminal."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from qdist.errors import QdistError

WRONG, STOPPED = 2, 130
SIGNATURE = b"\x89HDF"

HELP = """
Simulate quantum states that are spread over the nodes of a network.

A job is a TOML file that says which circuit or protocol runs on which network. To run one and look at what it gives:

\b
    qdist run jobs/ghz_star.toml
    qdist show jobs/ghz_star.h5
    qdist plot jobs/ghz_star.h5

Whatever is wrong with a job is said before anything is computed. The exit code is 0 if all went well, 2 if the job,
a file or the command line is wrong, and 130 after Ctrl-C.
"""


class _Commands(typer.core.TyperGroup):
    """Turns mistakes of the user into one line and an exit code. Other exceptions are bugs and keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except QdistError as error:
            # Names of files and fields may hold what a terminal would obey.
            typer.echo("".join(char if char.isprintable() else "?" for char in str(error)), err=True)
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

    Raises:
        SystemExit: Always, with the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows no Greek is no reason to fail.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    app(args=None if arguments is None else list(arguments), prog_name="qdist")


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


@app.command()
def run(
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
) -> None:
    """Run a job and write its result, an HDF5 file.

    The result is written as a whole at the end; an existing file is replaced only then.
    """
    from qdist.runs.job import run as run_job
    from qdist.runs.jobfiles.reader import read_job
    from qdist.runs.results import write_result

    target = job.with_suffix(".h5") if out is None and job.name else out or job
    described = read_job(job)
    _check_target(target)
    with _about(job):
        result = run_job(described, progress=True, keep_state=False)
    write_result(result, target)
    typer.echo(f"Wrote {target} after {result.attributes['wall_seconds']:.3g} s. Look at it with: qdist show {target}")


@app.command()
def plan(job: JobArgument) -> None:
    """Show what a job needs, without running it.

    Prints the number of steps, the clusters of qubits over time, the bytes they take, and when each qubit is last used.
    """
    from qdist.machine.memory import check_memory, device_bytes
    from qdist.runs.job import prepare
    from qdist.runs.jobfiles.reader import read_job
    from qdist.runs.views.plan import describe_plan

    described = read_job(job)
    with _about(job):
        prepared = prepare(described, keep_state=False)
    available, place = device_bytes()
    typer.echo(describe_plan(prepared, available=available, place=place))
    try:
        check_memory(prepared.plan)
    except QdistError as error:
        typer.echo(f"This job does not fit. {error}")
    else:
        typer.echo("This job fits.")


@app.command()
def show(result: ResultArgument) -> None:
    """Print the main numbers of a result."""
    from qdist.runs.results import read_result
    from qdist.runs.views.show import describe

    typer.echo(describe(read_result(result), result), nl=False)


@app.command()
def plot(
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
def validate() -> None:
    """Check this installation against published physics.

    Recomputes published results and prints both. The exit code is 1 if a number is off.
    """
    from qdist.runs.validation import run_validation, table

    rows = run_validation()
    typer.echo(table(rows))
    if not all(row.ok for row in rows):
        raise typer.Exit(1)


@contextlib.contextmanager
def _about(job: Path) -> Iterator[None]:
    """Put the name of the job before what is found wrong only when it is prepared."""
    try:
        yield
    except QdistError as error:
        raise QdistError(f"{job}: {error}") from None


def _check_target(path: Path) -> None:
    """Raise unless a result may go to `path`: a new file, or one that was a result."""
    from qdist.runs.results import check_writable

    check_writable(path)
    if path.is_file() and path.stat().st_size:
        with open(path, "rb") as stream:
            if stream.read(len(SIGNATURE)) != SIGNATURE:
                raise QdistError(
                    f"The output must be a new file or a result to replace, but '{path}' is something else. "
                    "Name another file with `--out FILE.h5`."
                )
