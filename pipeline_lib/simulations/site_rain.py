"""Radar at several heights over a site, and the rain that falls there later."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from pipeline_lib.rain import Z_RELATIONS
from pipeline_lib.simulations.cells import CellOptions, draw_cells, draw_flow, summed
from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.sequences import Described, PositiveRange, drawn, evenly

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

_MINUTES = 60
_RELATION = Z_RELATIONS["marshall_palmer"]
_VARIABLES = {
    "reflectivity": Described(("level", "row", "column"), "dBZ", "radar reflectivity"),
    "rain": Described((), "kg m-2", "rain at the site in the time asked for after the volume"),
}


@SIMULATIONS.register("site_rain")
class SiteRain:
    """Sequences of radar volumes, and the sum of the rain that falls at the middle of the frame after each.

    Cells of rain are carried, born, grow and decay. Near the ground the rain rate R is the sum of the cells; at height
    h each cell is weaker by the factor exp(-(h / depth)^2), with a depth of its own, so that the upper heights tell
    shallow cells from deep ones and little more. Reflectivity is that of R by Z = 200 R^1.6 (Marshall and Palmer 1948;
    recalled). The question is that of the CIKM AnalytiCup 2017: 15 volumes of six minutes, and the rain from one to two
    hours after the last. All else is ours.
    """

    class Options(CellOptions):
        """Options of this simulation."""

        length: int = Field(15, gt=1)
        """Volumes of a sequence, all of them before the rain that is asked for."""
        minutes: float = Field(6.0, gt=0)
        """Between two volumes."""
        first: int = Field(10, ge=0)
        """Volumes from the last of the sequence to the beginning of the sum."""
        last: int = Field(20, gt=0)
        """Volumes from the last of the sequence to the end of the sum."""
        levels: int = Field(4, gt=0)
        """Heights, a kilometre apart, the lowest at 500 m."""
        depth: PositiveRange = (2.0, 6.0)
        """Of a cell, km."""
        peak: float = Field(12.0, gt=0)
        """Median of the cells' largest rates, mm/h."""
        peak_spread: float = Field(0.8, ge=0)
        """Standard deviation of their natural logarithm."""
        floor: float = -10.0
        """Least reflectivity, dBZ; where there is less, the radar sees nothing."""

        @model_validator(mode="after")
        def _in_order(self) -> SiteRain.Options:
            if self.first >= self.last:
                raise ValueError(f"the sum is from {self.first} to {self.last}: the smaller number comes first")
            return self

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``reflectivity`` (time, level, row, column), ``rain`` and ``age`` (time,).

        The rain of each time is that of the hour asked for after it. The site is the cell ``side // 2`` of both axes.
        """
        import numpy as np

        def sequence(rng: np.random.Generator, number: int) -> Mapping[str, NDArray[np.float64]]:  # noqa: ARG001 - all are alike
            frames = options.length + options.last
            cells = draw_cells(rng, options, draw_flow(rng, options, frames))
            count = cells.rows.shape[1]
            peaks = rng.lognormal(math.log(options.peak), options.peak_spread, size=(count,))
            depth = evenly(rng, options.depth, count)
            heights = 0.5 + np.arange(options.levels)
            weaker = np.exp(-((heights[:, None] / depth) ** 2))
            rates = np.stack([summed(cells, peaks * factor, options) for factor in weaker], axis=1)
            at_site = summed(cells, peaks, options)[:, options.side // 2, options.side // 2]
            asked = np.lib.stride_tricks.sliding_window_view(at_site, options.last - options.first + 1)
            rain = np.asarray(
                np.trapezoid(asked[options.first :][: options.length] * options.minutes / _MINUTES, axis=1)
            )
            return {"reflectivity": _reflectivity(rates[: options.length], options.floor), "rain": rain}

        return drawn(options, times, sequence, _VARIABLES)


def _reflectivity(rate: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Reflectivity in dBZ of rain rates in mm/h."""
    import numpy as np

    least = (10 ** (floor / 10) / _RELATION.a) ** (1 / _RELATION.b)
    return np.asarray(np.maximum(10 * np.log10(_RELATION.a * np.maximum(rate, least) ** _RELATION.b), floor))
