"""The bytes of moving data in and out, against the table that the model is made from."""

import pytest

import qdist as qd
from qdist.machine.in_and_out import in_and_out_bytes
from qdist.network.lowering import lower

CHANNELS = qd.CHANNELS


def weight(step):
    """Bytes for each entry, with qubits 0 and 1 distributed."""
    network = qd.Network((qd.Node("a", 4),))
    steps = (qd.Prepare(tuple(f"a/{i}" for i in range(4))), step)
    return in_and_out_bytes(lower(qd.Program(steps), network).instructions, {"a/0", "a/1"}, 1)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (qd.apply("h", "a/0"), 16),
        (qd.apply("h", "a/2"), 0),
        (qd.apply("x", "a/1"), 16),
        (qd.apply("rz", "a/0", params=(0.3,)), 0),
        (qd.apply("cz", "a/0", "a/2"), 0),
        (qd.apply("cx", "a/0", "a/2"), 0),
        (qd.apply("cx", "a/2", "a/0"), 16),
        (qd.apply("cx", "a/0", "a/1"), 16),
        (qd.Apply(CHANNELS["depolarizing"].function(0.1), ("a/0",)), 8),
        (qd.Apply(CHANNELS["depolarizing2"].function(0.1), ("a/2", "a/0")), 8),
        (qd.Apply(CHANNELS["bit_flip"].function(0.1), ("a/0",)), 16),
        (qd.Apply(CHANNELS["dephasing"].function(0.1), ("a/0",)), 0),
        (qd.Apply(CHANNELS["amplitude_damping"].function(0.1), ("a/0",)), 8),
        (qd.Measure("a/0", "m"), 0),
    ],
)
def test_an_operation_on_a_distributed_qubit_sends(step, expected):
    assert weight(step) == expected
