"""The check for GPUs, as far as a processor goes: its parts run, its peers are the same circuit, its time is kept."""

import itertools
import json
import time

import numpy as np
import pytest

from jobs.benchmarks.gpu import __main__ as check
from jobs.benchmarks.gpu import judged, peers, processes, table
from jobs.benchmarks.gpu.processes import Deadline, run
from jobs.benchmarks.peers.circuits import Case, Depolarizing, Gate
from jobs.benchmarks.peers.contestants.ours import Ready

SMALL = (
    ("accuracy", 5),
    ("timings", "float32", 2**16, 5),
    ("large", "float32", 5, 30),
    ("circuits", "float64", "QFT:4,simon_n6"),
    ("peers", "brickwork:4", check.WAYS, 1),
    ("sampled", 64, 128, 2, 5, 2),
    ("staging", 2**16),
)


@pytest.mark.parametrize("arguments", SMALL, ids=lambda arguments: arguments[0])
def test_a_part_prints_rows_without_a_mistake(arguments, capsys):
    check.on_part(*map(str, arguments))
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    part = {"status": "done", "seconds": 1.0, "rows": rows}
    assert len(rows) >= 2
    assert check.wrong({arguments[0]: part}) == []


def test_everything_that_a_part_is_told_on_a_gpu_is_told_in_a_dry_run_too():
    kinds = [
        {str(each.arguments[0]) if each.arguments else each.name for each in parts}
        for parts in (check.ON_GPU, check.DRY)
    ]
    assert kinds[0] == kinds[1] >= {name for name, *_ in SMALL}


@pytest.mark.parametrize("pair", list(itertools.permutations(range(3), 2)))
def test_fused_superoperators_give_the_state_that_qdist_gives(pair):
    first, second = pair
    gates = [Gate("h", (q,)) for q in range(3)] + [Gate("u3", (q,), (0.3 + q, 0.2, 0.7)) for q in range(3)]
    gates += [Gate("cx", pair), Gate("t", (first,)), Gate("cp", (second, first), (0.8,)), Gate("cx", (0, 1))]
    gates += [Gate("cx", (1, 2)), Gate("ry", (1,), (0.4,))]
    noise = {1: 0.02, 2: 0.05}
    case = Case(
        "mixed", 3, tuple(x for gate in gates for x in (gate, Depolarizing(noise[len(gate.qubits)], gate.qubits)))
    )
    apply, _ = peers._by_tensordot(True)
    state = np.zeros(4**3, complex)
    state[0] = 1
    for one in peers.fused(case):
        state = apply(state, one.matrix, peers.places(one.qubits, 3), 6)
    found = np.real(np.diagonal(state.reshape(8, 8)))
    assert np.allclose(found, Ready(case, "float64").probabilities(), atol=1e-12)


def test_rows_of_a_process_that_takes_too_long_are_kept():
    script = "import time, json; print(json.dumps({'n': 1}), flush=True); print('waiting', flush=True); time.sleep(60)"
    began = time.monotonic()
    ended = run(["-c", script], Deadline(began + 60), 3.0)
    assert (ended.status, ended.rows, ended.said) == ("timed out", [{"n": 1}], "waiting")
    assert time.monotonic() - began < 20


def test_what_no_longer_fits_is_skipped_and_a_failure_is_told():
    assert run(["-c", "print(1)"], Deadline(time.monotonic() + 1), 60).as_record()["status"] == "skipped"
    ended = run(["-c", "raise SystemExit('no GPU')"], Deadline(time.monotonic() + 60), 60)
    assert (ended.status, ended.said) == ("failed", "no GPU")
    assert check.wrong({"peers": ended.as_record()}) == ["peers: failed"]


def test_an_operation_that_fails_is_a_row_and_the_next_one_runs(capsys):
    def broken():
        raise MemoryError("68 GB")

    processes.attempt({"what": "large"}, broken)
    processes.attempt({"what": "small"}, lambda: {"ms": 1.0})
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows == [{"what": "large", "failed": "MemoryError: 68 GB"}, {"what": "small", "ms": 1.0}]


def a_record(of_copy=0.8, error=1e-7):
    step = {"what": "dense step", "qubits": 15, "digits": "first", "ms": 3.2, "of_copy": of_copy}
    brick = {"what": "brickwork", "qubits": 15, "ms": 40.0, "ms_per_operation": 0.6, "operations_per_pass": 6.4}
    large = [{"what": what, "qubits": 17, "precision": "float32", "error": error} for what in ("a", "b", "run")]
    peer = {
        "circuit": "QFT:14",
        "way": "cupy kernel",
        "seconds": 1.0,
        "times_ours": 6.0,
        "error": 1e-7,
        "is_same": True,
    }
    rows = {"timings in float32": [step, brick | {"of_copy_per_pass": 0.7}], "large, 17 qubits in float32": large}
    rows |= {"peers": [peer], "ranks": [{"qubits": 12, "precision": "float32", "ranks": 2, "failed": "no mpiexec"}]}
    parts = {name: {"status": "done", "seconds": 2.0, "rows": some} for name, some in rows.items()}
    head = {"card": "NVIDIA H100", "driver": "1", "date": "2026-11-27", "is_dry": False}
    return head | {"versions": {"qdist": "0", "jax": "0.11"}, "parts": parts}


def test_a_record_becomes_tables_with_what_was_promised():
    text = table.table(a_record())
    assert "any digits: ≥ 75 % of a copy | 80 % | PASS |" in text
    assert "in place: all of 3 complete | 3 of 3 | PASS |" in text
    assert "float32 against float64: ≤ 1e-5 | not measured | – |" in text
    assert "| 15 | dense step, first | 3.200 | 80 % | – | – |" in text
    assert "| 12 | float32 | 2 | no mpiexec | – |" in text


def test_a_record_of_the_pure_jax_path_has_another_format_and_is_refused():
    with pytest.raises(SystemExit, match=r"`format` of .* must be 2, but is None"):
        check.read(check.RECORDS / "gpu_h200_2026-11-27.json")


def test_promises_are_broken_on_the_other_side_of_their_limits():
    found = {promise: verdict for promise, _, verdict in judged.judged(a_record(0.7, 1e-3)["parts"])}
    assert [verdict for verdict in found.values() if verdict == "FAIL"] == ["FAIL", "FAIL"]
    assert any("17 qubits" in mistake for mistake in check.wrong(a_record(error=1e-3)["parts"]))
