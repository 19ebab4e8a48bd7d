"""The parts of the README that are generated: what results hold, the fields of jobs, the protocols."""

import dataclasses
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qdist.network.devices import Device, device_names
from qdist.network.protocols import PROTOCOLS
from qdist.physics.channels import CHANNELS
from qdist.physics.metrics import METRICS
from qdist.runs import schema
from qdist.runs.jobfiles import fields


def attributes() -> str:
    """The root attributes of a result file as Markdown."""
    lines = ["| attribute | type | in every file | what it is |", "|---|---|---|---|"]
    kinds = {str: "text", int: "int", float: "float"}
    for name, attribute in schema.ATTRIBUTES.items():
        always = "yes" if attribute.required else "–"
        lines.append(f"| `{name}` | {kinds[attribute.type]} | {always} | {_cell(attribute.definition)} |")
    return "\n".join(lines) + "\n"


def job_fields() -> str:
    """Every section and field of a job file, every protocol with its parameters, and the names that fields take."""
    lines = [fields.markdown(), "**Protocols**, with their parameters in `[program]`:", ""]
    lines += ["| protocol | parameters | what it does |", "|---|---|---|", *(_protocol(name) for name in PROTOCOLS)]
    known = [field.name for field in dataclasses.fields(Device) if field.name not in ("name", "source")]
    lines += ["", f"**Devices** (presets with sources in `qdist/network/data/`): {_names(device_names())}."]
    lines += ["", f"**Fields of a device** (SI units; `preset` starts from a preset): {_names(known)}."]
    lines += ["", f"**Channels** for `one_qubit` and `two_qubit`: {_names(CHANNELS)}."]
    lines += ["", f"**Metrics**: {_names(METRICS)}."]
    return "\n".join(lines) + "\n"


def _protocol(name: str) -> str:
    protocol = PROTOCOLS[name]
    shown = []
    for key, parameter in protocol.parameters.items():
        required = parameter.default is inspect.Parameter.empty
        shown.append(f"`{key}`" if required else f"`{key}` = {_default(parameter.default)}")
    return f"| `{name}` | {', '.join(shown)} | {_cell(protocol.summary)} |"


def _default(value: Any) -> str:
    if value == ():
        return "[]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


GENERATED: dict[str, Callable[[], str]] = {
    "attributes": attributes,
    "schema": schema.markdown,
    "job fields": job_fields,
}
"""What stands in the README between a marker of this name and the next end marker."""


def with_generated_parts(text: str) -> str:
    """The text of the README with every generated part written anew."""
    for marker, make in GENERATED.items():
        pattern = rf"(<!-- {marker} -->\n).*?(<!-- end -->)"
        part = make().replace("\\", r"\\")
        text = re.sub(pattern, rf"\g<1>{part}\g<2>", text, flags=re.DOTALL)
    return text


def write_readme(path: str | Path = "README.md") -> None:
    """Write the generated parts of a README anew."""
    target = Path(path)
    target.write_text(with_generated_parts(target.read_text(encoding="utf-8")), encoding="utf-8")
