"""Trajectories of the system of Lorenz (1996) with two scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.simulations.registry import SIMULATIONS

if TYPE_CHECKING:
    import xarray as xr


@SIMULATIONS.register("lorenz96_two_scale")
class TwoScaleLorenz96Simulation:
    """One trajectory of a ring of slow sites, each coupled to a sector of fast ones.

    The defaults of the equations are those of Lorenz (1996) as recalled, not checked against the text.
    """

    class Options(BaseOptions):
        """Options of this simulation."""

        sites: int = Field(36, ge=4)
        """K, slow sites on the ring."""
        per_site: int = Field(10, ge=1)
        """J, fast sites in the sector of each."""
        forcing: float = 10.0
        """F, the same at all slow sites; also their value at the start of the spin-up, when the fast ones are at 0."""
        coupling: float = 1.0
        """h, between the scales."""
        ratio: float = Field(10.0, gt=0)
        """b: fast sites are about so many times smaller."""
        speed: float = Field(10.0, gt=0)
        """c: fast sites are so many times faster."""
        pushed_site: int = Field(20, ge=1)
        """Slow site, counted from 1, that starts elsewhere."""
        push: float = 0.01
        """How far."""
        dt: float = Field(0.05, gt=0)
        """Units of time between two states."""
        substeps: int = Field(20, gt=0)
        """Runge-Kutta steps in one ``dt``; ours: with 20, slow sites are off by 4e-7 after one ``dt``, fast ones by
        7e-6 (root mean square, against 320)."""
        spin_up: float = Field(10.0, ge=0)
        """Units of time that are left out before the first state; a multiple of ``dt``."""

        @model_validator(mode="after")
        def _on_the_ring(self) -> TwoScaleLorenz96Simulation.Options:
            if self.pushed_site > self.sites:
                raise ValueError(f"pushed_site is {self.pushed_site}, the ring has {self.sites} sites")
            return self

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return the slow sites, ``state`` (time, site), and the fast ones, ``small`` (time, site, place).

        Sites, and places within the sector of a site, are counted from 1.

        Raises
        ------
        FetchError
            If the trajectory leaves the numbers.
        """
        import numpy as np
        import torch
        import xarray as xr

        from pipeline_lib.solvers.lorenz96 import TwoScaleLorenz96
        from pipeline_lib.solvers.schemes import RK4, integrate

        system = TwoScaleLorenz96(options.sites, options.forcing, options.coupling, options.ratio, options.speed)
        start = torch.zeros(options.sites * (1 + options.per_site), dtype=torch.float64)
        start[: options.sites] = options.forcing
        start[options.pushed_site - 1] += options.push
        skipped = round(options.spin_up / options.dt)
        with torch.no_grad():
            found = integrate(
                system,
                start,
                dt=options.dt / options.substeps,
                steps=(skipped + times - 1) * options.substeps,
                scheme=RK4,
                every=options.substeps,
            )[skipped:]
        if not found.isfinite().all():
            raise FetchError("the trajectory leaves the numbers", where="lorenz96_two_scale", fix="take more substeps")
        slow, fast = system.split(found)
        attrs = {"units": "1", "long_name": "slow sites of the two-scale system of Lorenz (1996)"}
        small = {"units": "1", "long_name": "fast sites of the two-scale system of Lorenz (1996)"}
        return xr.Dataset(
            {
                "state": (("time", "site"), slow.numpy(), attrs),
                "small": (("time", "site", "place"), fast.numpy(), small),
            },
            {"site": np.arange(1, options.sites + 1), "place": np.arange(1, options.per_site + 1)},
        )
