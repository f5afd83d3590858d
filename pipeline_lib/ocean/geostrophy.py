"""Geostrophic currents from sea surface height, with stencils as wide as the coast allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pipeline_lib.ocean.grid import (
    EARTH_RADIUS,
    GRAVITY,
    Array,
    checked_axes,
    coriolis,
    is_periodic,
    longitude_step,
)
from pipeline_lib.ocean.jit import jit

EQUATOR_BAND = 2.0
"""Half-width of the band without geostrophic balance [degrees of latitude]."""

# Centred first differences of order 8, 6, 4 and 2: weight of f(i+m) - f(i-m), column m-1 (B. Fornberg, 1988,
# Mathematics of Computation 51, table 1). Row w-1 reaches w points to each side.
_STENCILS = np.array(
    [
        [1 / 2, 0.0, 0.0, 0.0],
        [2 / 3, -1 / 12, 0.0, 0.0],
        [3 / 4, -3 / 20, 1 / 60, 0.0],
        [4 / 5, -1 / 5, 4 / 105, -1 / 280],
    ]
)


def geostrophic_velocity(ssh: ArrayLike, latitude: ArrayLike, longitude: ArrayLike) -> tuple[Array, Array]:
    """Geostrophic velocity u = -(g/f) dh/dy, v = (g/f) dh/dx.

    Each derivative uses the widest centred stencil of 9, 7, 5 or 3 points that holds no missing value, then a
    one-sided difference, as in py-eddy-tracker (Mason, Pascual and McWilliams 2014). The ends of a longitude
    axis that goes around the Earth are neighbours.

    Parameters
    ----------
    ssh
        Sea surface height [m], shape (..., latitude, longitude), NaN where missing.
    latitude, longitude
        Ascending axes [degrees]; longitudes evenly spaced.

    Returns
    -------
    u, v
        Eastward and northward velocity [m s-1], same shape; NaN where missing, within 2 degrees of the
        equator, and where no neighbour is valid.

    Raises
    ------
    DataError
        If the axes do not fit the field.
    """
    field = np.asarray(ssh, np.float64)
    lat, lon = checked_axes(field.shape, latitude, longitude)
    maps = np.ascontiguousarray(field.reshape(-1, lat.size, lon.size))
    dh_dj, dh_di = np.empty_like(maps), np.empty_like(maps)
    for index in range(maps.shape[0]):
        _index_derivatives(maps[index], is_periodic(lon), _STENCILS, dh_dj[index], dh_di[index])
    balance = np.where(np.abs(lat) > EQUATOR_BAND, GRAVITY / coriolis(np.where(lat == 0, 90.0, lat)), np.nan)
    # Chain rule: the stencils differentiate by the index, the spacing turns that into metres.
    dy_dj = EARTH_RADIUS * np.deg2rad(np.gradient(lat))
    dx_di = EARTH_RADIUS * np.deg2rad(longitude_step(lon)) * np.cos(np.deg2rad(lat))
    u = -(balance / dy_dj)[:, None] * dh_dj
    v = (balance / dx_di)[:, None] * dh_di
    return u.reshape(field.shape), v.reshape(field.shape)


@jit
def _line_derivative(line: Array, periodic: bool, stencils: Array, out: Array) -> None:
    n = line.size
    for i in range(n):
        out[i] = np.nan
        if np.isnan(line[i]):
            continue
        width = 0
        total = np.zeros(4)
        while width < 4:
            ahead, behind = i + width + 1, i - width - 1
            if periodic:
                ahead, behind = ahead % n, behind % n
            elif ahead >= n or behind < 0:
                break
            difference = line[ahead] - line[behind]
            if np.isnan(difference):
                break
            total[width] = difference
            width += 1
        if width > 0:
            out[i] = np.sum(total * stencils[width - 1])
            continue
        ahead, behind = i + 1, i - 1
        if periodic:
            ahead, behind = ahead % n, behind % n
        if ahead < n and not np.isnan(line[ahead]):
            out[i] = line[ahead] - line[i]
        elif behind >= 0 and not np.isnan(line[behind]):
            out[i] = line[i] - line[behind]


@jit
def _index_derivatives(h: Array, periodic: bool, stencils: Array, by_row: Array, by_column: Array) -> None:
    for j in range(h.shape[0]):
        _line_derivative(h[j], periodic, stencils, by_column[j])
    for i in range(h.shape[1]):
        _line_derivative(h[:, i].copy(), False, stencils, by_row[:, i])
