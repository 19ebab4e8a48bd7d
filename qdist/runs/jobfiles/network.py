"""The network of a job: node by node, or of a regular shape."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qdist.errors import QdistError, did_you_mean
from qdist.network import graph
from qdist.network.devices import Device, device, device_from_table
from qdist.network.graph import Network, Node
from qdist.network.links import Link, check_node_name
from qdist.runs.jobfiles.fields import MAX_NODES, JobFile, LinkSection, LinkTemplate, NetworkSection, NodeSection
from qdist.runs.jobfiles.lines import Source

MAX_LINKS = 1_000_000


@dataclass(frozen=True)
class Topology:
    """A shape by name: its function, and which fields of [network] it needs and may have besides the common ones."""

    build: Callable[..., Network]
    needs: tuple[str, ...] = ("nodes",)
    may: tuple[str, ...] = ()
    least: int = 1


TOPOLOGIES = {
    "chain": Topology(graph.chain),
    "ring": Topology(graph.ring, least=3),
    "star": Topology(graph.star, may=("center",), least=2),
    "grid": Topology(graph.grid, needs=("rows", "columns")),
    "complete": Topology(graph.complete),
    "random": Topology(graph.random_network, needs=("nodes", "seed"), may=("probability", "radius", "side")),
}
COMMON = ("topology", "prefix", "qubits", "device", "link")


def read_network(file: JobFile, source: Source) -> Network | None:
    """The network that a job file describes, or `None` if it describes none."""
    if file.network is not None and (file.nodes or file.links):
        place = "nodes" if file.nodes else "links"
        raise source.error(
            (place,), f"A network must be given once, but there is a section [network] beside [[{place}]]. Remove one."
        )
    if file.links and not file.nodes:
        raise source.error(("links",), "Links must join nodes, but there are none. Add a section [[nodes]] for each.")
    if file.network is not None:
        return _regular(file.network, source)
    return _node_by_node(file.nodes, file.links, source) if file.nodes else None


def _node_by_node(nodes: list[NodeSection], links: list[LinkSection], source: Source) -> Network:
    made = {}
    for number, node in enumerate(nodes):
        with source.blame(("nodes", number, "name")):
            check_node_name(node.name)
            if node.name in made:
                raise QdistError(f"Node names must be unique, but '{node.name}' is used twice. Rename one.")
        with source.blame(("nodes", number, "device")):
            made[node.name] = Node(node.name, node.qubits, _device(node.device))
    joined: dict[frozenset[str], int] = {}
    for number, link in enumerate(links):
        with source.blame(("links", number, "between")):
            _check_ends(link, made, joined, source)
        joined[frozenset(link.between)] = number
    return Network(tuple(made.values()), tuple(_link(link, number, source) for number, link in enumerate(links)))


def _check_ends(
    link: LinkSection, nodes: Mapping[str, Node], joined: Mapping[frozenset[str], int], source: Source
) -> None:
    for name in link.between:
        if name not in nodes:
            raise QdistError(f"No node is called '{name}'.{did_you_mean(name, nodes)}")
    first = joined.get(frozenset(link.between))
    if first is not None:
        line = source.line(("links", first))
        raise QdistError(
            f"Two nodes must have at most one link, but {' and '.join(link.between)} have one already, "
            f"links[{first}]{f' in line {line}' if line else ''}. Remove one."
        )


def _link(link: LinkSection, number: int, source: Source) -> Link:
    with source.blame(("links", number)):
        return Link(between=(link.between[0], link.between[1]), **_given(link, without="between"))


def _given(section: LinkTemplate, without: str = "") -> dict[str, Any]:
    """The fields of a section that stand in the file."""
    return {name: getattr(section, name) for name in section.model_fields_set if name != without}


def _device(value: str | Mapping[str, Any]) -> Device:
    return device(value) if isinstance(value, str) else device_from_table(value)


def _regular(section: NetworkSection, source: Source) -> Network:
    topology = TOPOLOGIES[section.topology]
    given = section.model_fields_set
    for name in given - {*COMMON, *topology.needs, *topology.may}:
        owners = [key for key, other in TOPOLOGIES.items() if name in (*other.needs, *other.may)]
        raise source.error(
            ("network", name),
            f'`{name}` must be left out for topology "{section.topology}", but is given. '
            f"It is for {' and '.join(owners)}.",
        )
    for name in topology.needs:
        if name not in given:
            raise source.error(
                ("network",), f'`{name}` must be given for topology "{section.topology}", but is missing.'
            )
    _check_size(section, topology, source)
    with source.blame(("network",)):
        options: dict[str, Any] = {
            name: getattr(section, name) for name in (*topology.may, "prefix", "seed") if name in given
        }
        counts = [getattr(section, name) for name in topology.needs if name != "seed"]
        if section.topology == "star":
            counts = [counts[0] - 1]
        options |= {"qubits": section.qubits, "device": _device(section.device), "link": _given(section.link)}
        return topology.build(*counts, **options)


def _check_size(section: NetworkSection, topology: Topology, source: Source) -> None:
    """Sizes that would take all memory or all day before the first message."""
    nodes = section.nodes if section.nodes is not None else (section.rows or 1) * (section.columns or 1)
    if nodes < topology.least:
        raise source.error(
            ("network", "nodes"),
            f'`nodes` must be at least {topology.least} for topology "{section.topology}", but is {nodes}.',
        )
    links = nodes * (nodes - 1) / 2 * _density(section) if section.topology in ("complete", "random") else nodes
    if nodes > MAX_NODES or links > MAX_LINKS:
        raise source.error(
            ("network",),
            f"A network must have at most {MAX_NODES:,} nodes and {MAX_LINKS:,} links, but this one would have "
            f"{nodes:,} and about {links:,.0f}. Make it smaller.",
        )


def _density(section: NetworkSection) -> float:
    """The part of all pairs of nodes that have a link."""
    if section.probability is not None:
        return min(max(section.probability, 0.0), 1.0)
    if section.radius is not None:
        side = 1e5 if section.side is None else section.side
        ratio = section.radius / side if side > 0 else 1.0
        return min(1.0, math.pi * ratio * ratio)
    return 1.0
