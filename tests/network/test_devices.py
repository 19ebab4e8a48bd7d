"""Devices refuse unphysical numbers in the house's sentences, and every shipped number has a source."""

import math
import subprocess
import sys
import tomllib
from dataclasses import fields, replace
from importlib import resources

import numpy as np
import pytest

from qdist.errors import QdistError
from qdist.network.devices import DURATIONS, IDEAL, PROBABILITIES, Device, device, device_from_table, device_names

PRESETS = [name for name in device_names() if name != "ideal"]

REFUSED = [
    ({"t1": 0.0}, "`t1` must be positive (seconds; `inf` for none), but is 0.0."),
    ({"t2": -1.0}, "`t2` must be positive (seconds; `inf` for none), but is -1.0."),
    ({"t1": math.nan}, "`t1` must be positive (seconds; `inf` for none), but is nan."),
    ({"t1": 1.0}, "`t2` must be at most 2·t1 = 2 s, but is inf s. Lower t2 or raise t1."),
    ({"t1": 1.0, "t2": 2.1}, "`t2` must be at most 2·t1 = 2 s, but is 2.1 s. Lower t2 or raise t1."),
    ({"t1": "5"}, "`t1` must be a number, but is '5'."),
    ({"t2": True}, "`t2` must be a number, but is True."),
    ({"readout_p01": None}, "`readout_p01` must be a number, but is None."),
    ({"one_qubit_duration": math.inf}, "`one_qubit_duration` must be finite (s), but is inf."),
    ({"source": 5}, "`source` of a device must be text, but is 5."),
    *(({name: 1.2}, f"`{name}` must be a probability in [0, 1], but is 1.2.") for name in PROBABILITIES),
    *(({name: math.nan}, f"`{name}` must be a probability in [0, 1], but is nan.") for name in PROBABILITIES),
    *(({name: -1e-9}, f"`{name}` must be at least 0 s, but is -1e-09.") for name in DURATIONS),
    *(({name: math.nan}, f"`{name}` must be at least 0 s, but is nan.") for name in DURATIONS),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
def test_an_unphysical_value_is_refused_with_its_sentence(values, sentence):
    with pytest.raises(QdistError) as error:
        Device(name="x", **values)
    assert str(error.value) == sentence


def test_every_number_of_a_device_is_checked():
    checked = {"t1", "t2", *PROBABILITIES, *DURATIONS}
    assert {field.name for field in fields(Device)} == checked | {"name", "source"}


def test_the_limits_of_each_range_are_allowed():
    Device(name="x", t1=1.0, t2=2.0, excited_population=1, two_qubit_error=1.0, readout_p10=np.float32(0.5))


def test_the_ideal_device_has_no_noise_and_no_delays():
    assert (IDEAL.t1, IDEAL.t2) == (math.inf, math.inf)
    assert [getattr(IDEAL, name) for name in (*PROBABILITIES, *DURATIONS)] == [0.0] * 10
    assert device("ideal") is IDEAL


def test_traced_values_pass_through_without_checks():
    import jax

    def t1_of(t1):
        return Device(name="x", t1=t1, t2=1.0, one_qubit_error=t1 * 2).one_qubit_error

    assert jax.grad(t1_of)(3.0) == 2.0


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_physical(name):
    preset = device(name)
    assert preset.name == name
    assert preset.t2 <= 2 * preset.t1
    assert 0 < preset.one_qubit_error < preset.two_qubit_error < 0.02
    assert 0 < preset.readout_p01 < 0.1
    assert 0 < preset.readout_p10 < 0.1
    for duration in DURATIONS:
        assert 1e-9 < getattr(preset, duration) < 0.01
    assert preset.two_qubit_duration < preset.t2 / 100


@pytest.mark.parametrize("name", PRESETS)
def test_every_number_of_a_preset_has_a_dated_source_or_says_assumed(name):
    text = (resources.files("qdist.network") / "data" / f"{name}.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    summary = table.pop("summary")
    for key, entry in table.items():
        assert set(entry) == {"value", "source"}
        assert "assumed" in entry["source"] or "(20" in entry["source"], key
        assert f"{key}: {entry['source']}" in device(name).source
        assert getattr(device(name), key) == entry["value"]
    assert device(name).source.startswith(summary)


@pytest.mark.parametrize(
    ("name", "key", "fidelity", "dimension"),
    [
        ("color_center", "one_qubit_error", 0.99999, 2),
        ("color_center", "two_qubit_error", 0.9993, 4),
        ("trapped_ion", "one_qubit_error", 0.999934, 2),
        ("trapped_ion", "two_qubit_error", 0.999, 4),
        ("neutral_atom", "one_qubit_error", 0.9997, 2),
        ("neutral_atom", "two_qubit_error", 0.995, 4),
        ("superconducting", "one_qubit_error", 1 - 0.00035, 2),
        ("superconducting", "two_qubit_error", 1 - 0.0033, 4),
    ],
)
def test_gate_errors_follow_from_the_published_average_fidelities(name, key, fidelity, dimension):
    expected = (1 - fidelity) * (dimension + 1) / dimension
    assert getattr(device(name), key) == pytest.approx(expected, rel=0.05)


def test_an_unknown_preset_is_answered_with_the_closest():
    with pytest.raises(QdistError) as error:
        device("trapped_ions")
    assert str(error.value) == "No device preset is called 'trapped_ions'. Did you mean 'trapped_ion'?"


def test_a_table_overrides_a_preset_and_says_so():
    made = device_from_table({"preset": "color_center", "t1": 10, "t2": 1})
    base = device("color_center")
    assert made == replace(base, t1=10, t2=1, source=base.source + "; t1, t2 set by the job")


def test_a_table_without_a_preset_starts_from_the_ideal_device():
    assert device_from_table({"readout_p01": 0.1}) == Device(
        name="custom", readout_p01=0.1, source="readout_p01 set by the job"
    )


def test_a_table_keeps_its_own_name_and_source():
    made = device_from_table({"preset": "trapped_ion", "name": "ours", "source": "measured on Monday"})
    assert (made.name, made.source) == ("ours", "measured on Monday")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"readout_p11": 1.0}, "here: A device has no field 'readout_p11'. Did you mean 'readout_p10'?"),
        ({"preset": "ion"}, "here: No device preset is called 'ion'."),
        ({"preset": "color_center", "t1": 0.1}, "here: `t2` must be at most 2·t1 = 0.2 s, but is 1.6 s."),
        ({"readout_p01": 2.0}, "here: `readout_p01` must be a probability in [0, 1], but is 2.0."),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(table, sentence):
    with pytest.raises(QdistError) as error:
        device_from_table(table, "here: ")
    assert str(error.value).startswith(sentence)


def test_importing_and_reading_presets_does_not_import_jax():
    code = "import sys; from qdist.network.devices import device; device('trapped_ion'); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ".:kernels"}, check=False).returncode == 0
