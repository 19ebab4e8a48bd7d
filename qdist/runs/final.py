"""The states at the end of a run, in memory."""

from collections.abc import Mapping, Sequence
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
from qdist.runs.outcomes import probabilities_of
from qdist.runs.reading import contracted, entry, overlap, reduced, widened


@dataclass(frozen=True, eq=False)
class FinalStates:
    """Clusters at the end of an exact run: whatever can be read off them, without gathering one that is split.

    Under several ranks each method is called by all of them together, and gives the same on every rank.

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
        self._check(qubits)
        size = {wire: part.size(wire) for part in self.parts for wire in part.wires}
        vector = reduced(self.evolution, self.parts, tuple(qubits))
        return State(widened(vector, tuple(size[q] for q in qubits)), tuple(qubits))

    def correlator(self, letters: Mapping[str, str]) -> Any:
        """⟨P⟩ of a Pauli string, such as `{"alice/0": "X", "bob/0": "Z"}`; the identity on all other qubits.

        ⟨P⟩ = Tr(P ρ): one entry of each cluster's vector.
        """
        self._check(tuple(letters))
        for wire, letter in letters.items():
            if letter not in ("I", "X", "Y", "Z"):
                raise QdistError(f"A Pauli operator must be I, X, Y or Z, but that of '{wire}' is {letter!r}.")
        value: Any = 1.0
        for part in self.parts:
            if any(wire in part.wires for wire in letters):
                value = value * entry(self.evolution, part, letters)
        return value

    def probabilities(self, wires: Sequence[str]) -> Any:
        """P(outcome) of Z measurements of qubits, and of bits, in their order, the first most significant: (2ᵏ,).

        P = 2⁻ᵏ H c over the 2ᵏ correlators of I and Z; other entries are not touched. Rounding below 0 is clipped.
        """
        self._check(wires)
        return probabilities_of(reduced(self.evolution, self.parts, tuple(wires), diagonal=True), len(wires))

    def purity(self) -> Any:
        """Purity of the joint state of all that is alive.

        Tr ρ² = Π over clusters of 2⁻ⁿ Σ_P c_P²
        """
        value: Any = 1.0
        for part in self.parts:
            value = value * overlap(self.evolution, part, self.evolution)
        return value

    def overlap(self, target: "State | FinalStates") -> Any:
        """Tr(ρ σ) with another state of all qubits that are alive: the fidelity, if one of the two is pure.

        Tr(ρ σ) = 2⁻ⁿ Σ_P c_P d_P

        Args:
            target: A state of the same qubits, in any order, which every rank has; or the end of another run on the
                same ranks, of a program with the same steps (other noise or other angles).

        Raises:
            QdistError: The qubits differ, or the other run was cut into clusters in another way.
        """
        if isinstance(target, FinalStates):
            if target.parts != self.parts:
                raise QdistError(
                    "`target` must have its qubits in the same clusters and on the same ranks, but has not. "
                    "Give a `State`, or run two programs with the same steps."
                )
            value: Any = 1.0
            for part in self.parts:
                value = value * overlap(self.evolution, part, target.evolution)
            return value
        known = {wire for part in self.parts for wire in part.wires}
        if set(target.qubits) != known:
            raise QdistError(
                f"`target` must be a state of the {len(known)} qubits that are alive, but is of "
                f"{', '.join(target.qubits[:6])}{', …' if len(target.qubits) > 6 else ''}."
            )
        left, wires = target.vector, tuple(target.qubits)
        for part in self.parts:
            left, wires = contracted(self.evolution, part, left, wires)
        return left[0]

    def _check(self, wires: Sequence[str]) -> None:
        known = [wire for part in self.parts for wire in part.wires]
        if isinstance(wires, str) or not wires or len(set(wires)) != len(wires):
            raise QdistError(f"`qubits` must be a list of different qubits, but is {wires!r}.")
        for wire in wires:
            if wire not in known:
                raise QdistError(f"'{wire}' must be alive at the end, but is not.{did_you_mean(wire, known)}")


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
