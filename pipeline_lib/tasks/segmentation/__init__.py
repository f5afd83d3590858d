"""Segmentation: every cell of a map gets a class, such as no eddy, anticyclonic or cyclonic eddy."""

from __future__ import annotations

from pipeline_lib.tasks.registry import TASKS
from pipeline_lib.tasks.segmentation.classes import CLASSES
from pipeline_lib.tasks.segmentation.scoring_options import ScoringOptions
from pipeline_lib.tasks.segmentation.training_options import TrainingOptions

__all__ = ["CLASSES", "Segmentation"]


@TASKS.register("segmentation")
class Segmentation:
    """Maps in, class maps out, compared cell by cell and object by object."""

    TrainingOptions = TrainingOptions
    ScoringOptions = ScoringOptions
    needs_labels = True
    figures = ("maps", "best_and_worst", "leaderboard", "loss_curves", "scores_over_time", "confusion")
