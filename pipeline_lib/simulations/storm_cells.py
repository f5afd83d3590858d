"""Storms in three dimensions, born where warm air rises, that grow, sink and decay while a flow moves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from pipeline_lib.simulations.cells import FLOW, CellOptions, FlowOptions, draw_cells, draw_flow, summed
from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.sequences import Described, PositiveRange, Range, drawn, evenly

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

_VARIABLES = {
    "reflectivity": Described(("level", "row", "column"), "dBZ", "radar reflectivity"),
    "vertical_velocity": Described(("row", "column"), "m s-1", "vertical velocity of the boundary layer"),
    "buoyancy": Described(("row", "column"), "m s-2", "buoyancy of the boundary layer"),
    **FLOW,
}
_ALOFT, _ALOFT_DEPTH = 0.7, 0.3
"""Height of the young echo's core and its depth, shares of the height of the highest level; ours."""
_MATURE_DEPTH = 0.7
"""Depth of the mature echo, whose core is at the lowest level; ours."""


@SIMULATIONS.register("storm_cells")
class StormCells:
    """Sequences of storms in periodic frames, and of the boundary layer that they are born from.

    In the boundary layer patches of rising air and of buoyancy come and go, slower than the storms move. With w the
    vertical velocity and b the buoyancy, the trigger is max(w, 0) b. At each frame, young echo is born::

        born(t) = G * mean over the lags d of max(trigger(t - d) - threshold, 0) / threshold

    where G spreads it to a Gaussian. Young echo turns mature and mature echo decays while the mean flow carries both::

        young(t) = carried young(t - 1) (1 - 1 / growth) + born(t)
        mature(t) = carried mature(t - 1) (1 - 1 / decay) + carried young(t - 1) / growth

    Reflectivity (mm6 m-3) is proportional to their sum at each level, young echo aloft and mature echo below. All of it
    is ours, a plain form of what nowcasts of initiation rest on: radar alone cannot tell of storms that are not there.
    A frame stands for ten minutes, so that the lags are 20 to 40 minutes.
    """

    class Options(FlowOptions):
        """Options of this simulation."""

        levels: int = Field(4, gt=1)
        """Levels of the reflectivity, evenly spaced in height, the lowest first."""
        spin_up: int = Field(12, ge=0)
        """Frames before the first one of a sequence; before those there was nothing."""
        lags: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] = (2, 4)
        """Frames from the trigger to the birth, from the first number to the second."""
        threshold: float = Field(0.03, gt=0)
        """Of the trigger, m2 s-3."""
        updrafts: float = Field(6.0, gt=0)
        """Patches of rising air in a frame, on average."""
        updraft: PositiveRange = (1.0, 4.0)
        """Largest vertical velocity of a patch, m s-1; the mean over the frame is taken off, so that air comes down."""
        buoyant: float = Field(6.0, gt=0)
        """Patches of buoyancy in a frame, on average."""
        buoyancy: PositiveRange = (0.02, 0.06)
        """Largest buoyancy of a patch, m s-2."""
        stability: float = Field(0.005, ge=0)
        """What is taken off the buoyancy everywhere, m s-2."""
        patch_radius: PositiveRange = (3.0, 6.0)
        """Standard deviation of a patch, pixels."""
        patch_lifetime: PositiveRange = (10.0, 20.0)
        """Frames of a patch."""
        patch_speed: Range = (0.0, 0.3)
        """Of the boundary layer's own flow, pixels per frame."""
        storm_radius: float = Field(2.0, ge=1.5)
        """Standard deviation of G, pixels."""
        growth: float = Field(3.0, gt=1)
        """Frames in which young echo turns mature."""
        decay: float = Field(4.0, gt=1)
        """Frames in which mature echo decays."""
        echo: float = 50.0
        """Reflectivity of an amount of 1 in its core, dBZ."""
        floor: float = 0.0
        """Least reflectivity, dBZ; where there is less, the radar sees nothing."""

        @model_validator(mode="after")
        def _in_order(self) -> StormCells.Options:
            if self.lags[0] > self.lags[1]:
                raise ValueError(f"lags are {self.lags[0]} to {self.lags[1]}: the smaller one comes first")
            if self.floor >= self.echo:
                raise ValueError(f"floor is {self.floor:g} dBZ, not below echo, {self.echo:g}")
            self.patches(1)
            return self

        def patches(self, count: float) -> CellOptions:
            """Return what patches are like, ``count`` of them in a frame."""
            return CellOptions(
                seed=self.seed,
                length=self.length,
                side=self.side,
                speed=self.patch_speed,
                turn=0.0,
                shear=0.0,
                cells=count,
                radius=self.patch_radius,
                lifetime=self.patch_lifetime,
            )

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``reflectivity`` (time, level, row, column) and the boundary layer that the storms come from.

        That is ``vertical_velocity`` and ``buoyancy`` (time, row, column). Besides, ``flow_rows`` and ``flow_columns``
        (time,), which carry the storms, and ``age`` (time,).
        """

        def sequence(rng: np.random.Generator, number: int) -> Mapping[str, NDArray[np.float64]]:  # noqa: ARG001 - all are alike
            frames = options.spin_up + options.length
            flow = draw_flow(rng, options, frames)
            rising, buoyancy = _boundary_layer(rng, options, frames)
            kept = slice(options.spin_up, None)
            return {
                "reflectivity": _reflectivity(*_echoes(rising, buoyancy, flow, options), options),
                "vertical_velocity": rising[kept],
                "buoyancy": buoyancy[kept],
                "flow_rows": flow[kept, 0],
                "flow_columns": flow[kept, 1],
            }

        return drawn(options, times, sequence, _VARIABLES)


def _boundary_layer(
    rng: np.random.Generator, options: StormCells.Options, frames: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vertical velocity and buoyancy (frame, row, column)."""
    fields = []
    for count, bounds in ((options.updrafts, options.updraft), (options.buoyant, options.buoyancy)):
        patches = options.patches(count)
        cells = draw_cells(rng, patches, draw_flow(rng, patches, frames))
        fields.append(summed(cells, evenly(rng, bounds, cells.rows.shape[1]), patches))
    rising, buoyancy = fields
    return rising - rising.mean(axis=(1, 2), keepdims=True), buoyancy - options.stability


def _echoes(
    rising: NDArray[np.float64], buoyancy: NDArray[np.float64], flow: NDArray[np.float64], options: StormCells.Options
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Amounts of young and of mature echo (frame, row, column) after the spin-up.

    In waves, where carrying is exact: a shift turns the phase.
    """
    import numpy as np

    over = np.maximum(np.maximum(rising, 0) * buoyancy / options.threshold - 1, 0)
    first, last = options.lags
    late = np.zeros_like(over)
    for lag in range(first, min(last, len(over) - 1) + 1):
        late[lag:] += over[:-lag] / (last - first + 1)
    down = 2 * np.pi * np.fft.fftfreq(options.side)[:, None]
    across = 2 * np.pi * np.fft.rfftfreq(options.side)
    born = np.fft.rfft2(late) * np.exp(-(options.storm_radius**2) * (down**2 + across**2) / 2)
    young, mature = np.empty_like(born), np.empty_like(born)
    young[0], mature[0] = born[0], 0
    for frame in range(1, len(born)):
        carried = np.exp(-1j * (flow[frame - 1, 0] * down + flow[frame - 1, 1] * across))
        grown = young[frame - 1] / options.growth
        young[frame] = carried * (young[frame - 1] - grown) + born[frame]
        mature[frame] = carried * (mature[frame - 1] * (1 - 1 / options.decay) + grown)
    shape = (options.side, options.side)
    return np.fft.irfft2(young[options.spin_up :], shape), np.fft.irfft2(mature[options.spin_up :], shape)


def _reflectivity(
    young: NDArray[np.float64], mature: NDArray[np.float64], options: StormCells.Options
) -> NDArray[np.float64]:
    """Reflectivity (frame, level, row, column) in dBZ of amounts (frame, row, column)."""
    import numpy as np

    height = np.linspace(0, 1, options.levels)[:, None, None]
    aloft = np.exp(-(((height - _ALOFT) / _ALOFT_DEPTH) ** 2))
    below = np.exp(-((height / _MATURE_DEPTH) ** 2))
    amount = aloft * young[:, None] + below * mature[:, None]
    least = 10 ** ((options.floor - options.echo) / 10)
    return options.echo + 10 * np.log10(np.maximum(amount, least))
