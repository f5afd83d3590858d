"""Windows of frames: what is seen, and what follows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.data.blocks import time_blocks
from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import DataError, StoreError
from pipeline_lib.io.zarr_store import time_chunk
from pipeline_lib.rain import NOISE_BELOW
from pipeline_lib.skill.balanced import without_noise
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
        float32 (time, channel, y, x), scaled; missing values NaN. In memory or mapped from a file: windows are read
        when they are cut, and the system keeps of the file what there is room for.
    times
        datetime64 (time,).
    starts
        Last frame that each window sees.
    seen, leads
        Frames of a window that are seen and that are to be forecast.
    noise_below
        Values of the first channel below this one that are not 0 are noise: seen, but nothing is asked about them.
    """

    frames: NDArray[np.float32]
    times: NDArray[np.datetime64]
    starts: Index
    seen: int
    leads: int
    noise_below: float = 0.0

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.starts)

    def __getstate__(self) -> dict[str, Any]:
        """Hand over the name of a mapped file in place of all that is in it."""
        state = dict(self.__dict__)
        if isinstance(self.frames, np.memmap):
            state["frames"] = (self.frames.filename, self.frames.shape)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the file again."""
        if isinstance(state["frames"], tuple):
            state["frames"] = _mapped(*state["frames"])
        self.__dict__.update(state)

    @property
    def identity(self) -> str:
        """SHA-256 over all values: what a checkpoint remembers of its data."""
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

    def seen_at(self, starts: Index) -> Tensor:
        """Return the frames (batch, seen, channel, y, x) that forecasts from these frames see, without gaps.

        A gap is 0, as is what networks see beyond the border: no rain or no cloud, of further channels the mean.
        """
        past = np.asarray(self.frames[starts[:, None] + np.arange(1 - self.seen, 1)])
        return torch.from_numpy(np.nan_to_num(past, nan=0.0))

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


def mapped(ds: xr.Dataset, scaling: Mapping[str, tuple[float, float]], file: Path) -> NDArray[np.float32]:
    """Return the same as :func:`stacked`, written block by block into a file and mapped from there.

    Raises
    ------
    DataError
        As :func:`stacked`.
    StoreError
        If the file cannot be written.
    """
    total, shape = ds.sizes["time"], stacked(ds.isel(time=slice(0, 1)), scaling).shape[1:]
    length = time_chunk(times=total, cell_bytes=int(np.prod(shape)) * _TYPE.itemsize)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:  # written, not mapped: a full disk is an error here, a crash there
            for part in _stretches(total, length):
                out.write(stacked(ds.isel(time=part), scaling).data)
    except OSError as error:
        raise StoreError(
            f"cannot be written: {error.strerror or error}",
            where=str(file),
            fix=f"make room: a training keeps its frames there, {total * np.prod(shape) * _TYPE.itemsize / 1e6:.0f} MB",
        ) from error
    return _mapped(file, (total, *shape))


def _mapped(file: str | Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.memmap(file, dtype=_TYPE, mode="r", shape=shape)


def _stretches(total: int, length: int) -> Iterator[slice]:
    """Give stretches of so many times, one after the other."""
    for start in range(0, total, length):
        yield slice(start, min(start + length, total))


def blocks_of(frames: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Give frames (time, ...) in blocks of a size that is no matter for the memory."""
    for part in _stretches(len(frames), time_chunk(times=len(frames), cell_bytes=frames[:1].nbytes)):
        yield frames[part]


def scaling_of(inputs: Sequence[str], statistics: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return what is subtracted from each variable and what it is divided by.

    The first, which is forecast, keeps its values: losses and links rely on them.
    """
    others = {name: (statistics[name]["mean"], statistics[name]["std"]) for name in inputs[1:]}
    return {inputs[0]: (0.0, 1.0), **others}


def read_windows(
    request: TrainingRequest,
    training: TrainingOptions,
    split: Literal["train", "validation"],
    *,
    folder: Path,
    known: Mask | None = None,
) -> tuple[FrameWindows, Mask]:
    """Return the windows of the days of a split, and the cells that its frames should have.

    How many windows there are, and why there are not more, is logged.

    Parameters
    ----------
    request, training
        What is to be trained.
    split
        Whose days.
    folder
        Where the frames may lie as long as the windows are used, in a file named after the split.
    known
        Cells (y, x) that a frame should have; without it, those that one of these frames has.

    Raises
    ------
    DataError
        If there is no window.
    StoreError
        If the folder cannot be written.
    """
    start, end = request.train if split == "train" else request.validation
    ds = open_days(request.of("dataset"), start, end)
    name = request.inputs[0]
    rows = Rows.of(ds, name, step_minutes=training.step_minutes, missing=training.missing, known=known)
    rows.require_step(training.step_minutes, where=name)
    starts = rows.starts(seen=training.seen, leads=training.leads)
    wet = _wet(ds[name], starts, training)
    told = f"{rows.told()}: {len(starts)} windows"
    if training.wet:
        told += f", {int((~wet).sum())} of them too dry"
    logger.info("%s: %s", split, told)
    if not wet.any():
        fix = "choose more days, fewer frames, or other limits in training.missing and training.wet"
        raise DataError(f"no window of {training.seen} + {training.leads} frames is left: {told}", where=split, fix=fix)
    noise_below = float(ds[name].attrs.get(NOISE_BELOW, 0.0))
    frames = mapped(ds, scaling_of(request.inputs, request.statistics), folder / f"{split}.frames")
    windows = FrameWindows(frames, ds["time"].values, starts[wet], training.seen, training.leads, noise_below)
    return windows, rows.known


def _wet(frames: xr.DataArray, starts: Index, training: TrainingOptions) -> NDArray[np.bool_]:
    """Return which windows hold enough echoes in one of their frames."""
    if not training.wet:
        return np.ones(len(starts), dtype=np.bool_)
    shares = np.zeros(len(frames))
    for part, values in time_blocks(frames):
        shares[part] = (np.nan_to_num(values, nan=0.0) > 0).mean(axis=(1, 2))
    index = starts[:, None] + np.arange(1 - training.seen, 1 + training.leads)
    return np.asarray(shares[index].max(axis=1, initial=0.0) >= training.wet)
