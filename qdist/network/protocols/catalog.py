"""The protocols that a job can name, each a function from a network and parameters to a program."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qdist.errors import QdistError, did_you_mean
from qdist.network.graph import Network
from qdist.network.program import Generate, Prepare, Program, Record, Step, apply, bell_measurement
from qdist.network.protocols.links import generate_pairs, teleport
from qdist.network.protocols.multipartite import ghz_state, graph_state
from qdist.network.protocols.purification import purified_pair, purify
from qdist.network.protocols.remote_gates import remote_gate
from qdist.network.protocols.repeaters import repeater_chain


@dataclass(frozen=True)
class Protocol:
    """A protocol by name.

    Attributes:
        name: What a job calls it.
        build: From a network and keyword arguments to a program.
        summary: One sentence.
    """

    name: str
    build: Callable[..., Program]
    summary: str

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The keyword arguments of `build`, in its order."""
        return {n: p for n, p in inspect.signature(self.build, eval_str=True).parameters.items() if n != "network"}


def pair_generation(network: Network, *, between: Sequence[str] = ()) -> Program:
    """One pair over a link, or over every link at once if `between` is empty.

    Args:
        network: Each node needs one memory for every pair that it shares.
        between: The two ends of a link.
    """
    links = [network.link(*_two("between", between))] if between else list(network.links)
    if not links:
        raise QdistError("`links` must hold at least one link to generate a pair, but the network has none.")
    used: dict[str, int] = {}
    pairs = []
    for link in links:
        first, second = (f"{name}/{_next_memory(network, used, name)}" for name in link.between)
        pairs.append((first, second))
    return generate_pairs(*pairs) + [Record("pairs up")]


def teleportation(network: Network, *, source: str, destination: str) -> Program:
    """One half of a local Bell pair is teleported over a link: the fidelity of the pair is the process fidelity.

    The average fidelity over pure states is (2F+1)/3 (Horodecki³, PRA 60, 1888 (1999)).

    Args:
        network: The source needs three memories, the destination one.
        source: The sending node: memory 0 keeps a reference, memory 1 is sent, memory 2 holds half of the pair.
        destination: The receiving node.
    """
    reference, sent, near, far = f"{source}/0", f"{source}/1", f"{source}/2", f"{destination}/0"
    _needs(network, source, 3)
    steps: list[Step] = [
        Prepare((reference,)),
        Prepare((sent,)),
        apply("h", reference),
        apply("cx", reference, sent),
        Record("reference"),
        Generate(((near, far),)),
        *teleport(sent, (near, far)).steps,
        Record("teleported"),
    ]
    pairs = ((reference, far), (reference, sent))
    return Program(tuple(steps), "teleportation", pairs=pairs, qubits=(reference, far))


def entanglement_swapping(network: Network, *, left: str, center: str, right: str) -> Program:
    """Two pairs that share a center become one pair between the outer nodes.

    Args:
        network: The center needs two memories.
        left: An outer node.
        center: The node that measures.
        right: The other outer node.
    """
    return repeater_chain(network, path=(left, center, right))


def purification(network: Network, *, between: Sequence[str], scheme: str = "dejmps", rounds: int = 1) -> Program:
    """Rounds of purification of the pairs of one link; each round is a herald.

    Args:
        network: Both nodes need rounds + 1 memories.
        between: The two ends of a link.
        scheme: `"bbpssw"` or `"dejmps"`.
        rounds: Each doubles the pairs.
    """
    a, b = _two("between", between)
    purify(scheme)
    if not 0 <= rounds <= 10:
        raise QdistError(f"`rounds` must be from 0 to 10 (each doubles the pairs), but is {rounds}.")
    for name in (a, b):
        _needs(network, name, rounds + 1)
    return purified_pair((a, b), scheme, rounds) + [Record("purified")]


def remote_cnot(network: Network, *, control: str, target: str, gate: str = "cx", scheme: str = "cat") -> Program:
    """A gate between two nodes on halves of two local Bell pairs: all that it does to any input.

    The state of the four qubits is the Choi state of the gate that was really done.

    Args:
        network: Both nodes need four memories: a reference, the qubit of the gate, and two for pairs.
        control: A node.
        target: Another node that shares a link with it.
        gate: `"cx"`, `"cz"` or another two-qubit gate of the library without parameters.
        scheme: `"cat"`, `"teleport"` or `"teleport_back"`.
    """
    steps: list[Step] = []
    for name in (control, target):
        _needs(network, name, 4)
        steps += [Prepare((f"{name}/{k}",)) for k in (0, 1)]
        steps += [apply("h", f"{name}/0"), apply("cx", f"{name}/0", f"{name}/1")]
    pair, back = (f"{control}/2", f"{target}/2"), (f"{target}/3", f"{control}/3")
    steps.append(Generate((pair,)))
    if scheme == "teleport_back":
        steps.append(Generate((back,)))
    remote = remote_gate(gate, f"{control}/1", f"{target}/1", pair, scheme=scheme, return_pair=back)
    qubits = (f"{control}/0", f"{target}/0", *remote.qubits)
    steps += [*remote.steps, Record("gate done")]
    pairs = ((qubits[0], qubits[2]), (qubits[1], qubits[3]), (qubits[2], qubits[3]))
    return Program(tuple(steps), "remote_cnot", pairs=pairs, qubits=qubits)


def superdense_coding(network: Network, *, sender: str, receiver: str, message: str = "11") -> Program:
    """Two classical bits carried by one qubit and a pair shared before.

    The sender turns its half by Z^m₀ X^m₁; its qubit travels to the receiver over a second pair (by teleportation),
    and a Bell measurement reads both bits.

    Args:
        network: The sender needs two memories, the receiver two.
        sender: A node.
        receiver: A node that shares a link with it.
        message: Two characters 0 or 1.
    """
    if len(message) != 2 or set(message) - {"0", "1"}:
        raise QdistError(f"`message` must be two characters 0 or 1, but is '{message}'.")
    _needs(network, sender, 2)
    _needs(network, receiver, 2)
    half, kept, carrier, arrived = f"{sender}/0", f"{receiver}/0", f"{sender}/1", f"{receiver}/1"
    steps: list[Step] = [Generate(((half, kept),)), Record("pair up")]
    steps += [apply("x", half)] * int(message[1]) + [apply("z", half)] * int(message[0])
    steps += [Generate(((carrier, arrived),), after=(half,)), *teleport(half, (carrier, arrived)).steps]
    steps += bell_measurement(arrived, kept, "m0", "m1")
    return Program(tuple(steps), "superdense_coding", bits=("m0", "m1"), pairs=((half, kept),))


_ALL = (
    Protocol("pair_generation", pair_generation, "Pairs over one link or over all."),
    Protocol("teleportation", teleportation, "Half of a Bell pair is teleported over a link."),
    Protocol("entanglement_swapping", entanglement_swapping, "Two pairs become one longer pair."),
    Protocol("repeater_chain", repeater_chain, "A pair between the ends of a path, with purification if wanted."),
    Protocol("purification", purification, "BBPSSW or DEJMPS rounds on one link."),
    Protocol("remote_cnot", remote_cnot, "A two-qubit gate between nodes, as its Choi state."),
    Protocol("ghz_state", ghz_state, "A GHZ state over a tree of links."),
    Protocol("graph_state", graph_state, "A graph state whose edges are links."),
    Protocol("superdense_coding", superdense_coding, "Two bits by one qubit and a pair."),
)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _ALL}


def build_protocol(name: str, network: Network, parameters: Mapping[str, Any]) -> Program:
    """The program of a protocol, with its parameters checked by name.

    Raises:
        QdistError: The protocol or a parameter is unknown, or a parameter without a default is missing.
    """
    if name not in PROTOCOLS:
        raise QdistError(f"`protocol` must be one that exists, but '{name}' is none.{did_you_mean(name, PROTOCOLS)}")
    known = PROTOCOLS[name].parameters
    for key in parameters:
        if key not in known:
            raise QdistError(f"Protocol '{name}' has no parameter '{key}'.{did_you_mean(key, known)}")
    for key, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and key not in parameters:
            raise QdistError(f"Protocol '{name}' must be given `{key}`, but it is missing.")
    return PROTOCOLS[name].build(network, **parameters)


def _two(name: str, value: Sequence[str]) -> tuple[str, str]:
    if isinstance(value, str) or len(value) != 2:
        raise QdistError(f"`{name}` must be the names of two nodes, but is {value!r}.")
    return str(value[0]), str(value[1])


def _needs(network: Network, name: str, qubits: int) -> None:
    if network.node(name).qubits < qubits:
        raise QdistError(
            f"`qubits` of node '{name}' must be at least {qubits} for this protocol, but is "
            f"{network.node(name).qubits}. Give it more memories."
        )


def _next_memory(network: Network, used: dict[str, int], name: str) -> int:
    number = used.get(name, 0)
    _needs(network, name, number + 1)
    used[name] = number + 1
    return number
