"""Exact averages over the random time that links need, when they wait for one another.

Link i succeeds in its N_i-th attempt, N_i geometric with probability p_i, so it is up at T_i = s_i + N_i·τ_i. Everybody
waits until M = max_i T_i. What a waiting qubit suffers is a product of exponentials, so all that is needed is

    E[ exp(−Σ_i r_i (M − T_i) − R (M − s)) ],   s = min_i s_i

for many combinations of rates at once: r_i for what link i holds, R for bystanders.
"""

import itertools
import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from qdist.errors import QdistError
from qdist_kernels.namespace import namespace

TAIL = 1e-18
MAX_TERMS = 4_000_000
CHUNK_ENTRIES = 2**20


@dataclass(frozen=True)
class Race:
    """Links that start at `starts` (s), take `durations` (s) an attempt and succeed with `probabilities` in each."""

    starts: tuple[Any, ...]
    durations: tuple[Any, ...]
    probabilities: tuple[Any, ...]

    @property
    def start(self) -> Any:
        """When the first link starts."""
        return reduce(namespace(*self.starts).minimum, self.starts)

    @property
    def earliest(self) -> Any:
        """The smallest possible M: every link succeeds in its first attempt."""
        firsts = [s + d for s, d in zip(self.starts, self.durations, strict=True)]
        return reduce(namespace(*firsts).maximum, firsts)

    @property
    def is_certain(self) -> bool:
        """Whether every link succeeds in its first attempt."""
        return all(namespace(p) is np and p == 1 for p in self.probabilities)

    @property
    def _in_step(self) -> bool:
        """Whether all links make their attempts at the same times."""
        return _all_equal(self.starts) and _all_equal(self.durations)

    def mean(self) -> Any:
        """E[M] − s in seconds."""
        if self._in_step:
            return self.durations[0] * _rounds(self.probabilities)
        self._check_concrete()
        total = 0.0
        for times, weights, others in self._endings():
            share = weights.copy()
            for link, moments in others:
                share *= self._reached(link, moments, np.zeros(1))[:, 0]
            total += float(np.sum(share * (times - self.start)))
        return total

    def average(self, rates: Any, common: Any) -> Any:
        """The expectation above for c combinations of rates.

        Args:
            rates: r in 1/s, shape (c, links).
            common: R in 1/s, shape (c,).

        Returns:
            Shape (c,).
        """
        if namespace(rates, common) is np:
            first, where = _distinct_rows(np.column_stack([rates, common]))
            return self._average(rates[first], common[first])[where]
        return self._average(rates, common)

    def _average(self, rates: Any, common: Any) -> Any:
        if self._in_step:
            return _average_in_step(self.probabilities, rates * self.durations[0], common * self.durations[0])
        self._check_concrete(rates, common)
        total = np.zeros(len(common))
        for times, weights, others in self._endings(len(common)):
            terms = weights[:, None] * np.exp(-np.outer(times - self.start, common))
            for link, moments in others:
                distinct, where = np.unique(rates[:, link], return_inverse=True)
                terms *= self._reached(link, moments, distinct)[:, where]
            total += terms.sum(axis=0)
        return total

    def _check_concrete(self, *rates: Any) -> None:
        if namespace(*rates, *self.probabilities, *self.starts, *self.durations) is not np:
            raise QdistError(
                "Links that wait for one another must have the same attempt duration and start when a parameter is "
                "traced by JAX, but these differ. Give concrete numbers, or one `attempt_duration` for all."
            )

    def _endings(self, columns: int = 1) -> Any:
        """For each link that may be the last one: chunks of its times T, P(T), and the other links up to then."""
        chunk = max(16, CHUNK_ENTRIES // columns)
        for last, p in enumerate(self.probabilities):
            count = 1 if p == 1 else math.ceil(math.log(TAIL) / math.log1p(-p))
            if count > MAX_TERMS:
                raise QdistError(
                    f"The exact average over links with different attempt durations must need at most {MAX_TERMS} "
                    f'attempts, but a success probability of {p:g} needs {count}. Use mode = "sampled".'
                )
            for first in range(1, count + 1, chunk):
                n = np.arange(first, min(first + chunk, count + 1))
                times = self.starts[last] + n * self.durations[last]
                weights = p * np.power(1.0 - p, n - 1.0)
                others = [(i, (times, i > last)) for i in range(len(self.starts)) if i != last]
                yield times, weights, others

    def _reached(self, link: int, moments: tuple[np.ndarray, bool], rates: np.ndarray) -> np.ndarray:
        """Σ_k P(N=k) e^{−r (t − T_k)} over attempts that end by t (before t, if ties count for the other link)."""
        times, counts_ties = moments
        s, duration, p = self.starts[link], self.durations[link], self.probabilities[link]
        position = (times - s) / duration
        nearest = np.rint(position)
        tie = np.abs(position - nearest) < 1e-9 * np.maximum(1.0, np.abs(position))
        attempts = np.where(tie, nearest if counts_ties else nearest - 1, np.floor(position))
        attempts = np.maximum(attempts, 0)
        if p == 1:
            series = np.where(attempts[:, None] >= 1, np.exp(-np.outer(attempts - 1, rates * duration)), 0.0)
        else:
            series = p * _geometric_sum(math.log1p(-p), -rates * duration, attempts)
        return series * np.exp(-np.outer(times - s - attempts * duration, rates))


def _all_equal(values: tuple[Any, ...]) -> bool:
    """Whether all values are surely the same: equal numbers, or one and the same traced value."""
    first = values[0]
    return all(value is first or (namespace(value, first) is np and value == first) for value in values)


def _distinct_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct row is first found, and which of them each row is; no rows are sorted, only columns."""
    key = np.zeros(len(table), np.int64)
    for column in table.T:
        values, positions = np.unique(column, return_inverse=True)
        key = key * len(values) + positions
    _, first, where = np.unique(key, return_index=True, return_inverse=True)
    return first, where


def _geometric_sum(log_a: float, log_b: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Σ_{j<K} a^{K−1−j} b^j for a, b ≤ 1 given by logarithms, shape (K, b); stable where a and b are close."""
    high = np.maximum(log_a, log_b)[None, :]
    gap = -np.abs(log_a - log_b)[None, :]
    k = count[:, None]
    safe = np.where(gap == 0, -1.0, gap)
    ratio = np.where(gap == 0, k, np.expm1(k * safe) / np.expm1(safe))
    return np.where(k > 0, np.exp((k - 1) * high) * ratio, 0.0)


def _subsets(items: tuple[int, ...]) -> Any:
    for size in range(1, len(items) + 1):
        yield from itertools.combinations(items, size)


def _success(probabilities: tuple[Any, ...], up: tuple[int, ...], down: tuple[int, ...]) -> Any:
    """P(exactly the links `up` of `down` succeed in one round)."""
    return math.prod([probabilities[i] if i in up else 1 - probabilities[i] for i in down])


def _rounds(probabilities: tuple[Any, ...]) -> Any:
    """Mean number of rounds until all links are up, by first-step analysis: only positive terms, no cancellation."""
    links = tuple(range(len(probabilities)))
    mean: dict[tuple[int, ...], Any] = {(): 0.0}
    for down in _subsets(links):
        rest = 1.0
        for up in _subsets(down):
            rest = rest + _success(probabilities, up, down) * mean[tuple(i for i in down if i not in up)]
        mean[down] = rest / (1 - _success(probabilities, (), down))
    return mean[links]


def _average_in_step(probabilities: tuple[Any, ...], decay: Any, common: Any) -> Any:
    """The same analysis with a factor e^{−R−Σ_{i up} r_i} a round (rates times the attempt duration)."""
    xp = namespace(decay, common, *probabilities)
    links = tuple(range(len(probabilities)))
    value: dict[tuple[int, ...], Any] = {(): xp.ones_like(common)}
    for down in _subsets(links):
        waiting = [i for i in links if i not in down]
        factor = xp.exp(-common - sum(decay[:, i] for i in waiting))
        rest = 0.0
        for up in _subsets(down):
            rest = rest + _success(probabilities, up, down) * value[tuple(i for i in down if i not in up)]
        value[down] = factor * rest / (1 - factor * _success(probabilities, (), down))
    return value[links]
