"""Frames: on a projection or on latitude and longitude, with gaps in space, and with any times."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.data.blocks import checked, in_blocks
from pipeline_lib.data.canonical import canonicalise
from pipeline_lib.data.datasets import concat_times
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.errors import DataError

SPEC = {"rain": VariableSpec(name="rr", units="mm h-1", valid_min=0.0, valid_max=300.0)}
VALUES = np.random.default_rng(0).gamma(0.3, 4.0, (4, 5, 6))
TIMES = np.array(["2010-08-26T00:05", "2010-08-26T00:10", "2010-08-26T00:25", "2010-08-26T00:26"], "datetime64[ns]")


def plane(units: str = "km") -> xr.Dataset:
    axis = {"units": units, "proj4": "+proj=stere"}
    coords = {"time": TIMES, "y": ("y", -3650.5 - np.arange(5), axis), "x": ("x", 0.5 + np.arange(6), axis)}
    return xr.Dataset({"rr": (("time", "y", "x"), VALUES.copy(), {"units": "mm h-1"})}, coords)


def globe() -> xr.Dataset:
    coords = {"time": TIMES, "lat": 52.0 - 0.01 * np.arange(5), "lon": 359.98 + 0.01 * np.arange(6)}
    return xr.Dataset({"rr": (("time", "lat", "lon"), VALUES.copy(), {"units": "mm h-1"})}, coords)


def canonical(ds: xr.Dataset, spec: dict[str, VariableSpec] = SPEC) -> xr.Dataset:
    ready = canonicalise(in_blocks(ds), spec, where="radar.h5", form="frames")
    return checked(ready, spec, where="radar.h5", form="frames")


def test_axes_become_metres_and_ascend_with_their_values() -> None:
    out = canonical(plane())
    np.testing.assert_allclose(out.y, [-3654500, -3653500, -3652500, -3651500, -3650500])
    np.testing.assert_allclose(out.x, 1000 * plane().x)
    np.testing.assert_array_equal(out.rain, VALUES[:, ::-1])
    assert out.y.attrs["units"] == out.x.attrs["units"] == "m"
    assert out.y.attrs["standard_name"] == "projection_y_coordinate"
    assert out.x.attrs["proj4"] == "+proj=stere"
    assert out.rain.dims == ("time", "y", "x")


def test_latitude_and_longitude_are_as_those_of_maps() -> None:
    out = canonical(globe())
    assert out.rain.dims == ("time", "latitude", "longitude")
    np.testing.assert_allclose(out.longitude, [-0.02, -0.01, 0, 0.01, 0.02, 0.03], atol=1e-9)
    np.testing.assert_array_equal(out.rain, VALUES[:, ::-1])


@pytest.mark.parametrize("make", [plane, globe])
def test_dry_weather_and_gaps_are_frames_like_any_other(make) -> None:
    ds = make()
    ds["rr"][0] = np.nan
    ds["rr"][1] = 0.0
    ds["rr"][:, 2:4, 1] = np.nan
    out = canonical(ds).rain
    assert int(out.isnull().sum()) == 5 * 6 + 3 * 2
    assert float(out[1].sum()) == 0.0


@pytest.mark.parametrize(("value", "told"), [(np.inf, "infinite"), (-0.12, "beyond the limit 0"), (301, "limit 300")])
def test_values_out_of_the_contract_are_refused(value: float, told: str) -> None:
    ds = plane()
    ds["rr"][2, 1, 1] = value
    with pytest.raises(DataError, match=told):
        canonical(ds).load()


@settings(max_examples=15)
@given(st.permutations(range(4)), st.booleans())
def test_order_in_the_file_does_not_matter(order: list[int], flipped: bool) -> None:
    ds = plane().isel(time=order)
    ds = ds.isel(x=slice(None, None, -1)) if flipped else ds
    xr.testing.assert_identical(canonical(ds).load(), canonical(plane()).load())


def test_times_twice_and_other_axes_are_refused() -> None:
    with pytest.raises(DataError, match="00:05:00 occurs twice"):
        canonical(plane().isel(time=[0, 0, 1]))
    with pytest.raises(DataError, match=r"frames are \(time, y, x\)"):
        canonical(plane().expand_dims(height=[1, 2]))
    bad = plane()
    bad["x"] = ("x", [0.5, 1.5, 1.5, 3.5, 4.5, 5.5], {"units": "km"})
    with pytest.raises(DataError, match="x is not a line of different finite numbers"):
        canonical(bad)


def test_a_series_of_numbers_may_go_with_the_frames() -> None:
    spec = SPEC | {"gauge": VariableSpec(name="gauge", units="kg m-2")}
    ds = plane().assign(gauge=("time", [1.0, np.nan, 2.0, 3.0], {"units": "kg m-2"}))
    out = canonical(ds, spec)
    assert out.gauge.dims == ("time",)
    np.testing.assert_array_equal(out.gauge, ds.gauge)


def test_frames_of_another_grid_are_not_joined() -> None:
    one, two = canonical(plane()), canonical(plane().assign_coords(time=TIMES + np.timedelta64(1, "D")))
    assert concat_times([two, one], where=["b", "a"]).sizes["time"] == 8
    with pytest.raises(DataError, match="x differs from that of a"):
        concat_times([one, two.assign_coords(x=two.x + 1.0)], where=["a", "b"])
