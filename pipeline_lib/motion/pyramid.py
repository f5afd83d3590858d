"""Coarser grids, and flow that is found on them first."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def halve(fields: Tensor) -> Tensor:
    """Return means over 2 x 2 cells; an odd last row or column counts twice."""
    height, width = fields.shape[-2:]
    even = functional.pad(fields, (0, width % 2, 0, height % 2), mode="replicate")
    return functional.avg_pool2d(even, 2)


def double(fields: Tensor, height: int, width: int) -> Tensor:
    """Return fields on twice as many cells, bilinear between their centres, cut to a size; what undoes `halve`."""
    finer = functional.interpolate(fields, scale_factor=2.0, mode="bilinear", align_corners=False)
    return finer[..., :height, :width]


def coarse_to_fine(pair: Tensor, depth: int, refine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return the flow between two frames, refined on each grid from that of the coarser one, from zero on the coarsest.

    Parameters
    ----------
    pair
        (batch, 2, height, width), two frames.
    depth
        How often the frames are halved.
    refine
        Takes frames and the flow so far, both (batch, 2, rows, columns), to a better flow.

    Returns
    -------
    Tensor
        (batch, 2, height, width).
    """
    pyramid = [pair]
    for _ in range(depth):
        pyramid.append(halve(pyramid[-1]))
    flow = torch.zeros_like(pyramid[-1])
    for frames in reversed(pyramid):
        rows, columns = frames.shape[-2:]
        if flow.shape != frames.shape:
            flow = 2 * double(flow, rows, columns)
        flow = refine(frames, flow)
    return flow
