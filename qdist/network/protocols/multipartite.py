"""States shared by many nodes: GHZ states and graph states, made from pairs over the links."""

from collections.abc import Sequence

from qdist.errors import QdistError
from qdist.network.graph import Network
from qdist.network.program import Generate, Measure, Prepare, Program, Record, Send, Step, apply, bit_is
from qdist.network.protocols.remote_gates import remote_gate


def ghz_state(network: Network, *, root: str = "", nodes: Sequence[str] = ()) -> Program:
    """A GHZ state over k nodes, grown along a tree of links: k−1 pairs, k−1 bits.

    The root's qubit and the near half of a pair are compared by a CNOT and a measurement, which joins the far half to
    the state; each node does the same for its children. All pairs are made in one step.

    Args:
        network: Every node needs one memory, and one more for each child in the tree.
        root: Where the tree begins; the node with the most links if empty.
        nodes: The nodes of the GHZ state, connected by links; all if empty.
    """
    names = tuple(nodes) or tuple(node.name for node in network.nodes)
    root = network.node(root or max(names, key=lambda name: len(network.neighbors(name)))).name
    edges = _tree(network, names, root)
    memory = _child_memories(network, edges)
    first, *others = [(memory[parent, child], f"{child}/0") for parent, child in edges]
    root_qubit = f"{root}/0"
    steps: list[Step] = [Generate(tuple([(root_qubit, first[1]), *others])), Record("pairs up")]
    for (parent, child), (near, far) in zip(edges[1:], others, strict=True):
        bit = f"{child}.join"
        steps += [
            apply("cx", f"{parent}/0", near),
            Measure(near, bit),
            Send((bit,), parent, child),
            apply("x", far, when=bit_is(bit)),
        ]
    qubits = tuple(f"{name}/0" for name in names)
    steps.append(Record("ghz"))
    pairs = tuple((root_qubit, q) for q in qubits if q != root_qubit)
    return Program(tuple(steps), "ghz_state", pairs=pairs, qubits=qubits)


def _tree(network: Network, names: Sequence[str], root: str) -> list[tuple[str, str]]:
    """Edges (parent, child) of a breadth-first tree inside the given nodes."""
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(network.node(name).name for name in names)
    graph.add_edges_from(link.between for link in network.links if set(link.between) <= set(names))
    if root not in graph:
        raise QdistError(f"`root` must be one of the nodes {', '.join(names)}, but is '{root}'.")
    edges = list(nx.bfs_edges(graph, root))
    if len(edges) != len(graph) - 1 or not edges:
        raise QdistError(
            f"The nodes of a GHZ state must be at least two and joined by links, but only {len(edges) + 1} of "
            f"{len(graph)} are reached from '{root}'."
        )
    return edges


def _child_memories(network: Network, edges: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A memory at the parent for each child; memory 0 holds the node's own qubit of the state."""
    memory, used = {}, {name: 1 for edge in edges for name in edge}
    root, first_child = edges[0]
    memory[root, first_child] = f"{root}/0"
    for parent, child in edges[1:]:
        if used[parent] >= network.node(parent).qubits:
            raise QdistError(
                f"`qubits` of node '{parent}' must be at least {used[parent] + 1} for this GHZ state, but is "
                f"{network.node(parent).qubits}. Give it one memory for its own qubit and one for each child."
            )
        memory[parent, child] = f"{parent}/{used[parent]}"
        used[parent] += 1
    return memory


def graph_state(network: Network, *, edges: Sequence[tuple[str, str]] = ()) -> Program:
    """A graph state with one qubit a node: a remote CZ for every edge, each with one pair and two bits.

    Π_(i,j) CZ_ij |+⟩^n

    Args:
        network: Every node needs memory 0 for its qubit and memory 1 for pairs.
        edges: Pairs of linked nodes; all links if empty.
    """
    chosen = [tuple(edge) for edge in edges] or [link.between for link in network.links]
    names = tuple(node.name for node in network.nodes if any(node.name in edge for edge in chosen))
    for name in names:
        if network.node(name).qubits < 2:
            raise QdistError(
                f"`qubits` of node '{name}' must be at least 2 for a graph state (one of its own, one for pairs), "
                f"but is {network.node(name).qubits}."
            )
    qubits = tuple(f"{name}/0" for name in names)
    steps: list[Step] = [Prepare((qubit,)) for qubit in qubits]
    steps += [apply("h", qubit) for qubit in qubits]
    for a, b in chosen:
        pair = (f"{a}/1", f"{b}/1")
        steps.append(Generate((pair,)))
        steps += remote_gate("cz", f"{a}/0", f"{b}/0", pair).steps
    steps.append(Record("graph state"))
    pairs = tuple((f"{a}/0", f"{b}/0") for a, b in chosen)
    return Program(tuple(steps), "graph_state", pairs=pairs, qubits=qubits)
