"""The names of a figure's lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

_COLUMNS = 4
_ROWS = 2
"""Rows that the height of a figure has room for."""

Place = Literal["outside lower center", "outside upper left"]


def draw_legend(
    figure: Figure, panels: Sequence[Axes], *, order: Sequence[str] = (), place: Place = "outside lower center"
) -> None:
    """Name the lines of all panels, each once, in as many columns as the figure is wide enough for.

    Parameters
    ----------
    figure
        Grows by the height of the rows that it has no room for.
    panels
        Their labelled lines are named, in the order in which they were drawn.
    order
        Labels that come first, in this order.
    place
        Outside the panels, as matplotlib's ``loc``.
    """
    lines = {label: line for ax in panels for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    labels = [*(label for label in order if label in lines), *(label for label in lines if label not in order)]
    if not labels:
        return

    def legend(columns: int) -> Legend:
        return figure.legend([lines[label] for label in labels], labels, loc=place, ncols=columns)

    columns = min(_COLUMNS, len(labels))
    drawn = legend(columns)
    while columns > 1 and drawn.get_window_extent().width > figure.get_figwidth() * figure.dpi:
        drawn.remove()
        columns -= 1
        drawn = legend(columns)
    rows = -(-len(labels) // columns)
    height = drawn.get_window_extent().height / figure.dpi
    figure.set_figheight(figure.get_figheight() + height * max(rows - _ROWS, 0) / rows)
