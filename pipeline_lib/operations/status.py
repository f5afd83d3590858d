"""Is the product up to date and as good as it was? One line and one exit code for monitoring."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pipeline_lib.data.periods import bounds
from pipeline_lib.operations.drift import Point, Promise, points, promise
from pipeline_lib.operations.generations import Generation, generations, in_charge, operations_of
from pipeline_lib.operations.journal import Entry, read_entries
from pipeline_lib.operations.sources import SourceDesk
from pipeline_lib.operations.update import STATE
from pipeline_lib.plan import Plan

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
"""Exit codes as monitoring systems know them."""
LEVELS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
HISTORY = 365
"""Newest periods whose scores are looked at."""


@dataclass
class Health:
    """State of one experiment in operations.

    Attributes
    ----------
    experiment, title
        Which.
    newest, age_days
        Last day of the newest finished period, and how long ago it is.
    finished, missing
        Finished periods, and those before the newest that are not.
    generations
        All generations, oldest first.
    points, promises
        Scores over time, and by generation what its test had shown.
    entries
        Journal of the updates, oldest first.
    level, reasons
        The worst of all findings, and what they are.
    """

    experiment: str
    title: str
    newest: date | None
    age_days: int | None
    finished: list[str]
    missing: list[str]
    generations: list[Generation]
    points: list[Point]
    promises: dict[str, Promise]
    entries: list[Entry]
    level: int = OK
    reasons: list[str] = field(default_factory=list)

    def found(self, level: int, reason: str) -> None:
        """Add a finding."""
        self.level = max(self.level, level)
        self.reasons.append(reason)


def health(plan: Plan, experiment: str, today: date) -> Health:
    """Look at one experiment.

    Parameters
    ----------
    plan
        The plan.
    experiment
        Name of an experiment with operations.
    today
        The day that counts as today.
    """
    loaded = plan.experiment(experiment)
    operations = operations_of(loaded)
    desk = SourceDesk(plan, loaded.spec.source)
    known = generations(plan, experiment)
    periods = desk.periods(operations.start, today)
    finished = [p for p in periods if all(Path(t).exists() for t in plan.period_targets(in_charge(known, p), p))]
    newest = bounds(finished[-1])[1] if finished else None
    state = Health(
        experiment=experiment,
        title=loaded.spec.title,
        newest=newest,
        age_days=(today - newest).days if newest is not None else None,
        finished=finished,
        missing=[p for p in periods if finished and p < finished[-1] and p not in set(finished)],
        generations=known,
        points=_points(plan, experiment, known, finished[-HISTORY:]),
        promises={g.name: promise(plan, experiment, g.name) for g in known},
        entries=[e for e in read_entries(plan.config.results_dir / STATE) if e.experiment == experiment],
    )
    end = desk.source.time.end
    _judge(state, operations.max_age_days, complete=end is not None and newest is not None and newest >= end)
    return state


def _points(plan: Plan, experiment: str, known: Sequence[Generation], periods: Sequence[str]) -> list[Point]:
    if plan.experiment(experiment).label_set is None:
        return []
    found: list[Point] = []
    for generation in known:
        found += points(
            plan, experiment, generation, [p for p in periods if in_charge(list(known), p) == generation.name]
        )
    return found


def _judge(state: Health, max_age_days: int, *, complete: bool) -> None:
    if not state.entries:
        state.found(UNKNOWN, "no update has run yet")
    elif state.entries[-1].problems:
        state.found(WARNING, f"the last update had a problem: {state.entries[-1].problems[0]}")
    if state.age_days is None:
        state.found(CRITICAL, "no period is finished")
    elif state.age_days > max_age_days and not complete:
        state.found(CRITICAL, f"the newest day is {state.age_days} days old, {max_age_days} are allowed")
    if state.missing:
        state.found(WARNING, f"{len(state.missing)} missing, the first is {state.missing[0]}")
    if state.points and state.points[-1].alert:
        state.found(WARNING, "the score is on the bad side of its threshold")
    if state.level == UNKNOWN and not state.finished:
        state.reasons = state.reasons[:1]


def line(state: Health, metric: str) -> str:
    """Return the state on one line: level, what is wrong, how fresh, how good, when."""
    parts = [*state.reasons]
    if state.newest is not None:
        parts.append(f"newest {state.newest} ({state.age_days} days old), {len(state.finished)} periods")
    if state.points:
        point = state.points[-1]
        promised = state.promises[point.generation]
        parts.append(
            f"{metric} {shown(point.window.value, point.window.low, point.window.high)},"
            f" test {shown(promised.test.value, promised.test.low, promised.test.high)}"
        )
    if state.entries:
        parts.append(f"last update {state.entries[-1].started}")
    return f"{LEVELS[state.level]} {state.experiment}: {'; '.join(parts)}"


def shown(value: float, low: float, high: float) -> str:
    """Return a value with its interval as text."""
    if math.isnan(value):
        return "undefined"
    return f"{value:.3f}" + ("" if math.isnan(low) else f" [{low:.3f}, {high:.3f}]")


def worst(states: Sequence[Health]) -> int:
    """Return the exit code of several experiments: critical before warning before unknown."""
    order = {OK: 0, UNKNOWN: 1, WARNING: 2, CRITICAL: 3}
    return max((state.level for state in states), key=order.__getitem__, default=OK)
