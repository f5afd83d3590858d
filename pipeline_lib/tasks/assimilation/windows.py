"""Windows of partly observed states: what networks that fill them are trained on and applied to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline_lib.errors import DataError
from pipeline_lib.tasks.assimilation.filling import first_guess, without_margins
from pipeline_lib.tasks.assimilation.options import TrainingOptions
from pipeline_lib.tasks.dynamics.problem import DynamicsProblem, SquaredError
from pipeline_lib.tasks.dynamics.reading import Array
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.windows import named_times


@dataclass(frozen=True)
class ObservedTrajectory:
    """Normalised states and observations in memory.

    Attributes
    ----------
    states, observation
        float32 or float64 (time, component); observations are missing where there are none.
    times
        datetime64 (time,), evenly spaced.
    mean
        (component,) of the training states: what a window starts from where nothing is observed.
    length
        Times of a window.
    margin
        Times at both ends of a window whose observations are left out.
    split
        The split that they are of, for messages.
    """

    states: Array
    observation: Array
    times: NDArray[np.datetime64]
    mean: Array
    length: int
    margin: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        if self.windows < 1:
            raise DataError(
                f"{len(self.times)} states give no window of {self.length}",
                where=f"split.{self.split}",
                fix="more days",
            )

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.times) - self.length + 1

    @property
    def identity(self) -> str:
        """SHA-256 over all values: what a checkpoint remembers of its data."""
        digest = hashlib.sha256(repr((self.states.shape, self.length, self.margin)).encode())
        for array in (self.states, self.observation, self.times, self.mean):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def cut(self, starts: NDArray[np.int64]) -> Batch:
        """Return windows from ``starts`` on.

        Inputs are (batch, 4, component, time): first guess, values, mask and the true states.
        """
        index = starts[:, None] + np.arange(self.length)
        states = torch.from_numpy(self.states[index]).mT
        seen = without_margins(torch.from_numpy(self.observation[index]), self.margin)
        filled = first_guess(seen, torch.from_numpy(self.mean))
        return Batch(torch.cat([filled, states[:, None]], dim=1), states, torch.from_numpy(starts[:, None]))

    def describe(self, samples: Tensor) -> str:
        """Name windows by the time of their first state."""
        return named_times(self.times, samples)


class FoundError(SquaredError):
    """Error of the states that a network found, without what its prior makes of them."""

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""
        super().update(output[:, 0], batch)


class WindowProblem(DynamicsProblem):
    """Windows and loss of one training; a :class:`~pipeline_lib.train.problem.Problem`."""

    validation_windows = 500

    def __init__(
        self, options: TrainingOptions, train: ObservedTrajectory, validation: ObservedTrajectory, *, seed: int
    ) -> None:
        super().__init__(options, train, validation, seed=seed)
        self._prior_loss = options.prior_loss

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error and, where there is a prior, how far states are from what it makes of them.

        The published sum: error of the states + prior_loss / 2 (|prior(found) - found|^2 + |prior(true) - true|^2).
        """
        found, *expected = output.unbind(1)
        error = nn.functional.mse_loss(found, batch.target)
        if not expected:
            return error
        surprise = nn.functional.mse_loss(expected[0], found) + nn.functional.mse_loss(expected[1], batch.target)
        return error + 0.5 * self._prior_loss * surprise

    def new_scores(self) -> FoundError:
        """Return empty scores."""
        return FoundError()
