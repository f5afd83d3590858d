"""Figures of an experiment on forecasts at a site."""

from __future__ import annotations

from pipeline_lib.report.context import ReportContext, ReportFigure
from pipeline_lib.report.figures.leaderboard import draw_leaderboard
from pipeline_lib.report.figures.loss_curves import draw_loss_curves
from pipeline_lib.tasks.site_forecast.curves import draw_errors, draw_example

_SHOWN = 3
"""Metrics of the leaderboard figure: the first of the experiment."""


def figures(context: ReportContext) -> list[ReportFigure]:
    """Return all figures of the report, in the order of the page."""
    return [
        draw_errors(context),
        draw_example(context),
        draw_leaderboard(context, metrics=tuple(context.metrics)[:_SHOWN]),
        draw_loss_curves(context),
    ]
