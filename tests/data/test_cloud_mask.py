"""Cloud masks: classes and temperatures against plain loops, what is missing, what is kept beside them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline_lib.catalog import Catalog
from pipeline_lib.errors import DataError
from pipeline_lib.preparations.cloud_mask import CloudMask
from pipeline_lib.preparations.registry import PREPARATIONS
from pipeline_lib.simulations.cold_clouds import ColdClouds

DIMS = ("time", "y", "x")


def frames(values: Any, units: str = "1") -> xr.Dataset:
    values = np.asarray(values, dtype=float)
    ages = ("time", np.arange(len(values), dtype=float), {"units": "1"})
    return xr.Dataset({"seen": (DIMS, values, {"units": units}), "age": ages}, {"time": np.arange(len(values))})


def prepared(ds: xr.Dataset, **options: Any) -> xr.Dataset:
    return CloudMask.prepare(ds, CloudMask.Options(variable="seen", **options))


@settings(max_examples=25)
@given(lowest=st.integers(1, 15), seed=st.integers(0, 99))
def test_classes_are_those_of_a_loop(lowest: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 16, (2, 5, 6)).astype(float)
    classes[rng.random(classes.shape) < 0.2] = np.nan
    found = prepared(frames(classes), lowest_class=lowest).cloud.values
    for cell, value in zip(classes.ravel(), found.ravel(), strict=True):
        if math.isnan(cell) or cell == 0:
            assert math.isnan(value)
        else:
            assert value == (1.0 if int(cell) in range(lowest, 16) else 0.0)


def test_by_default_snow_and_sea_ice_are_clear_and_very_low_clouds_are_clouds() -> None:
    classes = np.arange(16.0).reshape(1, 4, 4)
    by_default = prepared(frames(classes)).cloud.values.ravel()
    np.testing.assert_array_equal(by_default, [np.nan, 0, 0, 0, 0] + [1] * 11)
    course = prepared(frames(classes), lowest_class=6).cloud.values.ravel()
    assert np.flatnonzero(by_default != course).tolist() == [0, 5]  # NaN differs from itself


@settings(max_examples=25)
@given(limit=st.floats(190, 300), seed=st.integers(0, 99))
def test_temperatures_are_those_of_a_loop(limit: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kelvin = rng.uniform(190, 300, (2, 4, 5))
    kelvin[rng.random(kelvin.shape) < 0.2] = np.nan
    kelvin[0, 0, 0] = limit
    found = prepared(frames(kelvin, "K"), colder_than=limit).cloud.values
    for cell, value in zip(kelvin.ravel(), found.ravel(), strict=True):
        assert math.isnan(value) if math.isnan(cell) else value == float(cell < limit)


def test_is_lazy_in_time_float32_and_keeps_what_is_asked_for() -> None:
    ds = frames(np.arange(24).reshape(2, 3, 4) % 16)
    lazy = prepared(ds.chunk(time=1), keep=("age",))
    assert lazy.cloud.chunks == ((1, 1), (3,), (4,))
    assert (lazy.cloud.dtype, lazy.age.dtype, lazy.cloud.attrs["units"]) == ("float32", "float32", "1")
    xr.testing.assert_identical(lazy.compute(), prepared(ds, keep=("age",)))
    assert tuple(lazy.data_vars) == CloudMask.produces(CloudMask.Options(variable="seen", keep=("age",)))


def test_generated_clouds_of_the_catalog_become_masks_with_clouds_and_clear_sky() -> None:
    source = Catalog.load(Path("config/catalog.yaml")).source("cold-clouds")
    options = CloudMask.Options.model_validate(source.block.preparation.options)
    made = ColdClouds.run(ColdClouds.Options.model_validate(source.block.fetch.options["options"]), times=24)
    mask = PREPARATIONS.get("cloud_mask").prepare(made, options)
    np.testing.assert_array_equal(mask.cloud, (made.brightness_temperature.values < 270).astype(np.float32))
    np.testing.assert_array_equal(mask.age, np.arange(24) % 12)
    assert 0.1 < float(mask.cloud.mean()) < 0.9


@pytest.mark.parametrize(
    ("units", "options", "told"),
    [
        ("K", {}, "is in 'K', no cloud type .*set preparation.options.colder_than"),
        ("1", {"colder_than": 270.0}, "is in '1', no temperature .*leave preparation.options.colder_than out"),
        ("1", {"keep": ("flow",)}, "has no variable 'flow'"),
    ],
)
def test_what_is_of_another_kind_is_refused(units: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        prepared(frames(np.ones((1, 2, 2)), units), **options)
    with pytest.raises(DataError, match="has no variable 'type'"):
        CloudMask.prepare(frames(np.ones((1, 2, 2)), units), CloudMask.Options(variable="type"))


def test_a_class_beside_a_temperature_is_refused() -> None:
    with pytest.raises(ValidationError, match="lowest_class has no effect: colder_than is of temperatures"):
        CloudMask.Options(variable="seen", colder_than=270.0, lowest_class=6)
    stored = CloudMask.Options(variable="seen", colder_than=270.0).model_dump(mode="json")
    assert CloudMask.Options.model_validate(stored).colder_than == 270.0


@pytest.mark.parametrize("options", [{"lowest_class": 0}, {"lowest_class": 16}, {"colder_than": -1.0}, {"type": 1}])
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CloudMask.Options(variable="seen", **options)
