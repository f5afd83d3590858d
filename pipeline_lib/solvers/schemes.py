"""Time integration: Runge-Kutta of any explicit tableau, linear multistep, backward Euler, and the loop around them.

A system is a callable ``tendency(state, time)``. A state is one tensor; leading dimensions that the system does not
name are a batch, integrated at once. Everything is differentiable, with respect to the state and to whatever
parameters the tendency holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pipeline_lib.solvers.tableau import require_explicit

Tendency = Callable[[Tensor, float], Tensor]
"""Time derivative of a state, at a time."""


class Scheme(Protocol):
    """A way to take steps of equal length."""

    def start(self) -> Stepper:
        """Return what takes the steps of one integration; a multistep scheme remembers tendencies in it."""
        ...


class Stepper(Protocol):
    """Takes the steps of one integration, in order."""

    def __call__(self, tendency: Tendency, state: Tensor, time: float, dt: float) -> Tensor:
        """Return the state at ``time + dt``."""
        ...


@dataclass(frozen=True)
class RungeKutta:
    """An explicit Runge-Kutta scheme (Butcher 2016, Numerical Methods for Ordinary Differential Equations, section 23).

    Parameters
    ----------
    stages
        Rows of the strictly lower triangular matrix of the tableau, from the second stage on.
    weights
        Weights of the stages; they sum to 1.

    Raises
    ------
    ValueError
        If the tableau has not the shape of an explicit scheme, or its weights do not sum to 1.
    """

    stages: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        require_explicit(self.stages, self.weights)

    def start(self) -> Stepper:
        """Return the scheme itself: it remembers nothing."""
        return self

    def __call__(self, tendency: Tendency, state: Tensor, time: float, dt: float) -> Tensor:
        """Return the state at ``time + dt``."""
        slopes = [tendency(state, time)]
        for row in self.stages:
            slopes.append(tendency(_advanced(state, slopes, row, dt), time + dt * sum(row)))
        return _advanced(state, slopes, self.weights, dt)


def _advanced(state: Tensor, slopes: Sequence[Tensor], weights: Sequence[float], dt: float) -> Tensor:
    for slope, weight in zip(slopes, weights, strict=True):
        if weight:
            state = torch.add(state, slope, alpha=dt * weight)
    return state


EULER = RungeKutta((), (1.0,))
MIDPOINT = RungeKutta(((1 / 2,),), (0.0, 1.0))
HEUN = RungeKutta(((1.0,),), (1 / 2, 1 / 2))
SSP3 = RungeKutta(((1.0,), (1 / 4, 1 / 4)), (1 / 6, 1 / 6, 2 / 3))
"""Strong stability preserving (Shu & Osher 1988, J. Comput. Phys. 77)."""
RK4 = RungeKutta(((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))
RK38 = RungeKutta(((1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)), (1 / 8, 3 / 8, 3 / 8, 1 / 8))
DORMAND_PRINCE = RungeKutta(
    (
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
"""The fifth-order scheme of the pair of Dormand & Prince (1980, J. Comput. Appl. Math. 6), with fixed steps."""


@dataclass(frozen=True)
class AdamsBashforth:
    """The explicit linear multistep scheme of Adams and Bashforth; its first steps are taken by Runge-Kutta.

    Parameters
    ----------
    order
        Number of tendencies that a step uses, 1 to 4.

    Raises
    ------
    ValueError
        If the order is not known.
    """

    order: int

    def __post_init__(self) -> None:
        if self.order not in _ADAMS_BASHFORTH:
            raise ValueError(f"order {self.order}: known are {', '.join(map(str, _ADAMS_BASHFORTH))}")

    def start(self) -> Stepper:
        """Return a stepper without a past."""
        past: list[Tensor] = []
        weights = _ADAMS_BASHFORTH[self.order]

        def step(tendency: Tendency, state: Tensor, time: float, dt: float) -> Tensor:
            past.insert(0, tendency(state, time))
            del past[self.order :]
            if len(past) < self.order:
                return DORMAND_PRINCE(tendency, state, time, dt)
            return _advanced(state, past, weights, dt)

        return step


_ADAMS_BASHFORTH: dict[int, tuple[float, ...]] = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}
"""Weights of the newest tendency and of those before it (Hairer, Norsett & Wanner 1993, section III.1)."""


@dataclass(frozen=True)
class BackwardEuler:
    """The implicit scheme of Euler, y = x + h f(y), by fixed-point iterations that start from the explicit step.

    They converge if h times the Lipschitz constant of f is below 1 (Hairer, Norsett & Wanner 1993, section II.7, as
    recalled): what is gained is no longer step but one that damps. Each iteration costs a tendency; gradients go
    through all of them.

    Parameters
    ----------
    iterations
        Number of iterations.

    Raises
    ------
    ValueError
        If there is none.
    """

    iterations: int = 10

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"{self.iterations} iterations: without one it is the explicit scheme")

    def start(self) -> Stepper:
        """Return the scheme itself: it remembers nothing."""
        return self

    def __call__(self, tendency: Tendency, state: Tensor, time: float, dt: float) -> Tensor:
        """Return the state at ``time + dt``."""
        found = EULER(tendency, state, time, dt)
        for _ in range(self.iterations):
            found = torch.add(state, tendency(found, time + dt), alpha=dt)
        return found


SCHEMES: dict[str, Scheme] = {
    "euler": EULER,
    "midpoint": MIDPOINT,
    "heun": HEUN,
    "ssp3": SSP3,
    "rk4": RK4,
    "rk38": RK38,
    "dormand_prince": DORMAND_PRINCE,
    "backward_euler": BackwardEuler(),
    "ab2": AdamsBashforth(2),
    "ab3": AdamsBashforth(3),
    "ab4": AdamsBashforth(4),
}
"""Schemes by the name that configurations use."""


def integrate(
    tendency: Tendency,
    state: Tensor,
    *,
    dt: float,
    steps: int,
    scheme: Scheme = RK4,
    every: int = 1,
) -> Tensor:
    """Integrate from time 0 and return the states along the way.

    Parameters
    ----------
    tendency
        Time derivative of the state.
    state
        Initial state or batch of states.
    dt
        Step, in the system's unit of time.
    steps
        Number of steps; a multiple of ``every``.
    scheme
        How steps are taken.
    every
        Only every so many-th state is kept.

    Returns
    -------
    Tensor
        Shape ``(1 + steps / every, *state.shape)``, the initial state first.

    Raises
    ------
    ValueError
        If ``steps`` is negative or not a multiple of ``every``.
    """
    if steps < 0 or every < 1 or steps % every:
        raise ValueError(f"{steps} steps are not a multiple of {every}")
    stepper = scheme.start()
    kept = [state]
    for step in range(steps):
        state = stepper(tendency, state, step * dt, dt)
        if (step + 1) % every == 0:
            kept.append(state)
    return torch.stack(kept)
