"""From observations, a forecast operator and options to an analysis of each window."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline_lib.assimilation.cycle import Estimate, Forecast, assimilate
from pipeline_lib.assimilation.ensemble import ETKF, EnKF
from pipeline_lib.assimilation.interpolation import interpolate
from pipeline_lib.assimilation.linear_algebra import covariance_root
from pipeline_lib.assimilation.localisation import ring_taper
from pipeline_lib.assimilation.minimisation import gradient_descent, lbfgs
from pipeline_lib.assimilation.observations import Observations
from pipeline_lib.assimilation.smoother import rauch_tung_striebel
from pipeline_lib.assimilation.variational import WeakConstraint, flow_prior, strong_constraint, three_d_var
from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.forecaster import Forecaster
from pipeline_lib.tasks.assimilation.options import MethodOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prior:
    """What is known of the states before any observation.

    Attributes
    ----------
    mean
        At the start of a window: ``(n,)``, or ``(..., n)`` for each window.
    covariance
        At the start of a window: a variance or a matrix ``(n, n)``.
    climatology
        The covariance at any time, likewise; ``None`` for that of the start.
    """

    mean: Tensor
    covariance: float | Tensor
    climatology: float | Tensor | None = None

    def draw(self, count: int, batch: torch.Size, generator: torch.Generator) -> Tensor:
        """Return so many members for each window, ``(..., count, n)``."""
        size = self.mean.shape[-1]
        root = covariance_root(self.covariance, size, self.mean)
        drawn = torch.randn(*batch, count, size, generator=generator, dtype=self.mean.dtype)
        return self.mean.unsqueeze(-2) + drawn @ root.mT


def forecast_operator(forecaster: Forecaster) -> Forecast:
    """Return one time step of a forecaster for normalised states of any batch ``(..., n)``.

    Raises
    ------
    ConfigError
        If it remembers earlier states, which an analysis would contradict.
    """
    if forecaster.begin(torch.zeros(1, 1)) is not None:
        raise ConfigError(
            "has a memory of its forecasts, which an analysis does not correct",
            where="models",
            fix="choose a model that sees the present state only",
        )

    def forecast(states: Tensor) -> Tensor:
        following, _ = forecaster.advance(states.flatten(0, -2), None)
        return following.reshape(states.shape)

    return forecast


def localisation_taper(options: MethodOptions, size: int) -> Tensor | None:
    """Return the taper between so many components, ``None`` for none.

    Raises
    ------
    ConfigError
        If it is too wide for so small a ring.
    """
    if options.localisation is None:
        return None
    try:
        return ring_taper(size, options.localisation)
    except ValueError as error:
        fix = "choose a smaller one"
        raise ConfigError(str(error), where="training.assimilation.localisation", fix=fix) from error


def analyse(
    forecast: Forecast,
    observations: Observations,
    prior: Prior,
    options: MethodOptions,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor | None]:
    """Return analysis and spread ``(..., T, n)`` of windows; no spread for variational methods.

    All values are normalised, ``model_error`` of the options included.
    """
    batch = observations.batch(prior.mean.shape[:-1])
    if options.method == "3dvar":
        climatology = prior.covariance if prior.climatology is None else prior.climatology
        return three_d_var(forecast, prior.mean, observations, options.background_factor * climatology), None
    if options.method in {"strong_4dvar", "weak_4dvar"}:
        return _by_minimisation(forecast, observations, prior, options), None
    estimate = _by_ensemble(forecast, observations, prior.draw(options.members, batch, generator), options, generator)
    return estimate.mean, estimate.spread


def _by_minimisation(forecast: Forecast, observations: Observations, prior: Prior, options: MethodOptions) -> Tensor:
    """Return the minimum of a variational cost, looked for from the observations interpolated in time."""
    size = prior.mean.shape[-1]
    batch = observations.batch(prior.mean.shape[:-1])
    guess = interpolate(observations, size, fill=prior.mean.unsqueeze(-2))
    if options.method == "weak_4dvar":
        values, mask = observations.on_state(size)
        cost = WeakConstraint(values, mask, flow_prior(forecast), prior_weight=options.model_weight**0.5)
        if options.minimiser == "gradient_descent":
            return gradient_descent(cost, guess, step=options.descent_step, iterations=options.iterations)
        found, unfinished = lbfgs(cost, guess, iterations=options.iterations)
    else:
        mean, start = prior.mean.expand(*batch, size), guess[..., 0, :].expand(*batch, size)
        found, unfinished = strong_constraint(
            forecast,
            mean,
            prior.covariance,
            observations,
            start=start,
            iterations=options.iterations,
            stages=options.stages,
        )
    if bool(unfinished.any()):
        logger.warning(
            "%s: the cost of %d of %d windows was still falling after %d iterations: raise"
            " training.assimilation.iterations",
            options.method,
            int(unfinished.sum()),
            unfinished.numel(),
            options.iterations,
        )
    return found


def _by_ensemble(
    forecast: Forecast,
    observations: Observations,
    members: Tensor,
    options: MethodOptions,
    generator: torch.Generator,
) -> Estimate:
    taper = localisation_taper(options, members.shape[-1])
    smooth_back = options.method == "enrts"
    estimate = assimilate(
        ETKF(taper) if options.method == "etkf" else EnKF(taper),
        forecast,
        members,
        observations,
        inflation=options.inflation,
        model_error=options.model_error**2 or None,
        lag=options.lag if options.method == "enks" else 0,
        generator=generator,
        keep=smooth_back,
    )
    return rauch_tung_striebel(estimate) if smooth_back else estimate
