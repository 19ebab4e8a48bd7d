"""Results made by hand, for the tests of what is written, shown and drawn: numbers in closed form, no simulation."""

import itertools

import numpy as np

from qdist.runs.results import Result
from qdist.runs.schema import NO_PAIR, SCHEMA, Axis
from qdist.runs.stacking import stacked

ATTRIBUTES = {
    "title": "Repeater chain",
    "job": '[network]\nname = "Zürich"\n',
    "mode": "exact",
    "precision": "float32",
    "seed": 7,
    "wall_seconds": 0.25,
}
SIZES = {"step": 3, "pair": 2, "pauli_a": 4, "pauli_b": 4}


def everything() -> Result:
    """One array for each path of the schema, with text that is not ASCII and a number that is missing."""
    random = np.random.default_rng(1)
    data = {}
    for path, variable in SCHEMA.items():
        shape = tuple(SIZES.get(dim, 2) for dim in variable.dims)
        if variable.kind == "text":
            data[path] = np.array([f"{path[-4:]} é{i}" for i in range(shape[0])])
        elif variable.kind == "int":
            data[path] = random.integers(0, 4, shape)
        else:
            data[path] = random.uniform(0, 1, shape)
    data["metrics/pauli_a"] = data["metrics/pauli_b"] = np.array(list("IXYZ"))
    data["metrics/fidelity"][0, 1] = np.nan
    data["metrics/purity"] = data["metrics/purity"].astype(np.float32)
    data["metrics/verdict"] = np.full((3, 2), NO_PAIR, np.int8)
    extra = {"shots": 1000, "bits": "a b", "qubits": "alice/0 bob/0", "ranks": 2}
    return Result({**ATTRIBUTES, **extra, "total_pairs_made": 4.0}, data)


def werner_metrics(w: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics of Werner pairs w Φ⁺ + (1−w) 1/4; NaN where there is no pair."""
    weights = np.stack([(1 + 3 * w) / 4, *[(1 - w) / 4] * 3])
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nansum(np.where(weights > 0, weights * np.log2(weights), 0), axis=0)
    negativity = np.maximum(0, (3 * w - 1) / 4)
    verdict = np.select([np.isnan(w), w > np.sqrt(0.5), w > 1 / 3, w > 0], [NO_PAIR, 4, 3, 2], 0)
    return {
        "fidelity": (1 + 3 * w) / 4,
        "mutual_information": np.where(np.isnan(w), np.nan, 2 - entropy),
        "concurrence": np.maximum(0, (3 * w - 1) / 2),
        "log_negativity": np.log2(2 * negativity + 1),
        "chsh": 2 * np.sqrt(2) * w,
        "verdict": verdict.astype(np.int8),
    }


def repeater_chain(num_nodes: int = 4, sampled: bool = False, memory: float = 2e-3, length: float = 10e3) -> Result:
    """Links come up, wait, and are swapped one after the other into one pair of the end nodes, which waits.

    Memories lose correlations with the time constant `memory`; waiting takes 5 ns per meter of a link.
    """
    names = ["alice", *(f"r{i}" for i in range(1, num_nodes - 1)), "bob"]
    links = list(itertools.pairwise(names))
    pairs = [*links, *(("alice", name) for name in names[2:])]
    alive = {link: 0.96 - 0.01 * (i % 3) for i, link in enumerate(links)}
    rows, times = [dict(alive)], [0.0]

    def wait(duration: float) -> None:
        for pair in alive:
            alive[pair] *= np.exp(-duration / memory)
        times.append(times[-1] + duration)
        rows.append(dict(alive))

    wait(5e-9 * length)
    for i in range(1, num_nodes - 1):
        alive["alice", names[i + 1]] = alive.pop(("alice", names[i])) * alive.pop(links[i])
        wait(5e-9 * length)
    wait(10e-9 * length)
    w = np.array([[row.get(pair, np.nan) for pair in pairs] for row in rows])
    data = {
        "metrics/step": np.arange(len(rows)) * 4,
        "metrics/time": np.array(times),
        "metrics/label": np.array([f"record {i}" for i in range(len(rows))]),
        "metrics/pair": np.array([f"{a}/0-{b}/0" for a, b in pairs]),
        "network/node": np.array(names),
        "network/link": np.array(["-".join(link) for link in links]),
        "network/length": np.full(len(links), length),
        "ledger/link": np.array(["-".join(link) for link in links]),
        "ledger/pairs_made": np.full(len(links), 1.5),
        "ledger/pairs_used": np.ones(len(links)),
        "ledger/pairs_wasted": np.full(len(links), 0.5),
        "ledger/attempts": np.full(len(links), 65.359),
        "ledger/route": np.array([f"{name}->bob" for name in names[1:-1]]),
        "ledger/bits_sent": np.full(num_nodes - 2, 2.0),
        "plan/step": np.arange(3),
        "plan/clusters": np.array([1, 3, 2]),
        "plan/largest": np.array([2, 4, 2]),
        "plan/bytes": np.array([64, 2048, 64]),
    }
    for name, values in werner_metrics(w).items():
        data[f"metrics/{name}"] = values
        if sampled and name != "verdict":
            data[f"metrics/{name}_stderr"] = np.where(np.isnan(values), np.nan, 0.01)
    return Result({**ATTRIBUTES, **({"mode": "sampled", "shots": 10_000} if sampled else {})}, data)


def outcomes(num_bits: int = 3, sampled: bool = True) -> Result:
    """The outcomes of a noisy GHZ measurement, and a few correlators."""
    noise = 0.1 / 2**num_bits
    probabilities = np.full(2**num_bits, noise)
    probabilities[[0, -1]] += 0.45
    data = {
        "results/outcome": np.array([format(i, f"0{num_bits}b") for i in range(2**num_bits)]),
        "results/probabilities": probabilities,
        "results/pauli": np.array(["ZZI", "IZZ", "XXX", "YYX"]),
        "results/correlators": np.array([0.9, 0.9, 0.8, -0.8]),
        "results/success_probability": np.array(0.25),
        "results/herald": np.array(["parity even"]),
        "results/herald_probability": np.array([0.25]),
    }
    attributes = {**ATTRIBUTES, "title": "GHZ", "bits": " ".join(f"m{i}" for i in range(num_bits))}
    if sampled:
        data["results/counts"] = np.round(probabilities * 4000).astype(np.int64)
        data["results/probabilities_stderr"] = np.sqrt(probabilities * (1 - probabilities) / 4000)
        data["results/correlators_stderr"] = np.full(4, 0.01)
        attributes |= {"mode": "sampled", "shots": 4000}
    return Result(attributes, data)


LENGTH = Axis("network_link_length", "network.link.length", (10e3, 50e3), "m", "length of every link")
MEMORY = Axis("network_device_t2", "network.device.t2", (0.1, 1, 10), "s", "t2 of every node")


def sweep(num_axes: int = 2, sampled: bool = False) -> Result:
    """The chain over the lifetime of its memories, and with two axes over the length of its links before."""
    lengths = LENGTH.values if num_axes == 2 else (10e3,)
    points = [repeater_chain(4, sampled, memory / 500, length) for length in lengths for memory in MEMORY.values]
    return stacked((LENGTH, MEMORY)[-num_axes:], points)
