"""Windows of trajectories: a state, perhaps others before it, and the states that follow it in its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline_lib.data.trajectories import Ages, followers
from pipeline_lib.errors import DataError
from pipeline_lib.tasks.dynamics.starts import preceding
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.windows import named_times, spread


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
        States of a window that follow what is known.
    shape
        Sizes of a state's axes.
    ages
        Time steps since the start of each state's trajectory; without them, all states are of one.
    from_age
        Age from which on a forecast may start from a state.
    split
        The split that they are of, for messages.
    history
        States of a window that are known, the last one being that which the forecast starts from.
    """

    states: NDArray[np.float32] | NDArray[np.float64]
    times: NDArray[np.datetime64]
    horizon: int
    shape: tuple[int, ...] = ()
    ages: Ages | None = None
    from_age: int = 0
    split: str = "train"
    history: int = 1

    def __post_init__(self) -> None:
        if self.windows < 1:
            old = f" that begins at age {self.from_age} or later" if self.from_age else ""
            raise DataError(
                f"{len(self.times)} states give no window of {self.history} + {self.horizon}{old}",
                where=f"split.{self.split}",
                fix="more days",
            )

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """States that forecasts start from: those that enough others of their trajectory precede and follow."""
        ages = np.arange(len(self.times)) if self.ages is None else self.ages
        known = preceding(ages) >= self.history - 1
        return np.flatnonzero(known & (followers(ages) >= self.horizon) & (ages >= self.from_age))

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.starts)

    @property
    def identity(self) -> str:
        """SHA-256 over all values: what a checkpoint remembers of its data."""
        digest = hashlib.sha256(repr((self.states.shape, self.horizon)).encode())
        for array in (self.states, self.times, self.starts):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def cut(self, numbers: NDArray[np.int64]) -> Batch:
        """Return the windows of these numbers: inputs (batch, history, dimension), targets (batch, horizon, dimension).

        Inputs of one state are (batch, dimension).
        """
        starts = self.starts[numbers]
        index = starts[:, None] + np.arange(1 - self.history, 1 + self.horizon)
        states = torch.from_numpy(self.states[index])
        known = states[:, 0] if self.history == 1 else states[:, : self.history]
        return Batch(known, states[:, self.history :], torch.from_numpy(starts[:, None]))

    def spread(self, count: int | None = None) -> Batch:
        """Return so many windows as one batch, evenly spread, or all of them."""
        count = min(count or self.windows, self.windows)
        return self.cut(spread(self.windows, count))

    def describe(self, samples: Tensor) -> str:
        """Name windows by the time of the state that the forecast starts from."""
        return named_times(self.times, samples)


@dataclass(frozen=True, kw_only=True)
class StatesAndTerms(Trajectory):
    """States, each with the term that a closure should answer: windows of one state, which nothing follows.

    Attributes
    ----------
    terms
        (time, ...) in the number format of the states.
    horizon
        0.
    """

    terms: NDArray[np.float32] | NDArray[np.float64]
    horizon: int = 0

    @property
    def identity(self) -> str:
        """SHA-256 over all values, those of the terms as well."""
        return hashlib.sha256(super().identity.encode() + np.ascontiguousarray(self.terms).tobytes()).hexdigest()

    def cut(self, numbers: NDArray[np.int64]) -> Batch:
        """Return the windows of these numbers: inputs (batch, dimension), targets (batch, ...)."""
        starts = self.starts[numbers]
        inputs, targets = (torch.from_numpy(array[starts]) for array in (self.states, self.terms))
        return Batch(inputs, targets, torch.from_numpy(starts[:, None]))
