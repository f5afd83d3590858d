"""States of simulations: time first and strict, other dimensions as they come, nothing missing."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.data.blocks import checked, in_blocks
from pipeline_lib.data.canonical import canonicalise
from pipeline_lib.data.datasets import concat_times
from pipeline_lib.data.periods import expected_times
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.errors import DataError

SPEC = {"state": VariableSpec(name="state", units="1", valid_max=50.0)}


def delivered(times: int = 20, start: str = "2000-01-01") -> xr.Dataset:
    values = np.random.default_rng(0).normal(size=(3, times, 2))
    moments = np.datetime64(start, "ns") + np.arange(times) * np.timedelta64(864, "s")
    coords = {"time": moments, "component": list("xyz"), "member": [0, 1]}
    return xr.Dataset({"state": (("component", "time", "member"), values, {"units": "1"})}, coords)


def canonical(ds: xr.Dataset) -> xr.Dataset:
    return canonicalise(in_blocks(ds), SPEC, where="flow.nc", form="states")


def test_time_comes_first_and_values_stay():
    out = checked(canonical(delivered()), SPEC, where="flow.nc", form="states")
    assert out.state.dims == ("time", "component", "member")
    np.testing.assert_array_equal(out.state, delivered().state.transpose("time", ...))
    assert out.component.values.tolist() == ["x", "y", "z"]


def test_constants_and_zeros_are_states_like_any_other():
    still = delivered()
    still["state"][:] = 0.0
    checked(canonical(still), SPEC, where="flow.nc", form="states").load()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"flow\.nc: state: lacks a value on 2000-01-01; did the simulation blow up\?"),
        (np.inf, "holds infinite values"),
        (60.0, "beyond the limit 50"),
    ],
)
def test_what_a_simulation_that_blew_up_leaves_is_refused(value, message):
    bad = delivered()
    bad["state"][1, 7, 0] = value
    with pytest.raises(DataError, match=message):
        checked(canonical(bad), SPEC, where="flow.nc", form="states").load()


def test_a_variable_without_time_is_refused():
    with pytest.raises(DataError, match="without a time"):
        canonical(delivered().isel(time=0, drop=True))


def test_trajectories_of_other_components_are_not_joined():
    first, second = canonical(delivered()), canonical(delivered(start="2000-01-02"))
    assert concat_times([second, first], where=["b", "a"]).sizes["time"] == 40
    with pytest.raises(DataError, match="component differs from that of a"):
        concat_times([first, second.assign_coords(component=list("xyw"))], where=["a", "b"])


def test_steps_of_a_fraction_of_an_hour():
    from datetime import date

    times = expected_times(date(2000, 1, 1), date(2000, 1, 2), 0.24)
    assert len(times) == 200
    assert (np.diff(times) == np.timedelta64(864, "s")).all()
