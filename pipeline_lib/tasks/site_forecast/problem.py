"""Losses and validation scores of forecasts at a site."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline_lib.learning.bivariate_gaussian import negative_log_likelihood
from pipeline_lib.tasks.site_forecast.options import Loss, TrainingOptions
from pipeline_lib.tasks.site_forecast.windows import SiteWindows
from pipeline_lib.train.problem import Batch
from pipeline_lib.train.windows import WindowProblem


class SiteScores:
    """The loss and the mean squared error over validation windows."""

    def __init__(self, problem: SiteProblem) -> None:
        self._problem, self.sums = problem, torch.zeros(4, dtype=torch.float64)

    def update(self, output: Tensor, batch: Batch) -> None:
        """Take one batch in."""
        valid = batch.target.isfinite()
        forecast = output.float()[..., : batch.target.shape[-1]]
        error = torch.where(valid, forecast - batch.target, 0.0).double()
        count, compared = valid.sum(), self._problem.compared(batch)
        loss = self._problem.loss(output, batch).double() * compared
        terms = [loss, compared, error.square().sum(), count]
        self.sums += torch.stack([term.detach().cpu().double() for term in terms])

    def result(self) -> dict[str, float]:
        """Return the loss and the mean squared error."""
        loss, compared, squared, values = self.sums.tolist()
        return {"loss": loss / max(compared, 1), "mse": squared / max(values, 1)}


class SiteProblem(WindowProblem):
    """Windows and loss of one training; a :class:`~pipeline_lib.train.problem.Problem`.

    Errors are divided by the standard deviations of the targets, so that a learning rate means the same for all.

    Parameters
    ----------
    options
        Loss, size of a batch, number of windows.
    train, validation
        The windows.
    seed
        Base seed.
    """

    def __init__(self, options: TrainingOptions, train: SiteWindows, validation: SiteWindows, *, seed: int) -> None:
        super().__init__(train, validation, batch_size=options.batch_size, windows=options.windows, seed=seed)
        self._kind: Loss = options.loss
        self._scales = [scale for _, scale in train.site.targets]

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss over the true values that there are."""
        truth = batch.target
        valid = truth.isfinite()
        if self._kind == "likelihood":
            both = valid.all(-1)
            cost = negative_log_likelihood(output.float(), torch.where(both[..., None], truth, 0.0))
            return torch.where(both, cost, 0.0).sum() / both.sum().clamp(min=1)
        truth = torch.where(valid, truth, 0.0)
        forecast = output.float()
        if self._kind == "log_squared":
            error = _logarithm(forecast) - _logarithm(truth)
        else:
            error = (forecast - truth) / forecast.new_tensor(self._scales)
        cost = error.abs() if self._kind == "absolute" else error.square()
        return torch.where(valid, cost, 0.0).sum() / valid.sum().clamp(min=1)

    def compared(self, batch: Batch) -> Tensor:
        """Return how many terms the loss of a batch is the mean of: a likelihood has one for both targets together."""
        valid = batch.target.isfinite()
        return (valid.all(-1) if self._kind == "likelihood" else valid).sum()

    def new_scores(self) -> SiteScores:
        """Return empty scores."""
        return SiteScores(self)


def _logarithm(values: Tensor) -> Tensor:
    """Return log(1 + values), and below 0 its mirror image, which leads a forecast back from there."""
    above, below = values.clamp(min=0).log1p(), (-values).clamp(min=0).log1p()
    return torch.where(values < 0, -below, above)
