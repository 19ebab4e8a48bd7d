"""The hardware of a node: lifetimes, gate errors, readout and durations, with presets from published experiments."""

import math
import numbers
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from typing import Any

from qdist.errors import QdistError, check_not_negative, check_probability, check_relaxation_times, did_you_mean
from qdist_kernels.namespace import is_jax

PROBABILITIES = (
    "excited_population",
    "one_qubit_error",
    "two_qubit_error",
    "readout_p01",
    "readout_p10",
    "preparation_error",
)
DURATIONS = ("one_qubit_duration", "two_qubit_duration", "readout_duration", "preparation_duration")


def check_number(name: str, value: Any) -> None:
    """Raise unless `value` is a real number; traced values are not looked at."""
    if not is_jax(value) and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
        raise QdistError(f"`{name}` must be a number, but is {value!r}.")


def check_finite(name: str, value: Any, unit: str) -> None:
    """Raise unless `value` is a finite number ≥ 0; traced values are not looked at."""
    check_number(name, value)
    check_not_negative(name, value, unit)
    if not is_jax(value) and math.isinf(value):
        raise QdistError(f"`{name}` must be finite ({unit}), but is {value}.")


@dataclass(frozen=True, kw_only=True)
class Device:
    """What the qubits of a node are made of. All qubits of a node are alike.

    Gate errors are depolarizing probabilities p as in `depolarizing(p)`, applied after the gate. From an average
    gate infidelity ε = 1 − F of a d-dimensional gate, p = ε (d+1)/d: 3ε/2 for one qubit, 5ε/4 for two. An error
    that was measured by benchmarking already holds the decoherence during the gate. Values may be traced by JAX;
    traced values are not checked.

    Attributes:
        name: What messages and results call it.
        t1: Relaxation time in seconds.
        t2: Coherence time in seconds, at most 2·t1.
        excited_population: Probability of |1⟩ in the equilibrium that t1 relaxes to.
        one_qubit_error: Depolarizing probability of a one-qubit gate.
        two_qubit_error: Depolarizing probability (of some two-qubit Pauli error) of a two-qubit gate.
        one_qubit_duration: Seconds.
        two_qubit_duration: Seconds.
        readout_p01: Probability that a measurement reads 1 when the qubit is in |0⟩.
        readout_p10: Probability that a measurement reads 0 when the qubit is in |1⟩.
        readout_duration: Seconds.
        preparation_error: Probability that |1⟩ is prepared instead of |0⟩.
        preparation_duration: Seconds.
        source: Where the numbers come from.

    Raises:
        QdistError: A value is not a number, a probability outside [0, 1], a duration negative or infinite, or
            t2 > 2·t1.
    """

    name: str
    t1: Any = math.inf
    t2: Any = math.inf
    excited_population: Any = 0.0
    one_qubit_error: Any = 0.0
    two_qubit_error: Any = 0.0
    one_qubit_duration: Any = 0.0
    two_qubit_duration: Any = 0.0
    readout_p01: Any = 0.0
    readout_p10: Any = 0.0
    readout_duration: Any = 0.0
    preparation_error: Any = 0.0
    preparation_duration: Any = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "source"):
            if not isinstance(getattr(self, name), str):
                raise QdistError(f"`{name}` of a device must be text, but is {getattr(self, name)!r}.")
        for name in ("t1", "t2"):
            check_number(name, getattr(self, name))
        check_relaxation_times(self.t1, self.t2)
        for name in PROBABILITIES:
            check_number(name, getattr(self, name))
            check_probability(name, getattr(self, name))
        for name in DURATIONS:
            check_finite(name, getattr(self, name), "s")


IDEAL = Device(name="ideal", source="no noise, no delays")


def device_names() -> tuple[str, ...]:
    """The names that `device` knows, sorted: `"ideal"` and one for each shipped data file."""
    files = (resources.files("qdist.network") / "data").iterdir()
    presets = [file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")]
    return tuple(sorted([IDEAL.name, *presets]))


def device(name: str) -> Device:
    """A preset by its name, with numbers from published experiments.

    Each number of a preset stands in `qdist/network/data/<name>.toml` beside its source, and `Device.source`
    repeats them. They are typical values, rounded, some assumed and marked so; change them with
    `dataclasses.replace`.

    Raises:
        QdistError: No preset has this name.
    """
    if name == IDEAL.name:
        return IDEAL
    if name not in device_names():
        raise QdistError(f"No device preset is called {name!r}.{did_you_mean(str(name), device_names())}")
    return _preset(name)


@cache
def _preset(name: str) -> Device:
    text = (resources.files("qdist.network") / "data" / f"{name}.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    summary = table.pop("summary")
    sources = [f"{key}: {entry['source']}" for key, entry in table.items()]
    values = {key: entry["value"] for key, entry in table.items()}
    return Device(name=name, source="; ".join([summary, *sources]), **values)


def device_from_table(table: Mapping[str, Any], where: str = "") -> Device:
    """A device from a table of a job file, e.g. `{preset = "color_center", t1 = 10.0}`.

    Args:
        table: Fields of `Device`. `preset` names the device that all fields not given are taken from; without it
            they are those of the ideal device.
        where: Put before every message, e.g. ``"chain.toml, line 12, `nodes[0].device`: "``.

    Raises:
        QdistError: An unknown field or preset, or a value that `Device` refuses.
    """
    values = dict(table)
    known = [field.name for field in fields(Device)]
    for key in values:
        if key != "preset" and key not in known:
            raise QdistError(f"{where}A device has no field '{key}'.{did_you_mean(key, ['preset', *known])}")
    try:
        base = device(values.pop("preset")) if "preset" in values else Device(name="custom")
        changed = ", ".join(key for key in values if key not in ("name", "source"))
        note = f"{changed} set by the job" if changed else ""
        values.setdefault("source", "; ".join(part for part in (base.source, note) if part))
        return replace(base, **values)
    except QdistError as error:
        raise QdistError(f"{where}{error}") from None
