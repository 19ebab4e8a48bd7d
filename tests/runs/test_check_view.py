"""What `qdist check` says of results and of checkpoints, whole, unfinished, damaged, or not there."""

import re
from dataclasses import replace

import pytest

import qdist as qd
from qdist.errors import QdistError
from qdist.machine import sharding
from qdist.runs import cli
from qdist.runs.checkpoints import keeper
from qdist.runs.results import read_result, write_result
from qdist.runs.views.check import examine
from tests.sample_results import repeater_chain
from tests.threads import run_ranks


@pytest.fixture
def result(tmp_path):
    path = tmp_path / "chain.h5"
    write_result(replace(repeater_chain(4), attributes={**repeater_chain(4).attributes, "finished": 1}), path)
    return path


def write_checkpoints(folder, ranks=1, keep=2, **options):
    """A checkpoint after the first of the operations, after the second, …, of which the newest stay."""
    link = {"length": 1e3, "success_probability": 1.0}
    network = qd.ring(4, qubits=2, device=qd.device("neutral_atom"), link=link)
    saving = qd.Saving(every_steps=1, keep=keep)
    job = qd.Job(
        program=qd.protocols.ghz_state(network), network=network, saving=saving, precision="float64", **options
    )
    run_ranks(ranks, lambda comm: qd.run(job, comm=comm, keep_state=False, checkpoints=qd.Checkpoints(folder)))
    return sorted(path for path in folder.glob("*.h5") if ".rank" not in path.name)


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def flip_fidelity(path):
    values = read_result(path)["metrics/fidelity"].tobytes()
    place = path.read_bytes().find(values)
    assert place > 0
    flip(path, place + 3)


def checked(path, capsys):
    """Exit code, stdout and stderr of the command."""
    with pytest.raises(SystemExit) as end:
        cli.main(["check", str(path)])
    return (end.value.code, *capsys.readouterr())


def test_a_whole_result_is_one_line(result, capsys):
    count = len(read_result(result).data)
    assert checked(result, capsys) == (0, f"{result}: whole, {count} arrays.\n", "")


def test_a_result_of_a_run_under_way_is_whole_and_said_to_be_unfinished(result, capsys):
    whole = read_result(result)
    write_result(replace(whole, attributes={**whole.attributes, "finished": 0}), result)
    code, out, _ = checked(result, capsys)
    assert code == 0
    assert out == f"{result}: whole, of a run that has not ended, {len(whole.data)} arrays.\n"


def test_a_damaged_result_names_what_is_damaged_and_what_can_be_read(result, capsys):
    names = set(read_result(result).data)
    flip_fidelity(result)
    code, out, err = checked(result, capsys)
    assert (code, err) == (1, "")
    first, damaged, *whole = out.splitlines()
    assert str(result) in first
    assert "Restore it from a copy" in first
    assert damaged == "Damaged: metrics/fidelity."
    assert whole[0].startswith("Can still be read: ")
    assert all(line.startswith("  ") for line in whole[1:])
    assert all(len(line) <= 100 for line in whole)
    readable = " ".join(whole).removeprefix("Can still be read: ").removesuffix(".")
    assert {name.strip() for name in readable.split(",")} == names - {"metrics/fidelity"}


def test_a_result_that_is_cut_short_says_that_nothing_can_be_read(result, capsys):
    result.write_bytes(result.read_bytes()[:3000])
    code, out, _ = checked(result, capsys)
    assert code == 1
    assert "is cut short" in out
    assert out.endswith("\nNothing in it can be read.\n")


def test_arrays_that_this_version_does_not_know_are_named(result, capsys):
    h5py = pytest.importorskip("h5py")
    with h5py.File(result, "r+") as file:
        file["mine/numbers"] = [1, 2]
    code, out, _ = checked(result, capsys)
    assert code == 0
    assert out.splitlines()[1] == "Not known to this qdist, and not read: mine."


def test_a_folder_of_checkpoints_is_a_line_for_each_the_newest_first(tmp_path, capsys):
    older, newer = write_checkpoints(tmp_path / "run.checkpoints")
    code, out, err = checked(tmp_path / "run.checkpoints", capsys)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    done = [qd.read_checkpoint(path).done for path in (newer, older)]
    assert lines[0].startswith(f"{newer}: whole, written by 1 rank, {done[0]} operations done, 1 cluster of ")
    assert lines[1].startswith(f"{older}: whole, written by 1 rank, {done[1]} operations done, 1 cluster of ")
    assert len(lines) == 2


def test_one_operation_is_not_said_in_plural(tmp_path, capsys):
    first = write_checkpoints(tmp_path / "run.checkpoints", keep=100)[0]
    code, out, _ = checked(first, capsys)
    assert code == 0
    assert ", 1 operation done, " in out


def test_the_bytes_of_the_clusters_are_those_of_their_vectors(tmp_path, capsys):
    network = qd.Network((qd.Node("a", 5),))
    qubits = tuple(f"a/{i}" for i in range(5))
    program = qd.Program((qd.Prepare(qubits, qd.ghz(5)), *(qd.apply("h", q) for q in qubits)), qubits=qubits)
    job = qd.Job(program=program, network=network, precision="float64", saving=qd.Saving(every_steps=1))
    qd.run(job, checkpoints=qd.Checkpoints(tmp_path / "c.checkpoints"))
    assert "1 cluster of 8 KiB." in checked(tmp_path / "c.checkpoints", capsys)[1]


def test_batches_of_shots_and_points_are_counted(tmp_path, capsys):
    write_checkpoints(tmp_path / "shots.checkpoints", keep=1, mode="sampled", shots=40_000)
    out = checked(tmp_path / "shots.checkpoints", capsys)[1]
    assert "batch of shots done." in out or "batches of shots done." in out
    text = (
        '[run]\nprecision = "float64"\n[network]\ntopology = "chain"\nnodes = 3\nqubits = 2\n[network.link]\n'
        'length = 1e3\n[program]\nprotocol = "repeater_chain"\n[checkpoint]\nevery_steps = 1\n[sweep]\n'
        '"network.link.length" = [1e3, 2e3, 3e3]\n'
    )
    (tmp_path / "sweep.toml").write_text(text)
    qd.run(tmp_path / "sweep.toml", checkpoints=qd.Checkpoints(tmp_path / "sweep.checkpoints"))
    folder = tmp_path / "sweep.checkpoints"
    points = [qd.read_checkpoint(path).attributes["points_done"] for path in sorted(folder.iterdir())]
    out = checked(tmp_path / "sweep.checkpoints", capsys)[1]
    assert re.findall(r", (\d+) points? done\.", out) == [str(count) for count in reversed(points)]
    assert "1 points" not in out


def test_checkpoints_of_several_ranks_are_checked_by_their_master_or_by_any_of_their_files(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(sharding, "SPLIT_ENTRIES", 64)
    monkeypatch.setattr(keeper, "INLINE_BYTES", 64)
    master = write_checkpoints(tmp_path / "run.checkpoints", ranks=2)[0]
    part = master.with_name(f"{master.stem}.rank1.h5")
    assert part.exists()
    for path in (master, part):
        code, out, _ = checked(path, capsys)
        assert code == 0
        assert out.startswith(f"{master}: whole, written by 2 ranks, ")
    flip(part, part.stat().st_size // 2)
    for path in (master, part):
        code, out, _ = checked(path, capsys)
        assert (code, out.count("\n")) == (1, 1)
        assert f"'{part}' is damaged" in out


def test_a_result_is_checked_together_with_its_checkpoints(result, capsys):
    write_checkpoints(result.with_suffix(".checkpoints"))
    code, out, _ = checked(result, capsys)
    assert code == 0
    assert [": whole, " in line for line in out.splitlines()] == [True] * 3


def test_a_result_that_is_not_written_yet_is_no_damage(tmp_path, capsys):
    write_checkpoints(tmp_path / "run.checkpoints")
    code, out, _ = checked(tmp_path / "run.h5", capsys)
    assert code == 0
    assert out.startswith(f"{tmp_path / 'run.h5'}: not written yet.\n")


def test_of_a_damaged_checkpoint_it_says_from_where_a_run_can_go_on(tmp_path, capsys):
    older, newer = write_checkpoints(tmp_path / "run.checkpoints")
    flip(newer, newer.stat().st_size - 5)
    code, out, _ = checked(tmp_path / "run.checkpoints", capsys)
    assert code == 1
    assert out.splitlines()[0] == f"'{newer}' is damaged or cut short: its checksum is wrong."
    assert out.endswith(f"\nA run can go on from '{older}'.\n")
    flip(older, 600)
    assert checked(tmp_path / "run.checkpoints", capsys)[1].endswith("\nNo run can go on from here.\n")


def test_a_path_with_nothing_of_the_kind_is_one_sentence_and_a_mistake(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "run.checkpoints").mkdir()
    for name in ("missing.h5", "empty", "run.checkpoints", "run.checkpoints/00000001.h5", "missing/00000001.h5"):
        code, out, err = checked(tmp_path / name, capsys)
        assert (code, out, err.count("\n")) == (2, "", 1), name
        assert str(tmp_path / name) in err
        assert " must " in err
        with pytest.raises(QdistError):
            examine(tmp_path / name)


def test_a_file_of_another_kind_is_no_result(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    code, out, _ = checked(tmp_path / "notes.txt", capsys)
    assert code == 1
    assert "must be an HDF5 file" in out


def test_a_name_cannot_command_the_terminal(result, capsys):
    odd = result.rename(result.with_name("a\x1b[2Jb.h5"))
    flip_fidelity(odd)
    (odd.parent / "notes\x07.txt").write_text("mine")
    for path in (odd, odd.parent / "notes\x07.txt"):
        _, out, err = checked(path, capsys)
        assert all(line.isprintable() for line in (out + err).splitlines())
    write_checkpoints(odd.with_name("c\x1b.checkpoints"))
    _, out, err = checked(odd.with_name("c\x1b.checkpoints"), capsys)
    assert all(line.isprintable() for line in (out + err).splitlines())
