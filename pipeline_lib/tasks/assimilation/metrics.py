"""Metrics of analyses.

Squared errors are summed over times and components before a metric is computed.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.metrics import METRICS, Counts, Metric, ratio

Values = NDArray[np.float64]


class AnalysisError(Metric):
    """The mean square error over some of the values."""

    which: ClassVar[str] = ""

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        return ratio(counts[f"squared_error{cls.which}"], counts[f"values{cls.which}"])


@METRICS.register("analysis_mse")
class AnalysisMse(AnalysisError):
    """Mean square error of all values."""


@METRICS.register("observed_mse")
class ObservedMse(AnalysisError):
    """Mean square error where there is an observation (R-score)."""

    which = "_observed"


@METRICS.register("unobserved_mse")
class UnobservedMse(AnalysisError):
    """Mean square error where there is none (I-score)."""

    which = "_unobserved"


@METRICS.register("analysis_nmse")
class AnalysisNmse(AnalysisError):
    """Mean square error over the variance of the true states, each component about its mean over the test."""

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample, NaN where the true states do not change."""
        return ratio(counts["squared_error"], counts["squared_departure"])


class RootError(AnalysisError):
    """The root of it, in the unit of the states."""

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        return np.sqrt(super().from_counts(counts))


@METRICS.register("analysis_rmse")
class AnalysisRmse(RootError):
    """RMSE of all values."""


@METRICS.register("observed_rmse")
class ObservedRmse(RootError):
    """RMSE where there is an observation."""

    which = "_observed"


@METRICS.register("unobserved_rmse")
class UnobservedRmse(RootError):
    """RMSE where there is none."""

    which = "_unobserved"


@METRICS.register("spread_skill")
class SpreadSkill(AnalysisError):
    """Spread of the members over the RMSE of their mean: 1 is right, less is overconfident."""

    direction = "none"

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample, NaN for methods without an ensemble."""
        share = ratio(counts["variance"], counts["squared_error"])
        return np.where(counts["values_spread"] > 0, np.sqrt(share), np.nan)
