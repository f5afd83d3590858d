"""Patches cut from maps in memory: random ones to train on, a regular cover to validate on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.errors import TrainingError
from pipeline_lib.tasks.segmentation.arrays import MIRROR_SIGNS, TrainingArrays
from pipeline_lib.tasks.segmentation.losses import IGNORED
from pipeline_lib.tasks.segmentation.training_options import Augmentation
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.seeds import generator
from pipeline_lib.train.share import Share

T = TypeVar("T", bound=np.generic)

_SWAPPED = np.array([0, 2, 1, IGNORED], np.int8)
"""Class codes after a reversal of polarity; index -1 is an ignored cell."""


class PatchSource:
    """Cuts patches out of training arrays.

    Parameters
    ----------
    arrays
        Maps, classes and sea mask.
    patch
        Height and width of a patch; maps smaller than that are padded with land.
    augmentation
        Images of a patch that are drawn with probability one half each.

    Raises
    ------
    TrainingError
        If a mirror image is asked for and the sign of a variable in it is not known.
    """

    def __init__(self, arrays: TrainingArrays, patch: int, augmentation: tuple[Augmentation, ...] = ()) -> None:
        target = np.where(arrays.sea, arrays.classes, IGNORED).astype(np.int8)
        self.times, self.patch, self.augmentation = arrays.times, patch, augmentation
        rows, columns = target.shape[1:]
        self.columns = columns
        wrap = min(patch - 1, columns) if arrays.periodic else 0
        inputs, target = _widen(arrays.inputs, wrap), _widen(target, wrap)
        short = (max(patch - rows, 0), max(patch - target.shape[2], 0))
        self.inputs, self.target = _pad(inputs, short, 0), _pad(target, short, IGNORED)
        self.signs = _signs(arrays.variables, augmentation)

    @property
    def corners(self) -> tuple[int, int]:
        """Number of possible rows and columns of a patch's first corner."""
        return self.target.shape[1] - self.patch + 1, self.target.shape[2] - self.patch + 1

    def cut(self, samples: NDArray[np.int64]) -> Batch:
        """Return the batch of ``samples``, int64 (batch, 4): date index, row, column, bits of the images drawn."""
        size = self.patch
        inputs = np.empty((len(samples), self.inputs.shape[1], size, size), np.float32)
        target = np.empty((len(samples), size, size), np.int8)
        for i, (t, row, column, images) in enumerate(samples):
            x = self.inputs[t, :, row : row + size, column : column + size]
            y = self.target[t, row : row + size, column : column + size]
            for bit, name in enumerate(self.augmentation):
                if images >> bit & 1:
                    x, y = self._image(x, y, name)
            inputs[i], target[i] = x, y
        return Batch(torch.from_numpy(inputs), torch.from_numpy(target), torch.from_numpy(samples))

    def describe(self, samples: Tensor) -> str:
        """Name samples by date and first corner."""
        rows = samples.tolist()
        return "; ".join(
            f"{np.datetime_as_string(self.times[t], unit='D')} row {row} column {column % self.columns}"
            for t, row, column, _ in rows
        )

    def _image(
        self, x: NDArray[np.float32], y: NDArray[np.int8], name: Augmentation
    ) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        if name == "polarity":
            return -x, _SWAPPED[y]
        if name == "north_south":
            return x[:, ::-1] * self.signs[0], y[::-1]
        return x[:, :, ::-1] * self.signs[1], y[:, ::-1]


@dataclass(frozen=True)
class RandomPatches:
    """The batches of one epoch: all dates in random order, again and again, each with a random corner.

    A function of ``seed`` and ``epoch`` alone; of each batch, only the samples of ``share`` are cut.
    """

    source: PatchSource
    batch_size: int
    steps: int
    seed: int
    epoch: int
    share: Share = field(default_factory=Share)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        samples = self._samples()
        for start in range(0, len(samples), self.batch_size):
            yield self.source.cut(samples[start : start + self.batch_size][self.share.within(self.batch_size)])

    def _samples(self) -> NDArray[np.int64]:
        rng = generator(self.seed, "patches", self.epoch)
        count, dates = self.steps * self.batch_size, len(self.source.times)
        rounds = [rng.permutation(dates) for _ in range(-(-count // dates))]
        rows, columns = self.source.corners
        return np.stack(
            [
                np.concatenate(rounds)[:count],
                rng.integers(rows, size=count),
                rng.integers(columns, size=count),
                rng.integers(1 << len(self.source.augmentation), size=count),
            ],
            axis=1,
        )


@dataclass(frozen=True)
class CoverPatches:
    """Batches of patches that cover every map, evenly thinned to ``limit``; a share takes each n-th batch."""

    source: PatchSource
    batch_size: int
    limit: int
    share: Share = field(default_factory=Share)

    def __len__(self) -> int:
        return len(self._starts(self._samples()))

    def __iter__(self) -> Iterator[Batch]:
        samples = self._samples()
        for start in self._starts(samples):
            yield self.source.cut(samples[start : start + self.batch_size])

    def _starts(self, samples: NDArray[np.int64]) -> range:
        return range(self.share.index * self.batch_size, len(samples), self.share.count * self.batch_size)

    def _samples(self) -> NDArray[np.int64]:
        rows, columns = (_starts(n, self.source.patch) for n in self.source.corners)
        grid = np.stack(np.meshgrid(np.arange(len(self.source.times)), rows, columns, [0], indexing="ij"), axis=-1)
        samples = grid.reshape(-1, 4).astype(np.int64)
        if len(samples) > self.limit:
            samples = samples[np.linspace(0, len(samples) - 1, self.limit).round().astype(np.int64)]
        return samples


def _starts(corners: int, patch: int) -> NDArray[np.int64]:
    """First cells of the fewest patches that cover an axis with that many possible corners."""
    count = 1 + -(-(corners - 1) // patch)
    return np.linspace(0, corners - 1, count).round().astype(np.int64)


def _widen(array: NDArray[T], columns: int) -> NDArray[T]:
    return np.concatenate([array, array[..., :columns]], axis=-1) if columns else array


def _pad(array: NDArray[T], short: tuple[int, int], fill: int) -> NDArray[T]:
    if not any(short):
        return array
    widths = [(0, 0)] * (array.ndim - 2) + [(0, short[0]), (0, short[1])]
    return np.pad(array, widths, constant_values=fill)


def _signs(variables: tuple[str, ...], augmentation: tuple[Augmentation, ...]) -> NDArray[np.float32]:
    """Signs of the channels in both mirror images, (2, channel, 1, 1)."""
    unknown = [name for name in variables if name not in MIRROR_SIGNS]
    if unknown and {"north_south", "east_west"} & set(augmentation):
        raise TrainingError(
            f"the sign of {unknown[0]!r} in a mirror image is not known",
            where="training.augmentation",
            fix="leave mirror images out, or enter the sign in MIRROR_SIGNS",
        )
    signs = np.array([MIRROR_SIGNS.get(name, (1.0, 1.0)) for name in variables], np.float32)
    return signs.T[:, :, None, None]
