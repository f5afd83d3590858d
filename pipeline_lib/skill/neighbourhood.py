"""The fractions skill score: whether it rains over about as much of a neighbourhood as it should.

*Border.* A window is centred on each valid cell. What lies outside the frame or is not valid counts as cells without
the event, in the forecast and in the truth; the divisor is always the whole window.

References
----------
Roberts and Lean (2008), "Scale-selective verification of rainfall accumulations from high-resolution forecasts of
convective events", Monthly Weather Review 136, 78-97.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import Counts, ratio
from pipeline_lib.skill.frames import Mask, Sums, Values, compared, frame_sums


def fraction_sums(
    forecast: ArrayLike,
    truth: ArrayLike,
    thresholds: Sequence[float],
    windows: Sequence[int],
    valid: ArrayLike | None = None,
) -> Sums:
    """Sum over each frame what the fractions skill score is made of.

    Parameters
    ----------
    forecast, truth
        Frames (..., rows, columns), both in the unit of the thresholds; the event is "at or above the threshold".
    thresholds
        The thresholds.
    windows
        Sides of the square neighbourhoods, odd numbers of cells.
    valid
        The cells that count, boolean; all if ``None``.

    Returns
    -------
    dict
        ``fraction_differences``, the sum of (F - O)^2, and ``fraction_squares``, that of F^2 + O^2, with F and O the
        fractions of the window with the event in the forecast and in the truth; each (..., thresholds, windows).

    Raises
    ------
    ConfigError
        If a window has no cell at its centre.
    ScoreError
        As in :func:`pipeline_lib.skill.frames.compared`.
    """
    wrong = [window for window in windows if window < 1 or window % 2 == 0]
    if wrong:
        raise ConfigError(f"a window of {wrong[0]} cells has no cell at its centre", fix="give odd numbers of cells")
    predicted, true, counted = compared(forecast, truth, valid)
    shape = (*true.shape[:-2], len(thresholds), len(windows))
    differences, squares = np.empty(shape), np.empty(shape)
    for i, threshold in enumerate(thresholds):
        yes, event = counted & (predicted >= threshold), counted & (true >= threshold)
        for j, window in enumerate(windows):
            F, O = _fractions(yes, window), _fractions(event, window)  # noqa: E741 - the paper's letters
            differences[..., i, j] = frame_sums(np.where(counted, (F - O) ** 2, 0.0))
            squares[..., i, j] = frame_sums(np.where(counted, F**2 + O**2, 0.0))
    return {"fraction_differences": differences, "fraction_squares": squares}


def fss(counts: Counts) -> Values:
    """Return the fractions skill score 1 - sum (F - O)^2 / sum (F^2 + O^2); undefined without any event."""
    return 1 - ratio(counts["fraction_differences"], counts["fraction_squares"])


def _fractions(events: Mask, window: int) -> Values:
    """Return the fraction of the window around each cell that has the event."""
    half = window // 2
    counts = events.astype(np.int64)
    for axis in (-2, -1):
        size = counts.shape[axis]
        before = np.concatenate([np.zeros_like(counts.take([0], axis)), counts.cumsum(axis)], axis)
        cells = np.arange(size)
        counts = before.take(np.minimum(cells + half + 1, size), axis) - before.take(np.maximum(cells - half, 0), axis)
    return counts / window**2
