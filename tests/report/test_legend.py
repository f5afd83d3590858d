"""Legends name every line, and none of them beyond the edge of the figure."""

from __future__ import annotations

import pytest

from pipeline_lib.report.figures.legend import draw_legend
from pipeline_lib.report.style import journal_style, new_figure, panel_grid

SHORT = ["none", "linear", "network"]
LONG = [f"Weak 4D-Var, weight {number}, by ten fixed steps, true equations" for number in range(13)]


@pytest.mark.parametrize("labels", [SHORT, SHORT + LONG, LONG])
def test_every_line_is_named_within_the_figure_however_long_the_names(labels):
    with journal_style():
        figure = new_figure(2.4)
        panels = panel_grid(figure, 1, 2)
        for number, label in enumerate(labels):
            panels[number % 2].plot([0, 1], [number, number], label=label)
        panels[1].plot([0, 1], [0, 1], label=labels[0])  # of both panels: named once
        draw_legend(figure, panels, order=labels)
        figure.canvas.draw()
        [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == labels
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    assert box.y0 >= 0
    # Panels keep their height beside the names of many lines.
    assert panels[0].get_window_extent().height > figure.dpi


def test_a_figure_without_named_lines_has_no_legend():
    figure = new_figure(1.0)
    draw_legend(figure, panel_grid(figure, 1, 1))
    assert not figure.legends
