"""The loop of ensemble methods: forecast, inflate, meet the observations, and correct the past where asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline_lib.assimilation.ensemble import Analysis
from pipeline_lib.assimilation.linear_algebra import covariance_root
from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.solvers.schemes import RK4, Scheme, Tendency, integrate

Forecast = Callable[[Tensor], Tensor]
"""Takes states ``(..., n)`` to the next time of the observations; where it is random, it holds its own generator."""


@dataclass(frozen=True)
class Estimate:
    """What an ensemble says of a trajectory.

    Parameters
    ----------
    mean, spread
        Mean and standard deviation over the members, ``(..., T, n)``.
    analyses, forecasts
        The members after and before each time's observations, ``(..., T, N, n)``, if they were to be kept.
    """

    mean: Tensor
    spread: Tensor
    analyses: Tensor | None = None
    forecasts: Tensor | None = None


def estimate(analyses: Tensor, forecasts: Tensor | None = None) -> Estimate:
    """Return mean and spread of ensembles ``(..., T, N, n)``, and the ensembles."""
    return Estimate(analyses.mean(-2), analyses.std(-2), analyses, forecasts)


def ode_forecast(tendency: Tendency, *, dt: float, steps: int = 1, scheme: Scheme = RK4) -> Forecast:
    """Return the forecast operator of an autonomous ordinary differential equation.

    Parameters
    ----------
    tendency
        Time derivative of states ``(..., n)``.
    dt
        Step of the scheme.
    steps
        Steps between two times of the observations.
    scheme
        How steps are taken.
    """
    return lambda states: integrate(tendency, states, dt=dt, steps=steps, scheme=scheme, every=steps)[-1]


def inflated(members: Tensor, factor: float) -> Tensor:
    """Return an ensemble ``(..., N, n)`` whose deviations from the mean are so many times as large."""
    mean = members.mean(-2, keepdim=True)
    return members if factor == 1.0 else mean + factor * (members - mean)


def assimilate(
    analysis: Analysis,
    forecast: Forecast,
    members: Tensor,
    observations: Observations,
    *,
    inflation: float = 1.0,
    model_error: float | Tensor | None = None,
    lag: int | None = 0,
    generator: torch.Generator | None = None,
    keep: bool = False,
) -> Estimate:
    """Run an ensemble filter, or the smoother that it becomes with a lag.

    With a lag, the members of the past are part of the state (ensemble Kalman smoother, EnKS: Evensen & van Leeuwen
    2000, Mon. Weather Rev. 128, sections 4 and 5): each analysis moves them as well.

    Parameters
    ----------
    analysis
        How observations are brought in.
    forecast
        Takes the members from one time of the observations to the next.
    members
        Ensemble before the observations of time 0, ``(..., N, n)``, N at least 2; leading dimensions are independent
        runs, and broadcast against those of the observations.
    observations
        What is observed, at T times; where nothing is, the forecast is the analysis.
    inflation
        Factor on the deviations from the mean, just before each analysis (multiplicative inflation: Anderson &
        Anderson 1999, Mon. Weather Rev. 127).
    model_error
        Covariance of the random error that is added after each forecast: a variance, variances ``(n,)`` or a matrix;
        ``None`` for none.
    lag
        Times before the present one that an analysis moves; 0 for a filter, ``None`` for all.
    generator
        Where random numbers come from.
    keep
        Whether to return the ensembles too.

    Returns
    -------
    Estimate
        At the T times. A run that diverges ends in NaN, and leaves the others of its batch alone.

    Raises
    ------
    ValueError
        If shapes, dtypes or values do not fit.
    """
    size = _checked(members, observations, inflation, lag)
    members = members.expand(*observations.batch(members.shape[:-2]), *members.shape[-2:])
    noise = None if model_error is None else covariance_root(model_error, size, members)
    analyses: list[Tensor] = []
    forecasts: list[Tensor] = []
    for time, seen in enumerate(observations.times()):
        if time:
            members = forecast(members)
            if noise is not None:
                drawn = torch.randn(members.shape, generator=generator, dtype=members.dtype, device=members.device)
                members = members + drawn @ noise.mT
        if keep:
            forecasts.append(members)
        if seen:
            first = 0 if lag is None else max(0, time - lag)
            members = inflated(members, inflation)
            observed = observations.at(time)
            # Past and present on one dimension, block after block.
            states = torch.cat([*analyses[first:], members], -1)
            moved = analysis(states, observed.of(members), observed, generator)
            *analyses[first:], members = moved.reshape(*members.shape[:-1], -1, size).unbind(-2)
        analyses.append(members)
    if not keep:
        return Estimate(torch.stack([m.mean(-2) for m in analyses], -2), torch.stack([m.std(-2) for m in analyses], -2))
    return estimate(torch.stack(analyses, -3), torch.stack(forecasts, -3))


def _checked(members: Tensor, observations: Observations, inflation: float, lag: int | None) -> int:
    """Return the number of components, or say what does not fit."""
    if members.ndim < 2 or members.shape[-2] < 2:
        raise ValueError(f"members of shape {tuple(members.shape)}: expected (..., members, components), two or more")
    if members.dtype != observations.values.dtype or members.device != observations.values.device:
        ours, theirs = (f"{t.dtype} on {t.device}" for t in (members, observations.values))
        raise ValueError(f"the members are {ours}, the observations {theirs}: bring them to one")
    if not inflation > 0:
        raise ValueError(f"inflation {inflation}: must be above 0, 1 for none")
    if lag is not None and lag < 0:
        raise ValueError(f"lag {lag}: must be 0 for a filter, above 0, or None for all times")
    observations.components_of(members.shape[-1])
    return members.shape[-1]
