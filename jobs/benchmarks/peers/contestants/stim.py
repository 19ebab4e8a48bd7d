"""Stim: samples of Clifford circuits with Pauli noise. It estimates where the others compute.

A run is 100,000 shots of all qubits and the mean of Z on all of them, whose standard error is 1/√100,000 = 0.003. The
table says both the time of that and the time that the shots for an error of 1e-5, that of float32, would take: 10¹⁰ of
them, at the same pace.
"""

import numpy as np

from jobs.benchmarks.peers.circuits import Case, Gate

PACKAGES = ("stim",)
PRECISIONS = ("float32", "float64")
"""It has none of its own, and is compared with both."""

SHOTS = 100_000
NAMES = {"h": "H", "s": "S", "x": "X", "cx": "CX"}


class Ready:
    def __init__(self, case: Case) -> None:
        import stim

        circuit = stim.Circuit()
        for one in case.operations:
            if isinstance(one, Gate):
                circuit.append(NAMES[one.name], one.qubits)
            else:
                circuit.append(f"DEPOLARIZE{len(one.qubits)}", one.qubits, one.probability)
        circuit.append("M", range(case.num_qubits))
        self.sampler = circuit.compile_sampler(seed=1)

    def run(self) -> tuple[float, None]:
        samples = self.sampler.sample(SHOTS)
        return float(1 - 2 * np.logical_xor.reduce(samples, axis=1).mean()), None

    def probabilities(self) -> np.ndarray:
        samples = self.sampler.sample(SHOTS)
        index = samples @ (1 << np.arange(samples.shape[1])[::-1])
        return np.bincount(index, minlength=2 ** samples.shape[1]) / SHOTS


def ready(case: Case, precision: str, threads: int) -> Ready:
    return Ready(case)
