"""Variational assimilation: 3D-Var, and 4D-Var with a model that is taken as exact or as one more term of the cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline_lib.assimilation.cycle import Forecast
from pipeline_lib.assimilation.linear_algebra import covariance_root, solve_positive
from pipeline_lib.assimilation.minimisation import lbfgs
from pipeline_lib.assimilation.observations import Observations

_TOLERANCE = 1e-6
"""Share of its slope at the start at which a window of strong 4D-Var has converged."""

Prior = Callable[[Tensor], Tensor]
"""Takes trajectories to what the dynamics expect them to be, in the same shape."""


def three_d_var(
    forecast: Forecast, background: Tensor, observations: Observations, covariance: float | Tensor
) -> Tensor:
    """Run a cycle of 3D-Var: at each time the minimum of the cost with one and the same background covariance.

    With a linear observation operator the minimum of ``(x - xb)' B^-1 (x - xb) + (y - Hx)' R^-1 (y - Hx)`` is
    ``xb + B H' (H B H' + R)^-1 (y - H xb)`` (Courtier 1997, J. Meteorol. Soc. Japan 75).

    Parameters
    ----------
    forecast
        Takes states from one time of the observations to the next.
    background
        State before the observations of time 0, ``(..., n)``.
    observations
        What is observed, at T times.
    covariance
        B: a variance, variances ``(n,)`` or a matrix. The climatological one is ``torch.cov`` of the states of a long
        run, often times a factor below 1.

    Returns
    -------
    Tensor
        The analyses, ``(..., T, n)``.

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    root = covariance_root(covariance, background.shape[-1], background)
    columns = observations.components_of(background.shape[-1])
    between = root @ root[columns].mT  # B H'
    state = background.expand(*observations.batch(background.shape[:-1]), -1)
    found = []
    for time, seen in enumerate(observations.times()):
        state = forecast(state) if time else state
        if seen:
            observed = observations.at(time)
            mask = observed.mask.to(state.dtype)
            inner = between[columns] * mask.unsqueeze(-1) * mask.unsqueeze(-2) + torch.diag_embed(observed.variance)
            innovation = (observed.values - observed.of(state)) * mask
            state = state + solve_positive(inner, innovation.unsqueeze(-1)).squeeze(-1) @ between.mT
        found.append(state)
    return torch.stack(found, -2)


@dataclass(frozen=True)
class StrongConstraint:
    """The cost of 4D-Var with an exact model (Le Dimet & Talagrand 1986, Tellus A 38): a function of the initial state.

    ``1/2 v' v + 1/2 sum over times of (y - H x_t)' R^-1 (y - H x_t)``, where ``x_0 = xb + L v`` and ``L L' = B``: in v
    the background term is well conditioned. Called with controls v ``(..., n)``; returns ``(...)``.

    Parameters
    ----------
    forecast
        Takes states from one time of the observations to the next, differentiably.
    background
        xb, ``(..., n)``.
    root
        L, ``(n, n)``.
    observations
        What is observed, at T times.
    """

    forecast: Forecast
    background: Tensor
    root: Tensor
    observations: Observations

    def trajectory(self, control: Tensor) -> Tensor:
        """Return the states at the T times, ``(..., T, n)``."""
        states = [self.background + control @ self.root.mT]
        for _ in range(self.observations.steps - 1):
            states.append(self.forecast(states[-1]))
        return torch.stack(states, -2)

    def __call__(self, control: Tensor) -> Tensor:
        """Return the costs of controls."""
        columns = self.observations.components_of(self.background.shape[-1])
        states = torch.where(self.observations.seen, self.trajectory(control)[..., columns], 0.0)
        misfit = (self.observations.known - states) ** 2 / self.observations.errors
        return (control**2).sum(-1) / 2 + misfit.sum((-1, -2)) / 2


def strong_constraint(
    forecast: Forecast,
    background: Tensor,
    covariance: float | Tensor,
    observations: Observations,
    *,
    start: Tensor | None = None,
    iterations: int = 100,
    stages: int = 1,
) -> tuple[Tensor, Tensor]:
    """Run 4D-Var with an exact model over windows; gradients by automatic differentiation, minimum by L-BFGS.

    The cost of a chaotic model has the more minima the longer the window. In several stages it grows, and each starts
    where the one before has ended: the quasi-static assimilation of Pires, Vautard & Talagrand (1996, Tellus A 48,
    96-121).

    Parameters
    ----------
    forecast, background, observations
        As in :class:`StrongConstraint`; leading dimensions are independent windows.
    covariance
        B: a variance, variances ``(n,)`` or a matrix.
    start
        Initial states ``(..., n)`` from which the minimisation starts; ``None`` for the background.
    iterations
        Of each stage, as in :func:`~pipeline_lib.assimilation.minimisation.lbfgs`.
    stages
        Lengths through which the window grows to its own, evenly.

    Returns
    -------
    trajectory
        The states at the T times, ``(..., T, n)``.
        A window in which the model leaves the finite numbers at the start is given up: NaN.
    unfinished
        Of each window, whether the cost was still falling when the iterations ended.

    Raises
    ------
    ValueError
        If shapes do not fit, or the covariance is singular and there is a start: no control leads there.
    """
    batch = observations.batch(background.shape[:-1])
    root = covariance_root(covariance, background.shape[-1], background)
    cost = StrongConstraint(forecast, background.expand(*batch, -1), root, observations)
    control = torch.zeros_like(cost.background)
    if start is not None:
        require_regular(covariance, cost.background)
        control = torch.linalg.solve(root, (start - cost.background).unsqueeze(-1)).squeeze(-1)
    for stage in range(1, stages):
        shorter = replace(cost, observations=observations.until(math.ceil(observations.steps * stage / stages)))
        control, _ = lbfgs(shorter, control, iterations=iterations, tolerance=_TOLERANCE)
    control, unfinished = lbfgs(cost, control, iterations=iterations, tolerance=_TOLERANCE)
    with torch.no_grad():
        return cost.trajectory(control), unfinished


def require_regular(covariance: float | Tensor, like: Tensor) -> None:
    """Raise ValueError if a covariance of states ``(..., n)`` is singular to round-off: a component never changes."""
    root = covariance_root(covariance, like.shape[-1], like)
    variances = (root**2).sum(0)  # the eigenvalues
    if bool(variances.min() <= variances.max() * len(variances) * torch.finfo(root.dtype).eps):
        raise ValueError("the covariance is singular: a component is constant, or a combination of others")


def flow_prior(forecast: Forecast) -> Prior:
    """Return the prior of a model: each state is the forecast from the one before; the first is taken as it is.

    For trajectories ``(..., T, n)``.
    """

    def prior(states: Tensor) -> Tensor:
        return torch.cat((states[..., :1, :], forecast(states[..., :-1, :])), -2)

    return prior


@dataclass(frozen=True)
class WeakConstraint:
    """The cost of 4D-Var in which the model may err (Fablet et al. 2021, J. Adv. Model. Earth Syst. 13).

    ``U(x) = a_o^2 mean |(x - y) m|^2 + a_p^2 mean |x - Phi(x)|^2``, both means over all entries of a window, observed
    or not. Called with trajectories ``(..., T, n)``, in whatever order of the two dimensions the prior takes; returns
    ``(...)``. Minimised by :func:`~pipeline_lib.assimilation.minimisation.lbfgs`, or by ``gradient_descent`` (FSGD).

    Parameters
    ----------
    values, mask
        y and m: values on all components, and true where there is one.
    prior
        Phi.
    observed_weight, prior_weight
        a_o and a_p: numbers, or tensors that broadcast against the windows' entries.
    """

    values: Tensor
    mask: Tensor
    prior: Prior
    observed_weight: float | Tensor = 1.0
    prior_weight: float | Tensor = 1.0

    def __call__(self, states: Tensor) -> Tensor:
        """Return the costs of trajectories."""
        misfit = torch.where(self.mask, states - self.values, 0.0) * self.observed_weight
        surprise = (states - self.prior(states)) * self.prior_weight
        return (misfit**2 + surprise**2).mean((-1, -2))
