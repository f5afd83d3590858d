"""The canonical form of data, and the door that brings outside data into it or refuses them.

Maps: dimensions ``(time, latitude, longitude)``; latitude strictly ascending within [-90, 90]; longitude strictly
ascending within [-180, 180); missing values NaN. States, of simulations: ``time`` first, then what the simulation
names, nothing missing. Frames, of radars and satellites: as maps, or on axes ``y`` and ``x`` of a projection in
metres; frames may be missing, and values in them. Stations: ``(time, station)``, where anything may be missing, beside
fields on latitudes and longitudes as frames have them. All: time ``datetime64[ns]`` in UTC, strictly increasing; floats
in the unit of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from pipeline_lib.data.forms import GAPPY, Form
from pipeline_lib.data.projected import canonical_plane, is_projected
from pipeline_lib.data.units import conversion
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.errors import DataError, closest

DIMS = ("time", "latitude", "longitude")


_NAMES = {
    "time": ("time", "valid_time", "t"),
    "latitude": ("latitude", "lat", "nav_lat", "y"),
    "longitude": ("longitude", "lon", "nav_lon", "x"),
}
_CF_UNITS = {
    "latitude": {"degrees_north", "degree_north", "degrees_N", "degreeN"},
    "longitude": {"degrees_east", "degree_east", "degrees_E", "degreeE"},
}
COORDINATE_ATTRS: dict[str, dict[str, str]] = {
    "time": {"standard_name": "time", "long_name": "time", "axis": "T", "units_metadata": "leap_seconds: none"},
    "latitude": {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
    "longitude": {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
}
_MAX_CONSTANT_SHARE = 0.2
"""Share of cells with one and the same value at all times above which a field without gaps is taken for one whose
land holds that value."""
_HUGE = 1e15
"""No quantity in SI units on the globe is that large, but the usual fill values are: 1e20 (CMIP) and 9.97e36
(netCDF's default for floats)."""
_ISSUE = "expver"
_STANDARD_CALENDARS = {"standard", "gregorian", "proleptic_gregorian"}


def canonicalise(
    ds: xr.Dataset, variables: Mapping[str, VariableSpec], *, where: str, form: Form = "maps"
) -> xr.Dataset:
    """Bring a dataset into canonical form.

    Parameters
    ----------
    ds
        What was read from the provider's file.
    variables
        Contract of each variable to keep, by its canonical name.
    where
        Name of the source or file, for messages.
    form
        Maps, states, frames or stations.

    Returns
    -------
    xarray.Dataset
        Only the contracted variables, lazily converted; float32 coordinates become float64.

    Raises
    ------
    DataError
        If a variable or coordinate is missing or cannot be brought into canonical form.
    """
    absent = [spec.name for spec in variables.values() if spec.name not in ds]
    if absent:
        fix = closest(absent[0], map(str, ds.data_vars))
        raise DataError(f"has no variable {absent[0]!r}", where=where, fix=fix)
    _check_one_issue(ds, where)
    out = ds[[spec.name for spec in variables.values()]]
    out = out.rename({spec.name: name for name, spec in variables.items() if spec.name != name})
    if form == "frames" and is_projected(out):
        out = canonical_plane(_time(_time_first(out, where), where).reset_coords(drop=True), where)
    elif form in ("states", "stations"):
        out = _time(_time_first(out, where), where)
        if form == "stations" and {"latitude", "longitude"} <= set(out.dims):
            out = _longitude(_latitude(out, where), where)
    else:
        out = _rename_coordinates(out, where).reset_coords(drop=True)
        out = _longitude(_latitude(_time(out, where), where), where)
    for name, spec in variables.items():
        out[name] = _convert(out[name], spec, where=f"{where}: {name}")
    for name, attrs in COORDINATE_ATTRS.items():
        if name in out.coords:
            out[name].attrs = dict(attrs)
            out[name].encoding = {}
    out.attrs = {}
    return out


def _time_first(ds: xr.Dataset, where: str) -> xr.Dataset:
    for name, variable in ds.data_vars.items():
        if "time" not in variable.dims or "time" not in ds.coords:
            raise DataError(f"{name} has dimensions {variable.dims}, without a time", where=where)
    return ds.transpose("time", ...)


def _check_one_issue(ds: xr.Dataset, where: str) -> None:
    """Refuse a file that mixes preliminary and final data (``expver``, as the Climate Data Store writes it).

    As a dimension it holds the two side by side with gaps, as a coordinate of time it says which is which; read
    without a look at it, days that will still change pass for final ones.
    """
    if _ISSUE not in ds.variables:
        return
    issues = sorted({str(value).strip() for value in ds[_ISSUE].values.ravel().tolist()})
    if len(issues) > 1:
        raise DataError(
            f"mixes issues of the data: {_ISSUE} {' and '.join(issues)} (1 is final, 5 preliminary)",
            where=where,
            fix="fetch final and preliminary days as files of their own, or end the coverage where the final data end",
        )


def check_values(ds: xr.Dataset, variables: Mapping[str, VariableSpec], *, where: str, form: Form = "maps") -> None:
    """Check loaded values against their contract.

    Raises
    ------
    DataError
        If a value is infinite, huge or out of range; of maps: a time step has no finite value, or land seems stored as
        a number; of states: a value is missing. Of frames and stations nothing need be
        there, and zeros are dry weather.
    """
    for name, spec in variables.items():
        values = ds[name].values
        place = f"{where}: {name}"
        if np.isinf(values).any():
            raise DataError(f"holds infinite values on {_day(ds, np.isinf(values))}", where=place)
        finite = np.isfinite(values)
        if form == "states" and not finite.all():
            raise DataError(f"lacks a value on {_day(ds, ~finite)}", where=place, fix="did the simulation blow up?")
        empty = ~finite.any(axis=_others(finite))
        if form not in GAPPY and empty.any():
            raise DataError(f"has no finite value on {ds.time.values[empty][0]:.10}", where=place)
        _check_range(ds, values, spec, place)
        if form == "maps" and finite.all():
            _check_constant(values, place)


def _others(values: np.ndarray) -> tuple[int, ...]:
    """All axes but that of time."""
    return tuple(range(1, values.ndim))


def _check_constant(values: np.ndarray, place: str) -> None:
    """Refuse a field without gaps in which many cells always hold 0, or one and the same value far from all others."""
    still = values[0][(values == values[:1]).all(axis=0)]
    seen, counts = np.unique(still, return_counts=True)
    shares = dict(zip(seen.tolist(), (counts / values[0].size).tolist(), strict=True))
    if shares.get(0.0, 0.0) > _MAX_CONSTANT_SHARE:
        value, fix = 0.0, "if land is stored as 0, set zero_is_missing: true in the catalog entry"
    else:
        value, fix = max(shares, key=shares.__getitem__, default=0.0), "declare land's value in the file as _FillValue"
        if shares.get(value, 0.0) <= _MAX_CONSTANT_SHARE or not _is_far_off(value, values):
            return
    raise DataError(
        f"{shares[value]:.0%} of the cells are exactly {value:g} at all times and none is missing", where=place, fix=fix
    )


def _is_far_off(value: float, values: np.ndarray) -> bool:
    """Whether a value is farther from all others than these are from each other; a fraction of 1 is not."""
    others = values[values != value]
    return others.size > 0 and bool(abs(others - value).min() > np.ptp(others) > 0)


def _check_range(ds: xr.Dataset, values: np.ndarray, spec: VariableSpec, place: str) -> None:
    lowest = -_HUGE if spec.valid_min is None else spec.valid_min
    highest = _HUGE if spec.valid_max is None else spec.valid_max
    for limit, outside in ((lowest, np.less), (highest, np.greater)):
        with np.errstate(invalid="ignore"):
            bad = outside(values, limit)
        if bad.any():
            raise DataError(
                f"value {values[bad][0]:g} {spec.units} on {_day(ds, bad)} is beyond the limit {limit:g}",
                where=place,
                fix="an undeclared fill value or unit? correct the catalog entry",
            )


def _day(ds: xr.Dataset, bad: np.ndarray) -> str:
    return f"{ds.time.values[bad.any(axis=_others(bad))][0]:.10}"


def _rename_coordinates(ds: xr.Dataset, where: str) -> xr.Dataset:
    for wanted, candidates in _NAMES.items():
        found = [n for n in map(str, ds.coords) if ds[n].attrs.get("standard_name") == wanted]
        found += [n for n in map(str, ds.coords) if ds[n].attrs.get("units") in _CF_UNITS.get(wanted, set())]
        found += [n for n in candidates if n in ds.coords]
        if not found:
            raise DataError(f"has no {wanted} coordinate", where=where, fix=f"it has {', '.join(map(str, ds.coords))}")
        if found[0] != wanted:
            ds = ds.rename({found[0]: wanted})
        if ds[wanted].ndim == 0:
            ds = ds.expand_dims(wanted)
        if ds[wanted].dims != (wanted,):
            raise DataError(
                f"{wanted} has dimensions {ds[wanted].dims}; only regular latitude-longitude grids are read",
                where=where,
                fix="regrid the data first",
            )
    for name, variable in ds.data_vars.items():
        extra = [d for d in variable.dims if d not in DIMS]
        if any(ds.sizes[d] > 1 for d in extra):
            raise DataError(f"{name} has dimensions {variable.dims}", where=where, fix="select one level first")
        ds[name] = variable.isel(dict.fromkeys(extra, 0), drop=True).transpose(*DIMS)
    return ds


def _time(ds: xr.Dataset, where: str) -> xr.Dataset:
    if not np.issubdtype(ds.time.dtype, np.datetime64):
        calendar = getattr(ds.time.values.flat[0], "calendar", None)
        if calendar in _STANDARD_CALENDARS:
            raise DataError("times lie outside 1677 to 2262", where=where, fix="correct the units of time in the file")
        what = f"times are in calendar {calendar!r}" if calendar else f"times are {ds.time.dtype}, not dates"
        raise DataError(what, where=where, fix="only the standard calendar is read: convert the times first")
    try:
        times = ds.time.values.astype("datetime64[ns]")
    except (ValueError, OverflowError) as error:
        raise DataError("times do not fit into datetime64[ns]", where=where) from error
    if np.isnat(times).any():
        raise DataError("a time is missing", where=where)
    if (times.astype("datetime64[s]") != ds.time.values.astype("datetime64[s]")).any():
        raise DataError("times lie outside 1677 to 2262", where=where)
    ds = ds.assign_coords(time=times)
    if (np.diff(times) < np.timedelta64(0)).any():
        ds = ds.sortby("time")
        times = ds.time.values
    twice = np.flatnonzero(np.diff(times) == np.timedelta64(0))
    if twice.size:
        raise DataError(f"time {times[twice[0]]:.19} occurs twice", where=where, fix="remove the duplicate")
    return ds


def _latitude(ds: xr.Dataset, where: str) -> xr.Dataset:
    values = _finite_axis(ds, "latitude", where)
    if abs(values).max() > 90:
        raise DataError(f"latitude {values[abs(values).argmax()]:g} is beyond 90 degrees", where=where)
    return ds.assign_coords(latitude=values).sortby("latitude")


def _longitude(ds: xr.Dataset, where: str) -> xr.Dataset:
    values = _finite_axis(ds, "longitude", where)
    wrapped = (values + 180.0) % 360.0 - 180.0
    if np.unique(np.round(wrapped, 6)).size != wrapped.size:
        raise DataError(
            "longitudes repeat after wrapping to [-180, 180)", where=where, fix="drop the column that closes the circle"
        )
    return ds.assign_coords(longitude=wrapped).sortby("longitude")


def _finite_axis(ds: xr.Dataset, name: str, where: str) -> np.ndarray:
    values = ds[name].values.astype("float64")
    if not np.isfinite(values).all():
        raise DataError(f"{name} holds a value that is not finite", where=where)
    if np.unique(values).size != values.size:
        raise DataError(f"{name} holds a value twice", where=where)
    return values


def _convert(variable: xr.DataArray, spec: VariableSpec, *, where: str) -> xr.DataArray:
    delivered = variable.attrs.get("units") or spec.delivered_units
    if delivered is None:
        raise DataError("has no unit", where=where, fix="set delivered_units in the catalog entry")
    rule = conversion(str(delivered), spec.units, where=where)
    out = variable.astype("float64")
    if spec.zero_is_missing:
        out = out.where(out != 0)
    if (rule.factor, rule.offset) != (1.0, 0.0):
        out = out * rule.factor + rule.offset
    out.attrs = {"units": spec.units}
    if str(delivered) != spec.units:
        out.attrs["delivered_units"] = str(delivered)
    if spec.standard_name:
        out.attrs["standard_name"] = spec.standard_name
    out.attrs["long_name"] = spec.long_name or variable.attrs.get("long_name", str(variable.name))
    out.encoding = {}
    return out
