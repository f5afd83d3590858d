"""Semi-Lagrangian advection against scipy, and what it must keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.ndimage import map_coordinates

from pipeline_lib.motion.advection import follow_trajectories, trajectories, warp_repeatedly
from tests.motion.scenes import blobs, interior, root_mean_square, rotation

BOTH = pytest.mark.parametrize("advect", [warp_repeatedly, follow_trajectories])
SCIPY = {"zero": "grid-constant", "edge": "nearest"}


def smooth_flow(size=(30, 37), seed=0):
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    parts = [
        draw.uniform(-2, 2) + draw.uniform(0.5, 1.5) * np.sin(rows / draw.uniform(5, 9) + columns / draw.uniform(5, 9))
        for _ in range(2)
    ]
    return torch.from_numpy(np.stack(parts))[None]


def steady(velocity, size):
    return torch.tensor(velocity, dtype=torch.float64)[None, :, None, None].expand(1, 2, *size)


@pytest.mark.parametrize("outside", ["zero", "edge"])
def test_repeated_warps_are_those_of_scipy(outside):
    frame, flow = blobs(size=(30, 37)), smooth_flow()
    found = warp_repeatedly(frame, flow, 4, outside=outside)[0].numpy()
    rows, columns = np.mgrid[:30, :37]
    expected = frame[0].numpy()
    for lead in range(4):
        places = [rows - flow[0, 1].numpy(), columns - flow[0, 0].numpy()]
        expected = map_coordinates(expected, places, order=1, mode=SCIPY[outside], cval=0.0)
        np.testing.assert_allclose(found[lead], expected, atol=1e-10)


@pytest.mark.parametrize("outside", ["zero", "edge"])
def test_trajectories_and_their_ends_are_those_of_a_loop_with_scipy(outside):
    frame, flow = blobs(size=(30, 37)), smooth_flow()
    found = follow_trajectories(frame, flow, 4, outside=outside, iterations=2)[0].numpy()
    rows, columns = np.mgrid[:30, :37].astype(float)
    at_rows, at_columns = rows.copy(), columns.copy()
    step_columns, step_rows = flow[0].numpy().copy()
    for lead in range(4):
        for _ in range(2):
            middle = [at_rows - step_rows / 2, at_columns - step_columns / 2]
            step_columns, step_rows = (
                map_coordinates(part, middle, order=1, mode="nearest") for part in flow[0].numpy()
            )
        at_rows, at_columns = at_rows - step_rows, at_columns - step_columns
        expected = map_coordinates(frame[0].numpy(), [at_rows, at_columns], order=1, mode=SCIPY[outside], cval=0.0)
        np.testing.assert_allclose(found[lead], expected, atol=1e-9)


def test_trajectories_are_those_of_an_ode_solver():
    turn, size = 0.05, (41, 41)
    flow = turn * torch.stack((20.0 - torch.arange(41.0)[:, None].expand(size), torch.arange(41.0).expand(size) - 20))
    ends = trajectories(flow[None].double(), 6)[0, -1]

    def velocity(_, place):
        return [turn * (20 - place[1]), turn * (place[0] - 20)]

    for column, row in ((26, 20), (15, 24), (20, 11)):
        exact = solve_ivp(velocity, (0, -6), [column, row], rtol=1e-9, atol=1e-9).y[:, -1]
        assert ends[0, row, column] + column == pytest.approx(exact[0], abs=5e-3)
        assert ends[1, row, column] + row == pytest.approx(exact[1], abs=5e-3)


@BOTH
def test_no_motion_leaves_the_frame(advect):
    frame = blobs()
    torch.testing.assert_close(
        advect(frame, torch.zeros(1, 2, 64, 72, dtype=torch.float64), 3), frame[:, None].expand(1, 3, 64, 72)
    )


@BOTH
@settings(max_examples=10)
@given(columns=st.integers(-4, 4), rows=st.integers(-4, 4))
def test_whole_cells_move_exactly(advect, columns, rows):
    frame = blobs(size=(20, 24))
    forecasts = advect(frame, steady((columns, rows), (20, 24)), 3)
    for lead in range(3):
        right, down = columns * (lead + 1), rows * (lead + 1)
        expected = np.zeros((20, 24))
        kept = np.mgrid[:20, :24] - np.array([down, right])[:, None, None]
        inside = (kept >= 0).all(axis=0) & (kept[0] < 20) & (kept[1] < 24)
        expected[inside] = frame[0].numpy()[kept[0][inside], kept[1][inside]]
        np.testing.assert_allclose(forecasts[0, lead], expected, atol=1e-9)


@BOTH
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), strength=st.floats(0, 3))
def test_no_value_leaves_the_range_of_the_frame(advect, seed, strength):
    frame = torch.from_numpy(np.random.default_rng(seed).uniform(0, 1, (1, 20, 24)))
    forecasts = advect(frame, strength * smooth_flow((20, 24), seed), 5)
    assert torch.isfinite(forecasts).all()
    assert forecasts.min() >= 0
    assert forecasts.max() <= frame.max() + 1e-12


@BOTH
@settings(max_examples=10)
@given(speed=st.floats(0, 3), angle=st.floats(0, 2 * math.pi))
def test_rain_that_stays_inside_is_kept(advect, speed, angle):
    rows, columns = torch.meshgrid(torch.arange(60.0), torch.arange(60.0), indexing="ij")
    frame = torch.exp(-((rows - 30) ** 2 + (columns - 30) ** 2) / 18).double()[None]
    velocity = speed * math.cos(angle), speed * math.sin(angle)
    forecasts = advect(frame, steady(velocity, (60, 60)), 4)
    torch.testing.assert_close(forecasts.sum(dim=(2, 3)), frame.sum().expand(1, 4), rtol=1e-5, atol=0)
    middle = (forecasts * columns).sum(dim=(2, 3)) / forecasts.sum(dim=(2, 3)) - 30
    expected = velocity[0] * torch.arange(1, 5, dtype=torch.float64)
    torch.testing.assert_close(middle[0], expected, rtol=0, atol=1e-2)


def test_trajectories_turn_a_field_and_one_interpolation_blurs_less_than_many():
    turn, size, leads = 0.03, (64, 72), 8
    flow, frame = rotation(size, turn), blobs()
    true = torch.cat([blobs(turn=turn * (lead + 1)) for lead in range(leads)])[None]
    errors = {
        advect: root_mean_square(interior(advect(frame, flow, leads) - true))
        for advect in (warp_repeatedly, follow_trajectories)
    }
    still = root_mean_square(interior(frame[:, None] - true))
    assert errors[follow_trajectories] < errors[warp_repeatedly] < 0.35 * still
    assert errors[follow_trajectories] < 0.15 * still


@BOTH
def test_a_batch_is_each_by_itself_and_single_precision_is_enough(advect):
    frames = torch.cat([blobs(size=(30, 37), seed=s) for s in range(3)])
    flows = torch.cat([smooth_flow(seed=s) for s in range(3)])
    together = advect(frames, flows, 5)
    alone = torch.cat([advect(a[None], b[None], 5) for a, b in zip(frames, flows, strict=True)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-10)
    torch.testing.assert_close(advect(frames.float(), flows.float(), 5).double(), together, rtol=0, atol=2e-2)
