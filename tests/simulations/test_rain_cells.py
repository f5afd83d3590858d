"""Rain in cells: sums of Gaussians that the flow carries, exactly where nothing grows; a heavy tail."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from pipeline_lib.simulations.cells import CellOptions, Cells, draw_cells, draw_flow, summed
from pipeline_lib.simulations.rain_cells import RainCells

STILL = {"growth": False, "dry_below": 0.0}


def run(times, **options):
    return RainCells.run(RainCells.Options(**options), times=times)


@settings(max_examples=12)
@given(
    borders=st.sampled_from(["periodic", "open"]),
    growth=st.booleans(),
    shear=st.sampled_from([0.0, 0.05]),
    turn=st.sampled_from([0.0, 5.0]),
    seed=st.integers(0, 100),
    times=st.integers(1, 20),
)
def test_equal_options_give_equal_bytes_and_an_earlier_end_the_beginning(borders, growth, shear, turn, seed, times):
    options = {"borders": borders, "growth": growth, "shear": shear, "turn": turn, "seed": seed}
    options |= {"length": 7, "side": 36, "radius": (1, 3)}
    ds, longer = run(times, **options), run(20, **options)
    assert ds.rain_rate.values.tobytes() == longer.rain_rate.values[:times].tobytes()
    assert ds.identical(longer.isel(time=slice(times)))
    assert ds.rain_rate.dims == ("time", "row", "column")
    assert ds.rain_rate.shape == (times, 36, 36)
    assert ds.age.values.tolist() == [time % 7 for time in range(times)]
    rate = ds.rain_rate.values
    assert np.isfinite(rate).all()
    assert ((rate == 0) | (rate >= 0.1)).all()
    for variable in ds.values():
        assert variable.dtype == np.float64
        assert set(variable.attrs) == {"units", "long_name"}
    speed = np.hypot(ds.flow_rows, ds.flow_columns)
    assert ((speed >= 0.5 - 1e-12) & (speed <= 2.5 + 1e-12)).all()


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), periodic=st.booleans(), count=st.integers(0, 4))
def test_a_frame_is_the_sum_of_its_gaussians(seed, periodic, count):
    rng = np.random.default_rng(seed)
    rows, columns = rng.uniform(-30, 60, (2, 3, count))
    radii, strength = rng.uniform(1, 3, (3, count)), rng.random((3, count))
    weights = rng.random(count)
    options = CellOptions(side=20, radius=(1, 2), borders="periodic" if periodic else "open")
    found = summed(Cells(rows, columns, radii, strength), weights, options)
    assert found.shape == (3, 20, 20)
    y, x = np.mgrid[:20, :20]
    copies = range(-4, 5) if periodic else (0,)
    for frame in range(3):
        expected = np.zeros((20, 20))
        for cell in range(count):
            for i in copies:
                for j in copies:
                    square = (y - rows[frame, cell] + 20 * i) ** 2 + (x - columns[frame, cell] + 20 * j) ** 2
                    height = weights[cell] * strength[frame, cell]
                    expected += height * np.exp(-square / (2 * radii[frame, cell] ** 2))
        np.testing.assert_allclose(found[frame], expected, atol=1e-8)


def test_without_growth_the_flow_tells_all_that_follows():
    ds = run(40, **STILL, radius=(2, 4), turn=4, seed=3)
    for start in (0, 20):
        piece = ds.isel(time=slice(start, start + 20))
        way = np.cumsum(np.stack([piece.flow_rows, piece.flow_columns], axis=1), axis=0)
        wave = np.fft.fft2(piece.rain_rate.values[0])
        assert piece.rain_rate.values[0].max() > 1
        for later in range(1, 20):
            moved = np.fft.ifft2(ndimage.fourier_shift(wave, way[later - 1])).real
            np.testing.assert_allclose(piece.rain_rate.values[later], moved, atol=2e-3 * moved.max())


def test_over_open_borders_new_cells_come_in_and_the_rain_stays_as_much():
    options = {**STILL, "borders": "open", "speed": (3, 4), "cells": 6, "peak_spread": 0.3}
    rate = run(1200, **options).rain_rate.values.reshape(60, 20, 64, 64).mean(axis=0)
    early, late = rate[:5].mean(), rate[-5:].mean()
    assert late == pytest.approx(early, rel=0.2)
    # As much at the borders as in the middle, where it comes from and where it goes.
    edges = np.concatenate([rate[:, :8].ravel(), rate[:, -8:].ravel()])
    assert edges.mean() == pytest.approx(rate[:, 24:40].mean(), rel=0.2)
    expected = 6 * 12 * np.exp(0.3**2 / 2) * 2 * np.pi * (4**3 - 1.5**3) / (3 * 2.5) / 64**2
    assert rate.mean() == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("growth", [False, True])
def test_over_open_borders_only_cells_that_come_near_are_kept(growth):
    options = CellOptions(borders="open", growth=growth, length=300, speed=(2, 2), turn=1, shear=0.01)
    rng = np.random.default_rng(4)
    cells = draw_cells(rng, options, draw_flow(rng, options, 300))
    reach = 3 * 4 * (1.5 if growth else 1)
    assert cells.rows.shape[1] > 50
    for cell in range(cells.rows.shape[1]):
        alive = cells.strength[:, cell] > 0
        off = np.maximum(np.abs(cells.rows[alive, cell] - 32), np.abs(cells.columns[alive, cell] - 32))
        assert off.min() < 32 + reach


def test_with_growth_as_many_cells_are_there_at_any_time():
    options = CellOptions(cells=8, lifetime=(4, 12), length=20)
    alive = np.zeros(20)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        cells = draw_cells(rng, options, draw_flow(rng, options, 20))
        alive += (cells.strength > 0).sum(axis=1)
        assert (cells.strength >= 0).all()
        assert (cells.strength <= 1).all()
        assert cells.radii.min() >= 0.5 * 1.5
        assert cells.radii.max() <= 1.5 * 4
    np.testing.assert_allclose(alive / 200, 8, rtol=0.15)


def test_a_cell_lives_once_for_its_lifetime():
    options = CellOptions(cells=30, lifetime=(5, 9), length=40)
    rng = np.random.default_rng(1)
    cells = draw_cells(rng, options, draw_flow(rng, options, 40))
    changes = np.diff((cells.strength > 0).astype(int), axis=0)
    whole = ((changes == 1).sum(axis=0) == 1) & ((changes == -1).sum(axis=0) == 1)
    assert whole.sum() > 50
    assert ((changes == 1).sum(axis=0) <= 1).all()
    lives = (cells.strength > 0).sum(axis=0)[whole]
    assert lives.min() >= 4
    assert lives.max() <= 9


@pytest.mark.parametrize("borders", ["periodic", "open"])
def test_cells_move_with_the_flow_of_their_row(borders):
    options = CellOptions(cells=30, growth=False, shear=0.1, turn=2, borders=borders)
    rng = np.random.default_rng(2)
    flow = draw_flow(rng, options, 20)
    cells = draw_cells(rng, options, flow)
    rows, columns = cells.rows, cells.columns
    found = np.diff(columns, axis=0) - flow[:-1, 1, None]
    row = (
        np.where(rows[:-1] < 0, rows[:-1] + 64, rows[:-1] - 64 * (rows[:-1] >= 64))
        if borders == "periodic"
        else rows[:-1]
    )
    shear = found / (row - 31.5)
    assert 0.001 < abs(shear[0, 0]) <= 0.1
    np.testing.assert_allclose(shear, shear[0, 0], rtol=1e-6)
    np.testing.assert_allclose(np.diff(rows, axis=0), np.broadcast_to(flow[:-1, :1], (19, rows.shape[1])), atol=1e-12)
    angle = np.unwrap(np.arctan2(flow[:, 0], flow[:, 1]))
    np.testing.assert_allclose(np.diff(angle), np.diff(angle)[0], atol=1e-12)
    assert abs(np.degrees(np.diff(angle)[0])) <= 2


def test_rates_have_a_heavy_tail_of_the_order_of_radar_maps():
    rate = run(3000).rain_rate.values
    edges = (0, 0.5, 2, 5, 10, 30, np.inf)
    shares = np.array([((rate >= low) & (rate < high)).mean() for low, high in pairwise(edges)])
    # Shi et al. (2017), table of the rain rates of HKO-7: orientation, not a claim.
    published = np.array([90.25, 4.38, 2.46, 1.35, 1.14, 0.42]) / 100
    assert (shares / published > 1 / 2).all()
    assert (shares / published < 2).all()
    raining = rate[rate >= 0.5]
    assert raining.mean() > 2 * np.median(raining)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"radius": (2, 9)}, "cells of radius 13.5 meet themselves in a periodic frame of 64 pixels"),
        ({"radius": (2, 11), "growth": False}, "cells of radius 11 meet themselves"),
        ({"lifetime": (0, 9)}, "greater than 0"),
        ({"speed": (2, 1)}, "2 is above 1: the smaller bound comes first"),
        ({"borders": "none"}, "'periodic' or 'open'"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(ValidationError, match=says):
        RainCells.Options(**options)
