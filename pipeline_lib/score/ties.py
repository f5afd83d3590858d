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
    """A competitor's rank by one metric, and how it compares with the leader of its group and with the first of all."""

    model: str
    rank: int
    leader: str
    worse_by: float
    """How much worse than the leader, in the metric's unit; never negative."""
    ci_low: float
    ci_high: float
    """Interval of ``worse_by``, from paired differences; NaN if there is none."""
    behind: float
    """How much worse than the first of all; ``worse_by`` again in the first group."""
    behind_low: float
    behind_high: float
    """Interval of ``behind``, in the same way."""


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
    bad = {name: float(badness(np.asarray(value), direction)) for name, value in values.items() if np.isfinite(value)}
    drawn = {name: badness(draws[name], direction) for name in bad}

    def behind(name: str, other: str) -> tuple[float, float, float]:
        """Return how much worse one is than the other, and the interval of that."""
        return bad[name] - bad[other], *interval(drawn[name] - drawn[other], confidence)

    waiting = sorted(bad, key=lambda name: (bad[name], name))
    first = waiting[:1]
    standings: list[Standing] = []
    while waiting:
        leader, rank = waiting[0], len(standings) + 1
        compared = {name: behind(name, leader) for name in waiting}
        waiting = [name for name in waiting if compared[name][1] > 0]
        tied = [name for name in compared if name not in waiting]
        standings += [Standing(name, rank, leader, *compared[name], *behind(name, first[0])) for name in tied]
    return standings
