"""Eddies where rotation wins over strain."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field

from pipeline_lib.label.base import Labels, check_input, make_labels
from pipeline_lib.label.registry import LABELLERS
from pipeline_lib.ocean.eddies.table import EDDY_SCHEMA, eddy_table
from pipeline_lib.ocean.grid import EARTH_RADIUS, Array
from pipeline_lib.ocean.okubo_weiss import OkuboWeissField, okubo_weiss_regions
from pipeline_lib.options import Options as BaseOptions


@LABELLERS.register("okubo_weiss")
class OkuboWeiss:
    """Connected regions of strongly negative Okubo–Weiss parameter: the classical threshold baseline.

    See :func:`pipeline_lib.ocean.okubo_weiss.okubo_weiss_regions`. A region has no contour, so in the table
    the radius of a disc of the same area stands for both radii, amplitude, shape errors and levels are
    missing, and contours are empty.
    """

    class Options(BaseOptions):
        """Threshold and smallest region."""

        threshold: float = Field(
            default=0.2,
            gt=0,
            le=10,
            description="Eddy where W < -threshold times its standard deviation over the map [1].",
        )
        pixel_min: int = Field(default=8, ge=1, description="Smaller regions are dropped [cells].")

    needs: ClassVar[tuple[str, ...]] = ("ugos", "vgos")

    @staticmethod
    def label(ds: xr.Dataset, options: Options) -> Labels:
        """Label each map; ``ds`` holds ``ugos`` and ``vgos`` [m s-1].

        Raises
        ------
        DataError
            If a variable is missing or has other dimensions than (time, latitude, longitude).
        """
        check_input(ds, OkuboWeiss.needs)
        lat, lon = (np.asarray(ds[name].values, np.float64) for name in ("latitude", "longitude"))
        classes, tables = [], []
        for index in range(ds.sizes["time"]):
            u, v = (np.asarray(ds[name].isel(time=index).values, np.float64) for name in OkuboWeiss.needs)
            found = okubo_weiss_regions(u, v, lat, lon, threshold=options.threshold, fewest_cells=options.pixel_min)
            classes.append(found.classes)
            tables.append(_table(found, np.hypot(u, v), lat, lon))
        return make_labels(ds, classes, tables, labeller="okubo_weiss")


def _table(found: OkuboWeissField, speed: Array, lat: Array, lon: Array) -> pd.DataFrame:
    count = int(found.regions.max())
    cells = np.flatnonzero(found.regions)
    number = found.regions.ravel()[cells].astype(np.int64) - 1
    row, column = np.divmod(cells, lon.size)
    # Cell areas on the sphere; edges half way between the centres.
    edges = np.deg2rad(
        np.concatenate([[1.5 * lat[0] - 0.5 * lat[1]], (lat[1:] + lat[:-1]) / 2, [1.5 * lat[-1] - 0.5 * lat[-2]]])
    )
    bands = EARTH_RADIUS**2 * np.deg2rad(lon[1] - lon[0]) * np.diff(np.sin(np.clip(edges, -np.pi / 2, np.pi / 2)))
    area = _sums(number, bands[row], count)
    # Mean of unit vectors: a region may lie across the dateline.
    x, y = (_sums(number, bands[row] * f(np.deg2rad(lon[column])), count) for f in (np.cos, np.sin))
    polarity = np.zeros(count, np.int8)
    polarity[number] = found.classes.ravel()[cells]
    extremum = _extremum(number, np.abs(found.vorticity).ravel()[cells], count)
    size = np.bincount(number, minlength=count)
    radius = np.sqrt(area / np.pi)
    missing = np.full(count, np.nan)
    columns = dict.fromkeys(EDDY_SCHEMA, missing) | {
        "polarity": polarity,
        "longitude": (np.rad2deg(np.arctan2(y, x)) + 180.0) % 360.0 - 180.0,
        "latitude": _sums(number, bands[row] * lat[row], count) / area,
        "longitude_extremum": (lon[column[extremum]] + 180.0) % 360.0 - 180.0,
        "latitude_extremum": lat[row[extremum]],
        "radius_speed": radius,
        "radius_effective": radius,
        "speed_average": _sums(number, speed.ravel()[cells], count) / size,
        "cells_speed": size,
        "cells_effective": size,
        **{name: [[] for _ in range(count)] for name in EDDY_SCHEMA if name.startswith("contour_")},
    }
    return eddy_table(columns)


def _sums(number: NDArray[np.int64], values: Array, count: int) -> Array:
    return np.asarray(np.bincount(number, weights=values, minlength=count), dtype=np.float64)


def _extremum(number: NDArray[np.int64], strength: Array, count: int) -> NDArray[np.int64]:
    """Position, among the listed cells, of the strongest one of each region."""
    order = np.lexsort((strength, number))
    last = np.searchsorted(number[order], np.arange(count), side="right") - 1
    return order[last]
