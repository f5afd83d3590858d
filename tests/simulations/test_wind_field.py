"""Station winds: the nearest predicted speed, a daily bias, and errors that come from the neighbour in the west."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_lib.simulations.wind_field import WindField, neighbours

WINDY = {"mean_wind": 30.0}
"""So much that no speed is cut at zero."""


def run(times, **options):
    return WindField.run(WindField.Options(**options), times=times)


def predicted(ds):
    """Speed (time, station) at the nearest grid point, point by point."""
    found = np.empty(ds.ff.shape)
    for station in range(ds.sizes["station"]):
        apart = [
            (math.hypot(row - ds.station_row[station], column - ds.station_column[station]), row, column)
            for row in range(ds.sizes["row"])
            for column in range(ds.sizes["column"])
        ]
        _, row, column = min(apart)
        found[:, station] = np.sqrt(ds.nwp_u[:, row, column] ** 2 + ds.nwp_v[:, row, column] ** 2)
    return found


@settings(max_examples=10)
@given(
    seed=st.integers(0, 1000), times=st.integers(1, 40), stations=st.integers(1, 6), minutes=st.sampled_from([6, 60])
)
def test_equal_options_give_equal_bytes_and_an_earlier_end_the_beginning(seed, times, stations, minutes):
    options = {"seed": seed, "stations": stations, "minutes": minutes, "side": 5}
    ds, longer = run(times, **options), run(41, **options)
    assert ds.identical(longer.isel(time=slice(times)))
    assert ds.ff.values.tobytes() == longer.ff.values[:times].tobytes()
    assert ds.ff.dims == ("time", "station")
    assert ds.nwp_u.dims == ds.nwp_v.dims == ("time", "row", "column")
    assert dict(ds.sizes) == {"time": times, "station": stations, "row": 5, "column": 5}
    assert (np.diff(ds.station_column) >= 0).all()
    assert ds.ff.min() >= 0
    for variable in (ds.ff, ds.dd, ds.nwp_u, ds.nwp_v):
        assert variable.dtype == np.float64
        assert set(variable.attrs) == {"units", "long_name"}


def test_without_errors_the_station_has_the_predicted_speed_and_the_bias_of_the_hour():
    ds = run(480, deviation=0, side=7, **WINDY)
    bias = ds.ff.values - predicted(ds)
    np.testing.assert_allclose(bias[150], 1.5, atol=1e-9)
    np.testing.assert_allclose(bias[30], -1.5, atol=1e-9)
    np.testing.assert_allclose(bias[90], 0, atol=1e-9)
    np.testing.assert_allclose(bias[240:], bias[:240], atol=1e-9)


def test_errors_come_from_the_neighbour_and_from_the_own_past():
    options = {"bias": 0, "side": 7, "stations": 8, "carry": 0.8, "memory": 0.5, "deviation": 2.0, "seed": 3}
    ds = run(20000, **options, **WINDY)
    errors = ds.ff.values - predicted(ds)
    np.testing.assert_allclose(errors.std(axis=0), 2, rtol=0.06)
    places = np.stack([ds.station_row, ds.station_column], axis=1)
    kept = math.exp(-0.1 / 0.5)
    fresh = [errors[:, 0]]
    for station, source in enumerate(neighbours(places, WindField.Options(**options, **WINDY))):
        if source is not None:
            assert source.station < station
            fresh.append(errors[source.lag :, station] - 0.8 * errors[: -source.lag, source.station])
    for number, own in enumerate(fresh):
        assert own.std() == pytest.approx(2 * (0.6 if number else 1), rel=0.06)
        assert np.corrcoef(own[1:], own[:-1])[0, 1] == pytest.approx(kept, abs=0.02)
        # Once the neighbour and the past are known, what remains is white, and each station's is its own.
        left = own[1:] - kept * own[:-1]
        assert abs(np.corrcoef(left[1:], left[:-1])[0, 1]) < 0.04
    size = min(map(len, fresh))
    apart = np.corrcoef(np.stack([own[-size:] for own in fresh])) - np.eye(len(fresh))
    assert abs(apart).max() < 0.12


def test_directions_are_the_predicted_ones_and_turned_by_as_much_as_asked_for():
    ds = run(50, veer=0, side=5, stations=3, **WINDY)
    for station in range(3):
        row, column = (round(float(ds[f"station_{axis}"][station])) for axis in ("row", "column"))
        u, v = ds.nwp_u.values[:, row, column], ds.nwp_v.values[:, row, column]
        angle = np.radians(ds.dd.values[:, station])
        # A wind from the north, at 0 degrees, blows towards the south.
        np.testing.assert_allclose(-np.sin(angle) * np.hypot(u, v), u, atol=1e-9)
        np.testing.assert_allclose(-np.cos(angle) * np.hypot(u, v), v, atol=1e-9)
    turned = run(4000, veer=20, side=5, stations=3, **WINDY)
    off = (turned.dd - run(4000, veer=0, side=5, stations=3, **WINDY).dd + 180) % 360 - 180
    np.testing.assert_allclose(off.std("time"), 20, rtol=0.25)
    assert turned.ff.identical(run(4000, veer=0, side=5, stations=3, **WINDY).ff)


def test_the_lag_is_the_way_to_the_east_at_the_mean_wind():
    options = WindField.Options(mean_wind=10, minutes=10, spacing=12)
    places = np.array([[5.0, 1.0], [0.0, 2.0], [4.0, 4.0], [4.0, 4.01]])
    found = neighbours(places, options)
    # Six kilometres in a step, half a grid point.
    assert found == [None, (0, 2), (0, 6), (2, 1)]


def test_waves_have_the_amplitude_asked_for_around_the_mean():
    means = [run(300, seed=seed, side=8, minutes=60, amplitude=2).mean() for seed in range(12)]
    assert np.mean([float(mean.nwp_u) for mean in means]) == pytest.approx(8, abs=0.3)
    assert np.mean([float(mean.nwp_v) for mean in means]) == pytest.approx(0, abs=0.3)
    ds = run(3000, side=8, minutes=60, amplitude=2)
    assert float(ds.nwp_u.std()) == pytest.approx(2, rel=0.1)
    assert float(ds.nwp_v.std()) == pytest.approx(2, rel=0.1)
    still = run(5, amplitude=0)
    assert (still.nwp_u == 8).all()
    assert (still.nwp_v == 0).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"carry": 1}, "less than 1"),
        ({"bias_hour": 24}, "less than 24"),
        ({"wavelength": (500, 100)}, "500 is above 100: the smaller bound comes first"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        WindField.Options(**options)
