"""Batches of shots: the same numbers in any number of threads and in batches of any size, from one plan."""

import cProfile
import pstats

import numpy as np
import pytest

from qdist.machine.plan import Draw, Merge, Read, Transfer
from qdist.network.draws import Draws
from qdist.network.lowering import lower
from qdist.runs import execute, prepare
from qdist.runs.checkpoints.outline import outline_of
from qdist.runs.ensemble import _sum_groups
from qdist.runs.execute import run
from qdist.runs.jobfiles.reader import parse_job
from qdist.runs.outcomes import outcome_counts
from tests.tolerances import TOLERANCE

CHAIN = """
[run]
mode = "{mode}"
{shots}
seed = {seed}
precision = "float64"
[network]
topology = "chain"
nodes = {nodes}
qubits = 4
[network.device]
preset = "trapped_ion"
t1 = 3.0
t2 = 0.5
[network.link]
length = 10e3
fidelity = 0.94
success_probability = 1e-3
[program]
protocol = "repeater_chain"
generation = "{generation}"
purification = "{purification}"
[record]
probabilities = true
correlators = ["ZZ", "XY"]
metrics = ["fidelity", "log_negativity"]
"""


def chain(*, mode="sampled", shots=1000, seed=3, nodes=4, generation="parallel", purification="dejmps"):
    counted = f"shots = {shots}" if mode == "sampled" else ""
    fields = {"nodes": nodes, "generation": generation, "purification": purification}
    return parse_job(CHAIN.format(mode=mode, shots=counted, seed=seed, **fields))


def numbers(result):
    """All that is not about this execution."""
    return {path: array for path, array in result.data.items() if not path.startswith("traffic/")}


@pytest.mark.parametrize("purification", ["none", "dejmps"])
def test_every_bit_of_a_result_is_the_same_in_any_number_of_threads(monkeypatch, purification):
    monkeypatch.setattr(prepare, "MAX_BATCH", 64)
    found = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(execute, "cores_of", lambda comm, threads=threads: threads)
        found.append(numbers(run(chain(purification=purification))))

    for other in found[1:]:
        assert other.keys() == found[0].keys()
        for path, array in found[0].items():
            assert array.tobytes() == other[path].tobytes(), path


@pytest.mark.parametrize("generation", ["parallel", "sequential"])
def test_batches_of_any_size_give_the_same_outcomes_and_the_same_sums_up_to_rounding(monkeypatch, generation):
    whole = numbers(run(chain(generation=generation)))
    monkeypatch.setattr(prepare, "MAX_BATCH", 96)
    parts = numbers(run(chain(generation=generation)))

    assert np.array_equal(whole["results/counts"], parts["results/counts"])
    for path in ("metrics/fidelity", "metrics/time", "results/correlators", "ledger/attempts", "ledger/pairs_used"):
        assert np.allclose(whole[path], parts[path], rtol=1e-12, atol=TOLERANCE["float64"], equal_nan=True), path


def test_shots_that_fill_up_the_last_batch_count_nowhere(monkeypatch):
    monkeypatch.setattr(prepare, "MAX_BATCH", 64)
    job = chain(shots=65, purification="none")

    result = run(job)

    draws = Draws(job.seed, 0, 68)
    attempts = [draws.attempts(0, link, 1e-3)[:65].mean() for link in range(3)]
    assert np.allclose(result["ledger/attempts"], attempts)
    assert result["results/counts"].sum() == 65


@pytest.mark.parametrize(("generation", "purification"), [("parallel", "none"), ("sequential", "dejmps")])
def test_a_plan_does_not_depend_on_what_is_drawn(generation, purification):
    first, other = (
        prepare.prepare(chain(seed=seed, generation=generation, purification=purification)).plan for seed in (1, 2)
    )

    assert outline_of(first).shape == outline_of(other).shape
    assert np.array_equal(outline_of(first).sums, outline_of(other).sums)


def test_a_bell_measurement_takes_both_pairs_without_writing_out_their_product():
    plan = prepare.prepare(chain(purification="none"), keep_state=False).plan

    draws = [operation for operation in plan.operations if isinstance(operation, Draw)]
    assert [len(draw.axes) for draw in draws] == [2, 1, 2, 1]
    assert [draw.other is None for draw in draws] == [False, True, False, True]
    assert not any(isinstance(operation, Merge) for operation in plan.operations)


def test_a_wait_that_is_the_same_in_all_shots_is_one_matrix():
    plan = prepare.prepare(chain(purification="none"), keep_state=False).plan

    up = next(number for number, operation in enumerate(plan.operations) if isinstance(operation, Read))
    waits = [type(o.matrix).__name__ for o in plan.operations if isinstance(o, Transfer) and o.test is None]
    before = sum(isinstance(operation, Transfer) for operation in plan.operations[:up])
    assert before == 6
    assert waits == ["EachShot"] * before + ["ndarray"] * (len(waits) - before)


def test_sampled_metrics_are_those_of_the_exact_run():
    exact, sampled = (run(chain(mode=mode, shots=8000, generation="sequential")) for mode in ("exact", "sampled"))

    for name in ("fidelity", "log_negativity"):
        spread = np.nan_to_num(sampled[f"metrics/{name}_stderr"], nan=0.0)
        difference = np.abs(exact[f"metrics/{name}"] - sampled[f"metrics/{name}"])
        assert np.all(np.isnan(difference) | (difference < 5 * spread + 1e-9)), name


def test_groups_are_summed_over_the_accepted_shots():
    rng = np.random.default_rng(0)
    values, groups, accepted = rng.normal(size=(50, 3)), np.sort(rng.integers(4, 8, 50)), rng.integers(2, size=50) > 0

    sums, same = _sum_groups(values, groups, accepted), _sum_groups(values[0], groups, accepted)

    for group in range(20):
        mine = accepted & (groups == group)
        assert sums.weight[group] == same.weight[group] == mine.sum()
        assert np.allclose(sums.total[group], values[mine].sum(axis=0))
        assert np.allclose(same.total[group], values[0] * mine.sum())


@pytest.mark.parametrize("width", [1, 5, 62, 63, 80])
def test_outcomes_are_counted_by_their_strings(width):
    rows = np.random.default_rng(width).integers(2, size=(40, width)).astype(np.int8)
    rows[7] = rows[3]

    found = outcome_counts(rows)

    strings = ["".join(map(str, row)) for row in rows.tolist()]
    assert found == {string: strings.count(string) for string in strings}


def lowered_of(job):
    return lower(job.program, job.network, groups=job.pairs, sampled=job.mode == "sampled")


def calls(function):
    """How many calls of Python functions it takes: a measure of work that does not depend on the machine."""
    profile = cProfile.Profile()
    profile.runcall(function)
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_the_work_of_every_stage_grows_with_the_length_of_a_chain(mode):
    shots = "shots = 8" if mode == "sampled" else ""
    work = {}
    for nodes in (200, 400):
        text = CHAIN.format(mode=mode, shots=shots, seed=0, nodes=nodes, generation="sequential", purification="none")
        text = text.replace("= 0.94", "= 0.9999").replace('metrics = ["fidelity", "log_negativity"]', "metrics = []")
        job = parse_job(text)
        lowered = lowered_of(job)
        work[nodes] = {
            "read": calls(lambda text=text: parse_job(text)),
            "lower": calls(
                lambda job=job: lower(job.program, job.network, groups=job.pairs, sampled=mode == "sampled")
            ),
            "plan": calls(lambda job=job, lowered=lowered: prepare._plan(job, lowered, 8 if shots else None, False)),
            "run": calls(lambda job=job: run(job, keep_state=False)),
        }

    for stage in work[200]:
        assert work[400][stage] < 2.15 * work[200][stage], stage
