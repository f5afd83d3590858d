"""Fields in GRIB files of edition 1: on a grid of latitude and longitude, packed as whole numbers ("grid_simple").

The layout is that of the World Meteorological Organization, FM 92 GRIB edition 1. Other packings, grids and orders of
points are refused. What is read here is compared with ecCodes, the reference, by ``make test-grib``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from pipeline_lib.errors import DataError

_INDICATOR, _END = 8, b"7777"
"""Length of the section that begins a message; what ends one."""
_PRODUCT, _GRID = 28, 32
"""Least length of the sections that say what a field is and where."""
_DATA = 11
"""Length of what precedes the packed values."""
_HAS_GRID, _HAS_MAP = 128, 64
"""Flags in the product section."""
_HOUR = 1
"""Code of the unit of time."""
_ANALYSIS, _SUM, _LONG = 1, 4, 10
"""Codes of time ranges: an analysis, a sum between two times, one time in two octets; 0 is one time in one octet."""
_MILLI = 1000.0
_REPACK = "turn it with ecCodes: grib_set -r -s packingType=grid_simple OLD NEW"


@dataclass(frozen=True)
class Grid:
    """Points from the north-west, row by row; latitudes, longitudes and steps in thousandths of a degree."""

    rows: int
    columns: int
    north: int
    west: int
    south_step: int
    east_step: int

    @property
    def latitude(self) -> np.ndarray:
        """Latitudes in degrees, from the north."""
        return np.asarray((self.north - self.south_step * np.arange(self.rows)) / _MILLI)

    @property
    def longitude(self) -> np.ndarray:
        """Longitudes in degrees, from the west."""
        return np.asarray((self.west + self.east_step * np.arange(self.columns)) / _MILLI)


@dataclass(frozen=True)
class Field:
    """What a message says of its field.

    Attributes
    ----------
    file, start
        Where the message begins.
    parameter, level
        Number in the table of parameters; kind and value of the level.
    run
        Nominal time of the run, datetime64[ns].
    hours
        From the run to the time of the field, or to both ends of the interval of a sum.
    scale
        Decimal exponent by which packed values are divided.
    grid
        Where its points are.
    sections
        Places of the map of what is there (0 if all is) and of the packed values, from ``start``.
    """

    file: Path
    start: int
    parameter: int
    level: tuple[int, int]
    run: np.datetime64
    hours: tuple[int, ...]
    scale: int
    grid: Grid
    sections: tuple[int, int]


def fields(file: Path) -> list[Field]:
    """Return what the messages of a file say, values unread.

    Raises
    ------
    DataError
        If it is not a row of whole messages of edition 1, or one is of a kind that is not read here.
    """
    try:
        with file.open("rb") as stream:
            return list(_fields(file, stream))
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=file.name, fix="fetch it again") from error


def values(field: Field) -> np.ndarray:
    """Return the values of a field (row, column), NaN where its map says that there is none.

    Raises
    ------
    DataError
        If they are packed in another way, or are not as many as the grid has points.
    """
    points = field.grid.rows * field.grid.columns
    try:
        with field.file.open("rb") as stream:
            there = _there(field, stream, points)
            packed = _section(stream, field, field.sections[1], _DATA)
    except OSError as error:
        raise DataError(f"cannot be read: {error}", where=field.file.name, fix="fetch it again") from error
    found = np.full(points, np.nan)
    found[there] = _unpacked(packed, int(there.sum()), field)
    return found.reshape(field.grid.rows, field.grid.columns)


def _fields(file: Path, stream: IO[bytes]) -> Iterator[Field]:
    size, start = file.stat().st_size, 0
    while start < size:
        stream.seek(start)
        indicator = stream.read(_INDICATOR)
        if indicator[:4] != b"GRIB" or len(indicator) < _INDICATOR:
            raise DataError(f"has no GRIB message at byte {start}", where=file.name, fix="fetch it again")
        if indicator[7] != 1:
            raise DataError(f"is GRIB of edition {indicator[7]}, not 1", where=file.name, fix="fetch the right product")
        length = int.from_bytes(indicator[4:7], "big")
        stream.seek(start + length - len(_END))
        if length < _INDICATOR + _PRODUCT + _DATA or stream.read(len(_END)) != _END:
            what = f"is damaged or cut off: the message at byte {start} has no end"
            raise DataError(what, where=file.name, fix="fetch it again; if the provider's file is so, do without it")
        yield _field(file, start, stream)
        start += length


def _field(file: Path, start: int, stream: IO[bytes]) -> Field:
    """Read what a message says of its field."""
    stream.seek(start + _INDICATOR)
    product = stream.read(_PRODUCT)
    grid_at = _INDICATOR + int.from_bytes(product[:3], "big")
    stream.seek(start + grid_at)
    grid = stream.read(_GRID)
    if not product[7] & _HAS_GRID or len(grid) < _GRID:
        raise DataError(f"the message at byte {start} does not say its grid", where=file.name)
    map_at = data_at = grid_at + int.from_bytes(grid[:3], "big")
    if product[7] & _HAS_MAP:
        stream.seek(start + map_at)
        data_at += int.from_bytes(stream.read(3), "big")
    return Field(
        file=file,
        start=start,
        parameter=product[8],
        level=(product[9], int.from_bytes(product[10:12], "big")),
        run=_run(product, start, file.name),
        hours=_hours(product, start, file.name),
        scale=_signed(product[26:28]),
        grid=_grid(grid, start, file.name),
        sections=(map_at if product[7] & _HAS_MAP else 0, data_at),
    )


def _run(product: bytes, start: int, where: str) -> np.datetime64:
    """Return the nominal time of the run."""
    year, (month, day, hour, minute) = 100 * (product[24] - 1) + product[12], product[13:17]
    try:
        return np.datetime64(f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}", "ns")
    except ValueError as error:
        raise DataError(
            f"the message at byte {start} has no date", where=where, fix="fetch the right product"
        ) from error


def _hours(product: bytes, start: int, where: str) -> tuple[int, ...]:
    """Return the hours from the run to a time, or to both ends of an interval."""
    unit, kind = product[17], product[20]
    if unit == _HOUR and kind in (0, _ANALYSIS):
        return (product[18],)
    if unit == _HOUR and kind == _SUM:
        return (product[18], product[19])
    if unit == _HOUR and kind == _LONG:
        return (int.from_bytes(product[18:20], "big"),)
    what = f"the message at byte {start} is of unit of time {unit}, time range {kind}"
    raise DataError(what, where=where, fix="hours, and sums over hours, are read")


def _grid(section: bytes, start: int, where: str) -> Grid:
    """Return the grid; raise :class:`DataError` unless its points go from the north-west along latitudes."""
    columns, rows = struct.unpack(">HH", section[6:10])
    north, west, south, east = (_signed(section[place : place + 3]) for place in (10, 13, 17, 20))
    east_step, south_step = struct.unpack(">HH", section[23:27])
    ends = north - (rows - 1) * south_step, west + (columns - 1) * east_step
    if section[5] != 0 or section[27] != 0 or not rows or not columns or ends != (south, east):
        what = f"the message at byte {start} is not on a grid of latitude and longitude, from the north-west, by rows"
        raise DataError(what, where=where, fix="fetch the right product")
    return Grid(rows, columns, north, west, south_step, east_step)


def _section(stream: IO[bytes], field: Field, at: int, least: int) -> bytes:
    """Return a section of a message, which says its length in its first octets."""
    stream.seek(field.start + at)
    length = stream.read(3)
    section = length + stream.read(int.from_bytes(length, "big") - len(length))
    if len(section) < max(least, int.from_bytes(length, "big")):
        raise DataError(f"the message at byte {field.start} is cut off", where=field.file.name, fix="fetch it again")
    return section


def _there(field: Field, stream: IO[bytes], points: int) -> np.ndarray:
    """Return at which points there are values (point,)."""
    if not field.sections[0]:
        return np.ones(points, np.bool_)
    section = _section(stream, field, field.sections[0], 6)
    bits = np.unpackbits(np.frombuffer(section[6:], np.uint8))
    if section[4:6] != b"\0\0" or len(bits) - section[3] != points:
        what = f"the message at byte {field.start} has no map of the {points} points of its grid"
        raise DataError(what, where=field.file.name, fix="fetch it again")
    return bits[:points].astype(np.bool_)


def _unpacked(section: bytes, many: int, field: Field) -> np.ndarray:
    """Return values (value,): (reference + 2^E n) / 10^D of the whole numbers n of so many bits each."""
    binary, reference, width = _signed(section[4:6]), _hexadecimal(section[6:10]), section[10]
    if section[3] >> 4 or width > 32:
        what = f"the message at byte {field.start} is not packed simply"
        raise DataError(what, where=field.file.name, fix=_REPACK)
    whole = np.zeros(many)
    if width:
        bits = np.unpackbits(np.frombuffer(section[_DATA:], np.uint8))
        if len(bits) - (section[3] & 15) != many * width:
            what = f"the message at byte {field.start} does not hold the {many} values of its grid"
            raise DataError(what, where=field.file.name, fix="fetch it again")
        wide = np.zeros((many, 32), np.uint8)
        wide[:, 32 - width :] = bits[: many * width].reshape(many, width)
        whole = np.packbits(wide, axis=1).view(">u4")[:, 0].astype("float64")
    return np.asarray((reference + whole * 2.0**binary) * 10.0**-field.scale)


def _signed(octets: bytes) -> int:
    """Return a whole number whose first bit is its sign."""
    number, sign = int.from_bytes(octets, "big"), 1 << (8 * len(octets) - 1)
    return -(number - sign) if number & sign else number


def _hexadecimal(octets: bytes) -> float:
    """Return a number with an exponent of 16 (IBM's single precision)."""
    size = int.from_bytes(octets[1:], "big") * 2.0**-24 * 16.0 ** ((octets[0] & 127) - 64)
    return -size if octets[0] & 128 else size
