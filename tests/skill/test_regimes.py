"""Regimes of a forecast: against loops over boxes, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline_lib.skill.regimes import REGIMES, regime_cells

FRAMES = arrays(np.float64, (2, 9, 11), elements=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.5, 1.0, np.nan]))


def regime_of(frame: np.ndarray, row: int, column: int, threshold: float, box: int) -> str | None:
    """The regime of a cell, by looking at each cell up to one box away."""
    unknown = False
    for i in range(row - box, row + box + 1):
        for j in range(column - box, column + box + 1):
            if not (0 <= i < frame.shape[0] and 0 <= j < frame.shape[1]) or np.isnan(frame[i, j]):
                unknown = True
            elif frame[i, j] >= threshold:
                return "continuation"
    return None if unknown else "initiation"


@settings(max_examples=15)
@given(frames=FRAMES, threshold=st.sampled_from([0.5, 0.7]), box=st.integers(1, 3))
def test_each_cell_is_in_the_regime_that_the_boxes_around_tell(frames, threshold, box):
    found = regime_cells(frames, threshold, box=box)
    assert tuple(found) == REGIMES
    for place in np.ndindex(frames.shape):
        expected = regime_of(frames[place[0]], *place[1:], threshold, box)
        assert {name for name in found if found[name][place]} == ({expected} if expected else set())


@pytest.mark.parametrize("box", [1, 3, 5])
def test_the_boxes_around_hold_what_a_square_of_three_boxes_holds(box):
    """Of boxes around each cell, those at most a box away cover three boxes in each direction."""
    half, side = box // 2, 41
    echo = np.zeros((side, side), dtype=bool)
    echo[20, 20] = True
    storm = np.zeros((side, side))
    storm[20 - half : 21 + half, 20 - half : 21 + half] = 1
    near = regime_cells(storm, 0.5, box=box)["continuation"]
    apart = np.abs(np.arange(side) - 20)
    reach = box + half
    np.testing.assert_array_equal(near, (apart[:, None] <= reach) & (apart[None] <= reach))
