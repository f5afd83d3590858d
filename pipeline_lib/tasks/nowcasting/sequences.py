"""Frames in a row: which ones a forecast can start from, and why others cannot."""

from __future__ import annotations

from typing import Self

import numpy as np
import xarray as xr

from pipeline_lib.data.rows import Index, TimesInRow
from pipeline_lib.errors import DataError

__all__ = ["Index", "Rows"]

_MAP = 3
"""Axes of the frames of a variable: time, rows, columns."""


class Rows(TimesInRow):
    """Frames in a row, one step apart, of one sequence, none of them lacking too much."""

    @classmethod
    def of(cls, ds: xr.Dataset, variable: str, *, step_minutes: float, missing: float) -> Self:
        """Find the rows of a variable.

        Parameters
        ----------
        ds
            Frames (time, y, x); with ``age`` (time,), time steps since the start of the sequence, of several ones.
        variable
            The frames to forecast.
        step_minutes
            Minutes between two frames of a row.
        missing
            Share of the cells that a frame may lack besides those that all frames lack.

        Raises
        ------
        DataError
            If the variable holds no frames, no cell ever has a value, or no two frames are one step apart.
        """
        frames = ds[variable]
        if frames.ndim != _MAP:
            raise DataError(f"has dimensions {frames.dims}", where=variable, fix="give frames (time, y, x)")
        found = np.isfinite(frames.values)
        ever = found.any(axis=0)
        if not ever.any():
            raise DataError("holds no value at any time", where=variable)
        whole = found[:, ever].mean(axis=1) >= 1 - missing
        return cls.linked(ds, whole, step_minutes=step_minutes, where=variable)
