"""One trajectory of a system of ordinary differential equations: what simulations of small systems share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pipeline_lib.solvers.schemes import Tendency

_TOLERANCE = 1e-10
"""Relative and absolute, of the adaptive integrator."""


class TrajectoryOptions(Options):
    """How a trajectory is followed."""

    spin_up: float = Field(0.0, ge=0)
    """Units of time that are left out before the first state; a multiple of ``dt``."""
    dt: float = Field(0.01, gt=0)
    """Units of time between two states."""
    integrator: Literal["lsoda", "rk4"] = "lsoda"
    """``lsoda`` follows the equations to a tolerance of 1e-10; ``rk4`` takes Runge-Kutta steps of ``dt``, so that a
    model that takes the same steps can be exact."""


def follow(
    system: Tendency, start: Sequence[float], options: TrajectoryOptions, *, times: int, where: str
) -> NDArray[np.float64]:
    """Return ``times`` states (time, component) after the spin-up.

    Raises
    ------
    FetchError
        If the trajectory leaves the numbers or cannot be followed; ``where`` names the simulation.
    """
    import numpy as np

    skipped = round(options.spin_up / options.dt)
    integrate = _lsoda if options.integrator == "lsoda" else _runge_kutta
    states = integrate(system, start, options.dt, skipped + times, where)[skipped:]
    if not np.isfinite(states).all():
        raise FetchError("the trajectory leaves the numbers", where=where, fix="take a smaller dt")
    return states


def _lsoda(system: Tendency, start: Sequence[float], dt: float, count: int, where: str) -> NDArray[np.float64]:
    import numpy as np
    import torch
    from scipy.integrate import solve_ivp

    def tendency(time: float, state: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(system(torch.from_numpy(state), time).numpy())

    moments = np.arange(count) * dt
    solved = solve_ivp(
        tendency, (0.0, moments[-1]), start, method="LSODA", t_eval=moments, rtol=_TOLERANCE, atol=_TOLERANCE
    )
    if not solved.success:
        raise FetchError(f"the integration failed: {solved.message}", where=where, fix="check its parameters")
    return np.asarray(solved.y.T)


def _runge_kutta(system: Tendency, start: Sequence[float], dt: float, count: int, where: str) -> NDArray[np.float64]:  # noqa: ARG001 - as above
    import numpy as np
    import torch

    from pipeline_lib.solvers.schemes import RK4, integrate

    first = torch.tensor(start, dtype=torch.float64)
    return np.asarray(integrate(system, first, dt=dt, steps=count - 1, scheme=RK4).numpy())
