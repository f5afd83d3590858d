"""Analyses in the shape of their states: as orbits of a few components, or as fields of many sites against time."""

from __future__ import annotations

import numpy as np

from pipeline_lib.report.context import ReportContext, ReportFigure
from pipeline_lib.report.figures.trajectories import (
    COLUMNS,
    Trajectory,
    colour_range,
    draw_orbit,
    draw_sites,
    drawing_for,
    equal_panels,
    label_orbits,
    label_sites,
)
from pipeline_lib.report.numbers import show, with_unit
from pipeline_lib.report.style import INK, new_figure, panel_grid, wrapped
from pipeline_lib.tasks.assimilation.stretch import Analysis, Stretch, Values, first_stretch

_ORBIT_TIMES, _ORBITS = 400, 5
"""Time steps and analyses in a figure of orbits."""
_SITE_TIMES, _FIELDS = 100, 3
"""Time steps and analyses in a figure of sites: rows of pixels that can be told apart."""
_SITE_HEIGHT = 4.6
"""Height of that figure in inches."""
_MOST_ERRORS = 0.995
"""Share of the errors that the colours tell apart; larger ones have the colour of the largest."""


def draw_states(context: ReportContext) -> list[ReportFigure]:
    """Return the figure that suits the shape of the states; none where there is no such figure, or no analysis."""
    stretch = first_stretch(context, times=_ORBIT_TIMES, shown=_ORBITS)
    if stretch is None:
        return []
    match drawing_for(stretch.truth):
        case "orbit":
            return [draw_attractor(stretch)]
        case "sites":
            few = first_stretch(context, times=_SITE_TIMES, shown=_FIELDS)
            return [draw_hovmoeller(few)] if few is not None else []
    return []


def draw_attractor(stretch: Stretch) -> ReportFigure:
    """Draw truth and analyses in the plane of first and last component, a panel for each."""
    figure, panels = equal_panels(1 + len(stretch.analyses))
    truth, seen = Trajectory("truth", INK, stretch.truth), stretch.times_observed
    draw_orbit(panels[0], truth, within=truth.states, width=0.8)
    panels[0].plot(truth.states[seen, 0], truth.states[seen, -1], ".", color=INK, markersize=4)
    panels[0].set_title("truth")
    for ax, analysis in zip(panels[1:], stretch.analyses, strict=False):
        draw_orbit(ax, truth, within=truth.states, width=2.2, alpha=0.3)
        orbit = Trajectory(analysis.title, analysis.colour, _windows_apart(analysis))
        draw_orbit(ax, orbit, within=truth.states, width=0.9)
        ax.set_title(wrapped(analysis.title, beside=COLUMNS))
    label_orbits(figure, stretch.unit)
    caption = (
        f"The first {len(truth.states)} states of the test as points in the plane of first and last component: the"
        f" truth, with dots where anything of it is observed ({_times(stretch)}), and the analyses of the"
        f" {_best(stretch)} (first seed) upon the truth (thick). Each window is a line of its own."
    )
    return ReportFigure("attractor", "Attractor", caption, figure)


def draw_hovmoeller(stretch: Stretch) -> ReportFigure:
    """Draw truth, observations, analyses and their errors, sites against time."""
    figure = new_figure(_SITE_HEIGHT)
    count = len(stretch.analyses)
    panels = panel_grid(figure, 2, 1 + count, sharex=True, sharey=True)
    above, below = panels[: 1 + count], panels[1 + count :]
    centre, reach = colour_range(stretch.truth)
    errors = [analysis.mean - stretch.truth for analysis in stretch.analyses]
    largest = float(np.quantile(np.abs(errors), _MOST_ERRORS)) or 1.0
    states = draw_sites(above[0], stretch.truth, centre=centre, reach=reach)
    draw_sites(below[0], stretch.observation, centre=centre, reach=reach)
    above[0].set_title("truth")
    below[0].set_title("observations")
    for ax, lower, analysis, error in zip(above[1:], below[1:], stretch.analyses, errors, strict=True):
        draw_sites(ax, analysis.mean, centre=centre, reach=reach)
        wrong = draw_sites(lower, error, centre=0.0, reach=largest)
        ax.set_title(wrapped(analysis.title, beside=1 + count))
        lower.set_title(f"its error (RMSE {show(_rms(error))})")
    label_sites(figure)
    figure.colorbar(states, ax=above, label=f"State{with_unit(stretch.unit)}", extend="both")
    figure.colorbar(wrong, ax=below, label=f"Analysis − truth{with_unit(stretch.unit)}", extend="both")
    caption = (
        f"The first {len(stretch.truth)} states of the test, sites against time: the truth, what is observed of it"
        f" {_times(stretch)} (grey: nothing), and the analyses of the {_best(stretch)} (first seed), each above its"
        " error. Truth, observations and analyses have the same colours, and so have all errors."
    )
    return ReportFigure("hovmoeller", "Analyses by site", caption, figure)


def _windows_apart(analysis: Analysis) -> Values:
    """States of an analysis with a gap in front of each window, since none follows from the one before it."""
    return np.insert(analysis.mean, np.flatnonzero(analysis.position == 0), np.nan, axis=0)


def _times(stretch: Stretch) -> str:
    seen = stretch.times_observed
    return f"at {len(seen)} times, from step {seen[0]} to step {seen[-1]}" if seen.size else "at no time"


def _best(stretch: Stretch) -> str:
    count = len(stretch.analyses)
    return "best model" if count == 1 else f"{count} best models"


def _rms(errors: Values) -> float:
    return float(np.sqrt(np.mean(errors**2)))
