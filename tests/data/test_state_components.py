"""Components that nobody sees are not in the dataset."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.errors import DataError
from pipeline_lib.preparations.state_components import StateComponents

VALUES = np.arange(24.0).reshape(4, 3, 2)
TIMES = np.datetime64("2000-01-01", "ns") + np.arange(4) * np.timedelta64(864, "s")


def prepared(ds: xr.Dataset, components: list[int], **options: object) -> xr.Dataset:
    asked = StateComponents.Options(variable="state", components=components, **options)
    assert StateComponents.produces(asked) == ("state",)
    kept, needed = StateComponents.narrowed(asked, ["state"], list(map(str, ds.data_vars)))
    return StateComponents.prepare(ds[list(needed)], kept)


def states(**more: object) -> xr.Dataset:
    attrs = {"units": "m", "long_name": "states"}
    return xr.Dataset({"state": (("time", "component", "x"), VALUES, attrs), **more}, {"time": TIMES})


def test_what_is_kept_is_as_it_was_in_the_order_that_is_asked_for():
    found = prepared(states(), [2, 0])
    np.testing.assert_array_equal(found.state, VALUES[:, [2, 0]])
    assert found.state.attrs == {"units": "m", "long_name": "states"}
    assert found.state.dtype == np.float64
    assert prepared(states(), [1], dtype="float32").state.dtype == np.float32


def test_ages_of_several_trajectories_stay():
    found = prepared(states(age=("time", [0.0, 1.0, 0.0, 1.0]), other=("time", np.zeros(4))), [0])
    assert set(found.data_vars) == {"state", "age"}
    assert found.state.sizes["component"] == 1


@pytest.mark.parametrize("flat", [False, True])
def test_a_component_that_there_is_not_is_told(flat):
    ds = states().isel(component=0, x=0) if flat else states()
    size = 0 if flat else 3
    with pytest.raises(DataError, match=f"the states have {size} components, asked for are .0, 3.; count from 0"):
        prepared(ds, [0, 3])
