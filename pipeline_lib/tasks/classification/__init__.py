"""Classification: an image in, one class for the whole of it out."""

from __future__ import annotations

from typing import Any

from pipeline_lib.tasks.classification.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.registry import TASKS

__all__ = ["Classification"]


@TASKS.register("classification")
class Classification:
    """Images in, the probability of each class out; the truth is a variable of the dataset, one class per image."""

    training_options = TrainingOptions
    scoring_options = ScoringOptions
    model_tasks = ("classification",)
    needs_labels = False
    every_time = True
    looks_back = False
    common = ()

    @staticmethod
    def reach_days(training: TrainingOptions) -> int:  # noqa: ARG004 - whatever the options
        """Return 0: an image says nothing of its neighbours in the order."""
        return 0

    @staticmethod
    def step_days(training: TrainingOptions) -> None:
        """Return nothing: time steps do not matter."""

    @staticmethod
    def variables(training: TrainingOptions, scoring: ScoringOptions) -> dict[str, tuple[str, ...]]:  # noqa: ARG004
        """Return the variable of the true classes."""
        return {"training.target": (training.target,)}

    @staticmethod
    def counted(scoring: ScoringOptions) -> dict[str, Any]:  # noqa: ARG004 - none matters
        """Return nothing: the same is counted of every image, whatever is shown of it."""
        return {}

    @staticmethod
    def check(training: TrainingOptions, scoring: ScoringOptions) -> None:
        """Accept all: every answer can be scored by all."""
