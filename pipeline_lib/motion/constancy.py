"""The constancy of grey values along a flow, linear about a known one; symmetric 2 x 2 equations of each cell."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline_lib.motion.sampling import gradient, inside, sample


def linear_constancy(pair: Tensor, about: Tensor, blur: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the equations ``matrix flow = target`` of each cell, from means of products of derivatives.

    The derivatives along columns and rows are those of the mean of the first frame and the second one brought back
    along the known flow, so they are exact to second order; cells whose flow leads out of the grid have weight zero.

    Parameters
    ----------
    pair
        (batch, 2, height, width), two frames.
    about
        (batch, 2, height, width), the known flow.
    blur
        The mean over neighbouring cells.

    Returns
    -------
    matrix
        (batch, 3, height, width): the entries (columns, columns), (columns, rows), (rows, rows).
    target
        (batch, 2, height, width).
    """
    known = inside(about)
    first = pair[:, :1]
    moved = sample(pair[:, 1:], about, outside="edge")
    columns, rows = (torch.where(known, part, 0) for part in gradient((first + moved) / 2))
    change = moved - first - columns * about[:, :1] - rows * about[:, 1:]
    products = blur(
        torch.cat((columns * columns, columns * rows, rows * rows, -columns * change, -rows * change), dim=1)
    )
    return products[:, :3], products[:, 3:]


def multiply(matrix: Tensor, vector: Tensor) -> Tensor:
    """Return products (batch, 2, ...) of symmetric 2 x 2 matrices (batch, 3, ...) and vectors (batch, 2, ...)."""
    a, b, c = matrix.unbind(1)
    x, y = vector.unbind(1)
    return torch.stack((a * x + b * y, b * x + c * y), dim=1)


def inverse(matrix: Tensor, diagonal: Tensor | float) -> Tensor:
    """Return the inverses of symmetric 2 x 2 matrices (batch, 3, ...) with a number added to their diagonals."""
    a, b, c = matrix[:, 0] + diagonal, matrix[:, 1], matrix[:, 2] + diagonal
    return torch.stack((c, -b, a), dim=1) / (a * c - b.square())[:, None]


def damped_solution(matrix: Tensor, target: Tensor, known: Tensor, damping: float) -> Tensor:
    """Return the flow of each cell from its own equations, near the known one where they say little.

    Minimised is the misfit of the equations plus ``damping`` times the squared distance from the known flow (Levenberg
    1944, A method for the solution of certain non-linear problems in least squares).
    """
    return multiply(inverse(matrix, damping), target + damping * known)
