"""Generations of an experiment: the experiment itself, and one file for each model that was trained later.

A generation is an experiment ``<name>-from-<day>`` with all splits moved; it is in charge from that day on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

import yaml

from pipeline_lib.config.experiment import DateRange, Split
from pipeline_lib.config.loader import LoadedExperiment, read_experiment
from pipeline_lib.config.operations import Operations
from pipeline_lib.data.periods import bounds
from pipeline_lib.errors import ConfigError
from pipeline_lib.io.atomic import write_text
from pipeline_lib.plan import Plan

_NAME = re.compile(r"-from-\d{4}-\d{2}-\d{2}$", re.ASCII)


@dataclass(frozen=True)
class Generation:
    """One experiment and the first day on which it is in charge."""

    name: str
    start: date


def operations_of(loaded: LoadedExperiment) -> Operations:
    """Return the ``operations`` block; raise :class:`ConfigError` if the experiment has none."""
    if loaded.spec.operations is None:
        raise ConfigError("has no operations", where=loaded.name, fix="add an operations block to the experiment")
    return loaded.spec.operations


def is_generation(name: str) -> bool:
    """Whether a name is that of a later generation."""
    return _NAME.search(name) is not None


def generations(plan: Plan, experiment: str) -> list[Generation]:
    """Return all generations of an experiment in order of their days, the experiment itself first.

    Raises
    ------
    ConfigError
        If the experiment has no operations, or a generation's file is not valid.
    """
    files = sorted(plan.config.experiments_dir.glob(f"{experiment}-from-*.yaml"))
    names = [experiment, *(file.stem for file in files if _NAME.sub("", file.stem) == experiment)]
    return [Generation(name, operations_of(plan.experiment(name)).start) for name in names]


def in_charge(known: list[Generation], period: str) -> str:
    """Return the name of the generation that predicts a period."""
    first, _ = bounds(period)
    return max((g for g in known if g.start <= first), key=lambda g: g.start, default=known[0]).name


def moved_split(split: Split, days: int, *, window: str) -> Split:
    """Return a split moved forward by a number of days; with a growing window the first training day stays."""

    def moved(span: DateRange, *, start: bool = True) -> DateRange:
        by = timedelta(days=days)
        return span.model_copy(update={"start": span.start + by if start else span.start, "end": span.end + by})

    return split.model_copy(
        update={
            "train": moved(split.train, start=window == "sliding"),
            "validation": moved(split.validation),
            "test": moved(split.test),
        }
    )


def write_generation(plan: Plan, experiment: str, newest: Generation, start: date, reason: str) -> Generation:
    """Write the experiment file of a new generation that is in charge from ``start`` on.

    Parameters
    ----------
    plan
        The plan.
    experiment
        Name of the first generation; its policy holds.
    newest
        The generation that was in charge so far.
    start
        First day of the new one.
    reason
        Why there is a new one, for the head of the file.
    """
    spec = plan.experiment(newest.name).spec
    window = operations_of(plan.experiment(experiment)).retrain.window
    split = moved_split(spec.split, (start - newest.start).days, window=window)
    raw = read_experiment(plan.experiment_file(newest.name))
    raw["split"] = {**raw["split"], **split.model_dump(mode="json", include={"train", "validation", "test"})}
    raw["operations"] = {**raw["operations"], "start": start.isoformat()}
    name = f"{experiment}-from-{start.isoformat()}"
    file = plan.config.experiments_dir / f"{name}.yaml"
    head = (
        f"# Written by `python -m pipeline_lib update`: {reason}.\n# In charge from {start} on; delete it to go back.\n"
    )
    write_text(file, head + yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=120))
    return Generation(name, start)


def first_missing_day(plan: Plan, newest: Generation, start: date, window: str, on_hand: list[str]) -> date | None:
    """Return the first day of the moved split that lies in operations and is not on hand; ``None`` if all are."""
    spec = plan.experiment(newest.name).spec
    split = moved_split(spec.split, (start - newest.start).days, window=window)
    begin = operations_of(plan.experiment(_NAME.sub("", newest.name))).start
    source = plan.catalog.source(spec.source)
    there = set(on_hand)
    for span in (split.train, split.validation, split.test):
        day = max(span.start, begin)
        while day <= span.end:
            period = source.periods(day, day)[0]
            if period not in there:
                return day
            day = bounds(period)[1] + timedelta(days=1)
    return None
