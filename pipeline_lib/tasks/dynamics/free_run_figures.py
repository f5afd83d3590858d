"""Figures of free runs: the attractor, how fields develop, energy and spectra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline_lib.report.context import ReportContext, ReportFigure
from pipeline_lib.report.style import INK, anomaly_colours, new_figure, panel_grid
from pipeline_lib.tasks.dynamics.diagnostic_figures import diagnosed, draw_diagnostics
from pipeline_lib.tasks.dynamics.names import FIELD, FREE_RUN
from pipeline_lib.tasks.dynamics.runs import first_run

_COLUMNS = 3
_PANEL_HEIGHT = 2.1
_LINE_HEIGHT = 2.9
_MOST_PANELS = 9
"""Of a figure with a panel for each competitor, the truth included."""
_MAP_HEIGHT = 1.7
_MOST_ROWS = 6
"""Of maps, the truth included."""
_MAP_TIMES = (0.1, 0.5, 1.0)
"""Shares of a run after which it is shown as maps."""
_MAP_DIMS = 3
"""Dimensions, time included, of what is drawn as maps; of more the middle of the others is shown."""
_FEWEST_SITES = 8
"""Sites on one axis from which on a state is drawn as a field."""
_MOST_ATTRACTOR = 4
"""Components up to which a state is drawn as a point."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class FreeRun:
    """The first free run of a competitor that starts in the test.

    ``states`` (time, ...) in the unit of the source, the first of several fields; infinite values are missing.
    """

    title: str
    colour: str
    states: Values


def draw_free_runs(context: ReportContext) -> list[ReportFigure]:
    """Return the figures that suit the states; none if no model was run freely."""
    runs, truth = first_runs(context)
    if not runs:
        return []
    figures = [draw_diagnostics(context) if diagnosed(context) else draw_energy(runs, truth)]
    if truth.states.ndim == 2 and truth.states.shape[1] <= _MOST_ATTRACTOR and truth.states.shape[1] > 1:
        figures.insert(0, draw_attractor(runs, truth))
    elif truth.states.ndim == 2 and truth.states.shape[1] >= _FEWEST_SITES:
        figures = [draw_hovmoeller(runs, truth), draw_spectra(runs, truth), *figures]
    elif truth.states.ndim >= _MAP_DIMS and min(truth.states.shape[1:]) >= _FEWEST_SITES:
        figures = [draw_maps(runs, truth), draw_spectra(runs, truth), *figures]
    return figures


def first_runs(context: ReportContext) -> tuple[list[FreeRun], FreeRun]:
    """Return the first complete run of each competitor's first seed, and the truth at the same times."""
    found, empty = [], FreeRun("truth", INK, np.empty((0, 0)))
    truth = empty
    for competitor in context.valid:
        product = context.product(competitor.runs[0]) if competitor.runs else None
        if product is None or FREE_RUN not in product or context.dataset is None:
            continue
        window = first_run(product)
        if window is None:
            continue
        values = _first_field(product[FREE_RUN].isel(time=window))
        values[~np.isfinite(values)] = np.nan
        found.append(FreeRun(competitor.title, competitor.colour, values))
        states = context.dataset[context.spec.inputs[0]].isel(time=window)
        truth = FreeRun("truth", INK, _first_field(states))
    return found, truth


def _first_field(states: xr.DataArray) -> Values:
    return np.asarray((states.isel({FIELD: 0}) if FIELD in states.dims else states).values, dtype=np.float64)


def draw_attractor(runs: list[FreeRun], truth: FreeRun, *, name: str = "attractor") -> ReportFigure:
    """Draw the first component against the last, a panel for each run."""
    figure, panels = _panels(runs, sharex=True, sharey=True)
    low, high = truth.states.min(axis=0), truth.states.max(axis=0)
    margin = 0.15 * (high - low)
    for ax, run in zip(panels, [truth, *runs], strict=False):
        ax.plot(run.states[:, 0], run.states[:, -1], color=run.colour, linewidth=0.5)
        ax.set_title(run.title)
        ax.set_xlim(low[0] - margin[0], high[0] + margin[0])
        ax.set_ylim(low[-1] - margin[-1], high[-1] + margin[-1])
    figure.supxlabel("First component", fontsize="medium")
    figure.supylabel("Last component", fontsize="medium")
    caption = (
        f"The truth and a free run of each model (first seed) over the same {len(truth.states)} states of the test,"
        f" from the same start, as points in the plane of first and last component.{_left_out(runs)}"
    )
    return ReportFigure(name, "Attractor", caption, figure)


def draw_hovmoeller(runs: list[FreeRun], truth: FreeRun, *, name: str = "hovmoeller") -> ReportFigure:
    """Draw states of one axis against time, a panel for each run."""
    figure, panels = _panels(runs, sharex=True, sharey=True)
    centre, reach = truth.states.mean(), np.abs(truth.states - truth.states.mean()).max()
    image = None
    for ax, run in zip(panels, [truth, *runs], strict=False):
        image = ax.imshow(
            run.states,
            aspect="auto",
            origin="lower",
            interpolation="nearest",
            cmap=anomaly_colours(),
            vmin=centre - reach,
            vmax=centre + reach,
        )
        ax.set_title(run.title)
    figure.supxlabel("Site", fontsize="medium")
    figure.supylabel("Time steps", fontsize="medium")
    if image is not None:
        figure.colorbar(image, ax=panels, shrink=0.7)
    caption = (
        f"The truth and a free run of each model (first seed) over the same {len(truth.states)} states of the test,"
        f" from the same start; colours are values of the state.{_left_out(runs)}"
    )
    return ReportFigure(name, "Free runs", caption, figure)


def draw_maps(runs: list[FreeRun], truth: FreeRun, *, name: str = "maps") -> ReportFigure:
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
        panels[row * len(times)].set_ylabel(run.title)
    if image is not None:
        figure.colorbar(image, ax=panels, shrink=0.5)
    more = 1 + len(runs) - _MOST_ROWS
    level = " at mid-height" if truth.states.ndim > _MAP_DIMS else ""
    caption = (
        "The truth and a free run of each model (first seed) from the same start in the test; colours are values of the"
        f" state{level}, in a range that is symmetric around zero.{_more(more)}"
    )
    return ReportFigure(name, "Free runs", caption, figure)


def _level(state: Values) -> Values:
    """The middle of all axes of a state (...) but the last two."""
    while state.ndim >= _MAP_DIMS:
        state = state[len(state) // 2]
    return state


def draw_spectra(runs: list[FreeRun], truth: FreeRun, *, name: str = "spectra") -> ReportFigure:
    """Draw the mean energy of each wavenumber over the second half of the runs."""
    figure = new_figure(_LINE_HEIGHT)
    ax = figure.subplots()
    for run in (truth, *runs):
        spectrum = shell_spectrum(run.states[len(run.states) // 2 :]).mean(axis=0)
        _line(ax, np.arange(len(spectrum))[1:], spectrum[1:], run)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("Wavenumber")
    ax.set_ylabel("Energy")
    _legend(figure, ax)
    caption = (
        "Half the mean square of the states (of their first field, if they have several) by wavenumber, in all"
        " directions alike and as if the grid were periodic, over the second half of the free runs. It is the energy"
        " of a velocity, the enstrophy of a vorticity."
    )
    return ReportFigure(name, "Spectra", caption, figure)


def shell_spectrum(states: Values) -> Values:
    """Return half the mean square of states (time, ...) that each shell of wavenumbers holds, (time, shells).

    On a grid of several axes, each periodic, shell K holds the modes whose distance from the origin rounds to K. Only
    complete shells are returned, up to half the points of the shortest axis.
    """
    sizes = states.shape[1:]
    axes = tuple(range(1, states.ndim))
    with np.errstate(over="ignore", invalid="ignore"):
        power = 0.5 * np.abs(np.fft.fftn(states, axes=axes, norm="forward")) ** 2
    modes = np.meshgrid(*[np.fft.fftfreq(size, 1 / size) for size in sizes], indexing="ij")
    shell = np.sqrt(np.sum(np.square(modes), axis=0)).round().astype(np.int64).ravel()
    flat = power.reshape(len(states), -1)
    sums = np.stack([np.bincount(shell, weights=row) for row in flat])
    return np.asarray(sums[:, : min(sizes) // 2 + 1])


def draw_energy(runs: list[FreeRun], truth: FreeRun, *, name: str = "energy") -> ReportFigure:
    """Draw half the mean square of the components against time."""
    figure = new_figure(_LINE_HEIGHT)
    ax = figure.subplots()
    true = _energy(truth)
    for run in (truth, *runs):
        _line(ax, np.arange(len(run.states)), _energy(run), run)
    ax.set_ylim(0, 2 * float(true.max()))
    ax.set_xlabel("Time steps since the start")
    ax.set_ylabel("Energy")
    _legend(figure, ax)
    caption = (
        "Half the mean square over the components of the state (of its first field, if it has several) in a free run of"
        " each model (first seed) and in the truth; lines that leave the panel have left twice the largest energy of"
        " the truth."
    )
    return ReportFigure(name, "Energy of free runs", caption, figure)


def _panels(runs: list[FreeRun], **options: bool) -> tuple[Figure, list[Axes]]:
    count = min(1 + len(runs), _MOST_PANELS)
    rows = -(-count // _COLUMNS)
    figure = new_figure(0.4 + _PANEL_HEIGHT * rows)
    panels = list(panel_grid(figure, rows, min(count, _COLUMNS), **options))
    for ax in panels[count:]:
        ax.set_axis_off()
    return figure, panels[:count]


def _left_out(runs: list[FreeRun]) -> str:
    return _more(1 + len(runs) - _MOST_PANELS)


def _more(left_out: int) -> str:
    if left_out <= 0:
        return ""
    those = "model lowest in the ranking is" if left_out == 1 else f"{left_out} models lowest in the ranking are"
    return f" The {those} left out."


def _energy(run: FreeRun) -> Values:
    with np.errstate(over="ignore"):
        return np.asarray(0.5 * (run.states.reshape(len(run.states), -1) ** 2).mean(axis=1))


def _line(ax: Axes, x: NDArray[np.int64], y: Values, run: FreeRun) -> None:
    thick = run.colour == INK
    ax.plot(x, y, color=run.colour, linewidth=2.2 if thick else 1.0, alpha=0.35 if thick else 1.0, label=run.title)
    ax.grid(visible=True, axis="y")


def _legend(figure: Figure, ax: Axes) -> None:
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
