"""Random plans with every kind of instruction, exact or of shots, and all that can be read off what they lead to."""

import jax
import numpy as np

from qdist.machine.instructions import Act, Create, EachShot, JointRelax, Look, Observe, Remove
from qdist.machine.planner import make_plan
from qdist.network.graph import Network, Node
from qdist.network.lowering import lower
from qdist.network.program import Apply, Herald, Measure, apply, bit_is, parity_is
from qdist.physics import channels
from qdist.runs.evolve import evolve
from qdist.runs.final import FinalStates
from qdist.runs.outcomes import distribution, drawn_outcomes
from qdist.runs.reading import entry, reduced
from qdist_kernels.batches import entries_of
from tests.programs import RandomProgram

SHOTS = 12


class Nothing:
    """In the place of the dense reference, which takes most of the time."""

    branches = ()

    def __getattr__(self, name):
        return lambda *arguments: None


class AllSteps(RandomProgram):
    """Random programs with noise on pairs, general gates and heralds as well."""

    reference = property(lambda self: Nothing(), lambda self, value: None)

    def random_step(self):
        more = ["general", "noise_on_pair", "relax", "herald"]
        if len(self.live) < 2 or self.rng.random() < 0.6:
            return super().random_step()
        return getattr(self, self.rng.choice(more, p=[0.35, 0.35, 0.2, 0.1]))()

    def general(self):
        if self.rng.integers(2):
            self.steps.append(apply("u3", *self.pick(1), params=tuple(6 * self.rng.random(3))))
        else:
            name = str(self.rng.choice(["cp", "rxx", "crx"]))
            self.steps.append(apply(name, *self.pick(2), params=(6 * self.rng.random(),), when=self.condition()[0]))

    def noise_on_pair(self):
        self.steps.append(Apply(channels.depolarizing(float(self.rng.random()) / 4, 2), tuple(self.pick(2))))

    def relax(self):
        t1, t2, hot = (float(x) for x in self.rng.random(3))
        noise = channels.thermal_relaxation(0.2, 0.5 + t1, 0.5 + t2 * t1, excited_population=hot / 2)
        self.steps.append(Apply(noise, tuple(self.pick(1))))

    def herald(self):
        """Of a bit that can be either: it was misread with some probability."""
        (qubit,), others = self.pick(1), list(self.bits)
        self.bits.append(f"m{len(self.bits)}")
        self.steps.append(Measure(qubit, self.bits[-1], "X", True, (0.3, 0.2)))
        test = parity_is([self.bits[-1], str(self.rng.choice(others))]) if others else bit_is(self.bits[-1], 0)
        self.steps.append(Herald(test, f"herald {len(self.steps)}"))


def joint_relax(rng, qubits):
    """Waiting together for 1 with probability 0.3, else for 2."""
    rates, total = 0.2 * rng.random((len(qubits), 4)), 0.0
    rates[:, 0], rates[:, 3] = 0.0, rates[:, 2]
    for chance, time in ((0.3, 1), (0.7, 2)):
        factors = np.array(chance)
        for row in rates:
            factors = np.multiply.outer(factors, np.exp(-time * row))
        total = total + factors
    return JointRelax(tuple(qubits), 0.5 * rng.random(len(qubits)), total.reshape(-1))


def one_matrix_a_shot(rng, shots):
    """A Hadamard gate or nothing, then phase flips with a probability of its own."""
    hadamard = np.zeros((4, 4))
    hadamard[[0, 2, 1, 3], [0, 1, 2, 3]] = 1, 1, 1, -1
    flips = np.where(rng.integers(2, size=shots)[:, None, None], hadamard, np.eye(4))
    shrunk = rng.random(shots)
    matrices = np.stack([np.diag([1, 1, s, s]) for s in shrunk]) @ flips
    given = entries_of(matrices) if rng.integers(2) else matrices
    return EachShot(np.abs(matrices).max(axis=0), lambda draws: given)


def instructions(seed, qubits, length, shots=None):
    """A random program with every kind of instruction; and three of its bits, which are its output."""
    rng = np.random.default_rng(seed + 1000)
    network = Network((Node("a", qubits),))
    program = AllSteps(seed, num_qubits=qubits, length=length).program()
    lowered = lower(program, network, sampled=shots is not None)
    found, live = [], []
    for instruction in lowered.instructions:
        found.append(instruction)
        match instruction:
            case Create(qubits=new):
                live += new
            case Remove(qubit=qubit):
                live.remove(qubit)
            case Observe(qubit=qubit, keeps_qubit=False):
                live.remove(qubit)
        some = [str(q) for q in rng.permutation(live)[: rng.integers(1, 5)]]
        if some and rng.random() < 0.06:
            found.append(joint_relax(rng, some))
        if some and rng.random() < 0.06:
            relaxations = tuple(None if rng.integers(2) else np.diag([1, 1, 0.5, 0.5]) for _ in some)
            found.append(Look("look", (tuple(some), tuple(live[:1])), (relaxations, (None,)), 0.0))
        if some and shots is not None and rng.random() < 0.1:
            found.append(Act((some[0],), one_matrix_a_shot(rng, shots)))
    few = [str(bit) for bit in rng.permutation(list(lowered.bits))[:3]]
    return found, {bit: lowered.bits[bit] for bit in few}


def random_plan(seed, qubits, length, *, precision="float64", shots=None, **options):
    found, outputs = instructions(seed, qubits, length, shots)
    itemsize = np.dtype(precision).itemsize
    return make_plan(found, outputs=outputs, shots=shots, itemsize=itemsize, **options)


def seen(whole, plan, state, draws=None):
    """All that can be read off, with wires in the order of the plan for one rank."""
    order = {part.slot: part.wires for part in whole.final}
    rng = np.random.default_rng(len(whole.operations))
    values = [reduced(state, [part], order[part.slot]) for part in plan.final]
    values += [v for reading in state.readings for v in (*reading.vectors, reading.accepted) if v is not None]
    values += [kept.probability if draws is None else kept.accepted for kept in state.kept]
    for part in plan.final:
        for _ in range(3):
            letters = {wire: str(rng.choice(list("IZXY"))) for wire in order[part.slot]}
            values.append(entry(state, part, letters))
    if draws is None:
        return [*values, distribution(plan, state), FinalStates(plan.final, state).purity()]
    return [*values, *state.drawn.values(), drawn_outcomes(plan, state, draws)]


def run_alone(plan, precision, draws=None):
    with jax.enable_x64(precision == "float64"):
        return seen(plan, plan, evolve(plan, np.dtype(precision), draws=draws), draws)
