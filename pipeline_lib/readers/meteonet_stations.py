"""Ground stations of MeteoNet (Météo-France): one CSV file per year and domain, a line per station and time.

Columns (documentation): ``number_sta``, ``lat``, ``lon``, ``height_sta`` (m), ``date``, ``dd`` (degrees), ``ff`` (m
s-1), ``precip`` (kg m-2 in six minutes), ``hu`` (%), ``td`` and ``t`` (K), ``psl`` (Pa); what is missing is empty. That
dates are written as ``20160101 00:06`` is recalled, not checked on a file; ``2016-01-01 00:06`` and seconds are read
too. Lines are in any order. A direction is missing where there is no wind: with ``ff`` 0, ``dd`` means nothing.

A file of a year holds some tens of millions of lines, all of which are read at once: a few gigabytes of memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_lib.errors import DataError
from pipeline_lib.readers.promises import check_variables
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

UNITS: Mapping[str, tuple[str, str]] = {
    "dd": ("degree", "direction that the wind comes from"),
    "ff": ("m s-1", "wind speed"),
    "precip": ("kg m-2", "precipitation in six minutes"),
    "hu": ("%", "relative humidity"),
    "td": ("K", "dew point temperature"),
    "t": ("K", "temperature"),
    "psl": ("Pa", "pressure reduced to sea level"),
}
"""Unit and title of each variable."""
_PLACE = ("lat", "lon", "height_sta")
_COLUMNS = ("number_sta", *_PLACE, "date", *UNITS)
_FORMATS = ("%Y%m%d %H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")
_LOOKED_AT = 1000
"""Lines that are read when a file was just fetched."""
_FULL_TURN = 360.0


@READERS.register("meteonet_stations")
class MeteonetStations:
    """Series (time, station), NaN where a station has no line or an empty field at a time."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Read the first lines."""
        check_variables(file, variables, UNITS)
        _lines(file, _LOOKED_AT)

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open each file; all have the stations that any of them has, in the order of their numbers."""
        tables = {file.name: _lines(file) for file in files}
        places = _places(tables)
        return {name: _series(table, places) for name, table in tables.items()}


def _lines(file: Path, count: int | None = None) -> pd.DataFrame:
    """Return lines of a file with the times as dates."""
    import pandas as pd

    fix = "fetch it again"
    kinds: dict[str, type] = {"number_sta": np.int64, "date": str, **dict.fromkeys((*_PLACE, *UNITS), np.float64)}
    try:
        table = pd.read_csv(file, nrows=count, dtype=kinds)
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=file.name, fix=fix) from error
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"holds what is no number: {error}", where=file.name, fix=fix) from error
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise DataError(
            f"has no column {missing[0]!r}, it has {', '.join(map(str, table.columns))}", where=file.name, fix=fix
        )
    if table.empty:
        raise DataError("holds no line", where=file.name, fix=fix)
    table["date"] = _dates(table["date"], file.name)
    _check_values(table, file.name)
    return table


def _dates(column: pd.Series[str], where: str) -> pd.Series[pd.Timestamp]:
    """Return dates, all of which are written alike."""
    import pandas as pd

    for form in _FORMATS:
        dates = pd.to_datetime(column, format=form, errors="coerce")
        if not dates.isna().iloc[0]:
            break
    bad = column[dates.isna()]
    if not bad.empty:
        raise DataError(f"{bad.iloc[0]!r} is no date as in {_FORMATS[0]!r}", where=where, fix="fetch it again")
    return dates


def _check_values(table: pd.DataFrame, where: str) -> None:
    """Refuse directions and speeds that there are none of, and a station twice at one time."""
    for name, low, high in (("dd", 0.0, _FULL_TURN), ("ff", 0.0, np.inf), ("precip", 0.0, np.inf)):
        bad = table[(table[name] < low) | (table[name] > high)]
        if not bad.empty:
            value = bad[name].iloc[0]
            raise DataError(f"{name} is {value:g} at {bad['date'].iloc[0]}", where=where, fix="fetch it again")
    twice = table[table.duplicated(["number_sta", "date"])]
    if not twice.empty:
        what = f"station {twice['number_sta'].iloc[0]} has two lines at {twice['date'].iloc[0]}"
        raise DataError(what, where=where, fix="fetch it again")


def _places(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return latitude, longitude and height of all stations by number.

    Raises
    ------
    DataError
        If a station moves.
    """
    import pandas as pd

    columns = ["number_sta", *_PLACE]
    every = pd.concat([table[columns].drop_duplicates() for table in tables.values()]).drop_duplicates()
    twice = every[every.duplicated("number_sta")]
    if not twice.empty:
        what = f"station {twice['number_sta'].iloc[0]} is at two places"
        raise DataError(what, where=", ".join(tables), fix="take years apart in which it stands still")
    return every.set_index("number_sta").sort_index()


def _series(table: pd.DataFrame, places: pd.DataFrame) -> xr.Dataset:
    """Return the series of all stations (time, station)."""
    import xarray as xr

    times, row = np.unique(table["date"].to_numpy("datetime64[ns]"), return_inverse=True)
    column = np.searchsorted(places.index.to_numpy(), table["number_sta"].to_numpy())
    variables = {}
    calm = table["ff"].to_numpy() == 0
    for variable, (units, long_name) in UNITS.items():
        values = np.full((len(times), len(places)), np.nan)
        found = table[variable].to_numpy(float)
        values[row, column] = np.where(calm, np.nan, found) if variable == "dd" else found
        variables[variable] = (("time", "station"), values, {"units": units, "long_name": long_name})
    coords = {
        "time": times,
        "station": ("station", places.index.to_numpy(), {"long_name": "number of the station"}),
        "station_latitude": ("station", places["lat"].to_numpy(), {"units": "degrees_north"}),
        "station_longitude": ("station", places["lon"].to_numpy(), {"units": "degrees_east"}),
        "station_height": ("station", places["height_sta"].to_numpy(), {"units": "m"}),
    }
    return xr.Dataset(variables, coords)
