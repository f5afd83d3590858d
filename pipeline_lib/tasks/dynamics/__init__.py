"""Dynamics: forecasts of a state from the state before it, by models that are applied again and again."""

from __future__ import annotations

import math
from typing import Any

from pipeline_lib.options import Options
from pipeline_lib.tasks.dynamics.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.registry import TASKS

__all__ = ["Dynamics"]


@TASKS.register("dynamics")
class Dynamics:
    """States in, their future out, compared with it lead by lead."""

    TrainingOptions = TrainingOptions
    ScoringOptions = ScoringOptions
    model_tasks = ("dynamics",)
    needs_labels = False

    @staticmethod
    def reach_days(training: Options) -> int:
        """Return the days that the longest forecast reaches ahead, of training or of test."""
        if not isinstance(training, TrainingOptions):
            raise TypeError("training must be TrainingOptions")
        return math.ceil(max(training.horizon, training.forecast_steps) * training.step)

    @staticmethod
    def counted(scoring: Options) -> dict[str, Any]:  # noqa: ARG004 - none matters
        """Return nothing: counts hold every lead, whatever is shown of them."""
        return {}
