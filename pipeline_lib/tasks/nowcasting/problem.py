"""Losses and validation scores of forecast frames."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline_lib.learning.frame_losses import FrameLoss
from pipeline_lib.rain import RainScale
from pipeline_lib.tasks.nowcasting.options import TrainingOptions
from pipeline_lib.tasks.nowcasting.windows import FrameWindows
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.windows import WindowProblem


class FrameScores:
    """The loss and the mean squared error over validation windows."""

    def __init__(self, problem: NowcastingProblem) -> None:
        self._problem, self.sums = problem, torch.zeros(4, dtype=torch.float64)

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""
        valid = batch.target.isfinite()
        error = torch.where(valid, self._problem.values(output.float()) - batch.target, 0.0).double()
        count = len(batch.target)
        loss = self._problem.loss(output, batch).double() * count
        terms = [loss, torch.tensor(count), error.square().sum(), valid.sum()]
        self.sums += torch.stack([term.detach().cpu().double() for term in terms])

    def result(self) -> dict[str, float]:
        """Return the loss and the mean squared error."""
        loss, windows, squared, cells = self.sums.tolist()
        return {"loss": loss / max(windows, 1), "mse": squared / max(cells, 1)}


class NowcastingProblem(WindowProblem):
    """Windows and loss of one training; a :class:`~pipeline_lib.train.problem.Problem`.

    Parameters
    ----------
    options
        Loss, size of a batch, number of windows.
    train, validation
        The windows.
    logistic
        Whether the logistic function turns the network's output into values.
    scale
        What the values stand for, if they are of rain.
    seed
        Base seed.
    """

    def __init__(
        self,
        options: TrainingOptions,
        train: FrameWindows,
        validation: FrameWindows,
        *,
        logistic: bool,
        scale: RainScale | None,
        seed: int,
    ) -> None:
        super().__init__(train, validation, batch_size=options.batch_size, windows=options.windows, seed=seed)
        self._loss = FrameLoss(options.loss, logistic, scale)

    def values(self, output: Tensor) -> Tensor:
        """Return the forecast frames that an output stands for."""
        return self._loss.values(output)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the loss over the cells that have a true value."""
        return self._loss(output, batch.target)

    def new_scores(self) -> FrameScores:
        """Return empty scores."""
        return FrameScores(self)
