"""Building blocks of maps: panels with land, graticule and colours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline_lib.report.coastline import draw_land
from pipeline_lib.report.style import INK, PAPER

Extent = tuple[float, float, float, float]
_MIN_COS = 0.2
"""Keeps panels of polar regions from growing without bound."""


def extent_of(field: xr.DataArray) -> Extent:
    """Return west, east, south, north of the cells' outer edges, in degrees."""
    edges = []
    for axis in ("longitude", "latitude"):
        values = field[axis].values.astype(float)
        half = float(np.median(np.diff(values))) / 2 if values.size > 1 else 0.5
        edges += [float(values[0]) - half, float(values[-1]) + half]
    west, east, south, north = edges
    return west, east, max(south, -90.0), min(north, 90.0)


def height_per_width(extent: Extent) -> float:
    """Return height over width of a map panel whose middle parallel is true to scale."""
    west, east, south, north = extent
    shrink = max(_MIN_COS, math.cos(math.radians((south + north) / 2)))
    return (north - south) / ((east - west) * shrink)


def draw_field(
    ax: Axes, field: xr.DataArray, *, colours: Colormap, norm: Normalize | None = None, extent: Extent | None = None
) -> QuadMesh:
    """Draw a (latitude, longitude) field over land; NaN cells show the land or stay white.

    The field becomes pixels in vector files, so that they stay small.
    """
    box = extent or extent_of(field)
    mesh = ax.pcolormesh(
        field.longitude.values,
        field.latitude.values,
        np.ma.masked_invalid(field.values),
        cmap=colours,
        norm=norm,
        shading="nearest",
        rasterized=True,
        zorder=1,
    )
    draw_land(ax, box)
    _graticule(ax, box)
    return mesh


def draw_classes(ax: Axes, classes: xr.DataArray, colours: Mapping[int, str], *, extent: Extent | None = None) -> None:
    """Draw a field of class codes; codes without a colour, and NaN, show what lies beneath: land or white."""
    codes = sorted(colours)
    shown = classes.where(classes.isin(codes))
    limits = [codes[0] - 0.5, *[(a + b) / 2 for a, b in pairwise(codes)], codes[-1] + 0.5]
    palette = ListedColormap([colours[code] for code in codes])
    draw_field(ax, shown, colours=palette, norm=BoundaryNorm(limits, len(codes)), extent=extent)


def _graticule(ax: Axes, extent: Extent) -> None:
    ax.set_aspect(height_per_width(extent) * (extent[1] - extent[0]) / (extent[3] - extent[2]))
    ax.set_facecolor(PAPER)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 3, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 3, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: degrees(x, "E", "W")))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: degrees(y, "N", "S")))
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.5)
    ax.tick_params(length=2, labelsize=6)


def degrees(value: float, positive: str, negative: str) -> str:
    """Return a coordinate with its hemisphere, such as ``10°E``."""
    hemisphere = positive if value > 0 else negative if value < 0 else ""
    return f"{abs(value):g}°{hemisphere}"


def note(ax: Axes, text: str) -> None:
    """Write a short note into the lower left corner of a panel; nothing for an empty text."""
    if not text:
        return
    ax.text(
        0.012, 0.03, text, transform=ax.transAxes, fontsize=6.5, color=INK, va="bottom", zorder=6,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )  # fmt: skip
