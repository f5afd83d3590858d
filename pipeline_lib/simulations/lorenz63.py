"""Trajectories of the system of Lorenz (1963)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.trajectory import TrajectoryOptions, follow

if TYPE_CHECKING:
    import xarray as xr

COMPONENTS = ("x", "y", "z")


@SIMULATIONS.register("lorenz63")
class Lorenz63Simulation:
    """One trajectory of the Lorenz 1963 system."""

    class Options(TrajectoryOptions):
        """Options of this simulation."""

        sigma: float = 10.0
        """Prandtl number."""
        rho: float = 28.0
        """Rayleigh number over the one at which convection sets in."""
        beta: float = 8 / 3
        """Aspect ratio of the rolls."""
        initial_state: tuple[float, float, float] = (8.0, 0.0, 30.0)
        """x, y, z at the start of the spin-up."""

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return the trajectory: variable ``state`` (time, component) in float64."""
        import xarray as xr

        from pipeline_lib.solvers.lorenz63 import Lorenz63

        system = Lorenz63(options.sigma, options.rho, options.beta)
        states = follow(system, options.initial_state, options, times=times, where="lorenz63")
        attrs = {"units": "1", "long_name": "state of the Lorenz 1963 system"}
        return xr.Dataset({"state": (("time", "component"), states, attrs)}, {"component": list(COMPONENTS)})
