"""Twin experiments: the forecast of an ordinary differential equation, and observations of a known trajectory."""

from __future__ import annotations

import torch

from pipeline_lib.assimilation.cycle import Forecast
from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.solvers.schemes import Tendency, integrate


def ode_forecast(tendency: Tendency, *, dt: float, steps: int = 1) -> Forecast:
    """So many steps of Runge-Kutta from one time of the observations to the next."""
    return lambda states: integrate(tendency, states, dt=dt, steps=steps, every=steps)[-1]


def observe(
    states: torch.Tensor,
    *,
    every: int = 1,
    variance: float,
    components: list[int] | None = None,
    sites: int | None = None,
    margin: int = 0,
    generator: torch.Generator,
) -> Observations:
    """Observe states (..., T, n) at every so many-th time past the margins; sites are drawn anew each time."""
    chosen = None if components is None else torch.tensor(components)
    truth = states if chosen is None else states[..., chosen]
    time = torch.arange(truth.shape[-2])
    seen = (time % every == 0) & (time >= margin) & (time < len(time) - margin)
    mask = seen.unsqueeze(-1).expand(truth.shape)
    if sites is not None:
        order = torch.rand(truth.shape, generator=generator, dtype=torch.float64).argsort(-1)
        mask = mask & (order.argsort(-1) < sites)
    noise = torch.randn(truth.shape, generator=generator, dtype=truth.dtype)
    return Observations(torch.where(mask, truth + variance**0.5 * noise, 0.0), variance, chosen, mask)
