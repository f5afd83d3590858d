"""Training and validation loss of every trained model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipeline_lib.report.context import Competitor, ReportContext, ReportFigure
from pipeline_lib.report.style import DECADES, MUTED, message_figure, new_figure, panel_grid, wrapped

_COLUMNS = 3
_PANEL_HEIGHT = 1.75
_VALIDATION = ("val_loss", "validation_loss")


def draw_loss_curves(context: ReportContext) -> ReportFigure:
    """Draw the losses of all trained competitors, one panel each, all seeds in one panel."""
    name, title = "loss_curves", "Training"
    trained = [c for c in context.competitors if any(run.history is not None for run in c.runs)]
    if not trained:
        text = "No model of this experiment was trained, so there is no loss to show."
        return ReportFigure(name, title, text, message_figure("No trained model"))
    columns = 2 if len(trained) == 4 else min(_COLUMNS, len(trained))
    rows = -(-len(trained) // columns)
    figure = new_figure(0.25 + _PANEL_HEIGHT * rows)
    panels = panel_grid(figure, rows, columns)
    for ax, competitor in zip(panels, trained, strict=False):
        _panel(ax, competitor)
        ax.set_title(wrapped(competitor.title, beside=columns))
    for ax in panels[len(trained) :]:
        ax.set_axis_off()
    figure.supxlabel("Epoch", fontsize="medium")
    figure.supylabel("Loss", fontsize="medium")
    caption = (
        "Training loss (grey) and validation loss (colour) after each epoch, one line per seed; the dot marks the"
        " epoch whose weights were kept. Losses of different kinds have different scales and do not compare between"
        " panels."
    )
    return ReportFigure(name, title, caption, figure)


def _panel(ax: Axes, competitor: Competitor) -> None:
    losses: list[float] = []
    for run in competitor.runs:
        if run.history is None or run.history.empty:
            continue
        history = run.history
        ax.plot(history["epoch"], history["train_loss"], color=MUTED, linewidth=0.8, alpha=0.6)
        column = validation_column(history.columns)
        losses.extend(history[["train_loss", *([column] if column else [])]].to_numpy(float).ravel())
        if column is None or not np.isfinite(history[column]).any():
            continue
        ax.plot(history["epoch"], history[column], color=competitor.colour, linewidth=1.1, alpha=0.9)
        best = history.iloc[int(np.nanargmin(history[column].to_numpy(float)))]
        ax.plot(best["epoch"], best[column], "o", color=competitor.colour, markersize=4)
    finite = [loss for loss in losses if np.isfinite(loss)]
    if finite and min(finite) > 0 and max(finite) > DECADES * min(finite):
        ax.set_yscale("log")
    ax.grid(visible=True, axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def validation_column(columns: Sequence[str] | pd.Index) -> str | None:
    """Return the column that holds the validation loss, ``None`` if there is none."""
    return next((name for name in _VALIDATION if name in columns), None)
