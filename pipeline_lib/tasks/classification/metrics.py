"""Metrics of classified images; sums are over images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.metrics import METRICS, Counts, Metric, ratio

Values = NDArray[np.float64]


@METRICS.register("error_rate")
class ErrorRate(Metric):
    """Error rate.

    The share of images whose most probable class is not the true one.
    """

    bounds = (0.0, 1.0)

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        return ratio(counts["wrong"], counts["images"])


@METRICS.register("cross_entropy")
class CrossEntropy(Metric):
    """Cross entropy.

    The mean of minus the natural logarithm of the true class's probability.
    """

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        return ratio(counts["cross_entropy"], counts["images"])


@METRICS.register("calibration_error")
class CalibrationError(Metric):
    """Calibration error.

    The mean distance between the probability of the answer and the share of right answers, bin by bin: the expected
    calibration error (Guo et al. 2017, arXiv 1706.04599, eq. 3). Of few images it is too large, even for probabilities
    that are right, and a resample makes it larger still: it has no interval.
    """

    bounds = (0.0, 1.0)
    has_interval = False

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        apart = np.abs(counts["confidence"] - counts["right"]).sum(axis=-1)
        return ratio(apart, counts["images"])
