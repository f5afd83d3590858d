"""Times in a row: which ones a forecast can start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.trajectories import AGE_OF_STATE, ages_of
from pipeline_lib.errors import DataError

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

_TOLERANCE = np.timedelta64(1, "s")
"""Times from files are rounded to seconds."""


@dataclass(frozen=True)
class TimesInRow:
    """Times in a row, one step apart, of one sequence, none of them lacking too much.

    Attributes
    ----------
    before, after
        How many such times precede and follow each one without a gap (time,); -1 for those that lack too much.
    incomplete
        Number of times that lack too much.
    """

    before: Index
    after: Index
    incomplete: int

    @classmethod
    def linked(cls, ds: xr.Dataset, whole: Mask, *, step_minutes: float, where: str) -> Self:
        """Find the rows of the times of a dataset.

        Parameters
        ----------
        ds
            With ``time``; with ``age`` (time,), time steps since the start of the sequence, of several ones.
        whole
            Which times do not lack too much (time,).
        step_minutes
            Minutes between two times of a row.
        where
            What they are times of, for messages.

        Raises
        ------
        DataError
            If no two times are one step apart.
        """
        step = np.timedelta64(round(step_minutes * 60), "s")
        gaps = np.diff(ds["time"].values)
        ages = ages_of(ds) if AGE_OF_STATE in ds else np.arange(len(whole))
        linked = (abs(gaps - step) < _TOLERANCE) & (np.diff(ages) == 1) & whole[1:] & whole[:-1]
        if len(whole) > 1 and not (abs(gaps - step) < _TOLERANCE).any():
            usual = np.median(gaps.astype("timedelta64[s]").astype(float)) / 60
            raise DataError(
                f"no two frames are {step_minutes:g} minutes apart, most are {usual:g}",
                where=where,
                fix="correct training.step_minutes",
            )
        before, after = _runs(linked), _runs(linked[::-1])[::-1]
        return cls(np.where(whole, before, -1), np.where(whole, after, -1), int((~whole).sum()))

    def starts(self, *, seen: int, leads: int, stride: int = 1) -> Index:
        """Return the times that ``seen`` - 1 others precede and ``leads`` others follow.

        With a stride, of each row only every so many from the first possible one on.
        """
        fitting = (self.before >= seen - 1) & (self.after >= leads)
        return np.flatnonzero(fitting & ((self.before - (seen - 1)) % stride == 0))


def _runs(linked: Mask) -> Index:
    """Return how many links in a row end at each of the times that they link."""
    counts = np.zeros(len(linked) + 1, dtype=np.int64)
    for i, link in enumerate(linked):
        counts[i + 1] = counts[i] + 1 if link else 0
    return counts
