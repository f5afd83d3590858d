"""Segmentation: every cell of a map gets a class, such as no eddy, anticyclonic or cyclonic eddy."""

from __future__ import annotations

from typing import Any

from pipeline_lib.tasks.registry import TASKS
from pipeline_lib.tasks.segmentation.classes import CLASSES
from pipeline_lib.tasks.segmentation.scoring_options import ScoringOptions
from pipeline_lib.tasks.segmentation.training_options import TrainingOptions

__all__ = ["CLASSES", "Segmentation"]


@TASKS.register("segmentation")
class Segmentation:
    """Maps in, class maps out, compared cell by cell and object by object."""

    training_options = TrainingOptions
    scoring_options = ScoringOptions
    model_tasks = ("segmentation",)
    needs_labels = True
    every_time = True
    looks_back = False
    common = ()

    @staticmethod
    def reach_days(training: TrainingOptions) -> int:  # noqa: ARG004 - the same for all options
        """Return 0: a sample is one map and its classes."""
        return 0

    @staticmethod
    def step_days(training: TrainingOptions) -> None:
        """Return nothing: time steps do not matter."""

    @staticmethod
    def variables(training: TrainingOptions, scoring: ScoringOptions) -> dict[str, tuple[str, ...]]:  # noqa: ARG004 - of scoring
        """Return the variable that marks the sea."""
        return {"scoring.sea_variable": (scoring.sea_variable,)}

    @staticmethod
    def counted(scoring: ScoringOptions) -> dict[str, Any]:
        """Return what the counts per date depend on: mask, objects and patches, not metrics or intervals."""
        plain: dict[str, Any] = scoring.model_dump(mode="json", include={"sea_variable", "objects", "patches"})
        return plain

    @staticmethod
    def check(training: TrainingOptions, scoring: ScoringOptions) -> None:
        """Accept all: any patch suits any score."""
