"""The table of eddies: one row per eddy, the same columns whatever found it, also when it found none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

ANTICYCLONIC = 1
CYCLONIC = 2

EDDY_SCHEMA: dict[str, str] = {
    "polarity": "int8",  # 1 anticyclonic, 2 cyclonic
    "longitude": "float64",  # centre of the circle fitted to the speed contour [degrees east, -180 to 180]
    "latitude": "float64",  # [degrees north]
    "longitude_extremum": "float64",  # centre of the circle fitted to the innermost contour
    "latitude_extremum": "float64",
    "radius_speed": "float64",  # of the circle fitted to the contour of highest mean speed [m]
    "radius_effective": "float64",  # of the circle fitted to the outermost contour [m]
    "amplitude": "float64",  # height of the extremum over the effective contour [m]
    "speed_average": "float64",  # mean speed along the speed contour [m s-1]
    "shape_error_speed": "float64",  # [%]
    "shape_error_effective": "float64",  # [%]
    "cells_speed": "int32",  # grid cells inside
    "cells_effective": "int32",
    "level_speed": "float64",  # height of the contour [m]
    "level_effective": "float64",  # [m]
    "contour_speed_longitude": "object",  # list of float, closed (first = last)
    "contour_speed_latitude": "object",
    "contour_effective_longitude": "object",
    "contour_effective_latitude": "object",
}
"""Columns of the table and their types; contours may be empty lists."""


def eddy_table(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Put columns into a table that keeps :data:`EDDY_SCHEMA`; all its columns must be given."""
    return pd.DataFrame({name: pd.Series(columns[name], dtype=kind) for name, kind in EDDY_SCHEMA.items()})


def empty_table() -> pd.DataFrame:
    """Return the table of a field without eddies."""
    return eddy_table({name: [] for name in EDDY_SCHEMA})
