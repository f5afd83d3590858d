"""Rain in cells that move with a flow, grow and decay."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline_lib.simulations.cells import FLOW, CellOptions, draw_cells, draw_flow, summed
from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.sequences import Described, drawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

RAIN = Described(("row", "column"), "mm/h", "rain rate")
"""What falls."""


@SIMULATIONS.register("rain_cells")
class RainCells:
    """Sequences of rain in Gaussian cells, each with a peak of its own, that a mean flow carries.

    Peaks are lognormal up to a largest one, so that rates have a heavy tail. All defaults are ours, chosen so that the
    shares of rates are of the order of those of radar maps around Hong Kong (Shi et al. 2017, arXiv 1706.03458: 90 % of
    the pixels below 0.5 mm/h, 1.6 % from 10 mm/h on).
    """

    class Options(CellOptions):
        """Options of this simulation."""

        cells: float = Field(4.0, gt=0)
        """Cells in a frame, on average; the number of a sequence is drawn after Poisson."""
        peak: float = Field(12.0, gt=0)
        """Median of the cells' largest rates, mm/h."""
        peak_spread: float = Field(1.5, ge=0)
        """Standard deviation of their natural logarithm."""
        largest_peak: float = Field(150.0, gt=0)
        """What larger ones become, mm/h."""
        dry_below: float = Field(0.1, ge=0)
        """Smallest rate, mm/h; less is no rain."""

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``rain_rate`` (time, row, column), ``flow_rows`` and ``flow_columns`` (time,) and ``age`` (time,).

        The flow is the one in the middle row, from a frame to the next.
        """
        import numpy as np

        def sequence(rng: np.random.Generator, number: int) -> Mapping[str, NDArray[np.float64]]:  # noqa: ARG001 - all are alike
            flow = draw_flow(rng, options, options.length)
            cells = draw_cells(rng, options, flow)
            peaks = rng.lognormal(math.log(options.peak), options.peak_spread, size=(cells.rows.shape[1],))
            rate = summed(cells, np.minimum(peaks, options.largest_peak), options)
            return {
                "rain_rate": np.where(rate < options.dry_below, 0.0, rate),
                "flow_rows": flow[:, 0],
                "flow_columns": flow[:, 1],
            }

        return drawn(options, times, sequence, {"rain_rate": RAIN, **FLOW})
