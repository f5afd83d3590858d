"""Windows of a trajectory: a state, and the states that follow it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.errors import DataError
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.seeds import generator
from pipeline_lib.train.share import Share


@dataclass(frozen=True)
class Trajectory:
    """Normalised states in memory.

    Attributes
    ----------
    states
        float32 or float64 (time, dimension).
    times
        datetime64 (time,), evenly spaced.
    horizon
        States that follow the first one in a window.
    shape
        Sizes of a state's axes.
    """

    states: NDArray[np.float32] | NDArray[np.float64]
    times: NDArray[np.datetime64]
    horizon: int
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.windows < 1:
            raise DataError(
                f"{len(self.times)} states give no window of 1 + {self.horizon}",
                where="training arrays",
                fix="more days",
            )

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.times) - self.horizon

    @property
    def identity(self) -> str:
        """SHA-256 over all values: what a checkpoint remembers of its data."""
        digest = hashlib.sha256(repr((self.states.shape, self.horizon)).encode())
        for array in (self.states, self.times):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def cut(self, starts: NDArray[np.int64]) -> Batch:
        """Return windows from ``starts`` on: inputs (batch, dimension), targets (batch, horizon, dimension)."""
        index = starts[:, None] + np.arange(1 + self.horizon)
        states = torch.from_numpy(self.states[index])
        return Batch(states[:, 0], states[:, 1:], torch.from_numpy(starts[:, None]))

    def spread(self, count: int | None = None) -> Batch:
        """Return so many windows as one batch, evenly spread, or all of them."""
        count = min(count or self.windows, self.windows)
        return self.cut(spread(self.windows, count))

    def describe(self, samples: Tensor) -> str:
        """Name windows by the time of their first state."""
        return named_times(self.times, samples)


def named_times(times: NDArray[np.datetime64], samples: Tensor) -> str:
    """Return the times of samples (batch, 1) in words."""
    return "; ".join(str(np.datetime_as_string(times[start], unit="s")) for start in samples[:, 0].tolist())


def spread(available: int, count: int) -> NDArray[np.int64]:
    """Return ``count`` numbers from 0 to ``available`` - 1, evenly spread."""
    return np.linspace(0, available - 1, count).round().astype(np.int64)


class Cuttable(Protocol):
    """Something that windows can be cut from."""

    @property
    def windows(self) -> int:
        """Number of windows."""

    def cut(self, starts: NDArray[np.int64]) -> Batch:
        """Return the windows from ``starts`` on."""

    def describe(self, samples: Tensor) -> str:
        """Name windows by the time of their first state."""


@dataclass(frozen=True)
class Windows:
    """Batches of windows: of random starts for training, evenly spread ones for validation.

    A function of ``seed`` and ``epoch`` alone.
    """

    trajectory: Cuttable
    batch_size: int
    count: int
    seed: int | None
    epoch: int = 0
    share: Share = field(default_factory=Share)

    def __len__(self) -> int:
        return len(self._starts())

    def __iter__(self) -> Iterator[Batch]:
        samples = self._samples()
        for start in self._starts():
            batch = samples[start : start + self.batch_size]
            yield self.trajectory.cut(batch if self.seed is None else batch[self.share.within(self.batch_size)])

    def _starts(self) -> range:
        """First samples of the batches: all of them in training, where a share takes a part of each."""
        if self.seed is not None:
            return range(0, self.count // self.batch_size * self.batch_size, self.batch_size)
        return range(self.share.index * self.batch_size, self.count, self.share.count * self.batch_size)

    def _samples(self) -> NDArray[np.int64]:
        available = self.trajectory.windows
        if self.seed is None:
            return spread(available, self.count)
        rng = generator(self.seed, "windows", self.epoch)
        rounds = [rng.permutation(available) for _ in range(-(-self.count // available))]
        return np.concatenate(rounds)[: self.count].astype(np.int64)
