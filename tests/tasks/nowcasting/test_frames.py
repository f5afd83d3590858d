"""Panels of forecast frames."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from pipeline_lib.tasks.nowcasting.frames import Shown, animated
from pipeline_lib.tasks.nowcasting.options import Interior


@pytest.mark.parametrize(
    ("interior", "expected"),
    [
        (Interior(), []),
        (Interior(rows=(2, 5), columns=(3, 8)), [(2.5, 1.5, 5, 3)]),
        (Interior(columns=(3, 8)), [(2.5, -0.5, 5, 6)]),
    ],
)
def test_each_panel_shows_the_cells_that_are_scored(interior, expected):
    frames = np.random.default_rng(0).random((2, 6, 8))
    shown = Shown(np.datetime64("2010-08-26T05:00"), frames[0], frames, {"Flow": frames}, "1", 5.0, interior)
    panels = [ax for ax in animated(shown, 1).axes if ax.get_visible()]
    assert len(panels) == 2
    for ax in panels:
        boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
        assert [(*box.get_xy(), box.get_width(), box.get_height()) for box in boxes] == expected
