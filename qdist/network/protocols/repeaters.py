"""Repeater chains: pairs over the links of a path, purified, then swapped into one long pair."""

from collections.abc import Sequence
from itertools import pairwise

from qdist.errors import QdistError
from qdist.network.graph import Network
from qdist.network.program import Generate, Program, Record, Step
from qdist.network.protocols.links import Pair, swap
from qdist.network.protocols.purification import SCHEMES, purified_pair

GENERATIONS = ("parallel", "sequential")
MANY_LINKS = 20
"""Chains with more links are recorded at about as many of their nodes, not at every one."""


def repeater_chain(
    network: Network,
    *,
    path: Sequence[str] = (),
    generation: str = "parallel",
    purification: str = "none",
    rounds: int = 1,
) -> Program:
    """A pair between the ends of a path of links, by swapping at every node between.

    The pairs of all links are made at the same time and wait for one another (`"parallel"`), or link after link, each
    swapped on as soon as it is up (`"sequential"`: at most two links are entangled at a time, so a chain of any length
    is simulated exactly in the memory of a few qubits). Swaps go from the first node to the last; each sends two bits
    to the next node, which corrects its half before it goes on. L Werner links of fidelity F give
    ¼ + ¾((4F−1)/3)^L (Briegel et al., PRL 81, 5932 (1998)).

    Args:
        network: Nodes need one memory for each neighbor on the path, and one more for each round of purification.
        path: Names of the nodes from one end to the other; all nodes in their order if empty.
        generation: `"parallel"` or `"sequential"`.
        purification: `"none"`, `"bbpssw"` or `"dejmps"`, on every link before swapping.
        rounds: Of purification; each doubles the pairs.
    """
    names = tuple(path) or tuple(node.name for node in network.nodes)
    _check_chain(network, names, generation, purification, rounds)
    if purification == "none":
        purification, rounds = "dejmps", 0
    ends = [_link_slots(names, i, rounds) for i in range(len(names) - 1)]
    pairs = [(f"{a}/{i}", f"{b}/{j}") for (a, b), (i, j) in zip(pairwise(names), ends, strict=True)]
    end_to_end = (pairs[0][0], pairs[-1][1])
    build = _parallel if generation == "parallel" else _sequential
    steps = build(names, pairs, ends, purification, rounds)
    reached = [(pairs[0][0], pairs[i][1]) for i in _milestones(len(pairs))]
    watched = reached if generation == "sequential" or len(pairs) > MANY_LINKS else [*reached, *pairs]
    recorded = tuple(dict.fromkeys([end_to_end, *watched]))
    return Program(tuple(steps), "repeater_chain", pairs=recorded, qubits=end_to_end)


def _check_chain(network: Network, names: tuple[str, ...], generation: str, purification: str, rounds: int) -> None:
    if len(names) < 2 or len(set(names)) != len(names):
        raise QdistError(f"`path` must name at least two different nodes, but is {list(names)}.")
    for a, b in pairwise(names):
        network.link(a, b)
    if generation not in GENERATIONS:
        raise QdistError(f"`generation` must be one of {', '.join(GENERATIONS)}, but is '{generation}'.")
    if purification not in ("none", *SCHEMES):
        raise QdistError(f"`purification` must be one of none, {', '.join(SCHEMES)}, but is '{purification}'.")
    if not 1 <= rounds <= 10:
        raise QdistError(f"`rounds` must be from 1 to 10 (each doubles the pairs), but is {rounds}.")
    memories = 1 + (rounds if purification != "none" else 0)
    for position, name in enumerate(names):
        needed = memories * (1 if position in (0, len(names) - 1) else 2)
        if network.node(name).qubits < needed:
            raise QdistError(
                f"`qubits` of node '{name}' must be at least {needed} for this chain, but is "
                f"{network.node(name).qubits}. Give it more memories or use fewer rounds."
            )


def _link_slots(names: tuple[str, ...], link: int, rounds: int) -> tuple[int, int]:
    """First memory of link i at its left and right node: a node keeps its left link in front."""
    return (0 if link == 0 else rounds + 1), 0


def _parallel(
    names: tuple[str, ...], pairs: list[Pair], ends: list[tuple[int, int]], purification: str, rounds: int
) -> list[Step]:
    steps: list[Step] = []
    if rounds == 0:
        steps.append(Generate(tuple(pairs)))
    else:
        for i in range(len(pairs)):
            steps += purified_pair((names[i], names[i + 1]), purification, rounds, slots=ends[i]).steps
    steps.append(Record("links up" if rounds == 0 else "links purified"))
    left = pairs[0]
    milestones = set(_milestones(len(pairs)))
    for i, right in enumerate(pairs[1:], 1):
        steps += swap(left, right).steps
        left = (left[0], right[1])
        if i in milestones:
            steps.append(Record(f"swapped to {right[1]}"))
    return steps


def _sequential(
    names: tuple[str, ...], pairs: list[Pair], ends: list[tuple[int, int]], purification: str, rounds: int
) -> list[Step]:
    steps: list[Step] = []
    left: Pair | None = None
    milestones = set(_milestones(len(pairs)))
    for i, pair in enumerate(pairs):
        made = purified_pair((names[i], names[i + 1]), purification, rounds, slots=ends[i]).steps
        if left is not None:
            made = tuple(Generate(s.pairs, (left[1],)) if isinstance(s, Generate) else s for s in made)
        steps += made
        if left is not None:
            if i - 1 in milestones:
                steps.append(Record(f"{names[i]}-{names[i + 1]} up"))
            steps += swap(left, pair).steps
        left = pair if left is None else (left[0], pair[1])
        if i in milestones:
            steps.append(Record(f"reached {pair[1]}"))
    return steps


def _milestones(links: int) -> list[int]:
    """The links after which a record is made: all of a short chain, about twenty of a long one, always the last."""
    stride = max(1, links // MANY_LINKS)
    return sorted({*range(stride - 1, links, stride), links - 1})
