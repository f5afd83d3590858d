"""Figure of the scales that free runs keep, and lose."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline_lib.report.context import Competitor, ReportContext, ReportFigure
from pipeline_lib.report.figures.bands import draw_band
from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.numbers import with_unit
from pipeline_lib.report.style import INK, new_figure, octaves, panel_grid
from pipeline_lib.tasks.dynamics.names import AGE, FIELD, FREE_RUN, SHELL
from pipeline_lib.tasks.dynamics.runs import spectra, whole_runs

_HEIGHT = 2.9
_OF_STATES = ""
"""Name of the spectrum that the figure makes of the states itself."""

Values = NDArray[np.float64]


def draw_spectra(context: ReportContext) -> ReportFigure:
    """Draw what each wavenumber holds over the second half of the free runs, a line per competitor, a band over seeds.

    Panels are the spectra that products hold; of states whose networks tell none, half the mean square.
    """
    panels = _told(context) or {_OF_STATES: "Energy"}
    figure = new_figure(_HEIGHT)
    axes = panel_grid(figure, 1, len(panels))
    for ax, (spectrum, label) in zip(axes, panels.items(), strict=True):
        _panel(ax, context, spectrum)
        octaves(ax)
        ax.set_yscale("log")
        ax.set_xlabel("Wavenumber")
        ax.set_ylabel(label)
        ax.grid(visible=True, axis="y")
    draw_legend(figure, axes)
    return ReportFigure("spectra", "Spectra", _caption(of_states=_OF_STATES in panels), figure)


def first_field(states: xr.DataArray) -> Values:
    """Return the values (time, ...) of the first field of states, of those that have several."""
    return np.asarray((states.isel({FIELD: 0}) if FIELD in states.dims else states).values, dtype=np.float64)


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


def _panel(ax: Axes, context: ReportContext, spectrum: str) -> None:
    """Draw the truth, and each competitor whose free runs are of the same times as the first one's."""
    shown: list[slice] = []
    for competitor in context.valid:
        rows = []
        for free, true, halves in _series(context, competitor, spectrum):
            if not shown:
                shown, truth = halves, _spectra(true, halves).mean(axis=0)
                ax.plot(np.arange(1, len(truth)), truth[1:], color=INK, linewidth=2.2, alpha=0.35, label="truth")
            if halves == shown:
                found = _spectra(free, halves)[:, 1:]
                rows += [found[whole].mean(axis=0)] if (whole := np.isfinite(found).all(axis=1)).any() else []
        if rows:
            draw_band(ax, np.arange(1, 1 + len(rows[0])), np.stack(rows), competitor)


def _series(
    context: ReportContext, competitor: Competitor, spectrum: str
) -> list[tuple[xr.DataArray, xr.DataArray, list[slice]]]:
    """For each seed, what its free runs and the truth are drawn from, and the second halves of its whole free runs."""
    found = []
    for run in competitor.runs:
        product = context.product(run)
        if product is None or FREE_RUN not in product or context.dataset is None:
            continue
        truth = context.dataset[context.spec.inputs[0]].sel(time=product["time"].values)
        told = {_OF_STATES: (product[FREE_RUN], truth), **spectra(product)}
        halves = [slice((whole.start + whole.stop) // 2, whole.stop) for whole in whole_runs(product[AGE])]
        if spectrum in told and halves:
            found.append((*told[spectrum], halves))
    return found


def _spectra(series: xr.DataArray, halves: list[slice]) -> Values:
    """Mean spectra (run, shells) over the second halves of runs, of spectra (time, shell) or states (time, ...)."""
    parts = [series.isel(time=half) for half in halves]
    found = [part.values if SHELL in part.dims else shell_spectrum(first_field(part)) for part in parts]
    with np.errstate(over="ignore", invalid="ignore"):
        return np.stack([np.asarray(part, dtype=np.float64).mean(axis=0) for part in found])


def _told(context: ReportContext) -> dict[str, str]:
    """Names of the spectra that the competitors' products hold, with words and unit for an axis."""
    found = {}
    for competitor in context.valid:
        product = context.product(competitor.runs[0]) if competitor.runs else None
        for name, (_, true) in ({} if product is None else spectra(product)).items():
            words = str(true.attrs["long_name"]).removesuffix(" of the states")
            found[name] = f"{words[:1].upper()}{words[1:]}{with_unit(str(true.attrs['units']))}"
    return found


def _caption(*, of_states: bool) -> str:
    what, note = "What the flow holds by wavenumber, in all directions alike", ""
    if of_states:
        what = (
            "Half the mean square of the states (of their first field, if they have several) by wavenumber, in all"
            " directions alike and as if the grid were periodic"
        )
        note = " It is the energy of a velocity, the enstrophy of a vorticity."
    return (
        f"{what}, over the second half of each whole free run in the test, beside the truth at the same times (thick)."
        " Lines are means over seeds, bands reach from the least to the largest; runs that leave the numbers are left"
        f" out.{note}"
    )
