"""What the planner promises: few passes, small clusters, and an honest count of bytes."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
import pytest

import qdist as qd
from qdist.errors import QdistError
from qdist.machine import memory
from qdist.machine.comm import Serial
from qdist.machine.memory import check_memory, in_units
from qdist.machine.plan import Transfer
from qdist.machine.planner import make_plan
from qdist.network.lowering import lower
from tests.kernels.stages import dense

ROOT = Path(__file__).parents[2]


def plan_of(steps, network, **kwargs):
    return make_plan(lower(qd.Program(tuple(steps)), network).instructions, **kwargs)


def one_node(num_qubits):
    network = qd.Network((qd.Node("a", num_qubits),))
    return network, [f"a/{i}" for i in range(num_qubits)]


def test_a_gate_its_noise_and_its_neighbors_are_one_pass():
    network, (a, b) = one_node(2)
    steps = [qd.Prepare((a, b)), qd.apply("h", a), qd.apply("cx", a, b)]
    steps += [qd.Apply(qd.CHANNELS["depolarizing2"].function(0.01), (a, b)), qd.apply("t", b), qd.Measure(b, "m")]

    plan = plan_of(steps, network)

    assert plan.passes == 0  # all of it happens in the block that creates the vector


def test_clusters_merge_only_where_a_gate_acts_across_them():
    network, names = one_node(6)
    steps = [qd.Prepare(tuple([name])) for name in names]
    steps += [qd.apply("cx", names[i], names[i + 1]) for i in (0, 2, 4)]

    plan = plan_of(steps, network)

    assert sorted(sorted(part.wires) for part in plan.final) == [["a/0", "a/1"], ["a/2", "a/3"], ["a/4", "a/5"]]
    assert plan.largest == 4


@pytest.mark.parametrize("last", [qd.Measure("a/1", "m"), qd.Discard("a/1"), qd.Reset("a/1")])
def test_measurement_discard_and_reset_cut_a_cluster(last):
    network, names = one_node(3)
    steps = [qd.Prepare(tuple(names)), qd.apply("cx", names[0], names[1]), qd.apply("cx", names[1], names[2]), last]

    plan = plan_of(steps, network)

    rest = next(part for part in plan.final if "a/0" in part.wires)
    assert set(rest.wires) == {"a/0", "a/2"}


def test_bits_are_dropped_as_soon_as_nothing_needs_them():
    network, (a, b) = one_node(2)
    steps = [qd.Prepare((a, b)), qd.apply("h", a), qd.Measure(a, "m"), qd.apply("x", b, when=qd.bit_is("m"))]

    kept = plan_of(steps, network, outputs={"m": "m"})
    dropped = plan_of(steps, network)

    assert {wire for part in kept.final for wire in part.wires} == {"m", b}
    assert {wire for part in dropped.final for wire in part.wires} == {b}


def plans_of_pairs_that_come_again():
    """For several pairs of qubits that wait to leave, each in a block of its own, when they come again together."""
    plans = []
    for first in range(6):
        network, names = one_node(9)
        a, b, c, d = (names[first + k] for k in range(4))
        steps = [qd.Prepare((a, b, c, d)), qd.apply("h", a), qd.apply("h", b)]
        steps += [qd.apply("cx", a, c), qd.apply("cx", c, b), qd.apply("cx", a, c), qd.apply("cx", b, d)]
        steps += [qd.Discard(a), qd.Discard(b), qd.Prepare((a, b), qd.bell("phi+"))]
        plans.append(repr(plan_of(steps, network)))
    return plans


def test_every_process_makes_the_same_plan():
    # Ranks do not tell one another their plans, and sets of names have another order in each process.
    line = "from tests.machine.test_planner import *; print(plans_of_pairs_that_come_again())"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'kernels'}"}
    found = {
        subprocess.check_output([sys.executable, "-c", line], env=environment | {"PYTHONHASHSEED": seed}, cwd=ROOT)
        for seed in "123"
    }
    assert len(found) == 1


def test_two_qubits_that_wait_to_leave_in_one_block_come_again_together():
    network, names = one_node(3)
    steps = [qd.Prepare(tuple(names)), *(qd.apply("h", name) for name in names)]
    steps += [qd.apply("cx", names[2], names[k]) for k in (0, 1, 0)] + [qd.apply("cx", names[0], names[1])]
    steps += [
        qd.Discard(names[1]),
        qd.Measure(names[0], "m", keep=False),
        qd.Prepare(tuple(names[:2]), qd.bell("phi+")),
    ]
    steps += [qd.apply("x", names[2], when=qd.bit_is("m"))]

    plan = plan_of(steps, network)

    assert sorted(sorted(part.wires) for part in plan.final) == [["a/0", "a/1"], ["a/2"]]


def test_a_chain_of_a_thousand_nodes_needs_the_memory_of_its_largest_cluster():
    network = qd.chain(1000, qubits=2, link={"fidelity": 0.999})
    program = qd.protocols.repeater_chain(network, generation="sequential")

    plan = make_plan(lower(program, network).instructions, keep=())

    assert plan.largest <= 2 * 4
    assert plan.peak_bytes < 10_000


def test_the_parity_of_many_bits_needs_one_digit():
    network, names = one_node(12)
    steps = [qd.Prepare((name,)) for name in names]
    steps += [qd.apply("ry", name, params=(0.3,)) for name in names]
    steps += [qd.Measure(name, f"m{i}") for i, name in enumerate(names[1:])]
    steps += [qd.apply("x", names[0], when=qd.parity_is([f"m{i}" for i in range(11)]))]

    plan = plan_of(steps, network)
    state = qd.final_states(qd.Program(tuple(steps)), network).state([names[0]])

    odd = (1 - np.cos(0.3) ** 11) / 2
    assert np.isclose(state.correlator("Z"), np.cos(0.3) * (1 - 2 * odd))
    assert max(operation.matrix.size for operation in plan.operations if isinstance(operation, Transfer)) <= 4096


def brickwork(num_qubits):
    network, names = one_node(num_qubits)
    steps = [qd.Prepare((name,)) for name in names]
    steps += [qd.apply("cx", a, b) for a, b in pairwise(names)]
    return qd.Job(program=qd.Program(tuple(steps), qubits=tuple(names)), network=network)


def test_a_state_that_cannot_fit_is_refused_with_what_is_needed_and_what_would_fit(monkeypatch):
    monkeypatch.setattr(memory, "device_bytes", lambda: (2**30, "this machine"))
    plan = qd.prepare(brickwork(16)).plan

    with pytest.raises(
        QdistError, match=r"has, 1 GiB, but the largest cluster has 16 qubits .* needs 16 GiB.*qubits fit"
    ):
        check_memory(plan)


class GpuOf80GB:
    """What JAX says of one, of which it may have 95 %."""

    device_kind = "NVIDIA H100 80GB HBM3"

    def memory_stats(self):
        return {"bytes_limit": int(0.95 * 81559 * 2**20), "bytes_in_use": 2**20}


def test_17_qubits_run_on_a_gpu_of_80_gb_and_18_are_refused_with_what_would_fit(monkeypatch):
    monkeypatch.setattr(memory, "has_accelerator", lambda: True)
    monkeypatch.setattr(jax, "devices", lambda: [GpuOf80GB()])

    check_memory(qd.prepare(brickwork(17)).plan)
    with pytest.raises(
        QdistError, match=r"this NVIDIA H100 80GB HBM3 has, 75\.\d+ GiB.* 18 qubits .*256 GiB.*up to 17 qubits fit here"
    ):
        check_memory(qd.prepare(brickwork(18)).plan)


@pytest.mark.parametrize(("platform", "share"), [("cpu", "256 MiB"), ("gpu", "512 MiB")])
def test_ranks_share_the_memory_of_the_host_or_of_the_gpu_that_they_have_in_common(monkeypatch, platform, share):
    monkeypatch.setattr(memory, "device_bytes", lambda: (2**30, "this machine"))
    monkeypatch.setattr(memory, "has_accelerator", lambda: platform == "gpu")
    plan = qd.prepare(brickwork(16)).plan

    with pytest.raises(QdistError, match=f"has, {share}, but"):
        check_memory(plan, Serial(size=8, local_size=4, gpu_size=2))


def test_a_large_circuit_is_refused_before_anything_is_allocated():
    with pytest.raises(QdistError, match="largest cluster has 24 qubits"):
        qd.run(brickwork(24))


def test_the_predicted_peak_is_an_upper_bound_of_what_the_vectors_hold():
    plan = qd.prepare(brickwork(6)).plan

    assert plan.peak_bytes >= 4 * 4**6
    assert max(entry.bytes for entry in plan.census) == 4 * 4**6


@pytest.mark.parametrize(("count", "text"), [(512, "512 B"), (1536, "1.5 KiB"), (2**40, "1 TiB")])
def test_bytes_are_written_in_units_that_a_person_reads(count, text):
    assert in_units(count) == text


def test_a_large_vector_that_gets_a_digit_is_never_copied():
    plan = qd.prepare(brickwork(11)).plan
    large = [op for op in plan.operations if isinstance(op, Transfer) and len(op.dims) >= 9]
    assert large
    assert all(op.in_place for op in large)


def test_factors_of_a_transfer_have_its_matrix_as_their_product(monkeypatch):
    monkeypatch.setattr("qdist.machine.clusters.FACTORED", 0)
    rng = np.random.default_rng(0)
    network, names = one_node(4)
    steps = [qd.Prepare(tuple(names))]
    for _ in range(60):
        first, second = map(str, rng.choice(names, 2, replace=False))
        steps += [qd.apply("u3", first, params=tuple(rng.normal(size=3))), qd.apply("cp", second, first, params=(0.3,))]
        steps.append(qd.Apply(qd.CHANNELS["amplitude_damping"].function(0.1), (first,)))

    found = [each for each in plan_of(steps, network).operations if getattr(each, "factors", ())]

    pairs = [each for each in found if len(each.axes) == 2]
    assert len(pairs) > 20
    for each in pairs:
        assert np.allclose(dense(each.factors), each.matrix, rtol=0, atol=1e-13)
