"""Ground stations of MeteoNet (Météo-France): one CSV file per year and domain, a line per station and time.

Columns (documentation): ``number_sta``, ``lat``, ``lon``, ``height_sta`` (m), ``date``, ``dd`` (degrees), ``ff`` (m
s-1), ``precip`` (kg m-2 in six minutes), ``hu`` (%), ``td`` and ``t`` (K), ``psl`` (Pa); what is missing is empty. That
dates are written as ``20160101 00:06`` is recalled, not checked on a file; ``2016-01-01 00:06`` and seconds are read
too. Lines are in any order. A direction is missing where there is no wind: with ``ff`` 0, ``dd`` means nothing.

A file of a year holds some tens of millions of lines. When it is opened it is read once, in blocks, for its times and
stations; the values of a month are read when they are asked for, out of those blocks that hold lines of the month. If
lines are in order of time, these are few; a month of values is held at once.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline_lib.errors import DataError
from pipeline_lib.readers.lazy import blocks
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
_KEY = ("number_sta", "date")
_COLUMNS = ("number_sta", *_PLACE, "date", *UNITS)
_FORMATS = ("%Y%m%d %H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S")
_BLOCK_BYTES = 32 * 2**20
"""Of a file, read at once."""
_LOOKED_AT = 100_000
"""Bytes that are read when a file was just fetched."""
_FULL_TURN = 360.0
_FIX = "fetch it again"


@dataclass(frozen=True)
class _Lines:
    """A block of whole lines of a file: where it lies, and the months that it has lines of."""

    start: int
    size: int
    months: frozenset[str]


@dataclass(frozen=True)
class _File:
    """What a first look at a whole file tells.

    Attributes
    ----------
    path, header, form
        The file, its columns, and how it writes dates.
    times
        All times, ascending.
    places
        Number, latitude, longitude and height of each station.
    lines
        Its blocks.
    """

    path: Path
    header: tuple[str, ...]
    form: str
    times: np.ndarray
    places: pd.DataFrame
    lines: tuple[_Lines, ...]

    @property
    def months(self) -> np.ndarray:
        """The month of each time, as text."""
        return self.times.astype("datetime64[M]").astype(str)


@READERS.register("meteonet_stations")
class MeteonetStations:
    """Series (time, station), NaN where a station has no line or an empty field at a time."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Read the first lines."""
        check_variables(file, variables, UNITS)
        with _opened(file) as stream:
            header = _header(stream.readline(), file.name)
            data = stream.read(_LOOKED_AT) + stream.readline()
        if not data.strip():
            raise DataError("holds no line", where=file.name, fix=_FIX)
        _check_values(_table(data, header, None, file.name)[0], file.name)

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open each file; all have the stations that any of them has, in the order of their numbers."""
        found = [_looked_through(file) for file in files]
        places = _places(found)
        return {file.path.name: _series(file, places) for file in found}


def _opened(file: Path) -> io.BufferedReader:
    try:
        return file.open("rb")
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=file.name, fix=_FIX) from error


def _header(line: bytes, where: str) -> tuple[str, ...]:
    """Return the columns that a file says it has."""
    header = tuple(next(csv.reader([line.decode("utf-8-sig", errors="replace").strip()])))
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise DataError(f"has no column {missing[0]!r}, it has {', '.join(header)}", where=where, fix=_FIX)
    return header


def _blocks(stream: io.BufferedReader) -> Iterator[tuple[int, bytes]]:
    """Give the rest of a file in blocks of whole lines that are not all empty, and where they begin."""
    start = stream.tell()
    while data := stream.read(_BLOCK_BYTES) + stream.readline():
        if not data.isspace():
            yield start, data
        start += len(data)


def _looked_through(path: Path) -> _File:
    """Read times and stations of a whole file."""
    import pandas as pd

    form, times, lines, places = None, np.empty(0, "datetime64[ns]"), [], []
    with _opened(path) as stream:
        header = _header(stream.readline(), path.name)
        for start, data in _blocks(stream):
            table, form = _table(data, header, form, path.name, columns=[*_KEY, *_PLACE])
            found = np.unique(table["date"].to_numpy("datetime64[ns]"))
            months = frozenset(np.unique(found.astype("datetime64[M]")).astype(str).tolist())
            lines.append(_Lines(start, len(data), months))
            times = np.union1d(times, found)
            places.append(table[["number_sta", *_PLACE]].drop_duplicates())
    if form is None:
        raise DataError("holds no line", where=path.name, fix=_FIX)
    return _File(path, header, form, times, pd.concat(places).drop_duplicates(), tuple(lines))


def _table(
    data: bytes, header: Sequence[str], form: str | None, where: str, columns: Sequence[str] | None = None
) -> tuple[pd.DataFrame, str]:
    """Return lines with the times as dates, and how those are written, if that is not known: all of a file alike."""
    import pandas as pd

    kinds: dict[str, Any] = {"number_sta": np.int64, "date": str, **dict.fromkeys((*_PLACE, *UNITS), np.float64)}
    wanted = None if columns is None else list(columns)  # all: then a line with a value too many is an error
    try:
        table = pd.read_csv(io.BytesIO(data), header=None, names=list(header), usecols=wanted, dtype=kinds)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"holds what is no number: {error}", where=where, fix=_FIX) from error
    table["date"], form = _dates(table["date"], form, where)
    return table, form


def _dates(column: pd.Series[str], form: str | None, where: str) -> tuple[pd.Series[pd.Timestamp], str]:
    """Return dates, all of which are written alike, and how."""
    import pandas as pd

    for tried in (form,) if form else _FORMATS:
        dates = pd.to_datetime(column, format=tried, errors="coerce")
        if not dates.isna().iloc[0]:
            break
    bad = column[dates.isna()]
    if not bad.empty:
        raise DataError(f"{bad.iloc[0]!r} is no date as in {form or _FORMATS[0]!r}", where=where, fix=_FIX)
    return dates, tried


def _check_values(table: pd.DataFrame, where: str) -> None:
    """Refuse directions and speeds that there are none of, and a station twice at one time."""
    for name, low, high in (("dd", 0.0, _FULL_TURN), ("ff", 0.0, np.inf), ("precip", 0.0, np.inf)):
        bad = table[(table[name] < low) | (table[name] > high)]
        if not bad.empty:
            raise DataError(f"{name} is {bad[name].iloc[0]:g} at {bad['date'].iloc[0]}", where=where, fix=_FIX)
    twice = table[table.duplicated(list(_KEY))]
    if not twice.empty:
        what = f"station {twice['number_sta'].iloc[0]} has two lines at {twice['date'].iloc[0]}"
        raise DataError(what, where=where, fix=_FIX)


def _places(files: Sequence[_File]) -> pd.DataFrame:
    """Return latitude, longitude and height of all stations by number.

    Raises
    ------
    DataError
        If a station moves.
    """
    import pandas as pd

    every = pd.concat([file.places for file in files]).drop_duplicates()
    twice = every[every.duplicated("number_sta")]
    if not twice.empty:
        what = f"station {twice['number_sta'].iloc[0]} is at two places"
        where = ", ".join(file.path.name for file in files)
        raise DataError(what, where=where, fix="take years apart in which it stands still")
    return every.set_index("number_sta").sort_index()


def _series(file: _File, places: pd.DataFrame) -> xr.Dataset:
    """Return the series of all stations (time, station), a month at a time."""
    import xarray as xr

    numbers = places.index.to_numpy()
    months, lengths = np.unique(file.months, return_counts=True)
    calls = [(file, month, numbers) for month in months.tolist()]
    values = blocks(_month, calls, lengths.tolist(), (len(numbers), len(UNITS)))
    variables = {
        variable: (("time", "station"), values[:, :, place], {"units": units, "long_name": long_name})
        for place, (variable, (units, long_name)) in enumerate(UNITS.items())
    }
    coords = {
        "time": file.times,
        "station": ("station", numbers, {"long_name": "number of the station"}),
        "station_latitude": ("station", places["lat"].to_numpy(), {"units": "degrees_north"}),
        "station_longitude": ("station", places["lon"].to_numpy(), {"units": "degrees_east"}),
        "station_height": ("station", places["height_sta"].to_numpy(), {"units": "m"}),
    }
    return xr.Dataset(variables, coords)


def _month(file: _File, month: str, numbers: np.ndarray) -> np.ndarray:
    """Return the values of a month (time, station, variable)."""
    table = _lines_of(file, month)
    _check_values(table, file.path.name)
    times = file.times[file.months == month]
    row = np.searchsorted(times, table["date"].to_numpy("datetime64[ns]"))
    column = np.searchsorted(numbers, table["number_sta"].to_numpy())
    found = table[list(UNITS)].to_numpy(float)
    found[table["ff"].to_numpy() == 0, list(UNITS).index("dd")] = np.nan
    values = np.full((len(times), len(numbers), len(UNITS)), np.nan)
    values[row, column] = found
    return values


def _lines_of(file: _File, month: str) -> pd.DataFrame:
    """Return the lines of a month."""
    import pandas as pd

    first = np.datetime64(month, "M")
    start, end = pd.Timestamp(first.astype("datetime64[D]")), pd.Timestamp((first + 1).astype("datetime64[D]"))
    parts = []
    with _opened(file.path) as stream:
        for block in file.lines:
            if month in block.months:
                stream.seek(block.start)
                table, _ = _table(stream.read(block.size), file.header, file.form, file.path.name)
                parts.append(table[(table["date"] >= start) & (table["date"] < end)])
    return pd.concat(parts)
