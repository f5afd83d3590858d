"""Regimes of a forecast: against loops over boxes, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline_lib.skill.regimes import REGIMES, regime_cells

FRAMES = arrays(np.float64, (2, 2, 9, 11), elements=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.5, 1.0, np.nan]))
"""Two forecasts, two frames seen."""


def growing(before: np.ndarray, now: np.ndarray, threshold: float) -> set[tuple[int, int]]:
    """The cells of storms that have grown, by walking from cell to cell through both frames."""
    left = {place for place in np.ndindex(now.shape) if before[place] >= threshold or now[place] >= threshold}
    found = set()
    while left:
        storm, edge = set(), {left.pop()}
        while edge:
            row, column = place = edge.pop()
            storm.add(place)
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            edge, left = edge | near, left - near
        compared = [place for place in storm if not np.isnan(before[place]) and not np.isnan(now[place])]
        if sum(now[place] >= threshold for place in compared) > sum(before[place] >= threshold for place in compared):
            found |= {place for place in storm if now[place] >= threshold}
    return found


def regimes_of(frame: np.ndarray, grown: set[tuple[int, int]], place: tuple[int, int], threshold: float, box: int):
    """The regimes of a cell, by looking at each cell up to one box away."""
    row, column = place
    unknown, near = False, []
    for i in range(row - box, row + box + 1):
        for j in range(column - box, column + box + 1):
            if not (0 <= i < frame.shape[0] and 0 <= j < frame.shape[1]) or np.isnan(frame[i, j]):
                unknown = True
            elif frame[i, j] >= threshold:
                near.append((i, j))
    if near:
        return {"continuation", "growth" if grown.intersection(near) else "advection"}
    return set() if unknown else {"initiation"}


@settings(max_examples=15)
@given(frames=FRAMES, threshold=st.sampled_from([0.5, 0.7]), box=st.integers(1, 3))
def test_each_cell_is_in_the_regimes_that_the_boxes_around_tell(frames, threshold, box):
    found = regime_cells(frames, threshold, box=box)
    assert tuple(found) == REGIMES
    for forecast, (before, now) in enumerate(frames):
        grown = growing(before, now, threshold)
        for place in np.ndindex(now.shape):
            expected = regimes_of(now, grown, place, threshold, box)
            assert {name for name in found if found[name][forecast][place]} == expected
    alone = regime_cells(frames[:, 1:], threshold, box=box)
    assert {name: cells.tolist() for name, cells in alone.items()} == {
        name: found[name].tolist() for name in ("initiation", "continuation")
    }


def test_a_storm_that_only_moves_does_not_grow():
    frames = np.zeros((2, 20, 20))
    frames[0, 3:6, 3:6] = frames[1, 4:7, 3:6] = 1
    frames[0, 14:16, 14:16] = frames[1, 14:17, 14:16] = 1
    found = regime_cells(frames, 0.5)
    assert found["advection"][2:9, 1:8].sum() == found["continuation"][2:9, 1:8].sum() == 25
    assert found["growth"][12:, 12:].sum() == found["continuation"][12:, 12:].sum() == 20


@pytest.mark.parametrize("box", [1, 3, 5])
def test_the_boxes_around_hold_what_a_square_of_three_boxes_holds(box):
    """Of boxes around each cell, those at most a box away cover three boxes in each direction."""
    half, side = box // 2, 41
    echo = np.zeros((side, side), dtype=bool)
    echo[20, 20] = True
    storm = np.zeros((side, side))
    storm[20 - half : 21 + half, 20 - half : 21 + half] = 1
    near = regime_cells(storm[None], 0.5, box=box)["continuation"]
    apart = np.abs(np.arange(side) - 20)
    reach = box + half
    np.testing.assert_array_equal(near, (apart[:, None] <= reach) & (apart[None] <= reach))
