"""Figure of what networks tell of their free runs: mass, energy."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline_lib.report.context import Competitor, ReportContext, ReportFigure
from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.figures.trajectories import count_along
from pipeline_lib.report.style import INK, new_figure, panel_grid
from pipeline_lib.tasks.dynamics import runs

_HEIGHT = 2.6
"""Height of a panel in inches."""
_ABOVE, _MOST = 10.0, 0.9
"""A panel ends so many times above the value that this share of each line keeps below."""

Values = NDArray[np.float64]


def diagnosed(context: ReportContext) -> dict[str, str]:
    """Return names of the diagnostics that the competitors' products hold, with words and unit for an axis."""
    found = {}
    for competitor in context.valid:
        for product in _products(context, competitor)[:1]:
            for name in runs.diagnosed(product):
                words = str(product[name].attrs["long_name"]).removesuffix(" of the states")
                found[name] = f"{words.capitalize()} [{product[name].attrs['units']}]"
    return found


def draw_diagnostics(context: ReportContext) -> ReportFigure:
    """Draw the magnitude of each diagnostic against time, a line per competitor and a band over its seeds."""
    words = diagnosed(context)
    figure = new_figure(0.4 + _HEIGHT * len(words))
    panels = panel_grid(figure, len(words), 1, sharex=True)
    for ax, (diagnostic, label) in zip(panels, words.items(), strict=True):
        _panel(ax, context, diagnostic)
        ax.set_ylabel(label)
    panels[-1].set_xlabel("Time steps since the start")
    count_along(panels[-1].xaxis)
    draw_legend(figure, panels)
    caption = (
        "Magnitudes of what the states of free runs from the first start of the test sum up to, on logarithmic scales,"
        " beside the truth (thick). Lines are means over seeds, bands reach from the least to the largest; a line ends"
        " where the run of a seed leaves the numbers."
    )
    return ReportFigure("diagnostics", "Diagnostics of free runs", caption, figure)


def _panel(ax: Axes, context: ReportContext, diagnostic: str) -> None:
    drawn: list[Values] = []
    for competitor in context.valid:
        pairs = [_series(product, diagnostic) for product in _products(context, competitor)]
        if not pairs:
            continue
        rows, truth = np.stack([run for run, _ in pairs]), pairs[0][1]
        steps = np.arange(rows.shape[1])
        if not drawn:
            drawn.append(truth)
            ax.plot(steps, truth, color=INK, linewidth=2.2, alpha=0.35, label="truth")
        drawn.append(rows.mean(axis=0))
        ax.plot(
            steps, drawn[-1], linewidth=1.0, color=competitor.colour, linestyle=competitor.dash, label=competitor.title
        )
        low, high = rows.min(axis=0), rows.max(axis=0)
        ax.fill_between(steps, low, high, color=competitor.colour, alpha=0.15, linewidth=0)
    ax.set_yscale("log", nonpositive="mask")
    # A run that blows up passes many powers of ten on its last steps.
    tops = [float(np.quantile(found, _MOST)) for line in drawn if (found := line[np.isfinite(line) & (line > 0)]).size]
    if tops:
        ax.set_ylim(top=_ABOVE * max(tops))
    ax.grid(visible=True, axis="y")


def _products(context: ReportContext, competitor: Competitor) -> list[xr.Dataset]:
    """Products of all seeds that hold a complete free run and diagnostics of it."""
    products = [product for run in competitor.runs if (product := context.product(run)) is not None]
    return [p for p in products if runs.diagnosed(p) and runs.first_run(p) is not None]


def _series(product: xr.Dataset, diagnostic: str) -> tuple[Values, Values]:
    """Magnitudes (time,) of a diagnostic in the first free run and in the truth; infinite ones are missing."""
    values = (np.abs(values[runs.first_run(product)]) for values in runs.diagnosed(product)[diagnostic])
    run, truth = (np.where(np.isfinite(v), v, np.nan) for v in values)
    return run, truth
