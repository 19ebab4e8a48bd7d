"""What tells one plan from another, whatever machine made it."""

import hashlib
from dataclasses import fields
from typing import Any

import numpy as np

from qdist.machine.instructions import EachShot, Test
from qdist.machine.plan import Part, Plan
from qdist.network.draws import Draws
from qdist.runs.checkpoints.standing import Outline
from qdist_kernels import Entries, is_jax

SAMPLE = 4096
"""Numbers of an array that are looked at: of large ones not all."""
FEW = 4
"""Shots, of no run, of which the numbers are looked at that each shot has its own of."""


def outline_of(plan: Plan) -> Outline:
    """A checksum of a plan's structure, and a sum for each operation over its numbers.

    Rounding differs between machines, so numbers are compared by sums with different weights, not by a checksum.
    """
    digest = hashlib.sha256()
    few = Draws(seed=0, first=0, shots=FEW)
    sums = np.zeros(len(plan.operations))
    for number, operation in enumerate(plan.operations):
        digest.update(type(operation).__name__.encode())
        for field in fields(operation):
            value = getattr(operation, field.name)
            words, total = _described(value, few)
            digest.update(f"{field.name}={words};".encode())
            sums[number] += total
    digest.update(repr((plan.shots, plan.itemsize, sorted(plan.bits))).encode())
    return Outline(digest.hexdigest(), sums)


def _described(value: Any, draws: Draws) -> tuple[str, float]:
    if isinstance(value, EachShot):
        value = value.of(draws)
    if isinstance(value, Entries):
        value = value.dense(draws.shots)
    if isinstance(value, np.ndarray) or is_jax(value):
        array = np.asarray(value, float).reshape(-1)
        array = array[:: array.size // SAMPLE + 1]
        weights = np.cos(np.arange(array.size) + 1.0)
        return f"array{np.shape(value)}", float(array @ weights)
    if isinstance(value, Test):
        return f"{value.bits}{value.parity}{sorted(value.values or ())}", 0.0
    if isinstance(value, float):
        return "number", value
    if isinstance(value, tuple) and not all(isinstance(each, str | int) for each in value):
        found = [_described(each, draws) for each in value]
        return f"({','.join(words for words, _ in found)})", sum(total for _, total in found)
    if isinstance(value, Part):
        return repr(value), 0.0
    return repr(value), 0.0
