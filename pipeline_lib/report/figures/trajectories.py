"""Trajectories of states: as orbits in a plane of two components, and as fields of sites against time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline_lib.report.numbers import with_unit
from pipeline_lib.report.style import RULE, anomaly_colours, new_figure, panel_grid

MOST_PANELS = 9
"""Of a figure with a panel for each trajectory."""
COLUMNS = 3
_PANEL_HEIGHT = 2.1
"""Height of a row of panels in inches."""
_FEWEST_SITES = 8
"""Points of each axis from which on a state is drawn as a field."""
_MOST_COMPONENTS = 4
"""Components up to which a state is drawn as a point."""
_MARGIN = 0.15
"""Share of the range of the reference that a panel of orbits leaves around it."""

Values = NDArray[np.float64]
Drawing = Literal["orbit", "sites", "maps", "none"]


@dataclass(frozen=True)
class Trajectory:
    """States (time, ...) in the unit of the source, missing ones NaN, with name, colour and kind of line."""

    title: str
    colour: str
    states: Values
    dash: str = "-"


def drawing_for(states: Values) -> Drawing:
    """Return how states (time, ...) can be drawn.

    Two to four components are an ``orbit``, many of them ``sites`` on one axis, fields of two or more axes ``maps``;
    for anything between there is ``none``.
    """
    axes = states.shape[1:]
    if len(axes) == 1 and 1 < axes[0] <= _MOST_COMPONENTS:
        return "orbit"
    if not axes or min(axes) < _FEWEST_SITES:
        return "none"
    return "sites" if len(axes) == 1 else "maps"


def equal_panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure and its first ``count`` panels, or as many as it has, all with the same axes."""
    count = min(count, MOST_PANELS)
    rows = -(-count // COLUMNS)
    figure = new_figure(0.4 + _PANEL_HEIGHT * rows)
    panels = list(panel_grid(figure, rows, min(count, COLUMNS), sharex=True, sharey=True))
    for ax in panels[count:]:
        ax.set_axis_off()
    for ax in panels[max(count - COLUMNS, 0) : count]:
        ax.tick_params(labelbottom=True)  # also where the panel below is empty
    return figure, panels[:count]


def draw_orbit(ax: Axes, trajectory: Trajectory, *, within: Values, width: float = 0.5, alpha: float = 1.0) -> None:
    """Draw the first component against the last, in the range of the reference ``within`` (time, component)."""
    states = trajectory.states
    ax.plot(states[:, 0], states[:, -1], color=trajectory.colour, linewidth=width, alpha=alpha)
    low, high = (edge(within[:, [0, -1]], axis=0) for edge in (np.nanmin, np.nanmax))
    margin = _MARGIN * (high - low)
    ax.set_xlim(low[0] - margin[0], high[0] + margin[0])
    ax.set_ylim(low[1] - margin[1], high[1] + margin[1])


def label_orbits(figure: Figure, unit: str = "1") -> None:
    """Name the axes of a figure of orbits."""
    figure.supxlabel(f"First component{with_unit(unit)}", fontsize="medium")
    figure.supylabel(f"Last component{with_unit(unit)}", fontsize="medium")


def draw_sites(ax: Axes, states: Values, *, centre: float, reach: float) -> AxesImage:
    """Draw states (time, site), time upwards, in colours from ``centre - reach`` to ``centre + reach``.

    What is missing is grey, which no value is.
    """
    ax.set_facecolor(RULE)
    for axis in (ax.xaxis, ax.yaxis):
        count_along(axis)
    return ax.imshow(
        states,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        cmap=anomaly_colours(),
        vmin=centre - reach,
        vmax=centre + reach,
    )


def count_along(axis: Axis) -> None:
    """Number an axis of time steps or sites, of which there are no halves."""
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))


def label_sites(figure: Figure) -> None:
    """Name the axes of a figure of sites against time."""
    figure.supxlabel("Site", fontsize="medium")
    figure.supylabel("Time steps", fontsize="medium")


def colour_range(states: Values) -> tuple[float, float]:
    """Return the mean of states and the largest distance from it: the colours of all that is compared with them."""
    centre = float(np.nanmean(states))
    return centre, float(np.nanmax(np.abs(states - centre)))
