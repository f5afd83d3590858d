"""Storms in boxes: against loops over the cells of each box, with gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_lib.errors import DataError
from pipeline_lib.preparations.storm_boxes import StormBoxes

TIMES, LEVELS, ROWS, COLUMNS = 4, 3, 8, 9


def volumes(*, seed: int = 0, gaps: float = 0.4, levels: bool = True) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    values = rng.uniform(-30, 40, (TIMES, LEVELS, ROWS, COLUMNS))
    values[:2] -= 8
    values[rng.random(values.shape) < gaps] = np.nan
    values[0, :, :5, :5] = np.nan
    values[1, 0, 0, 0] = 35.0
    echo = xr.DataArray(values, dims=("time", "level", "row", "column"), attrs={"units": "dBZ"})
    rising = xr.DataArray(
        rng.standard_normal((TIMES, ROWS, COLUMNS)), dims=("time", "row", "column"), attrs={"units": "m s-1"}
    )
    ages = xr.DataArray(np.arange(TIMES) * 1.0, dims="time", attrs={"units": "1"})
    reflectivity = echo if levels else echo[:, 0]
    return xr.Dataset({"reflectivity": reflectivity, "rising": rising, "age": ages})


def prepared(ds: xr.Dataset, **options: Any) -> xr.Dataset:
    return StormBoxes.prepare(ds, StormBoxes.Options(**options))


def storm_of(values: np.ndarray, row: int, column: int, box: int, threshold: float) -> float:
    """Whether a box of (level, row, column) holds a storm, cell by cell."""
    half, known = box // 2, False
    for level in values:
        for i in range(max(row - half, 0), min(row + half + 1, ROWS)):
            for j in range(max(column - half, 0), min(column + half + 1, COLUMNS)):
                known |= np.isfinite(level[i, j])
                if level[i, j] > threshold:
                    return 1.0
    return 0.0 if known else np.nan


@given(
    seed=st.integers(0, 50),
    box=st.sampled_from([1, 3, 5]),
    threshold=st.sampled_from([20.0, 35.0]),
    levels=st.booleans(),
)
def test_a_storm_is_any_echo_of_the_box_above_the_threshold(seed, box, threshold, levels):
    ds = volumes(seed=seed, levels=levels)
    storm = prepared(ds, box=box, threshold_dbz=threshold).storm
    assert storm.dims == ("time", "row", "column")
    values = ds.reflectivity.values.reshape(TIMES, -1, ROWS, COLUMNS)
    for time, row, column in np.ndindex(storm.shape):
        expected = storm_of(values[time], row, column, box, threshold)
        np.testing.assert_equal(storm.values[time, row, column], np.float32(expected))


def test_an_echo_at_the_threshold_is_no_storm():
    ds = xr.Dataset({"reflectivity": (("time", "level", "row", "column"), np.full((1, 1, 2, 2), 35.0))})
    ds.reflectivity.attrs["units"] = "dBZ"
    assert not prepared(ds).storm.any()
    assert prepared(ds, threshold_dbz=34.9).storm.all()


def test_fields_are_kept_as_they_are_and_the_box_is_told():
    ds = volumes()
    made = prepared(ds, keep=("reflectivity", "rising", "age"), dtype="float64", box=5)
    xr.testing.assert_identical(made[["reflectivity", "rising", "age"]], ds)
    assert list(made) == ["storm", "reflectivity", "rising", "age"]
    assert made.storm.attrs == {"units": "1", "long_name": "any echo of the box above 35 dBZ", "box_cells": 5}
    assert all(variable.dtype == np.float32 for variable in prepared(ds, keep=("age",)).values())


def test_chunks_of_time_make_no_difference_and_nothing_is_computed_early():
    ds = volumes()
    lazy = prepared(ds.chunk(time=1), keep=("rising",))
    assert lazy.storm.chunks is not None
    xr.testing.assert_identical(lazy.compute(), prepared(ds, keep=("rising",)))


def test_a_variable_is_the_same_from_fewer_of_the_source():
    ds = volumes()
    options = StormBoxes.Options(keep=("reflectivity", "rising", "age"))
    assert StormBoxes.produces(options) == ("storm", "reflectivity", "rising", "age")
    narrowed, needed = StormBoxes.narrowed(options, {"storm", "rising"}, tuple(ds))
    assert set(needed) == {"reflectivity", "rising"}
    part = StormBoxes.prepare(ds[list(needed)], narrowed)
    xr.testing.assert_identical(part, StormBoxes.prepare(ds, options)[["storm", "rising"]])


def test_what_is_no_reflectivity_is_told():
    ds = volumes()
    with pytest.raises(DataError, match=r"rising: is in 'm s-1', not in dBZ"):
        prepared(ds, reflectivity="rising")
    with pytest.raises(DataError, match="has no variable 'wind'"):
        prepared(ds, keep=("wind",))
    with pytest.raises(DataError, match=r"has dimensions \('time',\)"):
        prepared(ds.assign(age=ds.age.assign_attrs(units="dBZ")), reflectivity="age")


@pytest.mark.parametrize(
    ("options", "says"),
    [({"box": 4}, "a box of 4 cells has no cell in its middle"), ({"keep": ("storm",)}, "'storm' is what is made")],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        StormBoxes.Options(**options)
