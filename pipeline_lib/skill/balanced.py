"""Errors that count more where it rains more: B-MSE and B-MAE of the HKO-7 benchmark.

References
----------
Shi et al. (2017), "Deep learning for precipitation nowcasting: a benchmark and a new model", arXiv:1706.03458, and its
public code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pipeline_lib.metrics import Counts, ratio
from pipeline_lib.rain import RainScale
from pipeline_lib.skill.frames import Mask, Sums, Values, compared, frame_sums

RATES = (2.0, 5.0, 10.0, 30.0)
"""True rain rates from which the next weight holds [mm/h] (Shi et al. 2017)."""
WEIGHTS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Weights below the first rate, from each rate to the next, and from the last on (Shi et al. 2017)."""

HKO7_NOISE_BELOW = 0.28
"""Shares of HKO-7 below this one that are not 0 are noise (Shi et al. 2017). Of shares that were pixels take
70.5 / 255: the public code rounds 255 x 0.28 to 71, so the pixel 71 counts."""


def weight_bounds(scale: RainScale, *, what: str = "a weight of rain rates", where: str = "") -> list[float]:
    """Return the shares of :data:`RATES`; ``what`` and ``where`` name the wish for them in messages.

    Raises
    ------
    ConfigError
        If the scale ends before them: saturated rain would have the weight of the heaviest.
    """
    scale.require_rates(RATES, what=what, where=where)
    return [scale.to_share(rate) for rate in RATES]


def rain_weights(truth: ArrayLike, scale: RainScale) -> Values:
    """Return the weight of each cell from its true share; as :func:`weight_bounds`."""
    share = np.asarray(truth)
    # Rounded as the shares are, or a rate that is stored in single precision could lie below itself.
    bounds = np.array(weight_bounds(scale), np.result_type(share, np.float32))
    return np.asarray(WEIGHTS)[np.searchsorted(bounds, share, side="right")]


def without_noise(truth: ArrayLike, below: float = HKO7_NOISE_BELOW) -> Mask:
    """Return where the truth is no noise: weak echoes are, no echo is not.

    Parameters
    ----------
    truth
        True shares of the HKO-7 scale.
    below
        The first share that is no noise.
    """
    share = np.asarray(truth)
    return ~((share > 0) & (share < below))


def balanced_errors(forecast: ArrayLike, truth: ArrayLike, scale: RainScale, valid: ArrayLike | None = None) -> Sums:
    """Sum the weighted errors of the shares over each frame; they are not divided by the number of cells.

    Parameters
    ----------
    forecast, truth
        Shares (..., rows, columns). The benchmark cuts forecasts to 0 and 1 first.
    scale
        What the shares stand for; the weights hold for true rain rates.
    valid
        The cells that count, boolean; all if ``None``. HKO-7: the radar's circle, and :func:`without_noise`.

    Returns
    -------
    dict
        ``balanced_squared_error``, ``balanced_absolute_error`` and ``frames``, each (...). A frame without valid cells
        is none.

    Raises
    ------
    ScoreError
        As in :func:`pipeline_lib.skill.frames.compared`.
    ConfigError
        As :func:`weight_bounds`.
    """
    predicted, true, counted = compared(forecast, truth, valid)
    error = np.abs(predicted - true)
    weighted = rain_weights(np.asarray(truth), scale) * error
    return {
        "balanced_squared_error": frame_sums(weighted * error),
        "balanced_absolute_error": frame_sums(weighted),
        "frames": np.asarray(counted.any(axis=(-2, -1)), np.float64),
    }


def balanced_mse(counts: Counts) -> Values:
    """Return B-MSE, the mean over frames of the weighted sums of squared errors."""
    return ratio(counts["balanced_squared_error"], counts["frames"])


def balanced_mae(counts: Counts) -> Values:
    """Return B-MAE, the mean over frames of the weighted sums of absolute errors."""
    return ratio(counts["balanced_absolute_error"], counts["frames"])
