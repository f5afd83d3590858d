"""Images with their classes in memory, and batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.errors import DataError
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.seeds import generator
from pipeline_lib.train.share import Share

_GREY = 3
"""Dimensions of a variable that is one channel: time, row, column."""


@dataclass(frozen=True)
class Images:
    """Normalised images in memory.

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

    def __len__(self) -> int:
        return len(self.times)

    @property
    def identity(self) -> str:
        """SHA-256 over all values: what a checkpoint remembers of its data."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        for array in (self.pixels, self.classes, self.times):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def cut(self, samples: NDArray[np.int64]) -> Batch:
        """Return some images as a batch."""
        inputs, target = torch.from_numpy(self.pixels[samples]), torch.from_numpy(self.classes[samples])
        return Batch(inputs, target, torch.from_numpy(samples[:, None]))

    def describe(self, samples: Tensor) -> str:
        """Name images by their time."""
        return "; ".join(str(np.datetime_as_string(self.times[i], unit="s")) for i in samples[:, 0].tolist())


@dataclass(frozen=True)
class ImageBatches:
    """All images in batches: in an order that is a function of ``seed`` and ``epoch``, or without a seed in their own.

    With a seed the images that fill no batch are left out, and a share takes a part of each batch; without one all are
    given, and a share takes whole batches.
    """

    images: Images
    batch_size: int
    seed: int | None = None
    epoch: int = 0
    share: Share = field(default_factory=Share)

    def __len__(self) -> int:
        return len(self._starts())

    def __iter__(self) -> Iterator[Batch]:
        count = len(self.images)
        order = np.arange(count)
        if self.seed is not None:
            order = generator(self.seed, "images", self.epoch).permutation(count)
        for start in self._starts():
            batch = order[start : start + self.batch_size]
            yield self.images.cut(batch if self.seed is None else batch[self.share.within(self.batch_size)])

    def _starts(self) -> range:
        count = len(self.images)
        if self.seed is not None:
            return range(0, count // self.batch_size * self.batch_size, self.batch_size)
        return range(self.share.index * self.batch_size, count, self.share.count * self.batch_size)


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
