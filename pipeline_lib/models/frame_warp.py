"""Maps as seen from elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


class Places:
    """Where the cells of a map are, in the coordinates of ``grid_sample``: -1 and 1 are the middles of outer cells.

    Parameters
    ----------
    like
        A map (..., height, width).
    """

    def __init__(self, like: Tensor) -> None:
        height, width = like.shape[-2:]
        kind = {"dtype": like.dtype, "device": like.device}
        y, x = torch.linspace(-1, 1, height, **kind), torch.linspace(-1, 1, width, **kind)  # type: ignore[call-overload]
        self.xy = torch.stack(torch.meshgrid(x, y, indexing="xy"))
        cell = [2 / max(size - 1, 1) for size in (width, height)]
        self._cell = torch.tensor(cell, **kind)[:, None, None, None]  # type: ignore[arg-type]

    def warp(self, values: Tensor, flow: Tensor) -> Tensor:
        """Return the values from where a flow comes: at (y, x), those of (y - v, x - u).

        Parameters
        ----------
        values
            (batch, channels, height, width); between cells they are bilinear, outside zero.
        flow
            (batch, 2 links, height, width) [cells], first all u, along the width, then all v.

        Returns
        -------
        Tensor
            (batch, channels * links, height, width), the links of one channel side by side.
        """
        batch, _, *size = values.shape
        uv = flow.reshape(batch, 2, -1, *size)
        # The links lie below each other in one grid, so that the values are neither copied nor read link by link.
        grid = torch.addcmul(self.xy[:, None], uv, self._cell, value=-1).flatten(2, 3).permute(0, 2, 3, 1)
        # The gradients of the library's function have no fixed order on a GPU, and it refuses where one is asked for.
        fixed = grid.is_cuda and torch.is_grad_enabled() and torch.are_deterministic_algorithms_enabled()
        seen = gathered(values, grid) if fixed else grid_sample(values, grid, align_corners=True)
        return seen.reshape(batch, -1, *size)


def gathered(values: Tensor, grid: Tensor) -> Tensor:
    """Return what ``grid_sample(values, grid, align_corners=True)`` does, with gradients summed in a fixed order.

    They are those of an index, for which a GPU sorts; this costs more time and memory.

    Parameters
    ----------
    values
        (batch, channels, height, width).
    grid
        x and y of the places (batch, rows, columns, 2).

    Returns
    -------
    Tensor
        (batch, channels, rows, columns).
    """
    batch, channels, height, width = values.shape
    x, y = (grid[..., 0] + 1) * (width - 1) / 2, (grid[..., 1] + 1) * (height - 1) / 2
    # Places that are no numbers must not become an index; their weights say so further on.
    left, above = x.detach().nan_to_num().floor(), y.detach().nan_to_num().floor()
    cells = values.permute(0, 2, 3, 1).reshape(-1, channels)
    first = torch.arange(batch, device=grid.device)[:, None, None] * height * width
    corners = []
    for row, by_row in ((above, above + 1 - y), (above + 1, y - above)):
        for column, by_column in ((left, left + 1 - x), (left + 1, x - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            corners.append((by_row * by_column * inside)[..., None] * cells[first + place])
    return (corners[0] + corners[1] + corners[2] + corners[3]).movedim(-1, 1)
