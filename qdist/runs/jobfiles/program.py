"""The program of a job: a protocol with its parameters, or a circuit with its noise."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qdist.errors import QdistError, did_you_mean
from qdist.network.circuits import Circuit, read_qasm
from qdist.network.graph import Network
from qdist.network.noise import CircuitNoise, find_device_file, read_device_noise, shipped_device_files, uniform_noise
from qdist.network.program import Program
from qdist.network.protocols.catalog import PROTOCOLS, build_protocol
from qdist.runs.jobfiles.fields import NoiseSection, ProgramSection, parameters_of
from qdist.runs.jobfiles.lines import Source
from qdist.runs.jobfiles.mistakes import shaped

KNOWN_PROTOCOLS = f"Protocols: {', '.join(PROTOCOLS)}."


def read_protocol(section: ProgramSection, network: Network | None, source: Source) -> tuple[Network, Program]:
    """The program of the protocol that a section names, and the network that it must have."""
    name = str(section.protocol)
    if name not in PROTOCOLS:
        hint = did_you_mean(name, PROTOCOLS)
        hint = hint if "Did you mean" in hint else f" {KNOWN_PROTOCOLS}"
        raise source.error(("program", "protocol"), f"No protocol is called '{name}'.{hint}")
    if network is None:
        sentence = "A protocol must have a network, but there is none. Add [network], or [[nodes]] and [[links]]."
        raise source.error(("program", "protocol"), sentence)
    given = {key: _tuples(value) for key, value in (section.model_extra or {}).items()}
    parameters = shaped(parameters_of(PROTOCOLS[name]), given, source, ("program",))
    with source.blame(("program",)):
        return network, build_protocol(name, network, {key: getattr(parameters, key) for key in given})


def _tuples(value: Any) -> Any:
    """Lists as tuples: values that a program may hold."""
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value


def read_circuit(name: str, source: Source, folder: Path) -> Circuit:
    """The circuit in a file that a job names."""
    with source.blame(("program", "circuit")):
        return read_qasm(_file("A circuit", name, folder, ".qasm"))


def read_noise(section: NoiseSection, source: Source, folder: Path) -> CircuitNoise:
    """The noise of a circuit: one table for all gates, or a device file."""
    if section.device is None:
        with source.blame(("noise",)):
            return uniform_noise(section.one_qubit, section.two_qubit, section.readout)
    others = sorted(section.model_fields_set - {"device"})
    if others:
        sentence = (
            f"`{others[0]}` must be left out beside `device`, but is given: the device's file has all of the noise."
        )
        raise source.error(("noise", others[0]), sentence)
    with source.blame(("noise", "device")):
        if section.device in shipped_device_files() and not (folder / section.device).is_file():
            return read_device_noise(find_device_file(section.device, folder))
        return read_device_noise(
            _file("A device's calibration", section.device, folder, ".json", shipped_device_files())
        )


def _file(what: str, name: str, folder: Path, suffix: str, known: tuple[str, ...] = ()) -> Path:
    """The path of a file that is there: devices and pipes might never end."""
    path = folder / name
    try:
        if path.is_file():
            return path
        found = "is a folder" if path.is_dir() else "is a device or a pipe" if path.exists() else "does not exist"
        hint = similar_file(path, suffix, known) or " Paths start at the folder of the job."
    except (OSError, ValueError) as error:
        found, hint = f"cannot be opened ({getattr(error, 'strerror', None) or error})", " Check the path."
    raise QdistError(f"{what} must be a file, but '{path}' {found}.{hint}")


def similar_file(path: Path, suffix: str, known: Iterable[str] = ()) -> str:
    """` Did you mean 'qft_n4.qasm'?` for a file beside `path`, or one of `known`, with nearly this name."""
    names = [*known, *(file.name for file in path.parent.glob(f"*{suffix}"))]
    by_stem = {Path(name).stem: name for name in names}
    close = difflib.get_close_matches(path.stem, by_stem, n=1)
    return f" Did you mean '{by_stem[close[0]]}'?" if close else ""
