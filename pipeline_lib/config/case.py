"""One competitor of an experiment with all that is known of it before anything is fetched, and its checks."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pipeline_lib.config.outlook import Outlook, outlook_of, times_in
from pipeline_lib.errors import ConfigError
from pipeline_lib.models.registry import MODELS
from pipeline_lib.tasks.registry import TASKS

if TYPE_CHECKING:
    from pipeline_lib.catalog import Source
    from pipeline_lib.config.experiment import DateRange
    from pipeline_lib.config.loader import LoadedExperiment
    from pipeline_lib.models.base import Model

_HOURS = 24
"""Of a day."""
_ONE = ("inputs", "scoring", "split")
"""Keys of an experiment that all competitors share."""


@dataclass(frozen=True)
class Case:
    """A competitor, as the ``checks`` of a task see it.

    Attributes
    ----------
    inputs
        Dataset variables, in order.
    name, model, options
        The model's registered name and class, and its options.
    training, scoring
        Options of the task.
    dataset
        What is known of it.
    times
        Time steps of each split, by its name, if none is missing.
    periods
        Time steps of each period of the test, wholly and without the days that are not of the test.
    """

    inputs: tuple[str, ...]
    name: str
    model: type[Model]
    options: Any
    training: Any
    scoring: Any
    dataset: Outlook
    times: dict[str, int]
    periods: tuple[tuple[int, int], ...]


def check_cases(source: Source, experiment: LoadedExperiment) -> None:
    """Refuse what a task or a model can tell of each competitor from its options and the catalog entry.

    A task tells in ``check_case`` of its module ``checks``, if it has one, a model in its own class method
    ``check_shapes(options, shapes)``, which is given the sizes of the inputs, in order, or ``None`` in place of those
    that only the data tell: the train stage asks it again with all sizes. Both raise :class:`ConfigError`, ``where``
    within the experiment or the competitor.

    Raises
    ------
    ConfigError
        With the first mistake.
    """
    dataset = outlook_of(source)
    module = f"{TASKS.module(experiment.spec.task)}.checks"
    task = importlib.import_module(module) if find_spec(module) else None
    for name in experiment.spec.names:
        case = _case(source, experiment, name, dataset)
        try:
            if task is not None:
                task.check_case(case)
            if (check := getattr(case.model, "check_shapes", None)) is not None:
                check(case.options, [dataset.of(variable).shape for variable in case.inputs])
        except ConfigError as error:
            shared = (error.where or "").split(".")[0] in _ONE
            place = error.where if shared else f"models.{name}" + (f".{error.where}" if error.where else "")
            raise ConfigError(error.what, where=f"{experiment.name}: {place}", fix=error.fix) from error


def _case(source: Source, experiment: LoadedExperiment, name: str, dataset: Outlook) -> Case:
    spec = experiment.spec
    step = source.time.step_hours / _HOURS

    def times(days: DateRange) -> int:
        return times_in((days.until - days.since).total_seconds(), step)

    test, periods = spec.split.test, []
    for period in source.periods(test.start, test.end):
        first, last = source.days(period)
        whole = test.model_copy(update={"start": first, "end": last, "from_time": None, "to_time": None})
        start, end = max(whole.since, test.since), min(whole.until, test.until)
        periods.append((times(whole), times_in(max((end - start).total_seconds(), 0.0), step)))
    return Case(
        inputs=tuple(spec.inputs),
        name=spec.entry(name).model,
        model=MODELS.get(spec.entry(name).model),
        options=experiment.model_options(name),
        training=experiment.training(name),
        scoring=experiment.scoring,
        dataset=dataset,
        times={split: times(getattr(spec.split, split)) for split in ("train", "validation", "test")},
        periods=tuple(periods),
    )
