"""Times in a row: which ones a forecast can start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.trajectories import AGE_OF_STATE, ages_of
from pipeline_lib.errors import DataError

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

TOLERANCE = np.timedelta64(1, "s")
"""Times from files are rounded to seconds."""


class Linked(NamedTuple):
    """What :class:`TimesInRow` holds."""

    before: Index
    after: Index
    gap_minutes: float | None
    around_gaps: bool


@dataclass(frozen=True)
class TimesInRow:
    """Times in a row, one step apart, of one sequence, none of them lacking too much.

    Attributes
    ----------
    before, after
        How many such frames precede and follow each frame without a gap (time,); -1 for frames that lack too much.
    gap_minutes
        Minutes between most frames, where there are several and these are not one step apart.
    around_gaps
        Whether some are so far apart all the same, because what lies between them is missing. Those make no rows.
    """

    before: Index
    after: Index
    gap_minutes: float | None = None
    around_gaps: bool = False

    def told(self, first: int = 0) -> str:
        """Return how many frames there are, in words; without the ``first`` ones."""
        before = self.before[first:]
        return f"{len(before)} frames, {int((before < 0).sum())} of them incomplete"

    def wrong_step(self, step_minutes: float) -> str:
        """Return what is wrong if there are frames, but none one step apart, or only around gaps; else nothing."""
        if self.gap_minutes is None:
            return ""
        if self.around_gaps:
            return f"most frames are {self.gap_minutes:g} minutes apart, and {step_minutes:g} only around gaps"
        return f"no two frames are {step_minutes:g} minutes apart, most are {self.gap_minutes:g}"

    def require_step(self, step_minutes: float, *, where: str) -> None:
        """Raise :class:`DataError` if there are frames, but none one step apart, or only around gaps."""
        if wrong := self.wrong_step(step_minutes):
            raise DataError(wrong, where=where, fix="correct training.step_minutes")

    def starts(self, *, seen: int, leads: int, stride: int = 1) -> Index:
        """Return the frames that ``seen`` - 1 others precede and ``leads`` others follow.

        With a stride, of each row only every so many from the first possible one on.
        """
        fitting = (self.before >= seen - 1) & (self.after >= leads)
        return np.flatnonzero(fitting & ((self.before - (seen - 1)) % stride == 0))


def linked(ds: xr.Dataset, whole: Mask, *, step_minutes: float) -> Linked:
    """Find the rows of the times of a dataset.

    There are none where most times follow each other faster than by the step: those that are a step apart then lie
    around gaps, and are like no others.

    Parameters
    ----------
    ds
        With ``time``; with ``age`` (time,), time steps since the start of the sequence, of several ones.
    whole
        Which times do not lack too much (time,).
    step_minutes
        Minutes between two times of a row.
    """
    step = np.timedelta64(round(step_minutes * 60), "s")
    gaps = np.diff(ds["time"].values)
    ages = ages_of(ds) if AGE_OF_STATE in ds else np.arange(len(whole))
    apart = abs(gaps - step) < TOLERANCE
    links = apart & (np.diff(ages) == 1) & whole[1:] & whole[:-1]
    usual, around_gaps = None, False
    if len(whole) > 1:
        most = np.quantile(gaps, 0.5, method="lower")
        around_gaps = bool(apart.any() and most < step - TOLERANCE)
        if around_gaps or not apart.any():
            usual = float(most / np.timedelta64(1, "s")) / 60
            links &= False
    before, after = _runs(links), _runs(links[::-1])[::-1]
    return Linked(np.where(whole, before, -1), np.where(whole, after, -1), usual, around_gaps)


def _runs(links: Mask) -> Index:
    """Return how many links in a row end at each of the times that they link."""
    counts = np.zeros(len(links) + 1, dtype=np.int64)
    for i, link in enumerate(links):
        counts[i + 1] = counts[i] + 1 if link else 0
    return counts
