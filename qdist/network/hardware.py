"""What a device does to its qubits, as matrices in digit order: waiting, gates and their errors, measurement."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist.machine.instructions import EachShot
from qdist.network.devices import Device
from qdist.physics import channels, gates, pauli
from qdist.physics.channels import Channel
from qdist.physics.gates import Gate
from qdist_kernels import Entries, is_jax


@cache
def _concrete_relaxation(t1: float, t2: float, population: float, duration: float) -> np.ndarray:
    return matrix_of(channels.thermal_relaxation(duration, t1, t2, excited_population=population))


def relaxation(device: Device, duration: Any) -> Any:
    """The matrix of waiting, (4, 4), of each shot where the duration is; `None` where nothing happens."""
    if isinstance(duration, EachShot):
        return _relaxations(device, duration) if relaxes(device) else None
    if not is_jax(duration) and duration == 0:
        return None
    values = (device.t1, device.t2, device.excited_population, duration)
    if any(is_jax(value) for value in values):
        return matrix_of(channels.thermal_relaxation(duration, device.t1, device.t2, excited_population=values[2]))
    if np.isinf(device.t1) and np.isinf(device.t2):
        return None
    return _concrete_relaxation(float(values[0]), float(values[1]), float(values[2]), float(duration))


def _relaxations(device: Device, duration: EachShot) -> EachShot:
    """I, Z, X, Y order: Z relaxes with T1 towards 1−2p, X and Y decay with T2."""
    places = ((0, 0), (1, 0), (1, 1), (2, 2), (3, 3))
    like = np.zeros((4, 4))
    like[tuple(zip(*places, strict=True))] = 1.0
    equilibrium = 1 - 2 * device.excited_population

    def of(draws: Any) -> Entries:
        seconds = duration.of(draws)
        decay, coherence = np.exp(-seconds / device.t1), np.exp(-seconds / device.t2)
        return Entries((4, 4), places, (1.0, equilibrium * (1 - decay), decay, coherence, coherence))

    return EachShot(like, of)


def relaxes(device: Device) -> bool:
    return is_jax(device.t1) or is_jax(device.t2) or bool(np.isfinite(device.t1) or np.isfinite(device.t2))


def digit_rates(device: Device) -> tuple[Any, Any, Any]:
    """Decay rates in 1/s of I, Z, and of X and Y."""
    return 0.0, 1 / device.t1, 1 / device.t2


def device_gates(gate: Gate, device: Device) -> list[tuple[Gate, tuple[int, ...]]]:
    """The gates that the device really does: wide gates by their library definition where gates have errors."""
    if gate.num_qubits <= 2:
        return [(gate, tuple(range(gate.num_qubits)))]
    ideal = all(not is_jax(v) and v == 0 for v in (device.one_qubit_error, device.two_qubit_error))
    timeless = device.one_qubit_duration == 0 and device.two_qubit_duration == 0
    rule = gates.GATES.get(gate.name)
    if rule is not None and rule.definition:
        parts = []
        for name, params, places in rule.definition:
            for part, inner in device_gates(gates.gate(name, *params), device):
                parts.append((part, tuple(places[i] for i in inner)))
        return parts
    if ideal and timeless:
        return [(gate, tuple(range(gate.num_qubits)))]
    raise QdistError(
        f"A gate on {gate.num_qubits} qubits must be in the gate library to run on device '{device.name}', whose "
        f"errors are for one and two qubits, but is '{gate.name}'. Write it in gates on one and two qubits."
    )


def gate_cost(gate: Gate, device: Device) -> tuple[Any, Any]:
    """Depolarizing probability and duration of a gate on a device; the identity costs nothing."""
    if gate.name == "id" or gate.num_qubits > 2:
        return 0.0, 0.0
    if gate.num_qubits == 1:
        return device.one_qubit_error, device.one_qubit_duration
    return device.two_qubit_error, device.two_qubit_duration


def matrix_of(operation: Gate | Channel) -> Any:
    return pauli.digit_order(operation.ptm, operation.num_qubits)


def gate_matrices(some: Iterable[Gate | Channel]) -> dict[Gate | Channel, Any]:
    """Those of the gates on one and two qubits, which devices do as they are, except what JAX traces."""
    alone = [gate for gate in some if isinstance(gate, Gate) and gate.num_qubits <= 2]
    ptms = gates.ptms([gate for gate in alone if not is_jax(gate.unitary)])
    return {gate: pauli.digit_order(ptm, gate.num_qubits) for gate, ptm in ptms.items()}


def error_matrix(make: Callable[..., Channel], p: Any, *sizes: int) -> Any:
    """Of an error with a probability; the same array for the same numbers."""
    return matrix_of(make(p, *sizes)) if is_jax(p) else _concrete_error(make, float(p), *sizes)


@cache
def _concrete_error(make: Callable[..., Channel], p: float, *sizes: int) -> np.ndarray:
    return matrix_of(make(p, *sizes))


@cache
def reset_matrix() -> np.ndarray:
    return matrix_of(channels.reset())


@cache
def twirl_matrix() -> np.ndarray:
    """Keep 1 and the component along XX − YY + ZZ, which is all that a Werner state has."""
    vector = np.zeros(16)
    for string, sign in (("XX", 1.0), ("YY", -1.0), ("ZZ", 1.0)):
        vector[pauli.digit_index(string)] = sign
    matrix = np.outer(vector, vector) / 3
    matrix[0, 0] = 1.0
    return matrix


@cache
def projectors(basis: str, keep: bool) -> tuple[np.ndarray, np.ndarray]:
    first, second = channels.measurement(basis, keep=keep).matrices
    return pauli.digit_order(first, 1), pauli.digit_order(second, 1)
