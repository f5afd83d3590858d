"""Figures of a dynamics experiment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline_lib.data.trajectories import ages_of, followers
from pipeline_lib.io.zarr_store import open_store
from pipeline_lib.metrics import ratio
from pipeline_lib.report.context import Competitor, ReportContext, ReportFigure
from pipeline_lib.report.figures.bands import draw_band
from pipeline_lib.report.figures.leaderboard import draw_leaderboard
from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.figures.loss_curves import draw_loss_curves
from pipeline_lib.report.figures.trajectories import count_along
from pipeline_lib.report.style import INK, MUTED, message_figure, new_figure, panel_grid
from pipeline_lib.tasks.dynamics.free_run_figures import draw_free_runs
from pipeline_lib.tasks.dynamics.names import HISTORY, VARIABLE

LEADERBOARD_METRICS = ("explained_variance_1", "explained_variance_28", "rmse_28")
"""Metrics of the leaderboard figure, where the table holds them."""
_EXAMPLES = 3
_HEIGHT = 2.9
"""Height of a row of panels in inches."""
_LEAST = 1e-32
"""Unexplained variances below this, the square of a rounding error, are drawn at it."""


def figures(context: ReportContext) -> list[ReportFigure]:
    """Return all figures of the report, in the order of the page."""
    one_step = context.spec.training.get("forecast_steps") == 1  # no line goes through one point
    return [
        *([] if one_step else [draw_skill(context), draw_examples(context)]),
        *draw_free_runs(context),
        draw_leaderboard(context, metrics=LEADERBOARD_METRICS),
        draw_loss_curves(context),
    ]


def draw_skill(context: ReportContext) -> ReportFigure:
    """Draw error and unexplained variance against lead, one line per competitor, a band over its seeds."""
    name, title = "skill_by_lead", "Skill by lead"
    drawn = [c for c in context.valid if any(run.counts is not None for run in c.runs)]
    if not drawn:
        return ReportFigure(name, title, "No model has a valid score.", message_figure("No score to draw"))
    figure = new_figure(_HEIGHT)
    left, right = panel_grid(figure, 1, 2, sharex=True)
    for competitor in drawn:
        rmse, unexplained = (np.stack(rows) for rows in zip(*map(_by_lead, _counts(competitor)), strict=True))
        leads = np.arange(1, rmse.shape[1] + 1)
        draw_band(left, leads, rmse, competitor)
        draw_band(right, leads, np.maximum(unexplained, _LEAST), competitor)
    right.axhline(1.0, color=MUTED, linewidth=0.8, linestyle=":")
    for ax, words in ((left, "RMSE"), (right, "Unexplained variance")):
        ax.set_yscale("log")
        ax.set_ylabel(words)
        ax.set_xlabel("Time steps ahead")
        count_along(ax.xaxis)
        ax.grid(visible=True, axis="y")
    draw_legend(figure, [left, right])
    fields = context.spec.scoring.get("fields")
    numbers = ", ".join(map(str, fields or ()))
    scored = f"all components of the fields that are scored ({numbers}, counted from 0)" if fields else "all components"
    caption = (
        f"Root mean square error over {scored} (left) and squared error over that of persistence (right; dotted:"
        " as good as persistence) against the number of time steps ahead, both on logarithmic scales. Lines are means"
        " over seeds, bands reach from the best to the worst seed."
    )
    return ReportFigure(name, title, caption, figure)


def draw_examples(context: ReportContext) -> ReportFigure:
    """Draw forecasts of the first component from three states of the test, beside what happened."""
    name, title = "examples", "Forecasts"
    products = [(c, c.runs[0].products[0]) for c in context.valid if c.runs and c.runs[0].products]
    if not products or not context.datasets:
        return ReportFigure(name, title, "There are no forecasts.", message_figure("No forecast to draw"))
    test = slice(str(context.spec.split.test.start), str(context.spec.split.test.end))
    period = str(products[0][1].content["period"])
    dataset = next(m for m in context.datasets if m.content["period"] == period)
    ds = open_store(dataset, f"{period}.zarr").sel(time=test)
    states = ds[context.spec.inputs[0]]
    figure = new_figure(_HEIGHT)
    panels = panel_grid(figure, 1, _EXAMPLES, sharey=True)
    first = open_store(products[0][1], f"{period}.zarr")
    leads, history = first.sizes["lead"], int(first[VARIABLE].attrs.get(HISTORY, 1))
    whole = np.flatnonzero((followers(ages_of(ds)) >= leads) & np.isin(ds["time"].values, first["time"].values))
    if not whole.size:
        caption = f"No test state of {period} has all its future."
        return ReportFigure(name, title, caption, message_figure("No forecast to draw"))
    starts = whole[np.linspace(0, whole.size - 1, _EXAMPLES).astype(int)]
    truth = states.values.reshape(states.sizes["time"], -1)[:, 0]
    for ax, start in zip(panels, starts, strict=True):
        ax.plot(
            np.arange(leads + 1), truth[start : start + leads + 1], color=INK, linewidth=2.2, alpha=0.35, label="truth"
        )
        ax.set_title(f"from {states.time.values[start]:.19}", fontsize="small")
        ax.set_xlabel("Time steps ahead")
        count_along(ax.xaxis)
    for competitor, manifest in products:
        product = open_store(manifest, f"{period}.zarr")
        _forecasts(panels, product.sel(time=states.time.values[starts]), competitor)
    panels[0].set_ylabel("First component")
    draw_legend(figure, panels)
    caption = (
        "Forecasts of the first component of the state (lines; first seed of each model) from the first, the middle and"
        f" the last test state of {period} whose future it holds, beside the truth (thick)."
        f"{f' Each starts from {history} true states, of which a model may see fewer.' if history > 1 else ''}"
    )
    return ReportFigure(name, title, caption, figure)


def _forecasts(panels: Sequence[Axes], product: xr.Dataset, competitor: Competitor) -> None:
    for ax, forecast in zip(panels, product[VARIABLE].values, strict=True):
        values = forecast.reshape(len(forecast), -1)[:, 0]
        ax.plot(
            np.arange(1, len(values) + 1),
            values,
            linewidth=1.0,
            color=competitor.colour,
            linestyle=competitor.dash,
            label=competitor.title,
        )


def _counts(competitor: Competitor) -> list[xr.Dataset]:
    return [run.counts for run in competitor.runs if run.counts is not None]


def _by_lead(counts: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """RMSE and unexplained variance of one run at each lead."""
    error, reference, values = (
        counts[name].sum("time").values for name in ("squared_error", "persistence_error", "values")
    )
    return np.sqrt(ratio(error, values)), ratio(error, reference)
