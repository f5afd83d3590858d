"""Figures of a nowcasting experiment."""

from __future__ import annotations

from pipeline_lib.report.context import ReportContext, ReportFigure
from pipeline_lib.report.figures.leaderboard import draw_leaderboard
from pipeline_lib.report.figures.loss_curves import draw_loss_curves
from pipeline_lib.tasks.nowcasting.curves import draw_skill, draw_spectra
from pipeline_lib.tasks.nowcasting.frames import draw_frames

_SHOWN = 3
"""Metrics of the leaderboard figure: the first of the experiment."""


def figures(context: ReportContext) -> list[ReportFigure]:
    """Return all figures of the report, in the order of the page."""
    return [
        *draw_frames(context),
        draw_skill(context),
        draw_spectra(context),
        draw_leaderboard(context, metrics=tuple(context.metrics)[:_SHOWN]),
        draw_loss_curves(context),
    ]
