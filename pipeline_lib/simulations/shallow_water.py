"""Years of the wind-driven shallow water of Brajard et al. (arXiv:1903.07358)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline_lib.errors import FetchError
from pipeline_lib.options import Options
from pipeline_lib.simulations.registry import SIMULATIONS

if TYPE_CHECKING:
    import xarray as xr

FIELDS = ("u", "v", "h", "u_filtered", "v_filtered", "h_filtered")


@SIMULATIONS.register("shallow_water")
class ShallowWaterSimulation:
    """A basin 1,600 km wide under the wind of a double gyre; a unit of time is 200 days.

    Wind stress, friction and diffusion are functions of a state: a regression of them needs nothing but states.
    """

    class Options(Options):
        """Options of this simulation."""

        size: int = Field(40, ge=4)
        """Cells along a side. Brajard et al. have 40, 80 and 320; time step and viscosity follow from it."""
        spin_up: float = Field(18.0, ge=0)
        """Units of time, from rest, that are left out before the first state: 18 are ten years of 360 days."""
        dt: float = Field(0.05, gt=0)
        """Units of time between two states: 0.05 are ten days."""

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return the states: variable ``state`` (time, field, y, x) in float64.

        Fields are u, v [m s-1], h [m] and their filtered copies of the step before: all that a restart needs. y and x
        count cells from the south-west; u lies on a cell's east face, v on its south face, h in its middle.

        Raises
        ------
        FetchError
            If ``dt`` is no whole number of time steps, or the flow leaves the numbers.
        """
        import numpy as np
        import torch
        import xarray as xr

        from pipeline_lib.solvers.schemes import integrate
        from pipeline_lib.solvers.shallow_water import Basin, Leapfrog, ShallowWater

        basin = Basin.of_size(options.size)
        try:
            every = basin.steps(options.dt)
        except ValueError as error:
            raise FetchError(str(error), where="shallow_water.dt", fix="choose a whole number of steps") from error
        skipped = round(options.spin_up / options.dt)
        system = ShallowWater(basin)
        state = Leapfrog.from_rest(torch.zeros(3, basin.size, basin.size, dtype=torch.float64))
        found = np.empty((times, 2, 3, basin.size, basin.size))
        with torch.inference_mode():
            for index in range(-skipped, times):
                if index >= 0:
                    found[index] = state.numpy()
                state = integrate(system, state, dt=basin.step, steps=every, scheme=Leapfrog(), every=every)[-1]
        if not np.isfinite(found).all():
            raise FetchError("the flow leaves the numbers", where="shallow_water", fix="take another size")
        attrs = {"units": "1", "long_name": "u, v [m s-1] and h [m] of shallow water"}
        cells = np.arange(1, basin.size + 1)
        return xr.Dataset(
            {"state": (("time", "field", "y", "x"), found.reshape(times, len(FIELDS), *found.shape[-2:]), attrs)},
            {"field": list(FIELDS), "y": cells, "x": cells},
        )
