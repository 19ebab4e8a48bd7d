"""Clifford circuits with Pauli noise against Stim's samples."""

import numpy as np
import pytest
import stim

import qdist as qd

SHOTS = 200_000
ONE = {"H": "h", "S": "s", "X": "x", "SQRT_X": "sx", "S_DAG": "sdg"}
TWO = {"CX": "cx", "CZ": "cz", "SWAP": "swap", "CY": "cy"}
NUM_QUBITS = 4


def random_circuits(seed):
    """The same random circuit for Stim and as steps."""
    rng = np.random.default_rng(seed)
    theirs, ours = stim.Circuit(), []
    names = [f"a/{i}" for i in range(NUM_QUBITS)]
    ours.append(qd.Prepare(tuple(names)))
    measured = 0
    for _ in range(40):
        kind = rng.integers(6)
        a, b = (int(q) for q in rng.choice(NUM_QUBITS, 2, replace=False))
        if kind <= 1:
            gate = str(rng.choice(list(ONE)))
            theirs.append(gate, [a])
            ours.append(qd.apply(ONE[gate], names[a]))
        elif kind <= 3:
            gate, p = str(rng.choice(list(TWO))), float(rng.random() * 0.2)
            theirs.append(gate, [a, b])
            theirs.append("DEPOLARIZE2", [a, b], p)
            ours.append(qd.apply(TWO[gate], names[a], names[b]))
            ours.append(qd.Apply(qd.CHANNELS["depolarizing2"].function(p), (names[a], names[b])))
        elif kind == 4:
            p = [float(x) for x in rng.random(3) * 0.1]
            theirs.append("PAULI_CHANNEL_1", [a], p)
            ours.append(qd.Apply(qd.CHANNELS["pauli_channel"].function(x=p[0], y=p[1], z=p[2]), (names[a],)))
        elif measured < 3:
            theirs.append("M", [a])
            ours.append(qd.Measure(names[a], f"m{measured}", keep=True))
            measured += 1
    theirs.append("M", range(NUM_QUBITS))
    ours += [qd.Measure(name, f"end{i}") for i, name in enumerate(names)]
    bits = tuple([f"m{k}" for k in range(measured)] + [f"end{i}" for i in range(NUM_QUBITS)])
    return theirs, qd.Program(tuple(ours), bits=bits)


@pytest.mark.parametrize("seed", range(10))
def test_distributions_agree_with_stim(seed):
    theirs, program = random_circuits(seed)
    network = qd.Network((qd.Node("a", NUM_QUBITS),))

    expected = qd.run(qd.Job(program=program, network=network, precision="float64"))["results/probabilities"]
    samples = theirs.compile_sampler(seed=seed).sample(SHOTS)

    index = samples @ (1 << np.arange(samples.shape[1])[::-1])
    counts = np.bincount(index, minlength=len(expected))
    spread = np.sqrt(SHOTS * expected * (1 - expected))
    assert np.all(np.abs(counts - SHOTS * expected) <= 6 * spread + 1)
