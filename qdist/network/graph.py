"""The network: nodes that own qubits, links that join them, and the fiber that messages take between any two."""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from qdist.errors import QdistError, did_you_mean
from qdist.network.devices import IDEAL, Device, check_finite
from qdist.network.links import SPEED_OF_LIGHT_IN_FIBER, Link, check_node_name
from qdist_kernels.namespace import is_jax

if TYPE_CHECKING:
    import networkx as nx

QUBIT_NAME = re.compile(r"([^/]*)/(0|[1-9][0-9]*)")


@dataclass(frozen=True)
class Node:
    """A party of the network, which owns qubits.

    Attributes:
        name: A letter, then letters, digits, `_`, `.` and `-`.
        qubits: How many qubits the node has, at least 1. They are named `"alice/0"`, `"alice/1"`, …
        device: What the qubits are made of.

    Raises:
        QdistError: The name is not allowed or the number is not an integer ≥ 1.
    """

    name: str
    qubits: int = 1
    device: Device = IDEAL

    def __post_init__(self) -> None:
        check_node_name(self.name)
        if isinstance(self.qubits, bool) or not isinstance(self.qubits, int) or self.qubits < 1:
            raise QdistError(
                f"`qubits` of node '{self.name}' must be an integer of at least 1, but is {self.qubits!r}."
            )
        if not isinstance(self.device, Device):
            raise QdistError(
                f"`device` of node '{self.name}' must be a Device, but is {self.device!r}. "
                'For a preset, write `device("color_center")`.'
            )

    @property
    def qubit_names(self) -> tuple[str, ...]:
        """`"alice/0"`, `"alice/1"`, …"""
        return tuple(f"{self.name}/{number}" for number in range(self.qubits))


@dataclass(frozen=True)
class Network:
    """Nodes and the links between them, at most one link per pair of nodes.

    Classical messages travel through the same fibers as light: over the direct link where there is one, even if
    a detour is shorter, else along the path of least total length.

    Attributes:
        nodes: In the order in which qubits are listed.
        links: Undirected.

    Raises:
        QdistError: Two nodes have one name, two links join one pair, or a link ends at an unknown node.
    """

    nodes: tuple[Node, ...]
    links: tuple[Link, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "links", tuple(self.links))
        if not self.nodes:
            raise QdistError("A network must have at least one node, but has none.")
        if len(self._nodes) != len(self.nodes):
            raise QdistError(f"Node names must be unique, but '{_repeated(n.name for n in self.nodes)}' is used twice.")
        for link in self.links:
            for name in link.between:
                if name not in self._nodes:
                    raise QdistError(
                        f"A link must join two nodes of the network, but {link.name} ends at '{name}'."
                        f"{did_you_mean(name, self._nodes)}"
                    )
        if len(self._links) != len(self.links):
            twice = "-".join(_repeated(tuple(sorted(link.between)) for link in self.links))
            raise QdistError(f"Two nodes must have at most one link, but {twice} is given twice. Remove one.")

    @cached_property
    def _nodes(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def _links(self) -> dict[frozenset[str], Link]:
        return {frozenset(link.between): link for link in self.links}

    @cached_property
    def _neighbors(self) -> dict[str, tuple[str, ...]]:
        lists: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for link in self.links:
            a, b = link.between
            lists[a].append(b)
            lists[b].append(a)
        return {name: tuple(neighbors) for name, neighbors in lists.items()}

    @cached_property
    def _lengths(self) -> "nx.Graph":
        """The links weighted by length; by 1 if JAX traces a length, since a choice cannot hang on a traced value."""
        traced = any(is_jax(link.length) for link in self.links)
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(self._nodes)
        graph.add_weighted_edges_from((*link.between, 1.0 if traced else link.length) for link in self.links)
        return graph

    @cached_property
    def _paths(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """The paths asked for so far."""
        return {}

    @cached_property
    def _owners(self) -> dict[str, Node]:
        """The nodes of the qubits asked for so far."""
        return {}

    @cached_property
    def qubit_names(self) -> tuple[str, ...]:
        """All qubits, node by node."""
        return tuple(name for node in self.nodes for name in node.qubit_names)

    def node(self, name: str) -> Node:
        """The node of this name."""
        if name not in self._nodes:
            raise QdistError(f"No node is called '{name}'.{did_you_mean(str(name), self._nodes)}")
        return self._nodes[name]

    def node_of(self, qubit: str) -> Node:
        """The node that owns a qubit such as `"alice/0"`.

        Raises:
            QdistError: The name is not `node/number`, no node has this name, or the node has too few qubits.
        """
        if isinstance(qubit, str) and qubit in self._owners:
            return self._owners[qubit]
        match = QUBIT_NAME.fullmatch(qubit) if isinstance(qubit, str) else None
        if match is None:
            hint = f" Did you mean '{qubit}/0'?" if qubit in self._nodes else did_you_mean(str(qubit), self.qubit_names)
            raise QdistError(f"Qubit names must be `node/number`, but got {qubit!r}.{hint}")
        if match[1] not in self._nodes:
            raise QdistError(
                f"Qubit '{qubit}' must be on a node of the network, but no node is called '{match[1]}'."
                f"{did_you_mean(match[1], self._nodes)}"
            )
        node = self._nodes[match[1]]
        if int(match[2]) >= node.qubits:
            raise QdistError(
                f"The number of qubit '{qubit}' must be less than {node.qubits}, the `qubits` of node '{node.name}', "
                f"but is {match[2]}. Give the node more qubits or use another."
            )
        self._owners[qubit] = node
        return node

    def has_link(self, a: str, b: str) -> bool:
        """Whether a link joins the two nodes."""
        return frozenset((a, b)) in self._links

    def link(self, a: str, b: str) -> Link:
        """The link between two nodes, in either order."""
        if not self.has_link(a, b):
            neighbors = ", ".join(self.neighbors(self.node(a).name)) or "no node"
            raise QdistError(f"No link joins '{a}' and '{self.node(b).name}'. '{a}' has links to: {neighbors}.")
        return self._links[frozenset((a, b))]

    def neighbors(self, name: str) -> tuple[str, ...]:
        """The nodes that share a link with this one, in the order of the links."""
        return self._neighbors[self.node(name).name]

    def path(self, a: str, b: str) -> tuple[str, ...]:
        """The nodes that a message passes from a to b, both included.

        The direct link if there is one, else the path of least length; while JAX traces a length, the path of
        fewest links.

        Raises:
            QdistError: No path of links joins the two nodes.
        """
        if a == b:
            return (self.node(a).name,)
        if self.has_link(a, b):
            return (a, b)
        if (a, b) not in self._paths:
            self._paths[a, b] = self._shortest_path(self.node(a).name, self.node(b).name)
        return self._paths[a, b]

    def _shortest_path(self, a: str, b: str) -> tuple[str, ...]:
        import networkx as nx

        try:
            return tuple(nx.bidirectional_dijkstra(self._lengths, a, b)[1])
        except nx.NetworkXNoPath:
            raise QdistError(f"Nodes '{a}' and '{b}' must be joined by a path of links, but are not.") from None

    def distance(self, a: str, b: str) -> Any:
        """Meters of fiber along `path(a, b)`; 0 from a node to itself."""
        path = self.path(a, b)
        return sum((self.link(*pair).length for pair in pairwise(path)), 0.0)

    def message_delay(self, a: str, b: str) -> Any:
        """Seconds that a classical message takes from a to b: `distance(a, b)` / `SPEED_OF_LIGHT_IN_FIBER`."""
        return self.distance(a, b) / SPEED_OF_LIGHT_IN_FIBER

    def to_networkx(self) -> "nx.Graph":
        """A `networkx.Graph` with the nodes' `qubits` and `device` and the links' fields as attributes."""
        import networkx as nx

        graph = nx.Graph()
        for node in self.nodes:
            graph.add_node(node.name, qubits=node.qubits, device=node.device)
        for link in self.links:
            graph.add_edge(*link.between, **_link_fields(link), between=link.between)
        return graph

    @classmethod
    def from_networkx(cls, graph: "nx.Graph", **defaults: Any) -> "Network":
        """A network from an undirected graph.

        Node attributes `qubits` and `device` and edge attributes with the names of `Link` fields are used; other
        attributes are left alone. A node labeled by an integer i is named `"ni"`, one by a tuple (i, j) `"ni_j"`.

        Args:
            graph: Without parallel edges or directions.
            **defaults: `qubits`, `device` and fields of `Link`, for what the graph does not say.
        """
        if graph.is_directed() or graph.is_multigraph():
            raise QdistError(f"`graph` must be undirected without parallel edges, but is a {type(graph).__name__}.")
        known = ("qubits", "device", *LINK_FIELDS)
        for name in defaults:
            if name not in known:
                raise QdistError(f"Neither a node nor a link has a field '{name}'.{did_you_mean(name, known)}")
        of_node = {key: value for key, value in defaults.items() if key not in LINK_FIELDS}
        of_link = {key: value for key, value in defaults.items() if key in LINK_FIELDS}
        nodes = [
            Node(_node_name(label), **of_node | {k: data[k] for k in ("qubits", "device") if k in data})
            for label, data in graph.nodes(data=True)
        ]
        links = [_edge_link(a, b, data, of_link) for a, b, data in graph.edges(data=True)]
        return cls(tuple(nodes), tuple(links))


LINK_FIELDS = tuple(field.name for field in fields(Link) if field.name != "between")


def _link_fields(link: Link) -> dict[str, Any]:
    return {name: getattr(link, name) for name in LINK_FIELDS}


def _edge_link(a: Hashable, b: Hashable, data: Mapping[str, Any], defaults: Mapping[str, Any]) -> Link:
    """A link from an edge; a `between` that names the same two nodes fixes which end is first."""
    ends = (_node_name(a), _node_name(b))
    between = data["between"] if set(data.get("between", ())) == set(ends) else ends
    values = dict(defaults) | {name: data[name] for name in LINK_FIELDS if name in data}
    return Link(between=between, **values)


def _node_name(label: Hashable, prefix: str = "n") -> str:
    if isinstance(label, tuple):
        return prefix + "_".join(str(part) for part in label)
    return label if isinstance(label, str) else f"{prefix}{label}"


def _repeated(values: Iterable[Any]) -> Any:
    counts = Counter(values)
    return next(value for value, count in counts.items() if count > 1)


def _build(
    names: Iterable[str],
    pairs: Iterable[tuple[str, str]],
    qubits: int,
    device: Device,
    link: Link | Mapping[str, Any] | None,
) -> Network:
    """A network whose nodes are all alike and whose links all follow one template."""
    nodes = tuple(Node(name, qubits, device) for name in names)
    return Network(nodes, tuple(_from_template(link, pair) for pair in pairs))


def _from_template(link: Link | Mapping[str, Any] | None, between: tuple[str, str], **changes: Any) -> Link:
    if isinstance(link, Link):
        return replace(link, between=between, **changes)
    values = dict(link or {}) | changes
    for name in values:
        if name not in LINK_FIELDS:
            raise QdistError(f"A link template has no field '{name}'.{did_you_mean(name, LINK_FIELDS)}")
    return Link(between=between, **values)


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise QdistError(f"`{name}` must be an integer of at least {least}, but is {value!r}.")


def chain(
    n: int,
    *,
    qubits: int = 1,
    device: Device = IDEAL,
    link: Link | Mapping[str, Any] | None = None,
    prefix: str = "n",
) -> Network:
    """A line of nodes `"n0"`, `"n1"`, ….

    Args:
        n: Number of nodes, at least 1.
        qubits: Of each node.
        device: Of each node.
        link: Fields of every link, as a table such as `{"length": 1e4, "fidelity": 0.95}` or as a `Link` whose
            `between` is replaced.
        prefix: What the names begin with.
    """
    _check_count("n", n, 1)
    names = [f"{prefix}{i}" for i in range(n)]
    return _build(names, pairwise(names), qubits, device, link)


def ring(
    n: int,
    *,
    qubits: int = 1,
    device: Device = IDEAL,
    link: Link | Mapping[str, Any] | None = None,
    prefix: str = "n",
) -> Network:
    """A circle of n ≥ 3 nodes; arguments as in `chain`."""
    _check_count("n", n, 3)
    names = [f"{prefix}{i}" for i in range(n)]
    return _build(names, zip(names, names[1:] + names[:1], strict=True), qubits, device, link)


def star(
    n: int,
    *,
    center: str = "hub",
    qubits: int = 1,
    device: Device = IDEAL,
    link: Link | Mapping[str, Any] | None = None,
    prefix: str = "n",
) -> Network:
    """A center and n leaves `"n0"`, `"n1"`, …; every node has `qubits` qubits. Other arguments as in `chain`."""
    _check_count("n", n, 1)
    leaves = [f"{prefix}{i}" for i in range(n)]
    return _build([center, *leaves], [(center, leaf) for leaf in leaves], qubits, device, link)


def grid(
    rows: int,
    columns: int,
    *,
    qubits: int = 1,
    device: Device = IDEAL,
    link: Link | Mapping[str, Any] | None = None,
    prefix: str = "n",
) -> Network:
    """A square lattice; `"n0_1"` is in row 0, column 1. Other arguments as in `chain`."""
    _check_count("rows", rows, 1)
    _check_count("columns", columns, 1)
    import networkx as nx

    lattice = nx.grid_2d_graph(rows, columns)
    pairs = [(_node_name(a, prefix), _node_name(b, prefix)) for a, b in lattice.edges]
    return _build([_node_name(label, prefix) for label in lattice], pairs, qubits, device, link)


def complete(
    n: int,
    *,
    qubits: int = 1,
    device: Device = IDEAL,
    link: Link | Mapping[str, Any] | None = None,
    prefix: str = "n",
) -> Network:
    """All of n nodes linked to each other; arguments as in `chain`."""
    _check_count("n", n, 1)
    names = [f"{prefix}{i}" for i in range(n)]
    return _build(names, [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]], qubits, device, link)


def random_network(
    n: int,
    *,
    seed: int,
    probability: float | None = None,
    radius: float | None = None,
    side: float = 1e5,
    qubits: int = 1,
    device: Device = IDEAL,
    link: Link | Mapping[str, Any] | None = None,
    prefix: str = "n",
) -> Network:
    """A random network of n nodes, of one of two kinds. It may fall into parts that no path joins.

    With `probability`, each pair of nodes has a link with that probability (Erdős–Rényi), all links following the
    template `link`. With `radius`, the nodes lie at random in a square and those within `radius` are linked,
    each link as long as its ends are apart (random geometric graph); a `length` in the template is replaced.

    Args:
        n: Number of nodes, at least 1.
        seed: The same seed gives the same network.
        probability: Of a link between two nodes.
        radius: Meters up to which nodes are linked.
        side: Meters of the side of the square.
        qubits: Of each node.
        device: Of each node.
        link: Fields of every link; see `chain`.
        prefix: What the names begin with.

    Raises:
        QdistError: Neither or both of `probability` and `radius` are given, or a value is out of range.
    """
    _check_count("n", n, 1)
    if (probability is None) == (radius is None):
        found = "neither" if probability is None else "both"
        raise QdistError(f"Exactly one of `probability` and `radius` must be given, but got {found}.")
    names = [f"{prefix}{i}" for i in range(n)]
    if probability is not None:
        pairs = [(names[i], names[j]) for i, j in _random_pairs(n, probability, seed)]
        return _build(names, pairs, qubits, device, link)
    check_finite("radius", radius, "m")
    check_finite("side", side, "m")
    nodes = tuple(Node(name, qubits, device) for name in names)
    near = _near_pairs(np.random.default_rng(seed).uniform(0.0, side, (n, 2)), radius)
    links = [_from_template(link, (names[i], names[j]), length=length) for i, j, length in near]
    return Network(nodes, tuple(links))


def _random_pairs(n: int, probability: float, seed: int) -> Iterable[tuple[int, int]]:
    """Pairs i < j kept with the given probability; row by row, so that memory stays of order n."""
    if not 0 <= probability <= 1:
        raise QdistError(f"`probability` must be a probability in [0, 1], but is {probability}.")
    generator = np.random.default_rng(seed)
    for i in range(n - 1):
        for offset in np.flatnonzero(generator.random(n - 1 - i) < probability):
            yield i, i + 1 + int(offset)


def _near_pairs(positions: np.ndarray, radius: Any) -> Iterable[tuple[int, int, float]]:
    for i in range(len(positions) - 1):
        distances = np.hypot(*(positions[i + 1 :] - positions[i]).T)
        for offset in np.flatnonzero(distances <= radius):
            yield i, i + 1 + int(offset), float(distances[offset])
