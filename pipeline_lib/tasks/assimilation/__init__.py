"""Assimilation: states from partial, noisy observations of them, with the help of a model of how they change."""

from __future__ import annotations

import math
from typing import Any

from pipeline_lib.options import Options
from pipeline_lib.tasks.assimilation.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.registry import TASKS

__all__ = ["Assimilation"]


@TASKS.register("assimilation")
class Assimilation:
    """Observations in, states out; the models are those of ``dynamics``, as forecast operators."""

    TrainingOptions = TrainingOptions
    ScoringOptions = ScoringOptions
    model_tasks = ("dynamics", "assimilation")
    needs_labels = False
    every_time = True
    looks_back = False
    common = ("assimilation.start", "assimilation.margin")

    @staticmethod
    def reach_days(training: Options) -> int:
        """Return the days that the forecasts of training reach ahead."""
        if not isinstance(training, TrainingOptions):
            raise TypeError("training must be TrainingOptions")
        return math.ceil(training.horizon * training.step)

    @staticmethod
    def step_days(training: Options) -> float:
        """Return the days between two states."""
        if not isinstance(training, TrainingOptions):
            raise TypeError("training must be TrainingOptions")
        return training.step

    @staticmethod
    def variables(training: Options, scoring: Options) -> dict[str, tuple[str, ...]]:  # noqa: ARG004 - whatever is scored
        """Return the exact term of a closure, where it is learned; states and observations are the inputs."""
        if not isinstance(training, TrainingOptions):
            raise TypeError("training must be TrainingOptions")
        return training.named

    @staticmethod
    def counted(scoring: Options) -> dict[str, Any]:  # noqa: ARG004 - none matters
        """Return nothing: counts hold all that metrics need."""
        return {}

    @staticmethod
    def check(training: Options, scoring: Options) -> None:
        """Accept all: every analysis can be scored by all."""
