"""Errors, correlations and cross entropy of the values of frames.

Of rain rates the mean squared error is the rainfall-MSE [mm2 h-2] of Shi et al. (2015), of brightness temperatures its
root is an RMSE [K].

References
----------
Shi et al. (2015), "Convolutional LSTM network", arXiv:1506.04214: uncentred correlation, rainfall-MSE, cross entropy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlog1py, xlogy

from pipeline_lib.errors import ScoreError
from pipeline_lib.metrics import Counts, ratio
from pipeline_lib.skill.frames import Sums, Values, compared, frame_sums

CORRELATION_OFFSET = 1e-9
"""Added to the divisor of the uncentred correlation (Shi et al. 2015)."""
SURE = 1e-7
"""Forecasts below it, or as near to 1, count as this sure in a cross entropy; ours, the epsilon of single precision."""
_RESOLVED = 1e-13
"""Of a mean square: a variance that is a smaller share of it is the rounding of sums, not a variance."""


def error_sums(forecast: ArrayLike, truth: ArrayLike, valid: ArrayLike | None = None) -> Sums:
    """Sum the errors over each frame.

    Parameters
    ----------
    forecast, truth
        Frames (..., rows, columns) in one unit.
    valid
        The cells that count, boolean; all if ``None``.

    Returns
    -------
    dict
        ``squared_error``, ``absolute_error`` and ``cells``, each (...).

    Raises
    ------
    ScoreError
        As in :func:`pipeline_lib.skill.frames.compared`.
    """
    predicted, true, counted = compared(forecast, truth, valid)
    error = np.abs(predicted - true)
    return {
        "squared_error": frame_sums(error**2),
        "absolute_error": frame_sums(error),
        "cells": frame_sums(counted),
    }


def mean_squared_error(counts: Counts) -> Values:
    """Return the mean over cells of the squared errors."""
    return ratio(counts["squared_error"], counts["cells"])


def mean_absolute_error(counts: Counts) -> Values:
    """Return the mean over cells of the absolute errors."""
    return ratio(counts["absolute_error"], counts["cells"])


def root_mean_squared_error(counts: Counts) -> Values:
    """Return the root of the mean over cells of the squared errors."""
    return np.sqrt(mean_squared_error(counts))


def moment_sums(forecast: ArrayLike, truth: ArrayLike, valid: ArrayLike | None = None) -> Sums:
    """Sum the values, their squares and their products over each frame; parameters as in :func:`error_sums`.

    Returns
    -------
    dict
        ``forecast_values``, ``truth_values``, ``forecast_squares``, ``truth_squares``, ``products`` and ``cells``, each
        (...).

    Raises
    ------
    ScoreError
        As in :func:`pipeline_lib.skill.frames.compared`.
    """
    predicted, true, counted = compared(forecast, truth, valid)
    return {
        "forecast_values": frame_sums(predicted),
        "truth_values": frame_sums(true),
        "forecast_squares": frame_sums(predicted**2),
        "truth_squares": frame_sums(true**2),
        "products": frame_sums(predicted * true),
        "cells": frame_sums(counted),
    }


def uncentred_correlation(counts: Counts) -> Values:
    """Return ``sum PT / (sqrt(sum P^2 sum T^2) + 1e-9)``; undefined where one of the two is 0 everywhere.

    It is high for biased fields as well, and for any two fields of rain that overlap.
    """
    norm = np.sqrt(counts["forecast_squares"] * counts["truth_squares"])
    return ratio(counts["products"], np.where(norm > 0, norm + CORRELATION_OFFSET, 0.0))


def pearson(counts: Counts) -> Values:
    """Return the correlation of the deviations from the means; undefined where one of the two is constant.

    From sums a spread is known to about 1e-13 of the mean square: take an offset off values that have a large one.
    """
    cells = counts["cells"]
    means = [ratio(counts[f"{name}_values"], cells) for name in ("forecast", "truth")]
    covariance = ratio(counts["products"], cells) - means[0] * means[1]
    spread = _deviation(counts, "forecast") * _deviation(counts, "truth")
    return np.clip(ratio(covariance, spread), -1.0, 1.0)


def standard_deviation_ratio(counts: Counts) -> Values:
    """Return the standard deviation of the forecast over that of the truth; undefined where the truth is constant."""
    return ratio(_deviation(counts, "forecast"), _deviation(counts, "truth"))


def _deviation(counts: Counts, name: str) -> Values:
    """Return the standard deviation, 0 where it is no more than rounding."""
    square = ratio(counts[f"{name}_squares"], counts["cells"])
    variance = square - ratio(counts[f"{name}_values"], counts["cells"]) ** 2
    return np.sqrt(np.where(variance > _RESOLVED * square, variance, 0.0))


def cross_entropy_sums(forecast: ArrayLike, truth: ArrayLike, valid: ArrayLike | None = None) -> Sums:
    """Sum the cross entropy ``-T ln P - (1 - T) ln (1 - P)`` over each frame [nat].

    Parameters
    ----------
    forecast, truth
        P and T (..., rows, columns), from 0 to 1; T need not be 0 or 1, and then the lowest value is not 0.
    valid
        The cells that count, boolean; all if ``None``.

    Returns
    -------
    dict
        ``cross_entropy`` and ``cells``, each (...). A forecast counts as no surer than 1e-7, or being sure and wrong
        would cost infinitely much. The number that Shi et al. (2015) give is the sum over the frames of a sequence,
        averaged over sequences.

    Raises
    ------
    ScoreError
        As in :func:`pipeline_lib.skill.frames.compared`, and if a value is not between 0 and 1.
    """
    predicted, true, counted = compared(forecast, truth, valid)
    for where, values in (("forecast frames", predicted), ("true frames", true)):
        if ((values < 0) | (values > 1)).any():
            raise ScoreError(
                "a cross entropy needs values from 0 to 1", where=where, fix="scale or cut them, or take another score"
            )
    sure = np.clip(predicted, SURE, 1 - SURE)
    entropy = -(xlogy(true, sure) + xlog1py(1 - true, -sure))
    return {"cross_entropy": frame_sums(np.where(counted, entropy, 0.0)), "cells": frame_sums(counted)}
