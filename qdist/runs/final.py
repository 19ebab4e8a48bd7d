"""The states at the end of a run, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qdist.errors import QdistError, did_you_mean
from qdist.machine.plan import Part
from qdist.machine.planner import make_plan
from qdist.network.graph import Network
from qdist.network.lowering import lower
from qdist.network.ownership import check_program
from qdist.network.program import Program
from qdist.physics.states import State
from qdist.runs.evolution import Evolution
from qdist.runs.evolve import evolve
from qdist.runs.reading import reduced, widened


@dataclass(frozen=True, eq=False)
class FinalStates:
    """Clusters at the end of an exact run: any reduced state can be read off.

    Every qubit is as its own last step left it: waiting after that is not included. A `Record` step brings the qubits
    that it looks at to one common moment.

    Attributes:
        parts: Where each wire is.
        evolution: The vectors.
    """

    parts: tuple[Part, ...]
    evolution: Evolution

    @property
    def clusters(self) -> tuple[tuple[str, ...], ...]:
        """The qubits and bits that share a correlation vector."""
        return tuple(part.wires for part in self.parts)

    @property
    def success_probability(self) -> Any:
        """Probability that every herald succeeded and every postselected outcome occurred."""
        product: Any = 1.0
        for branch in self.evolution.kept:
            product = product * branch.probability
        return product

    def state(self, qubits: Sequence[str]) -> State:
        """The reduced state of `qubits`, in their order, given that every herald succeeded.

        The cost is a slice of each cluster; a cluster is never multiplied out for qubits that are not asked for.
        """
        known = [wire for part in self.parts for wire in part.wires]
        if isinstance(qubits, str) or not qubits or len(set(qubits)) != len(qubits):
            raise QdistError(f"`qubits` must be a list of different qubits, but is {qubits!r}.")
        for qubit in qubits:
            if qubit not in known:
                raise QdistError(f"'{qubit}' must be alive at the end, but is not.{did_you_mean(qubit, known)}")
        size = {wire: part.size(wire) for part in self.parts for wire in part.wires}
        vector = reduced(self.evolution, self.parts, tuple(qubits))
        return State(widened(vector, tuple(size[q] for q in qubits)), tuple(qubits))


def final_states(program: Program, network: Network) -> FinalStates:
    """Run a program exactly and return its states: a pure function of every number in it.

    `jax.grad`, `jax.jit` and `jax.vmap` go through: noise parameters, fidelities, angles and durations of the program
    and of the network may be tracers, and the states are JAX arrays then; in float64 inside `jax.enable_x64(True)`.

    Args:
        program: What the nodes do.
        network: Where.
    """
    check_program(program, network)
    plan = make_plan(lower(program, network).instructions)
    return FinalStates(plan.final, evolve(plan, None))
