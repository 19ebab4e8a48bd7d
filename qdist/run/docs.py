"""The parts of the README that are generated: the schema of results, the fields of jobs, the protocols."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from qdist.network.devices import Device, device_names
from qdist.network.protocols import PROTOCOLS
from qdist.physics.channels import CHANNELS
from qdist.physics.metrics import METRICS
from qdist.run import jobschema, schema


def job_fields() -> str:
    """Every section and field of a job file, every protocol with its parameters, and the names that fields take."""
    lines = [line for heading, model in _SECTIONS.items() for line in _section(heading, model)]
    lines += ["", "**Protocols**, with their parameters in `[program]`:", "", "| protocol | parameters | what it does |"]
    lines += ["|---|---|---|", *(_protocol(name) for name in PROTOCOLS)]
    lines += ["", f"**Devices** (presets with sources in `qdist/network/data/`): {_names(device_names())}."]
    known = [field.name for field in fields(Device) if field.name not in ("name", "source")]
    lines += ["", f"**Fields of a device** (SI units; `preset` starts from a preset): {_names(known)}."]
    lines += ["", f"**Channels** for `one_qubit` and `two_qubit`: {_names(CHANNELS)}."]
    lines += ["", f"**Metrics**: {_names(METRICS)}."]
    return "\n".join(lines) + "\n"


_SECTIONS = {
    "[run]": jobschema.RunSection,
    "[network]": jobschema.NetworkSection,
    "[[nodes]]": jobschema.NodeSection,
    "[[links]] (or `link` of [network], without `between`)": jobschema.LinkSection,
    "[program]": jobschema.ProgramSection,
    "[noise]": jobschema.NoiseSection,
    "[record]": jobschema.RecordSection,
}


def _section(heading: str, model: Any) -> Iterator[str]:
    name, _, note = heading.partition(" ")
    yield from ("", f"**`{name}`** {note}".rstrip(), "", "| field | what it is |", "|---|---|")
    for field, info in model.model_fields.items():
        yield f"| `{field}` | {_cell(info.description or '')} |"


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


GENERATED: dict[str, Callable[[], str]] = {"schema": schema.markdown, "job fields": job_fields}
"""What stands in the README between a marker of this name and the next end marker."""


def with_generated_parts(text: str) -> str:
    """The text of the README with every generated part written anew."""
    for marker, make in GENERATED.items():
        pattern = rf"(<!-- {marker} -->\n).*?(<!-- end -->)"
        text = re.sub(pattern, lambda found, part=make(): found[1] + part + found[2], text, flags=re.DOTALL)  # type: ignore[misc]
    return text


def write_readme(path: str | Path = "README.md") -> None:
    """Write the generated parts of a README anew."""
    target = Path(path)
    target.write_text(with_generated_parts(target.read_text(encoding="utf-8")), encoding="utf-8")
