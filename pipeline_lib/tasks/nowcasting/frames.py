"""Forecast frames beside the true ones: one figure of some leads, and an animation of all."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline_lib.data.blocks import time_blocks
from pipeline_lib.data.rows import linked
from pipeline_lib.report.context import ReportContext, ReportFigure
from pipeline_lib.report.numbers import listed, quantity
from pipeline_lib.report.style import MUTED, WIDTH, frame_colours, message_figure, new_figure, panel_grid, wrapped
from pipeline_lib.tasks.nowcasting.names import VARIABLE
from pipeline_lib.tasks.nowcasting.options import Interior, ScoringOptions

_LEADS = 5
"""Leads of the figure."""
_MOST_MODELS = 11
"""Forecasts that are drawn: with the truth they fill three rows of the animation."""
_PANEL = 1.25
"""Most that a row of frames is high, in inches."""
_BESIDE = 1.6
"""Width of the names of rows and of the colour bar, in inches."""
_NAME = 0.6
"""Height of rows, in inches, up to which names of rows have no room along them and are level."""
_TITLES = 0.15
"""Height of the titles of columns in inches."""
_MARGIN = 0.03
"""Share of the width that names of rows need, which equal aspects keep the layout from seeing."""
_COLUMNS = 4
"""Panels in a row of the animation."""
_LABEL = 32
"""Letters in a line of the colour bar's label, at most."""
_LETTERS = 16
"""Of its letters, those that an inch has room for."""
_PERCENTILE = 99.9
"""Of the true values: the brightest colour."""
_DOWNWARDS = "row"
"""Axis of pictures, whose first row is the top one; ``y`` and ``latitude`` grow upwards."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """The forecast that is shown.

    Attributes
    ----------
    start
        Time of the last frame that was seen.
    past, truth
        The last frame that was seen (y, x), and the true frames (lead, y, x) after it.
    forecasts
        Forecast frames (lead, y, x) by title of the competitor.
    quantity
        What the values are, with their unit.
    step_minutes
        Minutes between frames.
    interior
        The part of the frames that is scored.
    origin
        Where the first row is.
    left_out
        Titles of the competitors that there is no room for, the lowest in the ranking.
    """

    start: np.datetime64
    past: Values
    truth: Values
    forecasts: dict[str, Values]
    quantity: str
    step_minutes: float
    interior: Interior
    origin: Literal["upper", "lower"] = "lower"
    left_out: tuple[str, ...] = ()

    @property
    def limits(self) -> tuple[float, float]:
        """Values of the first and the last colour."""
        low, high = (float(np.nanpercentile(self.truth, p)) for p in (100 - _PERCENTILE, _PERCENTILE))
        return low, high if high > low else low + 1.0


def draw_frames(context: ReportContext) -> list[ReportFigure]:
    """Draw the forecasts from the start that has most to show, beside the truth; all leads as an animation."""
    title = "Forecast frames"
    shown = find_shown(context)
    if shown is None:
        return [ReportFigure("frames", title, "There are no forecasts.", message_figure("No forecast to draw"))]
    leads = len(shown.truth)
    chosen = np.unique(np.linspace(0, leads - 1, min(_LEADS, leads)).round().astype(int))
    rows = {"truth": shown.truth, **shown.forecasts}
    tall = shown.past.shape[0] / shown.past.shape[1]
    high = min(_PANEL, 0.05 + tall * (WIDTH - _BESIDE) / len(chosen))
    figure = new_figure(high * len(rows) + _TITLES)
    figure.set_layout_engine("compressed")
    if isinstance(engine := figure.get_layout_engine(), ConstrainedLayoutEngine):
        engine.set(rect=(_MARGIN, 0, 1 - _MARGIN, 1))
    panels = np.array(panel_grid(figure, len(rows), len(chosen))).reshape(len(rows), len(chosen))
    beside: dict[str, Any] = {} if high > _NAME else {"rotation": 0, "ha": "right", "va": "center"}
    for row, (words, frames) in zip(panels, rows.items(), strict=True):
        for ax, lead in zip(row, chosen, strict=True):
            image = _frame(ax, frames[lead], shown)
        row[0].set_ylabel(wrapped(words, beside=5), fontsize="x-small", **beside)
    for ax, lead in zip(panels[0], chosen, strict=True):
        ax.set_title(_ahead(lead, shown), fontsize="small")
    label = fill(shown.quantity, min(_LABEL, round(_LETTERS * figure.get_figheight())), break_long_words=False)
    figure.colorbar(image, ax=panels.ravel().tolist(), shrink=0.6, label=label)
    caption = (
        f"Forecasts from {shown.start:.19}, the start of the test after which the true frames vary most, by the first"
        " seed of each model."
    )
    if shown.interior != Interior():
        caption += " The rectangle is the part that is scored."
    missing = _missing(shown)
    return [
        ReportFigure("frames", title, caption + missing, figure),
        ReportFigure(
            "animation",
            "Forecast frames, one after the other",
            f"The same forecasts at all {leads} leads.{missing}",
            animated(shown, leads - 1),
            tuple(animated(shown, lead) for lead in range(-1, leads)),
        ),
    ]


def _missing(shown: Shown) -> str:
    """Return a sentence that names who is not drawn; nothing if all are."""
    if not shown.left_out:
        return ""
    verb = "is" if len(shown.left_out) == 1 else "are"
    return f" There is no room for the lowest in the ranking: {listed([*shown.left_out])} {verb} left out."


def animated(shown: Shown, lead: int) -> Figure:
    """Return the frames of all competitors at a lead counted from 0; -1 is the last frame that was seen."""
    panels = {"truth": shown.truth, **shown.forecasts}
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(1.9 * rows + 0.3)
    axes = panel_grid(figure, rows, columns)
    for ax, (words, frames) in zip(axes, panels.items(), strict=False):
        _frame(ax, shown.past if lead < 0 else frames[lead], shown)
        ax.set_title(words, fontsize="small")
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    figure.suptitle("last frame seen" if lead < 0 else _ahead(lead, shown), fontsize="small")
    return figure


def find_shown(context: ReportContext) -> Shown | None:
    """Return the forecasts from the start after which the true frames vary most; ``None`` if there are none."""
    products = [(c, product) for c in context.valid if c.runs and (product := context.product(c.runs[0])) is not None]
    ds = context.dataset
    if not products or ds is None:
        return None
    frames = ds[context.spec.inputs[0]]
    first = products[0][1]
    leads, step = first.sizes["lead"], float(first[VARIABLE].attrs["step_minutes"])
    best = _liveliest(ds, context.spec.inputs[0], first["time"].values, leads, step)
    if best is None:
        return None
    place = int(np.searchsorted(frames["time"].values, best))
    forecasts = {
        c.title: product[VARIABLE].sel(time=best).values.astype(np.float64) for c, product in products[:_MOST_MODELS]
    }
    return Shown(
        best,
        frames[place].values.astype(np.float64),
        frames[place + 1 : place + 1 + leads].values.astype(np.float64),
        forecasts,
        quantity(frames.attrs, context.spec.inputs[0]),
        step,
        ScoringOptions.model_validate(context.spec.scoring).interior,
        "upper" if frames.dims[1] == _DOWNWARDS else "lower",
        tuple(c.title for c, _ in products[_MOST_MODELS:]),
    )


def _liveliest(
    ds: xr.Dataset, name: str, starts: NDArray[np.datetime64], leads: int, step_minutes: float
) -> np.datetime64 | None:
    """Return the start whose true frames vary most, of those that so many frames follow in a row."""
    times = ds["time"].values
    after = linked(ds, np.ones(len(times), dtype=np.bool_), step_minutes=step_minutes).after
    spread = np.concatenate([[_spread(frame) for frame in values] for _, values in time_blocks(ds[name])])
    best, most = None, -1.0
    for start in starts:
        place = int(np.searchsorted(times, start))
        if place >= len(times) or times[place] != start or after[place] < leads:
            continue
        if (found := float(spread[place + 1 : place + 1 + leads].sum())) > most:
            best, most = start, found
    return best


def _spread(frame: NDArray[Any]) -> float:
    """Return the standard deviation of what a frame holds; of an empty one nothing varies."""
    found = frame[np.isfinite(frame)]
    return float(found.std()) if found.size else 0.0


def _frame(ax: Axes, values: Values, shown: Shown) -> AxesImage:
    low, high = shown.limits
    colours: Colormap = frame_colours()
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_facecolor("0.85")
    if shown.interior != Interior():
        ax.add_patch(_outline(shown.interior, *values.shape))
    return ax.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest", origin=shown.origin)


def _outline(interior: Interior, rows: int, columns: int) -> Rectangle:
    """Return the border of the part that is scored, in cells whose middles are whole numbers."""
    (top, bottom, _), (left, right, _) = (
        place.indices(size) for place, size in zip(interior.places, (rows, columns), strict=True)
    )
    corner = left - 0.5, top - 0.5
    return Rectangle(corner, right - left, bottom - top, fill=False, edgecolor=MUTED, linewidth=0.8)


def _ahead(lead: int, shown: Shown) -> str:
    return f"+{(lead + 1) * shown.step_minutes:g} min"
