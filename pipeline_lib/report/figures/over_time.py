"""A metric for each test day."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from pipeline_lib.report.context import Competitor, ReportContext, ReportFigure
from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.numbers import with_unit
from pipeline_lib.report.style import RULE, message_figure, new_figure

MAX_COLOURED = 8
"""More lines than this cannot be told apart; the others are drawn in grey."""


def daily_means(context: ReportContext, competitor: Competitor, metric: str) -> pd.DataFrame | None:
    """Return mean, lowest and highest value over a competitor's seeds for each date; ``None`` without any."""
    found = [series for run in competitor.runs if (series := context.daily(run, metric)) is not None]
    if not found:
        return None
    together = pd.concat(found, axis=1)
    return pd.DataFrame({"mean": together.mean(axis=1), "low": together.min(axis=1), "high": together.max(axis=1)})


def draw_over_time(context: ReportContext) -> ReportFigure:
    """Draw the main metric of every valid competitor over the test days."""
    name, title, metric = "scores_over_time", "Scores over time", context.main_metric
    found = [(c, days) for c in context.valid if metric and (days := daily_means(context, c, metric)) is not None]
    if metric is None or not found:
        return ReportFigure(name, title, "No daily score to show.", message_figure("No daily score to draw"))
    info = context.metrics[metric]
    figure = new_figure(2.4)
    ax = figure.subplots()
    for rank, (competitor, days) in reversed(list(enumerate(found))):
        coloured = rank < MAX_COLOURED
        times = days.index.to_numpy()
        if coloured and np.any(days["high"] > days["low"]):
            ax.fill_between(times, days["low"], days["high"], color=competitor.colour, alpha=0.15, linewidth=0)
        ax.plot(
            times,
            days["mean"],
            color=competitor.colour if coloured else RULE,
            label=competitor.title if coloured else "_",
            marker="o" if len(days) <= 62 else "",
            markersize=2.5,
            zorder=3 if coloured else 2,
        )
    locator = AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    ax.set_ylabel(f"{info.title}{with_unit(info.unit)}")
    ax.grid(visible=True, axis="y")
    ax.margins(x=0.01)
    draw_legend(figure, [ax], order=[competitor.title for competitor, _ in found], place="outside upper left")
    caption = (
        f"{info.title} on each test day. Neighbouring days look alike, so the number of independent days is far smaller"
        " than the number of points."
    )
    if any(len(c.runs) > 1 for c, _ in found):
        caption += " Shading spans the seeds."
    if len(found) > MAX_COLOURED:
        caption += f" The {MAX_COLOURED} leading models are coloured, the others grey."
    return ReportFigure(name, title, caption, figure)
