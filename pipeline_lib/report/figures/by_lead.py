"""Scores against lead: a panel for each metric, a line per competitor, a band over its seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline_lib.metrics import METRICS, first_line
from pipeline_lib.report.context import Competitor, ReportContext, ReportFigure
from pipeline_lib.report.figures.bands import draw_band
from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.style import MUTED, message_figure, new_figure, panel_grid, wrapped
from pipeline_lib.tasks.lead_metrics import LeadMetric

Values = NDArray[np.float64]
Beside = Callable[[Axes, Competitor, str], None]
"""Draws into a panel what belongs to a competitor besides its line; the text is the metric's name."""


@dataclass(frozen=True)
class LeadFigure:
    """What a figure of scores by lead is called and how its panels are arranged.

    Attributes
    ----------
    name, title, caption
        As of a :class:`~pipeline_lib.report.context.ReportFigure`.
    ahead
        Words below the panels: what leads count.
    height
        Of a row of panels, in inches.
    columns, most
        Panels beside each other, and all of them, at most.
    shared
        Whether the panels of a column share their leads, which only the lowest then tells.
    bound
        Sentence for the caption where a panel has the dotted line of a perfect forecast.
    """

    name: str
    title: str
    caption: str
    ahead: str
    height: float
    columns: int
    most: int
    shared: bool = False
    bound: str = ""


def draw_by_lead(context: ReportContext, wanted: LeadFigure, *, beside: Beside | None = None) -> ReportFigure:
    """Draw the metrics of the leaderboard that are averages over leads and tell competitors apart, against lead."""
    drawn = with_counts(context)
    metrics = [(name, metric) for name in context.metrics if (metric := _whole(name)) is not None][: wanted.most]
    if not drawn or not metrics:
        empty = message_figure("No score to draw")
        return ReportFigure(wanted.name, wanted.title, "No model has a score by lead.", empty)
    counts = _counts(drawn[0])[0]
    columns = min(wanted.columns, len(metrics))
    rows = -(-len(metrics) // columns)
    figure = new_figure(wanted.height * rows)
    panels = panel_grid(figure, rows, columns, sharex=wanted.shared)
    caption = wanted.caption
    for ax, (name, metric) in zip(panels, metrics, strict=False):
        for competitor in drawn:
            found = np.stack([metric.by_lead(_pooled(run))[0] for run in _counts(competitor)])
            if np.isfinite(found).any():
                draw_band(ax, _counts(competitor)[0]["lead"].values, found, competitor)
                if beside is not None:
                    beside(ax, competitor, name)
        perfect = metric.perfect(_pooled(counts))
        if perfect is not None:
            ax.plot(counts["lead"].values, perfect[0], color=MUTED, linewidth=0.8, linestyle=":")
            caption = f"{wanted.caption} {wanted.bound}"
        unit = "" if metric.unit == "1" else f" [{metric.unit}]"
        ax.set_title(wrapped(first_line(metric).rstrip(".") + unit, beside=columns), fontsize="small")
        ax.grid(visible=True, axis="y")
    for ax in panels[len(metrics) :]:
        ax.set_visible(False)
    for ax in panels[max(len(metrics) - columns, 0) if wanted.shared else 0 : len(metrics)]:
        ax.set_xlabel(wanted.ahead)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    draw_legend(figure, panels, order=[c.title for c in drawn])
    return ReportFigure(wanted.name, wanted.title, caption, figure)


def with_counts(context: ReportContext) -> list[Competitor]:
    """Return the valid competitors whose counts are there."""
    return [c for c in context.valid if _counts(c)]


def _counts(competitor: Competitor) -> list[xr.Dataset]:
    return [run.counts for run in competitor.runs if run.counts is not None]


def _whole(name: str) -> type[LeadMetric] | None:
    """Return a metric that is an average over leads and tells competitors apart."""
    metric = METRICS.get(name)
    if not (isinstance(metric, type) and issubclass(metric, LeadMetric)):
        return None
    return metric if metric.lead is None and not metric.of_truth else None


def _pooled(counts: xr.Dataset) -> dict[str, Values]:
    """Return the counts summed over starts, as one resample."""
    return {str(name): values.sum("time").values[None] for name, values in counts.data_vars.items()}
