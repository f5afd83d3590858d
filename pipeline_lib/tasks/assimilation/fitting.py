"""Which options go with which models: said when an experiment is planned, and again when a model is trained."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline_lib.errors import ConfigError
from pipeline_lib.tasks.assimilation.options import MethodOptions, TrainingOptions

_OF_WINDOWS = frozenset({"window", "margin"})
"""Options of a method that serve networks that fill windows, too."""


def require_two(inputs: Sequence[str]) -> None:
    """Raise :class:`ConfigError` unless the inputs are states and observations."""
    if len(inputs) != 2:
        fix = "name the states and the observations of them"
        raise ConfigError(f"are {', '.join(inputs)}", where="inputs", fix=fix)


def refuse_prior_loss(model: str, training: TrainingOptions) -> None:
    """Refuse a weight of the loss of a prior for what has none.

    Raises
    ------
    ConfigError
        If it is not the usual one.
    """
    if training.prior_loss != TrainingOptions().prior_loss:
        raise ConfigError(f"{model} has no prior", where="training.prior_loss", fix="leave it out")


def refuse_unused(model: str, training: TrainingOptions) -> None:
    """Refuse options that networks which fill windows do not use, and the lack of one that they need.

    Raises
    ------
    ConfigError
        Naming the option.
    """
    method, usual = training.assimilation, MethodOptions()
    if method.window is None:
        raise ConfigError(
            f"{model} fills windows", where="training.assimilation.window", fix="set their length in time steps"
        )
    if training.from_age:
        raise ConfigError(f"{model} learns from windows of all ages", where="training.from_age", fix="leave it out")
    if training.loss_scale != TrainingOptions().loss_scale:
        fix = "leave it out"
        raise ConfigError(f"{model} has a loss of its own", where="training.loss_scale", fix=fix)
    if training.named:
        raise ConfigError(f"{model} has no closure", where="training.target", fix="leave it out")
    if training.optimizer == "levenberg_marquardt":
        raise ConfigError(
            "fits models that make forecasts", where="training.optimizer", fix="choose adam or sgd to fill windows"
        )
    for name in MethodOptions.model_fields:
        if name not in _OF_WINDOWS and getattr(method, name) != getattr(usual, name):
            raise ConfigError(
                f"{model} fills windows by itself", where=f"training.assimilation.{name}", fix="leave it out"
            )
