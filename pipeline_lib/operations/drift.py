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
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.metrics import METRICS
from pipeline_lib.operations.generations import Generation, operations_of
from pipeline_lib.plan import Plan
from pipeline_lib.score.leaderboard import leaderboard
from pipeline_lib.score.tables import read_leaderboard
from pipeline_lib.tasks.registry import stage_module


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
    found: list[Point] = []
    recent: list[dict[int, xr.Dataset]] = []
    for period in periods:
        counts = _counts(plan, generation.name, model, seeds, period)
        if counts is None:
            continue
        recent.append(counts)
        while _days(recent[1:]) >= alert.window_days:
            recent.pop(0)
        window = _interval(first, model, metric, recent, last=alert.window_days)
        full = _days(recent) >= alert.window_days
        bad = full and promised.is_broken_by(window.value)
        alone = _interval(first, model, metric, [counts])
        found.append(Point(period, generation.name, alone, window, full, bad))
    return found


def _counts(plan: Plan, generation: str, model: str, seeds: Sequence[int], period: str) -> dict[int, xr.Dataset] | None:
    """Counts of a period by seed; ``None`` if a seed has none."""
    found = {}
    for seed in seeds:
        path = Path(plan.path("period_score", experiment=generation, model=model, seed=seed, period=period))
        try:
            manifest = read_manifest(path, kind="score", verify="none")
        except StoreError:
            return None
        if manifest.content["status"] != "ok":
            return None
        found[seed] = read_counts(manifest.file(manifest.payloads[0]))
    return found


def _days(counts: Sequence[dict[int, xr.Dataset]]) -> int:
    return sum(next(iter(of_seeds.values())).sizes["time"] for of_seeds in counts)


def _interval(
    first: LoadedExperiment, model: str, metric: str, counts: Sequence[dict[int, xr.Dataset]], last: int | None = None
) -> Interval:
    """The metric over the last dates of several periods, mean over seeds, with the interval of the leaderboard."""
    runs = {}
    for seed in counts[0]:
        together = xr.concat([of_seeds[seed] for of_seeds in counts], "time")
        runs[model, seed] = together if last is None else together.isel(time=slice(-last, None))
    options = first.scoring.intervals  # type: ignore[attr-defined]
    row = leaderboard(runs, metrics=[metric], options=options).table.iloc[0]
    return Interval(*(float(row[name]) if np.isfinite(row[name]) else float("nan") for name in _COLUMNS))


_COLUMNS = ("value", "ci_low", "ci_high")
