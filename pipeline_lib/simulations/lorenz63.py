"""Trajectories of the system of Lorenz (1963)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.simulations.registry import SIMULATIONS

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

COMPONENTS = ("x", "y", "z")
_TOLERANCE = 1e-10
"""Relative and absolute, of the adaptive integrator."""


@SIMULATIONS.register("lorenz63")
class Lorenz63Simulation:
    """One trajectory of the Lorenz 1963 system."""

    class Options(BaseOptions):
        """Options of this simulation."""

        sigma: float = 10.0
        """Prandtl number."""
        rho: float = 28.0
        """Rayleigh number over the one at which convection sets in."""
        beta: float = 8 / 3
        """Aspect ratio of the rolls."""
        initial_state: tuple[float, float, float] = (8.0, 0.0, 30.0)
        """x, y, z at the start of the spin-up."""
        spin_up: float = Field(0.0, ge=0)
        """Units of time that are left out before the first state; a multiple of ``dt``."""
        dt: float = Field(0.01, gt=0)
        """Units of time between two states."""
        integrator: Literal["lsoda", "rk4"] = "lsoda"
        """``lsoda`` follows the equations to a tolerance of 1e-10; ``rk4`` takes Runge-Kutta steps of ``dt``, so that a
        model that takes the same steps can be exact."""

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return the trajectory: variable ``state`` (time, component) in float64."""
        import numpy as np
        import xarray as xr

        skipped = round(options.spin_up / options.dt)
        integrate = _lsoda if options.integrator == "lsoda" else _runge_kutta
        states = integrate(options, skipped + times)[skipped:]
        if not np.isfinite(states).all():
            raise FetchError("the trajectory leaves the numbers", where="lorenz63", fix="take a smaller dt")
        attrs = {"units": "1", "long_name": "state of the Lorenz 1963 system"}
        return xr.Dataset({"state": (("time", "component"), states, attrs)}, {"component": list(COMPONENTS)})


def _lsoda(options: Lorenz63Simulation.Options, count: int) -> NDArray[np.float64]:
    import numpy as np
    from scipy.integrate import solve_ivp

    def tendency(_: float, state: NDArray[np.float64]) -> tuple[float, float, float]:
        x, y, z = state
        return options.sigma * (y - x), x * (options.rho - z) - y, x * y - options.beta * z

    moments = np.arange(count) * options.dt
    solved = solve_ivp(
        tendency,
        (0.0, moments[-1]),
        options.initial_state,
        method="LSODA",
        t_eval=moments,
        rtol=_TOLERANCE,
        atol=_TOLERANCE,
    )
    if not solved.success:
        raise FetchError(f"the integration failed: {solved.message}", where="lorenz63", fix="check its parameters")
    return np.asarray(solved.y.T)


def _runge_kutta(options: Lorenz63Simulation.Options, count: int) -> NDArray[np.float64]:
    import numpy as np
    import torch

    from pipeline_lib.solvers.lorenz63 import Lorenz63
    from pipeline_lib.solvers.schemes import RK4, integrate

    system = Lorenz63(options.sigma, options.rho, options.beta)
    start = torch.tensor(options.initial_state, dtype=torch.float64)
    return np.asarray(integrate(system, start, dt=options.dt, steps=count - 1, scheme=RK4).numpy())
