"""Brightness temperatures as shares: the scale and its way back, what is refused, what is kept beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_lib.brightness import TemperatureScale
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.preparations.temperature_frames import TemperatureFrames


def frames(values: Any, units: str = "K") -> xr.Dataset:
    values = np.asarray(values, dtype=float).reshape(-1, 1, 1)
    dims = ("time", "y", "x")
    rain = (dims, np.ones_like(values), {"units": "mm h-1"})
    return xr.Dataset({"seen": (dims, values, {"units": units}), "rain_rate": rain}, {"time": np.arange(len(values))})


def prepared(ds: xr.Dataset, **options: Any) -> xr.Dataset:
    return TemperatureFrames.prepare(ds, TemperatureFrames.Options(variable="seen", **options))


def test_the_range_becomes_one_to_zero_and_gaps_stay() -> None:
    top = prepared(frames([180, 285, 320, 150, 330, np.nan])).cloud_top
    np.testing.assert_allclose(top.values.ravel(), [1, 0.25, 0, 1, 0, np.nan])
    assert top.dtype == np.float32
    scale = TemperatureScale.of_attributes(top.attrs)
    assert scale == TemperatureScale(180, 320)
    assert scale.span == 140


@given(lowest=st.floats(100, 250), span=st.floats(1, 200), share=st.floats(0, 1))
def test_shares_lead_back_to_temperatures(lowest: float, span: float, share: float) -> None:
    scale = TemperatureScale(lowest, lowest + span)
    kelvin = scale.highest - share * scale.span
    found = prepared(frames([kelvin]), lowest=scale.lowest, highest=scale.highest)
    assert float(found.cloud_top[0, 0, 0]) == pytest.approx(share, abs=1e-6)
    assert scale.to_share(kelvin) == pytest.approx(share, abs=1e-9)


def test_others_are_kept_as_they_are() -> None:
    ds = prepared(frames([200, 300]), keep=("rain_rate",))
    assert set(ds) == {"cloud_top", "rain_rate"}
    assert ds.rain_rate.attrs["units"] == "mm h-1"
    options = TemperatureFrames.Options(variable="seen", keep=("rain_rate",))
    assert TemperatureFrames.produces(options) == ("cloud_top", "rain_rate")
    narrow, needed = TemperatureFrames.narrowed(options, ["cloud_top"], ["seen", "rain_rate"])
    assert (narrow.keep, needed) == ((), ("seen",))


def test_what_is_no_temperature_is_refused() -> None:
    with pytest.raises(DataError, match="seen: is in '1', no temperature"):
        prepared(frames([1.0], units="1"))
    with pytest.raises(DataError, match="has no variable 'age'"):
        prepared(frames([200]), keep=("age",))
    with pytest.raises(ValidationError, match="highest 180 is not above lowest 180"):
        TemperatureFrames.Options(variable="seen", highest=180)
    with pytest.raises(ConfigError, match="180 K is not above 320 K"):
        TemperatureScale(320, 180)
    with pytest.raises(DataError, match="into temperatures; take a source with preparation temperature_frames"):
        TemperatureScale.of_attributes({"temperature_scale_lowest": 180})
