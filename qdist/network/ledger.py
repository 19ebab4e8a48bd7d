"""The ledger: pairs made, used and wasted, attempts, and classical bits sent."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdist.machine.instructions import EachShot
from qdist.network.draws import Draws
from qdist.network.graph import Network
from qdist.network.links import Link


@dataclass(frozen=True)
class Account:
    """Expected numbers per run that was started.

    Attributes:
        made: Pairs by link name.
        used: Pairs that were consumed by a measurement in a run that succeeded, by link name.
        wasted: Pairs that were discarded unused, or lost with a failed herald, by link name.
        attempts: Attempts by link name.
        bits: Classical bits by route (source, destination).
    """

    made: dict[str, float]
    used: dict[str, float]
    wasted: dict[str, float]
    attempts: dict[str, float]
    bits: dict[tuple[str, str], float]


@dataclass
class Ledger:
    """Entries, each with the number of heralds before it in the order of the program, `heralds` for the next one.

    An entry counts with the probability that all heralds before it succeeded.
    """

    network: Network
    entries: list[tuple[str, Any, float | EachShot, int]] = field(default_factory=list)
    heralds: int = 0
    _pair_of: dict[str, int] = field(default_factory=dict)
    _links: list[str] = field(default_factory=list)
    _state: list[str] = field(default_factory=list)

    def make(self, link: Link, pair: tuple[str, str]) -> None:
        """A pair is made on two qubits."""
        for qubit in pair:
            self._pair_of[qubit] = len(self._links)
        self._links.append(link.name)
        self._state.append("kept")
        self.entries.append(("made", link.name, 1.0, self.heralds))

    def use(self, qubit: str) -> None:
        """A qubit is measured; the pair that it was born in is used, unless it already was."""
        pair = self._pair_of.pop(qubit, None)
        if pair is not None and self._state[pair] == "kept":
            self._state[pair] = "used"

    def discard(self, qubit: str) -> None:
        """A qubit is given up; the pair that it was born in is wasted, unless it was used before."""
        pair = self._pair_of.pop(qubit, None)
        if pair is not None and self._state[pair] == "kept":
            self._state[pair] = "wasted"

    def attempt(self, link: Link, count: float | EachShot) -> None:
        """Attempts at a pair: a mean, or a number for each shot."""
        self.entries.append(("attempts", link.name, count, self.heralds))

    def send(self, source: str, destination: str, bits: int) -> None:
        if source != destination:
            self.entries.append(("bits", (source, destination), float(bits), self.heralds))

    def account(self, reached: list[float], draws: Draws | None = None, passed: Sequence[np.ndarray] = ()) -> Account:
        """The expected numbers.

        Args:
            reached: The probability that the first h heralds succeeded, at h.
            draws: The random numbers of a batch of shots.
            passed: Whether they succeeded in each shot that counts, at h.
        """
        sums: dict[str, dict[Any, float]] = {
            "made": {link.name: 0.0 for link in self.network.links},
            "attempts": {link.name: 0.0 for link in self.network.links},
            "bits": defaultdict(float),
        }
        for kind, key, amount, heralds in self.entries:
            if isinstance(amount, EachShot):
                shots = passed[heralds]
                sums[kind][key] += float(np.mean(np.where(shots, amount.of(draws)[: len(shots)], 0.0)))
            else:
                sums[kind][key] += amount * reached[heralds]
        used = {link.name: 0.0 for link in self.network.links}
        kept = dict(used)
        for link, state in zip(self._links, self._state, strict=True):
            if state == "used":
                used[link] += reached[-1]
            if state == "kept":
                kept[link] += reached[-1]
        wasted = {link: sums["made"][link] - used[link] - kept[link] for link in used}
        return Account(sums["made"], used, wasted, sums["attempts"], dict(sums["bits"]))
