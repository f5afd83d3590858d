"""Cold clouds that move with a flow, grow and decay, and the rain below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pipeline_lib.simulations.cells import FLOW, CellOptions, draw_cells, draw_flow, summed
from pipeline_lib.simulations.rain_cells import RAIN
from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.sequences import Described, PositiveRange, drawn, evenly

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

_VARIABLES = {
    "brightness_temperature": Described(
        ("row", "column"), "K", "brightness temperature of the cloud top or the ground"
    ),
    "rain_rate": RAIN,
    **FLOW,
}


@SIMULATIONS.register("cold_clouds")
class ColdClouds:
    """Sequences of brightness temperatures with cold clouds in them, and of rain by a law of the temperature.

    The temperature lets the ground through as a cloud of optical thickness d does, which adds up where clouds overlap:
    T = T_coldest + (T_ground - T_coldest) exp(-d). The law of the rain is
    R = rate (exp((T_rain - T) / fold) - 1) below T_rain, 0 above, times the exponential of a normal error that each
    pixel has of its own. Forms and constants are ours, not those of a retrieval.
    """

    class Options(CellOptions):
        """Options of this simulation."""

        cells: float = Field(6.0, gt=0)
        """Clouds in a frame, on average; the number of a sequence is drawn after Poisson."""
        radius: PositiveRange = (3.0, 7.0)
        """Standard deviation of a cloud's cover, in pixels, averaged over its life, between these bounds."""
        ground: float = Field(290.0, gt=0)
        """Temperature without clouds, K; ours."""
        coldest: float = Field(195.0, gt=0)
        """Temperature of a cloud that nothing shines through, K; ours."""
        thickness: PositiveRange = (0.5, 3.0)
        """Optical thickness of a cloud's middle at its strongest, between these bounds; ours."""
        rain_temperature: float = Field(245.0, gt=0)
        """T_rain, K: no rain from warmer tops; ours."""
        rate: float = Field(0.5, gt=0)
        """Of the law, mm/h; ours."""
        fold: float = Field(12.0, gt=0)
        """Of the law, K; ours."""
        error: float = Field(0.3, ge=0)
        """Standard deviation of the error of the rain's natural logarithm; ours."""

        @model_validator(mode="after")
        def _possible(self) -> ColdClouds.Options:
            if not self.coldest < self.rain_temperature <= self.ground:
                raise ValueError(
                    f"rain_temperature is {self.rain_temperature:g}, not above coldest, {self.coldest:g}, "
                    f"up to ground, {self.ground:g}"
                )
            return self

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``brightness_temperature`` and ``rain_rate`` (time, row, column).

        Besides, ``flow_rows`` and ``flow_columns`` (time,), the flow in the middle row, and ``age`` (time,).
        """
        import numpy as np

        def sequence(rng: np.random.Generator, number: int) -> Mapping[str, NDArray[np.float64]]:  # noqa: ARG001 - all are alike
            flow = draw_flow(rng, options, options.length)
            cells = draw_cells(rng, options, flow)
            thickness = evenly(rng, options.thickness, cells.rows.shape[1])
            shining = np.exp(-summed(cells, thickness, options))
            top = options.coldest + (options.ground - options.coldest) * shining
            error = np.exp(options.error * rng.standard_normal(top.shape))
            return {
                "brightness_temperature": top,
                "rain_rate": rain_of(top, options) * error,
                "flow_rows": flow[:, 0],
                "flow_columns": flow[:, 1],
            }

        return drawn(options, times, sequence, _VARIABLES)


def rain_of(temperature: NDArray[np.float64], options: ColdClouds.Options) -> NDArray[np.float64]:
    """Return the rain rate, mm/h, of brightness temperatures, K, by the law and without an error."""
    import numpy as np

    colder = np.maximum(options.rain_temperature - temperature, 0.0)
    return options.rate * np.expm1(colder / options.fold)
