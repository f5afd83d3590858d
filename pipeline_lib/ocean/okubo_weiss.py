"""Okubo–Weiss parameter: where rotation wins over strain, and eddies as connected regions of that kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import generate_binary_structure, label

from pipeline_lib.ocean.grid import EARTH_RADIUS, Array, checked_axes, coriolis, is_periodic, longitude_step


@dataclass(frozen=True)
class OkuboWeissField:
    """Regions found on one map.

    Attributes
    ----------
    parameter
        W [s-2], shape (latitude, longitude).
    vorticity
        Relative vorticity [s-1].
    regions
        Number of the region of each cell, 0 outside; numbers run from 1 without gaps.
    classes
        0 none, 1 anticyclonic, 2 cyclonic, int8.
    """

    parameter: Array
    vorticity: Array
    regions: NDArray[np.int32]
    classes: NDArray[np.int8]


def okubo_weiss(u: ArrayLike, v: ArrayLike, latitude: ArrayLike, longitude: ArrayLike) -> tuple[Array, Array]:
    """Okubo–Weiss parameter W = s_n^2 + s_s^2 - zeta^2 and relative vorticity (Okubo 1970, Weiss 1991).

    With s_n = u_x - v_y, s_s = v_x + u_y, zeta = v_x - u_y from centred differences, one-sided next to
    missing cells. The terms in u tan(latitude) / R of the sphere are left out, as is usual for eddies.

    Parameters
    ----------
    u, v
        Velocity [m s-1], shape (latitude, longitude), NaN where missing.
    latitude, longitude
        Ascending axes [degrees].

    Returns
    -------
    W, zeta
        [s-2] and [s-1]; NaN where a derivative has no valid neighbour.

    Raises
    ------
    DataError
        If the axes do not fit the fields.
    """
    east, north = np.asarray(u, np.float64), np.asarray(v, np.float64)
    lat, lon = checked_axes(east.shape, latitude, longitude)
    dx = EARTH_RADIUS * np.deg2rad(longitude_step(lon)) * np.cos(np.deg2rad(lat))[:, None]
    dy = EARTH_RADIUS * np.deg2rad(np.gradient(lat))[:, None]
    periodic = is_periodic(lon)
    u_x, v_x = (_difference(f, 1, periodic) / dx for f in (east, north))
    u_y, v_y = (_difference(f, 0, False) / dy for f in (east, north))
    vorticity = v_x - u_y
    return (u_x - v_y) ** 2 + (v_x + u_y) ** 2 - vorticity**2, vorticity


def okubo_weiss_regions(
    u: ArrayLike,
    v: ArrayLike,
    latitude: ArrayLike,
    longitude: ArrayLike,
    *,
    threshold: float = 0.2,
    fewest_cells: int = 8,
) -> OkuboWeissField:
    """Eddies as 4-connected regions with W < -threshold * std(W), the spread taken over the map.

    Cyclonic where vorticity and Coriolis parameter have the same sign. Cells of opposite rotation are never
    in one region.

    Parameters
    ----------
    u, v, latitude, longitude
        As for :func:`okubo_weiss`.
    threshold
        In standard deviations of W over the map [1].
    fewest_cells
        Smaller regions are dropped [cells].
    """
    parameter, vorticity = okubo_weiss(u, v, latitude, longitude)
    lat, lon = checked_axes(parameter.shape, latitude, longitude)
    known = np.isfinite(parameter)
    spread = float(np.std(parameter[known])) if known.any() else 0.0
    core = known & (parameter < -threshold * spread)
    rotation = vorticity * np.sign(coriolis(lat))[:, None]
    regions = np.zeros(parameter.shape, np.int32)
    classes = np.zeros(parameter.shape, np.int8)
    count = 0
    for code, mask in ((1, core & (rotation < 0)), (2, core & (rotation > 0))):
        numbers = _components(mask, is_periodic(lon))
        sizes = np.bincount(numbers.ravel())
        sizes[0] = 0
        kept = np.flatnonzero(sizes >= fewest_cells)
        renumber = np.zeros(sizes.size, np.int32)
        renumber[kept] = count + 1 + np.arange(kept.size, dtype=np.int32)
        found = renumber[numbers]
        regions += found
        classes[found > 0] = code
        count += kept.size
    return OkuboWeissField(parameter, vorticity, regions, classes)


def _difference(field: Array, axis: int, periodic: bool) -> Array:
    """Differentiate by index: centred, one-sided next to missing cells, NaN without neighbours."""
    if periodic:
        ahead, behind = np.roll(field, -1, axis), np.roll(field, 1, axis)
    else:
        gap = [(0, 0), (0, 0)]
        gap[axis] = (1, 1)
        padded = np.pad(field, gap, constant_values=np.nan)
        n = field.shape[axis]
        ahead, behind = (np.take(padded, range(s, s + n), axis) for s in (2, 0))
    forward, backward = ahead - field, field - behind
    return np.where(np.isnan(forward), backward, np.where(np.isnan(backward), forward, (forward + backward) / 2))


def _components(mask: NDArray[np.bool_], periodic: bool) -> NDArray[np.int32]:
    """4-connected components, joined across the seam of a periodic grid."""
    numbers, count = label(mask, generate_binary_structure(2, 1))
    parent = np.arange(count + 1)
    if periodic:
        for a, b in zip(numbers[:, 0], numbers[:, -1], strict=True):
            if a and b:
                low, high = sorted((parent[a], parent[b]))
                parent[parent == high] = low
    return np.asarray(parent[numbers], dtype=np.int32)
