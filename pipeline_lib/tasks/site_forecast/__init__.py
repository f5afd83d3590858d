"""Forecasts at a site: the next values of a series, or a sum that follows, from series and fields."""

from __future__ import annotations

from typing import Any

from pipeline_lib.errors import ConfigError
from pipeline_lib.tasks.registry import TASKS
from pipeline_lib.tasks.site_forecast.names import ASKED, STARTED_FROM
from pipeline_lib.tasks.site_forecast.options import ScoringOptions, TrainingOptions

__all__ = ["SiteForecast"]
_HOURS = 24
"""Of a day."""


@TASKS.register("site_forecast")
class SiteForecast:
    """Series and fields in, the numbers that follow at a site out, compared with them lead by lead."""

    training_options = TrainingOptions
    scoring_options = ScoringOptions
    model_tasks = ("site_forecast",)
    needs_labels = False
    every_time = False
    looks_back = True
    common = (*ASKED, *STARTED_FROM)

    @staticmethod
    def reach_days(training: TrainingOptions) -> float:
        """Return how far a sum reaches beyond the days of its split; all else lies wholly within them."""
        return (training.accumulated_hours or 0) / _HOURS

    @staticmethod
    def step_days(training: TrainingOptions) -> None:
        """Return nothing: times may lie closer than those of a window, or be missing."""

    @staticmethod
    def variables(training: TrainingOptions, scoring: ScoringOptions) -> dict[str, tuple[str, ...]]:  # noqa: ARG004
        """Return the fields of the prediction."""
        return {"training.nwp": training.nwp}

    @staticmethod
    def counted(scoring: ScoringOptions) -> dict[str, Any]:  # noqa: ARG004 - the same is counted for all metrics
        """Return nothing: no option changes what is counted."""
        return {}

    @staticmethod
    def check(training: TrainingOptions, scoring: ScoringOptions) -> None:
        """Raise :class:`ConfigError` if a metric needs what is not forecast, or nobody knows how far a sum reaches."""
        from pipeline_lib.metrics import METRICS

        if training.accumulated and training.accumulated_hours is None:
            what = "is missing: how many hours after its start does the sum end?"
            raise ConfigError(what, where="training.accumulated_hours", fix="give them; splits must be so far apart")
        for name in scoring.metrics:
            metric = METRICS.get(name)
            lead = getattr(metric, "lead", None) or 0
            if lead > training.leads:
                raise ConfigError(f"is {training.leads}, and {name} needs {lead}", where="training.leads")
            if getattr(metric, "of_prediction", False) and not training.nwp:
                raise ConfigError(f"{name} compares with a prediction", where="training.nwp", fix="name its fields")
            targets = getattr(metric, "targets", training.targets)
            if targets != training.targets:
                raise ConfigError(f"is {training.targets}, and {name} is of {targets}", where="training.targets")
