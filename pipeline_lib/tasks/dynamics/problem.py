"""Windows and losses of trainings on trajectories."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipeline_lib.tasks.dynamics.options import TrainingOptions
from pipeline_lib.tasks.dynamics.windows import Cuttable, Windows
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.share import Share


class SquaredError:
    """Mean squared error over all windows, steps and components: validation scores."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale, self._sum, self._count = scale, 0.0, 0

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""
        self._sum += float(((output - batch.target).double() ** 2).sum())
        self._count += batch.target.numel()

    def totals(self) -> Tensor:
        """Return the sum and the number of its terms."""
        return torch.tensor([self._sum, self._count], dtype=torch.float64)

    def replace(self, totals: Tensor) -> None:
        """Take such sums in place of the own ones."""
        self._sum, self._count = float(totals[0]), int(totals[1])

    def result(self) -> dict[str, float]:
        """Return the loss and the root mean square error of normalised states."""
        mean = self._sum / max(self._count, 1)
        return {"loss": self._scale * mean, "rmse": mean**0.5}


class DynamicsProblem:
    """Windows and loss of one training; a :class:`~pipeline_lib.train.problem.Problem`."""

    validation_windows: ClassVar[int] = 2000
    """Validation windows at most, evenly spread."""

    def __init__(self, options: TrainingOptions, train: Cuttable, validation: Cuttable, *, seed: int) -> None:
        self._options, self._train, self._validation, self._seed = options, train, validation, seed
        self._count = max(options.windows or train.windows, options.batch_size)
        self.steps_per_epoch = self._count // options.batch_size

    def training_batches(self, epoch: int, share: Share) -> Windows:
        """Return the random windows of an epoch."""
        return Windows(self._train, self._options.batch_size, self._count, self._seed, epoch, share)

    def validation_batches(self, share: Share) -> Windows:
        """Return evenly spread windows."""
        count = min(self._validation.windows, self.validation_windows)
        return Windows(self._validation, self._options.batch_size, count, None, share=share)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error of normalised states, scaled."""
        return self._options.loss_scale * torch.nn.functional.mse_loss(output, batch.target)

    def new_scores(self) -> SquaredError:
        """Return empty scores."""
        return SquaredError(self._options.loss_scale)

    def describe(self, samples: Tensor) -> str:
        """Name training windows."""
        return self._train.describe(samples)
