"""Options of the dynamics task."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline_lib.learning.device import Precision
from pipeline_lib.score.options import MetricOptions
from pipeline_lib.tasks.dynamics.names import SUBGRID
from pipeline_lib.train.options import LoopOptions

_ROUNDING = 1e-6
"""Relative error of a number of steps that comes from rounding."""


class TrainingOptions(LoopOptions):
    """How a network that advances states is trained."""

    batch_size: int = Field(default=32, gt=0)
    """Windows per step."""
    windows: int | None = Field(default=10_000, gt=0)
    """Windows per epoch, drawn anew each time, each once before one comes again; null takes every window of the
    training days."""
    target: Literal["state", "subgrid"] = "state"
    """What is learned from: the states that follow, through the solver (a-posteriori); or ``subgrid``, a variable of
    the source beside the states that is the exact answer of a closure to each of them, without a solver (a-priori). The
    trained model makes forecasts all the same."""
    horizon: int = Field(default=5, gt=0)
    """Steps of the forecasts that the loss sees; of ``target: subgrid`` there are none."""
    history: int = Field(default=1, gt=0)
    """True states that a forecast starts from, the present one included: the same for all competitors. Models without a
    memory are refused where it is not 1; some models have an option to see fewer. The first states of a trajectory, and
    of a month, are the start of no forecast."""
    from_age: int = Field(default=0, ge=0)
    """Time steps after the start of its trajectory from which on a forecast of training or validation may begin.
    It matters where a source holds several trajectories; of a single one, it counts from the first day of a split."""
    forecast_steps: int = Field(default=29, gt=0)
    """Steps of the forecasts that the trained model makes."""
    free_run: float | None = Field(default=None, gt=0, le=28)
    """Days (of a simulation: units of time) after which a free run starts again from the truth; null makes no free
    runs. They go through each month by itself, and through each trajectory, from its first state on, and those that
    its end cuts short do not count."""
    step: float = Field(default=0.01, gt=0)
    """Days (of a simulation: units of time) between two states."""
    noise: float = Field(default=0.0, ge=0)
    """Standard deviation, in the unit of the states, of white noise that is added once to the states of training and
    validation: a model that learns from observations. The test stays as it is."""
    # One choice more than the loop has, which never sees it.
    optimizer: Literal["adam", "sgd", "rmsprop", "levenberg_marquardt"] = "adam"  # type: ignore[assignment]
    """Adam, or stochastic gradient descent with ``momentum``. ``levenberg_marquardt`` fits all windows at once, in
    float64 and on the CPU, in up to ``max_epochs`` iterations: for networks of a few hundred parameters. It is not
    interrupted ahead of a time limit; it starts again."""
    loss_scale: float = Field(default=1000.0, gt=0)
    """The loss is the mean squared error of normalised states, times this; of ``target: subgrid`` that of the term, as
    the change of a normalised state in one time step."""

    precision: Precision = "float32"
    """Rounding adds up in states that are advanced step by step; ``auto`` takes bfloat16 all the same where the
    hardware computes in it, float32 elsewhere. ``float64`` is for exact data."""

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """Variables of the source that are learned from besides the inputs, by place within the experiment."""
        return {"training.target": (SUBGRID,)} if self.target == SUBGRID else {}

    @model_validator(mode="after")
    def _whole_runs(self) -> Self:
        if self.free_run is not None:
            steps = self.free_run / self.step
            if round(steps) < 2 or abs(steps - round(steps)) > _ROUNDING * steps:
                raise ValueError(f"free_run is {self.free_run:g}, not two or more whole steps of {self.step:g}")
        return self


class ScoringOptions(MetricOptions):
    """What is scored, and how."""

    metrics: list[str] = Field(
        default=["explained_variance_1", "explained_variance_10", "explained_variance_20", "explained_variance_28"],
        min_length=1,
    )
    """Registered metrics, in the order of the leaderboard."""
    fields: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, min_length=1)
    """Entries of the first axis of a state that are scored, counted from 0; null scores all. A force that is given
    belongs to the state but not to its score."""
