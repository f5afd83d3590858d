"""Properties of regular grids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def is_periodic(longitude: NDArray[np.floating]) -> bool:
    """Whether evenly spaced longitudes in degrees go once around the globe, so that the ends are neighbours."""
    if len(longitude) < 2:
        return False
    step = float(np.median(np.diff(longitude)))
    return abs(len(longitude) * step - 360.0) < 0.5 * step


def grid_step(axis: NDArray[np.floating]) -> float:
    """Return the median spacing of an axis in its own unit, rounded to six decimals; 0 for a single value."""
    return round(float(np.median(np.diff(axis))), 6) if len(axis) > 1 else 0.0
