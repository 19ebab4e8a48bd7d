"""No cloning and no action at a distance: a forbidden program is refused with the sentence that says where it fails."""

import pytest

from qdist.errors import QdistError
from qdist.network.graph import chain
from qdist.network.ownership import check_program
from qdist.network.program import (
    Apply,
    Combine,
    Discard,
    Generate,
    Herald,
    Lose,
    Measure,
    Prepare,
    Program,
    Record,
    Reset,
    Send,
    Twirl,
    Wait,
    apply,
    bit_is,
    parity_is,
)
from qdist.network.protocols import remote_gate, teleport
from qdist.physics.channels import amplitude_damping, depolarizing
from qdist.physics.states import bell
from qdist.runs.job import Job

NETWORK = chain(3, qubits=3)
READY = (Prepare(("n0/0", "n0/1")), Prepare(("n1/0",)))
MEASURED = (*READY, Measure("n0/0", "m"))

GONE = "Prepare a new one, or use the one it went to."

REFUSED = {
    "never prepared": (
        (apply("h", "n0/0"),),
        f"Step 0 (apply): 'n0/0' must be a live qubit, but it was never prepared. {GONE}",
    ),
    "used after it was measured": (
        (*MEASURED, apply("h", "n0/0")),
        f"Step 3 (apply): 'n0/0' must be a live qubit, but it was measured in step 2. {GONE}",
    ),
    "measured twice": (
        (*MEASURED, Measure("n0/0", "again")),
        f"Step 3 (measure): 'n0/0' must be a live qubit, but it was measured in step 2. {GONE}",
    ),
    "used after it was discarded": (
        (*READY, Discard("n0/0"), Wait(("n0/0",), 1.0)),
        f"Step 3 (wait): 'n0/0' must be a live qubit, but it was discarded in step 2. {GONE}",
    ),
    "used after it was teleported": (
        (*READY, Generate((("n0/2", "n1/1"),)), *teleport("n0/0", ("n0/2", "n1/1")).steps, apply("x", "n0/0")),
        f"Step 9 (apply): 'n0/0' must be a live qubit, but it was measured in step 4, teleported to 'n1/1'. {GONE}",
    ),
    "reset after it was measured": (
        (*MEASURED, Reset("n0/0")),
        f"Step 3 (reset): 'n0/0' must be a live qubit, but it was measured in step 2. {GONE}",
    ),
    "lost after it was measured": (
        (*MEASURED, Lose("n0/0", "flag", 0.1)),
        f"Step 3 (lose): 'n0/0' must be a live qubit, but it was measured in step 2. {GONE}",
    ),
    "twirled without a pair": (
        (*READY, Twirl(("n0/0", "n2/0"))),
        f"Step 2 (twirl): 'n2/0' must be a live qubit, but it was never prepared. {GONE}",
    ),
    "heralded without a pair": (
        (*MEASURED, Herald(bit_is("m"), qubits=("n0/2",))),
        f"Step 3 (herald): 'n0/2' must be a live qubit, but it was never prepared. {GONE}",
    ),
    "twice in a gate": (
        (*READY, apply("cx", "n0/0", "n0/0")),
        "Step 2 (apply): A qubit cannot be copied: 'n0/0' is given twice. Name different qubits.",
    ),
    "twice in a preparation": (
        (Prepare(("n0/0", "n0/0")),),
        "Step 0 (prepare): A qubit cannot be copied: 'n0/0' is given twice. Name different qubits.",
    ),
    "in two pairs of one step": (
        (Generate((("n0/0", "n1/0"), ("n1/0", "n2/0"))),),
        "Step 0 (generate): A qubit cannot be copied: 'n1/0' is given twice. Name different qubits.",
    ),
    "a gate between nodes": (
        (*READY, apply("cx", "n0/0", "n1/0")),
        "Step 2 (apply): A node acts only on its own qubits, but n0/0, n1/0 are at n0 and n1. "
        "Use a remote gate or teleport one of them.",
    ),
    "a channel between nodes": (
        (*READY, Apply(depolarizing(0.1, num_qubits=2), ("n0/0", "n1/0"))),
        "Step 2 (apply): A node acts only on its own qubits, but n0/0, n1/0 are at n0 and n1. "
        "Use a remote gate or teleport one of them.",
    ),
    "a remote gate without a pair": (
        (*READY, *remote_gate("cx", "n0/0", "n1/0", ("n0/1", "n1/1")).steps),
        f"Step 5 (apply): 'n1/1' must be a live qubit, but it was never prepared. {GONE}",
    ),
    "a remote gate with a used pair": (
        (
            *READY[1:],
            Prepare(("n0/0",)),
            Generate((("n0/1", "n1/1"),)),
            *remote_gate("cx", "n0/0", "n1/0", ("n0/1", "n1/1")).steps,
            *remote_gate("cx", "n0/0", "n1/0", ("n0/1", "n1/1")).steps,
        ),
        f"Step 11 (apply): 'n0/1' must be a live qubit, but it was measured in step 4. {GONE}",
    ),
    "a bit that was not sent": (
        (*MEASURED, apply("x", "n1/0", when=bit_is("m"))),
        "Step 3 (apply): Bit 'm' must have reached 'n1', but is known only at n0. Send it there first.",
    ),
    "a bit that was sent elsewhere": (
        (*MEASURED, Send(("m",), "n0", "n2"), apply("x", "n1/0", when=bit_is("m"))),
        "Step 4 (apply): Bit 'm' must have reached 'n1', but is known only at n0, n2. Send it there first.",
    ),
    "a bit of which only one part was sent": (
        (*MEASURED, Measure("n0/1", "k"), Send(("m",), "n0", "n1"), apply("x", "n1/0", when=parity_is(("m", "k")))),
        "Step 5 (apply): Bit 'k' must have reached 'n1', but is known only at n0. Send it there first.",
    ),
    "a reset on a bit that was not sent": (
        (*MEASURED, Reset("n1/0", bit_is("m"))),
        "Step 3 (reset): Bit 'm' must have reached 'n1', but is known only at n0. Send it there first.",
    ),
    "a measurement on a bit that was not sent": (
        (*MEASURED, Measure("n1/0", "k", keep=True, when=bit_is("m"))),
        "Step 3 (measure): Bit 'm' must have reached 'n1', but is known only at n0. Send it there first.",
    ),
    "a measurement that would copy a bit from afar": (
        (*MEASURED, Prepare(("n1/1",)), Measure("n1/1", "k"), Measure("n1/0", "m", keep=True, when=bit_is("k"))),
        "Step 5 (measure): Bit 'm' must have reached 'n1', but is known only at n0. Send it there first.",
    ),
    "a herald on bits that were not exchanged": (
        (*MEASURED, Herald(bit_is("m"), qubits=("n1/0",))),
        "Step 3 (herald): Bit 'm' must have reached 'n1', but is known only at n0. Send it there first.",
    ),
    "bits sent by a node that does not know them": (
        (*MEASURED, Send(("m",), "n1", "n2")),
        "Step 3 (send): Bit 'm' must have reached 'n1', but is known only at n0. Send it there first.",
    ),
    "a bit that was measured again": (
        (*MEASURED, Send(("m",), "n0", "n1"), Measure("n0/1", "m"), apply("x", "n1/0", when=bit_is("m"))),
        "Step 5 (apply): Bit 'm' must have reached 'n1', but is known only at n0. Send it there first.",
    ),
    "a sum of bits at different nodes": (
        (*MEASURED, Measure("n1/0", "k"), Combine("sum", ("m", "k"))),
        "Step 4 (combine): The bits m, k must be known at one node, but are not. Send them first.",
    ),
    "a bit that is unknown": (
        (*READY, apply("x", "n0/0", when=bit_is("m"))),
        "Step 2 (apply): Bit 'm' must be measured before it is used, but is not.",
    ),
    "a bit that is misspelled": (
        (*READY, Measure("n0/0", "parity"), apply("x", "n0/1", when=bit_is("partiy"))),
        "Step 3 (apply): Bit 'partiy' must be measured before it is used, but is not. Did you mean 'parity'?",
    ),
    "an unknown bit in a sum": (
        (*MEASURED, Combine("sum", ("m", "k"))),
        "Step 3 (combine): Bit 'k' must be measured before it is used, but is not. Known: m.",
    ),
    "an unknown bit in a herald": (
        (*READY, Herald(bit_is("m"))),
        "Step 2 (herald): Bit 'm' must be measured before it is used, but is not.",
    ),
    "a bit with the name of a qubit": (
        (*READY, Measure("n0/0", "n0/0")),
        "Step 2 (measure): A bit name must not be a qubit's name, begin with '?' or contain '#', but is 'n0/0'. "
        "Choose another.",
    ),
    "a live qubit prepared again": (
        (*READY, Prepare(("n0/0",))),
        "Step 2 (prepare): 'n0/0' must be free, but holds a live qubit. Measure, reset or discard it first.",
    ),
    "a pair on a live qubit": (
        (*READY, Generate((("n0/0", "n1/1"),))),
        "Step 2 (generate): 'n0/0' must be free, but holds a live qubit. Measure, reset or discard it first.",
    ),
    "a pair without a link": (
        (Generate((("n0/0", "n2/0"),)),),
        "Step 0 (generate): No link joins 'n0' and 'n2'. 'n0' has links to: n1.",
    ),
    "a pair inside a node": (
        (Generate((("n0/0", "n0/1"),)),),
        "Step 0 (generate): No link joins 'n0' and 'n0'. 'n0' has links to: n1.",
    ),
    "two pairs of a link in one step": (
        (Generate((("n0/0", "n1/0"), ("n1/1", "n0/1"))),),
        "Step 0 (generate): A link must make one pair at a time, but 'n0-n1' is asked for two. Use two steps.",
    ),
    "an unknown node": (
        (Prepare(("bob/0",)),),
        "Step 0 (prepare): Qubit 'bob/0' must be on a node of the network, but no node is called 'bob'. "
        "Known: n0, n1, n2.",
    ),
    "an unknown qubit": (
        (Prepare(("n0/3",)),),
        "Step 0 (prepare): The number of qubit 'n0/3' must be less than 3, the `qubits` of node 'n0', but is 3. "
        "Give the node more qubits or use another.",
    ),
    "a node instead of a qubit": (
        (Prepare(("n0",)),),
        "Step 0 (prepare): Qubit names must be `node/number`, but got 'n0'. Did you mean 'n0/0'?",
    ),
    "an unknown node to send to": (
        (*MEASURED, Send(("m",), "n0", "n7")),
        "Step 3 (send): No node is called 'n7'. Known: n0, n1, n2.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_forbidden_program_is_refused_with_step_reason_and_advice(case):
    steps, sentence = REFUSED[case]

    with pytest.raises(QdistError) as error:
        check_program(Program(steps), NETWORK)

    assert str(error.value) == sentence


def test_a_result_bit_that_is_never_written_is_refused():
    with pytest.raises(QdistError, match=r"^Bit 'k' must be measured before it is used, but is not. Known: m.$"):
        check_program(Program(MEASURED, bits=("k",)), NETWORK)


def test_a_job_refuses_a_forbidden_program_when_it_is_made():
    steps, sentence = REFUSED["twice in a gate"]

    with pytest.raises(QdistError) as error:
        Job(program=Program(steps), network=NETWORK)

    assert str(error.value) == sentence


REFUSED_STEPS = [
    (lambda: Measure("n0/0", "m", basis="W"), "`basis` must be one of Z, X, Y, but is 'W'."),
    (
        lambda: Measure("n0/0", "m", when=bit_is("k")),
        "A conditional measurement must keep its qubit, but n0/0 is not kept.",
    ),
    (lambda: Lose("n0/0", "flag", 1.5), "`probability` must be a probability in [0, 1], but is 1.5."),
    (lambda: Wait(("n0/0",), -1.0), "`duration` must be at least 0 seconds, but is -1.0."),
    (lambda: Generate(()), "`pairs` must hold at least one pair of qubits, but is empty."),
    (lambda: Send((), "n0", "n1"), "`bits` must hold at least one bit to send, but is empty."),
    (lambda: Prepare(("n0/0",), bell()), "`state` must be of 1 qubits (n0/0), but has 2."),
    (lambda: apply("cx", "n0/0"), "'cx' must be given 2 qubits, but got 1: n0/0."),
    (lambda: apply("h", "n0/0", "n0/1"), "'h' must be given 1 qubits, but got 2: n0/0, n0/1."),
    (
        lambda: Apply(amplitude_damping(0.1), ("n0/0", "n0/1")),
        "'amplitude_damping' must be given 1 qubits, but got 2: n0/0, n0/1.",
    ),
    (
        lambda: Apply("h", ("n0/0",)),
        "`operation` must be a Gate or a Channel, but is 'h'. Use `gate(name)`.",
    ),
    (
        lambda: remote_gate("x", "n0/0", "n1/0", ("n0/1", "n1/1")),
        "A remote gate must be on two qubits, but 'x' is on 1.",
    ),
    (
        lambda: remote_gate("swap", "n0/0", "n1/0", ("n0/1", "n1/1")),
        "The cat scheme needs a gate that is diagonal in Z on its control, but 'swap' is not.",
    ),
    (
        lambda: remote_gate("cx", "n0/0", "n1/0", ("n0/1", "n1/1"), scheme="teleport_back"),
        "`return_pair` must be given to teleport the qubit back, but is missing.",
    ),
    (
        lambda: remote_gate("cx", "n0/0", "n1/0", ("n0/1", "n1/1"), scheme="telepathy"),
        "`scheme` must be one of cat, teleport, teleport_back, but is 'telepathy'.",
    ),
]


@pytest.mark.parametrize(("make", "sentence"), REFUSED_STEPS)
def test_a_wrong_step_is_refused_when_it_is_made(make, sentence):
    with pytest.raises(QdistError) as error:
        make()

    assert str(error.value) == sentence


ALLOWED = {
    "a qubit is prepared again after it was measured": (*MEASURED, Prepare(("n0/0",)), apply("h", "n0/0")),
    "a qubit is prepared again after it was discarded": (*READY, Discard("n0/0"), Prepare(("n0/0",))),
    "a measured qubit that was kept": (*READY, Measure("n0/0", "m", keep=True), apply("h", "n0/0")),
    "a pair on a memory that was read out": (*MEASURED, Generate((("n0/0", "n1/1"),))),
    "a bit where it was sent": (*MEASURED, Send(("m",), "n0", "n1"), apply("x", "n1/0", when=bit_is("m"))),
    "a bit sent on": (*MEASURED, Send(("m",), "n0", "n2"), Send(("m",), "n2", "n1"), Reset("n1/0", bit_is("m"))),
    "a sum where all bits are known": (
        *MEASURED,
        Measure("n1/0", "k"),
        Send(("m",), "n0", "n1"),
        Combine("sum", ("m", "k")),
        Send(("sum",), "n1", "n2"),
    ),
    "a wait of qubits at different nodes": (*READY, Wait(("n0/0", "n1/0"), 1.0)),
    "a record of anything": (Record("nothing"),),
    "a herald that no qubit waits for": (*MEASURED, Herald(bit_is("m", 0))),
    "two links in one step": (Generate((("n0/0", "n1/0"), ("n1/1", "n2/0"))),),
    "a state of several nodes that is given": (Prepare(("n0/0", "n2/0")),),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_physics_allows_is_accepted(case):
    check_program(Program(ALLOWED[case]), NETWORK)
