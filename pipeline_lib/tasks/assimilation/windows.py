"""Windows of partly observed states: what networks that fill them are trained on and applied to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline_lib.errors import DataError
from pipeline_lib.tasks.assimilation.filling import first_guess
from pipeline_lib.tasks.assimilation.options import TrainingOptions
from pipeline_lib.tasks.dynamics.windows import Windows
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.share import Share

_VALIDATION_WINDOWS = 500
"""Validation windows at most, evenly spread."""


@dataclass(frozen=True)
class ObservedTrajectory:
    """Normalised states and observations in memory.

    Attributes
    ----------
    states, observation
        float32 (time, component); observations are missing where there are none.
    times
        datetime64 (time,), evenly spaced.
    length
        Times of a window.
    """

    states: NDArray[np.float32]
    observation: NDArray[np.float32]
    times: NDArray[np.datetime64]
    length: int

    def __post_init__(self) -> None:
        if self.windows < 1:
            raise DataError(
                f"{len(self.times)} states give no window of {self.length}", where="training arrays", fix="more days"
            )

    @property
    def windows(self) -> int:
        """Number of windows."""
        return len(self.times) - self.length + 1

    @property
    def identity(self) -> str:
        """SHA-256 over all values: what a checkpoint remembers of its data."""
        digest = hashlib.sha256(repr((self.states.shape, self.length)).encode())
        for array in (self.states, self.observation, self.times):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
        return digest.hexdigest()

    def cut(self, starts: NDArray[np.int64]) -> Batch:
        """Return windows from ``starts`` on.

        Inputs are (batch, 4, component, time): first guess, values, mask and the true states.
        """
        index = starts[:, None] + np.arange(self.length)
        states = torch.from_numpy(self.states[index]).mT
        filled = first_guess(torch.from_numpy(self.observation[index]))
        return Batch(torch.cat([filled, states[:, None]], dim=1), states, torch.from_numpy(starts[:, None]))

    def describe(self, samples: Tensor) -> str:
        """Name windows by the time of their first state."""
        starts = samples[:, 0].tolist()
        return "; ".join(str(np.datetime_as_string(self.times[start], unit="s")) for start in starts)


class SquaredErrors:
    """Mean squared error of normalised states: validation scores."""

    def __init__(self) -> None:
        self._totals = torch.zeros(2, dtype=torch.float64)

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""
        error = (output[:, 0] - batch.target).double().square().sum().cpu()
        self._totals += torch.stack([error, torch.tensor(float(batch.target.numel()), dtype=torch.float64)])

    def totals(self) -> Tensor:
        """Return the sum and the number of its terms."""
        return self._totals.clone()

    def replace(self, totals: Tensor) -> None:
        """Take such sums in place of the own ones."""
        self._totals = totals.clone()

    def result(self) -> Mapping[str, float]:
        """Return the mean squared error of normalised states, as the loss, and its root."""
        mean = float(self._totals[0] / self._totals[1].clamp(min=1))
        return {"loss": mean, "rmse": mean**0.5}


class WindowProblem:
    """Windows and loss of one training; a :class:`~pipeline_lib.train.problem.Problem`."""

    def __init__(
        self, options: TrainingOptions, train: ObservedTrajectory, validation: ObservedTrajectory, *, seed: int
    ) -> None:
        self._options, self._train, self._validation, self._seed = options, train, validation, seed
        self._count = max(options.windows or train.windows, options.batch_size)
        self.steps_per_epoch = self._count // options.batch_size

    def training_batches(self, epoch: int, share: Share) -> Windows:
        """Return the random windows of an epoch."""
        return Windows(self._train, self._options.batch_size, self._count, self._seed, epoch, share)

    def validation_batches(self, share: Share) -> Windows:
        """Return evenly spread windows."""
        count = min(self._validation.windows, _VALIDATION_WINDOWS)
        return Windows(self._validation, self._options.batch_size, count, None, share=share)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error and, where there is a prior, how far states are from what it makes of them.

        The published sum: error of the states + prior_loss / 2 (|prior(found) - found|^2 + |prior(true) - true|^2).
        """
        found, *expected = output.unbind(1)
        error = nn.functional.mse_loss(found, batch.target)
        if not expected:
            return error
        surprise = nn.functional.mse_loss(expected[0], found) + nn.functional.mse_loss(expected[1], batch.target)
        return error + 0.5 * self._options.prior_loss * surprise

    def new_scores(self) -> SquaredErrors:
        """Return empty scores."""
        return SquaredErrors()

    def describe(self, samples: Tensor) -> str:
        """Name training windows."""
        return self._train.describe(samples)
