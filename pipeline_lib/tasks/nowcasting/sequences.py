"""Frames in a row: which ones a forecast can start from, and why others cannot."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.blocks import time_blocks
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
    known
        Cells (y, x) that a frame should have: the others never have a value.
    gap_minutes
        Minutes between most frames, where there are several and none is one step after another.
    """

    before: Index
    after: Index
    known: Mask
    gap_minutes: float | None = None

    @classmethod
    def of(
        cls, ds: xr.Dataset, variable: str, *, step_minutes: float, missing: float, known: Mask | None = None
    ) -> Rows:
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
            Share of the known cells that a frame may lack.
        known
            Cells (y, x) that a frame should have; without it, those that one of these frames has.

        Raises
        ------
        DataError
            If the variable holds no frames, they have other cells, or no cell ever has a value.
        """
        frames = ds[variable]
        if frames.ndim != _MAP:
            raise DataError(f"has dimensions {frames.dims}", where=variable, fix="give frames (time, y, x)")
        known = known_cells(frames) if known is None else known
        if known.shape != frames.shape[1:]:
            raise DataError(
                f"frames are {frames.shape[1:]}, the model was trained on {known.shape}",
                where=variable,
                fix="cut or regrid them",
            )
        whole = np.zeros(len(frames), dtype=np.bool_)
        for part, values in time_blocks(frames):
            whole[part] = np.isfinite(values)[:, known].mean(axis=1) >= 1 - missing
        step = np.timedelta64(round(step_minutes * 60), "s")
        gaps = np.diff(ds["time"].values)
        ages = ages_of(ds) if AGE_OF_STATE in ds else np.arange(len(whole))
        apart = abs(gaps - step) < _TOLERANCE
        linked = apart & (np.diff(ages) == 1) & whole[1:] & whole[:-1]
        usual = None
        if len(whole) > 1 and not apart.any():
            usual = float(np.median(gaps.astype("timedelta64[s]").astype(float))) / 60
        before, after = _runs(linked), _runs(linked[::-1])[::-1]
        return cls(np.where(whole, before, -1), np.where(whole, after, -1), known, usual)

    def told(self, first: int = 0) -> str:
        """Return how many frames there are, in words; without the ``first`` ones."""
        before = self.before[first:]
        return f"{len(before)} frames, {int((before < 0).sum())} of them incomplete"

    def wrong_step(self, step_minutes: float) -> str:
        """Return what is wrong if there are frames, but no two of them one step apart; else nothing."""
        if self.gap_minutes is None:
            return ""
        return f"no two frames are {step_minutes:g} minutes apart, most are {self.gap_minutes:g}"

    def require_step(self, step_minutes: float, *, where: str) -> None:
        """Raise :class:`DataError` if there are frames, but no two of them one step apart."""
        if wrong := self.wrong_step(step_minutes):
            raise DataError(wrong, where=where, fix="correct training.step_minutes")

    def starts(self, *, seen: int, leads: int, stride: int = 1) -> Index:
        """Return the frames that ``seen`` - 1 others precede and ``leads`` others follow.

        With a stride, of each row only every so many from the first possible one on.
        """
        fitting = (self.before >= seen - 1) & (self.after >= leads)
        return np.flatnonzero(fitting & ((self.before - (seen - 1)) % stride == 0))


def known_cells(frames: xr.DataArray) -> Mask:
    """Return the cells (y, x) that one of the frames (time, y, x) has.

    Raises
    ------
    DataError
        If no cell ever has a value.
    """
    known = np.zeros(frames.shape[1:], dtype=np.bool_)
    for _, values in time_blocks(frames):
        known |= np.isfinite(values).any(axis=0)
    if not known.any():
        raise DataError("holds no value at any time", where=str(frames.name))
    return known


def packed_cells(known: Mask) -> str:
    """Return cells as text, row by row, for a manifest."""
    return base64.b64encode(zlib.compress(np.packbits(known).tobytes())).decode("ascii")


def unpacked_cells(text: str, shape: tuple[int, int]) -> Mask:
    """Return the cells (y, x) that :func:`packed_cells` wrote."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
    return np.unpackbits(bits, count=shape[0] * shape[1]).astype(np.bool_).reshape(shape)


def _runs(linked: Mask) -> Index:
    """Return how many links in a row end at each of the frames that they link."""
    counts = np.zeros(len(linked) + 1, dtype=np.int64)
    for i, link in enumerate(linked):
        counts[i + 1] = counts[i] + 1 if link else 0
    return counts
