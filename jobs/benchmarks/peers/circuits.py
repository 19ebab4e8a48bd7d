"""The circuits that all contestants run: gates by name and noise by strength, on numbered qubits.

Depolarizing noise follows every gate, 0.001 after one-qubit gates and 0.01 after two-qubit gates, where the number is
the probability of some Pauli error. A case is asked for by its family and its arguments, so that two processes can
build the same one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[3]
FOLDERS = (ROOT / "tests/data/circuits/qasmbench", ROOT / "tests/data/circuits/random", Path(__file__).parent / "deep")
NOISE = {1: 0.001, 2: 0.01}


@dataclass(frozen=True)
class Gate:
    """A gate of the library, its first qubit the control if there is one."""

    name: str
    qubits: tuple[int, ...]
    params: tuple[float, ...] = ()


@dataclass(frozen=True)
class Depolarizing:
    """Some Pauli error on one or two qubits with a probability, all of them equally likely."""

    probability: float
    qubits: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """A circuit on qubits 0 … n−1 that start in |0⟩."""

    name: str
    num_qubits: int
    operations: tuple[Gate | Depolarizing, ...]


def noisy(gates: list[Gate]) -> tuple[Gate | Depolarizing, ...]:
    """Noise after every gate but `id`, which does nothing and takes no time."""
    operations: list[Gate | Depolarizing] = []
    for gate in gates:
        operations.append(gate)
        if gate.name != "id":
            operations.append(Depolarizing(NOISE[len(gate.qubits)], gate.qubits))
    return tuple(operations)


def brickwork(num_qubits: int, depth: int = 10) -> Case:
    """A random U3 on every qubit, then CNOTs on every other pair of neighbors, layer after layer."""
    rng = np.random.default_rng(num_qubits)
    gates = []
    for layer in range(depth):
        gates += [_random_u3(rng, qubit) for qubit in range(num_qubits)]
        gates += [Gate("cx", (i, i + 1)) for i in range(layer % 2, num_qubits - 1, 2)]
    return Case("brickwork", num_qubits, noisy(gates))


def random_pairs(num_qubits: int, count: int = 100) -> Case:
    """Random U3 on both qubits of a random pair, then a CNOT on it."""
    rng = np.random.default_rng(num_qubits)
    gates = []
    for _ in range(count):
        a, b = (int(qubit) for qubit in rng.choice(num_qubits, 2, replace=False))
        gates += [_random_u3(rng, a), _random_u3(rng, b), Gate("cx", (a, b))]
    return Case("random pairs", num_qubits, noisy(gates))


def fourier(num_qubits: int, rows: int | None = None) -> Case:
    """The quantum Fourier transform, with its swaps, of a random product state; or only the first rows of it."""
    rng = np.random.default_rng(num_qubits)
    gates = [_random_u3(rng, qubit) for qubit in range(num_qubits)]
    for qubit in range(num_qubits if rows is None else rows):
        gates.append(Gate("h", (qubit,)))
        for other in range(qubit + 1, num_qubits):
            gates.append(Gate("cp", (other, qubit), (np.pi / 2 ** (other - qubit),)))
    gates += [Gate("swap", (qubit, num_qubits - 1 - qubit)) for qubit in range(num_qubits // 2)]
    return Case("QFT", num_qubits, noisy(gates))


def clifford(num_qubits: int, depth: int = 10) -> Case:
    """Brickwork of random H, S and X, which Stim can sample."""
    rng = np.random.default_rng(num_qubits)
    gates = []
    for layer in range(depth):
        gates += [Gate(str(rng.choice(["h", "s", "x"])), (qubit,)) for qubit in range(num_qubits)]
        gates += [Gate("cx", (i, i + 1)) for i in range(layer % 2, num_qubits - 1, 2)]
    return Case("Clifford", num_qubits, noisy(gates))


def file(stem: str) -> Case:
    """The gates of a QASM file whose only measurements are at its end; those on three qubits by their definition."""
    from qdist.network.circuits import expand_wide_gates, read_qasm

    circuit = expand_wide_gates(read_qasm(qasm_path(stem)))
    gates = []
    for step in circuit.instructions:
        if step.kind not in ("gate", "barrier", "measure") or step.condition is not None:
            raise ValueError(f"'{stem}' must be made of gates, but line {step.line} is none.")
        if step.kind == "gate":
            gates.append(Gate(step.name, step.qubits, step.params))
    return Case(f"{stem}.qasm", circuit.num_qubits, noisy(gates))


FAMILIES: dict[str, Callable[..., Case]] = {
    "brickwork": brickwork,
    "random pairs": random_pairs,
    "QFT": fourier,
    "Clifford": clifford,
    "file": file,
}


def build(family: str, *arguments: Any) -> Case:
    """A case by the name of its family."""
    return FAMILIES[family](*arguments)


def qasm_path(stem: str) -> Path:
    """The QASM file of this name, in whichever folder it is."""
    return next(path for folder in FOLDERS if (path := folder / f"{stem}.qasm").is_file())


def qasm_stems() -> list[str]:
    """All QASM files that come with the project, by folder."""
    return [path.stem for folder in FOLDERS for path in sorted(folder.glob("*.qasm"))]


def _random_u3(rng: np.random.Generator, qubit: int) -> Gate:
    return Gate("u3", (qubit,), tuple(float(angle) for angle in 2 * np.pi * rng.random(3)))
