"""Scoring options that every task has."""

from __future__ import annotations

from pydantic import Field, field_validator

from pipeline_lib.options import Options


class IntervalOptions(Options):
    """How intervals and ties are made."""

    block_days: float = Field(default=10.0, gt=0)
    """Length of the blocks of dates that are resampled together, in days: twice the time in which the autocorrelation
    of the daily scores falls to 1/e (about 5 days in the Mediterranean). Shorter blocks give intervals that are too
    narrow."""
    resamples: int = Field(default=2000, ge=200, le=100_000)
    """Number of resamples."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Probability with which an interval shall hold the true value."""
    seed: int = Field(default=0, ge=0)
    """Seed of the resampling."""


class MetricOptions(Options):
    """What is scored; a task gives ``metrics`` its own default."""

    metrics: list[str] = Field(min_length=1)
    """Registered metrics, in the order of the leaderboard."""
    intervals: IntervalOptions = IntervalOptions()
    """How intervals and ties are made."""

    @field_validator("metrics")
    @classmethod
    def _once(cls, metrics: list[str]) -> list[str]:
        twice = sorted({name for name in metrics if metrics.count(name) > 1})
        if twice:
            raise ValueError(f"metric {twice[0]!r} is listed twice")
        return metrics
