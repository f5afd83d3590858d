"""Round cells that a flow carries, that are born, grow and decay: what generated weather consists of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from pipeline_lib.simulations.sequences import Described, PositiveRange, Range, SequenceOptions, evenly

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REACH = 3.0
"""Radii beyond which a cell is not felt: at the border of what a flow brings in."""
_YOUNG = 0.5
"""Radius of a cell at its birth over its mean radius; it grows evenly to twice the mean less this."""
_SMALL = 6
"""A cell's radius goes so many times into the side of a periodic frame at least: its own copies are not felt."""


FLOW = {
    "flow_rows": Described((), "1", "mean flow towards the next frame, pixels along the rows' axis"),
    "flow_columns": Described((), "1", "mean flow towards the next frame, pixels along the columns' axis"),
}
"""What :func:`draw_flow` draws, as variables."""


class FlowOptions(SequenceOptions):
    """A mean flow for each sequence."""

    speed: Range = (0.5, 2.5)
    """Of the mean flow, pixels per frame, between these bounds; the direction is any."""
    turn: float = Field(0.0, ge=0)
    """Degrees per frame by which the flow turns, this much at most, either way."""


class CellOptions(FlowOptions):
    """The cells of a sequence."""

    borders: Literal["periodic", "open"] = "periodic"
    """What leaves comes back on the other side, or is gone while the flow brings in new cells."""
    shear: float = Field(0.0, ge=0)
    """Change of the flow along the columns from one row to the next, pixels per frame, this much at most, either way.
    A cell moves as its middle does and stays round. Across a periodic border the flow jumps."""
    cells: float = Field(8.0, gt=0)
    """Cells in a frame, on average; the number of a sequence is drawn after Poisson."""
    radius: PositiveRange = (1.5, 4.0)
    """Standard deviation of the Gaussian that a cell is, in pixels, averaged over its life, between these bounds."""
    growth: bool = True
    """Whether cells are born, grow and decay; without it they stay as they are, so that extrapolation is exact."""
    lifetime: PositiveRange = (10.0, 30.0)
    """Frames from birth to decay, between these bounds."""

    @model_validator(mode="after")
    def _small(self) -> CellOptions:
        largest = self.largest_radius
        if self.borders == "periodic" and largest * _SMALL > self.side:
            raise ValueError(f"cells of radius {largest:g} meet themselves in a periodic frame of {self.side} pixels")
        return self

    @property
    def largest_radius(self) -> float:
        """Radius of the largest cells at their end, pixels."""
        return self.radius[1] * (2 - _YOUNG if self.growth else 1)


@dataclass(frozen=True)
class Cells:
    """Cells of a sequence, frame by frame."""

    rows: NDArray[np.float64]
    """Of their middles (frame, cell); pixel i has its middle at i."""
    columns: NDArray[np.float64]
    radii: NDArray[np.float64]
    """Standard deviations (frame, cell)."""
    strength: NDArray[np.float64]
    """Share of the largest in their life (frame, cell), from 0 to 1."""


def draw_flow(rng: np.random.Generator, options: FlowOptions, frames: int) -> NDArray[np.float64]:
    """Return the flow of a sequence (frame, 2), pixels along rows and columns from each frame to the next."""
    import numpy as np

    direction = rng.random() * 2 * math.pi
    speed = rng.uniform(*options.speed)
    turn = math.radians(rng.uniform(-options.turn, options.turn))
    angle = direction + turn * np.arange(frames)
    return speed * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def draw_cells(rng: np.random.Generator, options: CellOptions, flow: NDArray[np.float64]) -> Cells:
    """Return the cells of a sequence, in the frame and wherever the flow may bring them in from.

    With growth, births are spread evenly from the longest lifetime before the sequence to its end, and the strength is
    the squared sine of the share of life that is over.

    Parameters
    ----------
    rng
        What they are drawn with.
    options
        What they are like.
    flow
        What carries them (frame, 2), in the middle row; it tells the number of frames.
    """
    import numpy as np

    way = np.concatenate([np.zeros((1, 2)), np.cumsum(flow, axis=0)[:-1]])
    shear = rng.uniform(-options.shear, options.shear)
    low, high = _region(options, way, abs(shear))
    shortest, longest = options.lifetime
    expected = options.cells * float(np.prod(high - low)) / options.side**2
    if options.growth:
        expected *= (len(flow) + longest) / ((shortest + longest) / 2)
    count = rng.poisson(expected)
    start = rng.uniform(low, high, (count, 2))
    radius = evenly(rng, options.radius, count)
    rows = start[:, 0] + way[:, 0, None]
    # In a periodic frame, what has left it has come back, where the flow is that of the other side.
    seen = rows % options.side if options.borders == "periodic" else rows
    pushed = np.cumsum(shear * (seen - (options.side - 1) / 2), axis=0)
    columns = start[:, 1] + way[:, 1, None] + np.concatenate([np.zeros((1, count)), pushed[:-1]])
    if not options.growth:
        return _in_reach(Cells(rows, columns, np.broadcast_to(radius, rows.shape), np.ones(rows.shape)), options)
    birth, life = evenly(rng, (-longest, len(flow)), count), evenly(rng, options.lifetime, count)
    over = np.clip((np.arange(len(flow))[:, None] - birth) / life, 0, 1)
    # The sine of pi is not quite zero in floating point, and what is over is gone.
    strength = np.where(over < 1, np.sin(math.pi * over) ** 2, 0.0)
    return _in_reach(Cells(rows, columns, radius * (_YOUNG + 2 * (1 - _YOUNG) * over), strength), options)


def _region(
    options: CellOptions, way: NDArray[np.float64], shear: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last row and column, at the first frame, of cells that may be in one of the frames."""
    import numpy as np

    low, high = np.zeros(2), np.full(2, float(options.side))
    if options.borders == "open":
        around = _REACH * options.largest_radius
        sheared = np.array([0.0, shear * (options.side / 2 + around) * len(way)])
        low, high = low - way.max(axis=0) - around - sheared, high - way.min(axis=0) + around + sheared
    return low, high


def _in_reach(cells: Cells, options: CellOptions) -> Cells:
    """Leave out the cells that never come near the frame: in long sequences, most of the region's."""
    if options.borders == "periodic":
        return cells
    around = _REACH * options.largest_radius
    near = cells.strength > 0
    for places in (cells.rows, cells.columns):
        near &= (places > -around) & (places < options.side + around)
    kept = near.any(axis=0)
    return Cells(cells.rows[:, kept], cells.columns[:, kept], cells.radii[:, kept], cells.strength[:, kept])


def summed(cells: Cells, weights: NDArray[np.float64], options: CellOptions) -> NDArray[np.float64]:
    """Return the sum of all cells (frame, row, column): Gaussians of height ``weights`` times their strength.

    Parameters
    ----------
    cells
        Where they are and how strong.
    weights
        Height of each (cell,) or in each frame (frame, cell).
    options
        Side and borders of a frame.
    """
    import numpy as np

    down = _along(cells.rows, cells.radii, options) * (weights * cells.strength)[..., None]
    across = _along(cells.columns, cells.radii, options)
    return np.asarray(np.einsum("tcr,tck->trk", down, across))


def _along(places: NDArray[np.float64], radii: NDArray[np.float64], options: CellOptions) -> NDArray[np.float64]:
    """Gaussians (frame, cell, pixel) along one axis; a round Gaussian is the product of two."""
    import numpy as np

    pixel = np.arange(options.side)
    if options.borders == "open":
        return np.exp(-(((pixel - places[..., None]) / radii[..., None]) ** 2) / 2)
    apart = (pixel - places[..., None]) % options.side
    spread = 2 * radii[..., None] ** 2
    # The nearest copies on both sides; all others are at least a side away.
    return np.exp(-(apart**2) / spread) + np.exp(-((apart - options.side) ** 2) / spread)
