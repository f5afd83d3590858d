"""What the networks that continue frames share: layers over many steps at once, sizes that divide."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pipeline_lib.errors import ConfigError


def over_time(layer: Callable[[Tensor], Tensor], steps: Sequence[Tensor]) -> Sequence[Tensor]:
    """Apply a layer that knows no time to all steps in one batch.

    Parameters
    ----------
    layer
        Maps (batch, ...) to (batch, ...).
    steps
        One tensor (batch, ...) per step, all of one shape.

    Returns
    -------
    sequence of Tensor
        The layer's answers, one per step.
    """
    # Slices of a split hand their gradients back in one piece; those of an index would each fill a whole tensor.
    return torch.split(layer(torch.cat(list(steps))), len(steps[0]))


def rest(like: Tensor, width: int) -> Tensor:
    """Return zeros (batch, width, ...) for values (batch, channels, ...): what a layer remembers at first."""
    return like.new_zeros(len(like), width, *like.shape[2:])


def check_coarsest(height: int, width: int, multiple: int, *, where: str, batch: int = 1) -> None:
    """Refuse what leaves a batch normalisation a single value: one cell on the coarsest grid, in a batch of one.

    Parameters
    ----------
    height, width
        Cells of the frames.
    multiple
        Cells along a side of the frames for one of the coarsest grid.
    where
        Name of the model.
    batch
        Windows at once.

    Raises
    ------
    ConfigError
        If so.
    """
    if batch == 1 and max(height, width) <= multiple:
        raise ConfigError(
            f"frames of {height} x {width} cells leave a single cell to normalise",
            where=where,
            fix=f"take frames of more than {multiple} cells along a side",
        )


def pad_to_multiple(frames: Tensor, multiple: int) -> Tensor:
    """Append zeros below and on the right until height and width are multiples of a number."""
    height, width = frames.shape[-2:]
    below, right = -height % multiple, -width % multiple
    return nn.functional.pad(frames, (0, right, 0, below)) if below or right else frames


def by_lead(steps: Tensor, leads: int, like: Tensor) -> Tensor:
    """Return a forecast (batch, leads, height, width) of the size of given frames.

    Parameters
    ----------
    steps
        (leads * batch, 1, rows, columns), lead by lead, perhaps with rows and columns to spare.
    leads
        Frames that were forecast.
    like
        Frames (..., height, width).
    """
    height, width = like.shape[-2:]
    return steps[:, 0, :height, :width].reshape(leads, -1, height, width).transpose(0, 1)
