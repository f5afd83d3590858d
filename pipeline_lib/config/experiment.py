"""An experiment: one data source, labels, models, seeds, splits and metrics, as one YAML file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from pipeline_lib.config.operations import Operations
from pipeline_lib.distinct import DIFFERENT
from pipeline_lib.errors import ConfigError, closest
from pipeline_lib.options import Options

_DAY = timedelta(days=1)

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
"""A model's name in an experiment: snake_case."""
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=60)]
"""A source's or an experiment's name: kebab-case."""


def _different(seeds: list[int]) -> list[int]:
    if len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ValueError("seeds must be different and not negative")
    return seeds


Seeds = Annotated[list[int], Field(min_length=1), AfterValidator(_different)]
"""Different seeds, 0 or larger."""


class DateRange(Options):
    """Days from ``start`` to ``end``, both included, or from one moment to another where times of day are given."""

    start: date
    """First day."""
    end: date
    """Last day."""
    from_time: time | None = None
    """Moment of the first day that begins the range, UTC; the whole day without it."""
    to_time: time | None = None
    """Last moment of the last day that belongs to the range, UTC; the whole day without it."""

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        if len(value) != 2:
            raise ValueError("write a range as [first day, last day]")
        found: dict[str, object] = {}
        for day_name, time_name, moment in zip(("start", "end"), ("from_time", "to_time"), value, strict=True):
            day, _, clock = str(moment).replace("T", " ").partition(" ")
            found |= {day_name: day, time_name: clock or None}
        return found

    @model_serializer(mode="wrap")
    def _without_times(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return {name: value for name, value in plain.items() if value is not None}

    @field_validator("from_time", "to_time")
    @classmethod
    def _plain(cls, clock: time | None) -> time | None:
        if clock is not None and clock.tzinfo is not None:
            raise ValueError("times are UTC: write them without a zone")
        return clock

    @model_validator(mode="after")
    def _forward(self) -> DateRange:
        if self.until <= self.since:
            raise ValueError(f"ends on {self.last}, before it starts on {self.first}")
        return self

    @property
    def first(self) -> date:
        """The first day, or the first moment."""
        return self.start if self.from_time is None else datetime.combine(self.start, self.from_time)

    @property
    def last(self) -> date:
        """The last day, or the last moment."""
        return self.end if self.to_time is None else datetime.combine(self.end, self.to_time)

    @property
    def since(self) -> datetime:
        """The moment at which it begins."""
        return datetime.combine(self.start, self.from_time or time())

    @property
    def until(self) -> datetime:
        """The moment at which it is over."""
        return datetime.combine(self.end, self.to_time) if self.to_time else datetime.combine(self.end, time.max)


class Split(Options):
    """Which days train, validate and test, with empty days between them."""

    train: DateRange
    """Days that training and the statistics may see."""
    validation: DateRange
    """Days on which early stopping and the choice of the best checkpoint look."""
    test: DateRange
    """Days that are scored."""
    gap_days: float = Field(10, ge=0)
    """Days that must lie between two splits, besides the days a sample reaches back or ahead; parts of days count
    where a split begins or ends at a time of day."""
    allow_test_before_train: bool = False
    """Accept a test range that lies before the training range."""

    def check_gaps(self, reach_days: float = 0) -> None:
        """Raise ``ValueError`` if splits overlap, touch, or are nearer than the gap plus the days a sample reaches."""
        named = sorted((("train", self.train), ("validation", self.validation), ("test", self.test)), key=_start)
        needed = self.gap_days + reach_days
        for (first, a), (second, b) in pairwise(named):
            between = (b.since - a.until) / _DAY
            if b.since <= a.until:
                raise ValueError(f"{first} and {second} overlap: {first} ends {a.last}, {second} starts {b.first}")
            if a.to_time is None and b.from_time is None:
                between = round(between)
                needed = math.ceil(needed)
            if between < needed:
                raise ValueError(
                    f"{between:g} days lie between {first} (ends {a.last}) and {second} (starts {b.first}), "
                    f"{needed:g} are needed: {_advice(a, b, second, needed)}"
                )
        if self.test.until < self.train.since and not self.allow_test_before_train:
            raise ValueError("test lies before train: set allow_test_before_train if that is meant")

    @model_validator(mode="after")
    def _apart(self) -> Split:
        self.check_gaps()
        return self


def _advice(a: DateRange, b: DateRange, second: str, needed: float) -> str:
    """Return when the second of two splits may start, if the calendar reaches so far."""
    try:
        whole = a.to_time is None and b.from_time is None
        earliest = a.end + timedelta(days=needed + 1) if whole else a.until + timedelta(days=needed)
    except OverflowError:
        return "no calendar reaches so far, set a smaller number"
    return f"start {second} on {earliest} or later"


def _start(item: tuple[str, DateRange]) -> datetime:
    return item[1].since


class LabelOptions(Options):
    """Which labeller makes the truth, and how."""

    labeller: str
    """Name of a registered labeller."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of that labeller."""


class ModelEntry(Options):
    """One competitor of an experiment."""

    name: Name
    """Name in paths, tables and figures; unique in the experiment."""
    model: str
    """Name of a registered model."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of that model."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Training options that differ from the experiment's."""
    seeds: Seeds | None = None
    """Seeds of this competitor, where they differ from the experiment's."""
    label: str | None = None
    """Title in tables and figures; changing it runs nothing again but the report."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        if isinstance(value, str):
            return {"name": value, "model": value}
        if isinstance(value, Mapping) and "name" in value and "model" not in value:
            return {**value, "model": value["name"]}
        return value


class Experiment(Options):
    """A comparison of models on one dataset."""

    title: str
    """Title of the report."""
    description: str = ""
    """A few sentences for the head of the report."""
    task: str
    """The kind of problem; a registered task."""
    source: Slug
    """The catalog entry that the dataset is made of."""
    labels: LabelOptions | None = None
    """The labels, for tasks that need them."""
    inputs: Annotated[list[str], DIFFERENT] = Field(min_length=1)
    """Dataset variables that networks see, in order."""
    split: Split
    """Training, validation and test days."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Training options of the task, for all models of this experiment."""
    scoring: dict[str, Any] = Field(default_factory=dict)
    """Scoring options of the task."""
    models: list[ModelEntry] = Field(min_length=1)
    """The competitors, baselines included."""
    seeds: Seeds = Field(default=[0])
    """Seeds of every model that has randomness."""
    published: Annotated[list[str], DIFFERENT] = Field(default_factory=list)
    """Published tables to show beside our numbers."""
    operations: Operations | None = None
    """What happens with periods after the test; without it, nothing does."""

    @model_validator(mode="after")
    def _operations_after_the_test(self) -> Experiment:
        if self.operations is not None:
            last = max(days.end for days in (self.split.train, self.split.validation, self.split.test))
            if self.operations.start <= last:
                raise ValueError(f"operations start on {self.operations.start}, before the split ends on {last}")
            for name in self.operations.models:
                if name not in self.names:
                    raise ValueError(f"operations.models: no model is called {name!r}; {closest(name, self.names)}")
        return self

    @model_validator(mode="after")
    def _unique_names(self) -> Experiment:
        twice = sorted({n for n in self.names if self.names.count(n) > 1})
        if twice:
            raise ValueError(f"two models are called {twice[0]!r}: give one another name")
        return self

    def entry(self, name: str) -> ModelEntry:
        """Return the competitor called ``name``; raise :class:`ConfigError` if there is none."""
        for model in self.models:
            if model.name == name:
                return model
        raise ConfigError(f"no model is called {name!r}", where="models", fix=closest(name, self.names))

    @property
    def names(self) -> list[str]:
        """Names of the competitors, in the order of the file."""
        return [model.name for model in self.models]

    @property
    def in_use(self) -> list[str]:
        """Names of the models that predict operational periods, in the order of the ``operations`` block."""
        return list(self.operations.models or self.names) if self.operations is not None else []

    def seeds_of(self, name: str) -> list[int]:
        """Return the seeds with which a competitor is run."""
        entry = self.entry(name)
        return list(self.seeds if entry.seeds is None else entry.seeds)
