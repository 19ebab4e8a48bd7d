"""The text of `qdist plan`: what a job would do and take, before it runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from qdist.machine.in_and_out import in_and_out_bytes
from qdist.machine.instructions import Act, Create, Instruction, JointRelax, Look, Observe, Remove
from qdist.machine.memory import in_units
from qdist.machine.plan import Census, Plan
from qdist.machine.tiling import tiled
from qdist.runs.prepare import Prepared
from qdist.runs.views.text import printable

MAX_ROWS = 20
WIDTH = 100


def describe_plan(
    prepared: Prepared, *, available: int, place: str, shared: Plan | None = None, ranks: int = 1, points: int = 1
) -> str:
    """The steps, the clusters over time and the bytes of a job that was not run.

    Args:
        prepared: From `qdist.runs.prepare.prepare`; of a sweep, its first point.
        available: Bytes that the run may take.
        place: Where: "this machine".
        shared: What the first of several ranks does.
        ranks: How many there are.
        points: Of a sweep.
    """
    sections = [_heading(prepared, available, place), _clusters(prepared.plan), _uses(prepared.lowered.instructions)]
    if shared is not None:
        sections.insert(1, _ranks(prepared, shared, ranks, points))
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _heading(prepared: Prepared, available: int, place: str) -> list[str]:
    job, plan, network = prepared.job, prepared.plan, prepared.job.network
    qubits = sum(node.qubits for node in network.nodes)
    steps = [_many(len(job.program), "step"), _many(plan.instructions, "instruction")]
    steps += [f"{_many(plan.passes, 'operation')} after fusion", f"{tiled(plan).passes:,} passes over vectors"]
    mode = f"{job.mode}, {job.precision}, seed {job.seed}"
    if prepared.batch is not None:
        mode += f", {job.shots:,} shots in batches of {prepared.batch:,}"
    parts = [_many(len(network.nodes), "node"), _many(len(network.links), "link"), _many(qubits, "qubit")]
    return [
        printable(job.title or job.program.name)[:WIDTH],
        f"  mode      {mode}",
        f"  network   {', '.join(parts)}",
        f"  program   {', '.join(steps)}",
        f"  cluster   at most {_width(plan.largest)}, {in_units(2**plan.largest * plan.itemsize)} for each state",
        f"  memory    {in_units(plan.peak_bytes)} at most, of {in_units(available)} that {place} has",
    ]


def _ranks(prepared: Prepared, shared: Plan, ranks: int, points: int) -> list[str]:
    """How the ranks are used, what each holds and sends, and what it would send without a layout that persists."""
    groups = ranks // shared.ranks
    what = f"the {points:,} points" if points > 1 else "batches of shots"
    use = "one state over all of them" if groups == 1 else f"{what} dealt to {groups} groups of {shared.ranks}"
    if not shared.block_bytes:
        use = (
            use
            if groups > 1
            else "the same on each of them, since no cluster is large enough to be split among so many"
        )
        return [
            f"On {ranks} ranks: {use}",
            f"  each holds  all of every cluster, {in_units(shared.peak_bytes)} at most",
        ]
    lines = [f"On {ranks} ranks: {use}"]
    held = f"{in_units(shared.block_bytes)} of the largest cluster"
    lines.append(f"  each holds  {held}, {in_units(shared.peak_bytes)} at most")
    lines.append(f"  each sends  {in_units(shared.bytes_sent)} of blocks at most, in {_many(shared.remaps, 'remap')}")
    qubits = prepared.plan.largest // 2
    split = prepared.job.program.qubits[: shared.ranks.bit_length() - 1]
    other = in_and_out_bytes(prepared.lowered.instructions, split, 4**qubits // shared.ranks)
    times = f", {other / shared.bytes_sent:,.0f} times more" if shared.bytes_sent else ""
    lines.append(f"              moving a complex matrix in and out for every gate: {in_units(other)}{times}")
    return lines


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _width(index_bits: int) -> str:
    return f"{index_bits / 2:g} qubits (a classical bit counts half)"


def _clusters(plan: Plan) -> list[str]:
    largest: dict[int, Census] = {}
    for entry in plan.census:
        # What happens after the last instruction is shown with it.
        number = min(entry.instruction, plan.instructions - 1)
        if number not in largest or entry.bytes > largest[number].bytes:
            largest[number] = entry
    shown = _thinned(list(largest.items()))
    rows = [("instruction", "clusters", "largest (qubits)", "memory")]
    for number, entry in shown:
        rows.append((f"{number:,}", f"{entry.clusters:,}", f"{entry.largest / 2:g}", in_units(entry.bytes)))
    thinned = f", {len(shown)} of {len(largest):,} moments, the peaks among them" if len(shown) < len(largest) else ""
    return [f"Clusters over time{thinned}", *_table(rows)] if shown else []


def _thinned(moments: Sequence[tuple[int, Census]]) -> list[tuple[int, Census]]:
    """At most `MAX_ROWS` moments, of each stretch the one with the most bytes."""
    stride = max(1, -(-len(moments) // MAX_ROWS))
    return [max(moments[i : i + stride], key=lambda moment: moment[1].bytes) for i in range(0, len(moments), stride)]


def _uses(instructions: Sequence[Instruction]) -> list[str]:
    """The most qubits that are in use at one time, and what uses each last: where to discard one earlier."""
    lives = _lives(instructions)
    changes = sorted([(life.first, 1) for life in lives] + [(life.last + 1, -1) for life in lives])
    counts = list(accumulate(change for _, change in changes))
    if not counts:
        return []
    most = max(counts)
    moment = changes[counts.index(most)][0]
    together = sorted((life for life in lives if life.first <= moment <= life.last), key=lambda life: life.last)
    rows = [("qubit", "first use", "last use", "which")]
    for life in together[-MAX_ROWS:]:
        rows.append((life.qubit, f"{life.first:,}", f"{life.last:,}", _what(instructions[life.last])))
    left = f", the {MAX_ROWS} that last longest" if most > MAX_ROWS else ""
    return [f"At most {_many(most, 'qubit')} in use at one time, from instruction {moment:,} on{left}", *_table(rows)]


@dataclass
class _Life:
    """The numbers of the instructions that use a qubit first and last, between two times that it is made new."""

    qubit: str
    first: int
    last: int


def _lives(instructions: Sequence[Instruction]) -> list[_Life]:
    lives: list[_Life] = []
    latest: dict[str, _Life] = {}
    for number, instruction in enumerate(instructions):
        for qubit in _touched(instruction):
            if isinstance(instruction, Create):
                latest[qubit] = _Life(qubit, number, number)
                lives.append(latest[qubit])
            elif qubit in latest:
                latest[qubit].last = number
    return lives


def _touched(instruction: Instruction) -> tuple[str, ...]:
    match instruction:
        case Create(qubits=qubits) | Act(qubits=qubits) | JointRelax(qubits=qubits):
            return qubits
        case Observe(qubit=qubit) | Remove(qubit=qubit):
            return (qubit,)
        case Look(groups=groups):
            return tuple(qubit for group in groups for qubit in group)
    return ()


def _what(instruction: Instruction) -> str:
    match instruction:
        case Observe(bit=bit):
            return f"measures bit {bit}"
        case Remove():
            return "discards it"
        case Look(label=label):
            return f"records '{label}'"
        case Act(qubits=qubits):
            others = f" with {', '.join(qubits)}" if len(qubits) > 1 else ""
            return f"a gate or noise{others}"
    return "prepares it" if isinstance(instruction, Create) else "waits"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns flush right, a last column of words flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = rows[0][-1] == "which"
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  " + "  ".join([*cells[:-1], row[-1] if words else cells[-1]]))
    return lines
