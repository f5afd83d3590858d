"""A line over seeds."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pipeline_lib.report.context import Competitor


def draw_band(
    ax: Axes, x: NDArray[np.int64] | NDArray[np.float64], rows: NDArray[np.float64], competitor: Competitor
) -> None:
    """Draw the mean of rows (seeds, x) as a competitor's line, and a band from the lowest to the highest of them."""
    ax.plot(
        x, rows.mean(axis=0), linewidth=1.2, color=competitor.colour, linestyle=competitor.dash, label=competitor.title
    )
    ax.fill_between(x, rows.min(axis=0), rows.max(axis=0), color=competitor.colour, alpha=0.15, linewidth=0)
