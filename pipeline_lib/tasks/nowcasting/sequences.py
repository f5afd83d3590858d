"""Frames in a row: which ones a forecast can start from, and why others cannot."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from pipeline_lib.data.blocks import time_blocks
from pipeline_lib.data.rows import Index, Mask, TimesInRow, linked
from pipeline_lib.errors import DataError

__all__ = ["Index", "Mask", "Rows", "known_cells", "packed_cells", "unpacked_cells"]

_MAP = 3
"""Axes of the frames of a variable: time, rows, columns."""


@dataclass(frozen=True)
class Rows(TimesInRow):
    """Frames in a row, one step apart, of one sequence, none of them lacking too much.

    Attributes
    ----------
    known
        Cells (y, x) that a frame should have: the others never have a value.
    """

    known: Mask = field(kw_only=True)

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
        before, after, usual = linked(ds, whole, step_minutes=step_minutes)
        return cls(before, after, usual, known=known)


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
