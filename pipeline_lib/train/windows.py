"""Windows of time series as training samples: random ones in training, evenly spread ones in validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.errors import ConfigError
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.seeds import generator
from pipeline_lib.train.share import Share


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

    def cut(self, numbers: NDArray[np.int64], /) -> Batch:
        """Return the windows of these numbers, which count from 0."""

    def describe(self, samples: Tensor) -> str:
        """Name windows by the time of their first state."""


def _require_a_batch(batch_size: int, windows: int, told: str) -> None:
    """Refuse a batch that would hold windows twice, or an epoch without a whole one."""
    if batch_size > windows:
        what = f"is {batch_size}, and {told.format(windows)}"
        raise ConfigError(what, where="training.batch_size", fix="reduce it, or choose more of them")


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
        if self.seed is not None:
            for drawn in self._drawn(self.seed):
                yield self.trajectory.cut(drawn[self.share.within(self.batch_size)])
            return
        samples = spread(self.trajectory.windows, self.count)
        for start in self._starts():
            yield self.trajectory.cut(samples[start : start + self.batch_size])

    def _starts(self) -> range:
        """First samples of the batches: all of them in training, where a share takes a part of each."""
        if self.seed is not None:
            return range(0, self.count // self.batch_size * self.batch_size, self.batch_size)
        return range(self.share.index * self.batch_size, self.count, self.share.count * self.batch_size)

    def _drawn(self, seed: int) -> Iterator[NDArray[np.int64]]:
        """Numbers of the windows of each batch: each window once, in random order, before one comes again."""
        rng = generator(seed, "windows", self.epoch)
        left = np.empty(0, dtype=np.int64)
        for _ in self._starts():
            while len(left) < self.batch_size:  # a round when it is needed: an epoch may be longer than memory
                left = np.concatenate([left, rng.permutation(self.trajectory.windows)])
            yield left[: self.batch_size]
            left = left[self.batch_size :]


class WindowProblem:
    """The batches of a :class:`~pipeline_lib.train.problem.Problem` whose samples are windows; its loss is a task's.

    Parameters
    ----------
    train, validation
        What windows are cut from.
    batch_size
        Windows per step.
    windows
        Windows per epoch; ``None`` for as many as there are. Of more than there are, each comes several times.
    seed
        Base seed.

    Raises
    ------
    ConfigError
        If there are fewer windows than a batch holds, or an epoch is to have fewer.
    """

    validation_windows: ClassVar[int] = 2000
    """Validation windows at most, evenly spread."""

    def __init__(
        self, train: Cuttable, validation: Cuttable, *, batch_size: int, windows: int | None, seed: int
    ) -> None:
        self._train, self._validation, self._batch_size, self._seed = train, validation, batch_size, seed
        self._count = windows or train.windows
        _require_a_batch(batch_size, train.windows, "the training days have {} windows")
        _require_a_batch(batch_size, self._count, "training.windows is {}")
        self.steps_per_epoch = self._count // batch_size

    def training_batches(self, epoch: int, share: Share) -> Windows:
        """Return the random windows of an epoch."""
        return Windows(self._train, self._batch_size, self._count, self._seed, epoch, share)

    def validation_batches(self, share: Share) -> Windows:
        """Return evenly spread windows."""
        count = min(self._validation.windows, self.validation_windows)
        return Windows(self._validation, self._batch_size, count, None, share=share)

    def describe(self, samples: Tensor) -> str:
        """Name training windows."""
        return self._train.describe(samples)
