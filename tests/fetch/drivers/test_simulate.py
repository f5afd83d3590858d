"""The driver ``simulate``: equal options give equal bytes, and all that decides what comes is in the address."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
import xarray as xr

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


def test_unknown_simulations_and_options_are_refused_with_advice():
    with pytest.raises(ConfigError, match="did you mean 'lorenz63'"):
        Simulate.files(Simulate.Options(simulation="lorenz_63"), REQUEST)
    with pytest.raises(ConfigError, match="did you mean 'sigma'"):
        Simulate.files(options(sgima=3), REQUEST)
