"""Options of the assimilation task."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import Field, model_validator

from pipeline_lib.options import Options
from pipeline_lib.score.options import MetricOptions
from pipeline_lib.tasks.dynamics.options import TrainingOptions as DynamicsOptions

_ENSEMBLES = frozenset({"enkf", "etkf", "enks", "enrts"})
_SERVES: Mapping[str, tuple[frozenset[str], str]] = MappingProxyType(
    {
        "members": (_ENSEMBLES, "has no members"),
        "inflation": (_ENSEMBLES, "has no members to inflate"),
        "model_error": (_ENSEMBLES, "adds no random error to its forecasts"),
        "localisation": (_ENSEMBLES - {"enrts"}, "is not localised"),
        "lag": (frozenset({"enks"}), "knows no lag"),
        "background_factor": (frozenset({"3dvar"}), "has no covariance that stays the same"),
        "iterations": (frozenset({"strong_4dvar", "weak_4dvar"}), "does not iterate"),
        "stages": (frozenset({"strong_4dvar"}), "has no window that grows"),
        "minimiser": (frozenset({"weak_4dvar"}), "is not minimised by {value}"),
        "model_weight": (frozenset({"weak_4dvar"}), "does not weigh the model against observations"),
    }
)
"""Methods that an option serves, and what is to be said of the others: an option without effect misleads."""


class MethodOptions(Options):
    """How observations and model are brought together."""

    method: Literal["enkf", "etkf", "enks", "enrts", "3dvar", "strong_4dvar", "weak_4dvar"] = "enkf"
    """Stochastic or transform ensemble Kalman filter; ensemble Kalman smoother, in which each analysis moves the past
    too; smoother of Rauch, Tung and Striebel, a backward pass after the stochastic filter; variational, one time after
    another with the covariance of the training states, or over a window with an exact model or one that may err."""
    members: int = Field(default=100, ge=2)
    """Of an ensemble; of no effect otherwise, and refused, as is whatever else a method does not use."""
    inflation: float = Field(default=1.0, gt=0)
    """Factor on the deviations of the members from their mean, before each analysis."""
    localisation: float | None = Field(default=None, gt=0)
    """Half-width, in sites of a ring, of the taper on covariances; of ``enks`` also on those with past states. Null for
    none."""
    model_error: float = Field(default=0.0, ge=0)
    """Standard deviation, in the unit of the states, of the random error that is added to the members after each time
    step."""
    lag: int | None = Field(default=None, ge=0)
    """Of ``enks``: time steps before an observation that it moves; null for all of the window."""
    window: int | None = Field(default=None, gt=1)
    """Time steps that are analysed together, each window by itself; null for whole periods, not of ``strong_4dvar``:
    over so long a chaotic flow forgets its start."""
    start: Literal["climatology", "truth"] = "climatology"
    """What is known at the start of a window: how training states are distributed, or the true state (twins only) with
    an error. ``weak_4dvar`` has no term for it."""
    start_variance: float = Field(default=0.1, gt=0)
    """Variance of that error around the true state: of members, and of the start in ``strong_4dvar``."""
    margin: int = Field(default=0, ge=0)
    """Time steps at both ends of a window whose observations nobody sees. All competitors need the same."""
    background_factor: float = Field(default=1.0, gt=0)
    """Of ``3dvar``: factor on the covariance of the training states; where observations are many, forecasts from
    analyses err less than states drawn at random would."""
    iterations: int = Field(default=100, gt=0)
    """Of the minimisation of 4D-Var; of each stage."""
    stages: int = Field(default=1, gt=0)
    """Of ``strong_4dvar``: lengths through which each window grows, evenly, each minimisation starting where the one
    before has ended (Pires, Vautard and Talagrand 1996). The cost of a chaotic model over a long window has many
    minima; a single stage ends in one near its start."""
    minimiser: Literal["lbfgs", "gradient_descent"] = "lbfgs"
    """Of ``weak_4dvar``: a quasi-Newton method, or steps of one fixed length along the gradient (FSGD)."""
    descent_step: float = Field(default=100.0, gt=0)
    """Of ``gradient_descent``: factor on the gradient of the cost, a mean over the entries of a window: the shorter the
    window or the larger ``model_weight``, the smaller it must be. Where it is too large a window runs away, and the run
    is invalid. 100 is what scripts of 4DVarNet take for windows of Lorenz 1996."""
    model_weight: float = Field(default=1.0, gt=0)
    """Of ``weak_4dvar``: weight of the model's term against that of the observations, both in normalised states."""

    @model_validator(mode="after")
    def _used(self) -> MethodOptions:
        for name, (methods, lack) in _SERVES.items():
            value = getattr(self, name)
            if value != self._default(name) and self.method not in methods:
                raise ValueError(f"{self.method} {lack.format(value=value)}: leave {name} out")
        if self.descent_step != self._default("descent_step") and self.minimiser != "gradient_descent":
            raise ValueError(f"{self.minimiser} takes steps of its own length: leave descent_step out")
        if self.method == "weak_4dvar" and self.start == "truth":
            # The true values would fill the components that nobody observes, and nothing else.
            raise ValueError("weak_4dvar has no term for what is known at the start: leave start out")
        if self.start_variance != self._default("start_variance"):
            if self.start != "truth":
                raise ValueError(
                    "there is no error around the true state: leave start_variance out, or set start: truth"
                )
            if self.method == "3dvar":
                raise ValueError("3dvar takes the covariance of the training states: leave start_variance out")
        return self

    @model_validator(mode="after")
    def _whole(self) -> MethodOptions:
        if self.method == "enks" and self.window is None and self.lag is None:
            raise ValueError("enks over whole periods needs a lag: its cost grows with the square of the length")
        if self.margin and (self.window is None or 2 * self.margin >= self.window):
            raise ValueError(f"margin {self.margin}: needs a window of more than {2 * self.margin} time steps")
        if self.method == "strong_4dvar" and self.window is None:
            raise ValueError("strong_4dvar over whole periods follows one start for too long: set window")
        if self.window is not None and self.stages > self.window:
            raise ValueError(f"a window of {self.window} time steps grows in as many stages at most")
        return self

    @classmethod
    def _default(cls, name: str) -> object:
        return cls.model_fields[name].default


class TrainingOptions(DynamicsOptions):
    """How the model is trained that makes the forecasts, and how it is used."""

    assimilation: MethodOptions = MethodOptions()
    """How observations are brought in."""
    prior_loss: float = Field(default=0.1, ge=0)
    """Of networks with a prior: weight of its error on found and true states against the error of the states."""

    @model_validator(mode="after")
    def _analyses_only(self) -> TrainingOptions:
        for name in ("free_run", "forecast_steps", "history"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"assimilation makes analyses and stores no forecasts: leave {name} out")
        return self


class ScoringOptions(MetricOptions):
    """What is scored, and how."""

    metrics: list[str] = Field(
        default=["analysis_rmse", "observed_rmse", "unobserved_rmse", "spread_skill"], min_length=1
    )
    """Registered metrics, in the order of the leaderboard."""
