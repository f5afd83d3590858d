"""Windows and losses of trainings on trajectories."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline_lib.tasks.dynamics.options import TrainingOptions
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.windows import Cuttable, WindowProblem


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


class DynamicsProblem(WindowProblem):
    """Windows and loss of one training; a :class:`~pipeline_lib.train.problem.Problem`."""

    def __init__(self, options: TrainingOptions, train: Cuttable, validation: Cuttable, *, seed: int) -> None:
        super().__init__(train, validation, batch_size=options.batch_size, windows=options.windows, seed=seed)
        self._scale = options.loss_scale

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean squared error of normalised states, scaled."""
        return self._scale * torch.nn.functional.mse_loss(output, batch.target)

    def new_scores(self) -> SquaredError:
        """Return empty scores."""
        return SquaredError(self._scale)
