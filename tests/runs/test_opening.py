"""`qdist.open`: xarray shows what the file holds, with its names, units and definitions; nothing bad gets in."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

import qdist
from qdist.errors import QdistError
from qdist.runs import schema
from qdist.runs.results import write_result
from tests.sample_results import MEMORY, everything, outcomes, repeater_chain, sweep

DATA = Path(__file__).parents[1] / "data" / "results"
KINDS = {
    "everything": everything(),
    "chain": repeater_chain(4, sampled=True),
    "outcomes": outcomes(),
    "sweep": sweep(2),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


@pytest.mark.parametrize("written", KINDS.values(), ids=KINDS)
def test_the_tree_has_every_array_with_dimensions_and_meaning(path, written):
    write_result(written, path)
    tree = qdist.open(path)
    found = {f"{group.name}/{name}" for group in tree.children.values() for name in group.to_dataset().variables}
    axes = {axis.name for axis in written.axes}
    assert {name for name in found if name.partition("/")[2] not in axes} == set(written.data)
    for name in written.data:
        variable, array = schema.SCHEMA[name], tree[name]
        np.testing.assert_array_equal(array.values, written[name], err_msg=name)
        assert array.dims == written.dims(name), name
        assert array.attrs.get("units", "") == variable.units, name
        assert (array.attrs["long_name"], array.attrs["definition"]) == (variable.long_name, variable.definition), name
        assert variable.kind != "text" or array.dtype.kind == "U", name
        assert set(array.dims) <= set(array.coords), name


@pytest.mark.parametrize("written", KINDS.values(), ids=KINDS)
def test_the_tree_is_the_one_that_xarray_reads_by_itself(path, written):
    """By h5netcdf: another reader of the same bytes."""
    pytest.importorskip("h5netcdf")
    write_result(written, path)
    tree = qdist.open(path)
    with xarray.open_datatree(path, engine="h5netcdf") as other:
        assert set(tree.groups) == set(other.groups)
        for group in tree.groups:
            ours, theirs = tree[group].to_dataset(), other[group].to_dataset()
            xarray.testing.assert_equal(ours, theirs)
            assert set(ours.coords) == set(theirs.coords)
            assert {k: str(v) for k, v in ours.attrs.items()} == {k: str(v) for k, v in theirs.attrs.items()}
            for name, array in theirs.variables.items():
                assert {k: str(v) for k, v in ours[name].attrs.items()} == {k: str(v) for k, v in array.attrs.items()}


def test_records_have_a_time_and_a_label_and_are_picked_by_name(path):
    write_result(repeater_chain(4), path)
    series = qdist.open(path)["metrics/fidelity"].sel(pair="alice/0-r1/0")
    assert series.time.dims == series.label.dims == ("step",)
    assert series.time.attrs["units"] == "s"
    assert series.isel(step=0).item() == pytest.approx((1 + 3 * 0.96) / 4)


def test_a_verdict_says_what_its_numbers_mean(path):
    write_result(repeater_chain(4), path)
    attributes = qdist.open(path)["metrics/verdict"].attrs
    meaning = dict(zip(attributes["flag_values"].tolist(), attributes["flag_meanings"].split(), strict=True))
    assert meaning == {-1: "no_pair", **dict(enumerate(schema.VERDICTS))}


def test_points_of_a_sweep_are_picked_by_the_value_of_a_field(path):
    write_result(sweep(2), path)
    tree = qdist.open(path)
    point = tree["metrics/fidelity"].sel(network_link_length=50e3, network_device_t2=MEMORY.values[1])
    np.testing.assert_array_equal(point, sweep(2)["metrics/fidelity"][1, 1])
    length = tree["sweep/network_link_length"]
    assert (length.attrs["units"], length.attrs["path"]) == ("m", "network.link.length")
    assert "network_link_length" not in tree["plan"].coords


@pytest.mark.parametrize(("version", "written"), [(1, repeater_chain(3)), (2, sweep(2))])
def test_files_of_older_formats_are_opened(version, written):
    """`version_1.hdf5` and `version_2.hdf5` were written when these were the newest."""
    path = DATA / f"version_{version}.hdf5"
    with h5py.File(path) as file:
        assert file.attrs["format_version"] == version
    tree = qdist.open(path)
    assert tree.attrs["format_version"] == version
    for name in written.data:
        np.testing.assert_allclose(*_numbers(tree[name].values, written[name]), rtol=1e-14, err_msg=name)
        assert tree[name].dims == written.dims(name)


def _numbers(found, expected):
    """Text as the numbers of its characters."""
    return [array.astype("U64").view(np.uint32) if array.dtype.kind == "U" else array for array in (found, expected)]


def test_what_a_stranger_added_is_not_in_the_tree(path):
    write_result(repeater_chain(4), path)
    with h5py.File(path, "a") as file:
        file["metrics/notes"] = [1.0, 2.0]
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/")
    tree = qdist.open(path)
    assert "elsewhere" not in tree.children
    assert "notes" not in tree["metrics"].to_dataset()


def test_a_bad_file_is_refused_in_one_sentence(path):
    write_result(repeater_chain(4), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(QdistError, match=r"run\.h5' must be a whole HDF5 file, but is cut short"):
        qdist.open(path)
    with pytest.raises(QdistError, match=r"must be a file, but '.*nothing\.h5' does not exist"):
        qdist.open(path.with_name("nothing.h5"))


@pytest.mark.parametrize("broken", [None, object()], ids=["not installed", "too old"])
def test_without_xarray_the_message_says_what_to_install(path, monkeypatch, broken):
    write_result(repeater_chain(4), path)
    monkeypatch.setitem(sys.modules, "xarray", broken)
    with pytest.raises(QdistError, match=r"needs xarray .* `pip install 'qdist\[analysis\]'`"):
        qdist.open(path)
