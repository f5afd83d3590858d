"""Whether an experiment goes together with the source that it names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline_lib.config.case import check_cases
from pipeline_lib.data.periods import bounds
from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.label.registry import LABELLERS
from pipeline_lib.models.registry import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
        If a split lies outside the source's time span, operations start amid a period, the source does not make an
        input or another variable that is named or needed, states are not as far apart as a competitor's options say,
        or a task or model refuses what they show (:mod:`pipeline_lib.config.case`).
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
    for place, variables in _variables(experiment):
        for variable in variables:
            if variable not in produced:
                raise ConfigError(
                    f"source {source.name} makes no variable {variable!r}",
                    where=f"{experiment.name}: {place}",
                    fix=closest(variable, produced),
                )
    for name in experiment.spec.names:
        _check_step(source, experiment, name)
    check_cases(source, experiment)


def _variables(experiment: LoadedExperiment) -> Iterator[tuple[str, Sequence[str]]]:
    """Give the variables of the dataset that an experiment names, or what it names needs, each with its place."""
    spec = experiment.spec
    yield "inputs", spec.inputs
    if spec.labels is not None:
        yield "labels.labeller", LABELLERS.get(spec.labels.labeller).needs
    for name in spec.names:
        yield f"models.{name}", getattr(MODELS.get(spec.entry(name).model), "needs", ())
        for place, variables in experiment.task.variables(experiment.training(name), experiment.scoring).items():
            # What is scored is one for all competitors.
            yield place if place.startswith("scoring.") else f"models.{name}.{place}", variables


def _check_step(source: Source, experiment: LoadedExperiment, name: str) -> None:
    """Refuse a competitor whose options take the states to be farther apart, or closer, than the source says."""
    step, known = experiment.task.step_days(experiment.training(name)), source.time.step_hours / _HOURS
    if step is not None and not math.isclose(step, known, rel_tol=_STEP_TOLERANCE):
        raise ConfigError(
            f"is {step:g} days, the states of {source.name} are {known:g} apart",
            where=f"{experiment.name}: models.{name}.training.step",
            fix=f"set training.step: {known:g}",
        )
