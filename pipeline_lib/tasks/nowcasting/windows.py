"""Windows of frames in memory: what is seen, and what follows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import DataError
from pipeline_lib.rain import NOISE_BELOW
from pipeline_lib.skill.balanced import without_noise
from pipeline_lib.tasks.nowcasting.options import TrainingOptions
from pipeline_lib.tasks.nowcasting.sequences import Index, Rows
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.request import TrainingRequest
from pipeline_lib.train.windows import named_times

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FrameWindows:
    """Frames, and where the windows that may be cut from them start.

    Attributes
    ----------
    frames
        float32 (time, channel, y, x), scaled; missing values NaN.
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

    @property
    def identity(self) -> str:
        """SHA-256 over all values: what a checkpoint remembers of its data."""
        digest = hashlib.sha256(repr((self.frames.shape, self.seen, self.leads, self.noise_below)).encode())
        for array in (self.frames, self.times, self.starts):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def cut(self, numbers: Index) -> Batch:
        """Return windows: inputs (batch, seen, channel, y, x) without gaps, targets (batch, leads, y, x) with them."""
        starts = self.starts[numbers]
        future = self.frames[starts[:, None] + np.arange(1, 1 + self.leads), 0]
        future[~without_noise(future, self.noise_below)] = np.nan
        return Batch(self.seen_at(starts), torch.from_numpy(future), torch.from_numpy(starts[:, None]))

    def seen_at(self, starts: Index) -> Tensor:
        """Return the frames (batch, seen, channel, y, x) that forecasts from these frames see, gaps filled with 0."""
        past = self.frames[starts[:, None] + np.arange(1 - self.seen, 1)]
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
        if values.ndim not in (3, 4) or values.shape[-2:] != grid:
            raise DataError(f"has shape {values.shape}, the frames are {grid}", where=name, fix="put it on their grid")
        layers.append(values.reshape(len(values), -1, *grid))
    return np.concatenate(layers, axis=1)


def scaling_of(inputs: Sequence[str], statistics: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
    """Return what is subtracted from each variable and what it is divided by.

    The first, which is forecast, keeps its values: losses and links rely on them.
    """
    others = {name: (statistics[name]["mean"], statistics[name]["std"]) for name in inputs[1:]}
    return {inputs[0]: (0.0, 1.0), **others}


def read_windows(
    request: TrainingRequest, training: TrainingOptions, split: Literal["train", "validation"]
) -> FrameWindows:
    """Return the windows of the days of a split; say how many there are, and why there are not more.

    Raises
    ------
    DataError
        If there is no window.
    """
    start, end = request.train if split == "train" else request.validation
    ds = open_days(request.of("dataset"), start, end)
    rows = Rows.of(ds, request.inputs[0], step_minutes=training.step_minutes, missing=training.missing)
    frames = stacked(ds, scaling_of(request.inputs, request.statistics))
    starts = rows.starts(seen=training.seen, leads=training.leads)
    wet = _wet(frames[:, 0], starts, training)
    told = f"{len(ds.time)} frames, {rows.incomplete} of them incomplete: {len(starts)} windows"
    if training.wet:
        told += f", {int((~wet).sum())} of them too dry"
    logger.info("%s: %s", split, told)
    if not wet.any():
        fix = "choose more days, fewer frames, or other limits in training.missing and training.wet"
        raise DataError(f"no window of {training.seen} + {training.leads} frames is left: {told}", where=split, fix=fix)
    noise_below = float(ds[request.inputs[0]].attrs.get(NOISE_BELOW, 0.0))
    return FrameWindows(frames, ds["time"].values, starts[wet], training.seen, training.leads, noise_below)


def _wet(frames: NDArray[np.float32], starts: Index, training: TrainingOptions) -> NDArray[np.bool_]:
    """Return which windows hold enough echoes in one of their frames."""
    shares = (np.nan_to_num(frames, nan=0.0) > 0).mean(axis=(1, 2))
    index = starts[:, None] + np.arange(1 - training.seen, 1 + training.leads)
    return np.asarray(shares[index].max(axis=1, initial=0.0) >= training.wet)
