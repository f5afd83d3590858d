"""Cold clouds: temperatures within their bounds, thickness that the flow carries, rain by its law and its error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from pipeline_lib.simulations.cold_clouds import ColdClouds

SMALL = {"length": 6, "side": 40, "radius": (2, 4)}


def run(times, **options):
    return ColdClouds.run(ColdClouds.Options(**{**SMALL, **options}), times=times)


def test_equal_options_give_equal_bytes_and_an_earlier_end_the_beginning():
    ds, again = run(15), run(15)
    for name in ("brightness_temperature", "rain_rate"):
        assert ds[name].values.tobytes() == again[name].values.tobytes()
        assert ds[name].dims == ("time", "row", "column")
        assert ds[name].shape == (15, 40, 40)
    assert (ds.brightness_temperature.units, ds.rain_rate.units) == ("K", "mm/h")
    assert run(8).identical(ds.isel(time=slice(8)))
    assert not ds.identical(run(15, seed=1))
    assert ds.age.values.tolist() == [*range(6), *range(6), *range(3)]
    for variable in ds.values():
        assert variable.dtype == np.float64
        assert set(variable.attrs) == {"units", "long_name"}


@given(ground=st.floats(250, 300), coldest=st.floats(180, 220), rain=st.floats(225, 250), fold=st.floats(3, 40))
def test_rain_follows_the_law_where_it_has_no_error(ground, coldest, rain, fold):
    law = {"ground": ground, "coldest": coldest, "rain_temperature": rain, "fold": fold, "rate": 0.7, "error": 0}
    ds = run(2, **law)
    top = ds.brightness_temperature.values
    assert top.min() >= coldest
    assert top.max() <= ground
    for temperature, rate in zip(top.ravel()[::37], ds.rain_rate.values.ravel()[::37], strict=True):
        expected = 0.7 * (math.exp((rain - temperature) / fold) - 1) if temperature < rain else 0
        assert rate == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_error_is_one_of_each_pixel_and_changes_no_temperature():
    exact, noisy = run(60, error=0, cells=15), run(60, error=0.4, cells=15)
    np.testing.assert_array_equal(exact.brightness_temperature, noisy.brightness_temperature)
    wet = exact.rain_rate.values > 0
    np.testing.assert_array_equal(noisy.rain_rate.values > 0, wet)
    assert wet.sum() > 5000
    error = np.log(noisy.rain_rate.values[wet] / exact.rain_rate.values[wet])
    assert error.mean() == pytest.approx(0, abs=0.02)
    assert error.std() == pytest.approx(0.4, rel=0.03)
    assert abs(np.corrcoef(error[1:], error[:-1])[0, 1]) < 0.05


@pytest.mark.parametrize("growth", [False, True])
def test_the_flow_carries_the_thickness_and_it_alone_without_growth(growth):
    ds = run(6, growth=growth, cells=10)
    thickness = -np.log((ds.brightness_temperature.values - 195) / (290 - 195))
    assert thickness.max() > 0.5
    wave = np.fft.fft2(thickness[0])
    way = np.cumsum(np.stack([ds.flow_rows, ds.flow_columns], axis=1), axis=0)[:-1]
    moved = np.stack([np.fft.ifft2(ndimage.fourier_shift(wave, shift)).real for shift in way])
    off = abs(moved - thickness[1:]).max() / thickness.max()
    assert off > 0.05 if growth else off < 1e-3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"coldest": 260}, "rain_temperature is 245, not above coldest, 260"),
        ({"ground": 240}, "rain_temperature is 245, not above coldest, 195, up to ground, 240"),
        ({"thickness": (3, 1)}, "3 is above 1: the smaller bound comes first"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        ColdClouds.Options(**options)
