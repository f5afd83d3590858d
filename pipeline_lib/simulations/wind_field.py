"""Wind at stations beside a coarse forecast of it, whose errors travel from station to station."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from pipeline_lib.options import Options as BaseOptions
from pipeline_lib.simulations.registry import SIMULATIONS
from pipeline_lib.simulations.sequences import PositiveRange

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

_DAY_HOURS = 24
_MINUTES = 60
_METRES = 1000
_SECONDS = 3600
_FULL_TURN = 360.0


@SIMULATIONS.register("wind_field")
class WindField:
    """One long record of station winds, with the wind of a coarse numerical weather prediction at the same times.

    The prediction is a mean wind from the west and travelling waves. The speed at a station s is::

        ff(s, t) = max(0, speed of the nearest grid point + bias cos(2 pi (hour - bias_hour) / 24) + e(s, t))
        e(s, t) = carry e(n, t - lag) + sqrt(1 - carry^2) a(s, t)

    where n is the nearest of the stations further west, lag the time in which the mean wind comes from its longitude,
    at least one step, and a(s, t) an autoregressive process of first order, of the same deviation for all; for the
    station in the far west e = a. So a station's own past and that of its neighbour tell what the prediction does not.
    The direction is that of the nearest grid point, turned by an autoregressive process of each station's own, of the
    same memory. All of it is ours.
    """

    class Options(BaseOptions):
        """Options of this simulation."""

        seed: int = Field(0, ge=0)
        """Of all that is drawn."""
        minutes: float = Field(6.0, gt=0)
        """Between two times; the first one is at midnight."""
        side: int = Field(16, ge=2)
        """Rows and columns of the prediction's grid; columns go east, rows north."""
        spacing: float = Field(10.0, gt=0)
        """Of the grid, km."""
        stations: int = Field(12, gt=0)
        """Stations, anywhere on the grid, numbered from west to east."""
        mean_wind: float = Field(8.0, gt=0)
        """From the west, m s-1."""
        waves: int = Field(6, gt=0)
        """Waves of each component of the wind."""
        amplitude: float = Field(3.0, ge=0)
        """Standard deviation of each component by all waves together, m s-1."""
        wavelength: PositiveRange = (100.0, 500.0)
        """Of the waves, km, between these bounds."""
        period: PositiveRange = (6.0, 72.0)
        """Of the waves, hours, between these bounds."""
        bias: float = Field(1.5, ge=0)
        """Largest error of the prediction in the mean day, m s-1."""
        bias_hour: float = Field(15.0, ge=0, lt=_DAY_HOURS)
        """When the stations have so much more wind than predicted."""
        deviation: float = Field(1.2, ge=0)
        """Standard deviation of e, m s-1."""
        memory: float = Field(1.5, gt=0)
        """Hours in which the correlation of a falls to 1 / e."""
        carry: float = Field(0.8, ge=0, lt=1)
        """Share of e that comes from the neighbour in the west."""
        veer: float = Field(15.0, ge=0)
        """Standard deviation of the angle between the station's wind and the predicted one, degrees."""

    @staticmethod
    def run(options: Options, *, times: int) -> xr.Dataset:
        """Return ``ff`` (time, station), ``nwp_u`` and ``nwp_v`` (time, row, column), all in m s-1.

        Besides, ``dd`` (time, station), the direction that the wind comes from, in degrees clockwise from north.
        Coordinates ``station_row`` and ``station_column`` (station,) tell where stations are, in grid points.
        """
        import numpy as np
        import xarray as xr

        rng = np.random.default_rng(options.seed)
        places = rng.uniform(0, options.side - 1, (options.stations, 2))
        places = places[np.argsort(places[:, 1], kind="stable")]
        hours = np.arange(times) * options.minutes / _MINUTES
        u = options.mean_wind + _waves(rng, options, hours)
        v = _waves(rng, options, hours)
        row, column = np.rint(places).astype(int).T
        daily = options.bias * np.cos(2 * math.pi * (hours - options.bias_hour) / _DAY_HOURS)
        speed = np.hypot(u, v)[:, row, column] + daily[:, None] + _errors(rng, options, places, times)
        # From a generator of its own: speeds are the same whatever the directions.
        turns = _processes(np.random.default_rng([options.seed, 1]), options, times, options.stations)
        predicted = np.degrees(np.arctan2(-u[:, row, column], -v[:, row, column]))
        direction = (predicted + options.veer * turns) % _FULL_TURN
        wind, angle = {"units": "m s-1"}, {"units": "degree"}
        return xr.Dataset(
            {
                "ff": (("time", "station"), np.maximum(speed, 0), wind | {"long_name": "wind speed at the stations"}),
                "dd": (("time", "station"), direction, angle | {"long_name": "direction that the wind comes from"}),
                "nwp_u": (("time", "row", "column"), u, wind | {"long_name": "predicted wind towards the east"}),
                "nwp_v": (("time", "row", "column"), v, wind | {"long_name": "predicted wind towards the north"}),
            },
            {
                "station_row": ("station", places[:, 0], {"units": "1", "long_name": "row of the station"}),
                "station_column": ("station", places[:, 1], {"units": "1", "long_name": "column of the station"}),
            },
        )


class Neighbour(NamedTuple):
    """Where the error of a station comes from."""

    station: int
    lag: int
    """Time steps that it takes."""


def neighbours(places: NDArray[np.float64], options: WindField.Options) -> list[Neighbour | None]:
    """Return the neighbour in the west of each station; the first has none.

    Parameters
    ----------
    places
        Row and column (station, 2) in grid points, from west to east.
    options
        Spacing, mean wind and minutes between two times.
    """
    import numpy as np

    found: list[Neighbour | None] = [None]
    step = options.mean_wind * options.minutes / _MINUTES * _SECONDS / _METRES / options.spacing
    for number in range(1, len(places)):
        apart = places[number] - places[:number]
        nearest = int(np.argmin(np.hypot(*apart.T)))
        found.append(Neighbour(nearest, max(1, round(float(apart[nearest, 1]) / step))))
    return found


def _waves(rng: np.random.Generator, options: WindField.Options, hours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum (time, row, column) of travelling waves of equal amplitudes."""
    import numpy as np

    field = np.zeros((len(hours), options.side, options.side))
    point = np.arange(options.side) * options.spacing
    height = options.amplitude * math.sqrt(2 / options.waves)
    for _ in range(options.waves):
        direction, phase = rng.random(2) * 2 * math.pi
        number = 2 * math.pi / rng.uniform(*options.wavelength)
        turning = 2 * math.pi * hours / rng.uniform(*options.period)
        along = number * (math.sin(direction) * point[:, None] + math.cos(direction) * point)
        field += height * np.cos(along - turning[:, None, None] + phase)
    return field


def _errors(
    rng: np.random.Generator, options: WindField.Options, places: NDArray[np.float64], times: int
) -> NDArray[np.float64]:
    """Errors e (time, station)."""
    sources = neighbours(places, options)
    way = [0] * len(sources)
    for number, source in enumerate(sources):
        if source is not None:
            way[number] = way[source.station] + source.lag
    # So long before the first time that all it depends on is drawn.
    before = max(way)
    errors = options.deviation * _processes(rng, options, before + times, len(places))
    for number, source in enumerate(sources):
        if source is not None:
            errors[:, number] *= math.sqrt(1 - options.carry**2)
            errors[source.lag :, number] += options.carry * errors[: len(errors) - source.lag, source.station]
    return errors[before:]


def _processes(rng: np.random.Generator, options: WindField.Options, times: int, count: int) -> NDArray[np.float64]:
    """Autoregressive processes of first order (time, process) of variance 1 and the memory asked for."""
    import numpy as np
    from scipy.signal import lfilter

    kept = math.exp(-options.minutes / _MINUTES / options.memory)
    drawn = rng.standard_normal((times, count))
    drawn[1:] *= math.sqrt(1 - kept**2)
    return np.asarray(lfilter([1.0], [1.0, -kept], drawn, axis=0))
