"""Results are written whole, read with suspicion, and readable without qdist."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

import qdist
from qdist.errors import QdistError
from qdist.runs import results, schema
from qdist.runs.results import Result, check_writable, read_result, write_result
from qdist.runs.stacking import stacked
from tests.sample_results import everything, outcomes, repeater_chain, sweep

VERSION_1 = Path(__file__).parents[1] / "data" / "results" / "version_1.hdf5"


def assert_same(read, written):
    for name, value in written.attributes.items():
        assert read.attributes[name] == value, name
    assert read.data.keys() == written.data.keys()
    for path, array in written.data.items():
        assert read[path].dtype.kind == array.dtype.kind, path
        np.testing.assert_array_equal(read[path], array, err_msg=path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


def test_every_array_of_the_schema_is_read_as_it_was_written(path):
    written = everything()
    write_result(written, path)
    read = read_result(path)
    assert_same(read, written)
    assert read["metrics/purity"].dtype == np.float32
    assert read.unknown == ()


def test_a_result_says_which_versions_made_it(path):
    write_result(everything(), path)
    attributes = read_result(path).attributes
    assert attributes["qdist_version"] == qdist.__version__
    assert attributes["numpy_version"] == np.__version__
    assert attributes["h5py_version"] == h5py.__version__
    assert attributes["format_version"] == schema.FORMAT_VERSION == 3


def test_a_stranger_finds_units_definitions_and_dimensions_with_h5py_alone(path):
    write_result(everything(), path)
    with h5py.File(path) as file:
        assert file.attrs["title"].decode() == "Repeater chain"
        for name, variable in schema.SCHEMA.items():
            dataset = file[name]
            assert dataset.attrs["definition"].decode() == variable.definition
            assert dataset.attrs.get("units", b"").decode() == variable.units
            assert variable.kind != "text" or dataset.dtype.itemsize > 1  # netCDF would join them into one word
            labels = tuple(scale[0].name for scale in dataset.dims if len(scale))
            is_scale = name.split("/")[1] in variable.dims
            assert is_scale or labels == tuple("/" + schema.coordinate(name, dim) for dim in variable.dims), name


def test_xarray_opens_groups_with_named_dimensions_and_decoded_text(path):
    written = everything()
    write_result(written, path)
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        for name, variable in schema.SCHEMA.items():
            assert tree[name].dims == variable.dims, name
            np.testing.assert_array_equal(tree[name].values.astype(written[name].dtype), written[name], err_msg=name)
        pair = written["metrics/pair"][0]
        series = tree["metrics/fidelity"].sel(pair=pair)
        np.testing.assert_array_equal(series, written["metrics/fidelity"][:, 0])
        np.testing.assert_array_equal(series.coords["time"], written["metrics/time"])
        assert tree["metrics/time"].attrs["units"] == "s"
        assert tree["metrics/time"].dtype == float
        assert tree.attrs["job"] == written.attributes["job"]


def test_every_array_of_a_sweep_is_read_as_it_was_written_with_its_axes(path):
    written = sweep(2)
    write_result(written, path)
    read = read_result(path)
    assert_same(read, written)
    assert (read.axes, read.unknown) == (written.axes, ())
    assert read.dims("metrics/fidelity") == ("network_link_length", "network_device_t2", "step", "pair")
    np.testing.assert_array_equal(read["sweep/network_device_t2"], [0.1, 1, 10])
    with pytest.raises(QdistError, match="Did you mean 'sweep/network_device_t2'"):
        read["sweep/network_device_t1"]


def test_a_stranger_finds_the_swept_fields_in_one_group_and_beside_every_array(path):
    write_result(sweep(2), path)
    with h5py.File(path) as file:
        assert file.attrs["sweep"].decode() == "network_link_length network_device_t2"
        length = file["sweep/network_link_length"]
        meaning = {name: length.attrs[name].decode() for name in ("path", "units", "long_name", "definition")}
        assert meaning.pop("definition") == schema.AXIS.definition
        assert meaning == {"path": "network.link.length", "units": "m", "long_name": "length of every link"}
        for name in ("metrics/fidelity", "ledger/attempts", "network/length"):
            labels = [scale[0].name for scale in file[name].dims]
            group = name.partition("/")[0]
            assert labels[:2] == [f"/{group}/network_link_length", f"/{group}/network_device_t2"], name


def test_a_file_of_version_1_is_read(path):
    """Written by version 0.1.0, when the format had no sweeps."""
    old = VERSION_1
    with h5py.File(old) as file:
        assert file.attrs["format_version"] == 1
    read = read_result(old)
    expected = repeater_chain(3)
    for name, array in expected.data.items():
        np.testing.assert_array_equal(read[name], array, err_msg=name)
    assert (read.axes, read.unknown) == ((), ())
    assert read.attributes["format_version"] == 1
    write_result(read, path)
    assert_same(read_result(path), expected)


@pytest.mark.skipif(h5py.version.version_tuple < (3, 15), reason="h5py before 3.15 writes the time into the file")
def test_the_same_result_gives_the_same_bytes(tmp_path):
    write_result(everything(), tmp_path / "a.h5")
    time.sleep(1.1)  # HDF5 knows times to the second
    write_result(everything(), tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_long_job_texts_large_arrays_and_empty_arrays_survive(path):
    count = 300_000
    data = {
        "results/outcome": np.array([format(i, "019b") for i in range(count)]),
        "results/probabilities": np.random.default_rng(0).random(count),
        "ledger/link": np.array([], str),
        "ledger/pairs_made": np.array([]),
    }
    written = Result({**everything().attributes, "job": "# é\n" * 50_000, "seed": 2**63}, data)
    write_result(written, path)
    assert_same(read_result(path), written)


@pytest.mark.parametrize("written", [repeater_chain(), sweep(2)], ids=["run", "sweep"])
def test_a_flipped_bit_is_an_error_or_changes_nothing(path, tmp_path, written):
    write_result(written, path)
    good = path.read_bytes()
    axes = [f"sweep/{axis.name}" for axis in written.axes]
    with h5py.File(path) as file:  # every chunk of numbers and text, and anything anywhere
        chunks = [file[name].id.get_chunk_info(0) for name in [*written.data, *axes]]
    assert b"TREE" not in good  # the index of chunks before HDF5 1.10, the one structure without a checksum
    places = {chunk.byte_offset + chunk.size // 2 for chunk in chunks}
    places |= set(np.random.default_rng(2).integers(0, len(good), 150).tolist())
    bad, errors = tmp_path / "bad.h5", 0
    for place in sorted(places):
        content = bytearray(good)
        content[place] ^= 1 << place % 8
        bad.write_bytes(content)
        try:
            read = read_result(bad)
        except QdistError:
            errors += 1
        else:
            assert_same(read, written)
            assert read.axes == written.axes
    assert errors >= len(chunks)


def test_a_file_cut_short_anywhere_is_an_error(path, tmp_path):
    write_result(repeater_chain(), path)
    good, bad = path.read_bytes(), tmp_path / "bad.h5"
    for length in [*range(0, 200, 20), *range(200, len(good), len(good) // 20), len(good) - 1]:
        bad.write_bytes(good[:length])
        with pytest.raises(QdistError, match=r"bad\.h5"):
            read_result(bad)


def _replace(file, name, **settings):
    del file[name]
    file.create_dataset(name, **settings)


def _not_ours(file):
    del file.attrs["format_version"]


def _newer(file):
    file.attrs["format_version"] = schema.FORMAT_VERSION + 1


def _other_type(file):
    _replace(file, "metrics/fidelity", data=np.ones((3, 2), int))


def _complex(file):
    _replace(file, "metrics/fidelity", data=np.ones((3, 2), complex))


def _other_rank(file):
    _replace(file, "results/probabilities", data=np.ones((2, 2)))


def _other_length(file):
    _replace(file, "metrics/fidelity", data=np.ones((4, 2)))


def _no_coordinate(file):
    del file["results/outcome"]


def _text_without_checksum(file):
    _replace(file, "metrics/label", data=["a", "b", "c"])


def _attribute_without_checksum(file):
    file.attrs["title"] = "other"


def _attribute_of_another_type(file):
    file.attrs["seed"] = 1.5


def _huge(file):
    _replace(file, "results/probabilities", shape=(2**50,), dtype=float, chunks=(1024,))


def _overflowing(file):
    _replace(file, "metrics/fidelity", shape=(2**32, 2**32), dtype=float, chunks=(8, 8))


def _huge_chunks(file):
    _replace(file, "results/probabilities", shape=(2,), maxshape=(None,), dtype=float, chunks=(2**28,), fletcher32=True)
    file["results/probabilities"].id.write_direct_chunk((0,), bytes(100))


def _compressed(file):
    _replace(file, "results/probabilities", data=np.ones(2), chunks=(2,), compression="gzip")


def _outside(file):
    file.create_dataset("new", (2,), float, external=[("/etc/hostname", 0, 16)])
    file.move("new", "elsewhere")
    del file["results/probabilities"]
    file["results/probabilities"] = file["elsewhere"]


def _virtual(file):
    layout = h5py.VirtualLayout((2,), float)
    layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
    del file["results/probabilities"]
    file.create_virtual_dataset("results/probabilities", layout)


def _linked(file):
    del file["results/probabilities"]
    file["results/probabilities"] = h5py.ExternalLink("other.h5", "/x")


def _group(file):
    del file["results/probabilities"]
    file.create_group("results/probabilities")


def _no_value(file):
    del file["results/success_probability"]
    file["results/success_probability"] = h5py.Empty(float)


STRANGE = {
    _not_ours: "not made by qdist",
    _newer: "pip install --upgrade qdist",
    _other_type: "`metrics/fidelity` must hold real numbers, but holds int64",
    _complex: "real numbers",
    _other_rank: r"`results/probabilities` must have the dimensions \(outcome\)",
    _other_length: "one entry per `metrics/step`, but it has 4 and that has 3",
    _no_coordinate: "`results/outcome`, but it has 2 and that is missing",
    _text_without_checksum: "`metrics/label` must hold text",
    _attribute_without_checksum: "`title` must be one number or text of fixed length",
    _attribute_of_another_type: "`seed` must be int",
    _huge: "must have its 9007199254740992 bytes in the file, but 0 are there",
    _overflowing: "must have its 147573952589676412928 bytes",
    _huge_chunks: "chunks of 2147483648 bytes",
    _compressed: "without compression",
    _outside: "in the file itself",
    _virtual: "in the file itself",
    _linked: "a link",
    _group: "is a group",
    _no_value: "empty",
}


@pytest.mark.parametrize("spoil", STRANGE, ids=lambda spoil: spoil.__name__)
def test_a_strange_file_is_refused_with_its_name_and_the_reason(path, spoil):
    write_result(everything(), path)
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(QdistError, match=STRANGE[spoil]) as caught:
        read_result(path)
    assert "run.h5" in str(caught.value)


def _other_copy(file):
    file["metrics/network_device_t2"][0] = 5.0


def _no_axes(file):
    del file["sweep"]


def _unnamed(file):
    del file.attrs["sweep"]


def _other_order(file):
    file.attrs.create("sweep", b"network_device_t2 network_link_length", dtype="S60")


def _no_path(file):
    del file["sweep/network_device_t2"].attrs["path"]


def _no_number(file):
    file["sweep/network_device_t2"][0] = np.nan


def _text_axis(file):
    _replace(file, "sweep/network_device_t2", data=np.array([b"a", b"b", b"c"]))


def _name_of_an_array(file):
    file.attrs.create("sweep", b"network_link_length network_device_t2 step", dtype="S60")
    file["sweep"].copy("network_device_t2", "step")


STRANGE_SWEEPS = {
    _other_copy: "`metrics/network_device_t2` must be equal to `sweep/network_device_t2`",
    _no_axes: "`sweep/network_link_length` must be a list of numbers, but is none",
    _unnamed: r"must have the dimensions",
    _other_order: "must have one entry per `sweep/network_device_t2`, but it has 2 and that has 3",
    _no_path: "damaged",
    _no_number: "must have different numbers, but one is nan",
    _text_axis: "must be a list of numbers",
    _name_of_an_array: "an array is called 'step' too",
}


@pytest.mark.parametrize("spoil", STRANGE_SWEEPS, ids=lambda spoil: spoil.__name__)
def test_a_strange_sweep_is_refused_with_its_name_and_the_reason(path, spoil):
    write_result(sweep(2), path)
    with h5py.File(path, "r+") as file:
        spoil(file)
    with pytest.raises(QdistError, match=STRANGE_SWEEPS[spoil]) as caught:
        read_result(path)
    assert "run.h5" in str(caught.value)


def test_what_is_not_a_result_file_at_all_is_named(tmp_path):
    (tmp_path / "empty.h5").touch()
    (tmp_path / "text.h5").write_text("[network]\n")
    for name, found in (("empty.h5", "is empty"), ("text.h5", "is not"), ("no.h5", "does not exist"), (".", "folder")):
        with pytest.raises(QdistError, match=found):
            read_result(tmp_path / name)


def test_what_a_stranger_added_is_reported_and_not_read(path):
    write_result(everything(), path)
    with h5py.File(path, "r+") as file:
        file.attrs["note"] = "mine"
        file["metrics/surprise"] = [1.0]
        file["mine/deep"] = [1.0]
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/x")
    read = read_result(path)
    assert set(read.unknown) == {"note", "metrics/surprise", "mine", "elsewhere"}
    assert_same(read, everything())


def test_output_paths_that_cannot_be_written_are_found_before_the_compute(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "protected.h5").touch(mode=0o444)
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())
    table = {
        "missing/run.h5": "mkdir -p",
        "folder": "is a folder",
        "protected.h5": "write-protected",
        "pipe": "a device or a pipe",
        "x" * 300: "File name too long",
        "nul\0byte": "null",
    }
    for name, found in table.items():
        with pytest.raises(QdistError, match=found):
            check_writable(tmp_path / name)
        with pytest.raises(QdistError, match=found):
            write_result(everything(), tmp_path / name)
    check_writable(tmp_path / "run.h5")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_without_permission_is_found_before_the_compute(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(results.Path, "touch", refuse)  # root may write anywhere, so the refusal is played
    with pytest.raises(QdistError, match=r"run\.h5' cannot be written: Permission denied"):
        check_writable(tmp_path / "run.h5")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(path, monkeypatch, step):
    write_result(outcomes(), path)
    old = path.read_bytes()

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results.os, step, fail)
    with pytest.raises(QdistError, match="No space left on device"):
        write_result(everything(), path)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


def test_a_written_file_has_the_permissions_of_any_new_file(path):
    write_result(outcomes(), path)
    plain = path.with_name("plain")
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_writing_to_a_symbolic_link_replaces_what_it_points_to(path):
    link = path.with_name("latest.h5")
    link.symlink_to(path)
    write_result(outcomes(), link)
    assert link.is_symlink()
    assert_same(read_result(path), outcomes())


def test_what_does_not_fit_the_schema_is_not_written(path):
    good = outcomes()
    table = [
        (Result(good.attributes, {**good.data, "results/probability": np.ones(8)}), "Did you mean"),
        (Result(good.attributes, {**good.data, "results/probabilities": np.ones(7)}), "one entry per"),
        (Result({**good.attributes, "sed": 1}, good.data), "Did you mean 'seed'"),
        (Result({**good.attributes, "seed": "x"}, good.data), "`seed` must be int"),
        (Result({**good.attributes, "seed": 2**64}, good.data), "64 bits"),
        (Result({}, good.data), "`mode`"),
    ]
    for result, found in table:
        with pytest.raises(QdistError, match=found):
            write_result(result, path)
    assert not path.exists()


def test_the_probability_of_an_outcome_is_looked_up_by_its_bits():
    result = outcomes(3)
    assert result.probability("111") == pytest.approx(0.4625)
    assert result.probability("010") == pytest.approx(0.0125)
    swept = stacked([schema.Axis("run_seed", "run.seed", (1, 2, 3))], [outcomes(3), outcomes(2), outcomes(3)])
    np.testing.assert_allclose(swept.probability("111"), [0.4625, 0, 0.4625])
    np.testing.assert_allclose(swept.probability("11"), [0, 0.475, 0])
    few = Result({}, {"results/outcome": np.array(["00"]), "results/probabilities": np.array([1.0])})
    assert few.probability("11") == 0
    for outcome in ("11", "1111", "abc"):
        with pytest.raises(QdistError, match="3 characters"):
            result.probability(outcome)


def test_a_missing_array_is_named_with_a_suggestion():
    with pytest.raises(QdistError, match="Did you mean 'results/probabilities'"):
        outcomes()["results/probability"]


def test_states_come_from_memory_and_never_from_a_file(path):
    class Final:
        def state(self, qubits):
            return f"state of {qubits}"

    result = Result(outcomes().attributes, outcomes().data, Final())
    assert result.state(["alice/0"]) == "state of ['alice/0']"
    write_result(result, path)
    with pytest.raises(QdistError, match="keep metrics, not states"):
        read_result(path).state(["alice/0"])


def test_a_result_prints_as_one_short_line():
    assert repr(outcomes()) == "Result('GHZ', sampled, 8 outcomes, 4 correlators)"


def test_the_table_for_the_documentation_has_a_row_for_each_path():
    lines = schema.markdown().splitlines()
    assert len(lines) == 2 + len(schema.SCHEMA) + 1  # the swept fields
    assert all(line.count("|") - line.count("\\|") == 6 for line in lines)


def test_reading_and_writing_results_needs_neither_jax_nor_matplotlib_nor_xarray():
    code = "import sys, qdist.runs.results, qdist.runs.views.show, qdist.runs.views.plot\n"
    code += "print(sorted({'jax', 'matplotlib', 'xarray'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
