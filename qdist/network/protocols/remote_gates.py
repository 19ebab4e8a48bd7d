"""Gates between nodes: one pair and two bits by a cat state or by teleporting, two pairs if the qubit returns."""

from qdist.errors import QdistError
from qdist.network.program import Apply, Measure, Program, Send, Step, apply, bit_is
from qdist.network.protocols.links import Pair, node_of, teleport
from qdist.physics.gates import Gate, gate

REMOTE_SCHEMES = ("cat", "teleport", "teleport_back")


def cat_entangle(control: str, pair: Pair) -> list[Step]:
    """The far half of a pair becomes a copy of the control in the Z basis: a|00⟩ + b|11⟩. One pair, one bit.

    The control is not cloned: the two qubits share one state, and either can control gates of its node.
    """
    near, far = pair
    bit = f"{control}.cat"
    return [
        apply("cx", control, near),
        Measure(near, bit),
        Send((bit,), node_of(near), node_of(far)),
        apply("x", far, when=bit_is(bit)),
    ]


def cat_disentangle(control: str, far: str) -> list[Step]:
    """The copy is given back: measured in the X basis, with a Z on the control if needed. One bit."""
    bit = f"{control}.uncat"
    return [
        Measure(far, bit, basis="X"),
        Send((bit,), node_of(far), node_of(control)),
        apply("z", control, when=bit_is(bit)),
    ]


def remote_gate(
    name: str | Gate, control: str, target: str, pair: Pair, *, scheme: str = "cat", return_pair: Pair | None = None
) -> Program:
    """A two-qubit gate between two nodes, by local operations, classical messages and pairs.

    `"cat"`: the cat-entangler (Eisert et al., PRA 62, 052317 (2000); Yimsiriwattana and Lomonaco, 2004), for gates
    that are diagonal in Z on the control; one pair, two bits. `"teleport"`: the control moves to the target's node and
    stays there; one pair, two bits. `"teleport_back"`: it is teleported back over `return_pair`; two pairs, four bits;
    any gate. Over a Werner pair of fidelity F, the cat scheme has process fidelity F.

    Args:
        name: A gate of the library, or a `Gate` of two qubits; the control comes first.
        control: A qubit.
        target: A qubit at another node.
        pair: Its first half at the control's node, its second at the target's.
        scheme: `"cat"`, `"teleport"` or `"teleport_back"`.
        return_pair: For `"teleport_back"`: its first half at the target's node, its second at the control's.
    """
    if scheme not in REMOTE_SCHEMES:
        raise QdistError(f"`scheme` must be one of {', '.join(REMOTE_SCHEMES)}, but is '{scheme}'.")
    two = name if isinstance(name, Gate) else gate(name)
    if two.num_qubits != 2:
        raise QdistError(f"A remote gate must be on two qubits, but '{two.name}' is on {two.num_qubits}.")
    if scheme == "cat":
        if not is_controlled(two):
            raise QdistError(
                f"The cat scheme needs a gate that is diagonal in Z on its control, but '{two.name}' is not."
            )
        steps = [*cat_entangle(control, pair), Apply(two, (pair[1], target)), *cat_disentangle(control, pair[1])]
        return Program(tuple(steps), f"remote_{two.name}", qubits=(control, target))
    steps = [*teleport(control, pair).steps, Apply(two, (pair[1], target))]
    if scheme == "teleport":
        return Program(tuple(steps), f"remote_{two.name}", qubits=(pair[1], target))
    if return_pair is None:
        raise QdistError("`return_pair` must be given to teleport the qubit back, but is missing.")
    steps += teleport(pair[1], return_pair).steps
    return Program(tuple(steps), f"remote_{two.name}", qubits=(return_pair[1], target))


def is_controlled(two: Gate) -> bool:
    """Whether a two-qubit gate is |0⟩⟨0| ⊗ A + |1⟩⟨1| ⊗ B: no element flips its first qubit."""
    corner = abs(two.unitary[:2, 2:]).max() + abs(two.unitary[2:, :2]).max()
    return two.num_qubits == 2 and bool(corner < 1e-12)
