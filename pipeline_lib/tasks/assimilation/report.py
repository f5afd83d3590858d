"""Figures of an assimilation experiment."""

from __future__ import annotations

import numpy as np
import xarray as xr

from pipeline_lib.report.context import ReportContext, ReportFigure
from pipeline_lib.report.figures.leaderboard import draw_leaderboard
from pipeline_lib.report.figures.loss_curves import draw_loss_curves
from pipeline_lib.report.style import INK, message_figure, new_figure, panel_grid
from pipeline_lib.tasks.assimilation.predict import ANALYSIS, SPREAD

LEADERBOARD_METRICS = ("analysis_rmse", "observed_rmse", "unobserved_rmse")
"""Metrics of the leaderboard figure, where the table holds them."""
_TIMES = 400
"""Time steps of the examples."""
_COMPONENTS = 3
"""Components of a state that are drawn."""
_HEIGHT = 1.9
"""Height of a panel in inches."""
_MARGIN = 0.3
"""Share of the range of the truth that an analysis may leave it before it leaves the panel."""
_SHOWN = 4
"""Competitors in the examples."""


def figures(context: ReportContext) -> list[ReportFigure]:
    """Return all figures of the report, in the order of the page."""
    return [
        draw_series(context),
        draw_leaderboard(context, metrics=LEADERBOARD_METRICS),
        draw_loss_curves(context),
    ]


def draw_series(context: ReportContext, *, name: str = "analyses") -> ReportFigure:
    """Draw truth, observations and analyses of some components over a stretch of the test."""
    title = "Analyses"
    shown = [c for c in context.valid if c.runs and c.runs[0].products][:_SHOWN]
    if not shown or context.dataset is None:
        return ReportFigure(name, title, "There are no analyses.", message_figure("No analysis to draw"))
    window = slice(0, min(_TIMES, context.dataset.sizes["time"]))
    truth, observation = (context.dataset[variable].isel(time=window) for variable in context.spec.inputs)
    count = min(_COMPONENTS, truth.shape[1])
    figure = new_figure(_HEIGHT * count)
    panels = panel_grid(figure, count, 1, sharex=True)
    steps = np.arange(truth.sizes["time"])
    for component, ax in enumerate(panels):
        ax.plot(steps, _of(truth, component), color=INK, linewidth=2.2, alpha=0.35, label="truth")
        seen = _of(observation, component)
        # So that the legend of the first panel has them, whichever component is observed.
        ax.plot(steps, seen, ".", color=INK, markersize=4, label="observations")
        for competitor in shown:
            product = context.product(competitor.runs[0])
            if product is None:
                continue
            mean = _of(product[ANALYSIS].isel(time=window), component)
            ax.plot(steps, mean, color=competitor.colour, linewidth=1.0, label=competitor.title)
            if SPREAD in product:
                spread = _of(product[SPREAD].isel(time=window), component)
                ax.fill_between(steps, mean - spread, mean + spread, color=competitor.colour, alpha=0.15, linewidth=0)
        low, high = _of(truth, component).min(), _of(truth, component).max()
        ax.set_ylim(low - _MARGIN * (high - low), high + _MARGIN * (high - low))
        ax.set_ylabel(f"Component {component + 1}")
        ax.grid(visible=True, axis="y")
    panels[-1].set_xlabel("Time steps")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    caption = (
        f"The first {len(steps)} states of the test: truth (thick), observations (dots) and the analyses of the"
        f" {len(shown)} best models (first seed); bands are one standard deviation over the members of an ensemble."
    )
    return ReportFigure(name, title, caption, figure)


def _of(states: xr.DataArray, component: int) -> np.ndarray:
    return np.asarray(states.values[:, component], dtype=np.float64)
