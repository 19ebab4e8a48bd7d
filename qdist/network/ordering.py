"""The order of cause and effect: what each step depends on, and an order in which random waiting comes last."""

import heapq

from qdist.network.graph import Network
from qdist.network.program import Generate, Herald, Program, Record, Step, touched

BRANCHES = " branches"


def dependencies(step: Step, network: Network, groups: tuple[tuple[str, ...], ...]) -> tuple[set[str], set[str]]:
    """What ties a step to earlier and later ones: the names that it only waits for, and those that it changes.

    Names are qubits, bits, links (which make one pair at a time), and `BRANCHES`: what a record sees depends on the
    heralds before it, though neither takes time.
    """
    qubits, bits = touched(step)
    writes = {*qubits, *bits}
    if isinstance(step, Generate):
        return set(step.after), writes | {f" {_link(network, pair).name}" for pair in step.pairs}
    if isinstance(step, Record):
        writes |= {qubit for group in groups for qubit in group}
    if isinstance(step, Record | Herald):
        writes.add(BRANCHES)
    return set(), writes


def races_last(
    program: Program,
    network: Network,
    groups: tuple[tuple[str, ...], ...],
    postselected: frozenset[str] = frozenset(),
) -> list[int]:
    """Step numbers in an equivalent order: a race of links begins only when nothing else can be done.

    Steps that touch nothing in common commute, so a step that does not depend on a race happens before it in this
    order, as it does in time. What is still waiting when a race begins then really waits for it.
    """
    keys = [set.union(*dependencies(step, network, groups)) for step in program.steps]
    for names in keys:
        if names & postselected:
            names.add(BRANCHES)
    later: list[list[int]] = [[] for _ in keys]
    missing = [0] * len(keys)
    last: dict[str, int] = {}
    for number, names in enumerate(keys):
        before = {last[name] for name in names if name in last}
        missing[number] = len(before)
        for earlier in before:
            later[earlier].append(number)
        last |= dict.fromkeys(names, number)
    ready = [(_is_race(program.steps[n], network), n) for n in range(len(keys)) if missing[n] == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, number = heapq.heappop(ready)
        order.append(number)
        for follower in later[number]:
            missing[follower] -= 1
            if missing[follower] == 0:
                heapq.heappush(ready, (_is_race(program.steps[follower], network), follower))
    return order


def _is_race(step: Step, network: Network) -> bool:
    if not isinstance(step, Generate):
        return False
    probabilities = [_link(network, pair).probability_per_attempt for pair in step.pairs]
    return any(isinstance(p, float | int) is False or p != 1 for p in probabilities)


def _link(network: Network, pair: tuple[str, str]):
    return network.link(*(network.node_of(qubit).name for qubit in pair))
