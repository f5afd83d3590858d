"""Images with their classes in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.errors import DataError
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.windows import named_times

_GREY = 3
"""Dimensions of a variable that is one channel: time, row, column."""


@dataclass(frozen=True)
class Images:
    """Normalised images in memory, of which batches are made as of windows: each of them is one.

    Attributes
    ----------
    pixels
        float32 or float64 (time, channels, rows, columns).
    classes
        int64 (time,), counted from 0.
    times
        datetime64 (time,).
    """

    pixels: NDArray[np.float32] | NDArray[np.float64]
    classes: NDArray[np.int64]
    times: NDArray[np.datetime64]

    @property
    def windows(self) -> int:
        """Number of images."""
        return len(self.times)

    @property
    def identity(self) -> str:
        """SHA-256 over all values: what a checkpoint remembers of its data."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        for array in (self.pixels, self.classes, self.times):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def cut(self, numbers: NDArray[np.int64]) -> Batch:
        """Return some images as a batch."""
        inputs, target = torch.from_numpy(self.pixels[numbers]), torch.from_numpy(self.classes[numbers])
        return Batch(inputs, target, torch.from_numpy(numbers[:, None]))

    def describe(self, samples: Tensor) -> str:
        """Name images by their time."""
        return named_times(self.times, samples)


def pixels_of(
    ds: xr.Dataset, inputs: Sequence[str], statistics: Mapping[str, Mapping[str, Any]], dtype: type[np.floating[Any]]
) -> NDArray[Any]:
    """Return the normalised inputs as channels, (time, channels, rows, columns).

    Parameters
    ----------
    ds
        Holds the inputs, each of shape (time, row, column) or (time, channel, row, column).
    inputs
        Variables, in the order of the channels.
    statistics
        ``mean`` and ``std`` of each.
    dtype
        Format of the result.

    Raises
    ------
    DataError
        If a variable is not made of images.
    """
    channels = []
    for name in inputs:
        values = ds[name].values.astype(np.float64)
        if values.ndim not in (_GREY, _GREY + 1):
            raise DataError(f"has dimensions {ds[name].dims}, not those of images", where=name)
        grey = values[:, None] if values.ndim == _GREY else values
        channels.append((grey - statistics[name]["mean"]) / statistics[name]["std"])
    return np.concatenate(channels, axis=1).astype(dtype)
