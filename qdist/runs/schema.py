"""The one table of what a result file holds; it drives the writer, the reader, `qdist show`, `qdist plot` and the docs.

A file has text and numbers as root attributes (`ATTRIBUTES`) and arrays in groups (`SCHEMA`, by path). Every
dimension of an array has a coordinate: the array of that name in the same group. NaN means that there is no value,
for example a pair that does not exist at a step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.errors import QdistError, did_you_mean
from qdist.physics.metrics import METRICS, VERDICTS

FORMAT_VERSION = 1

KINDS = {"float": "f", "int": "i", "number": "fi", "text": "U"}
KIND_NAMES = {"float": "real numbers", "int": "signed integers", "number": "numbers", "text": "text"}

NO_PAIR = -1  # the verdict where a pair does not exist; other metrics have NaN there


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
    """

    dims: tuple[str, ...]
    kind: str
    units: str
    long_name: str
    definition: str
    flags: Mapping[int, str] = field(default_factory=dict)
    fewer_dims: bool = False


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
    "seed": Attribute(int, "Seed of all random numbers of the run.", required=True),
    "title": Attribute(str, "The title of the job."),
    "job": Attribute(str, "The whole text of the job file; empty for a run started from Python."),
    "shots": Attribute(int, "Number of trajectories in sampled mode."),
    "bits": Attribute(
        str, "Names of the classical bits, separated by spaces, in the order of an outcome's characters."
    ),
    "qubits": Attribute(str, "Names of the qubits, separated by spaces, in the order of a Pauli string's letters."),
    "device": Attribute(str, "What the run computed on."),
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
    ),
    "results/probabilities_stderr": Variable(
        ("outcome",),
        "float",
        "1",
        "standard error of the probability",
        "√(p(1−p)/n), n shots that passed every herald.",
    ),
    "results/counts": Variable(("outcome",), "int", "1", "counts", "Number of shots with this outcome."),
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
    "metrics/label": Variable(("step",), "text", "", "label", "What the program calls this record."),
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
        table[f"metrics/{name}"] = Variable(_PER_PAIR, kind, metric.unit, words, definition, flags, fewer_dims=True)
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
    "plan/step": Variable(
        ("step",), "int", "1", "step", "Index of an instruction of the plan; long plans are thinned, peaks kept."
    ),
    "plan/clusters": Variable(("step",), "int", "1", "clusters", "Number of clusters after the instruction."),
    "plan/largest": Variable(
        ("step",),
        "int",
        "1",
        "index bits of the largest cluster",
        "Two for each of its qubits and one for each of its classical bits: its vector has 2^this entries.",
    ),
    "plan/bytes": Variable(
        ("step",), "int", "byte", "memory", "Memory of all correlation vectors after the instruction."
    ),
}

SCHEMA: dict[str, Variable] = {**_RESULTS, **_SERIES, **_of_metrics(), **_RESOURCES}


# What else says which record it is: written as the CF attribute `coordinates`, so xarray can plot along the time.
RECORD_COORDINATES = ("time", "label")


def coordinate(path: str, dim: str) -> str:
    """The path of the coordinate of dimension `dim` of the array at `path`: same group, named as the dimension."""
    return f"{path.rpartition('/')[0]}/{dim}"


def dims_of(path: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """The names of the dimensions of the array at `path`.

    Raises:
        QdistError: The number of dimensions is not one the table allows.
    """
    variable = SCHEMA[path]
    fits = len(shape) == len(variable.dims) or (variable.fewer_dims and 0 < len(shape) < len(variable.dims))
    if not fits:
        raise QdistError(f"`{path}` must have the dimensions ({', '.join(variable.dims)}), but has the shape {shape}.")
    return variable.dims[: len(shape)]


def check_kind(path: str, dtype: np.dtype) -> None:
    """Raise unless arrays of `dtype` may stand at `path`."""
    kind = SCHEMA[path].kind
    if dtype.kind not in KINDS[kind] or (dtype.kind in "fi" and dtype.itemsize > 8):
        raise QdistError(f"`{path}` must hold {KIND_NAMES[kind]}, but holds {dtype}.")


def check_data(data: Mapping[str, np.ndarray]) -> None:
    """Raise unless every array has a known path, the right kind, and a coordinate of the right length per dimension."""
    for path, array in data.items():
        if path not in SCHEMA:
            raise QdistError(f"A result has no array '{path}'.{did_you_mean(path, SCHEMA)}")
        check_kind(path, array.dtype)
        for dim, size in zip(dims_of(path, array.shape), array.shape, strict=True):
            along = data.get(coordinate(path, dim))
            found = "is missing" if along is None else f"has {len(along)}" if along.ndim else "has no dimension"
            if along is None or along.shape != (size,):
                raise QdistError(
                    f"`{path}` must have one entry per `{coordinate(path, dim)}`, but it has {size} and that {found}."
                )


def check_attributes(attributes: Mapping[str, Any]) -> None:
    """Raise unless every attribute is known and of its type, and none that is required is missing."""
    for name, attribute in ATTRIBUTES.items():
        if attribute.required and name not in attributes:
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
    for path, variable in SCHEMA.items():
        dims = ", ".join(variable.dims) or "scalar"
        what = variable.definition.replace("|", "\\|")
        lines.append(f"| `{path}` | {dims} | {variable.kind} | {variable.units or '–'} | {what} |")
    return "\n".join(lines) + "\n"
