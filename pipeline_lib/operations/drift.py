"""Scores over time: each period's own, those of the newest days together, and what the test had promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pipeline_lib.config.loader import LoadedExperiment
from pipeline_lib.errors import StoreError
from pipeline_lib.io.counts_table import read_counts
from pipeline_lib.io.manifest import Manifest, read_manifest
from pipeline_lib.metrics import METRICS
from pipeline_lib.operations.generations import Generation, operations_of
from pipeline_lib.plan import Plan
from pipeline_lib.score.leaderboard import Runs, leaderboard
from pipeline_lib.score.tables import read_leaderboard
from pipeline_lib.tasks.registry import stage_module

_COLUMNS = ("value", "ci_low", "ci_high")


@dataclass(frozen=True)
class Interval:
    """A value with its interval; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Promise:
    """What the test of a generation had shown, and the value that is still good enough."""

    test: Interval
    threshold: float
    higher_is_better: bool

    def is_broken_by(self, value: float) -> bool:
        """Whether a value is on the bad side of the threshold."""
        return value < self.threshold if self.higher_is_better else value > self.threshold


@dataclass(frozen=True)
class Point:
    """The watched score at one period.

    Attributes
    ----------
    period, generation
        Which period, predicted by which generation.
    alone
        The score of the period's days; no interval if they are few.
    window
        The score of the newest scored days up to here, pooled, with interval.
    full
        Whether there were as many days as the alert asks for.
    alert
        Whether the window is full and on the bad side of the threshold.
    """

    period: str
    generation: str
    alone: Interval
    window: Interval
    full: bool
    alert: bool


def promise(plan: Plan, experiment: str, generation: str) -> Promise:
    """Return what the leaderboard of a generation says of the watched score; ``experiment`` sets the threshold."""
    first = plan.experiment(experiment)
    model, metric = first.watched
    higher = METRICS.get(metric).direction == "higher"
    nan = float("nan")
    test = Interval(nan, nan, nan)
    try:
        table = read_leaderboard(Path(plan.path("leaderboard_csv", experiment=generation)))
    except StoreError:
        table = None
    if table is not None:
        row = table[(table["model"] == model) & (table["metric"] == metric)]
        if len(row):
            test = Interval(*(float(row.iloc[0][name]) for name in ("value", "ci_low", "ci_high")))
    chosen = operations_of(first).alert.threshold
    threshold = chosen if chosen is not None else (test.low if higher else test.high)
    return Promise(test, threshold, higher)


def points(plan: Plan, experiment: str, generation: Generation, periods: Sequence[str]) -> list[Point]:
    """Return the watched score of each of ``periods`` for which all seeds of a generation have a score."""
    first = plan.experiment(experiment)
    model, metric = first.watched
    stage_module(first.spec.task, "score")  # registers the task's metrics
    alert, promised = operations_of(first).alert, promise(plan, experiment, generation.name)
    seeds = [seed for name, seed in plan.runs_in_use(generation.name) if name == model]
    scored = {p: found for p in periods if (found := _scores(plan, generation.name, model, seeds, p))}
    if not scored:
        return []
    runs = {
        (model, seed): xr.concat([read_counts(of[i].file(of[i].payloads[0])) for of in scored.values()], "time")
        for i, seed in enumerate(seeds)
    }
    drawn: list[Point] = []
    days = 0
    for period, of_seeds in scored.items():
        days += len(of_seeds[0].content["sample"]["times"])
        full = days >= alert.window_days
        window = _together(first, metric, runs, slice(max(0, days - alert.window_days), days))
        bad = full and promised.is_broken_by(window.value)
        drawn.append(Point(period, generation.name, _alone(of_seeds, metric), window, full, bad))
    return drawn


def _scores(plan: Plan, generation: str, model: str, seeds: Sequence[int], period: str) -> list[Manifest]:
    """Score manifests of a period, one per seed; none if one is missing or invalid."""
    found = []
    for seed in seeds:
        path = Path(plan.path("period_score", experiment=generation, model=model, seed=seed, period=period))
        try:
            found.append(read_manifest(path, kind="score", verify="none"))
        except StoreError:
            return []
    return found if all(manifest.content["status"] == "ok" for manifest in found) else []


def _alone(of_seeds: Sequence[Manifest], metric: str) -> Interval:
    """The score of a period as its manifests say it: mean over seeds, with the interval if there is a single seed."""
    said = [manifest.content["summary"][metric] for manifest in of_seeds]
    numbers = [[np.nan if one[name] is None else one[name] for name in _COLUMNS] for one in said]
    value, low, high = np.mean(numbers, axis=0)
    return Interval(float(value), *((float(low), float(high)) if len(said) == 1 else (np.nan, np.nan)))


def _together(first: LoadedExperiment, metric: str, runs: Runs, dates: slice) -> Interval:
    """The metric over some dates, mean over seeds, with the interval of the leaderboard."""
    options = first.scoring.intervals  # type: ignore[attr-defined]
    part = {run: counts.isel(time=dates) for run, counts in runs.items()}
    row = leaderboard(part, metrics=[metric], options=options).table.iloc[0]
    return Interval(*(float(row[name]) for name in _COLUMNS))
