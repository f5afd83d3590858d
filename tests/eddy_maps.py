"""Synthetic label maps and imperfect predictions of them, for the tests of scores."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter


def label_maps(
    dates: int, *, rows: int = 20, columns: int = 30, seed: int = 0, start: str = "2005-06-01"
) -> xr.DataArray:
    """Class maps of smooth random fields that change slowly from date to date."""
    noise = np.random.default_rng(seed).standard_normal((dates, rows, columns))
    field = gaussian_filter(noise, (2.0, 2.0, 2.0))
    classes = np.where(field > field.std(), 1, np.where(field < -field.std(), 2, 0)).astype("int8")
    return xr.DataArray(
        classes,
        dims=("time", "latitude", "longitude"),
        coords={
            "time": np.datetime64(start, "ns") + np.arange(dates) * np.timedelta64(1, "D"),
            "latitude": 30.0 + 0.125 * np.arange(rows),
            "longitude": -6.0 + 0.125 * np.arange(columns),
        },
        name="eddy_class",
    )


def sea_of(labels: xr.DataArray) -> xr.DataArray:
    """A sea mask with a coast: the first four columns are land."""
    sea = np.ones(labels.shape, dtype=bool)
    sea[:, :, :4] = False
    return labels.copy(data=sea).rename("sea")


def spoilt(labels: xr.DataArray, share: float, *, seed: int) -> xr.DataArray:
    """Labels in which a share of the cells got a random class."""
    generator = np.random.default_rng(seed)
    wrong = generator.random(labels.shape) < share
    return labels.copy(data=np.where(wrong, generator.integers(0, 3, labels.shape), labels.values).astype("int8"))
