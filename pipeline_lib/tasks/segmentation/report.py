"""Figures of a segmentation experiment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from pipeline_lib.report.context import Competitor, ReportContext, ReportFigure
from pipeline_lib.report.figures.leaderboard import draw_leaderboard
from pipeline_lib.report.figures.loss_curves import draw_loss_curves
from pipeline_lib.report.figures.maps import draw_classes, draw_field, extent_of, height_per_width, note
from pipeline_lib.report.figures.over_time import daily_means, draw_over_time
from pipeline_lib.report.numbers import in_text, listed, show
from pipeline_lib.report.style import (
    CLASS_COLOURS,
    INK,
    MUTED,
    PAPER,
    SEA,
    WIDTH,
    anomaly_colours,
    message_figure,
    new_figure,
    panel_grid,
)
from pipeline_lib.tasks.segmentation.classes import CLASSES

LEADERBOARD_METRICS = ("mean_dice", "dice_anticyclonic", "dice_cyclonic", "object_f1")
"""Metrics of the leaderboard figure, where the table holds them."""
MAX_MAPS = 4
"""Models on the maps figure; a page of a journal holds no more."""
MAX_CONFUSIONS = 8
QUIET, AGREE, MISSED, FALSE_ALARM, WRONG_SIGN = range(5)
DIFFERENCE_COLOURS = {QUIET: SEA, AGREE: "#aab7c6", MISSED: "#5b3a8e", FALSE_ALARM: "#e0a100", WRONG_SIGN: "#111111"}
DIFFERENCE_NAMES = {AGREE: "agrees", MISSED: "missed", FALSE_ALARM: "false alarm", WRONG_SIGN: "wrong rotation"}
_INPUTS = ("adt_high_pass", "adt")
_QUANTILE = 0.995
"""Share of cells within the colour scale of a height map."""
_DARK = 55.0
"""Per cent from which a cell of the confusion matrix is too dark for dark ink."""
_TITLE_ROOM, _LEGEND_ROOM = 0.36, 0.3


@dataclass(frozen=True)
class Day:
    """The maps of one test day. Class codes are floats, NaN on land."""

    time: np.datetime64
    height: xr.DataArray
    truth: xr.DataArray

    @property
    def text(self) -> str:
        """The date."""
        return str(self.time.astype("datetime64[D]"))


def figures(context: ReportContext) -> list[ReportFigure]:
    """Return all figures of the report, in the order of the page."""
    return [
        draw_maps(context),
        draw_best_and_worst(context),
        draw_leaderboard(context, metrics=LEADERBOARD_METRICS),
        draw_loss_curves(context),
        draw_over_time(context),
        draw_confusion(context),
    ]


def draw_maps(context: ReportContext) -> ReportFigure:
    """Draw height, labels, and predictions with their differences, on the day of the leading model's median score."""
    name, title = "maps", "Input, labels, predictions"
    time = _representative_day(context)
    day = _day(context, time) if time is not None else None
    if day is None:
        return ReportFigure(name, title, "There are no maps of the test days.", message_figure("No map to draw"))
    shown = [(c, p) for c in context.valid if (p := _prediction(context, c, day)) is not None][:MAX_MAPS]
    figure = _map_figure(day, rows=1 + len(shown))
    panels = panel_grid(figure, 1 + len(shown), 2, sharex=True, sharey=True)
    _height_panel(figure, panels[0], day)
    draw_classes(panels[1], day.truth, CLASS_COLOURS)
    panels[1].set_title("Labels")
    for row, (competitor, predicted) in enumerate(shown, start=1):
        draw_classes(panels[2 * row], predicted, CLASS_COLOURS)
        panels[2 * row].set_title(competitor.title)
        draw_classes(panels[2 * row + 1], difference(day.truth, predicted), DIFFERENCE_COLOURS)
        panels[2 * row + 1].set_title(f"{competitor.title}, difference to the labels")
        note(panels[2 * row], _day_score(context, competitor, day.time))
    for index, ax in enumerate(panels):
        ax.label_outer()
        ax.set_title(f"({chr(97 + index)})", loc="right", color=MUTED)
    _legend(figure, differences=bool(shown))
    return ReportFigure(name, title, _maps_caption(context, day, [c for c, _ in shown]), figure)


def draw_best_and_worst(context: ReportContext) -> ReportFigure:
    """Draw labels, prediction and difference of the leading model on its best, median and worst day."""
    name, title = "best_and_worst", "Best, median and worst day"
    leader = next(iter(context.valid), None)
    chosen = _ranked_days(context, leader) if leader else {}
    drawn = []
    for words, time in chosen.items():
        day = _day(context, time)
        predicted = _prediction(context, leader, day) if day is not None and leader is not None else None
        if day is not None and predicted is not None:
            drawn.append((words, day, predicted))
    if leader is None or not drawn:
        return ReportFigure(name, title, "No model has daily scores and maps.", message_figure("No map to draw"))
    figure = _map_figure(drawn[0][1], rows=len(drawn), columns=3)
    panels = panel_grid(figure, len(drawn), 3, sharex=True, sharey=True)
    for row, (words, day, predicted) in enumerate(drawn):
        left, middle, right = panels[3 * row : 3 * row + 3]
        draw_classes(left, day.truth, CLASS_COLOURS)
        draw_classes(middle, predicted, CLASS_COLOURS)
        draw_classes(right, difference(day.truth, predicted), DIFFERENCE_COLOURS)
        left.set_title(f"{words}: {day.text}")
        middle.set_title(f"{leader.title}, {_day_score(context, leader, day.time)}")
        right.set_title("Difference")
    for ax in panels:
        ax.label_outer()
    _legend(figure, differences=True)
    caption = (
        f"Days on which {leader.title} scores best, in the middle and worst. Left: labels, middle: prediction, right:"
        " where they differ."
    )
    if len(leader.runs) > 1:
        caption += f" Days are chosen by the mean over seeds, maps and scores are those of seed {leader.runs[0].seed}."
    return ReportFigure(name, title, caption, figure)


def draw_confusion(context: ReportContext) -> ReportFigure:
    """Draw the confusion matrix of every valid competitor: where the cells of each labelled class ended up."""
    name, title = "confusion", "Confusion"
    found = [(c, m) for c in context.valid if (m := _confusion(c)) is not None][:MAX_CONFUSIONS]
    if not found:
        return ReportFigure(name, title, "No counts to show.", message_figure("No counts to draw"))
    columns = min(4, max(2, len(found)))
    rows = -(-len(found) // columns)
    figure = new_figure(0.2 + 1.95 * rows)
    panels = panel_grid(figure, rows, columns, sharex=True, sharey=True)
    for ax, (competitor, counts) in zip(panels, found, strict=False):
        _matrix(ax, counts, competitor.title)
    for ax in panels[len(found) :]:
        ax.set_axis_off()
    figure.supxlabel("Predicted", fontsize="medium")
    figure.supylabel("Labelled", fontsize="medium")
    caption = "Share of the sea cells of each labelled class (row) that were given each class (column), in per cent."
    if len(context.valid) > len(found):
        caption += f" The {len(found)} leading models."
    return ReportFigure(name, title, caption, figure)


def difference(truth: xr.DataArray, predicted: xr.DataArray) -> xr.DataArray:
    """Return how a prediction differs from the labels: 0 neither has an eddy, else one of the four codes above."""
    has, says = truth > 0, predicted > 0
    out = xr.zeros_like(truth)
    out = out.where(~(has & says & (truth == predicted)), AGREE)
    out = out.where(~(has & says & (truth != predicted)), WRONG_SIGN)
    out = out.where(~(has & ~says), MISSED)
    out = out.where(~(~has & says), FALSE_ALARM)
    return out.where(truth.notnull())


def _ranked_days(context: ReportContext, leader: Competitor) -> dict[str, np.datetime64]:
    metric = context.main_metric
    days = daily_means(context, leader, metric) if metric else None
    if metric is None or days is None or days["mean"].notna().sum() == 0:
        return {}
    means = days["mean"].dropna()
    direction = context.metrics[metric].direction
    badness = {"higher": -means, "zero": means.abs()}.get(direction, means)
    order = badness.sort_values(kind="stable").index
    picked = {"Best": order[0], "Median": order[(len(order) - 1) // 2], "Worst": order[-1]}
    return {words: pd.Timestamp(time).to_datetime64() for words, time in picked.items()}


def _representative_day(context: ReportContext) -> np.datetime64 | None:
    """The leading model's median day, or the middle of the test days where there is no score."""
    leader = next(iter(context.valid), None)
    chosen = _ranked_days(context, leader) if leader else {}
    if chosen:
        return chosen["Median"]
    maps = context.dataset
    return None if maps is None else np.datetime64(maps.time.values[maps.sizes["time"] // 2], "ns")


def _day(context: ReportContext, time: np.datetime64) -> Day | None:
    maps, labels = context.dataset, context.label_maps
    name = next((n for n in _INPUTS if maps is not None and n in maps), None)
    if maps is None or labels is None or name is None:
        return None
    height = maps[name].sel(time=time).load()
    sea = maps["adt" if "adt" in maps else name].sel(time=time).notnull().values
    return Day(time=time, height=height, truth=_on_sea(labels["eddy_class"].sel(time=time), sea))


def _on_sea(classes: xr.DataArray, sea: np.ndarray) -> xr.DataArray:
    return classes.astype("float32").where(sea)


def _prediction(context: ReportContext, competitor: Competitor, day: Day) -> xr.DataArray | None:
    """The class map of a competitor's first seed."""
    product = next((p for run in competitor.runs if (p := context.product(run)) is not None), None)
    if product is None or "eddy_class" not in product:
        return None
    return _on_sea(product["eddy_class"].sel(time=day.time).load(), day.truth.notnull().values)


def _day_score(context: ReportContext, competitor: Competitor, time: np.datetime64) -> str:
    """The main metric of the competitor's first seed, the one whose map is drawn, on one day."""
    metric = context.main_metric
    series = next((s for run in competitor.runs if metric and (s := context.daily(run, metric)) is not None), None)
    if metric is None or series is None:
        return ""
    return f"{in_text(context.metrics[metric].title)} {show(float(series.loc[time]), context.metrics[metric].unit)}"


def _map_figure(day: Day, *, rows: int, columns: int = 2) -> Figure:
    panel = (WIDTH - 0.5) / columns * height_per_width(extent_of(day.truth))
    return new_figure(_LEGEND_ROOM + rows * (panel + _TITLE_ROOM))


def _height_panel(figure: Figure, ax: Axes, day: Day) -> None:
    name = str(day.height.name)
    finite = np.abs(day.height.values[np.isfinite(day.height.values)])
    scale = float(np.quantile(finite, _QUANTILE)) if finite.size else 1.0
    mesh = draw_field(ax, day.height, colours=anomaly_colours(), norm=CenteredNorm(0.0, scale or 1.0))
    words = "Sea-surface height, large scales removed" if name == "adt_high_pass" else "Sea-surface height"
    ax.set_title(f"{words}, {day.text}")
    ax.add_patch(Rectangle((0, 0), 0.4, 0.17, transform=ax.transAxes, facecolor=PAPER, alpha=0.8, zorder=5))
    inset = ax.inset_axes((0.03, 0.1, 0.3, 0.035))
    bar = figure.colorbar(mesh, cax=inset, orientation="horizontal", extend="both")
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=5.5, length=1.5, pad=1)
    bar.ax.locator_params(nbins=3)
    bar.ax.text(1.12, 0.5, str(day.height.attrs.get("units", "m")), transform=inset.transAxes, fontsize=6, va="center")


def _legend(figure: Figure, *, differences: bool) -> None:
    handles = [Patch(color=CLASS_COLOURS[code], label=CLASSES[code]) for code in (1, 2)]
    if differences:
        handles += [Patch(color=DIFFERENCE_COLOURS[c], label=DIFFERENCE_NAMES[c]) for c in sorted(DIFFERENCE_NAMES)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=1.0, columnspacing=1.4)


def _maps_caption(context: ReportContext, day: Day, shown: list[Competitor]) -> str:
    parts = [f"{day.text}:"]
    leader = shown[0].title if shown else None
    if leader:
        parts[0] = f"{day.text}, the day of the median score of {leader}:"
    parts.append(
        "(a) input, (b) labels" + (", then predictions (left) and where they differ (right)." if shown else ".")
    )
    parts.append("Pale: sea without an eddy; white: no data.")
    if len(context.valid) > len(shown) > 0:
        parts.append(f"The {len(shown)} leading of {len(context.valid)} models.")
    if any(len(c.runs) > 1 for c in shown):
        seeds = sorted({c.runs[0].seed for c in shown if len(c.runs) > 1})
        parts.append(f"Maps of seed {listed([str(s) for s in seeds])}.")
    return " ".join(parts)


def _confusion(competitor: Competitor) -> np.ndarray | None:
    """Counts (label, predicted) over all test days and seeds; ``None`` without any."""
    found = [run.counts["confusion_sea"].sum("time").values for run in competitor.runs if run.counts is not None]
    return np.sum(found, axis=0) if found else None


def _matrix(ax: Axes, counts: np.ndarray, title: str) -> None:
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100.0 * counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="equal")
    for (row, column), share in np.ndenumerate(shares):
        text = "–" if np.isnan(share) else f"{share:.1f}"
        weight = "bold" if row == column else "normal"
        colour = PAPER if share > _DARK else INK
        ax.text(column, row, text, ha="center", va="center", color=colour, fontsize=7, fontweight=weight)
    short = ("none", "anti.", "cycl.")
    ax.set_xticks(range(len(counts)), short)
    ax.set_yticks(range(len(counts)), short)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(title)
