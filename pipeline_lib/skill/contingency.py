"""Scores of yes-or-no forecasts, such as of rain at or above a threshold.

With hits a, false alarms b, misses c and correct negatives d. Pool the counts before:
a mean of scores is another number.

References
----------
Shi et al. (2017), "Deep learning for precipitation nowcasting: a benchmark and a new model", arXiv:1706.03458; Hogan et
al. (2010), "Equitability revisited", Weather and Forecasting 25, 710-726.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pipeline_lib.metrics import Counts, ratio
from pipeline_lib.skill.frames import Sums, Values, compared, frame_sums


def contingency(
    forecast: ArrayLike, truth: ArrayLike, thresholds: Sequence[float], valid: ArrayLike | None = None
) -> Sums:
    """Count the outcomes of "at or above the threshold" in each frame.

    Parameters
    ----------
    forecast, truth
        Frames (..., rows, columns), both in the unit of the thresholds. HKO-7 compares shares with the shares of rain
        rates, see :meth:`pipeline_lib.rain.RainScale.to_share`.
    thresholds
        The thresholds.
    valid
        The cells that count, boolean; all if ``None``.

    Returns
    -------
    dict
        ``hits``, ``false_alarms``, ``misses`` and ``correct_negatives``, each (..., thresholds).

    Raises
    ------
    ScoreError
        As in :func:`pipeline_lib.skill.frames.compared`.
    """
    predicted, true, counted = compared(forecast, truth, valid)
    cells = frame_sums(counted)
    rows = []
    for threshold in thresholds:
        yes, event = counted & (predicted >= threshold), counted & (true >= threshold)
        hits = frame_sums(yes & event)
        rows.append((hits, frame_sums(yes) - hits, frame_sums(event) - hits, cells - frame_sums(yes | event)))
    names = ("hits", "false_alarms", "misses", "correct_negatives")
    return {name: np.stack([row[i] for row in rows], axis=-1) for i, name in enumerate(names)}


def csi(counts: Counts) -> Values:
    """Return the critical success index a / (a + b + c)."""
    return ratio(counts["hits"], counts["hits"] + counts["false_alarms"] + counts["misses"])


def pod(counts: Counts) -> Values:
    """Return the probability of detection a / (a + c)."""
    return ratio(counts["hits"], counts["hits"] + counts["misses"])


def far(counts: Counts) -> Values:
    """Return the false alarm ratio b / (a + b)."""
    return ratio(counts["false_alarms"], counts["hits"] + counts["false_alarms"])


def frequency_bias(counts: Counts) -> Values:
    """Return how often the event was forecast for each time that it happened, (a + b) / (a + c)."""
    return ratio(counts["hits"] + counts["false_alarms"], counts["hits"] + counts["misses"])


def hss(counts: Counts) -> Values:
    """Return the Heidke skill score 2 (ad - bc) / ((a + c)(c + d) + (a + b)(b + d))."""
    a, b, c, d = (counts[name] for name in ("hits", "false_alarms", "misses", "correct_negatives"))
    return ratio(2 * (a * d - b * c), (a + c) * (c + d) + (a + b) * (b + d))


def gss(counts: Counts) -> Values:
    """Return the Gilbert skill score, or equitable threat score, as HSS / (2 - HSS)."""
    heidke = hss(counts)
    return ratio(heidke, 2 - heidke)


def accuracy(counts: Counts) -> Values:
    """Return the share of cells that are right, (a + d) / (a + b + c + d)."""
    a, b, c, d = (counts[name] for name in ("hits", "false_alarms", "misses", "correct_negatives"))
    return ratio(a + d, a + b + c + d)


def f1(counts: Counts) -> Values:
    """Return the harmonic mean of POD and 1 - FAR, 2a / (2a + b + c)."""
    return ratio(2 * counts["hits"], 2 * counts["hits"] + counts["false_alarms"] + counts["misses"])
