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
        self._scale, self.sums = scale, torch.zeros(2, dtype=torch.float64)

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""
        squared = (output - batch.target).double().square().sum().detach().cpu()
        self.sums += torch.stack([squared, torch.tensor(batch.target.numel(), dtype=torch.float64)])

    def result(self) -> dict[str, float]:
        """Return the loss and the root mean square error of normalised states."""
        squared, count = self.sums.tolist()
        mean = squared / max(count, 1)
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
