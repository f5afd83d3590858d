"""Frames in a row: which ones a forecast can start from, and why others cannot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.trajectories import AGE_OF_STATE, ages_of
from pipeline_lib.errors import DataError

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

_MAP = 3
"""Axes of the frames of a variable: time, rows, columns."""
_TOLERANCE = np.timedelta64(1, "s")
"""Times from files are rounded to seconds."""


@dataclass(frozen=True)
class Rows:
    """Frames in a row, one step apart, of one sequence, none of them lacking too much.

    Attributes
    ----------
    before, after
        How many such frames precede and follow each frame without a gap (time,); -1 for frames that lack too much.
    incomplete
        Number of frames that lack too much.
    """

    before: Index
    after: Index
    incomplete: int

    @classmethod
    def of(cls, ds: xr.Dataset, variable: str, *, step_minutes: float, missing: float) -> Rows:
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
        step = np.timedelta64(round(step_minutes * 60), "s")
        gaps = np.diff(ds["time"].values)
        ages = ages_of(ds) if AGE_OF_STATE in ds else np.arange(len(whole))
        linked = (abs(gaps - step) < _TOLERANCE) & (np.diff(ages) == 1) & whole[1:] & whole[:-1]
        if len(whole) > 1 and not (abs(gaps - step) < _TOLERANCE).any():
            usual = np.median(gaps.astype("timedelta64[s]").astype(float)) / 60
            raise DataError(
                f"no two frames are {step_minutes:g} minutes apart, most are {usual:g}",
                where=variable,
                fix="correct training.step_minutes",
            )
        before, after = _runs(linked), _runs(linked[::-1])[::-1]
        return cls(np.where(whole, before, -1), np.where(whole, after, -1), int((~whole).sum()))

    def starts(self, *, seen: int, leads: int, stride: int = 1) -> Index:
        """Return the frames that ``seen`` - 1 others precede and ``leads`` others follow.

        With a stride, of each row only every so many from the first possible one on.
        """
        fitting = (self.before >= seen - 1) & (self.after >= leads)
        return np.flatnonzero(fitting & ((self.before - (seen - 1)) % stride == 0))


def _runs(linked: Mask) -> Index:
    """Return how many links in a row end at each of the frames that they link."""
    counts = np.zeros(len(linked) + 1, dtype=np.int64)
    for i, link in enumerate(linked):
        counts[i + 1] = counts[i] + 1 if link else 0
    return counts
