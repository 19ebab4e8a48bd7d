"""Job files: a TOML text becomes a `Job` or a `Sweep`, or an error that names the file, the line and the field.

Everything is checked before anything is computed, and nothing in the file is executed.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from qdist.errors import QdistError, did_you_mean
from qdist.network.circuit_program import circuit_program
from qdist.network.circuits import Circuit
from qdist.network.graph import Network
from qdist.network.program import Program
from qdist.runs.garbage import none_to_collect
from qdist.runs.job import DEFAULT_METRICS, Job, Recording, Saving
from qdist.runs.jobfiles.fields import JobFile, RecordSection
from qdist.runs.jobfiles.lines import KeyPath, Source
from qdist.runs.jobfiles.mistakes import odd_values, shaped
from qdist.runs.jobfiles.network import read_network
from qdist.runs.jobfiles.program import KNOWN_PROTOCOLS, read_circuit, read_noise, read_protocol, similar_file
from qdist.runs.jobfiles.sweep import read_sweep
from qdist.runs.sweep import Sweep

MAX_BYTES = 16 * 2**20
FOR_CIRCUITS = "must be left out with a protocol, but is given: it is for circuits."
COMPLAINTS = {
    "Cannot overwrite a value": "A key must be given once, but this line gives one again. Remove one of the two.",
    "Cannot declare": "A section must be given once, but this line gives one again. Join them, or write [[ ]].",
    "Duplicate inline table key": "A key must be given once, but a table in this line gives one again. Remove one.",
    "Invalid value": "A value must be text in quotes, a number, true, false, a list or a table, but this is none.",
    "Illegal character '\\n'": "Text must end with a quote on its line, but the line ends before. Add the quote.",
    "Expected '='": "A line must be `key = value` or a [section], but there is no `=` after the key. Add it.",
    "Expected newline": "A line must hold one `key = value`, but more follows. Is a quote or a comma missing?",
    "Unclosed array": "A list must end with `]`, but one does not. Add it.",
    "Exceeds the limit": "A number must fit into 64 bits, but one has thousands of digits. Shorten it.",
    "Invalid statement": "A line must be `key = value` or a [section], but this one is neither.",
}
"""What `tomllib` says, and what it means to a person who does not know its words."""


@none_to_collect()
def read_job(path: str | Path) -> Job | Sweep:
    """The job that a TOML file describes, or the sweep if it has a section [sweep]; completely checked.

    Of a sweep with many points only those at the ends of its axes are; what is wrong at another is found when it is
    its turn.

    Args:
        path: The file, UTF-8 text. Paths in it are relative to its folder.

    Raises:
        QdistError: The file cannot be read, or is wrong: the message names the line and the field.
    """
    return parse_job(_text(Path(path)), name=str(path), folder=Path(path).parent)


def parse_job(text: str, *, name: str = "job.toml", folder: str | Path = ".") -> Job | Sweep:
    """The job or the sweep that a TOML text describes; see `read_job`.

    Args:
        text: The job file.
        name: What messages call it.
        folder: Where relative paths in it start.
    """
    source = Source(name, text)
    table = _table(source)
    build = partial(_build, folder=Path(folder), circuits={})
    return read_sweep(table, source, build) if "sweep" in table else build(table, source)


def _build(table: Mapping[str, Any], source: Source, *, folder: Path, circuits: dict[str, Circuit]) -> Job:
    """The job of a table; `circuits` are those that were read before, by name."""
    file = shaped(JobFile, table, source)
    _check_together(file, source)
    network = read_network(file, source)
    if file.program.circuit is None:
        network, program = read_protocol(file.program, network, source)
        return _job(file, source, program, network, {})
    if file.program.circuit not in circuits:
        circuits[file.program.circuit] = read_circuit(file.program.circuit, source, folder)
    circuit = circuits[file.program.circuit]
    noise = read_noise(file.noise, source, folder) if file.noise is not None else None
    with source.blame(("program",)):
        program, network = circuit_program(circuit, noise=noise, network=network, placement=file.program.placement)
    names = {circuit.qubit_name(number): qubit for number, qubit in enumerate(program.qubits)}
    return _job(file, source, program, network, names)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise QdistError(f"A job must be a TOML file, but '{path}' {_not_a_file(path)}")
        if path.suffix == ".qasm":
            raise QdistError(f"A job must be a TOML file, but '{path}' is a circuit. Name it as `circuit` in a job.")
        if path.stat().st_size > MAX_BYTES:
            raise QdistError(f"A job must be at most {MAX_BYTES // 2**20} MiB, but '{path}' is larger. Is it a job?")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QdistError(
            f"{path}: A job must be text in UTF-8, but byte {error.start} is not. Is it a job? Then save it as UTF-8."
        ) from None
    except OSError as error:
        raise QdistError(f"A job must be readable, but '{path}' is not ({error.strerror}). Check the path.") from None


def _not_a_file(path: Path) -> str:
    """What a path is instead, and which jobs are near it."""
    if path.is_dir():
        jobs = sorted(file.name for file in path.glob("*.toml"))
        return f"is a folder. It holds: {', '.join(jobs[:5])}." if jobs else "is a folder. Name a file."
    if path.exists():
        return "is a device or a pipe. Write the job to a file."
    return f"does not exist.{similar_file(path, '.toml') or ' Check the path.'}"


def _table(source: Source) -> dict[str, Any]:
    try:
        table = tomllib.loads(source.text)
        odd = next(odd_values(table), None)
    except RecursionError:
        raise QdistError(f"{source.name}: Lists and tables must not be nested so deeply. Flatten them.") from None
    except ValueError as error:
        raise source.error((), *_complaint(source, str(error))) from None
    if odd is not None:
        raise source.error(*odd)
    return table


def _complaint(source: Source, complaint: str) -> tuple[str, int | None]:
    """What `tomllib` says in plainer words, and the line."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", complaint, re.DOTALL)
    what, line = (match[1], int(match[2] or source.text.count("\n") + 1)) if match else (complaint, None)
    for start, sentence in COMPLAINTS.items():
        if what.startswith(start):
            return sentence, line
    return f"The text must be TOML, but is not: {what}. Check this line and the end of the one before.", line


def _check_together(file: JobFile, source: Source) -> None:
    """Fields that ask for or exclude one another."""
    program, run = file.program, file.run
    if (program.circuit is None) == (program.protocol is None):
        found = "neither is given" if program.circuit is None else "both are given"
        sentence = f"A program must be a `circuit` or a `protocol`, but {found}. {KNOWN_PROTOCOLS}"
        raise source.error(("program",), sentence)
    if run.shots is not None and run.mode != "sampled":
        sentence = f'`shots` must be left out in mode "{run.mode}", but is given. Remove it, or set mode = "sampled".'
        raise source.error(("run", "shots"), sentence)
    for name in program.model_extra if program.circuit is not None and program.model_extra else ():
        hint = did_you_mean(name, ("circuit", "placement"))
        raise source.error(("program", name), f"A circuit has no parameter '{name}'.{hint}")
    if program.protocol is not None and program.placement is not None:
        raise source.error(("program", "placement"), f"`placement` {FOR_CIRCUITS}")
    if program.placement is not None and file.network is None and not file.nodes:
        sentence = "`placement` must name nodes, but there are none. Add [network], or [[nodes]] and [[links]]."
        raise source.error(("program", "placement"), sentence)
    if program.protocol is not None and file.noise is not None:
        hint = "A protocol has the noise of its nodes' `device` and of its links."
        raise source.error(("noise",), f"Section [noise] {FOR_CIRCUITS} {hint}")


def _job(file: JobFile, source: Source, program: Program, network: Network, names: Mapping[str, str]) -> Job:
    """The job; `names` are the qubits of a circuit, by which pairs may be given."""
    pairs = _pairs(file.record, network, names, source)
    record = file.record
    if record.metrics is not None and not (program.pairs if pairs is None else pairs):
        sentence = '`metrics` must be of pairs, but there are none. Add `pairs`, such as [["q[0]", "q[1]"]].'
        raise source.error(("record", "metrics"), sentence)
    metrics = DEFAULT_METRICS if record.metrics is None else tuple(record.metrics)
    recording = Recording(record.probabilities, tuple(record.correlators), pairs, metrics)
    run = {name: value for name, value in file.run if value is not None}
    hosts = tuple(map(tuple, file.ranks.hosts or ()))
    settings = {**run, "hosts": hosts, "per_state": file.ranks.per_state}
    try:
        settings["saving"] = Saving(**dict(file.checkpoint))
        return Job(program=program, network=network, record=recording, text=source.text, **settings)
    except QdistError as error:
        raise source.error(_blamed(file, str(error)), str(error)) from None


def _pairs(
    record: RecordSection, network: Network, names: Mapping[str, str], source: Source
) -> tuple[tuple[str, str], ...] | None:
    if record.pairs is None:
        return None
    for number, pair in enumerate(record.pairs):
        with source.blame(("record", "pairs", number)):
            for qubit in pair:
                if names and qubit not in names and "/" not in qubit:
                    raise QdistError(f"The circuit has no qubit '{qubit}'.{did_you_mean(qubit, names)}")
                network.node_of(names.get(qubit, qubit))
            if len({names.get(qubit, qubit) for qubit in pair}) == 1:
                raise QdistError(f"A pair must be two different qubits, but is '{pair[0]}' twice. Change one.")
    return tuple((names.get(a, a), names.get(b, b)) for a, b in record.pairs)


def _blamed(file: JobFile, sentence: str) -> KeyPath:
    """The field that a sentence of `Job` is about: the entry of a list that it quotes, or the field that it names."""
    for name in ("correlators", "metrics"):
        for number, entry in enumerate(getattr(file.record, name) or ()):
            if f"'{entry}'" in sentence:
                return ("record", name, number)
    match = re.match(r"`(\w+)`", sentence)
    name = match[1] if match else ""
    if name == "hosts":
        return _host(file.ranks.hosts or [], sentence)
    sections = (("run", file.run), ("ranks", file.ranks), ("checkpoint", file.checkpoint))
    return next(((key, name) for key, section in sections if name in type(section).model_fields), ("program",))


def _host(hosts: list[list[str]], sentence: str) -> KeyPath:
    """The last of the nodes in `hosts` that a sentence quotes."""
    places = {f"'{node}'": ("ranks", "hosts", i, j) for i, rank in enumerate(hosts) for j, node in enumerate(rank)}
    return next((place for name, place in places.items() if name in sentence), ("ranks", "hosts"))
