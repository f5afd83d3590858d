import contourpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path
from scipy.ndimage import gaussian_filter

from pipeline_lib.ocean.eddies.contours import Gap, closed_contours

NO_GAP = Gap(0.0, 1.0, 1.0)
STEP = 0.25


def field(seed, missing=0.0, shape=(24, 30)):
    rng = np.random.default_rng(seed)
    h = gaussian_filter(rng.normal(size=shape), 1.5, mode="wrap")
    h *= 1 / h.std()
    h[rng.random(shape) < missing] = np.nan
    return h


def search(h, *, periodic=False, most_cells=10**6, gap=NO_GAP):
    lowest, highest = int(np.floor(np.nanmin(h) / STEP)), int(np.ceil(np.nanmax(h) / STEP))
    return closed_contours(
        h, step=STEP, lowest=lowest, highest=highest, periodic=periodic, most_cells=most_cells, gap=gap
    )


def polygon(contours, c):
    part = slice(contours.first[c], contours.first[c + 1])
    return np.stack([contours.lines.column[part], contours.lines.row[part]], axis=1)


def of_level(contours, number):
    return range(contours.level_first[number], contours.level_first[number + 1])


def canonical(vertices):
    """A closed ring as a sorted list of rounded vertices."""
    return sorted(map(tuple, np.round(vertices, 9) + 0.0))


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), missing=st.sampled_from([0.0, 0.02, 0.1]))
def test_same_rings_as_contourpy(seed, missing):
    h = field(seed, missing)
    mine = search(h)
    generator = contourpy.contour_generator(z=np.ma.masked_invalid(h), name="serial", corner_mask=True)
    for number in range(mine.level_first.size - 1):
        lines = generator.lines((mine.lowest + number) * STEP)
        rings = [canonical(line[:-1]) for line in lines if len(line) > 4 and (line[0] == line[-1]).all()]
        assert sorted(canonical(polygon(mine, c)) for c in of_level(mine, number)) == sorted(rings)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_cells_and_sides_agree_with_geometry(seed):
    h = field(seed, 0.02)
    found = search(h)
    columns, rows = np.meshgrid(np.arange(h.shape[1]), np.arange(h.shape[0]))
    centres = np.stack([columns.ravel(), rows.ravel()], axis=1)
    for number in range(found.level_first.size - 1):
        for c in of_level(found, number):
            ring = polygon(found, c)
            inside = Path(ring).contains_points(centres).reshape(h.shape)
            assert inside.sum() == found.cells[c]
            np.testing.assert_array_equal(
                found.box[c], [ring[:, 0].min(), ring[:, 0].max(), ring[:, 1].min(), ring[:, 1].max()]
            )
            # The cells that a ring passes next to on the inside all lie on the same side of the level.
            west, east = ring[np.argmin(ring[:, 0])], ring[np.argmax(ring[:, 0])]
            for x, y in ((np.floor(west[0]) + 1, west[1]), (np.ceil(east[0]) - 1, east[1])):
                if y == int(y):
                    assert (h[int(y), int(x)] > (found.lowest + number) * STEP) == found.high_inside[c]


def test_a_ring_across_the_seam_is_the_ring_inland():
    h = field(5)
    shifted = search(np.roll(h, 13, axis=1), periodic=True)
    plain = search(h, periodic=True)
    assert len(plain.cells) > 20
    assert sorted(plain.cells) == sorted(shifted.cells)
    assert plain.lines.row.size == shifted.lines.row.size
    assert len(plain.cells) > len(search(h).cells)  # some rings do need the seam


def test_a_line_around_the_earth_is_no_ring():
    rows = np.arange(10.0)[:, None] * np.ones(12)
    assert search(rows, periodic=True).cells.size == 0


def test_large_rings_are_left_out():
    h = field(6)
    everything, small = search(h), search(h, most_cells=20)
    assert everything.cells.max() > 20
    np.testing.assert_array_equal(small.cells, everything.cells[everything.cells <= 20])


@pytest.mark.parametrize("turns", range(4))
def test_a_gap_at_the_coast_is_closed_if_narrow(turns):
    # A peak just above the level beside a missing cell: the line ends on both sides of the peak.
    h = np.zeros((7, 7))
    h[2:5, 2:4] = 5.0
    h[3, 3] = 1.01
    h[3, 4] = np.nan
    h = np.rot90(h, turns)
    one_level = {"step": 1.0, "lowest": 1, "highest": 1, "periodic": False, "most_cells": 100}
    assert closed_contours(h, gap=NO_GAP, **one_level).cells.size == 0
    found = closed_contours(h, gap=Gap(0.05, 1.0, 1.0), **one_level)
    ring = polygon(found, 0)
    columns, rows = np.meshgrid(np.arange(7), np.arange(7))
    inside = Path(ring).contains_points(np.stack([columns.ravel(), rows.ravel()], axis=1)).reshape(7, 7)
    np.testing.assert_array_equal(inside, h > 1)
    assert found.cells.tolist() == [(h > 1).sum()]
