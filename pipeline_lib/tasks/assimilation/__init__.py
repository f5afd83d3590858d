"""Assimilation: states from partial, noisy observations of them, with the help of a model of how they change."""

from __future__ import annotations

import math
from typing import Any

from pipeline_lib.tasks.assimilation.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.registry import TASKS

__all__ = ["Assimilation"]


@TASKS.register("assimilation")
class Assimilation:
    """Observations in, states out; the models are those of ``dynamics``, as forecast operators."""

    training_options = TrainingOptions
    scoring_options = ScoringOptions
    model_tasks = ("dynamics", "assimilation")
    needs_labels = False
    every_time = True
    looks_back = False
    common = ("assimilation.start", "assimilation.margin")

    @staticmethod
    def reach_days(training: TrainingOptions) -> int:
        """Return the days that the forecasts of training reach ahead."""
        return math.ceil(training.horizon * training.step)

    @staticmethod
    def step_days(training: TrainingOptions) -> float:
        """Return the days between two states."""
        return training.step

    @staticmethod
    def variables(training: TrainingOptions, scoring: ScoringOptions) -> dict[str, tuple[str, ...]]:  # noqa: ARG004 - whatever is scored
        """Return the exact term of a closure, where it is learned; states and observations are the inputs."""
        return training.named

    @staticmethod
    def counted(scoring: ScoringOptions) -> dict[str, Any]:  # noqa: ARG004 - none matters
        """Return nothing: counts hold all that metrics need."""
        return {}

    @staticmethod
    def check(training: TrainingOptions, scoring: ScoringOptions) -> None:
        """Accept all: every analysis can be scored by all."""
