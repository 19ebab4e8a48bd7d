"""Moving entanglement: pairs over links, teleportation, entanglement swapping."""

from collections.abc import Sequence

from qdist.network.program import Generate, Program, Send, Step, apply, bell_measurement, bit_is

Pair = tuple[str, str]


def node_of(qubit: str) -> str:
    """The node in a qubit's name."""
    return qubit.partition("/")[0]


def generate_pairs(*pairs: Pair, after: Sequence[str] = ()) -> Program:
    """Pairs are made over their links at the same time, and wait for one another.

    Costs one pair a link; the time is the largest of the links' random times.
    """
    return Program((Generate(tuple(pairs), tuple(after)),), "generate_pairs", pairs=tuple(pairs))


def pauli_correction(qubit: str, z_bit: str, x_bit: str) -> list[Step]:
    """X if `x_bit`, then Z if `z_bit`: what a Bell measurement elsewhere asks of this qubit."""
    return [apply("x", qubit, when=bit_is(x_bit)), apply("z", qubit, when=bit_is(z_bit))]


def teleport(source: str, pair: Pair) -> Program:
    """The state of `source` moves to the far half of a pair; the source and the near half are gone.

    Costs one pair and two classical bits. Over a Werner pair of fidelity F the process fidelity is F and the average
    fidelity (2F+1)/3 (Horodecki³, PRA 60, 1888 (1999)). Source: Bennett et al., PRL 70, 1895 (1993).

    Args:
        source: The qubit to be sent.
        pair: A pair close to Φ⁺; its first qubit is at the node of `source`.
    """
    near, far = pair
    z_bit, x_bit = f"{source}.z", f"{source}.x"
    steps = [
        *bell_measurement(source, near, z_bit, x_bit, moved_to=far),
        Send((z_bit, x_bit), node_of(source), node_of(far)),
        *pauli_correction(far, z_bit, x_bit),
    ]
    return Program(tuple(steps), "teleport", qubits=(far,))


def swap(left: Pair, right: Pair) -> Program:
    """Entanglement swapping: pairs (a, b) and (b′, c) at a common node of b and b′ become a pair (a, c).

    Costs both pairs and two classical bits, sent to c's node, where the correction is made. Two Werner pairs give
    F′ = F₁F₂ + (1−F₁)(1−F₂)/3 (Briegel et al., PRL 81, 5932 (1998)).
    """
    (a, b), (b2, c) = left, right
    moved = teleport(b, (b2, c))
    return Program(moved.steps, "swap", pairs=((a, c),), qubits=(a, c))
