"""Where a forecast starts from nothing, and where it continues what is there.

Zhang et al. (2017, arXiv:1702.04517) ask for scores of the initiation of storms apart from those of growth and
advection. Initiation is where no event is in the box or in the boxes around it at the start (derived from the group's
earlier work). All the rest is one regime here, which is ours: whether a storm next to a box will spread into it or move
into it, frames of storms alone do not tell.

Regimes are told by the start alone, not by what comes: each is a part of the cells, in which events can happen or not
and be foreseen or not, so that all four outcomes are counted.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]
Regime = Literal["initiation", "continuation"]
REGIMES: tuple[Regime, ...] = get_args(Regime)
"""``initiation``: no event at the start in the box or in those around it. ``continuation``: an event in one of them."""

BOX_CELLS = "box_cells"
"""Attribute of a variable: cells along a side of the boxes that its values stand for, each with one cell in its middle;
without it, a box is a cell."""


def regime_cells(start: ArrayLike, threshold: float, *, box: int = 1) -> dict[Regime, Mask]:
    """Return the cells of each regime.

    Parameters
    ----------
    start
        The frames (..., rows, columns) that were seen last, NaN where nothing is known.
    threshold
        The event is "at or above".
    box
        Cells along a side of a box. The boxes around one are those whose middles are at most so many cells away in
        each direction.

    Returns
    -------
    dict
        Boolean frames by regime. A cell is in neither if no event is known around it but not all boxes around are
        known, as at the border of a frame.
    """
    from scipy.ndimage import maximum_filter

    values = np.asarray(start, np.float64)
    around = 2 * box + 1
    size = (1,) * (values.ndim - 2) + (around, around)
    near = maximum_filter(values >= threshold, size=size, mode="constant", cval=False)
    unknown = maximum_filter(np.isnan(values), size=size, mode="constant", cval=True)
    return {"initiation": ~near & ~unknown, "continuation": near}
