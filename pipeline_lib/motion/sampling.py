"""Values between the cells of fields; smoothing and differences."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from pipeline_lib.errors import DataError

Outside = Literal["zero", "edge"]
"""What is beyond fields: zeros, or the nearest cell."""
TRUNCATION = 4.0
"""Standard deviations after which a Gaussian is cut off; the default of ``scipy.ndimage.gaussian_filter``."""


def sample(fields: Tensor, displacement: Tensor, *, outside: Outside) -> Tensor:
    """Return the values of fields at each cell plus a displacement, by bilinear interpolation.

    Parameters
    ----------
    fields
        (batch, channels, height, width), at least two rows and two columns.
    displacement
        (batch, 2, height, width) in cells: along columns, along rows.
    outside
        What is beyond the fields: zeros, towards which values fall off within one cell, or the nearest cell.

    Returns
    -------
    Tensor
        As ``fields``.
    """
    height, width = fields.shape[-2:]
    columns = torch.arange(width, dtype=fields.dtype, device=fields.device) + displacement[:, 0]
    rows = torch.arange(height, dtype=fields.dtype, device=fields.device)[:, None] + displacement[:, 1]
    grid = torch.stack((2 * columns / (width - 1) - 1, 2 * rows / (height - 1) - 1), dim=-1)
    padding = "zeros" if outside == "zero" else "border"
    return functional.grid_sample(fields, grid, mode="bilinear", padding_mode=padding, align_corners=True)


def inside(displacement: Tensor) -> Tensor:
    """Return where a cell plus its displacement is not beyond the grid, bool (batch, 1, height, width)."""
    height, width = displacement.shape[-2:]
    columns = torch.arange(width, dtype=displacement.dtype, device=displacement.device) + displacement[:, :1]
    rows = torch.arange(height, dtype=displacement.dtype, device=displacement.device)[:, None] + displacement[:, 1:]
    return (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)


def correlate(fields: Tensor, column_kernel: Tensor, row_kernel: Tensor) -> Tensor:
    """Return fields (batch, channels, height, width) weighted by two kernels of odd length; edges are continued.

    Parameters
    ----------
    fields
        (batch, channels, height, width).
    column_kernel, row_kernel
        Weights of neighbours along columns (the last dimension) and along rows.
    """
    batch, channels, height, width = fields.shape
    across, down = len(column_kernel) // 2, len(row_kernel) // 2
    planes = fields.reshape(batch * channels, 1, height, width)
    planes = functional.pad(planes, (across, across, down, down), mode="replicate")
    planes = functional.conv2d(planes, column_kernel.to(fields).reshape(1, 1, 1, -1))
    planes = functional.conv2d(planes, row_kernel.to(fields).reshape(1, 1, -1, 1))
    return planes.reshape(batch, channels, height, width)


def smooth(fields: Tensor, deviation: float) -> Tensor:
    """Return fields (batch, channels, height, width) under a Gaussian whose standard deviation is given in cells."""
    if deviation == 0:
        return fields
    radius = round(TRUNCATION * deviation)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = (-0.5 * (offsets / deviation).square()).exp()
    return correlate(fields, kernel / kernel.sum(), kernel / kernel.sum())


def gradient(fields: Tensor) -> tuple[Tensor, Tensor]:
    """Return central differences along columns and along rows; at the edges, one-sided ones."""
    columns, rows = torch.gradient(fields, dim=(-1, -2))
    return columns, rows


def check_pair(first: Tensor, second: Tensor) -> None:
    """Refuse two frames between which no flow can be found.

    Raises
    ------
    DataError
        If they differ in shape, are not (batch, height, width), have fewer than two rows or columns, or a value that is
        not finite.
    """
    if first.shape != second.shape or first.ndim != len(("batch", "height", "width")):
        raise DataError(
            f"frames of shapes {tuple(first.shape)} and {tuple(second.shape)} are no pairs (batch, height, width)",
            where="optical flow",
            fix="give two tensors of one shape",
        )
    if min(first.shape[-2:]) <= 1:
        raise DataError(
            f"frames of {first.shape[-2]} x {first.shape[-1]} cells have no gradient",
            where="optical flow",
            fix="give two rows and two columns at least",
        )
    if not (torch.isfinite(first).all() and torch.isfinite(second).all()):
        raise DataError(
            "frames with missing or infinite values have no flow", where="optical flow", fix="fill gaps before"
        )
