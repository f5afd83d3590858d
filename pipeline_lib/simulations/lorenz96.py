"""Trajectories of the system of Lorenz (1996)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.trajectory import TrajectoryOptions, follow

if TYPE_CHECKING:
    import xarray as xr


@SIMULATIONS.register("lorenz96")
class Lorenz96Simulation:
    """One trajectory of the Lorenz 1996 system on a ring of sites."""

    class Options(TrajectoryOptions):
        """Options of this simulation."""

        sites: int = Field(40, ge=4)
        """Sites on the ring."""
        forcing: float = 8.0
        """The same at all sites; also the value everywhere at the start of the spin-up."""
        pushed_site: int = Field(20, ge=1)
        """Site, counted from 1, that starts elsewhere."""
        push: float = 0.01
        """How far."""

        @model_validator(mode="after")
        def _on_the_ring(self) -> Lorenz96Simulation.Options:
            if self.pushed_site > self.sites:
                raise ValueError(f"pushed_site is {self.pushed_site}, the ring has {self.sites} sites")
            return self

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return the trajectory: variable ``state`` (time, site) in float64; sites are counted from 1."""
        import numpy as np
        import xarray as xr

        from pipeline_lib.solvers.lorenz96 import Lorenz96

        start = np.full(options.sites, options.forcing)
        start[options.pushed_site - 1] += options.push
        states = follow(Lorenz96(options.forcing), start.tolist(), options, times=times, where="lorenz96")
        attrs = {"units": "1", "long_name": "state of the Lorenz 1996 system"}
        return xr.Dataset({"state": (("time", "site"), states, attrs)}, {"site": np.arange(1, options.sites + 1)})
