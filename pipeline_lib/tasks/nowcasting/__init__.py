"""Nowcasting: the frames of the next minutes and hours from those of the last."""

from __future__ import annotations

from typing import Any

from pipeline_lib.errors import ConfigError
from pipeline_lib.tasks.nowcasting.options import ScoringOptions, TrainingOptions
from pipeline_lib.tasks.registry import TASKS

__all__ = ["Nowcasting"]


@TASKS.register("nowcasting")
class Nowcasting:
    """Frames in, the frames that follow out, compared with them lead by lead."""

    training_options = TrainingOptions
    scoring_options = ScoringOptions
    model_tasks = ("nowcasting",)
    needs_labels = False
    every_time = False
    looks_back = True
    common = ("seen", "leads", "step_minutes", "stride", "missing", "retrieval")

    @staticmethod
    def reach_days(training: TrainingOptions) -> float:  # noqa: ARG004 - the same for all options
        """Return 0: windows and forecasts lie wholly within the days of their split."""
        return 0

    @staticmethod
    def step_days(training: TrainingOptions) -> None:
        """Return nothing: frames may lie closer than those of a window, or be missing."""

    @staticmethod
    def variables(training: TrainingOptions, scoring: ScoringOptions) -> dict[str, tuple[str, ...]]:  # noqa: ARG004
        """Return what is retrieved, and the surface that this takes."""
        if (wanted := training.retrieval) is None:
            return {}
        named = {"target": wanted.target, "surface": wanted.surface}
        return {f"training.retrieval.{option}": (name,) for option, name in named.items() if name is not None}

    @staticmethod
    def counted(scoring: ScoringOptions) -> dict[str, Any]:
        """Return thresholds, scales and cells that are counted; other metrics of these count nothing again."""
        from pipeline_lib.tasks.nowcasting.counted import counted_by

        return counted_by(scoring).to_plain()

    @staticmethod
    def check(training: TrainingOptions, scoring: ScoringOptions) -> None:
        """Raise :class:`ConfigError` if a metric needs a longer forecast than is made, or a retrieval."""
        from pipeline_lib.metrics import METRICS
        from pipeline_lib.tasks.nowcasting.counted import RETRIEVED

        for name in scoring.metrics:
            metric = METRICS.get(name)
            lead = getattr(metric, "lead", None) or 0
            if getattr(metric, "part", ("",))[0] == RETRIEVED and training.retrieval is None:
                raise ConfigError(f"is missing, and {name} needs one", where="training.retrieval")
            if lead > training.leads:
                raise ConfigError(f"is {training.leads}, and {name} needs {lead}", where="training.leads")
