"""Metrics of forecasts at a site.

Counts are summed over the starts of forecasts, a score is made of the sums at each lead, and the metric is the mean of
these over leads, or the score at one lead where its name ends in ``_lead_*``. Of two targets, errors are lengths of
vectors.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.metrics import METRICS, Counts, ratio
from pipeline_lib.tasks.lead_metrics import LeadMetric

Values = NDArray[np.float64]


def _rmse(counts: Counts) -> Values:
    return np.sqrt(ratio(counts["squared_error"], counts["values"]))


def _mae(counts: Counts) -> Values:
    return ratio(counts["absolute_error"], counts["values"])


def _bias(counts: Counts) -> Values:
    return ratio(counts["error"], counts["values"])


def _skill(counts: Counts) -> Values:
    ours, theirs = (
        np.sqrt(ratio(counts[name], counts["nwp_values"])) for name in ("squared_error_where_nwp", "nwp_squared_error")
    )
    return 1 - ratio(ours, theirs)


def _log_loss(counts: Counts) -> Values:
    if "log_loss" not in counts:
        return np.full_like(counts["values"], np.nan)
    return ratio(counts["log_loss"], counts["densities"])


class SiteMetric(LeadMetric):
    """A score at each lead, averaged over leads."""

    of_prediction: ClassVar[bool] = False
    """Whether it compares with a numerical weather prediction."""


@METRICS.register("site_rmse")
@METRICS.register("site_rmse_*")
class SiteRmse(SiteMetric):
    """RMSE at the site."""

    score = staticmethod(_rmse)


@METRICS.register("site_mae")
@METRICS.register("site_mae_*")
class SiteMae(SiteMetric):
    """MAE at the site."""

    score = staticmethod(_mae)


@METRICS.register("site_bias")
@METRICS.register("site_bias_*")
class SiteBias(SiteMetric):
    """Bias at the site.

    Forecast less truth.
    """

    direction = "zero"
    bounds = (-np.inf, np.inf)
    targets: ClassVar[int] = 1

    score = staticmethod(_bias)


@METRICS.register("nwp_skill")
@METRICS.register("nwp_skill_*")
class NwpSkill(SiteMetric):
    """Skill over the raw prediction.

    1 - RMSE / RMSE of what the numerical weather prediction says at the nearest grid point, from the same starts.
    """

    direction = "higher"
    bounds = (-np.inf, 1.0)
    of_prediction = True

    score = staticmethod(_skill)


@METRICS.register("log_loss")
@METRICS.register("log_loss_*")
class LogLoss(SiteMetric):
    """Log loss of the distribution.

    The negative logarithm of the forecast density at what came; undefined for forecasts of values alone.
    """

    unit = "nat"
    bounds = (-np.inf, np.inf)
    targets: ClassVar[int] = 2

    score = staticmethod(_log_loss)
