"""The simplest way to fill what lies between observations."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline_lib.assimilation.observations import Observations


def interpolate(observations: Observations, size: int, *, fill: float | Tensor = 0.0) -> Tensor:
    """Interpolate observations linearly in time; before the first and after the last, their values hold.

    Parameters
    ----------
    observations
        What is observed, at T times.
    size
        Number of components n.
    fill
        Value of components that are never observed: a number, or one for each component.

    Returns
    -------
    Tensor
        Shape ``(..., T, n)``, equal to the observations where there are some.
    """
    values, mask = observations.on_state(size)
    steps = observations.steps
    time = torch.arange(steps, device=values.device).unsqueeze(-1)
    before = torch.where(mask, time, -1).cummax(-2).values
    after = torch.where(mask, time, steps).flip(-2).cummin(-2).values.flip(-2)
    never = after[..., :1, :] == steps
    # Beyond the ends, both neighbours are the one that exists.
    left, right = torch.where(before < 0, after, before), torch.where(after == steps, before, after)
    left, right = left.masked_fill(never, 0), right.masked_fill(never, 0)
    start, end = values.gather(-2, left), values.gather(-2, right)
    share = (time - left).to(values.dtype) / (right - left).clamp(min=1)
    between = start + (end - start) * share
    return torch.where(never, torch.as_tensor(fill, dtype=values.dtype, device=values.device), between)
