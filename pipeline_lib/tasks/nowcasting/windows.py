"""Windows of frames: what is seen, and what follows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.brightness import TemperatureScale
from pipeline_lib.data.blocks import time_blocks
from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.io.mapped_array import ArrayFile, MappedArray
from pipeline_lib.io.zarr_store import time_chunk
from pipeline_lib.rain import NOISE_BELOW
from pipeline_lib.skill.balanced import without_noise
from pipeline_lib.tasks.nowcasting.gaps import carried_on
from pipeline_lib.tasks.nowcasting.options import TrainingOptions
from pipeline_lib.tasks.nowcasting.sequences import Index, Mask, Rows
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.request import TrainingRequest
from pipeline_lib.train.windows import named_times

logger = logging.getLogger(__name__)

_TYPE = np.dtype("float32")
_MAP = 3
"""Axes of a variable without levels: time, rows, columns."""


@dataclass(frozen=True)
class FrameWindows:
    """Frames, and where the windows that may be cut from them start.

    Attributes
    ----------
    frames
        float32 (time, channel, y, x), scaled; missing values NaN. In memory, mapped from a file, or read from a store:
        windows are read when they are cut, and the system keeps of a file what there is room for.
    times
        datetime64 (time,).
    starts
        Last frame that each window sees.
    seen, leads
        Frames of a window that are seen and that are to be forecast.
    noise_below
        Values of the first channel below this one that are not 0 are noise: seen, but nothing is asked about them.
    """

    frames: NDArray[np.float32] | MappedArray | StoredFrames
    times: NDArray[np.datetime64]
    starts: Index
    seen: int
    leads: int
    noise_below: float = 0.0

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.starts)

    @property
    def identity(self) -> str:
        """SHA-256 over all values, which must not lie in a store: what a checkpoint remembers of its data."""
        if isinstance(self.frames, StoredFrames):
            raise TypeError("frames in a store are not read as a whole")
        rules = self.frames.shape, self.seen, self.leads, self.noise_below
        digest = hashlib.sha256(repr(rules).encode())
        for array in (self.frames, self.times, self.starts):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def cut(self, numbers: Index) -> Batch:
        """Return windows: inputs (batch, seen, channel, y, x) without gaps, targets (batch, leads, y, x) with them."""
        starts = self.starts[numbers]
        future = np.asarray(self.frames[starts[:, None] + np.arange(1, 1 + self.leads), 0])
        future[~without_noise(future, self.noise_below)] = np.nan
        return Batch(self.seen_at(starts), torch.from_numpy(future), torch.from_numpy(starts[:, None]))

    def seen_at(self, starts: Index, *, learned: bool = True) -> Tensor:
        """Return the frames (batch, seen, channel, y, x) that forecasts from these frames see, without gaps.

        A gap is 0, as is what networks see beyond the border: no rain or no cloud, of further channels the mean. For
        those that learned nothing, and so not what a gap is, it is what :func:`carried_on` puts there.
        """
        past = np.asarray(self.frames[starts[:, None] + np.arange(1 - self.seen, 1)])
        return torch.from_numpy(np.nan_to_num(past, nan=0.0) if learned else carried_on(past))

    def describe(self, samples: Tensor) -> str:
        """Name windows by the time of the last frame that they see."""
        return named_times(self.times, samples)


def stacked(ds: xr.Dataset, scaling: Mapping[str, tuple[float, float]]) -> NDArray[np.float32]:
    """Return variables as channels (time, channel, y, x), in the order of their scaling.

    A variable (time, level, y, x) makes a channel of each level.

    Raises
    ------
    DataError
        If a variable has another grid than the first.
    """
    layers = []
    grid = next(ds[name].shape[-2:] for name in scaling)
    for name, (mean, scale) in scaling.items():
        values = (ds[name].values.astype(np.float32) - np.float32(mean)) / np.float32(scale)
        if values.ndim not in (_MAP, _MAP + 1) or values.shape[-2:] != grid:
            raise DataError(f"has shape {values.shape}, the frames are {grid}", where=name, fix="put it on their grid")
        levels = 1 if values.ndim == _MAP else values.shape[1]
        layers.append(values.reshape(len(values), levels, *grid))
    return np.concatenate(layers, axis=1)


def mapped(ds: xr.Dataset, scaling: Mapping[str, tuple[float, float]], folder: Path) -> MappedArray:
    """Return the same as :func:`stacked`, written block by block into a file in a folder and mapped from there.

    Raises
    ------
    DataError
        As :func:`stacked`.
    StoreError
        If the file cannot be written.
    """
    total, shape = ds.sizes["time"], shape_of(ds, scaling)
    length = time_chunk(times=total, cell_bytes=int(np.prod(shape)) * _TYPE.itemsize)
    file = ArrayFile(folder, (total, *shape), _TYPE, purpose="a training keeps its frames")
    for start in range(0, total, length):
        file.write(stacked(ds.isel(time=slice(start, start + length)), scaling))
    return file.mapped()


def shape_of(ds: xr.Dataset, scaling: Mapping[str, tuple[float, float]]) -> tuple[int, int, int]:
    """Return channels, rows and columns of frames that :func:`stacked` makes."""
    _, channels, height, width = stacked(ds.isel(time=slice(0, 1)), scaling).shape
    return channels, height, width


@dataclass
class StoredFrames:
    """Frames (time, channel, y, x) as :func:`stacked` makes them, read when they are asked for.

    Attributes
    ----------
    ds, scaling
        As for :func:`stacked`; the values lie in a store.
    ahead
        Frames that are read beyond those asked for: the next ones are likely to be asked for next.
    """

    ds: xr.Dataset
    scaling: Mapping[str, tuple[float, float]]
    ahead: int
    _first: int = field(default=0, init=False)
    _held: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, _TYPE), init=False)

    def __getitem__(self, key: Index | tuple[Index, int]) -> NDArray[np.float32]:
        """Return the frames at some places, (..., channel, y, x), or one channel of them."""
        places, channel = key if isinstance(key, tuple) else (key, slice(None))
        first, end = int(places.min()), int(places.max()) + 1
        if first < self._first or end > self._first + len(self._held):
            self._first, self._held = first, np.empty(0, _TYPE)  # room is made first
            self._held = stacked(self.ds.isel(time=slice(first, end + self.ahead)), self.scaling)
        return self._held[places - self._first, channel]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Times, channels, rows and columns."""
        return (self.ds.sizes["time"], *shape_of(self.ds, self.scaling))


def scaling_of(inputs: Sequence[str], statistics: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return what is subtracted from each variable and what it is divided by.

    The first, which is forecast, keeps its values: losses and links rely on them.
    """
    others = {name: (statistics[name]["mean"], statistics[name]["std"]) for name in inputs[1:]}
    return {inputs[0]: (0.0, 1.0), **others}


@dataclass(frozen=True)
class SplitFrames:
    """The frames of the days of a split, and the windows in them; nothing is read but when it is asked for.

    Attributes
    ----------
    ds
        The dataset.
    scaling
        Of each input: what is subtracted from it, and what it is divided by.
    starts
        Last frame that each window sees.
    known
        Cells of each input that a frame should have.
    training
        Length of the windows.
    too_dry
        Windows that were left out for lack of echoes.
    """

    ds: xr.Dataset
    scaling: Mapping[str, tuple[float, float]]
    starts: Index
    known: Mapping[str, Mask]
    training: TrainingOptions
    too_dry: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of a frame."""
        return shape_of(self.ds, self.scaling)

    def limits(self) -> tuple[float, float]:
        """Return the lowest and the highest value of what is forecast."""
        name = next(iter(self.scaling))
        lowest, highest = np.inf, -np.inf
        for _, values in time_blocks(self.ds[name]):
            lowest = float(np.fmin.reduce(values, axis=None, initial=lowest))
            highest = float(np.fmax.reduce(values, axis=None, initial=highest))
        return lowest, highest

    def windows_in(self, folder: Path) -> FrameWindows:
        """Return the windows; their frames come to lie in a folder, without a name.

        Raises
        ------
        DataError
            If an input has another grid than the first.
        StoreError
            If the folder cannot be written.
        """
        noise_below = float(self.ds[next(iter(self.scaling))].attrs.get(NOISE_BELOW, 0.0))
        frames = mapped(self.ds, self.scaling, folder)
        seen, leads, times = self.training.seen, self.training.leads, self.ds["time"].values
        return FrameWindows(frames, times, self.starts, seen, leads, noise_below)


def find_windows(
    request: TrainingRequest,
    training: TrainingOptions,
    split: Literal["train", "validation"],
    *,
    known: Mapping[str, Mask] | None = None,
) -> SplitFrames:
    """Return the frames of the days of a split, and where windows start in them.

    How many windows there are, and why there are not more, is logged.

    Parameters
    ----------
    request, training
        What is to be trained.
    split
        Whose days.
    known
        Cells of each input that a frame should have; without it, those that one of these frames has.

    Raises
    ------
    DataError
        If there is no window.
    ConfigError
        If echoes are asked for where there are none.
    """
    start, end = request.train if split == "train" else request.validation
    ds = open_days(request.of("dataset"), start, end)
    name = request.inputs[0]
    step_minutes = training.step_minutes
    rows = Rows.of(ds, request.inputs, step_minutes=step_minutes, missing=training.missing, known=known)
    rows.require_step(step_minutes, where=name)
    starts = rows.starts(seen=training.seen, leads=training.leads)
    wet = _wet(ds[name], starts, training)
    too_dry = int((~wet).sum())
    told = f"{rows.told()}: {len(starts)} windows"
    if training.wet:
        told += f", {too_dry} of them too dry"
    logger.info("%s: %s", split, told)
    if not wet.any():
        fix = "choose more days, fewer frames, or other limits in training.missing and training.wet"
        raise DataError(f"no window of {training.seen} + {training.leads} frames is left: {told}", where=split, fix=fix)
    scaling = scaling_of(request.inputs, request.statistics)
    return SplitFrames(ds, scaling, starts[wet], rows.known, training, too_dry)


def _wet(frames: xr.DataArray, starts: Index, training: TrainingOptions) -> NDArray[np.bool_]:
    """Return which windows hold enough echoes in one of their frames; noise is none, and temperatures have none."""
    if not training.wet:
        return np.ones(len(starts), dtype=np.bool_)
    if TemperatureScale.marks(frames.attrs):
        what = f"{frames.name} holds temperatures, of which every cell would be an echo"
        raise ConfigError(what, where="training.wet", fix="leave it out")
    shares = np.zeros(len(frames))
    noise_below = float(frames.attrs.get(NOISE_BELOW, 0.0))
    for part, values in time_blocks(frames):
        shares[part] = ((values > 0) & without_noise(values, noise_below)).mean(axis=(1, 2))
    index = starts[:, None] + np.arange(1 - training.seen, 1 + training.leads)
    return np.asarray(shares[index].max(axis=1, initial=0.0) >= training.wet)
