"""The door: whatever comes from outside is brought into canonical form, or refused with one line."""

from __future__ import annotations

import cftime
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lib.data.canonical import canonicalise, check_values
from pipeline_lib.data.units import conversion, parse_unit
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.errors import DataError

SPEC = {"adt": VariableSpec(name="ssh", units="m", valid_min=-5, valid_max=5)}


def delivered(*, lat=(10.0, 11.0, 12.0), lon=(0.0, 1.0, 2.0, 3.0), days=3, units="m", names=("time", "lat", "lon")):
    values = np.random.default_rng(0).normal(0, 0.1, (days, len(lat), len(lon)))
    time = np.datetime64("2005-04-01", "ns") + np.arange(days) * np.timedelta64(1, "D")
    return xr.Dataset(
        {"ssh": (names, values, {"units": units} if units else {})},
        coords=dict(zip(names, (time, np.array(lat), np.array(lon)), strict=True)),
    )


def canonical(ds, spec=None):
    return canonicalise(ds, spec or SPEC, where="file.nc")


def test_names_and_attributes():
    out = canonical(delivered())
    assert list(out.data_vars) == ["adt"]
    assert out.adt.dims == ("time", "latitude", "longitude")
    assert out.latitude.attrs["units"] == "degrees_north"


def test_descending_latitude_is_turned_and_values_follow():
    ds = delivered(lat=(12.0, 11.0, 10.0))
    out = canonical(ds)
    assert (np.diff(out.latitude) > 0).all()
    np.testing.assert_array_equal(out.adt.sel(latitude=12.0), ds.ssh.sel(lat=12.0))


@given(first=st.floats(-180, 360, allow_nan=False), count=st.integers(2, 40))
def test_longitudes_are_wrapped_and_values_follow(first, count):
    lon = (np.float64(np.round(first, 3)) + np.arange(count) * 7.0)[:50]
    ds = delivered(lon=tuple(lon))
    out = canonical(ds)
    assert (np.diff(out.longitude) > 0).all()
    assert out.longitude.min() >= -180
    assert out.longitude.max() < 180
    for index, value in enumerate(lon):
        wrapped = (value + 180) % 360 - 180
        np.testing.assert_array_equal(out.adt.sel(longitude=wrapped, method="nearest"), ds.ssh[:, :, index])


def test_a_selection_across_greenwich_finds_all_columns():
    out = canonical(delivered(lon=tuple(np.arange(0.0, 360.0, 1.0))))
    assert out.sel(longitude=slice(-10, 30)).sizes["longitude"] == 41


def test_transposed_input_and_extra_dimension():
    ds = delivered().transpose("lon", "lat", "time").expand_dims(depth=[0.0])
    np.testing.assert_array_equal(canonical(ds).adt, delivered().ssh)


def test_centimetres_are_converted_and_recorded():
    out = canonical(delivered(units="cm"))
    np.testing.assert_allclose(out.adt, delivered().ssh / 100)
    assert out.adt.attrs["units"] == "m"
    assert out.adt.attrs["delivered_units"] == "cm"


def test_unsorted_times_are_sorted():
    ds = delivered().isel(time=[2, 0, 1])
    np.testing.assert_array_equal(canonical(ds).adt, delivered().ssh)


def with_time(values):
    return delivered().assign_coords(time=np.array(values))


BAD = {
    "unknown unit": (delivered(units="furlong"), "unknown unit 'furlong'"),
    "other quantity": (delivered(units="K"), "cannot become 'm'"),
    "no unit": (delivered(units=None), "has no unit"),
    "no variable": (delivered().rename(ssh="sshh"), "did you mean 'sshh'"),
    "no latitude": (delivered().rename(lat="row").drop_vars("row"), "no latitude coordinate"),
    "360-day calendar": (with_time([cftime.Datetime360Day(2005, 2, d) for d in (28, 29, 30)]), "calendar '360_day'"),
    "no-leap calendar": (with_time([cftime.DatetimeNoLeap(2005, 2, d) for d in (1, 2, 3)]), "calendar 'noleap'"),
    "numbers as time": (with_time([1.0, 2.0, 3.0]), "not dates"),
    "missing time": (with_time(np.array(["2005-04-01", "NaT", "2005-04-03"], "M8[ns]")), "a time is missing"),
    "far future": (with_time(np.array(["2005-04-01", "2005-04-02", "9999-01-01"], "M8[s]")), "1677 to 2262"),
    "duplicate time": (with_time(np.array(["2005-04-01"] * 2 + ["2005-04-03"], "M8[ns]")), "occurs twice"),
    "latitude over 90": (delivered(lat=(89.0, 90.0, 91.0)), "beyond 90"),
    "nan latitude": (delivered(lat=(10.0, np.nan, 12.0)), "not finite"),
    "duplicate latitude": (delivered(lat=(10.0, 10.0, 12.0)), "twice"),
    "closed circle": (delivered(lon=(-180.0, -90.0, 90.0, 180.0)), "repeat after wrapping"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_one_line(case):
    ds, message = BAD[case]
    with pytest.raises(DataError, match=message) as caught:
        canonical(ds)
    assert "file.nc" in caught.value.line
    assert "\n" not in caught.value.line


def test_curvilinear_grids_are_refused():
    ds = delivered()
    grid = np.ones((3, 4))
    ds = ds.drop_vars(["lat", "lon"]).assign_coords(latitude=(("lat", "lon"), grid), longitude=(("lat", "lon"), grid))
    with pytest.raises(DataError, match="only regular"):
        canonical(ds)


def checked(values):
    ds = canonical(delivered())
    ds["adt"] = ds["adt"].copy(data=values)
    check_values(ds, SPEC, where="file.nc")


def field(**changes):
    values = np.full((3, 3, 4), 0.1)
    for index, value in changes.values():
        values[index] = value
    return values


def test_good_values_pass():
    checked(field(land=((slice(None), 0, 0), np.nan)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (field(a=((1, 1, 1), np.inf)), "infinite values on 2005-04-02"),
        (field(a=((2,), np.nan)), "no finite value on 2005-04-03"),
        (field(a=((0, 0, 0), -9999.0)), "-9999 m on 2005-04-01 is beyond the limit -5"),
        (field(a=((0, 0, 0), 1e20)), "beyond the limit 5"),
        (field(a=((slice(None), 0), 0.0)), "exactly 0 at all times"),
    ],
)
def test_bad_values_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        checked(values)


def test_zero_as_land_becomes_missing_when_declared():
    spec = {"adt": SPEC["adt"].model_copy(update={"zero_is_missing": True})}
    ds = delivered()
    ds["ssh"][:, 0] = 0
    out = canonical(ds, spec)
    assert np.isnan(out.adt[:, 0]).all()
    check_values(out.load(), spec, where="file.nc")


def test_conversions_against_hand_made_values():
    assert conversion("degC", "K").offset == pytest.approx(273.15)
    assert conversion("K", "degC").offset == pytest.approx(-273.15)
    assert conversion("mm/h", "mm/day").factor == pytest.approx(24.0)
    assert conversion("hPa", "Pa").factor == 100


@given(st.sampled_from(["m", "cm", "mm", "km"]), st.sampled_from(["m", "cm", "mm", "km"]), st.floats(-1e6, 1e6))
def test_conversion_there_and_back(a, b, value):
    there, back = conversion(a, b), conversion(b, a)
    assert back.factor * (there.factor * value) == pytest.approx(value)


def test_unknown_unit_names_the_place():
    with pytest.raises(DataError, match=r"x\.nc: unknown unit 'cubits'"):
        parse_unit("cubits", where="x.nc")
