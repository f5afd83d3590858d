"""The driver ``simulate``: equal options give equal bytes, and all that decides what comes is in the address."""

from __future__ import annotations

import json
from datetime import date

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.errors import ConfigError
from pipeline_lib.fetch.base import FetchRequest
from pipeline_lib.fetch.drivers.simulate import Simulate
from pipeline_lib.io.hashing import sha256_file

REQUEST = FetchRequest(
    source="l63", part="all", start=date(2000, 1, 1), end=date(2000, 1, 2), variables=("state",), step_hours=0.24
)


def options(**settings: object) -> Simulate.Options:
    return Simulate.Options(simulation="lorenz63", options=settings)


def made(folder, **settings):
    folder.mkdir()
    [wanted] = Simulate.files(options(**settings), REQUEST)
    return Simulate.fetch(options(**settings), wanted, folder)


def test_one_state_per_time_step_and_the_same_bytes_each_time(tmp_path):
    first, second = made(tmp_path / "a"), made(tmp_path / "b")
    assert sha256_file(first) == sha256_file(second)
    with xr.open_dataset(first, engine="h5netcdf") as ds:
        assert ds.state.dims == ("time", "component")
        expected = np.datetime64("2000-01-01", "ns") + np.arange(200) * np.timedelta64(864, "s")
        np.testing.assert_array_equal(ds.time.values, expected)
        assert ds.state.dtype == np.float64
        np.testing.assert_array_equal(ds.state.values[0], [8, 0, 30])


def test_every_option_and_the_days_are_in_the_address():
    [plain] = Simulate.files(options(), REQUEST)
    [named] = Simulate.files(options(sigma=10.0), REQUEST)
    [other] = Simulate.files(options(sigma=11.0), REQUEST)
    assert plain.address == named.address != other.address
    assert Simulate.modules(options()) == ["pipeline_lib.simulations.lorenz63"]


@pytest.mark.parametrize(
    ("change", "message"),
    [({"end": None}, "needs a last day"), ({"part": "2000-01"}, "in one piece")],
)
def test_what_cannot_be_simulated_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        Simulate.files(options(), FetchRequest(**{**vars(REQUEST), **change}))


@pytest.mark.parametrize(
    ("simulation", "step_hours", "settings", "message"),
    [
        (
            "lorenz63",
            0.24,
            {"dt": 0.02},
            r"fetch\.options\.dt: states are 0\.02 units of time apart, .* 0\.24 h",
        ),
        ("lorenz63", 0.24, {"dt": 0.02}, r"set dt: 0\.01 or time\.step_hours: 0\.48"),
        ("lorenz63", 0.24, {"dt": 0.0100001}, "units of time apart"),
        ("lorenz63", 1.2, {}, r"states are 0\.01 units of time apart"),
        ("shallow_water", 240.0, {"dt": 0.05}, r"set dt: 10 or time\.step_hours: 1\.2"),
        (
            "lorenz63",
            0.24,
            {"spin_up": 1.005},
            r"options\.spin_up: 1\.005 is no multiple of the 0\.01 .*; set 1",
        ),
        ("lorenz96", 1.2, {"dt": 0.05, "spin_up": 0.01}, r"spin_up: 0\.01 is no multiple of the 0\.05"),
        ("burgers", 1.2, {"spin_up": 10.03}, "spin_up: 10.03 is no multiple"),
        ("quasigeostrophic", 1.2, {}, r"states are 0\.025 units of time apart"),
    ],
)
def test_times_that_the_calendar_does_not_know_are_refused(simulation, step_hours, settings, message):
    request = FetchRequest(**{**vars(REQUEST), "step_hours": step_hours})
    with pytest.raises(ConfigError, match=message) as caught:
        Simulate.files(Simulate.Options(simulation=simulation, options=settings), request)
    assert "\n" not in caught.value.line


@given(steps=st.integers(0, 10**6), hours=st.sampled_from([0.24, 0.375, 0.6, 1.2, 2.4, 1 / 3]))
def test_times_that_are_round_in_decimals_pass(steps, hours):
    dt = float(f"{hours / 24:.10g}")
    settings = {"dt": dt, "spin_up": float(f"{steps * dt:.10g}")}
    [wanted] = Simulate.files(options(**settings), FetchRequest(**{**vars(REQUEST), "step_hours": hours}))
    assert json.loads(wanted.address)["options"]["dt"] == dt


def test_what_has_no_time_is_not_asked_for_it():
    [wanted] = Simulate.files(Simulate.Options(simulation="digits"), REQUEST)
    assert wanted.name == "digits.nc"


def test_unknown_simulations_and_options_are_refused_with_advice():
    with pytest.raises(ConfigError, match="did you mean 'lorenz63'"):
        Simulate.files(Simulate.Options(simulation="lorenz_63"), REQUEST)
    with pytest.raises(ConfigError, match="did you mean 'sigma'"):
        Simulate.files(options(sgima=3), REQUEST)
