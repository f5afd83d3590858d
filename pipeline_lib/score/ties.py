"""Ranks with ties: who is not separated from a group's leader shares its rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.metrics import Direction, badness
from pipeline_lib.score.bootstrap import interval


@dataclass(frozen=True)
class Standing:
    """A competitor's rank by one metric, and how it compares with the leader of its group."""

    model: str
    rank: int
    leader: str
    worse_by: float
    """How much worse than the leader, in the metric's unit; never negative."""
    ci_low: float
    ci_high: float
    """Interval of ``worse_by``, from paired differences; NaN if there is none."""


def rank_groups(
    values: Mapping[str, float],
    draws: Mapping[str, NDArray[np.float64]],
    *,
    direction: Direction,
    confidence: float,
) -> list[Standing]:
    """Rank competitors, best first.

    The best value leads the first group; with it are all whose paired difference to it has an interval that holds 0,
    or no interval. The best of the others leads the next group, whose rank counts those before it (1, 1, 3).
    Competitors without a value are left out, and a metric that ranks nobody gives an empty list.

    Parameters
    ----------
    values
        Estimate of each competitor.
    draws
        Draws of each competitor (see :mod:`pipeline_lib.score.bootstrap`), on the same resamples.
    direction
        Which values are better.
    confidence
        Confidence of the intervals of differences.
    """
    if direction == "none":
        return []
    bad = {name: badness(np.asarray(value), direction) for name, value in values.items() if np.isfinite(value)}
    waiting = sorted(bad, key=lambda name: (float(bad[name]), name))
    standings: list[Standing] = []
    while waiting:
        leader, rank = waiting[0], len(standings) + 1
        leading = badness(draws[leader], direction)
        left = []
        for name in waiting:
            low, high = interval(badness(draws[name], direction) - leading, confidence)
            if low > 0:
                left.append(name)
            else:
                worse_by = float(bad[name] - bad[leader])
                standings.append(Standing(name, rank, leader, worse_by, low, high))
        waiting = left
    return standings
