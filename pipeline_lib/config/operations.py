"""The ``operations:`` block of an experiment: what happens with periods that come after the test."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field

from pipeline_lib.distinct import DIFFERENT
from pipeline_lib.options import Options


class Retraining(Options):
    """When a new model is trained. A new model is an experiment of its own: see docs/how-to/operations.md."""

    when: Literal["never", "periods", "skill"] = "never"
    """``never``; every so many ``periods``; or when the ``skill`` falls below the alert threshold."""
    periods: int = Field(default=30, ge=1)
    """With ``when: periods``: periods that a model predicts before the next one is trained."""
    window: Literal["growing", "sliding"] = "growing"
    """Whether the first training day stays where it is or moves along with the splits."""


class Alert(Options):
    """When a score is reported as too low."""

    metric: str | None = None
    """A registered metric; without it the first one of ``scoring.metrics``."""
    window_days: int = Field(default=30, ge=1)
    """Newest scored days that are pooled; with fewer there is no alert."""
    threshold: float | None = None
    """Value that is still good enough; without it the end of the test's interval at which scores are bad."""


class Operations(Options):
    """New periods are predicted and scored as they come."""

    start: date
    """First operational day: the first of a period that lies after all days of the split."""
    models: Annotated[list[str], DIFFERENT] = Field(default_factory=list)
    """Models in use, names from ``models``; without any, all. The first is the one that is watched and published."""
    retrain: Retraining = Retraining()
    """When a new model is trained."""
    alert: Alert = Alert()
    """When a score is reported as too low."""
    recheck_days: int = Field(default=30, ge=0)
    """Periods that ended so many days ago or less are asked for again: did the provider issue them anew?"""
    max_age_days: int = Field(default=3, ge=0)
    """Age of the newest finished day from which on the product counts as out of date."""

    def since(self, today: date) -> date:
        """Return the first day that is asked for again on ``today``."""
        return max(self.start, today - timedelta(days=self.recheck_days))
