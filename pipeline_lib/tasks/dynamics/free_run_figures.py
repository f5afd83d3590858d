"""Figures of free runs: the attractor, how fields develop, energy."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline_lib.report.context import ReportContext, ReportFigure
from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.figures.trajectories import (
    COLUMNS,
    MOST_PANELS,
    Trajectory,
    colour_range,
    count_along,
    draw_orbit,
    draw_sites,
    drawing_for,
    equal_panels,
    label_orbits,
    label_sites,
)
from pipeline_lib.report.style import INK, anomaly_colours, message_figure, new_figure, panel_grid, wrapped
from pipeline_lib.tasks.dynamics.diagnostic_figures import diagnosed, draw_diagnostics
from pipeline_lib.tasks.dynamics.names import FREE_RUN
from pipeline_lib.tasks.dynamics.runs import first_run
from pipeline_lib.tasks.dynamics.spectrum_figures import draw_spectra, first_field

_LINE_HEIGHT = 2.9
_MAP_HEIGHT = 1.7
_MOST_ROWS = 6
"""Of maps, the truth included."""
_MAP_TIMES = (0.1, 0.5, 1.0)
"""Shares of a run after which it is shown as maps."""
_MAP_DIMS = 3
"""Dimensions, time included, of what is drawn as maps; of more the middle of the others is shown."""

_FIRST_FIELD = " (of its first field, if it has several)"
"""What figures of states show of them."""

Values = NDArray[np.float64]


def draw_free_runs(context: ReportContext) -> list[ReportFigure]:
    """Return the figures that suit the states; none if no model was run freely, and words where no run is whole."""
    runs, truth = first_runs(context)
    if not runs:
        return _none_whole(context)
    figures = [draw_diagnostics(context) if diagnosed(context) else draw_energy(runs, truth)]
    match drawing_for(truth.states):
        case "orbit":
            return [draw_attractor(runs, truth), *figures]
        case "sites":
            return [draw_hovmoeller(runs, truth), draw_spectra(context), *figures]
        case "maps":
            return [draw_maps(runs, truth), draw_spectra(context), *figures]
    return figures


def first_runs(context: ReportContext) -> tuple[list[Trajectory], Trajectory]:
    """Return the first complete run of each competitor's first seed that starts in the test, and the truth.

    Of several fields the first is kept; infinite values are missing. All are of the times of the first one's run, over
    which the truth is: a run of other times is left out.
    """
    found, truth = [], Trajectory("truth", INK, np.empty((0, 0)))
    shown: slice | None = None
    for competitor in context.valid:
        product = context.product(competitor.runs[0]) if competitor.runs else None
        if product is None or FREE_RUN not in product or context.dataset is None:
            continue
        window = first_run(product)
        if window is None or (shown is not None and window != shown):
            continue
        values = first_field(product[FREE_RUN].isel(time=window))
        values[~np.isfinite(values)] = np.nan
        found.append(Trajectory(competitor.title, competitor.colour, values, competitor.dash))
        if shown is None:
            shown = window
            states = context.dataset[context.spec.inputs[0]].sel(time=product["time"].values[window])
            truth = Trajectory("truth", INK, first_field(states))
    return found, truth


def _none_whole(context: ReportContext) -> list[ReportFigure]:
    """Say why there is no free run to draw, where models made some."""
    products = [context.product(competitor.runs[0]) for competitor in context.valid if competitor.runs]
    if not any(product is not None and FREE_RUN in product for product in products):
        return []
    caption = (
        "No free run goes through to its end: periods, trajectories or the test end before it. Metrics of free runs are"
        " undefined; a shorter training.free_run gives them values."
    )
    return [ReportFigure("free_runs", "Free runs", caption, message_figure("No whole free run to draw"))]


def draw_attractor(runs: list[Trajectory], truth: Trajectory) -> ReportFigure:
    """Draw the first component against the last, a panel for each run."""
    figure, panels = equal_panels(1 + len(runs))
    for ax, run in zip(panels, [truth, *runs], strict=False):
        draw_orbit(ax, run, within=truth.states)
        ax.set_title(wrapped(run.title, beside=COLUMNS))
    label_orbits(figure)
    caption = (
        f"The truth and a free run of each model (first seed) over the same {len(truth.states)} states of the test,"
        f" from the same start, as points in the plane of first and last component.{_left_out(runs)}"
    )
    return ReportFigure("attractor", "Attractor", caption, figure)


def draw_hovmoeller(runs: list[Trajectory], truth: Trajectory) -> ReportFigure:
    """Draw states of one axis against time, a panel for each run."""
    figure, panels = equal_panels(1 + len(runs))
    centre, reach = colour_range(truth.states)
    for ax, run in zip(panels, [truth, *runs], strict=False):
        image = draw_sites(ax, run.states, centre=centre, reach=reach)
        ax.set_title(wrapped(run.title, beside=COLUMNS))
    label_sites(figure)
    figure.colorbar(image, ax=panels, shrink=0.7, label="State")
    caption = (
        f"The truth and a free run of each model (first seed) over the same {len(truth.states)} states of the test,"
        f" from the same start; colours are values of the state{_FIRST_FIELD}.{_left_out(runs)}"
    )
    return ReportFigure("hovmoeller", "Free runs", caption, figure)


def draw_maps(runs: list[Trajectory], truth: Trajectory) -> ReportFigure:
    """Draw states of two or more axes at three times, a row of maps for each run."""
    rows = [truth, *runs][:_MOST_ROWS]
    figure = new_figure(0.4 + _MAP_HEIGHT * len(rows))
    panels = panel_grid(figure, len(rows), len(_MAP_TIMES), sharex=True, sharey=True)
    last = len(truth.states) - 1
    times = [round(share * last) for share in _MAP_TIMES]
    reach = np.abs(truth.states).max()
    image = None
    for row, run in enumerate(rows):
        for column, time in enumerate(times):
            ax = panels[row * len(times) + column]
            image = ax.imshow(
                _level(run.states[time]),
                origin="lower",
                interpolation="nearest",
                cmap=anomaly_colours(),
                vmin=-reach,
                vmax=reach,
            )
            ax.set_xticks([])
            ax.set_yticks([])
            if row == 0:
                ax.set_title(f"after {time} steps")
        panels[row * len(times)].set_ylabel(wrapped(run.title, beside=4))
    if image is not None:
        figure.colorbar(image, ax=panels, shrink=0.5)
    more = 1 + len(runs) - _MOST_ROWS
    level = " at mid-height" if truth.states.ndim > _MAP_DIMS else ""
    caption = (
        "The truth and a free run of each model (first seed) from the same start in the test; colours are values of the"
        f" state{_FIRST_FIELD}{level}, in a range that is symmetric around zero.{_more(more)}"
    )
    return ReportFigure("maps", "Free runs", caption, figure)


def _level(state: Values) -> Values:
    """The middle of all axes of a state (...) but the last two."""
    while state.ndim >= _MAP_DIMS:
        state = state[len(state) // 2]
    return state


def draw_energy(runs: list[Trajectory], truth: Trajectory) -> ReportFigure:
    """Draw half the mean square of the components against time."""
    figure = new_figure(_LINE_HEIGHT)
    ax = figure.subplots()
    true = _energy(truth)
    for run in (truth, *runs):
        _line(ax, np.arange(len(run.states)), _energy(run), run)
    ax.set_ylim(0, 2 * float(true.max()))
    ax.set_xlabel("Time steps since the start")
    count_along(ax.xaxis)
    ax.set_ylabel("Energy")
    draw_legend(figure, [ax])
    caption = (
        f"Half the mean square over the components of the state{_FIRST_FIELD} in a free run of each model (first seed)"
        " and in the truth; lines that leave the panel have left twice the largest energy of the truth."
    )
    return ReportFigure("energy", "Energy of free runs", caption, figure)


def _left_out(runs: list[Trajectory]) -> str:
    return _more(1 + len(runs) - MOST_PANELS)


def _more(left_out: int) -> str:
    if left_out <= 0:
        return ""
    those = "model lowest in the ranking is" if left_out == 1 else f"{left_out} models lowest in the ranking are"
    return f" The {those} left out."


def _energy(run: Trajectory) -> Values:
    with np.errstate(over="ignore"):
        return np.asarray(0.5 * (run.states.reshape(len(run.states), -1) ** 2).mean(axis=1))


def _line(ax: Axes, x: NDArray[np.int64], y: Values, run: Trajectory) -> None:
    thick = run.colour == INK
    ax.plot(
        x,
        y,
        linewidth=2.2 if thick else 1.0,
        alpha=0.35 if thick else 1.0,
        color=run.colour,
        linestyle=run.dash,
        label=run.title,
    )
    ax.grid(visible=True, axis="y")
