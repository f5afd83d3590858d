"""What figures and page are made from: the experiment, its leaderboard and the artefacts of every run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from pipeline_lib.config.experiment import Experiment
from pipeline_lib.data.datasets import open_days
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.report.board import Board
from pipeline_lib.report.style import series_colours, series_dashes


@dataclass(frozen=True)
class ReportFigure:
    """A figure with its words.

    Attributes
    ----------
    name
        Name of its files; one of the task's ``figures``.
    title
        A few words for its heading.
    caption
        What is to be seen, in sentences.
    figure
        The drawing.
    frames
        Drawings of one size that follow each other in an animation, if there is one; ``figure`` stands for it where
        nothing can move.
    """

    name: str
    title: str
    caption: str
    figure: Figure
    frames: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class MetricInfo:
    """Words and direction of a metric.

    Attributes
    ----------
    title
        Its name as people write it.
    direction
        Which values are better: ``higher``, ``lower``, ``zero`` or ``none``.
    unit
        Its unit, ``1`` for none.
    daily
        Values of the metric for each date of a run's counts; ``None`` if unknown here.
    """

    title: str
    direction: str = "higher"
    unit: str = "1"
    daily: Callable[[xr.Dataset], pd.Series] | None = None


@dataclass(frozen=True)
class Run:
    """What one training, or one run of an algorithm, left behind.

    Attributes
    ----------
    seed
        Its seed.
    model
        Manifest of the model, ``None`` if there is none.
    history
        One row per epoch; ``None`` for an algorithm.
    products
        Manifests of its predictions, by period.
    counts
        Counts per date that its scores were made of; ``None`` for an invalid run.
    """

    seed: int
    model: Manifest | None = None
    history: pd.DataFrame | None = None
    products: tuple[Manifest, ...] = ()
    counts: xr.Dataset | None = None


@dataclass(frozen=True)
class Competitor:
    """One model of the experiment with all its runs.

    Attributes
    ----------
    name
        Name in the experiment.
    title
        Name in tables and figures.
    colour, dash
        Its colour in all figures, and the kind of its lines, which tells those of one colour apart.
    runs
        Its runs, by seed.
    card
        The registered card as plain values; empty if the model is not registered here.
    reason
        Why it has no scores; empty if it has.
    """

    name: str
    title: str
    colour: str
    runs: tuple[Run, ...]
    card: Mapping[str, object]
    reason: str = ""
    dash: str = "-"


@dataclass(frozen=True)
class ReportContext:
    """Everything that a figure may need.

    Attributes
    ----------
    spec
        The experiment.
    board
        The leaderboard.
    competitors
        All models, best first by the main metric, invalid ones last.
    datasets, labels
        Manifests of the scored periods.
    metrics
        Words and direction of each metric of the leaderboard.
    notes
        What was made of the experiment's file without being asked.
    """

    spec: Experiment
    board: Board
    competitors: tuple[Competitor, ...]
    datasets: tuple[Manifest, ...]
    labels: tuple[Manifest, ...]
    metrics: Mapping[str, MetricInfo]
    notes: tuple[str, ...] = ()

    @property
    def main_metric(self) -> str | None:
        """The metric that ranks."""
        return self.board.main_metric

    @property
    def valid(self) -> list[Competitor]:
        """Competitors with scores, best first."""
        return [c for c in self.competitors if not c.reason and self.board.cell(c.name, self.main_metric or "")]

    def titles(self) -> dict[str, str]:
        """Titles of all competitors, by name."""
        return {c.name: c.title for c in self.competitors}

    @cached_property
    def dataset(self) -> xr.Dataset | None:
        """The dataset's test days, opened lazily; ``None`` without datasets."""
        return self._days(self.datasets)

    @cached_property
    def label_maps(self) -> xr.Dataset | None:
        """The labels of the test days, opened lazily; ``None`` without labels."""
        return self._days(self.labels)

    def product(self, run: Run) -> xr.Dataset | None:
        """Return the predictions of a run on the test days, opened lazily; ``None`` if it made none."""
        return self._days(run.products, every_day=False)

    def daily(self, run: Run, metric: str) -> pd.Series | None:
        """Return a metric of a run for each date, indexed by time; ``None`` where it cannot be known."""
        info = self.metrics.get(metric)
        if run.counts is None or info is None or info.daily is None:
            return None
        return info.daily(run.counts)

    def _days(self, manifests: Sequence[Manifest], *, every_day: bool = True) -> xr.Dataset | None:
        test = self.spec.split.test
        return open_days(manifests, test.first, test.last, every_day=every_day) if manifests else None


def prettify(name: str) -> str:
    """Return a snake_case name as words."""
    words = re.sub(r"_+", " ", name).strip()
    return words[:1].upper() + words[1:]


def coloured(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and a kind of line for each name, the same in all figures."""
    count = len(names)
    return dict(zip(names, zip(series_colours(count), series_dashes(count), strict=True), strict=True))
