"""Fine simulations of forced two-dimensional turbulence, seen through a sharp filter to a coarse grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.simulations.registry import SIMULATIONS

if TYPE_CHECKING:
    import xarray as xr

VISCOSITY = 1e-3
"""Ours: on 128 x 128 points the enstrophy that the forcing supplies is dissipated by resolved scales."""
DRAG = 0.1
"""Ours: a flow that is in balance after some tens of units of time."""
STRENGTH = 3.0
"""Half the mean square of the forcing; that of the set-up of Graham & Ringler (2013, Ocean Modelling 65) is 3.02."""
_SPECTRUM_PEAK = 4
"""Wavenumber around which the flow at rest is disturbed."""
_DISTURBANCE = 0.01
"""Energy of the disturbance; the forcing soon supplies more."""


@SIMULATIONS.register("quasigeostrophic")
class QuasiGeostrophicSimulation:
    """Barotropic vorticity under a steady forcing of wavenumber 4 in a doubly periodic square 2 pi wide."""

    class Options(BaseOptions):
        """Options of this simulation."""

        viscosity: float = Field(VISCOSITY, ge=0)
        """nu."""
        drag: float = Field(DRAG, ge=0)
        """mu, linear."""
        strength: float = Field(STRENGTH, ge=0)
        """Half the mean square of the forcing; 0 for turbulence that decays."""
        points: int = Field(32, gt=8)
        """Points of the coarse grid along either axis."""
        refinement: int = Field(4, gt=0)
        """Fine points for a coarse one along either axis."""
        seed: int = 0
        """The disturbance at the start is drawn with it."""
        dt: float = Field(0.025, gt=0)
        """Units of time between two states."""
        substeps: int = Field(3, gt=0)
        """Runge-Kutta steps of the fine grid in one ``dt``."""
        spin_up: float = Field(20.0, ge=0)
        """Units of time from the disturbance to the first state; a multiple of ``dt``."""

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``state`` (time, y, x), filtered vorticity, and ``subgrid`` (time, y, x).

        ``subgrid`` is what the filtered tendency holds beyond that of the coarse grid: the exact answer of a closure.
        """
        import torch
        import xarray as xr

        from pipeline_lib.solvers.quasigeostrophic import steadily_forced, subgrid_term
        from pipeline_lib.solvers.schemes import RK4
        from pipeline_lib.solvers.spectral import cut_off

        sizes = (options.points, options.points)
        fine, coarse = (
            steadily_forced((count, count), viscosity=options.viscosity, drag=options.drag, strength=options.strength)
            for count in (options.points * options.refinement, options.points)
        )
        generator = torch.Generator().manual_seed(options.seed)
        substep = options.dt / options.substeps
        states, missing = [], []
        with torch.no_grad():
            state = fine.random_state(lambda k: _DISTURBANCE * (k == _SPECTRUM_PEAK), generator)
            for step in range(-round(options.spin_up / options.dt), times):
                if step >= 0:  # the fine states of all times would not fit into memory
                    states.append(cut_off(state, sizes))
                    missing.append(subgrid_term(fine, coarse, state))
                for _ in range(options.substeps):
                    state = RK4(fine, state, 0.0, substep)
        found = torch.stack(states)
        if not found.isfinite().all():
            raise FetchError("the vorticity leaves the numbers", where="quasigeostrophic", fix="take more substeps")
        attrs = {"units": "1", "long_name": "vorticity of two-dimensional turbulence, filtered"}
        term = {"units": "1", "long_name": "tendency of the vorticity by scales below the grid"}
        axis = torch.arange(options.points, dtype=torch.float64) * (2 * math.pi / options.points)
        return xr.Dataset(
            {
                "state": (("time", "y", "x"), found.numpy(), attrs),
                "subgrid": (("time", "y", "x"), torch.stack(missing).numpy(), term),
            },
            {"y": axis.numpy(), "x": axis.numpy()},
        )
