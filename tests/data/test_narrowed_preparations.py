"""A variable is the same, whether a preparation gets all of a source or what it says it takes."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.errors import DataError
from pipeline_lib.preparations.registry import PREPARATIONS
from tests.workflow.project import eddy_maps

SCALE = {"a": 58.53, "b": 1.56, "lowest_dbz": -10.0, "highest_dbz": 60.0}


def states() -> xr.Dataset:
    rng = np.random.default_rng(0)
    times = np.datetime64("2000-01-01", "ns") + np.arange(12) * np.timedelta64(1, "h")
    names = ("state", "small", "label")
    return xr.Dataset(
        {name: (("time", "site"), rng.standard_normal((12, 4)), {"units": "1"}) for name in names}, {"time": times}
    )


def echoes() -> xr.Dataset:
    rng = np.random.default_rng(1)
    units = {"echo": "dBZ", "kelvin": "K", "label": "1"}
    return xr.Dataset(
        {n: (("time", "y", "x"), 50 + 200 * rng.random((3, 5, 6)), {"units": u}) for n, u in units.items()}
    )


def maps() -> xr.Dataset:
    found = eddy_maps().isel(time=slice(2))[["adt"]]
    return found.assign(ugos=2 * found.adt, vgos=3 * found.adt)


@pytest.mark.parametrize(
    ("name", "options", "source", "wanted", "takes"),
    [
        ("as_is", {"variables": ["label", "state", "small"]}, states, ("state",), {"state"}),
        ("as_is", {"variables": ["label", "state"]}, states, ("state", "label"), {"label", "state"}),
        ("observed_states", {"variable": "state", "variance": 1.0}, states, ("state", "observation"), {"state"}),
        (
            "cloud_mask",
            {"variable": "state", "lowest_class": 1, "keep": ["label", "small"]},
            states,
            ("cloud", "label"),
            {"state", "label"},
        ),
        (
            "storm_boxes",
            {"reflectivity": "echo", "keep": ["label", "echo"], "dtype": "float64"},
            echoes,
            ("storm", "echo"),
            {"echo"},
        ),
        (
            "temperature_frames",
            {"variable": "kelvin", "keep": ["label"]},
            echoes,
            ("cloud_top",),
            {"kelvin"},
        ),
        (
            "rain_frames",
            {"variable": "echo", **SCALE, "keep": ["age", "label"]},
            lambda: echoes().assign(age=("time", np.arange(3.0)), label=("time", np.ones(3))),
            ("echo", "age"),
            {"echo", "age"},
        ),
        (
            "rain_frames",
            {"variable": "echo", **SCALE, "quality": {"variable": "label", "least": 100.0}},
            echoes,
            ("echo",),
            {"echo", "label"},
        ),
        ("gridded_ssh", {}, maps, ("ugos", "adt"), {"adt", "ugos", "vgos"}),
    ],
)
def test_variables_are_the_same_from_fewer_of_the_source(name, options, source, wanted, takes):
    preparation, ds = PREPARATIONS.get(name), source()
    asked = preparation.Options.model_validate(options)
    narrowed, needed = preparation.narrowed(asked, wanted, tuple(ds.data_vars))
    assert set(needed) == takes
    whole, part = preparation.prepare(ds, asked), preparation.prepare(ds[list(needed)], narrowed)
    for variable in wanted:
        xr.testing.assert_identical(part[variable], whole[variable])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("as_is", {"variables": ["label", "kelvni"]}),
        ("cloud_mask", {"variable": "kelvin", "colder_than": 200, "keep": ["kelvni"]}),
        ("temperature_frames", {"variable": "kelvni"}),
        ("storm_boxes", {"reflectivity": "kelvni"}),
        ("rain_frames", {"variable": "kelvni", **SCALE}),
    ],
)
def test_a_variable_that_is_not_there_is_told_in_one_line(name, options):
    preparation = PREPARATIONS.get(name)
    with pytest.raises(DataError, match=r"^preparation\.options: has no variable 'kelvni'$"):
        preparation.prepare(echoes(), preparation.Options.model_validate(options))
