"""Figures of forecasts at a site: errors by lead with intervals, and a stretch of the series with its forecasts."""

from __future__ import annotations

import json
from textwrap import fill

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from pipeline_lib.data.rows import TOLERANCE, linked
from pipeline_lib.report.context import Competitor, ReportContext, ReportFigure
from pipeline_lib.report.figures.by_lead import LeadFigure, draw_by_lead
from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.numbers import quantity
from pipeline_lib.report.style import INK, message_figure, new_figure, panel_grid
from pipeline_lib.tasks.site_forecast.columns import stations
from pipeline_lib.tasks.site_forecast.names import VARIABLE

_HEIGHT = 2.8
_ERRORS = LeadFigure(
    name="error_by_lead",
    title="Errors by lead",
    caption=(
        "Scores against the number of steps ahead, in the unit of the series, from counts summed over the starts of all"
        " forecasts. Lines are means over seeds, bands reach from the best to the worst seed, bars are the intervals of"
        " the leaderboard, at the leads that it lists."
    ),
    ahead="Steps ahead",
    height=_HEIGHT,
    columns=2,
    most=4,
)
_LONGEST = 200
"""Times of the example series at most."""
_LEADS = 3
"""Leads of the example: the first, a middle and the last."""
_DOT = 3.0
"""Size of a forecast that stands alone, in points."""
_LABEL = 24
"""Letters in a line of an axis label."""

Values = NDArray[np.float64]


def draw_errors(context: ReportContext) -> ReportFigure:
    """Draw scores against lead, with the intervals of the leads that the leaderboard lists."""

    def intervals(ax: Axes, competitor: Competitor, metric: str) -> None:
        counts = next(run.counts for run in competitor.runs if run.counts is not None)
        for number, lead in enumerate(counts["lead"].values, start=1):
            cell = context.board.cell(competitor.name, f"{metric}_lead_{number}")
            if cell is not None and np.isfinite(cell.interval).all():
                ax.vlines(lead, *cell.interval, color=competitor.colour, linewidth=2.4, alpha=0.5)

    return draw_by_lead(context, _ERRORS, beside=intervals)


def draw_example(context: ReportContext) -> ReportFigure:
    """Draw the truth and its forecasts, a panel for each of some leads, over the liveliest stretch of the test.

    Lines end where times are missing, or no forecast starts: nothing is known there.
    """
    name, title = "example", "A stretch of the series"
    products = [(c, product) for c in context.valid if c.runs and (product := context.product(c.runs[0])) is not None]
    nothing = ReportFigure(name, title, "There are no forecasts.", message_figure("No forecast to draw"))
    if not products or context.dataset is None:
        return nothing
    first = products[0][1]
    starts = np.intersect1d(first["time"].values, context.dataset["time"].values)
    if not starts.size:
        return nothing
    truth = _truth(context.dataset, first)
    leads, rules = first["lead"].values, json.loads(first[VARIABLE].attrs["rules"])
    chosen = np.unique(leads[np.linspace(0, len(leads) - 1, min(_LEADS, len(leads))).round().astype(int)])
    times = _liveliest(truth, starts)
    minutes = rules["step_minutes"]
    rows = _rows(context.dataset, minutes)
    gaps = _apart(rows, times, rules.get("stride", 1))
    scattered = 0 < gaps.size == len(times) - 1  # all starts stand alone: the times between them would hide them
    figure = new_figure(_HEIGHT * 0.8 * len(chosen))
    panels = panel_grid(figure, len(chosen), 1, sharex=True)
    for ax, lead in zip(panels, chosen, strict=True):
        ahead = int(lead) * np.timedelta64(round(minutes * 60), "s")
        # Times from files are rounded to seconds.
        if scattered:
            near = pd.Timedelta(TOLERANCE)
            true = truth.to_series().reindex(times + ahead, method="nearest", tolerance=near).to_numpy()
            line = ax.plot(times + ahead, true, "_", markersize=2 * _DOT)[0]
        else:
            part = truth.sel(time=slice(times[0] + ahead - TOLERANCE, times[-1] + ahead + TOLERANCE))
            line = _draw(ax, part["time"].values, part.values, _apart(rows, part["time"].values, 1))
        line.set(color=INK, linewidth=1.2, label="truth")
        for competitor, product in products:
            values = product[VARIABLE].isel(target=0).sel(lead=lead).reindex(time=times).values
            line = _draw(ax, times + ahead, values, gaps)
            line.set(color=competitor.colour, linestyle=competitor.dash, linewidth=0.8, label=competitor.title)
        ax.set_title(f"{lead * minutes:g} minutes ahead" if lead else "The sum that follows", fontsize="small")
        ax.set_ylabel(fill(quantity(truth.attrs, str(truth.name)), _LABEL))
    panels[-1].tick_params(axis="x", labelrotation=20)
    draw_legend(figure, panels)
    caption = (
        f"The truth and forecasts of it, each at the time that it is of, over the {len(times)} starts of the test in"
        " which the truth varies most; by the first seed of each model. Lines end where times are missing, and of"
        " forecasts where none starts; single ones are dots, the truth a dash if all are. Of two targets, the first."
    )
    return ReportFigure(name, title, caption, figure)


def _draw(ax: Axes, times: NDArray[np.datetime64], values: Values, gaps: NDArray[np.int64]) -> Line2D:
    """Draw values (time,) as lines that end before times of these numbers, and single ones as dots."""
    times, values = np.insert(times, gaps, times[gaps]), np.insert(values.astype(np.float64), gaps, np.nan)
    missing = np.concatenate([[True], np.isnan(values), [True]])
    alone = np.flatnonzero(~missing[1:-1] & missing[:-2] & missing[2:])
    (line,) = ax.plot(times, values)
    if alone.size:
        line.set(marker=".", markevery=alone.tolist(), markersize=_DOT)
    return line


def _rows(dataset: xr.Dataset, minutes: float) -> pd.DataFrame:
    """Return, by time of a dataset, its place and that of the first time of the row in which it lies (time, 2)."""
    times = dataset["time"].values
    before = linked(dataset, np.ones(len(times), np.bool_), step_minutes=minutes).before
    places = np.arange(len(times))
    return pd.DataFrame({"place": places, "row": places - before}, index=times)


def _apart(rows: pd.DataFrame, times: NDArray[np.datetime64], stride: int) -> NDArray[np.int64]:
    """Return the numbers of times that lie in another row than those before them, or more steps than a stride later."""
    found = rows.reindex(times).diff().to_numpy()[1:]
    return 1 + np.flatnonzero(~((found[:, 0] <= stride) & (found[:, 1] == 0)))


def _truth(dataset: xr.Dataset, product: xr.Dataset) -> xr.DataArray:
    """Return what is forecast (time,), of two targets the first."""
    told = product[VARIABLE].attrs
    variable = dataset[json.loads(told["inputs"])[0]]
    if variable.ndim > 1:
        variable = variable[:, stations(dataset).index(json.loads(told["rules"])["station"])]
    loaded: xr.DataArray = variable.load()
    return loaded


def _liveliest(truth: xr.DataArray, starts: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Return starts in a row over which the truth varies most."""
    pieces = [starts[i : i + _LONGEST] for i in range(0, max(len(starts) - _LONGEST // 2, 1), _LONGEST)]

    def spread(piece: NDArray[np.datetime64]) -> float:
        values = truth.reindex(time=piece).values
        values = values[np.isfinite(values)]
        return float(values.std()) if values.size else -1.0

    return max(pieces, key=spread)
