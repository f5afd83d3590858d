"""Fine simulations of a box of forced turbulence with a scalar, seen through a sharp filter to a coarse grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.simulations.registry import SIMULATIONS

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

FIELDS = ("u", "v", "w", "c")
"""Of a state: the velocities along x, y and z, and the scalar."""
FORCING = 1 / 3
"""Ours: in balance the dissipation is what A u' puts in, 3 A u'^2 (so also Rosales & Meneveau 2005, Phys. Fluids 17, as
recalled), so that u'^2 over it is one unit of time."""
VISCOSITY = 0.02
"""Ours: 48 x 48 x 48 points resolve the flow down to about the Kolmogorov length."""
DIFFUSIVITY = VISCOSITY
"""Ours: a Schmidt number of 1."""
GRADIENT = 1.0
"""Ours: a scalar about as large as the velocities."""
_ENERGY = 1.0
"""Of the disturbance in its first shell, and half the variance of the scalar there; the balance soon sets its own."""
_SLOPE = -5 / 3
"""Of its spectra: Kolmogorov's."""


@SIMULATIONS.register("turbulence")
class TurbulenceSimulation:
    """Homogeneous turbulence under linear forcing, with a scalar that has a mean gradient, in a box 2 pi wide."""

    class Options(BaseOptions):
        """Options of this simulation."""

        viscosity: float = Field(VISCOSITY, ge=0)
        """nu."""
        diffusivity: float = Field(DIFFUSIVITY, ge=0)
        """kappa, of the scalar."""
        forcing: float = Field(FORCING, ge=0)
        """Rate A of the linear forcing; 0 for turbulence that decays."""
        gradient: float = GRADIENT
        """Mean gradient G of the scalar along x."""
        points: int = Field(16, ge=4)
        """Points of the coarse grid along each axis."""
        refinement: int = Field(3, gt=0)
        """Fine points for a coarse one along each axis."""
        seed: int = 0
        """The disturbance at the start is drawn with it."""
        dt: float = Field(0.04, gt=0)
        """Units of time between two states."""
        substeps: int = Field(3, gt=0)
        """Runge-Kutta steps of the fine grid in one ``dt``."""
        spin_up: float = Field(8.0, ge=0)
        """Units of time from the disturbance to the first state; a multiple of ``dt``."""

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``state`` (time, field, z, y, x), filtered velocity and scalar, and ``subgrid`` of the same shape.

        ``subgrid`` is what the filtered tendency holds beyond that of the coarse grid: the exact answer of a closure.
        """
        import torch
        import xarray as xr

        from pipeline_lib.solvers.schemes import RK4
        from pipeline_lib.solvers.spectral import truncated
        from pipeline_lib.solvers.turbulence import Turbulence, subgrid_term

        fine, coarse = (
            Turbulence(
                count,
                viscosity=options.viscosity,
                diffusivity=options.diffusivity,
                forcing=options.forcing,
                gradient=options.gradient,
            )
            for count in (options.points * options.refinement, options.points)
        )
        substep = options.dt / options.substeps
        states, missing = [], []
        with torch.no_grad():
            state = fine.random_state(_spectrum, torch.Generator().manual_seed(options.seed), scalars=[_spectrum])
            for step in range(-round(options.spin_up / options.dt), times):
                if step >= 0:  # the fine states of all times would not fit into memory
                    states.append(truncated(state, coarse.sizes))
                    missing.append(subgrid_term(fine, coarse, state))
                for _ in range(options.substeps):
                    state = RK4(fine, state, 0.0, substep)
        found = torch.stack(states)
        if not found.isfinite().all():
            raise FetchError("the velocity leaves the numbers", where="turbulence", fix="take more substeps")
        attrs = {"units": "1", "long_name": "velocity and scalar of turbulence in a box, filtered"}
        term = {"units": "1", "long_name": "tendency of velocity and scalar by scales below the grid"}
        axis = (torch.arange(options.points, dtype=torch.float64) * (2 * math.pi / options.points)).numpy()
        dims = ("time", "field", "z", "y", "x")
        return xr.Dataset(
            {"state": (dims, found.numpy(), attrs), "subgrid": (dims, torch.stack(missing).numpy(), term)},
            {"z": axis, "y": axis, "x": axis},
        )


def _spectrum(shell: Tensor) -> Tensor:
    return _ENERGY * shell**_SLOPE
