"""A network knows its nodes, links, paths and delays, and names what is wrong with one that cannot be."""

import math
import re
import time

import networkx as nx
import pytest

from qdist.errors import QdistError
from qdist.network.devices import IDEAL, Device, device
from qdist.network.graph import (
    Network,
    Node,
    chain,
    complete,
    grid,
    random_network,
    ring,
    star,
)
from qdist.network.links import SPEED_OF_LIGHT_IN_FIBER, Link

ALICE, BOB, CAROL, DAVE = Node("alice", 2), Node("bob", 3), Node("carol"), Node("dave")


def line():
    """A line alice –10 km– bob –5 km– carol, and dave alone."""
    links = (Link(between=("alice", "bob"), length=10e3), Link(between=("carol", "bob"), length=5e3))
    return Network((ALICE, BOB, CAROL, DAVE), links)


NETWORK_REFUSED = [
    (lambda: Network(()), "A network must have at least one node, but has none."),
    (lambda: Network((ALICE, Node("alice"))), "Node names must be unique, but 'alice' is used twice."),
    (
        lambda: Network((ALICE, BOB), (Link(between=("alice", "bbo")),)),
        "A link must join two nodes of the network, but alice-bbo ends at 'bbo'. Did you mean 'bob'?",
    ),
    (
        lambda: Network((ALICE, BOB), (Link(between=("alice", "bob")), Link(between=("bob", "alice")))),
        "Two nodes must have at most one link, but alice-bob is given twice. Remove one.",
    ),
    (lambda: Node("alice", 0), "`qubits` of node 'alice' must be an integer of at least 1, but is 0."),
    (lambda: Node("alice", 1.0), "`qubits` of node 'alice' must be an integer of at least 1, but is 1.0."),
    (lambda: Node("alice", True), "`qubits` of node 'alice' must be an integer of at least 1, but is True."),
    (
        lambda: Node("alice", 1, "color_center"),
        "`device` of node 'alice' must be a Device, but is 'color_center'. "
        'For a preset, write `device("color_center")`.',
    ),
    (lambda: Node("alice/0"), "A node name must be a letter followed by letters, digits, '_', '.' or '-', but is"),
    (lambda: line().node("bbo"), "No node is called 'bbo'. Did you mean 'bob'?"),
    (lambda: line().neighbors("bbo"), "No node is called 'bbo'. Did you mean 'bob'?"),
    (lambda: line().path("alice", "bbo"), "No node is called 'bbo'. Did you mean 'bob'?"),
    (lambda: line().path("bbo", "bbo"), "No node is called 'bbo'. Did you mean 'bob'?"),
    (lambda: line().link("alice", "bbo"), "No node is called 'bbo'. Did you mean 'bob'?"),
    (lambda: line().link("alice", "carol"), "No link joins 'alice' and 'carol'. 'alice' has links to: bob."),
    (lambda: line().link("dave", "carol"), "No link joins 'dave' and 'carol'. 'dave' has links to: no node."),
    (
        lambda: line().message_delay("alice", "dave"),
        "Nodes 'alice' and 'dave' must be joined by a path of links, but are not.",
    ),
    (
        lambda: line().node_of("alice"),
        "Qubit names must be `node/number`, but got 'alice'. Did you mean 'alice/0'?",
    ),
    (lambda: line().node_of("alice/00"), "Qubit names must be `node/number`, but got 'alice/00'. Did you mean"),
    (lambda: line().node_of("alice/-1"), "Qubit names must be `node/number`, but got 'alice/-1'. Did you mean"),
    (lambda: line().node_of(3), "Qubit names must be `node/number`, but got 3."),
    (
        lambda: line().node_of("bbo/0"),
        "Qubit 'bbo/0' must be on a node of the network, but no node is called 'bbo'. Did you mean 'bob'?",
    ),
    (
        lambda: line().node_of("alice/2"),
        "The number of qubit 'alice/2' must be less than 2, the `qubits` of node 'alice', but is 2. "
        "Give the node more qubits or use another.",
    ),
    (lambda: chain(0), "`n` must be an integer of at least 1, but is 0."),
    (lambda: ring(2), "`n` must be an integer of at least 3, but is 2."),
    (lambda: star(0), "`n` must be an integer of at least 1, but is 0."),
    (lambda: grid(0, 2), "`rows` must be an integer of at least 1, but is 0."),
    (lambda: grid(2, 1.5), "`columns` must be an integer of at least 1, but is 1.5."),
    (lambda: complete("3"), "`n` must be an integer of at least 1, but is '3'."),
    (lambda: chain(2, link={"lenght": 1.0}), "A link template has no field 'lenght'. Did you mean 'length'?"),
    (
        lambda: random_network(3, seed=0),
        "Exactly one of `probability` and `radius` must be given, but got neither.",
    ),
    (
        lambda: random_network(3, seed=0, probability=0.1, radius=1.0),
        "Exactly one of `probability` and `radius` must be given, but got both.",
    ),
    (
        lambda: random_network(3, seed=0, probability=1.1),
        "`probability` must be a probability in [0, 1], but is 1.1.",
    ),
    (lambda: random_network(3, seed=0, radius=-1.0), "`radius` must be at least 0 m, but is -1.0."),
    (lambda: random_network(3, seed=0, radius=1.0, side=math.inf), "`side` must be finite (m), but is inf."),
    (
        lambda: Network.from_networkx(nx.DiGraph()),
        "`graph` must be undirected without parallel edges, but is a DiGraph.",
    ),
    (
        lambda: Network.from_networkx(nx.path_graph(2), lenght=1.0),
        "Neither a node nor a link has a field 'lenght'. Did you mean 'length'?",
    ),
]


@pytest.mark.parametrize(("action", "sentence"), NETWORK_REFUSED)
def test_a_mistake_is_named_in_its_sentence(action, sentence):
    with pytest.raises(QdistError) as error:
        action()
    assert str(error.value).startswith(sentence)


def test_qubits_are_listed_node_by_node():
    assert line().qubit_names == ("alice/0", "alice/1", "bob/0", "bob/1", "bob/2", "carol/0", "dave/0")


def test_each_qubit_has_its_one_owner():
    network = line()
    for node in network.nodes:
        for name in node.qubit_names:
            assert network.node_of(name) is node


def test_links_are_found_in_either_order():
    network = line()
    assert network.link("bob", "alice") is network.link("alice", "bob") is network.links[0]
    assert network.has_link("bob", "carol")
    assert not network.has_link("alice", "carol")
    assert network.neighbors("bob") == ("alice", "carol")
    assert network.neighbors("dave") == ()


def test_a_message_takes_the_length_of_its_path_over_the_speed_in_fiber():
    network = line()
    for a, b, meters in [("alice", "bob", 10e3), ("alice", "carol", 15e3), ("carol", "alice", 15e3), ("bob", "bob", 0)]:
        assert network.distance(a, b) == pytest.approx(meters)
        assert network.message_delay(a, b) == pytest.approx(meters / SPEED_OF_LIGHT_IN_FIBER)
    assert network.path("carol", "alice") == ("carol", "bob", "alice")
    assert network.path("bob", "bob") == ("bob",)


def test_a_direct_link_carries_the_message_even_if_a_detour_is_shorter():
    links = [
        Link(between=("alice", "bob"), length=10e3),
        Link(between=("alice", "carol"), length=1e3),
        Link(between=("carol", "bob"), length=1e3),
    ]
    network = Network((ALICE, BOB, CAROL), links)
    assert network.path("alice", "bob") == ("alice", "bob")
    assert network.distance("alice", "bob") == 10e3


@pytest.mark.parametrize("seed", range(5))
def test_paths_between_strangers_are_the_shortest_by_length(seed):
    network = random_network(40, seed=seed, radius=30e3)
    graph = nx.Graph()
    graph.add_nodes_from(node.name for node in network.nodes)
    graph.add_weighted_edges_from((*link.between, link.length) for link in network.links)
    lengths = dict(nx.all_pairs_dijkstra_path_length(graph))
    strangers = [(a, b) for a in lengths for b in lengths[a] if a != b and not network.has_link(a, b)]
    assert len(strangers) > 100
    for a, b in strangers[:: len(strangers) // 50]:
        assert network.distance(a, b) == pytest.approx(lengths[a][b], rel=1e-12)


def test_gradients_go_through_the_delay_of_a_repeater_chain():
    import jax

    def delay(length):
        return chain(4, link={"length": length}).message_delay("n0", "n3")

    assert jax.grad(delay)(1e3) == pytest.approx(3 / SPEED_OF_LIGHT_IN_FIBER, rel=1e-6)


def _edges(network):
    return {frozenset(link.between) for link in network.links}


@pytest.mark.parametrize(
    ("network", "reference", "names"),
    [
        (chain(5), nx.path_graph(5), ["n0", "n1", "n2", "n3", "n4"]),
        (chain(1), nx.path_graph(1), ["n0"]),
        (ring(4), nx.cycle_graph(4), ["n0", "n1", "n2", "n3"]),
        (star(3), nx.star_graph(3), ["hub", "n0", "n1", "n2"]),
        (grid(2, 3), nx.grid_2d_graph(2, 3), ["n0_0", "n0_1", "n0_2", "n1_0", "n1_1", "n1_2"]),
        (complete(4), nx.complete_graph(4), ["n0", "n1", "n2", "n3"]),
    ],
)
def test_constructors_build_the_graphs_of_their_names(network, reference, names):
    assert [node.name for node in network.nodes] == names
    labels = dict(zip(reference, names, strict=True))
    assert _edges(network) == {frozenset((labels[a], labels[b])) for a, b in reference.edges}


@pytest.mark.parametrize(
    "build",
    [
        lambda **same: chain(3, **same),
        lambda **same: ring(3, **same),
        lambda **same: star(3, **same),
        lambda **same: grid(2, 2, **same),
        lambda **same: complete(3, **same),
        lambda **same: random_network(4, seed=0, probability=1.0, **same),
    ],
)
def test_constructors_give_all_nodes_and_links_the_same_hardware(build):
    ion = device("trapped_ion")
    template = Link(between=("x", "y"), length=7.0, fidelity=0.9)
    for link in (template, {"length": 7.0, "fidelity": 0.9}):
        network = build(qubits=2, device=ion, link=link, prefix="lab")
        assert {(node.qubits, node.device) for node in network.nodes} == {(2, ion)}
        assert {(one.length, one.fidelity) for one in network.links} == {(7.0, 0.9)}
        assert all(re.fullmatch("lab[0-9_]+|hub", node.name) for node in network.nodes)


def test_a_random_network_has_about_the_expected_links_and_repeats_with_its_seed():
    network = random_network(400, seed=1, probability=0.05)
    mean, variance = 0.05 * 79800, 0.05 * 0.95 * 79800
    assert abs(len(network.links) - mean) < 5 * math.sqrt(variance)
    assert network == random_network(400, seed=1, probability=0.05)
    assert _edges(network) != _edges(random_network(400, seed=2, probability=0.05))


def test_a_geometric_network_links_what_is_near_with_the_length_between():
    network = random_network(60, seed=3, radius=20e3, side=50e3, link={"fidelity": 0.8, "length": 1.0})
    assert 0 < max(link.length for link in network.links) <= 20e3
    assert {link.fidelity for link in network.links} == {0.8}
    for a, b, c in [(a, b, c) for a in "012" for b in "345" for c in "678"]:
        sides = [("n" + a, "n" + b), ("n" + b, "n" + c), ("n" + a, "n" + c)]
        if all(network.has_link(*side) for side in sides):
            x, y, z = sorted(network.link(*side).length for side in sides)
            assert z <= x + y
    assert len(random_network(60, seed=3, radius=1e6).links) == 60 * 59 // 2


def test_a_network_survives_the_way_through_networkx():
    network = Network(
        (Node("alice", 2, Device(name="x", t1=1.0, t2=1.0)), BOB, CAROL),
        (
            Link(between=("bob", "alice"), length=3.0, weights=[0.7, 0.1, 0.1, 0.1], attempt_duration=1.0),
            Link(between=("carol", "bob"), success_probability=0.5),
        ),
    )
    assert Network.from_networkx(network.to_networkx()) == network


def test_a_plain_graph_takes_defaults_and_usual_names():
    graph = nx.path_graph(3)
    graph.nodes[0]["qubits"] = 4
    graph.nodes[0]["color"] = "red"
    graph.edges[0, 1]["length"] = 5.0
    network = Network.from_networkx(graph, qubits=2, length=1.0, fidelity=0.9)
    assert [(node.name, node.qubits, node.device) for node in network.nodes] == [
        ("n0", 4, IDEAL),
        ("n1", 2, IDEAL),
        ("n2", 2, IDEAL),
    ]
    assert [(link.name, link.length, link.fidelity) for link in network.links] == [
        ("n0-n1", 5.0, 0.9),
        ("n1-n2", 1.0, 0.9),
    ]
    assert Network.from_networkx(nx.grid_2d_graph(1, 2)).links[0].name == "n0_0-n0_1"


def test_ten_thousand_nodes_are_built_and_asked_quickly(monkeypatch):
    start = time.perf_counter()
    network = chain(10_000, qubits=2, link={"length": 1e3})
    for i in range(0, 9_999, 10):
        network.message_delay(f"n{i}", f"n{i + 1}")
        network.node_of(f"n{i}/1")
        network.neighbors(f"n{i}")
    assert time.perf_counter() - start < 10
    assert network.distance("n0", "n9999") == pytest.approx(9999e3)
    monkeypatch.setattr(nx, "bidirectional_dijkstra", None)
    assert network.distance("n0", "n9999") == pytest.approx(9999e3)
    assert network.distance("n7", "n8") == 1e3
