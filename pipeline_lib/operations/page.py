"""The status page: freshness, last updates and scores over time, in one file that asks for nothing from outside."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import matplotlib.dates as mdates
import numpy as np
from matplotlib.figure import Figure

from pipeline_lib.data.periods import bounds
from pipeline_lib.html import render
from pipeline_lib.io.atomic import write_text
from pipeline_lib.metrics import METRICS
from pipeline_lib.operations.generations import operations_of
from pipeline_lib.operations.status import LEVELS, Health, shown
from pipeline_lib.plan import Plan
from pipeline_lib.report.style import ANTICYCLONIC, CYCLONIC, MUTED, journal_style, message_figure, new_figure

PAGE = "status.html"
_SHOWN_ENTRIES = 30
_HEIGHT = 2.6
"""Height of the figure in inches."""


def write_page(plan: Plan, states: Sequence[Health], today: date, now: datetime) -> Path:
    """Write the status page of several experiments and return its path.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    page = render(
        Path(__file__).with_name("template.html"),
        parts=[_part(plan, state) for state in states],
        today=today.isoformat(),
        written=f"{now:%Y-%m-%d %H:%M} UTC",
    )
    target = plan.config.results_dir / PAGE
    write_text(target, page)
    return target


def _part(plan: Plan, state: Health) -> dict[str, Any]:
    loaded = plan.experiment(state.experiment)
    model, metric = loaded.watched
    alert = operations_of(loaded).alert
    title = (METRICS.get(metric).__doc__ or metric).strip().splitlines()[0].rstrip(".")
    with journal_style():
        figure = _drawn(state, title) if state.points else message_figure("No score yet")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    width, height = (int(size * figure.dpi) for size in figure.get_size_inches())
    point = state.points[-1] if state.points else None
    return {
        "state": state,
        "level": LEVELS[state.level],
        "watched": f"{title}, {model}, newest {alert.window_days} days",
        "score": shown(point.window.value, point.window.low, point.window.high) if point else "–",
        "png": base64.b64encode(buffer.getvalue()).decode("ascii"),
        "width": width,
        "height": height,
        "caption": (
            f"{title} of {model}. Dots: each period alone. Line: the newest {alert.window_days} scored days together,"
            " with the interval of a block bootstrap over days where there are days enough. Grey band: the interval of"
            " the test, before operations. Dashed: alert threshold. Open circles: on its bad side."
        ),
        "models": [_model_row(state, generation.name, generation.start) for generation in state.generations],
        "entries": list(reversed(state.entries[-_SHOWN_ENTRIES:])),
    }


def _model_row(state: Health, name: str, start: date) -> dict[str, str]:
    promised = state.promises[name]
    test, threshold = promised.test, promised.threshold
    return {
        "name": name,
        "start": start.isoformat(),
        "test": shown(test.value, test.low, test.high),
        "threshold": "none" if math.isnan(threshold) else f"{threshold:.3f}",
    }


def _drawn(state: Health, title: str) -> Figure:
    """Draw the watched score over time."""
    figure = new_figure(_HEIGHT)
    ax = figure.subplots()
    for generation in state.generations:
        mine = [point for point in state.points if point.generation == generation.name]
        if not mine:
            continue
        times = np.array([np.datetime64(bounds(point.period)[1]) for point in mine])
        promised = state.promises[generation.name]
        edges = [times[0] - np.timedelta64(1, "D"), times[-1] + np.timedelta64(1, "D")]
        if not math.isnan(promised.test.low):
            ax.fill_between(edges, promised.test.low, promised.test.high, color=MUTED, alpha=0.14, linewidth=0)
        if not math.isnan(promised.threshold):
            ax.plot(edges, [promised.threshold] * 2, color=MUTED, linestyle="--", linewidth=0.9)
        window = np.array([[p.window.value, p.window.low, p.window.high] for p in mine])
        ax.fill_between(times, window[:, 1], window[:, 2], color=CYCLONIC, alpha=0.18, linewidth=0)
        ax.plot(times, window[:, 0], color=CYCLONIC)
        ax.plot(times, [p.alone.value for p in mine], ".", color=CYCLONIC, markersize=3, alpha=0.7)
        bad = [i for i, p in enumerate(mine) if p.alert]
        ax.plot(times[bad], window[bad, 0], "o", color=ANTICYCLONIC, markersize=6, fillstyle="none")
    locator = mdates.AutoDateLocator(maxticks=8)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    ax.set_ylabel(title)
    ax.grid(visible=True, axis="y")
    return figure
