"""Circuits become programs: on one node, or placed on several, with pairs for the gates between them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from qdist.errors import QdistError, did_you_mean
from qdist.machine.instructions import Test
from qdist.network.circuits import Circuit, Instruction, expand_wide_gates
from qdist.network.devices import IDEAL
from qdist.network.graph import Network, Node
from qdist.network.noise import CircuitNoise, DeviceNoise
from qdist.network.program import (
    Apply,
    Combine,
    Generate,
    Measure,
    Prepare,
    Program,
    Record,
    Reset,
    Send,
    Step,
    Wait,
)
from qdist.network.protocols.links import node_of, swap, teleport
from qdist.network.protocols.remote_gates import cat_disentangle, cat_entangle, is_controlled
from qdist.physics.gates import Gate, gate, unitary_gate

DEFAULT_NODE = "qpu"


def circuit_program(
    circuit: Circuit,
    *,
    noise: CircuitNoise | None = None,
    network: Network | None = None,
    placement: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Program, Network]:
    """A circuit as a program, and the network it runs on.

    Noise follows every gate of the library once, as written; gates on three qubits are written by their library
    definition where there is noise, a device or a cut. A gate between two nodes is done with one pair by a
    cat-entangler if it is diagonal in Z on one of its qubits, else by teleporting one qubit there and back (two
    pairs). Nodes that share no link get their pair by swapping along the shortest path. Conditions of gates wait for
    their bits, which are sent to where they are needed.

    Args:
        circuit: What to run.
        noise: What follows each gate, and readout errors; the devices of the nodes otherwise.
        network: Where it runs; one ideal node `"qpu"` with as many qubits as the circuit if `None`.
        placement: For each node the names of its qubits in the circuit, such as `"q[0]"`. They take the first memories
            of the node; the others are for pairs. Not needed for a network of one node.

    Raises:
        QdistError: A qubit is placed twice or nowhere, a node has too few memories, or noise is given twice.
    """
    if network is None:
        network = Network((Node(DEFAULT_NODE, max(1, circuit.num_qubits)),))
    names = _placed(circuit, network, placement)
    spread = len({network.node_of(name).name for name in names}) > 1
    _check_noise(noise, network, spread)
    real = noise is not None or spread or any(node.device != IDEAL for node in network.nodes)
    writer = _Writer(expand_wide_gates(circuit) if real else circuit, noise, network, names)
    return writer.program(), network


def _placed(circuit: Circuit, network: Network, placement: Mapping[str, Sequence[str]] | None) -> list[str]:
    """The memory of each qubit of the circuit."""
    numbers = {circuit.qubit_name(i): i for i in range(circuit.num_qubits)}
    if placement is None:
        if len(network.nodes) != 1:
            raise QdistError(
                f"`placement` must say which node has which qubits, but is missing in a network of "
                f'{len(network.nodes)} nodes. Write for example {{ {network.nodes[0].name} = ["q[0]"] }}.'
            )
        placement = {network.nodes[0].name: list(numbers)}
    names: dict[int, str] = {}
    for node_name, qubits in placement.items():
        node = network.node(node_name)
        if len(qubits) > node.qubits:
            raise QdistError(
                f"`qubits` of node '{node.name}' must be at least {len(qubits)} for the circuit's qubits placed there, "
                f"but is {node.qubits}. Give the node more qubits."
            )
        for memory, qubit in enumerate(qubits):
            if qubit not in numbers:
                raise QdistError(
                    f"`placement` must name qubits of the circuit, but '{qubit}' is none.{did_you_mean(qubit, numbers)}"
                )
            if numbers[qubit] in names:
                raise QdistError(f"`placement` must place each qubit once, but '{qubit}' is placed twice.")
            names[numbers[qubit]] = f"{node.name}/{memory}"
    missing = [qubit for qubit, number in numbers.items() if number not in names]
    if missing:
        raise QdistError(f"`placement` must place all qubits of the circuit, but '{missing[0]}' is placed nowhere.")
    return [names[i] for i in range(circuit.num_qubits)]


def _check_noise(noise: CircuitNoise | None, network: Network, spread: bool) -> None:
    if noise is None:
        return
    for node in network.nodes:
        if node.device != IDEAL:
            raise QdistError(
                f"Noise must be given once, but there is a noise model for the circuit and node '{node.name}' has the "
                f"device '{node.device.name}'. Leave one of them out."
            )
    if spread and isinstance(noise, DeviceNoise):
        raise QdistError(
            "The calibration file of a device must be used for a circuit on one node, but this one is on several. "
            "Give the nodes devices, or use `one_qubit`, `two_qubit` and `readout`."
        )


@dataclass
class _Writer:
    """Writes steps, and knows which memories are for pairs and which node knows which bit.

    A gate without a condition, inside of a node, means the same steps wherever it stands: they are `written` once, and
    a program refers to the same values again and again.
    """

    circuit: Circuit
    noise: CircuitNoise | None
    network: Network
    names: list[str]
    steps: list[Step] = field(default_factory=list)
    known_at: dict[str, set[str]] = field(default_factory=dict)
    written: dict[tuple[str, tuple[float, ...], tuple[int, ...]], list[Step]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._nodes = {name: self.network.node_of(name).name for name in self.names}
        data = list(self._nodes.values())
        self._spare = {node.name: data.count(node.name) for node in self.network.nodes}
        self._numbers = {name: i for i, name in enumerate(self.names)}
        self._dropped = 0

    def program(self) -> Program:
        measured = any(instruction.kind == "measure" and instruction.bits for instruction in self.circuit.instructions)
        bits = tuple(self.circuit.bit_name(i) for i in range(self.circuit.num_bits)) if measured else ()
        self.steps += [Prepare((name,)) for name in self.names]
        for bit in self._read_as_zero():
            self.steps.append(Combine(bit, ()))
            self.known_at[bit] = {node.name for node in self.network.nodes}
        for instruction in self.circuit.instructions:
            try:
                self._write(instruction)
            except QdistError as error:
                raise QdistError(
                    f"{self.circuit.path or self.circuit.name}, line {instruction.line}: {error}"
                ) from None
        self.steps.append(Record("end"))
        return Program(tuple(self.steps), self.circuit.name, bits, (), tuple(self.names))

    def _read_as_zero(self) -> list[str]:
        """Bits that are read, or shown at the end, where nothing was surely written before."""
        written: set[int] = set()
        zero = []
        for instruction in self.circuit.instructions:
            if instruction.condition is None and not instruction.bits:
                continue
            asked = instruction.condition.bits if instruction.condition else ()
            maybe = instruction.bits if instruction.condition else ()
            zero += [bit for bit in (*asked, *maybe) if bit not in written and bit not in zero]
            written.update(instruction.bits)
        zero += [bit for bit in range(self.circuit.num_bits) if bit not in written and bit not in zero]
        return [self.circuit.bit_name(bit) for bit in zero]

    def _write(self, instruction: Instruction) -> None:
        qubits = tuple([self.names[i] for i in instruction.qubits])
        match instruction.kind:
            case "gate" if instruction.condition is None and len({self._nodes[qubit] for qubit in qubits}) == 1:
                self.steps += self._unconditional(instruction.name, instruction.params, instruction.qubits)
            case "gate":
                self._gate(gate(instruction.name, *instruction.params), instruction, qubits)
            case "unitary":
                assert instruction.unitary is not None
                self._gate(unitary_gate(instruction.unitary, instruction.name), instruction, qubits)
            case "measure":
                self._measure(instruction, qubits[0])
            case "reset":
                self.steps.append(Reset(qubits[0], self._when(instruction, self._nodes[qubits[0]])))
            case "delay":
                self.steps.append(Wait(qubits, float(instruction.duration or 0.0)))

    def _when(self, instruction: Instruction, *nodes: str) -> Test | None:
        """The condition of an instruction, after its bits were sent to the nodes that act on it."""
        condition = instruction.condition
        if condition is None:
            return None
        bits = tuple(self.circuit.bit_name(bit) for bit in condition.bits)
        for bit in bits:
            for node in nodes:
                if node not in self.known_at[bit]:
                    self.steps.append(Send((bit,), min(self.known_at[bit]), node))
                    self.known_at[bit].add(node)
        return Test(bits, condition.values)

    def _measure(self, instruction: Instruction, qubit: str) -> None:
        when = self._when(instruction, self._nodes[qubit])
        readout = self.noise.readout(instruction.qubits[0]) if self.noise is not None else None
        if instruction.bits:
            bit = self.circuit.bit_name(instruction.bits[0])
        else:
            bit = f"unread {self._dropped}"
            self._dropped += 1
        node = self._nodes[qubit]
        if when is not None and node not in self.known_at.get(bit, {node}):
            self.steps.append(Send((bit,), min(self.known_at[bit]), node))
        self.steps.append(Measure(qubit, bit, keep=True, readout=readout, when=when))
        self.known_at[bit] = {self._nodes[qubit]}
        self.steps += self._time_passed("measure", instruction.qubits, (qubit,))

    def _gate(self, operation: Gate, instruction: Instruction, qubits: tuple[str, ...]) -> None:
        nodes = tuple(dict.fromkeys(self._nodes[qubit] for qubit in qubits))
        if len(nodes) == 1:
            when = self._when(instruction, nodes[0])
            self.steps += self._local(operation, qubits, when, instruction.qubits)
        elif len(qubits) == 2:
            self._remote(operation, instruction, qubits)
        else:
            raise QdistError(
                f"A gate between nodes must act on one or two qubits or be in the library, but '{operation.name}' acts "
                f"on {len(qubits)}. Write it in smaller gates."
            )

    def _unconditional(self, name: str, params: tuple[float, ...], numbers: tuple[int, ...]) -> list[Step]:
        key = name, params, numbers
        if key not in self.written:
            qubits = tuple([self.names[i] for i in numbers])
            self.written[key] = self._local(gate(name, *params), qubits, None, numbers)
        return self.written[key]

    def _local(
        self, operation: Gate, qubits: tuple[str, ...], when: Test | None, numbers: tuple[int, ...]
    ) -> list[Step]:
        """A gate inside a node, followed by its noise; `numbers` are the circuit's qubits that the noise looks up."""
        steps: list[Step] = [Apply(operation, qubits, when)]
        if self.noise is None:
            return steps
        places = dict(zip(numbers, qubits, strict=True))
        for channel, where in self.noise.gate_noise(operation.name, numbers, self.circuit.num_qubits):
            steps.append(Apply(channel, tuple([places[i] for i in where]), when))
        return steps + self._time_passed(operation.name, numbers, qubits)

    def _time_passed(self, name: str, numbers: tuple[int, ...], qubits: tuple[str, ...]) -> list[Step]:
        duration = self.noise.gate_duration(name, numbers) if self.noise is not None else 0.0
        return [Wait(qubits, duration)] if duration > 0 else []

    # -- gates between nodes

    def _remote(self, operation: Gate, instruction: Instruction, qubits: tuple[str, ...]) -> None:
        first, second = qubits
        if is_controlled(operation):
            self._cat(operation, instruction, first, second)
        elif is_controlled(_exchanged(operation)):
            self._cat(operation, instruction, second, first)
        else:
            self._there_and_back(operation, instruction, first, second)

    def _cat(self, operation: Gate, instruction: Instruction, control: str, target: str) -> None:
        """The control is shared with the target's node, which does the gate; operands stay in the gate's order."""
        node = self._nodes[target]
        near, copy = self._spare_memory(self._nodes[control], 0), self._spare_memory(node, 0)
        operands = tuple(copy if self.names[i] == control else target for i in instruction.qubits)
        self._pair(near, copy, (control, target))
        self._noisy(cat_entangle(control, (near, copy)))
        self.steps += self._local(operation, operands, self._when(instruction, node), instruction.qubits)
        self._noisy(cat_disentangle(control, copy))

    def _there_and_back(self, operation: Gate, instruction: Instruction, first: str, second: str) -> None:
        """The first qubit visits the second one's node and returns into its own memory."""
        a, b = self._nodes[first], self._nodes[second]
        near, guest, back = self._spare_memory(a, 0), self._spare_memory(b, 0), self._spare_memory(b, 1)
        self._pair(near, guest, (first, second))
        self._noisy(teleport(first, (near, guest)).steps)
        self.steps += self._local(operation, (guest, second), self._when(instruction, b), instruction.qubits)
        self._pair(back, first, (guest,))
        self._noisy(teleport(guest, (back, first)).steps)

    def _noisy(self, steps: Iterable[Step]) -> None:
        """The steps of a protocol; its gates have the noise of the circuit's gates on as many qubits."""
        for step in steps:
            if isinstance(step, Apply) and isinstance(step.operation, Gate) and self.noise is not None:
                self.steps += self._local(step.operation, step.qubits, step.when, tuple(range(len(step.qubits))))
            elif isinstance(step, Measure) and self.noise is not None:
                readout = self.noise.readout(0)
                self.steps.append(Measure(step.qubit, step.bit, step.basis, step.keep, readout, moved_to=step.moved_to))
            else:
                self.steps.append(step)

    def _spare_memory(self, node: str, number: int) -> str:
        """A memory of a node that holds no qubit of the circuit."""
        memory = self._spare[node] + number
        if memory >= self.network.node(node).qubits:
            raise QdistError(
                f"`qubits` of node '{node}' must be at least {memory + 1} for gates with other nodes (its "
                f"{self._spare[node]} qubits of the circuit, the rest for pairs), but is "
                f"{self.network.node(node).qubits}. Give it more."
            )
        return f"{node}/{memory}"

    def _pair(self, near: str, far: str, after: tuple[str, ...]) -> None:
        """A pair between two memories, over their link or by swapping along a path, made when it is needed."""
        path = self.network.path(node_of(near), node_of(far))
        inner = [(self._spare_memory(node, 0), self._spare_memory(node, 1)) for node in path[1:-1]]
        ends = [near, *(memory for two in inner for memory in two), far]
        pairs = tuple(zip(ends[::2], ends[1::2], strict=True))
        self.steps.append(Generate(pairs, after))
        left = pairs[0]
        for right in pairs[1:]:
            self._noisy(swap(left, right).steps)
            left = (left[0], right[1])


def _exchanged(operation: Gate) -> Gate:
    """The same gate with its two qubits named in the other order."""
    order = np.array([0, 2, 1, 3])
    return Gate(operation.name, operation.unitary[np.ix_(order, order)], operation.params)
