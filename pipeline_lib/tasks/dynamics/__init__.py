"""Dynamics: forecasts of a state from the state before it, by models that are applied again and again."""

from __future__ import annotations

import math
from typing import Any

from pipeline_lib.errors import ConfigError
from pipeline_lib.tasks.dynamics.names import SUBGRID
from pipeline_lib.tasks.dynamics.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.registry import TASKS

__all__ = ["Dynamics"]


@TASKS.register("dynamics")
class Dynamics:
    """States in, their future out, compared with it lead by lead."""

    training_options = TrainingOptions
    scoring_options = ScoringOptions
    model_tasks = ("dynamics",)
    needs_labels = False
    every_time = False
    looks_back = False
    common = ("free_run", "history")

    @staticmethod
    def reach_days(training: TrainingOptions) -> int:
        """Return the days from the first state that is known to the end of the longest forecast, training or test."""
        steps = training.history - 1 + max(training.horizon, training.forecast_steps)
        return math.ceil(steps * training.step)

    @staticmethod
    def step_days(training: TrainingOptions) -> float:
        """Return the days between two states."""
        return training.step

    @staticmethod
    def variables(training: TrainingOptions, scoring: ScoringOptions) -> dict[str, tuple[str, ...]]:
        """Return the exact term of a closure, where it is learned or scored; states are the inputs."""
        from pipeline_lib.metrics import METRICS
        from pipeline_lib.tasks.dynamics.metrics import TermMetric

        scored = any(issubclass(METRICS.get(name), TermMetric) for name in scoring.metrics)
        return {**training.named, **({"scoring.metrics": (SUBGRID,)} if scored else {})}

    @staticmethod
    def counted(scoring: ScoringOptions) -> dict[str, Any]:
        """Return the fields that are scored; counts hold every lead, whatever is shown of them."""
        plain: dict[str, Any] = scoring.model_dump(mode="json", include={"fields"})
        return plain

    @staticmethod
    def check(training: TrainingOptions, scoring: ScoringOptions) -> None:
        """Raise :class:`ConfigError` if a metric needs a longer forecast than is made, or free runs without any."""
        from pipeline_lib.metrics import METRICS
        from pipeline_lib.tasks.dynamics.metrics import FreeRunMetric

        for name in scoring.metrics:
            metric = METRICS.get(name)
            lead = getattr(metric, "lead", None) or 0
            if lead > training.forecast_steps:
                raise ConfigError(
                    f"is {training.forecast_steps}, and {name} needs {lead}", where="training.forecast_steps"
                )
            if issubclass(metric, FreeRunMetric) and training.free_run is None:
                raise ConfigError(f"is not set, and {name} needs free runs", where="training.free_run")
