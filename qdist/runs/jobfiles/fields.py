"""The shape of a job file: its sections, their fields and types. Values are checked where they are used."""

import inspect
import json
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, create_model
from pydantic_core import PydanticCustomError

from qdist.network.protocols.catalog import Protocol
from qdist.runs.job import MODES, PRECISIONS
from qdist.runs.jobfiles.lines import KeyPath
from qdist.runs.sweep import MAX_POINTS

MAX_NODES = 100_000
MAX_QUBITS = 100_000
MAX_SHOTS = 10**9
LISTS = ("nodes", "links")
"""Sections that are given once for each entry."""


class Section(BaseModel):
    """A table of a job file. Unknown fields and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    owner: ClassVar[str] = "This section"
    further: ClassVar[tuple[str, str] | None] = None
    """How the documentation calls fields that the user names, and what they are."""


def _table_or_name(value: Any) -> Any:
    if isinstance(value, str) or (
        isinstance(value, dict) and all(isinstance(v, str | float | int) for v in value.values())
    ):
        return value
    raise PydanticCustomError(
        "wanted", 'the name of a device in quotes, or a table such as { preset = "color_center" }'
    )


def _matrix(value: Any) -> Any:
    rows = value if isinstance(value, list) else []
    entries = [[_complex(entry) for entry in row] for row in rows if isinstance(row, list)]
    if [len(row) for row in entries] != [4] * 4 or any(entry is None for row in entries for entry in row):
        raise PydanticCustomError("wanted", "four rows of four numbers, a complex one as [real, imaginary]")
    return tuple(map(tuple, entries))


def _complex(entry: Any) -> complex | None:
    parts = entry if isinstance(entry, list) else [entry, 0.0]
    is_number = len(parts) == 2 and all(isinstance(p, int | float) and not isinstance(p, bool) for p in parts)
    return complex(*parts) if is_number else None


DeviceField = Annotated[Any, PlainValidator(_table_or_name)]
Count = Annotated[int, Field(ge=1, le=MAX_QUBITS)]


def _field(default: Any, description: str) -> Any:
    return Field(default, description=description)


class RunSection(Section):
    """How to run."""

    owner = "Section [run]"

    title: str = _field("", "What results call the run; the name of the program unless given.")
    seed: Annotated[int, Field(ge=0)] = _field(0, "Of all random numbers: the same seed gives the same outcomes.")
    precision: Literal[PRECISIONS] = _field("float32", "Of the state's numbers.")  # type: ignore[valid-type]
    mode: Literal[MODES] = _field(  # type: ignore[valid-type]
        "exact",
        'What a measurement does: `"exact"` carries all outcomes, `"sampled"` draws them shot by shot, '
        '`"postselected"` keeps the outcome in `postselect`.',
    )
    shots: Annotated[int, Field(ge=1, le=MAX_SHOTS)] | None = _field(
        None, 'Number of shots, 1000 unless given; for mode "sampled".'
    )
    postselect: dict[str, int] | None = _field(
        None, 'Bits and the values to keep, as `{ "c[0]" = 1 }`; for mode "postselected".'
    )


class LinkTemplate(Section):
    """What all links of a topology are like."""

    owner = "A link"

    length: float | None = _field(None, "Meters of fiber, 0 unless given.")
    loss_db_per_km: float | None = _field(None, "Attenuation of the fiber in dB/km, 0.2 unless given.")
    fidelity: float | None = _field(None, "Pairs are Werner states of this fidelity with Φ⁺.")
    weights: list[float] | None = _field(None, "Pairs are Bell-diagonal: weights of Φ⁺, Φ⁻, Ψ⁺, Ψ⁻.")
    matrix: Annotated[Any, PlainValidator(_matrix)] = _field(
        None, "Pairs are this 4×4 density matrix, a list of rows; a complex number is `[real, imaginary]`."
    )
    success_probability: float | None = _field(None, "Of one attempt; the transmission of the fiber unless given.")
    attempt_duration: float | None = _field(None, "Seconds of one attempt; light's travel over `length` unless given.")


class LinkSection(LinkTemplate):
    """One link between two nodes."""

    between: Annotated[list[str], Field(min_length=2, max_length=2)] = Field(description="The names of its two nodes.")


class NodeSection(Section):
    """One node."""

    owner = "A node"

    name: str = Field(description="A letter, then letters, digits, `_`, `.`, `-`. Its qubits are `NAME/0`, `NAME/1`, …")
    qubits: Count = _field(1, "How many qubits the node has.")
    device: DeviceField = _field(
        "ideal", "What the qubits are made of: the name of a preset, or a table of device fields."
    )


class NetworkSection(Section):
    """A network of a regular shape, all nodes and all links alike."""

    owner = "Section [network]"

    topology: Literal["chain", "ring", "star", "grid", "complete", "random"] = Field(
        description="Chain, ring, star, grid, complete or random."
    )
    nodes: Annotated[int, Field(ge=1, le=MAX_NODES)] | None = _field(
        None, "How many nodes, the center of a star included. Not for a grid."
    )
    rows: Annotated[int, Field(ge=1, le=MAX_NODES)] | None = _field(None, "Of a grid.")
    columns: Annotated[int, Field(ge=1, le=MAX_NODES)] | None = _field(None, "Of a grid.")
    center: str | None = _field(None, 'Name of the center of a star, `"hub"` unless given.')
    probability: float | None = _field(None, "Random network: of a link between any two nodes.")
    radius: float | None = _field(None, "Random network: nodes at most this many meters apart are linked.")
    side: float | None = _field(
        None, "Random network with `radius`: meters of the side of its square, 1e5 unless given."
    )
    seed: Annotated[int, Field(ge=0)] | None = _field(None, "Of a random network.")
    prefix: str | None = _field(None, 'What the names of nodes begin with, `"n"` unless given: n0, n1, …')
    qubits: Count = _field(1, "How many qubits each node has.")
    device: DeviceField = _field("ideal", "What the qubits are made of, as for a node.")
    link: LinkTemplate = _field(LinkTemplate(), "What every link is like: the fields of a link without `between`.")


class ProgramSection(Section):
    """What the nodes do: a circuit, or a protocol with its parameters as further fields."""

    model_config = ConfigDict(extra="allow")
    owner = "Section [program]"

    circuit: str | None = _field(None, "Path of an OpenQASM 2 or 3 file, relative to the job file.")
    placement: dict[str, list[str]] | None = _field(
        None, 'Which qubits of the circuit each node has, as `{ alice = ["q[0]", "q[1]"], bob = ["q[2]"] }`.'
    )
    protocol: str | None = _field(None, "Name of a protocol; its parameters are further fields of this section.")


class NoiseSection(Section):
    """Noise of a circuit."""

    owner = "Section [noise]"

    one_qubit: dict[str, Any] | None = _field(
        None, "Channels after every one-qubit gate: names and parameters, as `{ depolarizing = 0.001 }`."
    )
    two_qubit: dict[str, Any] | None = _field(None, "Channels after every two-qubit gate.")
    readout: dict[str, float] | None = _field(
        None, "`p01`, the probability to read 1 when 0 was prepared, and `p10`, to read 0 when 1 was."
    )
    device: str | None = _field(
        None,
        "Calibration file of a device, relative to the job file, or the name of a shipped one; instead of the others.",
    )


class RecordSection(Section):
    """What to write down."""

    owner = "Section [record]"

    probabilities: bool = _field(
        True, "Distribution of all classical bits at the end, of all qubits where nothing is measured."
    )
    correlators: list[str] = _field(
        [], "Pauli strings at the end, one letter I, X, Y or Z for each qubit of the program."
    )
    pairs: list[Annotated[list[str], Field(min_length=2, max_length=2)]] | None = _field(
        None, "Pairs of qubits whose metrics are recorded; those that the protocol is about unless given."
    )
    metrics: list[str] | None = _field(None, "Which metrics of the pairs; the common ones unless given.")


class SweepSection(Section):
    """Numbers of the job that change from point to point: the fields are paths."""

    model_config = ConfigDict(extra="allow")
    owner = "Section [sweep]"
    further = (
        '`"PATH"`',
        'values of the number at this path, such as `"network.link.length"`, `"links[0].fidelity"` or '
        '`"program.rounds"`: a list, or a range `{ start = 1e3, stop = 1e5, num = 5 }` with both ends, '
        '`spacing = "log"` for equal factors. Several paths make a grid, the last changing fastest.',
    )


class RangeSection(Section):
    """Numbers at equal distances or equal factors, both ends included."""

    owner = "A range"

    start: float = Field(description="The first value.")
    stop: float = Field(description="The last value.")
    num: Annotated[int, Field(ge=2, le=MAX_POINTS)] = Field(description="How many values.")
    spacing: Literal["linear", "log"] = _field("linear", "Equal distances, or equal factors.")


class RanksSection(Section):
    """How the work is shared by the ranks of `mpirun`; the results do not depend on it."""

    owner = "Section [ranks]"

    hosts: list[list[str]] | None = _field(
        None, "The names of the nodes that each rank hosts, one list for each rank; in turn unless given."
    )
    per_state: Annotated[int, Field(ge=1)] | None = _field(
        None, "How many ranks share one state, a power of two; chosen unless given. The others share points or shots."
    )


class CheckpointSection(Section):
    """When a run writes down where it stands, so that it can go on after it was stopped or killed.

    A step is an operation of the plan, a batch of shots in sampled mode, or a point of a sweep.
    """

    owner = "Section [checkpoint]"

    every_seconds: float | None = _field(None, "Write a checkpoint when so many seconds have passed on the wall.")
    every_steps: Annotated[int, Field(ge=1)] | None = _field(
        None, "Write one after so many steps: operations of the plan, batches of shots, or points of a sweep."
    )
    keep: Annotated[int, Field(ge=1)] = _field(2, "How many whole checkpoints stay; all go when the run has ended.")


class JobFile(Section):
    """A whole job file."""

    owner = "A job"

    run: RunSection = _field(RunSection(), "How to run.")
    network: NetworkSection | None = _field(None, "A network of a regular shape.")
    nodes: list[NodeSection] = _field([], "A network node by node; instead of [network].")
    links: list[LinkSection] = _field([], "Its links.")
    program: ProgramSection = Field(description="What the nodes do.")
    noise: NoiseSection | None = _field(None, "Noise of a circuit.")
    record: RecordSection = _field(RecordSection(), "What to write down.")
    sweep: SweepSection | None = _field(None, "Which numbers change from point to point.")
    ranks: RanksSection = _field(RanksSection(), "How ranks share the work.")
    checkpoint: CheckpointSection = _field(CheckpointSection(), "When checkpoints are written.")


def parameters_of(protocol: Protocol) -> type[Section]:
    """The parameters of a protocol as a section, from the signature of its function."""
    fields: dict[str, Any] = {
        name: (parameter.annotation, ... if parameter.default is inspect.Parameter.empty else parameter.default)
        for name, parameter in protocol.parameters.items()
    }
    section = create_model(f"{protocol.name}_parameters", __base__=Section, **fields)
    section.owner = f"Protocol '{protocol.name}'"
    return section


def sections(model: type[Section]) -> Iterable[tuple[str, type[Section]]]:
    for name, field in model.model_fields.items():
        inner = _section_in(field.annotation)
        if inner is not None:
            yield name, inner


def _section_in(annotation: Any) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part)) is not None), None)


def section_at(model: type[Section], path: KeyPath) -> type[Section]:
    for part in path:
        inner = dict(sections(model)).get(str(part))
        model = inner or model
    return model


def heading(name: str) -> str:
    """How a section stands in a job file: `[run]`, `[[nodes]]`."""
    return f"[[{name}]]" if name in LISTS else f"[{name}]"


def markdown() -> str:
    """The fields of a job file as Markdown tables, for the documentation."""
    parts = []
    for name, section in sections(JobFile):
        is_list = name in ("nodes", "links")
        parts += [
            f"`[[{name}]]`" if is_list else f"`[{name}]`",
            "",
            "| field | default | what it is |",
            "|---|---|---|",
        ]
        for key, field in section.model_fields.items():
            default = "required" if field.is_required() else _default(field.default)
            parts.append(f"| `{key}` | {default} | {(field.description or '').replace('|', chr(92) + '|')} |")
        if section.further is not None:
            parts.append(f"| {section.further[0]} | – | {section.further[1]} |")
        parts.append("")
    return "\n".join(parts)


def _default(value: Any) -> str:
    if value is None or value == "" or value == [] or isinstance(value, Section):
        return "–"
    return f"`{json.dumps(value)}`"
