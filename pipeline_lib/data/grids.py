"""Properties of regular grids."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

_MAP = 3
"""Dimensions of maps at times."""


def is_periodic(longitude: NDArray[np.floating]) -> bool:
    """Whether evenly spaced longitudes in degrees go once around the globe, so that the ends are neighbours."""
    if len(longitude) < 2:
        return False
    step = float(np.median(np.diff(longitude)))
    return abs(len(longitude) * step - 360.0) < 0.5 * step


def space_axes(ds: xr.Dataset) -> list[str]:
    """Return the dimensions but time of the first variable with two of them, else of the first with most."""
    widest = max(ds.data_vars.values(), key=lambda variable: min(variable.ndim, _MAP))
    return [str(dim) for dim in widest.dims if dim != "time"]


def grid_step(axis: NDArray[np.floating]) -> float:
    """Return the median spacing of an axis in its own unit, rounded to six decimals; 0 for a single value."""
    return round(float(np.median(np.diff(axis))), 6) if len(axis) > 1 else 0.0
