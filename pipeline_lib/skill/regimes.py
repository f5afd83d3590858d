"""Where a forecast starts from nothing, where storms grow when it starts, and where they are only carried.

Zhang et al. (2017, arXiv:1702.04517) ask for scores of the initiation of storms apart from those of growth and
advection. Initiation is where no event is in the box or in the boxes around it at the start (derived from the group's
earlier work). What tells growth from advection is not published; ours is whether a storm around has become larger by
a tenth with the last frame that was seen. Less than that, cells cannot tell: a storm that is only carried covers some
more or some fewer of them. A storm is what touches in one of the last two frames or from one to the other; one that
moves by more than its own width is taken as new, and new ones grow.

Regimes are told by what was seen, not by what comes: each is a part of the cells, in which events can happen or not
and be foreseen or not, so that all four outcomes are counted.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]
Regime = Literal["initiation", "continuation", "growth", "advection"]
REGIMES: tuple[Regime, ...] = get_args(Regime)
"""``initiation``: no event at the start in the box or in those around it. ``continuation``: an event in one of them; of
these, ``growth`` where a storm around has grown, ``advection`` where none has. What a storm does that is cut, by the
border or where nothing is known, cannot be told: cells around it are in neither."""
TRENDS: tuple[Regime, ...] = ("growth", "advection")
"""Regimes that two frames tell."""

_GROWTH = 1.1
"""Cells of a storm that grows, over those that it had in the frame before; ours."""

BOX_CELLS = "box_cells"
"""Attribute of a variable: cells along a side of the boxes that its values stand for, each with one cell in its middle;
without it, a box is a cell."""


def regime_cells(seen: ArrayLike, threshold: float, *, box: int = 1) -> dict[Regime, Mask]:
    """Return the cells of each regime.

    Parameters
    ----------
    seen
        The frames (..., seen, rows, columns) that were seen last, the very last behind the others, NaN where nothing is
        known. Growth takes two of them; earlier ones are not looked at.
    threshold
        The event is "at or above".
    box
        Cells along a side of a box. The boxes around one are those whose middles are at most so many cells away in
        each direction.

    Returns
    -------
    dict
        Boolean frames (..., rows, columns) by regime; of one frame, initiation and continuation alone. A cell is in
        none if no event is known around it but not all boxes around are known, as at the border of a frame. It is
        neither in growth nor in advection where a storm around is cut.
    """
    from scipy.ndimage import maximum_filter

    values = np.asarray(seen, np.float64)
    start = values[..., -1, :, :]
    around = 2 * box + 1
    size = (1,) * (start.ndim - 2) + (around, around)

    def reached(cells: Mask, beyond: bool) -> Mask:
        found: Mask = maximum_filter(cells, size=size, mode="constant", cval=beyond)
        return found

    near = reached(start >= threshold, beyond=False)
    unknown = reached(np.isnan(start), beyond=True)
    cells: dict[Regime, Mask] = {"initiation": ~near & ~unknown, "continuation": near}
    if values.shape[-3] > 1:
        grown, cut = (reached(storms, beyond=False) for storms in _storms(values[..., -2, :, :], start, threshold))
        cells |= {"growth": grown & ~cut, "advection": near & ~grown & ~cut}
    return cells


def _storms(before: NDArray[np.float64], now: NDArray[np.float64], threshold: float) -> tuple[Mask, Mask]:
    """Return the cells (..., rows, columns) of storms that have grown since the frame before, and of those cut."""
    from scipy.ndimage import binary_dilation, label

    earlier, later = (values.reshape(-1, *values.shape[-2:]) for values in (before, now))
    events = earlier >= threshold, later >= threshold
    touching = np.zeros((3, 3, 3), np.int8)
    touching[1] = 1  # within a frame, cells that share a corner
    storms, count = label(events[0] | events[1], touching)
    sizes = [np.bincount(storms[event], minlength=count + 1) for event in events]
    inside = np.zeros_like(events[1])
    inside[:, 1:-1, 1:-1] = True
    edge = binary_dilation(np.isnan(earlier) | np.isnan(later), touching) | ~inside
    cut = np.zeros(count + 1, np.bool_)
    cut[np.unique(storms[edge])] = True
    grown = (sizes[1] > _GROWTH * sizes[0]) & ~cut
    found: list[Mask] = [(events[1] & these[storms]).reshape(now.shape) for these in (grown, cut)]
    return found[0], found[1]
