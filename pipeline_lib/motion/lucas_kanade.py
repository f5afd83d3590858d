"""Dense Lucas-Kanade optical flow, from coarse grids to fine ones."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline_lib.motion.constancy import damped_solution, linear_constancy
from pipeline_lib.motion.depth import check_depth
from pipeline_lib.motion.pyramid import coarse_to_fine
from pipeline_lib.motion.sampling import check_pair, smooth

DAMPING = 1.0
"""Weight of the flow that is known so far, in squared grey values of 0 to 255 per squared cell, ours: about what
differences of one grey value between neighbours, the least of an 8-bit frame, weigh."""


def lucas_kanade_flow(
    first: Tensor, second: Tensor, *, levels: int = 3, iterations: int = 3, deviation: float = 8.0
) -> Tensor:
    """Return the flow from one frame to the next, of least squares in a neighbourhood of each cell.

    Lucas and Kanade (1981), An iterative image registration technique with an application to stereo vision; coarse
    to fine and repeated as in Bouguet (2001), Pyramidal implementation of the Lucas Kanade feature tracker. Neighbours
    have Gaussian weights, and where their equations say little the flow stays as the coarser grid gave it, so that it
    goes on into dry places; both are ours.

    Parameters
    ----------
    first, second
        (batch, height, width), one time step apart, in grey values of 0 to 255.
    levels
        How often the frames are halved for the coarsest grid.
    iterations
        Linearisations on each grid.
    deviation
        Standard deviation of the neighbours' weights, in cells of each grid; the default is ours, for radar echoes.

    Returns
    -------
    Tensor
        (batch, 2, height, width), see :mod:`pipeline_lib.motion`; zero between frames that are zero.

    Raises
    ------
    ConfigError
        If the frames are too small for the levels.
    DataError
        If the frames are no pairs or hold values that are not finite.
    """
    check_pair(first, second)
    check_depth(levels, *first.shape[-2:], where="levels")

    def refine(pair: Tensor, flow: Tensor) -> Tensor:
        for _ in range(iterations):
            matrix, target = linear_constancy(pair, flow, lambda products: smooth(products, deviation))
            flow = damped_solution(matrix, target, flow, DAMPING)
        return flow

    return coarse_to_fine(torch.stack((first, second), dim=1), levels, refine)
