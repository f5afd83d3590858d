"""Figures of an assimilation experiment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline_lib.metrics import ratio
from pipeline_lib.report.context import ReportContext, ReportFigure, Run
from pipeline_lib.report.figures.bands import draw_band
from pipeline_lib.report.figures.leaderboard import draw_leaderboard
from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.figures.loss_curves import draw_loss_curves
from pipeline_lib.report.figures.trajectories import count_along
from pipeline_lib.report.numbers import with_unit
from pipeline_lib.report.style import INK, message_figure, new_figure, panel_grid
from pipeline_lib.tasks.assimilation.names import POSITION
from pipeline_lib.tasks.assimilation.state_figures import draw_states
from pipeline_lib.tasks.assimilation.stretch import first_stretch

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
_ERROR_HEIGHT = 2.9
"""Height of the panels of errors in inches."""
_POSITIONS = 200
"""Points of a line at most."""
_SHOWN = 4
"""Competitors in the examples."""

Values = NDArray[np.float64]


def figures(context: ReportContext) -> list[ReportFigure]:
    """Return all figures of the report, in the order of the page."""
    return [
        draw_series(context),
        *draw_states(context),
        draw_errors(context),
        draw_leaderboard(context, metrics=LEADERBOARD_METRICS),
        draw_loss_curves(context),
    ]


def draw_series(context: ReportContext) -> ReportFigure:
    """Draw truth, observations and analyses of some components over a stretch of the test."""
    name, title = "analyses", "Analyses"
    stretch = first_stretch(context, times=_TIMES, shown=_SHOWN)
    if stretch is None:
        return ReportFigure(name, title, "There are no analyses.", message_figure("No analysis to draw"))
    count = min(_COMPONENTS, stretch.truth.shape[1])
    figure = new_figure(_HEIGHT * count)
    panels = panel_grid(figure, count, 1, sharex=True)
    steps = np.arange(len(stretch.truth))
    for component, ax in enumerate(panels):
        truth = stretch.truth[:, component]
        ax.plot(steps, truth, color=INK, linewidth=2.2, alpha=0.35, label="truth")
        # So that the legend of the first panel has them, whichever component is observed.
        ax.plot(steps, stretch.observation[:, component], ".", color=INK, markersize=4, label="observations")
        for analysis in stretch.analyses:
            mean = analysis.mean[:, component]
            ax.plot(steps, mean, linewidth=1.0, color=analysis.colour, linestyle=analysis.dash, label=analysis.title)
            if analysis.spread is not None:
                spread = analysis.spread[:, component]
                ax.fill_between(steps, mean - spread, mean + spread, color=analysis.colour, alpha=0.15, linewidth=0)
        margin = _MARGIN * (truth.max() - truth.min())
        ax.set_ylim(truth.min() - margin, truth.max() + margin)
        ax.set_ylabel(f"Component {component + 1}{with_unit(stretch.unit)}")
        ax.grid(visible=True, axis="y")
    panels[-1].set_xlabel("Time steps")
    count_along(panels[-1].xaxis)
    draw_legend(figure, panels)
    caption = (
        f"The first {len(steps)} states of the test: truth (thick), observations (dots) and the analyses of the"
        f" {len(stretch.analyses)} best models (first seed); bands are one standard deviation over the members of an"
        " ensemble."
    )
    return ReportFigure(name, title, caption, figure)


def draw_errors(context: ReportContext) -> ReportFigure:
    """Draw error and spread against the position in a window, one line per competitor, a band over its seeds."""
    name, title = "error_in_window", "Error within a window"
    found = [(c, [_by_position(context, run) for run in c.runs if run.counts is not None]) for c in context.valid]
    drawn = [(competitor, rows) for competitor, rows in found if rows]
    if not drawn:
        return ReportFigure(name, title, "No model has a valid score.", message_figure("No score to draw"))
    ensembles = any(np.isfinite(spread).any() for _, rows in drawn for _, _, spread in rows)
    figure = new_figure(_ERROR_HEIGHT)
    panels = panel_grid(figure, 1, 2 if ensembles else 1, sharex=True, sharey=True)
    for competitor, rows in drawn:
        positions, errors, spreads = zip(*rows, strict=True)
        draw_band(panels[0], positions[0], np.stack(errors), competitor)
        if np.isfinite(spreads).any():
            draw_band(panels[1], positions[0], np.stack(spreads), competitor)
    for ax, words in zip(panels, ("RMSE", "Spread"), strict=False):
        ax.set_yscale("log")
        ax.set_ylabel(words)
        ax.set_xlabel("Time steps since the start of the window")
        count_along(ax.xaxis)
        ax.grid(visible=True, axis="y")
    draw_legend(figure, panels)
    caption = (
        "Root mean square error over all components"
        + (" (left) and standard deviation over the members of ensembles (right)" if ensembles else "")
        + " against the time since the start of a window (of a period, for models without windows), over all windows of"
        " the test, on a logarithmic scale. Filters know the past only, smoothers the future too. Lines are means over"
        " seeds, bands reach from the best to the worst seed."
    )
    return ReportFigure(name, title, caption, figure)


def _by_position(context: ReportContext, run: Run) -> tuple[NDArray[np.int64], Values, Values]:
    """Positions in a window, RMSE and spread of a run there; a few neighbours together in long windows."""
    counts, product = run.counts, context.product(run)
    if counts is None or product is None:
        raise ValueError("a run with counts has a product")
    position = product[POSITION].sel(time=counts.time).values.astype(np.int64)
    width = -(-int(position.max() + 1) // _POSITIONS)
    group = position // width
    error, values, variance, spread_values = (
        np.bincount(group, weights=counts[name].values)
        for name in ("squared_error", "values", "variance", "values_spread")
    )
    return np.arange(len(error)) * width, np.sqrt(ratio(error, values)), np.sqrt(ratio(variance, spread_values))
