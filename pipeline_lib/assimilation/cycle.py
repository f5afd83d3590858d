"""The loop of ensemble methods: forecast, inflate, meet the observations, and correct the past where asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline_lib.assimilation.ensemble import Analysis
from pipeline_lib.assimilation.linear_algebra import covariance_root
from pipeline_lib.assimilation.observations import Observations, Observed

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


class Record:
    """Collects what ensembles ``(..., N, n)`` say, time after time; the ensembles themselves only where wanted."""

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._means: list[Tensor] = []
        self._spreads: list[Tensor] = []
        self._members: list[Tensor] = []

    def add(self, members: Tensor) -> None:
        """Take the ensemble of the next time."""
        self._means.append(members.mean(-2))
        self._spreads.append(members.std(-2))
        if self._keep:
            self._members.append(members)

    def estimate(self, forecasts: Sequence[Tensor] = ()) -> Estimate:
        """Return all that was taken, with the forecasts of all times if there are any."""
        kept = [torch.stack(tuple(members), -3) if members else None for members in (self._members, forecasts)]
        return Estimate(torch.stack(self._means, -2), torch.stack(self._spreads, -2), *kept)


def inflated(members: Tensor, factor: float) -> Tensor:
    """Return an ensemble ``(..., N, n)`` whose deviations from the mean are so many times as large."""
    mean = members.mean(-2, keepdim=True)
    return members if factor == 1.0 else mean + factor * (members - mean)


@dataclass(frozen=True)
class _Correction:
    """What observations do to an ensemble, and to what it was before."""

    analysis: Analysis
    inflation: float
    generator: torch.Generator | None

    def __call__(self, past: list[Tensor], members: Tensor, observed: Observed) -> tuple[Tensor, ...]:
        """Return past and present members after the observations of the present.

        Runs of the batch without an observation stay as they are.
        """
        wide = inflated(members, self.inflation)
        # All times on one dimension, block after block.
        before, states = (torch.cat([*past, present], -1) for present in (members, wide))
        found = self.analysis(states, observed.of(wide), observed, self.generator)
        found = torch.where(observed.mask.any(-1)[..., None, None], found, before)
        times: tuple[Tensor, ...] = found.reshape(*members.shape[:-1], -1, members.shape[-1]).unbind(-2)
        return times


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
        Factor on the deviations from the mean, just before each analysis of a run that is observed at that time
        (multiplicative inflation: Anderson & Anderson 1999, Mon. Weather Rev. 127).
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
    _check(members, observations, inflation, lag)
    if model_error is not None:
        forecast = _erring(forecast, covariance_root(model_error, members.shape[-1], members), generator)
    members = members.expand(*observations.batch(members.shape[:-2]), *members.shape[-2:])
    return _cycled(_Correction(analysis, inflation, generator), forecast, members, observations, lag, keep)


def _cycled(
    correct: _Correction,
    forecast: Forecast,
    members: Tensor,
    observations: Observations,
    lag: int | None,
    keep: bool,
) -> Estimate:
    """Forecast and correct, time after time."""
    record, forecasts = Record(keep=keep), []
    recent: list[Tensor] = []  # what later observations may still move
    for time, seen in enumerate(observations.times()):
        members = forecast(members) if time else members
        if keep:
            forecasts.append(members)
        if seen:
            *recent, members = correct(recent, members, observations.at(time))
        recent.append(members)
        if lag is not None and len(recent) > lag:
            record.add(recent.pop(0))
    for members in recent:
        record.add(members)
    return record.estimate(forecasts)


def _erring(forecast: Forecast, root: Tensor, generator: torch.Generator | None) -> Forecast:
    """Return the forecast with a random error, whose covariance has this root, after it."""

    def erring(states: Tensor) -> Tensor:
        states = forecast(states)
        drawn = torch.randn(states.shape, generator=generator, dtype=states.dtype, device=states.device)
        return states + drawn @ root.mT

    return erring


def _check(members: Tensor, observations: Observations, inflation: float, lag: int | None) -> None:
    """Say what does not fit."""
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
