"""The order of cause and effect: what each step depends on, and an order in which random waiting comes last."""

import heapq
from collections import defaultdict

from qdist.network.graph import Network
from qdist.network.program import Generate, Herald, Program, Record, Step, touched

BRANCHES = " branches"


def dependencies(step: Step, network: Network, groups: tuple[tuple[str, ...], ...]) -> tuple[set[str], set[str]]:
    """What ties a step to earlier and later ones: the names that it only looks at, and those that it changes.

    Names are qubits, bits, links (which make one pair at a time), and `BRANCHES`: what a record sees depends on the
    heralds before it, though neither takes time.
    """
    qubits, bits = touched(step)
    writes = {*qubits, *bits}
    if isinstance(step, Generate):
        return set(step.after), writes | {f" {_link(network, pair).name}" for pair in step.pairs}
    if isinstance(step, Record):
        return {qubit for group in groups for qubit in group}, {BRANCHES}
    return set(), writes | ({BRANCHES} if isinstance(step, Herald) else set())


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
    if not any(is_race(step, network) for step in program.steps):
        return list(range(len(program.steps)))
    later: list[list[int]] = [[] for _ in program.steps]
    missing = [0] * len(later)
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = defaultdict(list)
    for number, step in enumerate(program.steps):
        reads, writes = dependencies(step, network, groups)
        if not writes.isdisjoint(postselected):
            writes.add(BRANCHES)
        before = {writer[name] for name in reads | writes if name in writer}
        before |= {earlier for name in writes for earlier in readers.pop(name, ())}
        missing[number] = len(before)
        for earlier in before:
            later[earlier].append(number)
        writer |= dict.fromkeys(writes, number)
        for name in reads:
            readers[name].append(number)
    ready = [(is_race(program.steps[n], network), n) for n in range(len(later)) if missing[n] == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, number = heapq.heappop(ready)
        order.append(number)
        for follower in later[number]:
            missing[follower] -= 1
            if missing[follower] == 0:
                heapq.heappush(ready, (is_race(program.steps[follower], network), follower))
    return order


def is_race(step: Step, network: Network) -> bool:
    """Whether a step ends at a random time: it makes pairs, and a link of them may need several attempts."""
    if not isinstance(step, Generate):
        return False
    probabilities = [_link(network, pair).probability_per_attempt for pair in step.pairs]
    return any(isinstance(p, float | int) is False or p != 1 for p in probabilities)


def _link(network: Network, pair: tuple[str, str]):
    return network.link(*(network.node_of(qubit).name for qubit in pair))
