"""Losses of forecasts at a site: against formulas, and with a way back from wherever a forecast is."""

from __future__ import annotations

import numpy as np
import torch

from pipeline_lib.tasks.site_forecast.options import TrainingOptions
from pipeline_lib.tasks.site_forecast.problem import SiteProblem
from pipeline_lib.tasks.site_forecast.windows import SiteWindows
from pipeline_lib.train.problem import Batch
from tests.tasks.site_forecast.test_columns import dataset, windows


def problem(loss: str) -> SiteProblem:
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
