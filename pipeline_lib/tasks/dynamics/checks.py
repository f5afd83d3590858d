"""What planning can tell of forecasts of states from their options and the source's catalog entry."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline_lib.config.case import Case
from pipeline_lib.errors import ConfigError
from pipeline_lib.metrics import METRICS
from pipeline_lib.models.states import StateModel

_ASKED_FOR = ("mean_height", "kinetic_energy")
"""Diagnostics that metrics ask for."""


def check_case(case: Case) -> None:
    """Refuse a competitor that cannot be scored as the experiment asks for.

    Raises
    ------
    ConfigError
        With the first mistake.
    """
    if len(case.inputs) != 1:
        raise ConfigError("a state is one variable", where="inputs", fix=f"name one of {', '.join(case.inputs)}")
    _check_fields(case.scoring.fields, case.dataset.of(case.inputs[0]).shape)
    _check_diagnostics(case)
    _check_lengths(case)


def _check_fields(fields: Sequence[int] | None, shape: tuple[int, ...] | None) -> None:
    """Refuse fields that states of such a shape do not have, and those that would count twice."""
    if fields is None:
        return
    if len(set(fields)) < len(fields):
        raise ConfigError("names a field twice", where="scoring.fields", fix="name each once")
    if shape is not None and (len(shape) == 1 or max(fields) >= shape[0]):
        there = "no fields" if len(shape) == 1 else f"fields from 0 to {shape[0] - 1}"
        raise ConfigError(f"the states have {there}, not {max(fields)}", where="scoring.fields", fix="correct it")


def _check_diagnostics(case: Case) -> None:
    """Refuse metrics of what the model does not know of its states."""
    known = case.model.diagnosed(case.options) if issubclass(case.model, StateModel) else frozenset()
    for metric in case.scoring.metrics:
        counted = getattr(METRICS.get(metric), "above", "")
        lacking = [name for name in _ASKED_FOR if counted.startswith(name) and name not in known]
        if lacking:
            needs, title = getattr(METRICS.get(metric), "needs", "more"), case.model.card.title
            raise ConfigError(
                f"{metric} needs {needs}, and {title} does not know its {lacking[0].replace('_', ' ')}",
                where="scoring.metrics",
                fix="leave the metric or the model out",
            )


def _check_lengths(case: Case) -> None:
    """Refuse forecasts and free runs that are longer than all there is to compare them with."""
    training = case.training
    before = training.history - 1
    longest = min(case.times["test"], case.dataset.sequence or case.times["test"])
    if before + training.forecast_steps >= longest:
        raise ConfigError(
            f"is {training.forecast_steps}, the longest stretch of the test holds {longest} states",
            where="training.forecast_steps",
            fix="forecast fewer steps, or choose more days",
        )
    if training.free_run is None:
        return
    steps = round(training.free_run / training.step)
    room = min(max(inside for _, inside in case.periods), longest)
    if before + steps > room:
        raise ConfigError(
            f"is {steps} states long, no period of the test holds more than {room}: no run would be whole",
            where="training.free_run",
            fix=f"set {(room - before) * training.step:g} or less, or choose more days",
        )
