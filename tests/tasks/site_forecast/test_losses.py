"""Losses of forecasts at a site: against formulas, and with a way back from wherever a forecast is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline_lib.learning.bivariate_gaussian import parameters_of
from pipeline_lib.tasks.site_forecast.options import TrainingOptions
from pipeline_lib.tasks.site_forecast.problem import SiteProblem
from pipeline_lib.tasks.site_forecast.windows import SiteWindows
from pipeline_lib.train.problem import Batch
from tests.tasks.site_forecast.test_columns import dataset, windows


def problem(loss: str) -> SiteProblem:
    """Of windows that are not looked at."""
    made: SiteWindows = windows(dataset())
    return SiteProblem(TrainingOptions(loss=loss, batch_size=1), made, made, seed=0)


def test_the_logarithmic_loss_is_that_of_sums_and_leads_back_from_below_zero():
    forecast = torch.tensor([3.0, 0.0, -1.0, -5.0, 2.0]).reshape(5, 1, 1).requires_grad_()
    truth = torch.tensor([1.0, 4.0, 5.0, 0.0, np.nan]).reshape(5, 1, 1)
    loss = problem("log_squared").loss(forecast, Batch(torch.zeros(5, 1), truth, torch.zeros(5, 1)))
    logs = np.array([np.log(4), 0.0, -np.log(2), -np.log(6)]) - np.log([2, 5, 6, 1])
    np.testing.assert_allclose(loss.item(), np.mean(logs**2), rtol=1e-6)
    loss.backward()
    slopes = 2 * logs / np.array([4, 1, 2, 6]) / 4
    np.testing.assert_allclose(forecast.grad.flatten().numpy(), [*slopes, 0.0], rtol=1e-6)
    assert (forecast.grad.flatten()[1:4] < 0).all()  # towards the truth, which is larger


@pytest.mark.parametrize("loss", ["likelihood", "squared", "absolute"])
def test_the_validation_loss_is_the_mean_over_all_windows_however_they_are_batched(loss):
    """Of two targets one may be missing alone, in one batch more often than in another."""
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.normal(size=(40, 3, 2)).astype(np.float32))
    truth[:30, :, 1][torch.from_numpy(rng.random((30, 3)) < 0.8)] = np.nan
    output = parameters_of(torch.from_numpy(rng.normal(size=(40, 3, 5)).astype(np.float32)))
    output = output if loss == "likelihood" else output[..., :2]
    made, found = problem(loss), []
    for size in (40, 7):
        scores = made.new_scores()
        for part in range(0, 40, size):
            each = slice(part, part + size)
            scores.update(output[each], Batch(torch.zeros(size, 1), truth[each], torch.zeros(size, 1)))
        found.append(scores.result())
    assert found[0] == pytest.approx(found[1], rel=1e-5)
