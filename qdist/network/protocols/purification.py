"""Entanglement purification: two poor pairs become, sometimes, one better pair."""

import math
from collections.abc import Callable

from qdist.errors import QdistError
from qdist.network.program import Generate, Herald, Measure, Program, Send, Step, Twirl, apply, parity_is
from qdist.network.protocols.links import Pair, node_of

SCHEMES = ("bbpssw", "dejmps")


def _compare(kept: Pair, spent: Pair) -> list[Step]:
    """Both nodes add the kept qubit to the spent one, measure it, and go on where the outcomes agree."""
    a, b = f"{spent[0]}.parity", f"{spent[1]}.parity"
    return [
        apply("cx", kept[0], spent[0]),
        apply("cx", kept[1], spent[1]),
        Measure(spent[0], a),
        Measure(spent[1], b),
        Send((a,), node_of(spent[0]), node_of(spent[1])),
        Send((b,), node_of(spent[1]), node_of(spent[0])),
        Herald(parity_is((a, b), 0), f"purified {kept[0]}-{kept[1]}", kept),
    ]


def bbpssw(kept: Pair, spent: Pair) -> Program:
    """One round of the recurrence protocol of Bennett et al., PRL 76, 722 (1996), for Werner pairs.

    F′ = [F² + ((1−F)/3)²] / N,  N = F² + ⅔F(1−F) + 5/9 (1−F)²

    Both pairs are twirled to Werner states first, and the result is twirled again. Costs one pair and two classical
    bits, and succeeds with probability N: a herald.
    """
    steps = [Twirl(kept), Twirl(spent), *_compare(kept, spent), Twirl(kept)]
    return Program(tuple(steps), "bbpssw", pairs=(kept,), qubits=kept)


def dejmps(kept: Pair, spent: Pair) -> Program:
    """One round of the protocol of Deutsch et al., PRL 77, 2818 (1996), for Bell-diagonal pairs.

    A′ = (A²+B²)/N, B′ = 2CD/N, C′ = (C²+D²)/N, D′ = 2AB/N, N = (A+B)² + (C+D)²

    with the weights A, B, C, D of Φ⁺, Ψ⁻, Ψ⁺, Φ⁻. The first node turns its qubits by π/2 about x, the second by −π/2.
    Costs one pair and two classical bits, and succeeds with probability N: a herald.
    """
    turns = [apply("rx", pair[0], params=(math.pi / 2,)) for pair in (kept, spent)]
    turns += [apply("rx", pair[1], params=(-math.pi / 2,)) for pair in (kept, spent)]
    return Program((*turns, *_compare(kept, spent)), "dejmps", pairs=(kept,), qubits=kept)


def purify(scheme: str) -> Callable[[Pair, Pair], Program]:
    """The round of a scheme by its name."""
    if scheme not in SCHEMES:
        raise QdistError(f"`scheme` must be one of {', '.join(SCHEMES)}, but is '{scheme}'.")
    return bbpssw if scheme == "bbpssw" else dejmps


def purified_pair(nodes: Pair, scheme: str, rounds: int, *, slots: tuple[int, int] = (0, 0)) -> Program:
    """A pair that went through `rounds` rounds of purification, each of two pairs of the round before.

    Uses 2^rounds pairs of the link, made one after the other, and rounds + 1 memories at each node: a pair of each
    level waits for its partner. The result is on the first of them.

    Args:
        nodes: The two ends of a link.
        scheme: `"bbpssw"` or `"dejmps"`.
        rounds: 0 makes one raw pair.
        slots: The number of the first memory at each node.
    """
    steps = _levels(nodes, purify(scheme), rounds, slots)
    pair = _pair(nodes, slots, 0)
    return Program(tuple(steps), f"{scheme} x {rounds}", pairs=(pair,), qubits=pair)


def _pair(nodes: Pair, slots: tuple[int, int], offset: int) -> Pair:
    return f"{nodes[0]}/{slots[0] + offset}", f"{nodes[1]}/{slots[1] + offset}"


def _levels(nodes: Pair, round_of: Callable[[Pair, Pair], Program], level: int, slots: tuple[int, int]) -> list[Step]:
    """Steps that leave a pair of this level in the first memory: two of the level below, then one round."""
    if level == 0:
        return [Generate((_pair(nodes, slots, 0),))]
    above = (slots[0] + 1, slots[1] + 1)
    first, second = _levels(nodes, round_of, level - 1, slots), _levels(nodes, round_of, level - 1, above)
    return [*first, *second, *round_of(_pair(nodes, slots, 0), _pair(nodes, slots, 1)).steps]
