"""What is read off vectors without ever gathering one: reduced states, entries, inner products."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from qdist.machine.plan import Part
from qdist.runs.evolution import Evolution
from qdist_kernels import inner, is_concrete_jax, is_jax, matmul, namespace, outer, precision_of, reordered, take


def transpose(vector: Any, dims: tuple[int, ...], order: list[int]) -> Any:
    """Reorder digits, keeping a batch axis in front."""
    if order == list(range(len(dims))):
        return vector
    lead = vector.shape[:-1]
    if lead and not is_jax(vector):
        return reordered(vector, dims, order)
    axes = [*range(len(lead)), *(k + len(lead) for k in order)]
    return vector.reshape(*lead, *dims).transpose(axes).reshape(*lead, -1)


def reduced(state: Evolution, parts: Iterable[Part], wires: tuple[str, ...], *, diagonal: bool = False) -> Any:
    """The joint vector of some wires, in their order: partial traces, then tensor products.

    A digit has four entries, or two if the wire has no x bit. Of a split cluster each rank fills in what it holds, and
    the ranks sum: all of them must call this together.

    Args:
        state: The vectors.
        parts: The clusters of the wires; others are skipped.
        wires: Qubits or bits.
        diagonal: Whether only the entries I and Z are wanted, two of each digit.
    """
    joint: Any = None
    names: list[str] = []
    dims: list[int] = []
    for part in parts:
        inside = tuple(wire for wire in wires if wire in part.wires)
        if not inside:
            continue
        piece = _piece(state, part, inside, diagonal)
        joint = piece if joint is None else outer(joint, piece)
        names += inside
        dims += [2 if diagonal else part.size(wire) for wire in inside]
    order = [names.index(wire) for wire in wires]
    return transpose(joint, tuple(dims), order)


def _piece(state: Evolution, part: Part, wires: tuple[str, ...], diagonal: bool) -> Any:
    wanted = [(wire, kind) for wire in wires for kind in "xz" if kind == "z" or (wire in part.qubits and not diagonal)]
    here = [bit for bit in wanted if bit in part.bits]
    bands = {wire: value for wire, value in part.bands if (wire, "x") in wanted}
    if not part.is_split:
        return _bits(state.vectors[part.slot], part, here)
    batch = () if state.accepted is None else (len(state.accepted),)
    table = np.zeros((*batch, *(2 for _ in wanted)))
    if not part.is_empty and not any(value for wire, value in part.bands if wire not in bands):
        held = np.asarray(_bits(state.vectors[part.slot], part, here), float)
        place = tuple(bands[bit[0]] if bit not in here else slice(None) for bit in wanted)
        table[(..., *place)] = held.reshape(*held.shape[:-1], *(2 for _ in here))
    return state.comm.sum(table.reshape(*batch, -1))


def _bits(vector: Any, part: Part, wanted: Sequence[tuple[str, str]]) -> Any:
    """The entries whose other bits are 0, with the wanted bits in their order."""
    return take(vector, positions_of(part, wanted))


def positions_of(part: Part, wanted: Sequence[tuple[str, str]]) -> np.ndarray:
    """Where these entries are."""
    positions = np.zeros(1, np.int64)
    for bit in wanted:
        weight = 1 << (len(part.bits) - 1 - part.bits.index(bit))
        positions = (positions[:, None] + np.array([0, weight])).reshape(-1)
    return positions


def entry(state: Evolution, part: Part, letters: Mapping[str, str]) -> Any:
    """The entry of one Pauli string on a cluster, the identity on wires without a letter: shape (), or (shots,).

    Its digits are I, Z, X, Y; it is 0 where a letter X or Y stands for a wire that has no x bit.
    """
    x_bit, z_bit = {"I": 0, "Z": 0, "X": 1, "Y": 1}, {"I": 0, "Z": 1, "X": 0, "Y": 1}
    given = {wire: letters.get(wire, "I") for wire in part.wires}
    if any(x_bit[letter] and wire not in part.qubits for wire, letter in given.items()):
        return np.zeros(())
    values = {
        (wire, kind): bits[letter] for wire, letter in given.items() for kind, bits in (("x", x_bit), ("z", z_bit))
    }
    is_here = not part.is_empty and all(values[wire, "x"] == value for wire, value in part.bands)
    batch = () if state.accepted is None else (len(state.accepted),)
    value: Any = np.zeros(batch if part.is_split else ())
    if is_here:
        position = sum(values[bit] << (len(part.bits) - 1 - k) for k, bit in enumerate(part.bits))
        value = value + take(state.vectors[part.slot], np.array([position]))[..., 0]
    return state.comm.sum(np.asarray(value, float)) if part.is_split else value


def overlap(state: Evolution, part: Part, other: Evolution) -> Any:
    """Tr(ρ σ) of one cluster of two runs in the same layout: 2⁻ⁿ Σ_P c_P d_P, each rank over its block."""
    value: Any = 0.0
    if not part.is_empty:
        value = inner(state.vectors[part.slot], other.vectors[part.slot])
    if part.is_split:
        value = float(state.comm.sum(np.asarray(value, float)))
    return value / 2 ** len(part.wires)


def contracted(state: Evolution, part: Part, vector: Any, wires: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """A vector of qubits, four entries each, contracted with a cluster: what is left, and of which qubits.

    w[rest] = 2⁻ᵏ Σ_P v[P, rest] c_P over the k qubits of the cluster
    """
    left = tuple(wire for wire in wires if wire not in part.wires)
    bits = [(wire, kind) for wire in wires for kind in "xz"]
    bands = dict(part.bands)
    fixed = {(wire, "x"): bands.get(wire, 0) for wire in part.wires if (wire, "x") not in part.bits}
    array = vector.reshape((2,) * len(bits))[tuple(fixed.get(bit, slice(None)) for bit in bits)]
    kept = [bit for bit in bits if bit not in fixed]
    order = [kept.index(bit) for bit in part.bits] + [k for k, bit in enumerate(kept) if bit[0] in left]
    columns = array.transpose(order).reshape(2 ** len(part.bits), -1)
    value: Any = np.zeros(4 ** len(left))
    if not part.is_empty:
        block = state.vectors[part.slot]
        with precision_of(block):
            value = matmul(block, columns)
    if part.is_split:
        value = state.comm.sum(np.asarray(value, float))
    elif is_concrete_jax(value):
        value = np.asarray(value, float)
    return value / 2 ** len(part.wires), left


def widened(vector: Any, dims: tuple[int, ...]) -> Any:
    """Every digit with four entries: zeros where a digit has only I and Z."""
    lead = vector.shape[:-1]
    xp = namespace(vector)
    padding = [(0, 0)] * len(lead) + [(0, 4 - d) for d in dims]
    return xp.pad(vector.reshape(*lead, *dims), padding).reshape(*lead, -1)
