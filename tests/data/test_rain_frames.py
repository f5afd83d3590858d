"""Echoes: the Z-R relation, cells cut out and blocks, against plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_lib.errors import DataError
from pipeline_lib.preparations.rain_frames import RainFrames
from pipeline_lib.rain import RainScale

SCALE = {"a": 58.53, "b": 1.56, "lowest_dbz": -10.0, "highest_dbz": 60.0}


def frames(shape: tuple[int, ...] = (3, 11, 13), *, seed: int = 0, gaps: float = 0.3) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(shape) < 0.3, 0.0, rng.gamma(0.5, 8.0, shape))
    values[rng.random(shape) < gaps] = np.nan
    values[0, :4, :4] = np.nan
    coords = {"time": np.arange(shape[0]), "y": 1000.0 * np.arange(shape[1]), "x": 1000.0 * np.arange(shape[2])}
    return xr.Dataset({"rain_rate": (("time", "y", "x"), values, {"units": "mm h-1"})}, coords)


def prepared(ds: xr.Dataset, **options: Any) -> xr.DataArray:
    made = RainFrames.Options(**{"variable": "rain_rate", **SCALE, "dtype": "float64", **options})
    return RainFrames.prepare(ds, made).echo


def share(rate: float) -> float:
    """The formula of the benchmark, number by number."""
    if math.isnan(rate):
        return math.nan
    dbz = 10 * math.log10(SCALE["a"]) + 10 * SCALE["b"] * math.log10(rate) if rate > 0 else -math.inf
    return min(max((dbz + 10) / 70, 0.0), 1.0)


def by_loops(values: np.ndarray, size: int, most_missing: float) -> np.ndarray:
    height, width = values.shape[1] // size, values.shape[2] // size
    out = np.full((len(values), height, width), np.nan)
    for t in range(len(values)):
        for i in range(height):
            for j in range(width):
                cells = [values[t, i * size + k, j * size + m] for k in range(size) for m in range(size)]
                there = [cell for cell in cells if not math.isnan(cell)]
                if (len(cells) - len(there)) / len(cells) <= most_missing:
                    out[t, i, j] = share(math.fsum(there) / len(there))
    return out


@settings(max_examples=40)
@given(size=st.integers(1, 5), most_missing=st.sampled_from([0.0, 0.25, 0.5, 0.8, 0.96]), seed=st.integers(0, 99))
def test_blocks_are_those_of_plain_loops(size: int, most_missing: float, seed: int) -> None:
    ds = frames(seed=seed)
    echo = prepared(ds, reduce=size, most_missing=most_missing)
    np.testing.assert_allclose(echo, by_loops(ds.rain_rate.values, size, most_missing), rtol=0, atol=1e-12)


def test_values_are_those_of_the_published_scale() -> None:
    rates = [0.5, 2.0, 5.0, 10.0, 30.0]
    ds = xr.Dataset({"rain_rate": (("time", "y", "x"), np.array([[rates]]), {"units": "mm h-1"})})
    found = prepared(ds).values[0, 0]
    for rate, value in zip(rates, found, strict=True):
        assert 10 ** ((70 * value - 10 - 10 * math.log10(58.53)) / 15.6) == pytest.approx(rate)


def test_reflectivity_comes_back_as_share_of_the_range() -> None:
    dbz = np.array([[[-32.0, -10.0, 0.0, 25.0, 60.0, 75.0, np.nan]]])
    ds = xr.Dataset({"rain_rate": (("time", "y", "x"), dbz, {"units": "dBZ"})})
    np.testing.assert_allclose(prepared(ds)[0, 0], [0, 0, 1 / 7, 0.5, 1, 1, np.nan], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "a", "b"), [("hko7", 58.53, 1.56), ("marshall_palmer", 200.0, 1.6), ("meteonet", 200.0, 1.6)]
)
def test_a_relation_by_its_name_is_that_of_its_numbers(name: str, a: float, b: float) -> None:
    span = {"lowest_dbz": -10.0, "highest_dbz": 60.0, "reduce": 2}
    named, own = ({"variable": "rain_rate", **span, **relation} for relation in ({"relation": name}, {"a": a, "b": b}))
    for units in ("mm h-1", "dBZ"):
        ds = frames()
        ds.rain_rate.attrs["units"] = units
        echoes = [RainFrames.prepare(ds, RainFrames.Options.model_validate(options)) for options in (named, own)]
        xr.testing.assert_identical(*echoes)
    stored = RainFrames.Options.model_validate(named).model_dump()
    assert RainFrames.Options.model_validate(stored).scale == RainScale(a, b, -10.0, 60.0)


@pytest.mark.parametrize("relation", [{}, {"a": 200.0}, {"b": 1.6}, {"relation": "hko7", "a": 58.53, "b": 1.56}])
def test_one_relation_is_needed_and_no_second_one(relation: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="no Z-R relation, or two: give either relation or both a and b"):
        RainFrames.Options.model_validate({"variable": "r", "lowest_dbz": -10.0, "highest_dbz": 60.0, **relation})


def test_means_are_of_the_rain_not_of_its_logarithm() -> None:
    dbz = np.array([[[10.0, 40.0], [10.0, 10.0]]])
    ds = xr.Dataset({"rain_rate": (("time", "y", "x"), dbz, {"units": "dBZ"})})
    rates = 10 ** ((dbz - 10 * math.log10(58.53)) / 15.6)
    assert prepared(ds, reduce=2).item() == pytest.approx(share(rates.mean()))


def test_the_lowest_reflectivity_is_no_rain_in_a_block() -> None:
    dbz = np.array([[[-10.0, 40.0, -10.0], [-32.0, -10.0, -10.0], [-10.0, -10.0, np.nan]]])
    ds = xr.Dataset({"rain_rate": (("time", "y", "x"), dbz, {"units": "dBZ"})})
    rate = 10 ** ((40.0 - 10 * math.log10(58.53)) / 15.6)
    assert prepared(ds, reduce=3).item() == pytest.approx(share(rate / 8))
    assert prepared(ds, reduce=2, rows=[1, 3], columns=[1, 3]).item() == 0


def test_cells_of_poor_or_unknown_quality_are_missing_before_blocks_are_made() -> None:
    ds = frames(gaps=0.1)
    rng = np.random.default_rng(3)
    percent = np.where(rng.random(ds.rain_rate.shape) < 0.2, np.nan, 100 * rng.random(ds.rain_rate.shape))
    percent[0, 0, :2] = [40.0, np.nextafter(40.0, 0)]
    ds["quality"] = ds.rain_rate.dims, percent
    ds.rain_rate[0, 0, :2] = 5.0
    asked = {"variable": "quality", "least": 40.0}
    good = np.where(percent >= 40, ds.rain_rate.values, np.nan)
    np.testing.assert_allclose(prepared(ds, quality=asked, reduce=3), by_loops(good, 3, 0.5), atol=1e-12)
    alone = prepared(ds, quality=asked)
    np.testing.assert_array_equal(np.isnan(alone), np.isnan(good))
    np.testing.assert_array_equal(np.isnan(alone[0, 0, :2]), [False, True])
    assert prepared(ds.chunk(time=1), quality=asked).chunks is not None
    with pytest.raises(DataError, match="has no variable 'reliability'"):
        prepared(ds, quality={"variable": "reliability", "least": 40.0})
    with pytest.raises(DataError, match="quality: has other dimensions than rain_rate; name a quality of each cell"):
        prepared(ds.assign(quality=ds.quality.isel(time=0)), quality=asked)


def test_cells_are_cut_before_blocks_are_made() -> None:
    ds = frames()
    echo = prepared(ds, rows=[2, 9], columns=[3, 13], reduce=3)
    expected = by_loops(ds.rain_rate.values[:, 2:9, 3:13], 3, 0.5)
    np.testing.assert_allclose(echo, expected, atol=1e-12)
    np.testing.assert_allclose(echo.y, [3000.0, 6000.0])
    np.testing.assert_allclose(echo.x, [4000.0, 7000.0, 10000.0])


def test_is_lazy_in_time_and_says_its_scale() -> None:
    ds = frames()
    lazy = prepared(ds.chunk(time=1), reduce=2, dtype="float32")
    assert lazy.chunks == ((1, 1, 1), (5,), (6,))
    assert lazy.dtype == "float32"
    np.testing.assert_array_equal(lazy, prepared(ds, reduce=2, dtype="float32"))
    assert RainScale(58.53, 1.56, -10.0, 60.0).attributes().items() <= lazy.attrs.items()
    assert lazy.attrs["units"] == "1"


def test_latitudes_and_longitudes_do_as_well() -> None:
    ds = frames().rename(y="latitude", x="longitude")
    np.testing.assert_array_equal(prepared(ds, rows=[0, 8], reduce=2), prepared(frames(), rows=[0, 8], reduce=2))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"variable": "rain"}, "has no variable 'rain'"),
        ({"rows": [4, 12]}, r"rows: \[4, 12\] is not within the 11 rows there are"),
        ({"columns": [0, 14]}, r"columns: \[0, 14\] is not within"),
        ({"reduce": 12}, "12 cells do not fit"),
    ],
)
def test_what_is_not_there_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        prepared(frames(), **options)


def test_ages_are_kept_beside_echoes_of_fewer_cells() -> None:
    ds = frames().assign(age=("time", np.array([4, 5, 0]), {"units": "1"}))
    options = RainFrames.Options(variable="rain_rate", **SCALE, rows=(2, 9), reduce=2, keep=("age",))
    found = RainFrames.prepare(ds, options)
    assert tuple(found.data_vars) == RainFrames.produces(options) == ("echo", "age")
    assert found.age.values.tolist() == [4, 5, 0]
    assert found.age.attrs == {"units": "1"}
    np.testing.assert_array_equal(found.echo, prepared(ds, rows=(2, 9), reduce=2, dtype="float32"))


def test_what_has_cells_of_its_own_is_not_kept() -> None:
    ds = frames()
    ds["other"] = ds.rain_rate
    with pytest.raises(DataError, match=r"preparation\.options\.keep: other has dimensions time, y, x"):
        prepared(ds, reduce=2, keep=["other"])


def test_other_units_are_refused() -> None:
    ds = frames()
    ds.rain_rate.attrs["units"] = "m"
    with pytest.raises(DataError, match="is in 'm', neither a rain rate"):
        prepared(ds)


@pytest.mark.parametrize(
    "options",
    [{"rows": [4, 4]}, {"highest_dbz": -10.0}, {"a": 0}, {"reduce": 0}, {"most_missing": 1.0}, {"rows": [-1, 4]}],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        prepared(frames(), **options)
