"""Noise for circuits: which channels follow a gate, how readout errs, how long a gate takes.

Two sources: one table for all gates (`uniform_noise`), or the calibration file of a device (`read_device_noise`).
"""

import inspect
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from qdist.errors import QdistError, check_probability, did_you_mean
from qdist.network.devices import check_finite, check_number
from qdist.physics.channels import CHANNELS, Channel, depolarizing, thermal_relaxation

Noise = tuple[tuple[Channel, tuple[int, ...]], ...]
"""Channels in the order in which they act, each with the circuit's qubits that it acts on."""

NOISELESS = ("id", "u0", "barrier", "measure", "reset")
VIRTUAL_Z = ("rz", "z", "s", "sdg", "t", "tdg", "u1", "p", "phase")
"""Changes of phase, which a device with microwave pulses does in software."""

PHYSICAL_ONE_QUBIT = ("sx", "x", "u3", "u2", "u")
PHYSICAL_TWO_QUBIT = ("cx", "ecr", "cz")


class CircuitNoise(ABC):
    """The noise of a circuit whose gates act on one or two qubits, numbered from 0."""

    @abstractmethod
    def gate_noise(self, gate: str, qubits: Sequence[int], num_qubits: int | None = None) -> Noise:
        """The channels that follow a gate.

        Args:
            gate: Its name, such as `"cx"`.
            qubits: The circuit's qubits it acts on, in the gate's order.
            num_qubits: How many qubits the circuit has, to refuse one that is too wide at its first gate.

        Returns:
            (channel, qubits) in the order in which they act; the qubits are numbers of the circuit, not of the gate.

        Raises:
            QdistError: The gate has more than two qubits, or the noise is not known for so many qubits.
        """

    @abstractmethod
    def readout(self, qubit: int) -> tuple[Any, Any]:
        """(p01, p10): the probabilities to read 1 from |0⟩ and 0 from |1⟩."""

    @abstractmethod
    def gate_duration(self, gate: str, qubits: Sequence[int]) -> float:
        """Seconds that a gate, `"measure"` or `"reset"` takes."""


@dataclass(frozen=True)
class UniformNoise(CircuitNoise):
    """The same noise after every gate of as many qubits; gates take no time. Made by `uniform_noise`."""

    one_qubit: tuple[Channel, ...] = ()
    two_qubit: tuple[Channel, ...] = ()
    readout_errors: tuple[Any, Any] = (0.0, 0.0)

    def gate_noise(self, gate: str, qubits: Sequence[int], num_qubits: int | None = None) -> Noise:
        _check_gate(gate, qubits)
        if gate in NOISELESS:
            return ()
        noise: list[tuple[Channel, tuple[int, ...]]] = []
        for channel in (self.one_qubit, self.two_qubit)[len(qubits) - 1]:
            if channel.num_qubits == len(qubits):
                noise.append((channel, tuple(qubits)))
            else:
                noise.extend((channel, (qubit,)) for qubit in qubits)
        return tuple(noise)

    def readout(self, qubit: int) -> tuple[Any, Any]:
        return self.readout_errors

    def gate_duration(self, gate: str, qubits: Sequence[int]) -> float:
        return 0.0


def uniform_noise(
    one_qubit: Mapping[str, Any] | None = None,
    two_qubit: Mapping[str, Any] | None = None,
    readout: Mapping[str, Any] | None = None,
) -> UniformNoise:
    """The same noise after every one-qubit gate and after every two-qubit gate, except `id`.

    Each table maps names of channels (`CHANNELS`) to their parameter, or to a table of parameters:
    `{"depolarizing": 0.01, "pauli_channel": {"x": 0.1, "z": 0.2}}`. Several act in the order written.
    After a two-qubit gate a one-qubit channel acts on each of the qubits, except that `depolarizing` is that of the
    pair (some of the 15 Pauli errors with probability p), as is `depolarizing2`. Parameters may be traced by JAX.

    Args:
        one_qubit: Channels after a one-qubit gate.
        two_qubit: Channels after a two-qubit gate.
        readout: `p01`, the probability to read 1 from |0⟩, and `p10`.

    Raises:
        QdistError: A name is unknown, a parameter is missing or out of range, or a two-qubit channel is to follow a
            one-qubit gate.
    """
    readout = dict(readout or {})
    for name, value in readout.items():
        if name not in ("p01", "p10"):
            raise QdistError(f"`readout` must have the keys p01 and p10, but has '{name}'.")
        check_number(f"readout.{name}", value)
        check_probability(f"readout.{name}", value)
    return UniformNoise(
        _channels("one_qubit", one_qubit or {}, 1),
        _channels("two_qubit", two_qubit or {}, 2),
        (readout.get("p01", 0.0), readout.get("p10", 0.0)),
    )


def _channels(place: str, table: Mapping[str, Any], num_qubits: int) -> tuple[Channel, ...]:
    return tuple(_channel(f"{place}.{name}", name, value, num_qubits) for name, value in table.items())


def _channel(place: str, name: str, value: Any, num_qubits: int) -> Channel:
    if name not in CHANNELS:
        raise QdistError(f"`{place}` must name a channel, but there is no '{name}'.{did_you_mean(name, CHANNELS)}")
    rule = CHANNELS["depolarizing2" if name == "depolarizing" and num_qubits == 2 else name]
    if rule.num_qubits > num_qubits:
        raise QdistError(f"`{place}` must act on one qubit, but acts on {rule.num_qubits}. Move it to `two_qubit`.")
    if not isinstance(value, Mapping):
        if len(rule.parameters) != 1:
            raise QdistError(
                f"`{place}` must be a table of {', '.join(rule.parameters) or 'nothing'}, but is {value!r}."
            )
        value = {rule.parameters[0]: value}
    _check_parameters(place, rule.parameters, value)
    parameters = inspect.signature(rule.function).parameters
    missing = [
        key for key in rule.parameters if key not in value and parameters[key].default is inspect.Parameter.empty
    ]
    if missing:
        raise QdistError(f"`{place}` must have {', '.join(rule.parameters)}, but lacks {', '.join(missing)}.")
    try:
        return rule.function(**value)
    except QdistError as error:
        raise QdistError(f"`{place}`: {error}") from None


def _check_parameters(place: str, known: Sequence[str], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if key not in known:
            raise QdistError(f"`{place}` has no parameter '{key}'.{did_you_mean(key, known)}")
        if key == "axis":
            continue
        for number in value.values() if isinstance(value, Mapping) else [value]:
            check_number(f"{place}.{key}", number)


def _check_gate(gate: str, qubits: Sequence[int]) -> None:
    if gate not in NOISELESS and len(qubits) not in (1, 2):
        raise QdistError(
            f"A gate with noise must act on one or two qubits, but '{gate}' acts on {len(qubits)}. "
            "Write it as gates of one and two qubits."
        )


@dataclass(frozen=True)
class DeviceNoise(CircuitNoise):
    """The noise of one calibrated device; circuit qubit i is its qubit i. Made by `read_device_noise`.

    A gate is followed by depolarizing noise of its qubits, then by the thermal relaxation of each of them for the
    gate's duration, with the depolarizing probability that makes the whole have the calibrated average gate error:
    with R the transfer matrix of the relaxation and d = 2ⁿ, an error ε asks for Tr R' = d² − ε d (d+1), and

        R' = R · depolarizing(p), p = (1 − 1/d²) (Tr R − Tr R') / (Tr R − 1)

    There is no depolarizing noise where relaxation alone errs more than ε. This is the model of Qiskit Aer's
    `NoiseModel.from_backend`. Waiting qubits are not relaxed here.

    A gate that the file lists takes its own values. Other gates count as one gate of the kind that the hardware
    has: changes of phase (`rz`, `z`, `s`, `t`, `u1`, `p`, …) as `rz`, without noise if that is not listed; other
    one-qubit gates as the `sx` of their qubit; two-qubit gates as the `cx` of their pair, in the gate's order or
    else reversed, and as the mean of all `cx` where the pair is not coupled, since circuits are not routed.
    (Where the file has no `sx` or `cx`, the first listed of x, u3, u2, u and of ecr, cz.) `id` has noise only if
    listed; `reset`, `measure` and barriers have none.

    Attributes:
        name: The device's name in the file.
        file: The file's name, for messages.
        t1: Seconds, by qubit.
        t2: Seconds, by qubit, at most 2·t1.
        gates: (duration in seconds, average gate error) by (name, qubits).
        readout_errors: (p01, p10) by qubit.
        readout_durations: Seconds, by qubit.
    """

    name: str
    file: str
    t1: tuple[float, ...]
    t2: tuple[float, ...]
    gates: Mapping[tuple[str, tuple[int, ...]], tuple[float, float]] = field(repr=False)
    readout_errors: tuple[tuple[float, float], ...] = field(repr=False)
    readout_durations: tuple[float, ...] = field(repr=False)

    @property
    def num_qubits(self) -> int:
        return len(self.t1)

    def gate_noise(self, gate: str, qubits: Sequence[int], num_qubits: int | None = None) -> Noise:
        _check_gate(gate, qubits)
        self._check_width(max([*(qubit + 1 for qubit in qubits), num_qubits or 0]))
        if gate == "reset":
            return ()
        lifetimes = tuple((self.t1[qubit], self.t2[qubit]) for qubit in qubits)
        channels = _gate_channels(*self._values(gate, tuple(qubits)), lifetimes)
        return tuple((channel, tuple(qubits[i] for i in positions)) for channel, positions in channels)

    def readout(self, qubit: int) -> tuple[float, float]:
        self._check_width(qubit + 1)
        return self.readout_errors[qubit]

    def gate_duration(self, gate: str, qubits: Sequence[int]) -> float:
        self._check_width(max(qubits, default=0) + 1)
        if gate == "measure":
            return max(self.readout_durations[qubit] for qubit in qubits)
        return self._values(gate, tuple(qubits))[0]

    def _check_width(self, num_qubits: int) -> None:
        if num_qubits > self.num_qubits:
            raise QdistError(
                f"{self.file}: the device must have at least the {num_qubits} qubits of the circuit, but has "
                f"{self.num_qubits}. Take a larger device or uniform noise."
            )

    def _values(self, gate: str, qubits: tuple[int, ...]) -> tuple[float, float]:
        """Duration and error of a gate, by the rule in the docstring of the class."""
        if (gate, qubits) in self.gates:
            return self.gates[gate, qubits]
        if gate in NOISELESS:
            return 0.0, 0.0
        if gate in VIRTUAL_Z:
            return self.gates.get(("rz", qubits), (0.0, 0.0))
        if len(qubits) == 1:
            return next(self.gates[name, qubits] for name in PHYSICAL_ONE_QUBIT if (name, qubits) in self.gates)
        for candidate in ((gate, qubits[::-1]), (self._two_qubit_gate, qubits), (self._two_qubit_gate, qubits[::-1])):
            if candidate in self.gates:
                return self.gates[candidate]
        return self._mean_two_qubit

    @cached_property
    def _two_qubit_gate(self) -> str:
        listed = {name for name, _ in self.gates}
        return next(name for name in PHYSICAL_TWO_QUBIT if name in listed)

    @cached_property
    def _mean_two_qubit(self) -> tuple[float, float]:
        values = [value for (name, _), value in self.gates.items() if name == self._two_qubit_gate]
        durations, errors = zip(*values, strict=True)
        return math.fsum(durations) / len(values), math.fsum(errors) / len(values)


@lru_cache(maxsize=4096)
def _gate_channels(duration: float, error: float, lifetimes: tuple[tuple[float, float], ...]) -> Noise:
    """The depolarizing noise and the relaxations that are not zero, on positions within the gate."""
    if duration == 0 and error == 0:
        return ()
    dimension = 2 ** len(lifetimes)
    relaxations = [thermal_relaxation(duration, t1, t2) for t1, t2 in lifetimes]
    trace = math.prod(float(channel.ptm.trace()) for channel in relaxations)
    missing = trace - (dimension**2 - error * dimension * (dimension + 1))
    noise: list[tuple[Channel, tuple[int, ...]]] = []
    if missing > 0 and trace > 1:
        p = min(1.0, (1 - 1 / dimension**2) * missing / (trace - 1))
        noise.append((depolarizing(p, len(lifetimes)), tuple(range(len(lifetimes)))))
    if duration > 0:
        noise.extend((channel, (position,)) for position, channel in enumerate(relaxations))
    return tuple(noise)


def shipped_device_files() -> tuple[str, ...]:
    """Names of the device files that come with qdist."""
    folder = resources.files("qdist.network") / "data" / "ibmq"
    return tuple(sorted(file.name for file in folder.iterdir() if file.name.endswith(".json")))


def find_device_file(name: str | Path, relative_to: str | Path | None = None) -> Path:
    """The path of a device file that a job names.

    Args:
        name: A path, or the name of a shipped file such as `"ibmq_limaConfig.json"`.
        relative_to: The job file or its folder, where a relative path is looked for first; the working folder
            unless given.

    Raises:
        QdistError: There is no such file.
    """
    start = Path(relative_to) if relative_to is not None else Path()
    folder = start.parent if start.is_file() else start
    if (folder / name).is_file():
        return folder / name
    if str(name) in shipped_device_files():
        return Path(str(resources.files("qdist.network") / "data" / "ibmq" / str(name)))
    raise QdistError(
        f"A device file must exist, but '{name}' is neither in '{folder}' nor shipped."
        f"{did_you_mean(str(name), shipped_device_files())}"
    )


def read_device_noise(path: str | Path) -> DeviceNoise:
    """The noise of a device from a calibration file in JSON.

    The file is a table with `name`, `num_qubits`, `basis_gates` (a list of names); `T1`, `T2`, `readout_length`
    (seconds), `prob_meas0_prep1` and `prob_meas1_prep0`, each a table by qubit (`"0"`, `"1"`, …); `gate_lens`
    (seconds) and `gate_errs` (1 − average gate fidelity), tables by gate and qubits (`"sx0"`, `"cx0_1"`). Other
    entries are left alone. T2 is lowered to 2·T1 where it is larger, as Qiskit does: the two are fitted one by one
    and scatter across the physical limit.

    Raises:
        QdistError: The file is missing or not JSON, an entry is missing or of the wrong kind, or a number is
            not finite or out of range; the message names the file and the entry.
    """
    path = Path(path)
    try:
        return _device_noise(_read_json(path), path.name)
    except QdistError as error:
        raise QdistError(f"{path.name}: {error}") from None


def _read_json(path: Path) -> Mapping[str, Any]:
    def refuse(constant: str) -> None:
        raise QdistError(f"Every number must be finite, but one is {constant}.")

    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except OSError as error:
        raise QdistError(f"The file must be readable, but is not ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise QdistError("The file must be text in UTF-8, but is not.") from None
    except json.JSONDecodeError as error:
        raise QdistError(f"The file must be JSON, but line {error.lineno} is not ({error.msg}).") from None
    if not isinstance(data, dict):
        raise QdistError(f"The file must hold a table, but holds a {type(data).__name__}.")
    return data


def _device_noise(data: Mapping[str, Any], file: str) -> DeviceNoise:
    num_qubits = _entry(data, "num_qubits", int)
    if num_qubits < 1:
        raise QdistError(f"`num_qubits` must be at least 1, but is {num_qubits}.")
    t1 = _by_qubit(data, "T1", num_qubits, _lifetime)
    t2 = _by_qubit(data, "T2", num_qubits, _lifetime)
    wrong0 = _by_qubit(data, "prob_meas1_prep0", num_qubits, _probability)
    wrong1 = _by_qubit(data, "prob_meas0_prep1", num_qubits, _probability)
    gates = _gates(data, num_qubits)
    _check_listed(gates, num_qubits)
    return DeviceNoise(
        name=_entry(data, "name", str),
        file=file,
        t1=t1,
        t2=tuple(min(two, 2 * one) for one, two in zip(t1, t2, strict=True)),
        gates=gates,
        readout_errors=tuple(zip(wrong0, wrong1, strict=True)),
        readout_durations=_by_qubit(data, "readout_length", num_qubits, _seconds),
    )


def _entry(data: Mapping[str, Any], key: str, kind: type) -> Any:
    if key not in data:
        raise QdistError(f"The file must have an entry `{key}`, but has none.{did_you_mean(key, data)}")
    value = data[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        kinds = {int: "an integer", str: "text", dict: "a table", list: "a list"}
        raise QdistError(f"`{key}` must be {kinds[kind]}, but is {value!r:.40}.")
    return value


def _seconds(name: str, value: Any) -> float:
    check_finite(name, value, "s")
    return float(value)


def _lifetime(name: str, value: Any) -> float:
    if _seconds(name, value) == 0:
        raise QdistError(f"`{name}` must be positive (seconds), but is {value}.")
    return float(value)


def _probability(name: str, value: Any) -> float:
    check_number(name, value)
    check_probability(name, value)
    return float(value)


def _by_qubit(
    data: Mapping[str, Any], key: str, num_qubits: int, check: Callable[[str, Any], float]
) -> tuple[float, ...]:
    table = _entry(data, key, dict)
    for qubit in range(num_qubits):
        if str(qubit) not in table:
            raise QdistError(f'`{key}` must have an entry for each of the {num_qubits} qubits, but lacks "{qubit}".')
    return tuple(check(f'{key}["{qubit}"]', table[str(qubit)]) for qubit in range(num_qubits))


def _gates(data: Mapping[str, Any], num_qubits: int) -> dict[tuple[str, tuple[int, ...]], tuple[float, float]]:
    names = _entry(data, "basis_gates", list)
    durations, errors = _entry(data, "gate_lens", dict), _entry(data, "gate_errs", dict)
    for lone in sorted(set(durations) ^ set(errors)):
        lacking = "gate_errs" if lone in durations else "gate_lens"
        raise QdistError(f'`gate_lens` and `gate_errs` must list the same gates, but "{lone}" is not in `{lacking}`.')
    gates = {}
    for key in durations:
        duration = _seconds(f'gate_lens["{key}"]', durations[key])
        gates[_gate_key(key, names, num_qubits)] = duration, _probability(f'gate_errs["{key}"]', errors[key])
    return gates


def _gate_key(key: str, names: Sequence[Any], num_qubits: int) -> tuple[str, tuple[int, ...]]:
    """`"cx0_1"` as ("cx", (0, 1)); the longest name that fits, so that "u10" is u1 on qubit 0 where u1 is a gate."""
    for name in sorted(map(str, names), key=len, reverse=True):
        match = re.fullmatch(re.escape(name) + r"((?:0|[1-9]\d*)(?:_(?:0|[1-9]\d*))?)", key)
        if match:
            qubits = tuple(int(number) for number in match[1].split("_"))
            if len(set(qubits)) < len(qubits) or max(qubits) >= num_qubits:
                raise QdistError(
                    f'"{key}" in `gate_lens` must act on different qubits below {num_qubits}, but does not.'
                )
            return name, qubits
    raise QdistError(
        f'"{key}" in `gate_lens` must be a gate of `basis_gates` and one or two qubits as in "cx0_1", but is not.'
    )


def _check_listed(gates: Mapping[tuple[str, tuple[int, ...]], Any], num_qubits: int) -> None:
    for qubit in range(num_qubits):
        if not any((name, (qubit,)) in gates for name in PHYSICAL_ONE_QUBIT):
            wanted = ", ".join(PHYSICAL_ONE_QUBIT)
            raise QdistError(f"`gate_lens` must list one of {wanted} for each qubit, but has none for qubit {qubit}.")
    if num_qubits > 1 and not {name for name, _ in gates} & set(PHYSICAL_TWO_QUBIT):
        raise QdistError(f"`gate_lens` must list one of {', '.join(PHYSICAL_TWO_QUBIT)}, but has none.")
