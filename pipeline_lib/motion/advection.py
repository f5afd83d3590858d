"""Backward semi-Lagrangian extrapolation of a frame along a flow that stays as it is.

The value of a forecast at a cell is that of the last frame at the place from which the flow comes to the cell; bilinear
between cells, so no value is above the highest or below the lowest (or zero, which comes in from outside).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline_lib.motion.sampling import Outside, sample

ITERATIONS = 3
"""Corrections of the midpoint of a step; ours; the test of a rotation says how exact that is."""


def warp_repeatedly(frame: Tensor, flow: Tensor, leads: int, *, outside: Outside = "zero") -> Tensor:
    """Return forecasts, each of which is the one before, moved by one step of the flow.

    Interpolating again and again makes echoes smoother with each lead. This is how the HKO-7 benchmark extrapolates
    (Shi et al. 2017, Deep learning for precipitation nowcasting: a benchmark and a new model).

    Parameters
    ----------
    frame
        (batch, height, width), the last one.
    flow
        (batch, 2, height, width), cells per step, see :mod:`pipeline_lib.motion`.
    leads
        Frames to forecast.
    outside
        What comes in from beyond the frame, see :func:`~pipeline_lib.motion.sampling.sample`.

    Returns
    -------
    Tensor
        (batch, leads, height, width).
    """
    moved, forecasts = frame[:, None], []
    for _ in range(leads):
        moved = sample(moved, -flow, outside=outside)
        forecasts.append(moved)
    return torch.cat(forecasts, dim=1)


def trajectories(flow: Tensor, leads: int, *, iterations: int = ITERATIONS) -> Tensor:
    """Return where what arrives at each cell was before, for each number of steps.

    A trajectory goes back along the flow with one step of the implicit midpoint rule per frame: the displacement of a
    step is the flow in the middle of that step, found by iterating (Robert 1981, A stable numerical integration scheme
    for the primitive meteorological equations; Germann and Zawadzki 2002, Scale-dependence of the predictability of
    precipitation from continental radar images, part I). Beyond the grid the flow is that of the nearest cell.

    Parameters
    ----------
    flow
        (batch, 2, height, width), cells per step.
    leads
        Steps to go back.
    iterations
        Corrections of the midpoint, at least 1.

    Returns
    -------
    Tensor
        Displacements (batch, leads, 2, height, width) in cells, from a cell to where the trajectory comes from.
    """
    reached, step, all_reached = torch.zeros_like(flow), flow, []
    for _ in range(leads):
        for _ in range(iterations):
            step = sample(flow, reached - step / 2, outside="edge")
        reached = reached - step
        all_reached.append(reached)
    return torch.stack(all_reached, dim=1)


def follow_trajectories(
    frame: Tensor, flow: Tensor, leads: int, *, outside: Outside = "zero", iterations: int = ITERATIONS
) -> Tensor:
    """Return forecasts, each interpolated once, from the last frame, at the start of the trajectories.

    Parameters
    ----------
    frame
        (batch, height, width), the last one.
    flow
        (batch, 2, height, width), cells per step, see :mod:`pipeline_lib.motion`.
    leads
        Frames to forecast.
    outside
        What comes in from beyond the frame, see :func:`~pipeline_lib.motion.sampling.sample`.
    iterations
        See :func:`trajectories`.

    Returns
    -------
    Tensor
        (batch, leads, height, width).
    """
    batch, height, width = frame.shape
    displacements = trajectories(flow, leads, iterations=iterations).flatten(0, 1)
    frames = frame[:, None].expand(batch, leads, height, width).reshape(batch * leads, 1, height, width)
    return sample(frames, displacements, outside=outside).reshape(batch, leads, height, width)
