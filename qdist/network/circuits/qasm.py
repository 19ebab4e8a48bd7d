"""OpenQASM 2 and 3 as circuits: from a file or text to a flat list of instructions.

Two readers give the same circuits: `plain` the ones that it can read, quickly, and `reference` all, or an error.
"""

import re
from os import PathLike
from pathlib import Path

from qdist.errors import QdistError
from qdist.network.circuits import plain
from qdist.network.circuits.circuit import Circuit
from qdist.network.circuits.dialects import QASM2, QASM3, Dialect

_BLANK = r"(?:\s|//[^\n]*|/\*.*?\*/)*+"
_VERSION = re.compile(_BLANK + r"OPENQASM\s+([0-9]+)(?:\.[0-9]+)?\s*;", re.DOTALL)
_EMPTY = re.compile(_BLANK + r"\Z", re.DOTALL)


def read_qasm(path: str | PathLike[str]) -> Circuit:
    """A circuit from an OpenQASM file, named after the file.

    Args:
        path: The file, UTF-8 text. See `parse_qasm` for what it may hold.

    Raises:
        QdistError: The file cannot be read, or is not a program that can be simulated.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QdistError(f"{path}: a QASM file must be UTF-8 text, but byte {error.start} is not.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise QdistError(f"{path}: a QASM file must be readable, but is not ({reason}). Check the path.") from None
    return parse_qasm(text, name=path.stem, path=str(path))


def parse_qasm(text: str, *, name: str = "circuit", path: str = "") -> Circuit:
    """A circuit from OpenQASM 2 or 3 text.

    Without an `OPENQASM` line the text is OpenQASM 2 if it includes qelib1.inc and OpenQASM 3 otherwise. In OpenQASM 2
    the gates that Qiskit adds to qelib1.inc count as part of it. Integers divide as floats in OpenQASM 2 and as
    integers in OpenQASM 3. Classical bits hold outcomes of measurements only, and 0 before.

    Args:
        text: The program.
        name: What tables and messages call the circuit.
        path: The file it is from; messages start with it, or with `name`.

    Raises:
        QdistError: The text is not a program that can be simulated; the message names the line.
    """
    place = path or name
    if _EMPTY.match(text):
        raise QdistError(f"{place}: a QASM file must hold a program, but is empty.")
    dialect = _dialect(text, place)
    circuit = plain.read(text, name=name, path=path) if dialect is QASM2 else None
    if circuit is not None:
        return circuit
    # Importing the reference parser takes longer than reading most programs.
    from qdist.network.circuits import reference

    return reference.read(text, dialect, name=name, path=path)


def _dialect(text: str, place: str) -> Dialect:
    version = _VERSION.match(text)
    if version is None:
        return QASM2 if re.search(r'^\s*include\s+"qelib1\.inc"', text, re.MULTILINE) else QASM3
    number = int(version[1]) if len(version[1]) < 4 else 0
    if number not in (2, 3):
        line = 1 + text.count("\n", 0, version.start(1))
        raise QdistError(f"{place}, line {line}: the version of OpenQASM must be 2 or 3, but is {version[1][:9]}.")
    return QASM2 if number == 2 else QASM3
