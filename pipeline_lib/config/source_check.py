"""Whether an experiment goes together with the source that it names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline_lib.data.periods import bounds
from pipeline_lib.errors import ConfigError, closest

if TYPE_CHECKING:
    from pipeline_lib.catalog import Source
    from pipeline_lib.config.experiment import DateRange
    from pipeline_lib.config.loader import LoadedExperiment

_HOURS = 24
"""Of a day."""
_STEP_TOLERANCE = 1e-6
"""Relative difference of two steps that comes from how they are written."""


def check_source(source: Source, experiment: LoadedExperiment) -> None:
    """Refuse what no stage could do; told before anything is fetched.

    Raises
    ------
    ConfigError
        If a split lies outside the source's time span, operations start amid a period, the source makes no such input,
        or states are not as far apart as a competitor's options say.
    """
    split = experiment.spec.split
    for name in ("train", "validation", "test"):
        days: DateRange = getattr(split, name)
        if days.start < source.time.start or (source.time.end is not None and days.end > source.time.end):
            raise ConfigError(
                f"{days.start} to {days.end} is not within the source's {source.time.start} to {source.time.end}",
                where=f"{experiment.name}: split.{name}",
                fix=f"choose days that {source.name} covers",
            )
    operations = experiment.spec.operations
    if operations is not None:
        where = f"{experiment.name}: operations.start"
        if source.time.end is not None and operations.start > source.time.end:
            raise ConfigError(f"{operations.start} is after the end of {source.name}", where=where)
        if bounds(source.periods(operations.start, operations.start)[0])[0] != operations.start:
            fix = f"take the first of a month, or set time.daily_from of {source.name}"
            raise ConfigError(f"{operations.start} is not the first day of a period", where=where, fix=fix)
    produced = source.dataset_variables()
    for variable in experiment.spec.inputs:
        if variable not in produced:
            raise ConfigError(
                f"source {source.name} makes no variable {variable!r}",
                where=f"{experiment.name}: inputs",
                fix=closest(variable, produced),
            )
    for name in experiment.spec.names:
        _check_step(source, experiment, name)


def _check_step(source: Source, experiment: LoadedExperiment, name: str) -> None:
    """Refuse a competitor whose options take the states to be farther apart, or closer, than the source says."""
    step, known = experiment.task.step_days(experiment.training(name)), source.time.step_hours / _HOURS
    if step is not None and not math.isclose(step, known, rel_tol=_STEP_TOLERANCE):
        raise ConfigError(
            f"is {step:g} days, the states of {source.name} are {known:g} apart",
            where=f"{experiment.name}: models.{name}.training.step",
            fix=f"set training.step: {known:g}",
        )
