"""The leaderboard as points with intervals."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipeline_lib.report.board import Board, Cell
from pipeline_lib.report.context import MetricInfo, ReportContext, ReportFigure
from pipeline_lib.report.numbers import with_unit
from pipeline_lib.report.style import DECADES, INK, LETTERS, MUTED, lines_of, message_figure, new_figure
from pipeline_lib.report.words import dates_word

MAX_PANELS = 4
_PUBLISHED = 3
"""Panels at most that are there for their published numbers, so that there is room for what the task chooses."""
_LINE_HEIGHT = 0.1
"""Of a line of a competitor's name; as much is left between two names."""
_MIN_HEIGHT = 1.5
_PANEL_ROOM = 0.4
"""Above and below the panels, without the lines of titles."""
_TITLE_LINE = 0.135
_NAME = 36
"""Letters of a line of a competitor's name."""
_TICKS = 8
"""Ticks that all axes have room for beside each other."""


def draw_leaderboard(context: ReportContext, *, metrics: tuple[str, ...] = ()) -> ReportFigure:
    """Draw the values of all competitors with their intervals, one panel per metric.

    Parameters
    ----------
    context
        What the report is made from.
    metrics
        The metrics to draw if the table holds them, beside the one that ranks and those that have published numbers;
        where there are none of either, the first of the table are drawn.
    """
    name, title = "leaderboard", "Leaderboard"
    shown = _shown(context.board, metrics)
    if not shown or not context.valid:
        return ReportFigure(name, title, "No competitor has a valid score.", message_figure("No valid score to draw"))
    rows = [c.name for c in context.valid]
    names = [lines_of(c.title, _NAME) for c in context.valid]
    row_height = _LINE_HEIGHT * (1 + max(map(len, names)))
    room = max(1, (LETTERS - max(len(line) for lines in names for line in lines)) // len(shown))
    above = [lines_of(context.metrics[metric].title, room) for metric in shown]
    below = [lines_of(_better(context.metrics[metric]), room) for metric in shown]
    around = _PANEL_ROOM + _TITLE_LINE * (max(map(len, above)) + max(map(len, below)))
    figure = new_figure(max(_MIN_HEIGHT, around + row_height * (len(rows) + 1)))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for ax, metric, title_lines, label_lines in zip(panels, shown, above, below, strict=True):
        _panel(ax, context, metric, rows, len(shown))
        ax.set_title("\n".join(title_lines))
        ax.set_xlabel("\n".join(label_lines))
    panels[0].set_yticks(range(len(rows)), ["\n".join(lines) for lines in names])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    return ReportFigure(name, title, _caption(context, shown), figure)


def _shown(board: Board, chosen: tuple[str, ...]) -> list[str]:
    """Return the metrics that are drawn, in the order of the table, whose first ranks."""
    defined = [m for m in board.metrics if any(not math.isnan(c.value) for c in board.of_metric(m))]
    main = [m for m in defined if m == board.main_metric]
    published = [m for m in defined if any(not math.isnan(c.number("published")) for c in board.of_metric(m))]
    published.sort(key=lambda m: (m not in main, m not in chosen))
    wanted = [*main, *published[:_PUBLISHED], *(m for m in chosen if m in defined)]
    kept = list(dict.fromkeys(wanted if set(wanted) - set(main) else defined))[:MAX_PANELS]
    return [m for m in defined if m in kept]


def _panel(ax: Axes, context: ReportContext, metric: str, rows: list[str], beside: int) -> None:
    tied = context.board.tied(metric)
    for y, (model, competitor) in enumerate(zip(rows, context.valid, strict=True)):
        cell = context.board.cell(model, metric)
        if cell is None or math.isnan(cell.value):
            continue
        low, high = cell.interval
        if not math.isnan(low):
            ax.plot([low, high], [y, y], color=competitor.colour, linewidth=1.6, solid_capstyle="butt", alpha=0.75)
        ax.plot(cell.value, y, "o", color=competitor.colour, markersize=4.5, zorder=3)
        if model in tied:
            ax.plot(cell.value, y, "o", markerfacecolor="none", markeredgecolor=INK, markersize=8, markeredgewidth=0.7)
        _published(ax, cell, y)
    values = [c.value for c in context.board.of_metric(metric) if not math.isnan(c.value)]
    if min(values) > 0 and max(values) > DECADES * min(values):
        ax.set_xscale("log", nonpositive="clip")
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=_TICKS // beside))
    ax.grid(visible=True, axis="x")
    ax.margins(x=0.12)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _published(ax: Axes, cell: Cell, y: int) -> None:
    value = cell.number("published")
    if not math.isnan(value):
        ax.plot(value, y, "D", markerfacecolor="none", markeredgecolor=MUTED, markersize=4, markeredgewidth=0.9)


def _better(info: MetricInfo) -> str:
    words = {"higher": "higher is better", "lower": "lower is better", "zero": "0 is best"}.get(info.direction, "")
    return f"{words}{with_unit(info.unit)}".strip()


def _caption(context: ReportContext, shown: list[str]) -> str:
    board = context.board
    cells = [board.cell(c.name, m) for c in context.valid for m in shown]
    intervals = any(c is not None and not math.isnan(c.interval[0]) for c in cells)
    published = any(c is not None and not math.isnan(c.number("published")) for c in cells)
    tied = any(board.tied(m) for m in shown)
    dates = dates_word(board.content)
    parts = [f"Scores on the {dates} of the test: {'; '.join(context.metrics[m].title for m in shown)}."]
    if intervals:
        parts.append(f"Bars are intervals that respect the correlation between {dates}.")
    if tied:
        parts.append("Circled points share the first place: their difference cannot be told from zero.")
    if published:
        parts.append("Open diamonds are published values, see the table of published numbers for whether they compare.")
    return " ".join(parts)
