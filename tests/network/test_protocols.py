"""Protocols against closed forms, ideal states, and a dense simulation of their steps."""

import itertools
import math
from functools import reduce

import networkx as nx
import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.network.devices import Device
from qdist.network.graph import Network, Node, chain, complete, grid, ring, star
from qdist.network.links import Link
from qdist.network.program import (
    Apply,
    Combine,
    Discard,
    Generate,
    Herald,
    Measure,
    Prepare,
    Program,
    Record,
    Send,
    Twirl,
    apply,
)
from qdist.network.protocols import (
    PROTOCOLS,
    bbpssw,
    build_protocol,
    dejmps,
    remote_gate,
    repeater_chain,
    swap,
    teleport,
)
from qdist.physics.channels import Channel
from qdist.physics.gates import gate, unitary_gate
from qdist.physics.metrics import bell_fidelity
from qdist.physics.states import bell_diagonal, from_matrix
from qdist.runs.execute import run
from qdist.runs.job import Job
from tests.programs import depolarizing_kraus, projectors
from tests.reference import PAULI, Reference, kron
from tests.tolerances import TOLERANCE

EXACT = TOLERANCE["float64"]


def simulate(program, network, **options):
    program = program if isinstance(program, Program) else Program(tuple(program))
    return run(Job(program=program, network=network, precision="float64", **options))


# -- a dense simulation that reads the steps of a program, for devices without clocks


def werner_matrix(fidelity):
    phi = np.array([1, 0, 0, 1]) / math.sqrt(2)
    w = (4 * fidelity - 1) / 3
    return w * np.outer(phi, phi) + (1 - w) * np.eye(4) / 4


def twirl_kraus():
    """The 24 rotations of the cube, each with its complex conjugate on the other half."""
    h, s = np.array([[1, 1], [1, -1]]) / math.sqrt(2), np.diag([1, 1j])
    words = [reduce(np.matmul, word, np.eye(2)) for n in range(7) for word in itertools.product((h, s), repeat=n)]
    distinct = []
    for u in words:
        if all(abs(abs(np.trace(u.conj().T @ v)) - 2) > 1e-9 for v in distinct):
            distinct.append(u)
    assert len(distinct) == 24
    return [np.kron(u, u.conj()) / math.sqrt(24) for u in distinct]


def two_qubit_depolarizing(p):
    strings = [a + b for a in "IXYZ" for b in "IXYZ"]
    weights = [1 - p if s == "II" else p / 15 for s in strings]
    return [math.sqrt(w) * kron(*(PAULI[x] for x in s)) for w, s in zip(weights, strings, strict=True)]


def dense_run(program, network):
    """All branches of a program, by dense matrices."""
    reference = Reference()
    for step in program.steps:
        match step:
            case Prepare(qubits=qubits, state=state):
                rho = np.diag([1.0] + [0.0] * (2 ** len(qubits) - 1)) if state is None else state.matrix()
                reference.add(list(qubits), rho.astype(complex))
            case Generate(pairs=pairs):
                for a, b in pairs:
                    link = network.link(network.node_of(a).name, network.node_of(b).name)
                    reference.add([a, b], werner_matrix(link.fidelity).astype(complex))
            case Apply(operation=operation, qubits=qubits, when=when):
                dense_gate(reference, network.node_of(qubits[0]).device, operation, qubits, condition(when))
            case Measure(qubit=qubit, bit=bit, basis=basis, keep=keep):
                device = network.node_of(qubit).device
                reference.measure(qubit, bit, projectors(basis), (device.readout_p01, device.readout_p10))
                if not keep:
                    reference.discard(qubit)
            case Combine(bit=bit, of=of):
                for branch in reference.branches:
                    branch.bits[bit] = sum(branch.bits[b] for b in of) % 2
            case Herald(test=test):
                reference.herald(condition(test))
            case Twirl(pair=pair):
                reference.apply(twirl_kraus(), list(pair))
            case Discard(qubit=qubit):
                reference.discard(qubit)
            case Send() | Record():
                pass
            case _:
                raise NotImplementedError(step)
    return reference


def dense_gate(reference, device, operation, qubits, when):
    assert not isinstance(operation, Channel)
    reference.apply([operation.unitary], list(qubits), when)
    error = device.one_qubit_error if len(qubits) == 1 else device.two_qubit_error
    noise = depolarizing_kraus(error) if len(qubits) == 1 else two_qubit_depolarizing(error)
    if error:
        reference.apply(noise, list(qubits), when)


def condition(test):
    if test is None:
        return lambda bits: True
    return lambda bits: bool(test.holds([bits[b] for b in test.bits]))


IDEAL = Device(name="ideal")
ROUGH = Device(name="rough", one_qubit_error=0.03, two_qubit_error=0.05, readout_p01=0.02, readout_p10=0.06)


def random_state(seed, num_qubits):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(2**num_qubits,) * 2) + 1j * rng.normal(size=(2**num_qubits,) * 2)
    matrix = root @ root.conj().T
    return from_matrix(matrix / np.trace(matrix).real)


def two_nodes(fidelity, device=IDEAL, qubits=4):
    return chain(2, qubits=qubits, device=device, link={"fidelity": fidelity})


def entangled_inputs(steps, qubits, seed):
    """Steps on qubits that start in a random mixed state which several nodes may share."""
    return Program((Prepare(tuple(qubits), random_state(seed, len(qubits))), *steps))


def teleported(network):
    program = entangled_inputs([Generate((("n0/2", "n1/0"),))], ("n0/0", "n0/1"), 3)
    return program + teleport("n0/1", ("n0/2", "n1/0")), ("n0/0", "n1/0")


def swapped(network):
    steps = (Generate((("n0/0", "n1/0"), ("n1/1", "n2/0"))), *swap(("n0/0", "n1/0"), ("n1/1", "n2/0")).steps)
    return Program(steps), ("n0/0", "n2/0")


def far_gate(name, scheme, *params):
    def build(network):
        pair, back = ("n0/1", "n1/1"), ("n1/2", "n0/2")
        remote = remote_gate(gate(name, *params), "n0/0", "n1/0", pair, scheme=scheme, return_pair=back)
        pairs = [Generate((pair,))] + [Generate((back,))] * (scheme == "teleport_back")
        return entangled_inputs([*pairs, *remote.steps], ("n0/0", "n1/0"), 7), remote.qubits

    return build


def named(name, qubits=None, **parameters):
    def build(network):
        program = build_protocol(name, network, parameters)
        return program, qubits or program.qubits

    return build


PAIR = ("n0/0", "n1/0")
DENSE = {
    "teleportation": (chain(2, qubits=3), teleported),
    "swapping": (chain(3, qubits=2), swapped),
    "cat cx": (chain(2, qubits=3), far_gate("cx", "cat")),
    "cat ch": (chain(2, qubits=3), far_gate("ch", "cat")),
    "cat cp": (chain(2, qubits=3), far_gate("cp", "cat", 0.7)),
    "teleport cu": (chain(2, qubits=3), far_gate("cu", "teleport", 0.3, 0.4, 0.5, 0.6)),
    "teleport back swap": (chain(2, qubits=3), far_gate("swap", "teleport_back")),
    "teleport back rxx": (chain(2, qubits=3), far_gate("rxx", "teleport_back", 0.4)),
    "bbpssw": (chain(2, qubits=2), named("purification", PAIR, between=("n0", "n1"), scheme="bbpssw")),
    "dejmps": (chain(2, qubits=2), named("purification", PAIR, between=("n0", "n1"), scheme="dejmps")),
    "two rounds of dejmps": (chain(2, qubits=3), named("purification", PAIR, between=("n0", "n1"), rounds=2)),
    "ghz on a chain": (chain(4, qubits=2), named("ghz_state")),
    "ghz on a star": (star(3, qubits=4), named("ghz_state")),
    "graph state": (chain(3, qubits=2), named("graph_state")),
    "superdense coding": (chain(2, qubits=2), named("superdense_coding", (), sender="n0", receiver="n1", message="01")),
    "repeater chain": (chain(4, qubits=2), named("repeater_chain")),
}


@pytest.mark.parametrize("device", [IDEAL, ROUGH], ids=lambda device: device.name)
@pytest.mark.parametrize("name", DENSE)
def test_a_protocol_does_what_a_dense_simulation_of_its_steps_does(name, device):
    shape, build = DENSE[name]
    nodes = tuple(Node(node.name, node.qubits, device) for node in shape.nodes)
    links = tuple(Link(between=link.between, fidelity=0.9 - 0.07 * k) for k, link in enumerate(shape.links))
    network = Network(nodes, links)
    program, qubits = build(network)

    found = simulate(program, network)

    reference = dense_run(program, network)
    probability = np.trace(reference.state([])).real
    assert float(found["results/success_probability"]) == pytest.approx(probability, abs=EXACT)
    if qubits:
        assert np.allclose(found.state(qubits).matrix(), reference.state(list(qubits)) / probability, atol=EXACT)
    for outcome, p in reference.distribution(program.bits).items():
        if program.bits:
            assert found.probability(outcome) == pytest.approx(p / probability, abs=EXACT)


# -- pairs


def random_weights(seed):
    return np.random.default_rng(seed).dirichlet([2.0, 1.0, 1.0, 1.0])


def purified(scheme, first, second):
    """Fidelity, the four weights and the success probability after one round on two given states."""
    kept, spent = ("n0/0", "n1/0"), ("n0/1", "n1/1")
    steps = (Prepare(kept, first), Prepare(spent, second), *scheme(kept, spent).steps)
    result = simulate(steps, chain(2, qubits=2))
    state = result.state(kept)
    weights = [float(bell_fidelity(state, kind)) for kind in ("phi+", "phi-", "psi+", "psi-")]
    return state, np.array(weights), float(result["results/success_probability"])


@pytest.mark.parametrize("seed", range(8))
def test_dejmps_maps_bell_diagonal_pairs_as_its_docstring_says(seed):
    """In the order A, B, C, D of Φ⁺, Ψ⁻, Ψ⁺, Φ⁻; two different pairs mix bilinearly."""
    (a1, d1, c1, b1), (a2, d2, c2, b2) = random_weights(seed), random_weights(seed + 100)
    n = (a1 + b1) * (a2 + b2) + (c1 + d1) * (c2 + d2)
    a, b, c, d = a1 * a2 + b1 * b2, c1 * d2 + d1 * c2, c1 * c2 + d1 * d2, a1 * b2 + b1 * a2

    state, weights, success = purified(dejmps, bell_diagonal((a1, d1, c1, b1)), bell_diagonal((a2, d2, c2, b2)))

    assert success == pytest.approx(n, abs=EXACT)
    assert np.allclose(weights, np.array([a, d, c, b]) / n, atol=EXACT)
    assert np.allclose(state.vector, bell_diagonal(weights).vector, atol=EXACT)


@pytest.mark.parametrize("seed", range(4))
def test_dejmps_rounds_follow_the_recurrence(seed):
    weights = random_weights(seed)
    network = chain(2, qubits=4, link={"weights": tuple(weights)})

    result = simulate(build_protocol("purification", network, {"between": ("n0", "n1"), "rounds": 3}), network)

    a, d, c, b = weights
    for _ in range(3):
        n = (a + b) ** 2 + (c + d) ** 2
        a, b, c, d = (a * a + b * b) / n, 2 * c * d / n, (c * c + d * d) / n, 2 * a * b / n
    state = result.state(PAIR)
    assert float(result["results/herald_probability"][-1]) == pytest.approx(n, abs=EXACT)
    assert np.allclose(state.vector, bell_diagonal((a, d, c, b)).vector, atol=EXACT)


def bbpssw_round(f, g):
    """Fidelity and success probability for Werner pairs of fidelities f and g."""
    bad, worse = (1 - f) / 3, (1 - g) / 3
    n = f * g + f * worse + bad * g + 5 * bad * worse
    return (f * g + bad * worse) / n, n


@pytest.mark.parametrize("seed", range(6))
def test_bbpssw_depends_on_the_fidelities_of_any_two_pairs_only(seed):
    first, second = random_state(seed, 2), random_state(seed + 50, 2)
    expected, n = bbpssw_round(float(bell_fidelity(first)), float(bell_fidelity(second)))

    _, weights, success = purified(bbpssw, first, second)

    assert success == pytest.approx(n, abs=EXACT)
    assert np.allclose(weights, [expected, *[(1 - expected) / 3] * 3], atol=EXACT)


@pytest.mark.parametrize("fidelity", [0.55, 0.7, 0.85, 0.99])
def test_bbpssw_rounds_follow_the_recurrence(fidelity):
    network = chain(2, qubits=4, link={"fidelity": fidelity})
    parameters = {"between": ("n0", "n1"), "rounds": 3, "scheme": "bbpssw"}

    result = simulate(build_protocol("purification", network, parameters), network)

    expected, successes = fidelity, []
    for _ in range(3):
        expected, n = bbpssw_round(expected, expected)
        successes.append(n)
    assert bell_fidelity(result.state(PAIR)) == pytest.approx(expected, abs=EXACT)
    whole = successes[0] ** 4 * successes[1] ** 2 * successes[2]
    assert float(result["results/success_probability"]) == pytest.approx(whole, abs=EXACT)


@pytest.mark.parametrize("generation", ["parallel", "sequential"])
@pytest.mark.parametrize("seed", range(3))
def test_swaps_of_unequal_werner_links_multiply_their_weights(generation, seed):
    fidelities = np.random.default_rng(seed).uniform(0.6, 1.0, 5)
    network = Network(
        tuple(Node(f"n{i}", 2) for i in range(6)),
        tuple(Link(between=(f"n{i}", f"n{i + 1}"), fidelity=f) for i, f in enumerate(fidelities)),
    )

    state = simulate(repeater_chain(network, generation=generation), network).state(("n0/0", "n5/0"))

    assert bell_fidelity(state) == pytest.approx(0.25 + 0.75 * np.prod((4 * fidelities - 1) / 3), abs=EXACT)


@pytest.mark.parametrize("seed", range(4))
def test_swaps_of_bell_diagonal_links_add_their_errors(seed):
    """A Bell state is a bit flip and a phase flip of Φ⁺; over a chain both add modulo 2."""
    weights = [random_weights(seed * 10 + i) for i in range(3)]
    network = Network(
        tuple(Node(f"n{i}", 2) for i in range(4)),
        tuple(Link(between=(f"n{i}", f"n{i + 1}"), weights=tuple(w)) for i, w in enumerate(weights)),
    )

    state = simulate(repeater_chain(network), network).state(("n0/0", "n3/0"))

    expected = np.zeros(4)
    for errors in itertools.product(range(4), repeat=3):
        total = reduce(lambda a, b: a ^ b, errors)
        expected[total] += np.prod([w[e] for w, e in zip(weights, errors, strict=True)])
    assert np.allclose(state.vector, bell_diagonal(expected).vector, atol=EXACT)


def test_a_chain_may_follow_any_path_and_leaves_other_nodes_alone():
    network = grid(2, 3, qubits=2, link={"fidelity": 0.9})
    path = ("n0_0", "n1_0", "n1_1", "n0_1", "n0_2")

    state = simulate(repeater_chain(network, path=path), network).state(("n0_0/0", "n0_2/0"))

    assert bell_fidelity(state) == pytest.approx(0.25 + 0.75 * (2.6 / 3) ** 4, abs=EXACT)


@pytest.mark.parametrize("generation", ["parallel", "sequential"])
@pytest.mark.parametrize(("scheme", "rounds"), [("bbpssw", 1), ("dejmps", 2)])
def test_purified_chains_purify_every_link_first(generation, scheme, rounds):
    network = chain(4, qubits=2 * (rounds + 1), link={"fidelity": 0.8})
    program = repeater_chain(network, generation=generation, purification=scheme, rounds=rounds)

    result = simulate(program, network)

    single = chain(2, qubits=rounds + 1, link={"fidelity": 0.8})
    parameters = {"between": ("n0", "n1"), "scheme": scheme, "rounds": rounds}
    one = simulate(build_protocol("purification", single, parameters), single)
    weights = [float(bell_fidelity(one.state(PAIR), k)) for k in ("phi+", "phi-", "psi+", "psi-")]
    swapped_weights = [0.0] * 4
    for errors in itertools.product(range(4), repeat=3):
        swapped_weights[errors[0] ^ errors[1] ^ errors[2]] += math.prod(weights[e] for e in errors)
    state = result.state(("n0/0", "n3/0"))
    assert np.allclose(state.vector, bell_diagonal(swapped_weights).vector, atol=EXACT)
    success = float(one["results/success_probability"]) ** 3
    assert float(result["results/success_probability"]) == pytest.approx(success, abs=EXACT)


# -- states of many nodes

SHAPES = {
    "two nodes": chain(2, qubits=4),
    "chain": chain(5, qubits=4),
    "star": star(4, qubits=5),
    "ring": ring(5, qubits=4),
    "grid": grid(2, 3, qubits=4),
    "complete": complete(4, qubits=4),
    "tree": Network.from_networkx(nx.balanced_tree(2, 2), qubits=4),
}


def with_weights(network, weights):
    """The same network with Bell-diagonal links."""
    return Network(network.nodes, tuple(Link(between=link.between, weights=weights) for link in network.links))


def ghz_matrix(n):
    ket = np.zeros(2**n)
    ket[[0, -1]] = math.sqrt(0.5)
    return np.outer(ket, ket)


@pytest.mark.parametrize("shape", SHAPES)
def test_perfect_links_give_a_ghz_state_of_all_nodes(shape):
    network = SHAPES[shape]
    program = build_protocol("ghz_state", network, {})

    result = simulate(program, network)

    assert len(program.qubits) == len(network.nodes)
    assert np.allclose(result.state(program.qubits).matrix(), ghz_matrix(len(network.nodes)), atol=EXACT)
    assert result.attributes["total_pairs_made"] == len(network.nodes) - 1


@pytest.mark.parametrize("shape", SHAPES)
def test_ghz_states_inherit_the_errors_of_their_pairs(shape):
    """Phase flips of pairs add up modulo 2; any bit flip leaves the GHZ state."""
    network, p = SHAPES[shape], 0.03
    pairs = len(network.nodes) - 1
    for weights, expected in (
        ((1 - p, p, 0.0, 0.0), (1 + (1 - 2 * p) ** pairs) / 2),
        ((1 - p, 0.0, p, 0.0), (1 - p) ** pairs),
    ):
        noisy = with_weights(network, weights)
        program = build_protocol("ghz_state", noisy, {})

        matrix = simulate(program, noisy).state(program.qubits).matrix()

        assert np.trace(matrix @ ghz_matrix(pairs + 1)).real == pytest.approx(expected, abs=EXACT)


def test_a_ghz_state_of_some_nodes_may_grow_from_any_root():
    network = grid(2, 3, qubits=4)
    nodes = ("n0_0", "n0_1", "n1_1")
    for root in nodes:
        program = build_protocol("ghz_state", network, {"root": root, "nodes": nodes})

        state = simulate(program, network).state(program.qubits)

        assert program.qubits == tuple(f"{name}/0" for name in nodes)
        assert np.allclose(state.matrix(), ghz_matrix(3), atol=EXACT)


def graph_matrix(n, edges):
    bits = np.indices((2,) * n).reshape(n, -1)
    ket = np.prod([(-1.0) ** (bits[i] * bits[j]) for i, j in edges], axis=0) / 2 ** (n / 2)
    return np.outer(ket, ket)


@pytest.mark.parametrize("shape", ["chain", "star", "ring", "grid", "complete"])
def test_perfect_links_give_the_graph_state_of_the_network(shape):
    network = SHAPES[shape]
    names = [node.name for node in network.nodes]
    program = build_protocol("graph_state", network, {})

    result = simulate(program, network)

    edges = [(names.index(a), names.index(b)) for a, b in (link.between for link in network.links)]
    assert np.allclose(result.state(program.qubits).matrix(), graph_matrix(len(names), edges), atol=EXACT)
    assert result.attributes["total_pairs_used"] == len(edges)
    assert result.attributes["total_bits_sent"] == 2 * len(edges)


def test_a_graph_state_may_use_some_of_the_links():
    network = complete(4, qubits=2)
    program = build_protocol("graph_state", network, {"edges": [("n0", "n2"), ("n2", "n3")]})

    state = simulate(program, network).state(program.qubits)

    assert program.qubits == ("n0/0", "n2/0", "n3/0")
    assert np.allclose(state.matrix(), graph_matrix(3, [(0, 1), (1, 2)]), atol=EXACT)


# -- gates between nodes


def choi_of(two):
    """The Choi matrix of a gate in the order reference 0, reference 1, qubit 0, qubit 1."""
    ket = sum(np.kron(np.eye(4)[:, k], two.unitary[:, k]) for k in range(4)) / 2
    return np.outer(ket, ket.conj())


ISWAP = unitary_gate(np.array([[1, 0, 0, 0], [0, 0, 1j, 0], [0, 1j, 0, 0], [0, 0, 0, 1]]), "iswap")
CONTROLLED = [gate("cx"), gate("cz"), gate("cy"), gate("ch"), gate("cp", 0.9), gate("crx", 1.1), gate("rzz", 0.3)]
OTHERS = [gate("swap"), gate("rxx", 0.7), ISWAP]
REMOTE = [(two, scheme) for two in CONTROLLED for scheme in ("cat", "teleport", "teleport_back")]
REMOTE += [(two, scheme) for two in OTHERS for scheme in ("teleport", "teleport_back")]


@pytest.mark.parametrize(("two", "scheme"), REMOTE, ids=lambda value: getattr(value, "name", value))
def test_a_remote_gate_over_perfect_pairs_is_the_gate(two, scheme):
    pair, back = ("n0/2", "n1/2"), ("n1/3", "n0/3")
    steps = [Prepare((f"{node}/{k}",)) for node in ("n0", "n1") for k in (0, 1)]
    for node in ("n0", "n1"):
        steps += [apply("h", f"{node}/0"), apply("cx", f"{node}/0", f"{node}/1")]
    remote = remote_gate(two, "n0/1", "n1/1", pair, scheme=scheme, return_pair=back)
    steps += [Generate((pair,)), Generate((back,)), *remote.steps]

    state = simulate(steps, two_nodes(1.0)).state(("n0/0", "n1/0", *remote.qubits))

    assert np.allclose(state.matrix(), choi_of(two), atol=EXACT)


@pytest.mark.parametrize("fidelity", [0.6, 0.9, 0.97])
def test_process_fidelities_of_a_remote_cnot_over_werner_pairs(fidelity):
    """There and back, two errors cancel only if both are Z: an X on the way there is copied to the target."""
    network = two_nodes(fidelity)
    expected = {"cat": fidelity, "teleport": fidelity, "teleport_back": fidelity**2 + ((1 - fidelity) / 3) ** 2}
    for scheme, value in expected.items():
        program = build_protocol("remote_cnot", network, {"control": "n0", "target": "n1", "scheme": scheme})

        state = simulate(program, network).state(program.qubits)

        assert np.trace(state.matrix() @ choi_of(gate("cx"))).real == pytest.approx(value, abs=EXACT)


@pytest.mark.parametrize("fidelity", [0.3, 0.75, 1.0])
def test_teleportation_over_a_werner_pair_has_its_fidelity_for_a_half_and_2f_plus_1_over_3_for_states(fidelity):
    network = two_nodes(fidelity)
    program = build_protocol("teleportation", network, {"source": "n0", "destination": "n1"})

    process = bell_fidelity(simulate(program, network).state(program.qubits))

    values = []
    for axis, sign in itertools.product("XYZ", (1, -1)):
        target = (np.eye(2) + sign * PAULI[axis]) / 2
        pair = ("n0/1", "n1/0")
        steps = (Prepare(("n0/0",), from_matrix(target)), Generate((pair,)), *teleport("n0/0", pair).steps)
        values.append(np.trace(simulate(steps, network).state(("n1/0",)).matrix() @ target).real)
    assert process == pytest.approx(fidelity, abs=EXACT)
    assert np.mean(values) == pytest.approx((2 * fidelity + 1) / 3, abs=EXACT)


@pytest.mark.parametrize("message", ["00", "01", "10", "11"])
def test_superdense_coding_carries_two_bits(message):
    """Over Werner pairs both of them must be right: the message survives with the fidelity of two swapped pairs."""
    parameters = {"sender": "n0", "receiver": "n1", "message": message}
    perfect, noisy = two_nodes(1.0), two_nodes(0.8)

    clean, blurred = (simulate(build_protocol("superdense_coding", n, parameters), n) for n in (perfect, noisy))

    assert clean.probability(message) == pytest.approx(1.0, abs=EXACT)
    assert blurred.probability(message) == pytest.approx(0.8**2 + 0.2**2 / 3, abs=EXACT)
    assert clean.attributes["total_bits_sent"] == 2


# -- the catalog

LARGEST = {
    "pair_generation": (chain(2), {}, 1.0),
    "teleportation": (chain(2, qubits=3), {"source": "n0", "destination": "n1"}, 1.0),
    "entanglement_swapping": (chain(3, qubits=2), {"left": "n0", "center": "n1", "right": "n2"}, 1.0),
    "repeater_chain": (chain(3, qubits=2), {}, 1.0),
    "purification": (chain(2, qubits=2), {"between": ["n0", "n1"]}, 1.0),
    "remote_cnot": (chain(2, qubits=4), {"control": "n0", "target": "n1"}, 0.5),
    "ghz_state": (chain(3, qubits=2), {}, 1.0),
    "graph_state": (chain(3, qubits=2), {}, 0.25),
    "superdense_coding": (chain(2, qubits=2), {"sender": "n0", "receiver": "n1"}, 1.0),
}
"""A network, parameters, and the largest fidelity with Φ⁺ of any recorded pair; those of graph states are not Φ⁺."""


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_of_the_catalog_runs_and_records_its_pairs(name):
    network, parameters, expected = LARGEST[name]

    result = simulate(build_protocol(name, network, parameters), network)

    assert np.nanmax(result["metrics/fidelity"]) == pytest.approx(expected)


def test_pairs_over_all_links_use_memories_in_order():
    program = build_protocol("pair_generation", ring(3, qubits=2), {})

    assert program.pairs == (("n0/0", "n1/0"), ("n1/1", "n2/0"), ("n2/1", "n0/1"))


ONE, TWO = chain(3, qubits=1), chain(3, qubits=2)
REFUSED = [
    (
        "teleprotation",
        ONE,
        {},
        "`protocol` must be one that exists, but 'teleprotation' is none. Did you mean 'teleportation'?",
    ),
    (
        "repeater_chain",
        ONE,
        {"round": 2},
        "Protocol 'repeater_chain' has no parameter 'round'. Did you mean 'rounds'?",
    ),
    (
        "teleportation",
        ONE,
        {"source": "n0"},
        "Protocol 'teleportation' must be given `destination`, but it is missing.",
    ),
    (
        "repeater_chain",
        ONE,
        {},
        "`qubits` of node 'n1' must be at least 2 for this chain, but is 1. Give it more memories or use fewer rounds.",
    ),
    ("repeater_chain", TWO, {"path": ["n0", "n2"]}, "No link joins 'n0' and 'n2'. 'n0' has links to: n1."),
    ("repeater_chain", TWO, {"path": ["n0"]}, "`path` must name at least two different nodes, but is ['n0']."),
    ("repeater_chain", TWO, {"generation": "lazy"}, "`generation` must be one of parallel, sequential, but is 'lazy'."),
    (
        "repeater_chain",
        TWO,
        {"purification": "magic"},
        "`purification` must be one of none, bbpssw, dejmps, but is 'magic'.",
    ),
    (
        "repeater_chain",
        TWO,
        {"purification": "dejmps", "rounds": 0},
        "`rounds` must be from 1 to 10 (each doubles the pairs), but is 0.",
    ),
    (
        "purification",
        ONE,
        {"between": ["n0", "n1"]},
        "`qubits` of node 'n0' must be at least 2 for this protocol, but is 1. Give it more memories.",
    ),
    ("purification", TWO, {"between": ["n0"]}, "`between` must be the names of two nodes, but is ['n0']."),
    (
        "purification",
        TWO,
        {"between": ["n0", "n1"], "scheme": "magic"},
        "`scheme` must be one of bbpssw, dejmps, but is 'magic'.",
    ),
    (
        "ghz_state",
        star(3, qubits=2),
        {},
        "`qubits` of node 'hub' must be at least 3 for this GHZ state, but is 2. "
        "Give it one memory for its own qubit and one for each child.",
    ),
    (
        "ghz_state",
        TWO,
        {"nodes": ["n0", "n2"]},
        "The nodes of a GHZ state must be at least two and joined by links, but only 1 of 2 are reached from 'n0'.",
    ),
    (
        "ghz_state",
        TWO,
        {"nodes": ["n0", "n1"], "root": "n2"},
        "`root` must be one of the nodes n0, n1, but is 'n2'.",
    ),
    (
        "graph_state",
        ONE,
        {},
        "`qubits` of node 'n0' must be at least 2 for a graph state (one of its own, one for pairs), but is 1.",
    ),
    (
        "superdense_coding",
        TWO,
        {"sender": "n0", "receiver": "n1", "message": "2"},
        "`message` must be two characters 0 or 1, but is '2'.",
    ),
    (
        "pair_generation",
        Network((Node("a"),)),
        {},
        "`links` must hold at least one link to generate a pair, but the network has none.",
    ),
]


@pytest.mark.parametrize(("name", "network", "parameters", "sentence"), REFUSED)
def test_what_a_protocol_cannot_do_is_refused_with_a_sentence(name, network, parameters, sentence):
    with pytest.raises(QdistError) as error:
        build_protocol(name, network, parameters)

    assert str(error.value) == sentence
