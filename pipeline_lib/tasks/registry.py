"""The registry of tasks and what a task must offer."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from pipeline_lib.options import Options
from pipeline_lib.registry import Registry

TaskStage = Literal["train", "predict", "score", "report"]
TrainingT = TypeVar("TrainingT", bound=Options, contravariant=True)
ScoringT = TypeVar("ScoringT", bound=Options, contravariant=True)


class Task(Protocol[TrainingT, ScoringT]):
    """A kind of problem with its options for training and scoring, as planning sees it."""

    training_options: ClassVar[type[Options]]
    """Options of the ``training:`` block of an experiment and of its models."""
    scoring_options: ClassVar[type[Options]]
    """Options of the ``scoring:`` block of an experiment."""
    model_tasks: ClassVar[tuple[str, ...]]
    """Tasks whose models this one takes, by the name on their cards."""
    needs_labels: ClassVar[bool]
    """Whether the label stage runs for experiments of this kind."""
    every_time: ClassVar[bool]
    """Whether products hold every time of their dataset. If not, the counts say which they hold, and competitors must
    agree in them."""
    looks_back: ClassVar[bool]
    """Whether products of a period are made from the end of the period before as well, as forecasts from starts that a
    test may thin out; ``product`` then takes ``before`` and ``thinned``."""
    common: ClassVar[tuple[str, ...]]
    """Training options that all competitors must have in common to be comparable, as dotted paths of names."""

    @staticmethod
    def reach_days(training: TrainingT) -> float:
        """Return how many days lie between the first field that a sample sees and the last that it is to predict.

        Splits must be so much farther apart: otherwise a training sample would hold days of the test.
        """
        ...

    @staticmethod
    def step_days(training: TrainingT) -> float | None:
        """Return how far apart two fields are by the options, ``None`` if these do not say; the source must agree."""
        ...

    @staticmethod
    def variables(training: TrainingT, scoring: ScoringT) -> dict[str, tuple[str, ...]]:
        """Return the variables that options name, by place within the experiment; the source must make them."""
        ...

    @staticmethod
    def counted(scoring: ScoringT) -> dict[str, Any]:
        """Return the scoring options on which the counts of a run depend; a change of others counts nothing again."""
        ...

    @staticmethod
    def check(training: TrainingT, scoring: ScoringT) -> None:
        """Raise :class:`ConfigError`, with ``where`` within the experiment, if these options do not go together."""
        ...


AnyTask = type[Task[Any, Any]]

TASKS: Registry[AnyTask] = Registry("task", "TASKS", "pipeline_lib.tasks")


def stage_module(task: str, stage: TaskStage) -> ModuleType:
    """Import and return the module that does ``stage`` for ``task``."""
    return importlib.import_module(f"{TASKS.module(task)}.{stage}")
