"""Land and coastlines for maps, shipped with the package so that drawing never needs the network.

The geometry is Natural Earth's 1:10m land, version 4.1.0, simplified to 0.02 degree by ``tools/make_coastline.py``.
Natural Earth (Nathaniel Vaughn Kelso, Tom Patterson and others) is in the public domain.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path as FilePath

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Bbox

from pipeline_lib.report.style import COAST, LAND

STEPS_PER_DEGREE = 100
"""Resolution of the stored coordinates."""
_MARGIN = 1.0
"""Degrees."""


@cache
def rings() -> tuple[np.ndarray, ...]:
    """Return all land rings: float arrays (points, 2) of longitude and latitude in degrees; lakes run clockwise."""
    with np.load(FilePath(__file__).with_name("coastline.npz"), allow_pickle=False) as stored:
        steps = np.stack([stored["longitude"], stored["latitude"]], axis=1)
        ends = np.cumsum(stored["lengths"])[:-1]
    # Differences wrap around in 16 bits where a ring runs along the date line, hence the 16-bit sum.
    return tuple(np.cumsum(part, axis=0, dtype="int16") / STEPS_PER_DEGREE for part in np.split(steps, ends))


@cache
def _boxes() -> np.ndarray:
    """Bounding boxes of the rings: (rings, 4) as west, south, east, north."""
    return np.array([[*ring.min(axis=0), *ring.max(axis=0)] for ring in rings()])


@cache
def land_path(extent: tuple[float, float, float, float]) -> Path:
    """Return the land around a box ``(west, east, south, north)`` in degrees as one compound path.

    It is cut a little outside the box, so that the cut never shows and no far coast is drawn for nothing.
    """
    west, east, south, north = extent
    boxes = _boxes()
    touching = (boxes[:, 0] <= east) & (boxes[:, 2] >= west) & (boxes[:, 1] <= north) & (boxes[:, 3] >= south)
    frame = Bbox.from_extents(west - _MARGIN, south - _MARGIN, east + _MARGIN, north + _MARGIN)
    near = [
        Path(ring, closed=True).clip_to_bbox(frame) for ring, wanted in zip(rings(), touching, strict=True) if wanted
    ]
    inside = [path for path in near if len(path)]
    return Path.make_compound_path(*inside) if inside else Path(np.empty((0, 2)))


def draw_land(ax: Axes, extent: tuple[float, float, float, float]) -> None:
    """Draw land under and its coastline over the data of axes in degrees, and set their limits to ``extent``.

    Parameters
    ----------
    ax
        Axes with longitude to the right and latitude upwards, in degrees.
    extent
        West, east, south, north.
    """
    path = land_path(extent)  # artists, not patches: adding a patch walks all its points to grow the data limits
    ax.add_artist(PathPatch(path, facecolor=LAND, edgecolor="none", zorder=0))
    ax.add_artist(PathPatch(path, facecolor="none", edgecolor=COAST, linewidth=0.4, zorder=4))
    west, east, south, north = extent
    ax.set_xlim(west, east)
    ax.set_ylim(south, north)
