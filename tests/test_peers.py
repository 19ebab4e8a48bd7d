"""The benchmark against the peers: all contestants run the same circuit, and a record becomes the tables."""

import json
from pathlib import Path

import numpy as np
import pytest

from jobs.benchmarks.peers import cold, contest, judged, record, table, warm
from jobs.benchmarks.peers.circuits import build
from jobs.benchmarks.peers.contestants import contestant, missing
from jobs.benchmarks.peers.contestants.stim import SHOTS

CASES = [["brickwork", 3, 3], ["random pairs", 4, 10], ["QFT", 4], ["Clifford", 3, 3], ["file", "simon_n6"]]
RECORDS = sorted(record.FOLDER.glob("cpu_*.json"))
COMPUTING = ("aer", "qulacs", "quantumsim")


def ready(name, case, precision):
    why = missing(name)
    if why:
        pytest.skip(why)
    return contestant(name).ready(build(*case), precision, 2)


@pytest.mark.parametrize("name", COMPUTING)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_every_contestant_runs_the_same_circuit(case, name):
    ours, theirs = ready("qdist", case, "float64"), ready(name, case, "float64")
    assert np.abs(theirs.probabilities() - ours.probabilities()).sum() / 2 < warm.TOLERANCE["float64"]
    assert theirs.run()[0] == pytest.approx(ours.run()[0], abs=warm.TOLERANCE["float64"])


def test_aer_in_single_precision_runs_the_same_circuit():
    ours, theirs = (ready(name, CASES[0], "float32") for name in ("qdist", "aer"))
    assert np.abs(theirs.probabilities() - ours.probabilities()).sum() / 2 < warm.TOLERANCE["float32"]


def test_stim_samples_the_same_circuit():
    ours, theirs = (ready(name, CASES[3], "float64").probabilities() for name in ("qdist", "stim"))
    assert np.all(np.abs(theirs - ours) <= 6 * np.sqrt(ours * (1 - ours) / SHOTS) + 1 / SHOTS)


def test_z_on_all_qubits_is_what_the_probabilities_say():
    ours = ready("qdist", CASES[1], "float64")
    signs = [(-1) ** outcome.bit_count() for outcome in range(2**4)]
    assert ours.run()[0] == pytest.approx(ours.probabilities() @ signs)


def test_noise_follows_every_gate_and_matters():
    case = build("brickwork", 4)
    gates = [one for one in case.operations if hasattr(one, "name")]
    assert case.operations[::2] == tuple(gates)
    assert all(one.qubits == gate.qubits for gate, one in zip(gates, case.operations[1::2], strict=True))


def test_contestants_take_turns_as_processes_and_one_that_fails_is_named():
    ours, lost = contest.Contestant("qdist", 2), contest.Contestant("nobody", 2)
    try:
        ours.ask(do="prepare", case=["brickwork", 3, 2], precision="float32")
        with pytest.raises(contest.Silent, match="KeyError"):
            ours.ask(do="prepare", case=["no such family"], precision="float32")
        ours.ask(do="prepare", case=["brickwork", 3, 2], precision="float32")
        times = contest.rounds([ours, lost], repetitions=3, most_seconds=10.0)
    finally:
        ours.close()
        lost.close()
    assert len(times["qdist"]["wall"]) == 3
    assert times["qdist"]["loops"] > 1
    assert times["nobody"]["error"] == "it ended by itself"


def test_both_cold_processes_find_the_same(monkeypatch):
    if missing("aer"):
        pytest.skip(missing("aer"))
    monkeypatch.setattr(cold, "stems", lambda quick: ["teleportation_n3"])
    (row,) = cold.run(["qdist", "aer"], 2, quick=True, say=lambda line: None)
    assert row["agree"]
    assert row["difference"] < cold.TOLERANCE
    assert [len(seconds) for seconds in row["wall"].values()] == [2, 2]


def test_every_file_with_at_most_ten_qubits_is_run():
    assert {"adder_n4", "ising_n10", "40", "24"} <= set(cold.stems(quick=False))
    assert not set(cold.stems(quick=False)) & set(cold.FAULTY)


def a_record(factor):
    """A record in which Aer takes `factor` times as long."""
    times = {"qdist": (0.02, None), "aer": (0.02 * factor * 2, 0.02 * factor)}
    row = {
        "case": ["brickwork", 10, 10],
        "name": "brickwork",
        "qubits": 10,
        "gates": 145,
        "precision": "float32",
        "out": {"qulacs": "about 99 s a run"},
        "facts": {},
        "differences": {"qdist": 0.0, "aer": 1e-7},
        "times": {
            name: {"wall": [wall] * 3, "reported": [own] * 3 if own else [], "loops": 1, "value": 0.1, "error": None}
            for name, (wall, own) in times.items()
        },
    }
    found = record.start(["qdist"], 2, quick=True)
    network = [{"what": "chain", "nodes": n, "precision": "float64", "wall": [n * 1e-3]} for n in (100, 1000)]
    chains = [*network, {"what": "trajectories", "precision": "float32", "shots": 1000, "wall": [0.1]}]
    files = [{"file": "qft_n4", "qubits": 4, "wall": {"qdist": [1.0], "aer": [1.6]}, "agree": True, "difference": 0.0}]
    rounding = [{"file": "24", "qubits": 8, "steps": 9, "probabilities": 1e-7, "correlators": 1e-6}]
    growth = {"two_qubit": 8, "passes": 3, "state_bytes": 2**20, "peak_bytes": 2**20}
    sizes = [{"qubits": n, "operations": 9, "wall": [5.0**n], "operating": [4.0**n], **growth} for n in (12, 13)]
    roofline = {"precision": "float32", "qubits": 12, "scaling": {"jax": [2.0], "numpy": [1.0]}, "growth": sizes}
    roofline["pairs"] = [{"digits": [0, 1], "wall": [1.5]}]
    return found | {
        "warm": [row],
        "cold": files,
        "network": chains,
        "accuracy": rounding,
        "roofline": [roofline],
    }


def verdicts(found):
    return {one.promise.partition(":")[0]: one.is_kept for one in judged.figures(found)}


def test_a_promise_is_judged_on_both_sides_of_its_limit():
    assert verdicts(a_record(50.1))["Warm brickwork, 10–12 qubits"]
    assert not verdicts(a_record(49.9))["Warm brickwork, 10–12 qubits"]
    assert not verdicts(a_record(0.9))["Warm, 4 qubits and more"]
    found = a_record(60)
    found["warm"][0]["differences"]["aer"] = 1e-4
    assert not verdicts(found)["All that compute agree to 1e-05 and 1e-10"]


@pytest.mark.parametrize(("factor", "is_kept"), [(2.95, False), (3.05, True), (4.95, True), (5.05, False)])
def test_growth_may_be_a_quarter_off_both_ways(factor, is_kept):
    found = a_record(60)
    small, large = found["roofline"][0]["growth"]
    large["operating"] = [factor * small["operating"][0]]
    kept = verdicts(found)
    assert kept["Growth of an operation, each qubit more"] == is_kept
    assert kept["Growth of an operation, 9–13 qubits, mean"] == is_kept


def test_ratios_are_against_what_is_best_for_the_peer():
    (row,) = a_record(7)["warm"]
    assert judged.ratio(row, "aer") == pytest.approx(7)


def test_a_record_becomes_tables(tmp_path):
    path = record.write(a_record(60), tmp_path / "one.json")
    text = table.markdown(record.read(path))
    assert "| brickwork | 10 | 145 | float32 | 20 ms (20 ms–20 ms) | 1.2 s, **60 ×** | about 99 s a run |" in text
    assert "| qft_n4.qasm | 4 | 1 s (1 s–1 s) | 1.6 s (1.6 s–1.6 s) | **1.60 ×** |" in text
    assert "| brickwork | float32 | 60 |" in text
    assert "| brickwork | float32 | 60 |" in table.summary(record.read(path))
    assert "| Chain of 4 nodes: at least 100,000 trajectories a second | 1e+04 (float32) | **FAIL** |" in text
    assert "| Cold process, each file: no slower than Aer's | 1.6 (qft_n4.qasm) | PASS |" in text


def test_a_section_that_is_measured_again_says_so_and_is_refused_elsewhere():
    old, now = a_record(60), a_record(70) | {"date": "2030-01-01", "load_before": 0.2}
    found = record.again(old, now, ["roofline"])
    assert found["warm"] == old["warm"]
    assert ", roofline again on 2030-01-01 with 0.2. python" in table.summary(found)
    with pytest.raises(SystemExit, match=r"`threads` of the record must be 3 as here, but is 2"):
        record.again(old, now | {"threads": 3}, ["roofline"])


def test_an_old_record_is_refused(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"format": 1}))
    with pytest.raises(SystemExit, match=r"`format` of .* must be 2, but is 1"):
        record.read(path)


@pytest.mark.parametrize("content", [None, "", "[]", "\x00"])
def test_what_is_no_record_is_refused_in_a_sentence(content, tmp_path):
    path = tmp_path / "none.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit, match=r"A record must be a JSON file that the race wrote, but .*none.json is none"):
        record.read(path)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_that_comes_with_the_project_names_no_machine_and_renders(path):
    text = path.read_text(encoding="utf-8")
    assert str(Path.home()) not in text
    assert "promise" in table.markdown(record.read(path))
