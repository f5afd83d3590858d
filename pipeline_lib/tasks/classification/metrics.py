"""Metrics of classified images; sums are over images."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.metrics import METRICS, Counts, Direction, ratio

Values = NDArray[np.float64]


@METRICS.register("error_rate")
class ErrorRate:
    """Error rate.

    The share of images whose most probable class is not the true one.
    """

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "1"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    has_interval: ClassVar[bool] = True
    sampled_by: ClassVar[str | None] = None

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        return ratio(counts["wrong"], counts["images"])


@METRICS.register("cross_entropy")
class CrossEntropy:
    """Cross entropy.

    The mean of minus the natural logarithm of the true class's probability.
    """

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "1"
    bounds: ClassVar[tuple[float, float]] = (0.0, np.inf)
    has_interval: ClassVar[bool] = True
    sampled_by: ClassVar[str | None] = None

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        return ratio(counts["cross_entropy"], counts["images"])


@METRICS.register("calibration_error")
class CalibrationError:
    """Calibration error.

    The mean distance between the probability of the answer and the share of right answers, bin by bin: the expected
    calibration error (Guo et al. 2017, arXiv 1706.04599, eq. 3). Of few images it is too large, even for probabilities
    that are right, and a resample makes it larger still: it has no interval.
    """

    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "1"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    has_interval: ClassVar[bool] = False
    sampled_by: ClassVar[str | None] = None

    @classmethod
    def from_counts(cls, counts: Counts) -> Values:
        """Return one value per resample."""
        apart = np.abs(counts["confidence"] - counts["right"]).sum(axis=-1)
        return ratio(apart, counts["images"])
