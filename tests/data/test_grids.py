"""What is asked of grids."""

from __future__ import annotations

import numpy as np
import xarray as xr

from pipeline_lib.data.grids import space_axes


def test_axes_are_those_of_a_map_whatever_comes_first():
    series, frame = ("time", np.zeros(3)), (("time", "y", "x"), np.zeros((3, 4, 5)))
    volume = (("time", "level", "y", "x"), np.zeros((3, 2, 4, 5)))
    assert space_axes(xr.Dataset({"age": series, "echo": frame})) == ["y", "x"]
    assert space_axes(xr.Dataset({"age": series, "echo": frame, "wind": volume})) == ["y", "x"]
    assert space_axes(xr.Dataset({"rain": series, "volume": volume})) == ["level", "y", "x"]
    assert space_axes(xr.Dataset({"age": series, "ff": (("time", "station"), np.zeros((3, 6)))})) == ["station"]
    assert space_axes(xr.Dataset({"age": series})) == []
