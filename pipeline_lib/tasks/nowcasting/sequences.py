"""Frames in a row: which ones a forecast can start from, and why others cannot."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.blocks import time_blocks
from pipeline_lib.data.rows import Index, Mask, TimesInRow, linked
from pipeline_lib.errors import DataError

__all__ = ["Index", "Mask", "Rows", "ends_of", "known_cells", "packed_cells", "require_ends", "unpacked_cells"]

_SHIFT = 0.1
"""Of a cell, by which frames may lie elsewhere; ours: coordinates may be rounded."""
_ROUNDING = 1e-6
"""Relative error of coordinates in single precision, at most."""
_MAP, _VOLUME = 3, 4
"""Axes of frames (time, rows, columns), and of those with levels (time, level, rows, columns)."""


@dataclass(frozen=True)
class Rows(TimesInRow):
    """Frames in a row, one step apart, of one sequence, none of them lacking too much of any variable.

    Attributes
    ----------
    known
        Cells of each variable, (y, x) or (level, y, x), that a frame should have: the others never have a value.
    lacking
        Share of the known cells of all variables that each frame lacks (time,).
    """

    known: Mapping[str, Mask] = field(kw_only=True)
    lacking: NDArray[np.float64] = field(kw_only=True)

    @classmethod
    def of(
        cls,
        ds: xr.Dataset,
        variables: Sequence[str],
        *,
        step_minutes: float,
        missing: float,
        known: Mapping[str, Mask] | None = None,
    ) -> Rows:
        """Find the rows of frames that one or several variables make.

        Parameters
        ----------
        ds
            Holds them; with ``age`` (time,), time steps since the start of the sequence, of several ones.
        variables
            What is forecast (time, y, x), then what is seen beside it, with levels or without.
        step_minutes
            Minutes between two frames of a row.
        missing
            Share of the known cells that a frame may lack, of each variable.
        known
            Cells of each variable that a frame should have; without it, those that one of these frames has.

        Raises
        ------
        DataError
            If a variable holds no frames, they have other cells, or no cell ever has a value.
        """
        whole, cells = np.ones(ds.sizes["time"], dtype=np.bool_), {}
        lacking = np.zeros(len(whole))
        for name in variables:
            frames = ds[name]
            if frames.ndim != _MAP and (frames.ndim != _VOLUME or name == variables[0]):
                raise DataError(f"has dimensions {frames.dims}", where=name, fix="give frames (time, y, x)")
            cells[name] = known_cells(frames) if known is None else known[name]
            if cells[name].shape != frames.shape[1:]:
                what = f"frames are {frames.shape[1:]}, the model was trained on {cells[name].shape}"
                raise DataError(what, where=name, fix="cut or regrid them")
            for part, values in time_blocks(frames):
                there = np.isfinite(values)[:, cells[name]]
                whole[part] &= there.mean(axis=1) >= 1 - missing
                lacking[part] += there.shape[1] - there.sum(axis=1)
        lacking /= sum(int(of_one.sum()) for of_one in cells.values())
        return cls(*linked(ds, whole, step_minutes=step_minutes), known=cells, lacking=lacking)


def known_cells(frames: xr.DataArray) -> Mask:
    """Return the cells (..., y, x) that one of the frames (time, ..., y, x) has.

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


def ends_of(frames: xr.DataArray) -> dict[str, list[float]]:
    """Return the first and the last coordinate of rows and columns, by their axis, where frames have coordinates."""
    axes = [axis for axis in frames.dims[-2:] if axis in frames.coords]
    return {str(axis): [float(frames[axis][place]) for place in (0, -1)] for axis in axes}


def require_ends(frames: xr.DataArray, expected: Mapping[str, Sequence[float]]) -> None:
    """Refuse frames of another place than those of the training: other cells would be known there.

    Raises
    ------
    DataError
        If an axis begins or ends elsewhere than :func:`ends_of` told, or is called otherwise.
    """
    found = ends_of(frames)
    for axis, (first, last) in expected.items():
        if axis not in found:
            fix = "name the axes as they were"
            raise DataError(f"has no {axis}, on which the model was trained", where=str(frames.name), fix=fix)
        step = abs(last - first) / max(frames.sizes[axis] - 1, 1)
        if np.abs(np.subtract(found[axis], (first, last))).max() > max(_SHIFT * step, _ROUNDING * abs(last)):
            raise DataError(
                f"{axis} goes from {found[axis][0]:.8g} to {found[axis][1]:.8g}, the model was trained on cells from"
                f" {first:.8g} to {last:.8g} and knows which of these have values",
                where=str(frames.name),
                fix="cut the same place out, or train a model for this one",
            )


def packed_cells(known: Mapping[str, Mask]) -> dict[str, str]:
    """Return the cells of each variable as text, row by row, for a manifest."""
    packed = {name: zlib.compress(np.packbits(cells).tobytes()) for name, cells in known.items()}
    return {name: base64.b64encode(cells).decode("ascii") for name, cells in packed.items()}


def unpacked_cells(packed: Mapping[str, str], ds: xr.Dataset) -> dict[str, Mask]:
    """Return the cells of each variable that :func:`packed_cells` wrote, whose frames are those of a dataset."""
    cells = {}
    for name, text in packed.items():
        shape = ds[name].shape[1:]
        bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8)
        cells[name] = np.unpackbits(bits, count=math.prod(shape)).astype(np.bool_).reshape(shape)
    return cells
