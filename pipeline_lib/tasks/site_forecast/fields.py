"""Fields of a dataset: where they lack too much, and their values without the whole record in memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.blocks import time_blocks
from pipeline_lib.data.rows import Index, Mask
from pipeline_lib.errors import DataError
from pipeline_lib.io.mapped_array import ArrayFile, MappedArray
from pipeline_lib.io.zarr_store import time_chunk

Values = NDArray[np.float32]
_TYPE = np.dtype("float32")
_MAP, _VOLUME = 3, 4
"""Axes of maps, and of maps at several levels."""


class FieldValues(Protocol):
    """Fields as channels; a variable with levels makes a channel of each, and nothing is missing."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Times, channels, rows and columns."""

    def at(self, places: Index) -> Values:
        """Return the fields (..., channel, row, column) at some times (...)."""


@dataclass
class StoredFields:
    """Fields in a store, read when they are asked for.

    Attributes
    ----------
    ds, names
        Where, and what.
    means
        By name, what stands where a value is missing.
    """

    ds: xr.Dataset
    names: Sequence[str]
    means: Mapping[str, float]
    _first: int = dataclass_field(default=0, init=False)
    _held: Values = dataclass_field(default_factory=lambda: np.empty((0, 0, 0, 0), _TYPE), init=False)

    def __post_init__(self) -> None:
        require_one_grid(self.ds, self.names)

    @property
    def shape(self) -> tuple[int, ...]:
        """Times, channels, rows and columns."""
        grid = self.ds[self.names[0]].shape[-2:] if self.names else (0, 0)
        return self.ds.sizes["time"], sum(channels(self.ds[name]) for name in self.names), *grid

    @property
    def _chunk(self) -> int:
        """Times that are read at once."""
        return time_chunk(times=self.shape[0], cell_bytes=math.prod(self.shape[1:]) * _TYPE.itemsize)

    def at(self, places: Index) -> Values:
        """Return the fields (..., channel, row, column) at some times (...)."""
        if not self.names or not places.size:
            return np.empty((*places.shape, *self.shape[1:]), _TYPE)
        first, end = int(places.min()), int(places.max()) + 1
        if first < self._first or end > self._first + len(self._held):
            self._first, self._held = first, self._held[:0]  # room is made first
            # And a chunk more is read: the next ones are likely to be asked for next.
            self._held = self.between(first, min(end + self._chunk, self.shape[0]))
        held: Values = self._held[places - self._first]
        return held

    def between(self, first: int, end: int) -> Values:
        """Return the fields (time, channel, row, column) from one time to before another."""
        values, place = np.empty((end - first, *self.shape[1:]), _TYPE), 0
        for name in self.names:
            read = self.ds[name].isel(time=slice(first, end)).values
            part = values[:, place : place + channels(self.ds[name])]
            part[...] = read.reshape(part.shape)
            part[~np.isfinite(part)] = self.means[name]
            place += part.shape[1]
        return values

    def mapped(self, folder: Path) -> MappedFields:
        """Return the same, written block by block into a file in a folder, and mapped from there.

        Raises
        ------
        StoreError
            If the file cannot be written.
        """
        file = ArrayFile(folder, self.shape, _TYPE, purpose="a training keeps its fields")
        if math.prod(self.shape):
            for start in range(0, self.shape[0], self._chunk):
                file.write(self.between(start, min(start + self._chunk, self.shape[0])))
        return MappedFields(file.mapped())


@dataclass(frozen=True)
class MappedFields:
    """Fields that are read again and again.

    Attributes
    ----------
    values
        float32 (time, channel, row, column).
    """

    values: MappedArray

    @property
    def shape(self) -> tuple[int, ...]:
        """Times, channels, rows and columns."""
        return self.values.shape

    def at(self, places: Index) -> Values:
        """Return the fields (..., channel, row, column) at some times (...)."""
        return self.values[places]


def channels(variable: xr.DataArray) -> int:
    """Return how many channels a variable makes."""
    return variable.shape[1] if variable.ndim == _VOLUME else 1


def require_one_grid(ds: xr.Dataset, names: Sequence[str]) -> None:
    """Raise :class:`DataError` unless all variables are fields on the grid of the first."""
    for name in names:
        grid = ds[names[0]].shape[-2:]
        if ds[name].ndim not in (_MAP, _VOLUME):
            what = f"is no field: its axes are {', '.join(map(str, ds[name].dims))}"
            raise DataError(what, where=name, fix="name variables on a grid")
        if ds[name].shape[-2:] != grid:
            what = f"has shape {ds[name].shape}, the fields are {grid}"
            raise DataError(what, where=name, fix="put it on their grid")


def scanned(
    ds: xr.Dataset, names: Sequence[str], *, missing: float, point: tuple[int, int] | None = None
) -> tuple[Mask, Values]:
    """Return at which times enough of each field is there, and the channels at a point; block by block.

    Parameters
    ----------
    ds, names
        Where, and what.
    missing
        Share of the values of a variable, of all its levels together, that may be missing at a time.
    point
        Row and column; nothing is returned of any point without one.

    Returns
    -------
    tuple
        bool (time,), and float32 (time, channel), missing values NaN.
    """
    whole, place = np.ones(ds.sizes["time"], np.bool_), 0
    found = np.empty((len(whole), sum(channels(ds[name]) for name in names) if point else 0), _TYPE)
    for name in names:
        most, end = missing * math.prod(ds[name].shape[1:]), place + channels(ds[name])
        for part, values in time_blocks(ds[name]):
            whole[part] &= (~np.isfinite(values)).sum(axis=tuple(range(1, values.ndim))) <= most
            if point:
                found[part, place:end] = values[..., point[0], point[1]].reshape(len(values), end - place)
        place = end
    return whole, found
