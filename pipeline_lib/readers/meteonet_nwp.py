"""Weather predictions of MeteoNet (Météo-France), AROME and ARPEGE: GRIB files of a day and a group of parameters each.

Layout (documentation, sample files): ``<model>_<group>_<domain>_<day>000000.grib`` holds the run of midnight UTC, a
message for each parameter and hour from 0 to 24. Groups are ``2m``, ``10m``, ``P_sea_level`` and ``PRECIP``; levels
aloft (``3D_height``, ``3D_isobar``) are not read. Rain is the total since midnight, from hour 1 on. The archive has
files that are incomplete or damaged.

What comes out has one value a time. A time's fields are of the last run at it or before it: of a run, hours 0 to 23.
Rain is that of the hour that ends at the time, hours 1 to 24: at midnight it is of the day before. Totals of the sample
files fall here and there, by up to half a kg m-2; what had fallen once is kept, so that no hour has less than nothing.
An hour that is missing leaves its time out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline_lib.errors import DataError
from pipeline_lib.readers import grib1
from pipeline_lib.readers.grib1 import Field, Grid
from pipeline_lib.readers.lazy import blocks
from pipeline_lib.readers.promises import check_variables
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import xarray as xr

_NAME = re.compile(r"^(?:arome|arpege)_(\w+)_(?:NW|SE)_(\d{14})\.grib$")
_SURFACE, _SEA, _ABOVE_GROUND = 1, 102, 105
"""Kinds of levels."""
RAIN = "tp"
_DAY_HOURS = 24
_FIX = "fetch it again; if the provider's file is so, do without it"


@dataclass(frozen=True)
class _Parameter:
    """What a parameter is called here, its unit and title."""

    name: str
    units: str
    long_name: str


PARAMETERS: Mapping[tuple[int, int, int], _Parameter] = {
    (11, _ABOVE_GROUND, 2): _Parameter("t2m", "K", "temperature at 2 m"),
    (17, _ABOVE_GROUND, 2): _Parameter("d2m", "K", "dew point temperature at 2 m"),
    (52, _ABOVE_GROUND, 2): _Parameter("r", "%", "relative humidity at 2 m"),
    (31, _ABOVE_GROUND, 10): _Parameter("wdir", "degree", "direction that the wind comes from at 10 m"),
    (32, _ABOVE_GROUND, 10): _Parameter("ws", "m s-1", "wind speed at 10 m"),
    (33, _ABOVE_GROUND, 10): _Parameter("u10", "m s-1", "wind towards the east at 10 m"),
    (34, _ABOVE_GROUND, 10): _Parameter("v10", "m s-1", "wind towards the north at 10 m"),
    (2, _SEA, 0): _Parameter("msl", "Pa", "pressure reduced to sea level"),
    (61, _SURFACE, 0): _Parameter(RAIN, "kg m-2", "precipitation in the hour that ends at the time"),
}
"""By number in the table of parameters, kind and value of the level."""
_GROUPS = {
    "2m": ("t2m", "d2m", "r"),
    "10m": ("wdir", "ws", "u10", "v10"),
    "P_sea_level": ("msl",),
    "PRECIP": (RAIN,),
}


@dataclass(frozen=True)
class _Run:
    """A variable in a file: its times, and the fields that they are made of."""

    times: np.ndarray
    fields: tuple[Field, ...]


@READERS.register("meteonet_nwp")
class MeteonetNwp:
    """Fields (time, latitude, longitude) of one model and domain; NaN where only other variables have a time."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Read what all messages say, and the values of one."""
        check_variables(file, variables, [parameter.name for parameter in PARAMETERS.values()])
        group, held = _fields(file)
        lacking = [name for name in _GROUPS.get(group, ()) if name in variables and name not in held]
        if lacking:
            raise DataError(f"has no {lacking[0]}", where=file.name, fix=_FIX)
        grib1.values(next(iter(held.values()))[0])

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open all files as one dataset; they must lie on one grid."""
        import xarray as xr

        held = {file: _fields(file)[1] for file in files}
        grid = _one_grid(held)
        runs: dict[str, list[_Run]] = {}
        for found in held.values():
            for name, fields in found.items():
                runs.setdefault(name, []).append(_hourly(fields) if name == RAIN else _first_day(fields))
        there = [parameter for parameter in PARAMETERS.values() if parameter.name in runs]
        series = [_series(parameter, runs[parameter.name], grid) for parameter in there]
        name = files[0].parent.name if len(files) > 1 else files[0].name
        return {name: xr.merge(series, join="outer", combine_attrs="override")}


def _fields(file: Path) -> tuple[str, dict[str, list[Field]]]:
    """Return the group that a file is said to hold, and its fields by name of the variable, in order of their hours."""
    named = _NAME.search(file.name)
    if named is None:
        raise DataError("is not called <model>_<group>_<NW or SE>_<day>000000.grib", where=file.name)
    held: dict[str, list[Field]] = {}
    for field in grib1.fields(file):
        parameter = PARAMETERS.get((field.parameter, *field.level))
        if parameter is None:
            what = f"holds parameter {field.parameter} at level {field.level[1]} of kind {field.level[0]}"
            raise DataError(what, where=file.name, fix=f"groups {', '.join(_GROUPS)} are read")
        if re.sub(r"\D", "", np.datetime_as_string(field.run, "s")) != named[2]:
            what = f"holds the run of {field.run:.16}, not as its name says"
            raise DataError(what, where=file.name, fix="is it renamed?")
        held.setdefault(parameter.name, []).append(field)
    if not held:
        raise DataError("holds no message", where=file.name, fix=_FIX)
    for name, fields in held.items():
        fields.sort(key=lambda field: field.hours)
        _check_hours(name, fields)
    return named[1], held


def _check_hours(name: str, fields: Sequence[Field]) -> None:
    """Raise :class:`DataError` unless each hour is there at most once, and rain is a total from midnight on."""
    where, ends = fields[0].file.name, [field.hours[-1] for field in fields]
    kinds = {(len(field.hours), field.hours[0] if field.hours[1:] else 0) for field in fields}
    if kinds != {(2 if name == RAIN else 1, 0)}:
        wanted = "totals since the start of the run" if name == RAIN else "values at a time"
        raise DataError(f"{name} holds others than {wanted}", where=where, fix="fetch the right product")
    twice = [first for first, second in pairwise(ends) if first == second]
    if twice:
        raise DataError(f"{name} holds hour {twice[0]} twice", where=where, fix="fetch it again")


def _one_grid(held: Mapping[Path, Mapping[str, Sequence[Field]]]) -> Grid:
    """Return the grid of all fields."""
    (first, found), *_ = held.items()
    grid = next(iter(found.values()))[0].grid
    for file, others in held.items():
        if any(field.grid != grid for fields in others.values() for field in fields):
            raise DataError(f"lies on another grid than {first.name}", where=file.name, fix="take one model and domain")
    return grid


def _first_day(fields: Sequence[Field]) -> _Run:
    """Return the fields until the next run, which is of 24 hours later."""
    kept = tuple(field for field in fields if field.hours[0] < _DAY_HOURS)
    return _Run(_after(fields[0].run, [field.hours[0] for field in kept]), kept)


def _hourly(fields: Sequence[Field]) -> _Run:
    """Return those hours at both ends of which the total is there."""
    kept = tuple(field for field in fields if field.hours[1] <= _DAY_HOURS)
    hours = [0, *(field.hours[1] for field in kept)]
    ends = [end for begin, end in pairwise(hours) if end == begin + 1]
    return _Run(_after(fields[0].run, ends), kept)


def _after(run: np.datetime64, hours: Sequence[int]) -> np.ndarray:
    return np.asarray(run + np.array(hours, "timedelta64[h]"), "datetime64[ns]")


def _values(fields: Sequence[Field], *, totals: bool) -> np.ndarray:
    """Return values (time, row, column): those of the fields, or what falls in the hours that :func:`_hourly` tells."""
    found = np.stack([grib1.values(field) for field in fields])
    if not totals:
        return found
    fallen = np.maximum.accumulate(found, axis=0)
    amounts = np.diff(fallen, axis=0, prepend=np.zeros_like(fallen[:1]))
    return np.asarray(amounts[np.diff([0, *(field.hours[1] for field in fields)]) == 1])


def _series(parameter: _Parameter, runs: Sequence[_Run], grid: Grid) -> xr.Dataset:
    """Return a variable of all runs as a dataset with its own times, a run at a time."""
    import xarray as xr

    there = sorted((run for run in runs if run.times.size), key=lambda run: run.times[0])
    times = np.concatenate([np.empty(0, "datetime64[ns]"), *(run.times for run in there)])
    twice = np.flatnonzero(np.diff(times) <= np.timedelta64(0))
    if twice.size:
        raise DataError(
            f"{parameter.name} at {times[twice[0] + 1]:.16} is in two files",
            where=there[0].fields[0].file.parent.name,
            fix="remove one of them",
        )
    shape = grid.rows, grid.columns
    values: Any = np.empty((0, *shape))
    if there:
        read = partial(_values, totals=parameter.name == RAIN)
        values = blocks(read, [(run.fields,) for run in there], [len(run.times) for run in there], shape)
    coordinates = {
        "time": times,
        "latitude": ("latitude", grid.latitude, {"units": "degrees_north"}),
        "longitude": ("longitude", grid.longitude, {"units": "degrees_east"}),
    }
    attrs = {"units": parameter.units, "long_name": parameter.long_name}
    return xr.Dataset({parameter.name: (("time", "latitude", "longitude"), values, attrs)}, coordinates)
