"""The one table of what a result file holds; it drives the writer, the reader, `qdist show`, `qdist plot` and the docs.

A file has text and numbers as root attributes (`ATTRIBUTES`) and arrays in groups (`SCHEMA`, by path). Every
dimension of an array has a coordinate: the array of that name in the same group. NaN means that there is no value,
for example a pair that does not exist at a step.

The result of a sweep has an `Axis` for each swept field. The axes are the leading dimensions of every array that
depends on the point; the table says the others. An attribute is there only if it is the same at every point.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.errors import QdistError, did_you_mean
from qdist.physics.metrics import METRICS, VERDICTS

FORMAT_VERSION = 3
"""3 has results of runs under way (`finished` is 0), 2 has sweeps. A file of 1 or 2 is one of 3 without either."""

KINDS = {"float": "f", "int": "i", "number": "fi", "text": "U"}
KIND_NAMES = {"float": "real numbers", "int": "signed integers", "number": "numbers", "text": "text"}

NO_PAIR = -1  # the verdict where a pair does not exist; other metrics have NaN there

AXIS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Variable:
    """One array of a result file.

    Attributes:
        dims: The names of its dimensions; each is the name of a coordinate in the same group.
        kind: `"float"`, `"int"`, `"number"` (float or int) or `"text"`.
        units: SI unit, `"1"` for a plain number, empty for text.
        long_name: What to write on an axis.
        definition: The formula or the convention, in a sentence.
        flags: For codes: what each value means.
        fewer_dims: Whether trailing dimensions may be missing (a metric of the whole state has no pair).
        missing: What stands where a point of a sweep has no value; text has "".
        once: Whether a sweep stores it without the axes if all of its points agree.
    """

    dims: tuple[str, ...]
    kind: str
    units: str
    long_name: str
    definition: str
    flags: Mapping[int, str] = field(default_factory=dict)
    fewer_dims: bool = False
    missing: float = math.nan
    once: bool = False


@dataclass(frozen=True)
class Axis:
    """A swept field of a job: a leading dimension of all that depends on it.

    Attributes:
        name: Of its dimension, and of its coordinate in the group `/sweep`: `"links_0_fidelity"`.
        path: Of the field in the job file: `"links[0].fidelity"`.
        values: One for each place along the dimension, all integers if the field is one.
        units: SI unit, `"1"` for a plain number.
        long_name: What to write on an axis.

    Raises:
        QdistError: The name cannot be that of a coordinate, or there are no values, or one is no number or there twice.
    """

    name: str
    path: str
    values: tuple[float, ...]
    units: str = "1"
    long_name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if not AXIS_NAME.fullmatch(self.name):
            raise QdistError(
                f"The name of an axis must be a letter, then letters, digits and `_`, but is {self.name!r}. Rename it."
            )
        odd = [v for v in self.values if isinstance(v, bool) or not isinstance(v, int | float) or math.isnan(v)]
        if odd or not self.values or len(set(self.values)) != len(self.values):
            found = f"one is {odd[0]!r}" if odd else "one is there twice" if self.values else "there are none"
            raise QdistError(f"The axis `{self.name}` must have different numbers, but {found}. Change them.")

    @property
    def coordinate(self) -> np.ndarray:
        """The values as an array of int64 or float64, shape (n,)."""
        return np.array(self.values, np.int64 if all(isinstance(v, int) for v in self.values) else np.float64)


AXIS = Variable(
    ("NAME",),
    "number",
    "",
    "",
    "Values of a swept field of the job, named by its path: the attribute `path` has it unchanged. NAME is a leading "
    "dimension of every array that depends on the field, and each group with such an array has a copy.",
)
"""What every coordinate in `/sweep` is; unit and name are those of the axis."""


@dataclass(frozen=True)
class Attribute:
    """One root attribute: its Python type, what it says, and whether every file has it."""

    type: type
    definition: str
    required: bool = False


ATTRIBUTES = {
    "format_version": Attribute(int, "Version of this table.", required=True),
    "about": Attribute(str, "What the file is, for a reader without qdist."),
    "qdist_version": Attribute(str, "The qdist that wrote the file.", required=True),
    "mode": Attribute(str, "How measurements were treated: exact, sampled or postselected.", required=True),
    "precision": Attribute(str, "Floating-point type of the state: float32 or float64.", required=True),
    "seed": Attribute(int, "Seed of all random numbers of the run, unless it is swept.", required=True),
    "title": Attribute(str, "The title of the job."),
    "job": Attribute(str, "The whole text of the job file; empty for a run started from Python."),
    "shots": Attribute(int, "Number of trajectories in sampled mode."),
    "finished": Attribute(int, "1; 0 while the run goes on: more rows will come, and in sampled mode more shots."),
    "resumed": Attribute(int, "How often the run was stopped and went on from a checkpoint."),
    "sweep": Attribute(str, "Names of the coordinates in /sweep, separated by spaces, in the order of the dimensions."),
    "bits": Attribute(
        str, "Names of the classical bits, separated by spaces, in the order of an outcome's characters."
    ),
    "qubits": Attribute(str, "Names of the qubits, separated by spaces, in the order of a Pauli string's letters."),
    "ranks": Attribute(int, "Number of MPI processes."),
    "wall_seconds": Attribute(float, "Seconds on the clock on the wall that the run took."),
    "total_pairs_made": Attribute(float, "Expected number of pairs made, over all links."),
    "total_pairs_used": Attribute(float, "Expected number of pairs used up by the program."),
    "total_pairs_wasted": Attribute(float, "Expected number of pairs made and thrown away."),
    "total_bits_sent": Attribute(float, "Expected number of classical bits sent."),
    "python_version": Attribute(str, "Version of Python."),
    "numpy_version": Attribute(str, "Version of NumPy."),
    "jax_version": Attribute(str, "Version of JAX."),
    "h5py_version": Attribute(str, "Version of h5py."),
}

_PER_PAIR = ("step", "pair")
_JACKKNIFE = "Standard error over the shots: jackknife over groups of them."

_RESULTS = {
    "results/outcome": Variable(
        ("outcome",),
        "text",
        "",
        "outcome",
        "Values of the classical bits; the first character is the first bit declared.",
    ),
    "results/probabilities": Variable(
        ("outcome",),
        "float",
        "1",
        "probability",
        "P(outcome), given that every herald succeeded; the fraction of the shots in sampled mode. "
        "An outcome that is not listed has probability 0.",
        missing=0,
    ),
    "results/probabilities_stderr": Variable(
        ("outcome",),
        "float",
        "1",
        "standard error of the probability",
        "√(p(1−p)/n), n shots that passed every herald.",
        missing=0,
    ),
    "results/counts": Variable(("outcome",), "int", "1", "counts", "Number of shots with this outcome.", missing=0),
    "results/pauli": Variable(
        ("pauli",),
        "text",
        "",
        "Pauli string",
        "A Pauli operator I, X, Y or Z for each qubit of the attribute `qubits`, in its order.",
    ),
    "results/correlators": Variable(("pauli",), "float", "1", "correlator", "⟨P⟩ = Tr(P ρ) at the end of the program."),
    "results/correlators_stderr": Variable(
        ("pauli",),
        "float",
        "1",
        "standard error of the correlator",
        _JACKKNIFE,
    ),
    "results/success_probability": Variable(
        (), "float", "1", "success probability", "Probability that every herald of the program succeeded."
    ),
    "results/herald": Variable(("herald",), "text", "", "herald", "Name of a herald, in program order."),
    "results/herald_probability": Variable(
        ("herald",),
        "float",
        "1",
        "herald probability",
        "Probability of this herald, given that the earlier ones succeeded.",
    ),
}

_SERIES = {
    "metrics/step": Variable(("step",), "int", "1", "step", "Index in the program of the recorded step."),
    "metrics/time": Variable(
        ("step",),
        "float",
        "s",
        "time",
        "Simulated time of the record, averaged over all histories, whether their heralds succeed or not.",
    ),
    "metrics/label": Variable(("step",), "text", "", "label", "What the program calls this record.", once=True),
    "metrics/pair": Variable(
        ("pair",), "text", "", "pair", "The qubits or nodes that are compared, joined by hyphens: alice/0-bob/0."
    ),
    "metrics/pauli_a": Variable(("pauli_a",), "text", "", "Pauli operator", "Pauli operator on the first qubit."),
    "metrics/pauli_b": Variable(("pauli_b",), "text", "", "Pauli operator", "Pauli operator on the second qubit."),
    "metrics/correlations": Variable(
        ("step", "pair", "pauli_a", "pauli_b"),
        "float",
        "1",
        "correlator",
        "⟨P_a ⊗ P_b⟩ = Tr((P_a ⊗ P_b) ρ) for P in I, X, Y, Z.",
    ),
}


def _of_metrics() -> dict[str, Variable]:
    table = {}
    for name, metric in METRICS.items():
        words, definition = name.replace("_", " "), f"{metric.description} {metric.convention}"
        kind = "int" if name == "verdict" else "float"
        flags = {NO_PAIR: "no_pair", **dict(enumerate(VERDICTS))} if name == "verdict" else {}
        missing = NO_PAIR if name == "verdict" else math.nan
        table[f"metrics/{name}"] = Variable(_PER_PAIR, kind, metric.unit, words, definition, flags, True, missing)
        if name != "verdict":
            words = f"standard error of the {words}"
            table[f"metrics/{name}_stderr"] = Variable(_PER_PAIR, kind, metric.unit, words, _JACKKNIFE, fewer_dims=True)
    return table


_RESOURCES = {
    "network/node": Variable(("node",), "text", "", "node", "Name of a node, a party of the network."),
    "network/link": Variable(("link",), "text", "", "link", "The two nodes that the link joins, as alice-bob."),
    "network/length": Variable(("link",), "float", "m", "length", "Length of the link."),
    "ledger/link": Variable(("link",), "text", "", "link", "The two nodes that the link joins, as alice-bob."),
    "ledger/pairs_made": Variable(("link",), "number", "1", "pairs made", "Expected number of pairs made on the link."),
    "ledger/pairs_used": Variable(("link",), "number", "1", "pairs used", "Expected number of them that were used."),
    "ledger/pairs_wasted": Variable(("link",), "number", "1", "pairs wasted", "Expected number of them thrown away."),
    "ledger/attempts": Variable(("link",), "number", "1", "attempts", "Expected number of heralding attempts."),
    "ledger/route": Variable(("route",), "text", "", "route", "Sender and receiver, as alice->bob."),
    "ledger/bits_sent": Variable(("route",), "number", "1", "bits sent", "Expected number of classical bits sent."),
    "traffic/rank": Variable(("rank",), "int", "1", "rank", "Number of an MPI process of the run."),
    "traffic/nodes": Variable(
        ("rank",), "text", "", "nodes", "The nodes that the rank hosts, separated by spaces.", once=True
    ),
    "traffic/bytes_sent": Variable(
        ("rank",), "int", "byte", "bytes sent", "Of blocks of the state, by the rank.", missing=0
    ),
    "traffic/bytes_received": Variable(
        ("rank",), "int", "byte", "bytes received", "Of blocks, by the rank.", missing=0
    ),
    "traffic/planned_bytes": Variable(
        ("rank",),
        "int",
        "byte",
        "bytes planned",
        "Of blocks, as the plan said before the run that the rank would send.",
        missing=0,
    ),
    "traffic/collective_bytes": Variable(
        ("rank",), "int", "byte", "bytes summed", "Of numbers that all ranks summed, such as probabilities.", missing=0
    ),
    "traffic/messages": Variable(("rank",), "int", "1", "messages", "Parts of blocks that the rank sent.", missing=0),
    "traffic/remaps": Variable(
        ("rank",), "int", "1", "remaps", "Changes of layout that the rank took part in.", missing=0
    ),
    "traffic/block_bytes": Variable(
        ("rank",),
        "int",
        "byte",
        "largest block",
        "What the rank held of the largest cluster that was split; 0 if none was.",
        missing=0,
    ),
    "traffic/communication_seconds": Variable(
        ("rank",), "float", "s", "time in communication", "On the clock on the wall, waiting for other ranks included."
    ),
    "traffic/compute_seconds": Variable(
        ("rank",), "float", "s", "time in compute", "On the clock on the wall, of the evolution without communication."
    ),
    "plan/step": Variable(
        ("step",), "int", "1", "step", "Index of an instruction, as the plan orders them; long plans are thinned."
    ),
    "plan/clusters": Variable(
        ("step",), "int", "1", "clusters", "Number of clusters after the instruction.", missing=0, once=True
    ),
    "plan/largest": Variable(
        ("step",),
        "int",
        "1",
        "index bits of the largest cluster",
        "Two for each of its qubits and one for each of its classical bits: its vector has 2^this entries.",
        missing=0,
        once=True,
    ),
    "plan/bytes": Variable(
        ("step",),
        "int",
        "byte",
        "memory",
        "Memory of all correlation vectors after the instruction.",
        missing=0,
        once=True,
    ),
}

SCHEMA: dict[str, Variable] = {**_RESULTS, **_SERIES, **_of_metrics(), **_RESOURCES}


# What else says which record it is: written as the CF attribute `coordinates`, so xarray can plot along the time.
RECORD_COORDINATES = ("time", "label")


def coordinate(path: str, dim: str) -> str:
    """The path of the coordinate of dimension `dim` of the array at `path`: same group, named as the dimension."""
    return f"{path.rpartition('/')[0]}/{dim}"


def is_coordinate(path: str) -> bool:
    """Whether the array at `path` is that of a dimension: the axes of a sweep never lead it."""
    return path.rpartition("/")[2] in SCHEMA[path].dims


def dims_of(path: str, shape: tuple[int, ...], axes: Sequence[Axis] = ()) -> tuple[str, ...]:
    """The names of the dimensions of the array at `path`: those of the axes of a sweep, then those of the table.

    Raises:
        QdistError: The number of dimensions is not one the table allows.
    """
    variable = SCHEMA[path]
    lead = tuple(axis.name for axis in axes)
    if is_coordinate(path) or (variable.once and len(shape) == len(variable.dims)):
        lead = ()
    own = len(shape) - len(lead)
    if own == len(variable.dims) or (variable.fewer_dims and 0 < own < len(variable.dims)):
        return lead + variable.dims[:own]
    raise QdistError(
        f"`{path}` must have the dimensions ({', '.join(lead + variable.dims)}), but has the shape {shape}."
    )


def check_kind(path: str, dtype: np.dtype) -> None:
    """Raise unless arrays of `dtype` may stand at `path`."""
    kind = SCHEMA[path].kind
    if dtype.kind not in KINDS[kind] or (dtype.kind in "fi" and dtype.itemsize > 8):
        raise QdistError(f"`{path}` must hold {KIND_NAMES[kind]}, but holds {dtype}.")


def check_data(data: Mapping[str, np.ndarray], axes: Sequence[Axis] = ()) -> None:
    """Raise unless every array has a known path, the right kind, and a coordinate of the right length per dimension."""
    swept = {axis.name: axis.coordinate for axis in axes}
    for path, array in data.items():
        if path not in SCHEMA:
            raise QdistError(f"A result has no array '{path}'.{did_you_mean(path, SCHEMA)}")
        check_kind(path, array.dtype)
        for dim, size in zip(dims_of(path, array.shape, axes), array.shape, strict=True):
            along = swept.get(dim, data.get(coordinate(path, dim)))
            found = "is missing" if along is None else f"has {len(along)}" if along.ndim else "has no dimension"
            if along is None or along.shape != (size,):
                where = f"sweep/{dim}" if dim in swept else coordinate(path, dim)
                raise QdistError(f"`{path}` must have one entry per `{where}`, but it has {size} and that {found}.")


def _check_names(axes: Sequence[str]) -> None:
    """Raise unless the coordinates of the axes can stand beside all others in one group."""
    arrays = {path.rpartition("/")[2] for path in SCHEMA}
    for number, name in enumerate(axes):
        if name in arrays or name in axes[:number]:
            found = "an array" if name in arrays else "another axis"
            raise QdistError(f"The name of an axis must be its own, but {found} is called '{name}' too. Rename it.")


def check_attributes(attributes: Mapping[str, Any], axes: Sequence[Axis] = ()) -> None:
    """Raise unless every attribute is known and of its type, none that must be is missing, and the axes have names."""
    _check_names([axis.name for axis in axes])
    swept = {axis.path.rpartition(".")[2] for axis in axes if axis.path.startswith("run.")}
    for name, attribute in ATTRIBUTES.items():
        if attribute.required and name not in attributes and name not in swept:
            raise QdistError(f"A result must have the attribute `{name}`, but has none.")
    for name, value in attributes.items():
        if name not in ATTRIBUTES:
            raise QdistError(f"A result has no attribute '{name}'.{did_you_mean(name, ATTRIBUTES)}")
        wanted = ATTRIBUTES[name].type
        accepted = (int, float) if wanted is float else wanted
        if not isinstance(value, accepted) or isinstance(value, bool):
            raise QdistError(f"Attribute `{name}` must be {wanted.__name__}, but is {value!r}.")
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise QdistError(f"Attribute `{name}` must fit in 64 bits, but is {value}.")


def markdown() -> str:
    """The table as Markdown, for the documentation."""
    lines = ["| path | dimensions | kind | unit | what it is |", "|---|---|---|---|---|"]
    for path, variable in {**SCHEMA, "sweep/NAME": AXIS}.items():
        dims = ", ".join(variable.dims) or "scalar"
        what = variable.definition.replace("|", "\\|")
        units = "its own" if variable is AXIS else variable.units or "–"
        lines.append(f"| `{path}` | {dims} | {variable.kind} | {units} | {what} |")
    return "\n".join(lines) + "\n"
