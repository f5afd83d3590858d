"""Optical flow from polynomials that are fitted around each cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pipeline_lib.errors import ConfigError
from pipeline_lib.motion.constancy import damped_solution, multiply
from pipeline_lib.motion.depth import check_depth
from pipeline_lib.motion.pyramid import coarse_to_fine
from pipeline_lib.motion.sampling import check_pair, correlate, inside, sample

DAMPING = 1e-3
"""Weight of the flow that is known so far, in squared grey values of 0 to 255 per cell to the fourth, ours."""


@dataclass(frozen=True)
class FarnebackSettings:
    """What :func:`farneback_flow` can be told.

    Parameters
    ----------
    levels
        How often the frames are halved for the coarsest grid.
    window
        Side, in cells of each grid, of the square over which one displacement is sought; odd.
    iterations
        Displacements that each grid goes through.
    poly_n
        Cells to each side that a polynomial is fitted to.
    poly_sigma
        Standard deviation of their weights, in cells.
    """

    levels: int = 3
    window: int = 15
    iterations: int = 3
    poly_n: int = 5
    poly_sigma: float = 1.2


def farneback_flow(first: Tensor, second: Tensor, settings: FarnebackSettings | None = None) -> Tensor:
    """Return the flow from one frame to the next.

    Each frame is taken for a quadratic polynomial around each cell, ``f(x) = x^T A x + b^T x + c``; a polynomial that
    moves by ``d`` keeps A, and its b becomes ``b - 2 A d``, so ``A d = -(b2 - b1) / 2``, in least squares over a square
    of cells (Farnebaeck 2003, Two-frame motion estimation based on polynomial expansion, LNCS 2749). A is the mean of
    both frames', the second frame's polynomials are those at the displacement known so far. The halving of frames, and
    that the known displacement stays where the equations say little, are ours.

    Parameters
    ----------
    first, second
        (batch, height, width), one time step apart, in grey values of 0 to 255.
    settings
        See :class:`FarnebackSettings`.

    Returns
    -------
    Tensor
        (batch, 2, height, width), see :mod:`pipeline_lib.motion`; zero between frames that are zero.

    Raises
    ------
    ConfigError
        If the frames are too small for the levels, or the window is even.
    DataError
        If the frames are no pairs or hold values that are not finite.
    """
    settings = settings or FarnebackSettings()
    check_pair(first, second)
    check_depth(settings.levels, *first.shape[-2:], where="levels")
    if settings.window % 2 == 0:
        raise ConfigError(f"a window of {settings.window} cells has no middle", where="window", fix="choose an odd one")
    ones = torch.ones(settings.window, dtype=torch.float64) / settings.window
    mean = partial(correlate, column_kernel=ones, row_kernel=ones)

    def refine(pair: Tensor, flow: Tensor) -> Tensor:
        before, after = (polynomials(frame, settings.poly_n, settings.poly_sigma) for frame in pair.unbind(1))
        for _ in range(settings.iterations):
            known = inside(flow)
            moved = sample(after, flow, outside="edge")
            curvature = torch.where(known, (before[:, 2:] + moved[:, 2:]) / 2, 0)
            difference = multiply(curvature, flow) - (moved[:, :2] - before[:, :2]) / 2
            a, b, c = curvature.unbind(1)
            squares = torch.stack((a * a + b * b, b * (a + c), b * b + c * c), dim=1)
            means = mean(torch.cat((squares, multiply(curvature, difference)), dim=1))
            flow = damped_solution(means[:, :3], means[:, 3:], flow, DAMPING)
        return flow

    return coarse_to_fine(torch.stack((first, second), dim=1), settings.levels, refine)


def polynomials(frames: Tensor, radius: int, deviation: float) -> Tensor:
    """Return the quadratic polynomial of least squares around each cell.

    With weights that are a product of two equal symmetric ones, ``x``, ``y``, ``x y``, ``x^2 - m`` and ``y^2 - m`` are
    orthogonal, m the mean of ``x^2``: each coefficient is one correlation.

    Parameters
    ----------
    frames
        (batch, height, width).
    radius
        Cells to each side that count.
    deviation
        Standard deviation of their Gaussian weights, in cells.

    Returns
    -------
    Tensor
        (batch, 5, height, width): b along columns and along rows; A's entries (columns, columns), (columns, rows),
        (rows, rows).
    """
    x = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = (-0.5 * (x / deviation).square()).exp()
    weights = weights / weights.sum()
    second, fourth = (weights * x.square()).sum(), (weights * x**4).sum()
    slope = weights * x / second
    bend = weights * (x.square() - second) / (fourth - second.square())
    fields = frames[:, None]
    parts = (
        correlate(fields, slope, weights),
        correlate(fields, weights, slope),
        correlate(fields, bend, weights),
        correlate(fields, slope, slope) / 2,
        correlate(fields, weights, bend),
    )
    return torch.cat(parts, dim=1)
