"""Figures of a classification experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from pipeline_lib.report.context import Competitor, ReportContext, ReportFigure
from pipeline_lib.report.figures.leaderboard import draw_leaderboard
from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.figures.loss_curves import draw_loss_curves
from pipeline_lib.report.style import SERIES, message_figure, new_figure, panel_grid
from pipeline_lib.tasks.classification.names import TARGET, VARIABLE

LEADERBOARD_METRICS = ("error_rate", "cross_entropy", "calibration_error")
"""Metrics of the leaderboard figure, where the table holds them."""
_DEPTH = "blocks"
"""The model option that is taken for the depth."""
_KIND = "block"
"""The model option of which each value is a line."""
_ROWS, _COLUMNS = 2, 6
"""Panels of examples."""
_MARGIN = 1.5
"""Factor below and above the error rates, so that a tick falls in between."""
_HEIGHT = 2.9
"""Height of a row of panels in inches."""


def figures(context: ReportContext) -> list[ReportFigure]:
    """Return all figures of the report, in the order of the page."""
    return [
        draw_errors(context),
        draw_examples(context),
        draw_leaderboard(context, metrics=LEADERBOARD_METRICS),
        draw_loss_curves(context),
    ]


@dataclass(frozen=True)
class _Point:
    """A competitor's error rates, in per cent, one per seed."""

    competitor: Competitor
    line: str
    normalisation: str
    depth: int | None
    parameters: int
    errors: NDArray[np.float64]


def draw_errors(context: ReportContext) -> ReportFigure:
    """Draw the error rate against the number of blocks and of trainable values, a line for each kind of block."""
    name, title = "error_by_size", "Error, depth and size"
    points = [point for c in context.valid if (point := _point(c)) is not None]
    if not points:
        return ReportFigure(name, title, "No model has a valid score.", message_figure("No score to draw"))
    told = len({p.normalisation for p in points}) > 1
    lines: dict[str, list[_Point]] = {}
    for point in sorted(points, key=lambda p: (p.depth or 0, p.parameters)):
        kind = f"{point.line}, {point.normalisation}" if told and point.normalisation else point.line
        lines.setdefault(kind, []).append(point)
    figure = new_figure(_HEIGHT)
    left, right = panel_grid(figure, 1, 2, sharey=True)
    for i, (label, found) in enumerate(sorted(lines.items())):
        colour = SERIES[i % len(SERIES)]
        deep = [p for p in found if p.depth is not None]
        _line(left, [p.depth or 0 for p in deep], deep, colour, label)
        _line(right, [p.parameters for p in found], found, colour, label)
    for ax, words in ((left, "Blocks of a stage"), (right, "Trainable values")):
        ax.set_xlabel(words)
        ax.set_xscale("log", base=2)
        ax.grid(visible=True, axis="y")
    depths = sorted({p.depth for p in points if p.depth is not None})
    left.set_xticks(depths, [str(depth) for depth in depths])
    right.set_xscale("linear")
    right.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    left.set_ylabel("Error rate (%)")
    left.set_yscale("log")
    low, high = min(p.errors.min() for p in points), max(p.errors.max() for p in points)
    left.set_ylim(low / _MARGIN, high * _MARGIN)
    left.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_locator(NullLocator())
    draw_legend(figure, [left, right])
    caption = (
        "Error rate on the test images, on a logarithmic scale, against the number of blocks (left) and of trainable"
        " values (right). Lines are means over seeds, bands reach from the best to the worst seed: where they overlap,"
        " nothing is said of which kind is better. Equal numbers of values are not equal work. Rates of 0 are drawn as"
        " half an image."
    )
    return ReportFigure(name, title, caption, figure)


def _line(ax: Axes, where: list[int], points: list[_Point], colour: str, label: str) -> None:
    if not points:
        return
    ax.plot(where, [p.errors.mean() for p in points], "o-", markersize=3, color=colour, linewidth=1.2, label=label)
    low, high = [p.errors.min() for p in points], [p.errors.max() for p in points]
    ax.fill_between(where, low, high, color=colour, alpha=0.15, linewidth=0)
    if len(points) == 1:
        ax.plot(where * 2, [low[0], high[0]], color=colour, linewidth=0.8, alpha=0.5)


def _point(competitor: Competitor) -> _Point | None:
    scored = [run for run in competitor.runs if run.counts is not None]
    if not scored or scored[0].model is None:
        return None
    manifest = scored[0].model
    options: Mapping[str, object] = manifest.options.get("model_options", {})
    depth = options.get(_DEPTH)
    rates = [_percent(run.counts) for run in scored if run.counts is not None]
    return _Point(
        competitor=competitor,
        line=str(options.get(_KIND) or competitor.title),
        normalisation=str(options.get("normalisation", "")),
        depth=depth if isinstance(depth, int) else None,
        parameters=int(manifest.content["spec"]["parameters"]),
        errors=np.array(rates),
    )


def _percent(counts: xr.Dataset) -> float:
    images = float(counts["images"].sum())
    return 100 * max(float(counts["wrong"].sum()), 0.5) / images


def draw_examples(context: ReportContext) -> ReportFigure:
    """Draw the images that most runs got wrong, with the answer most often given."""
    name, title = "hard_images", "Images that most runs got wrong"
    counts = [run.counts for c in context.valid for run in c.runs if run.counts is not None]
    products = [store for c in context.valid for run in c.runs if (store := context.product(run)) is not None]
    dataset = context.dataset
    if not counts or not products or dataset is None:
        return ReportFigure(name, title, "There are no predictions.", message_figure("No prediction to draw"))
    wrong = np.sum([run["wrong"].values for run in counts], axis=0)
    hardest = [i for i in np.argsort(-wrong, kind="stable")[: _ROWS * _COLUMNS] if wrong[i] > 0]
    if not hardest:
        return ReportFigure(name, title, "No run got any image wrong.", message_figure("No wrong answer to draw"))
    truth = dataset[products[0][VARIABLE].attrs[TARGET]].values.astype(int)
    pixels = dataset[context.spec.inputs[0]].isel(time=hardest).values
    answers = np.stack([store[VARIABLE].values.argmax(axis=1)[hardest] for store in products])
    figure = new_figure(_HEIGHT)
    panels = panel_grid(figure, _ROWS, _COLUMNS)
    for ax in panels:
        ax.set_axis_off()
    for k, (ax, image) in enumerate(zip(panels, hardest, strict=False)):
        given = answers[:, k][answers[:, k] != truth[image]]
        ax.imshow(_grey(pixels[k]), cmap="gray_r", interpolation="nearest")
        said = np.bincount(given).argmax() if given.size else "?"
        ax.set_title(f"{truth[image]}, not {said}\n{int(wrong[image])} of {len(counts)} runs", fontsize="small")
    caption = (
        "Test images that most of all runs (models and seeds) got wrong, the hardest first: the true class, the wrong"
        " answer most often given, and how many runs were wrong."
    )
    return ReportFigure(name, title, caption, figure)


def _grey(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over channels, if the image has any."""
    return np.asarray(image.mean(axis=0) if image.ndim > 2 else image)
