"""Twin experiments: observations drawn from a known trajectory, and the simplest way to fill what lies between."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline_lib.assimilation.observations import Observations


def observe(
    states: Tensor,
    *,
    every: int = 1,
    variance: float,
    components: Sequence[int] | None = None,
    sites: int | None = None,
    margin: int = 0,
    generator: torch.Generator | None = None,
) -> Observations:
    """Observe a trajectory with independent Gaussian errors.

    Parameters
    ----------
    states
        The truth, ``(..., T, n)``.
    every
        Steps from one time with observations to the next; the first is time 0, or the first multiple past the margin.
    variance
        Variance of the errors.
    components
        Which are observed; ``None`` for all.
    sites
        How many of them are, drawn anew for each time and each part of the batch; ``None`` for all.
    margin
        Times at both ends without observations.
    generator
        Where random numbers come from.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    steps, size = states.shape[-2:]
    chosen = None if components is None else torch.tensor(list(components), device=states.device)
    truth = states if chosen is None else states[..., chosen]
    count = truth.shape[-1]
    if every < 1 or margin < 0 or 2 * margin >= steps or (sites is not None and not 0 < sites <= count):
        raise ValueError(f"every {every}, margin {margin}, {sites} sites: {steps} times of {count} observed components")
    if chosen is not None and not set(chosen.tolist()) <= set(range(size)):
        raise ValueError(f"components {chosen.tolist()}: the state has 0 to {size - 1}")
    time = torch.arange(steps, device=states.device)
    mask = ((time % every == 0) & (time >= margin) & (time < steps - margin)).unsqueeze(-1).expand(truth.shape)
    if sites is not None:
        mask = mask & random_mask(truth, sites, generator)
    noise = torch.randn(truth.shape, generator=generator, dtype=truth.dtype, device=truth.device)
    return Observations(torch.where(mask, truth + variance**0.5 * noise, 0.0), variance, chosen, mask)


def random_mask(like: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Return a mask of this shape with so many entries, drawn at random, true along the last dimension."""
    order = torch.rand(like.shape, generator=generator, dtype=torch.float64, device=like.device).argsort(-1)
    return order.argsort(-1) < count


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
