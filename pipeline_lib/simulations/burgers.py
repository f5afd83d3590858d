"""A fine simulation of the forced equation of Burgers, seen through the cells of a coarse grid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.simulations.registry import SIMULATIONS

if TYPE_CHECKING:
    import xarray as xr

    from pipeline_lib.solvers.burgers import RandomForcing

FIELDS = ("velocity", "force")
"""The two fields of a state: what moves, and what pushes it now."""
VISCOSITY = 0.04
"""As in the code published with Bar-Sinai et al. (2019, PNAS 116)."""
LENGTH = 2 * math.pi
"""Period of the domain, as there."""
FREQUENCIES = (0.313, -0.371, 0.239, -0.293)
"""Ours: without common period, within the 0.4 up to which they are drawn there, waves of either direction."""


@SIMULATIONS.register("burgers")
class BurgersSimulation:
    """Finite volumes on a fine periodic grid, pushed by travelling waves; states are means over coarse cells."""

    class Options(BaseOptions):
        """Options of this simulation."""

        viscosity: float = Field(VISCOSITY, gt=0)
        """nu."""
        length: float = Field(LENGTH, gt=0)
        """Period of the domain."""
        cells: int = Field(32, gt=2)
        """Cells of the coarse grid."""
        refinement: int = Field(16, gt=0)
        """Fine cells in a coarse one."""
        frequencies: tuple[float, ...] = FREQUENCIES
        """omega_k of the force, the sum over k from 1 on of amplitude sin(2 pi k x / length + omega_k t + phase_k)."""
        amplitude: float = 0.6
        """Of each of the waves."""
        seed: int = 0
        """The phases are drawn with it."""
        dt: float = Field(0.05, gt=0)
        """Units of time between two states."""
        substeps: int = Field(25, gt=0)
        """Runge-Kutta steps of the fine grid in one ``dt``; viscosity asks for dt / substeps < 0.6 dx^2 / nu."""
        spin_up: float = Field(10.0, ge=0)
        """Units of time from rest to the first state; a multiple of ``dt``."""

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``state`` (time, field, x), box-filtered velocity and force, and ``subgrid`` (time, x).

        ``subgrid`` is what the filtered tendency holds beyond that of the coarse grid: the exact answer of a closure.
        """
        import torch
        import xarray as xr

        from pipeline_lib.solvers import burgers
        from pipeline_lib.solvers.schemes import RK4, integrate

        cells = options.cells
        if 2 * len(options.frequencies) >= cells:
            raise FetchError(f"{cells} cells do not hold {len(options.frequencies)} waves", where="burgers.frequencies")
        force = _force(options)
        fine, coarse = (
            burgers.FiniteVolumeBurgers(options.viscosity, options.length, forcing=force.averaged(count))
            for count in (cells * options.refinement, cells)
        )
        skipped = round(options.spin_up / options.dt)
        with torch.no_grad():
            kept = integrate(
                fine,
                torch.zeros(cells * options.refinement, dtype=torch.float64),
                dt=options.dt / options.substeps,
                steps=(skipped + times - 1) * options.substeps,
                scheme=RK4,
                every=options.substeps,
            )[skipped:]
            if not kept.isfinite().all():
                raise FetchError("the velocity leaves the numbers", where="burgers", fix="take more substeps")
            moments = [(skipped + step) * options.dt for step in range(times)]
            centres = burgers.centres(cells, options.length)
            pushed = torch.stack([force.averaged(cells)(centres, moment) for moment in moments])
            states = torch.stack([burgers.box_filtered(kept, cells), pushed], dim=1)
            pairs = zip(kept, moments, strict=True)
            missing = torch.stack([burgers.subgrid_term(fine, coarse, u, cells, moment) for u, moment in pairs])
        attrs = {"units": "1", "long_name": "velocity and force of the equation of Burgers, box-filtered"}
        term = {"units": "1", "long_name": "tendency of the velocity by scales below the grid"}
        return xr.Dataset(
            {
                "state": (("time", "field", "x"), states.numpy(), attrs),
                "subgrid": (("time", "x"), missing.numpy(), term),
            },
            {"field": list(FIELDS), "x": centres.numpy()},
        )


def _force(options: BurgersSimulation.Options) -> RandomForcing:
    import torch

    from pipeline_lib.solvers.burgers import RandomForcing

    count = len(options.frequencies)
    phases = torch.rand(count, generator=torch.Generator().manual_seed(options.seed), dtype=torch.float64)
    return RandomForcing(
        amplitude=torch.full((count,), options.amplitude, dtype=torch.float64),
        frequency=torch.tensor(options.frequencies, dtype=torch.float64),
        wavenumber=torch.arange(1, count + 1, dtype=torch.float64),
        phase=2 * math.pi * phases,
        period=options.length,
    )
