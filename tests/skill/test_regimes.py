"""Regimes of a forecast: against loops over boxes, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline_lib.skill.regimes import REGIMES, regime_cells

FRAMES = arrays(np.float64, (2, 2, 9, 11), elements=st.sampled_from([*[0.0] * 16, 0.5, 0.5, 1.0, np.nan]))
"""Two forecasts, two frames seen."""


def storms_of(before: np.ndarray, now: np.ndarray, threshold: float) -> tuple[set, set]:
    """The cells of storms that have grown, and of those that are cut, by walking from cell to cell in both frames."""
    left = {place for place in np.ndindex(now.shape) if before[place] >= threshold or now[place] >= threshold}
    known = {place for place in np.ndindex(now.shape) if not np.isnan(before[place]) and not np.isnan(now[place])}
    grown, cut = set(), set()
    while left:
        storm, edge = set(), {left.pop()}
        while edge:
            row, column = place = edge.pop()
            storm.add(place)
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            edge, left = edge | near, left - near
        around = {(row + i, column + j) for row, column in storm for i in (-1, 0, 1) for j in (-1, 0, 1)}
        cells, cells_before = (sum(frame[place] >= threshold for place in storm) for frame in (now, before))
        if not around <= known:
            cut |= storm
        elif cells > 1.1 * cells_before:
            grown |= storm
    return grown, cut


def regimes_of(frame: np.ndarray, storms: tuple[set, set], place: tuple[int, int], threshold: float, box: int):
    """The regimes of a cell, by looking at each cell up to one box away."""
    (row, column), (grown, cut) = place, storms
    unknown, near = False, []
    for i in range(row - box, row + box + 1):
        for j in range(column - box, column + box + 1):
            if not (0 <= i < frame.shape[0] and 0 <= j < frame.shape[1]) or np.isnan(frame[i, j]):
                unknown = True
            elif frame[i, j] >= threshold:
                near.append((i, j))
    if near:
        return {"continuation"} | (set() if cut & set(near) else {"growth" if grown & set(near) else "advection"})
    return set() if unknown else {"initiation"}


@settings(max_examples=15)
@given(frames=FRAMES, threshold=st.sampled_from([0.5, 0.7]), box=st.integers(1, 3))
def test_each_cell_is_in_the_regimes_that_the_boxes_around_tell(frames, threshold, box):
    found = regime_cells(frames, threshold, box=box)
    assert tuple(found) == REGIMES
    for forecast, (before, now) in enumerate(frames):
        storms = storms_of(before, now, threshold)
        for place in np.ndindex(now.shape):
            expected = regimes_of(now, storms, place, threshold, box)
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


@settings(max_examples=30)
@given(
    radius=st.floats(5, 9),
    centre=st.tuples(st.floats(14, 16), st.floats(14, 16)),
    moved=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
)
def test_a_round_storm_that_moves_by_parts_of_a_cell_does_not_grow(radius, centre, moved):
    rows, columns = np.indices((31, 31))
    frames = np.stack(
        [np.hypot(rows - centre[0] - i * moved[0], columns - centre[1] - i * moved[1]) <= radius for i in (0, 1)]
    ).astype(float)
    found = regime_cells(frames, 0.5)
    assert not found["growth"].any()
    assert (found["advection"] == found["continuation"]).all()


def test_what_a_storm_at_the_border_does_is_not_known():
    frames = np.zeros((2, 20, 20))
    frames[1, 0:3, 8:10] = frames[0, 0:2, 8:10] = 1
    frames[0, 10:12, 8:10] = frames[1, 10:13, 8:10] = 1
    found = regime_cells(frames, 0.5)
    assert not found["growth"][:5].any()
    assert not found["advection"].any()
    assert found["growth"][9:14, 7:11].all()


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
