"""Series and fields of a dataset as arrays, and what each of their columns is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.rows import TOLERANCE, Index, Mask, TimesInRow, linked
from pipeline_lib.data.units import same_unit
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.models.sites import Cell, Fields, Scale, Site
from pipeline_lib.tasks.site_forecast.fields import FieldValues, StoredFields, Values, channels, scanned
from pipeline_lib.tasks.site_forecast.options import TrainingOptions

STATION = "station"
_HOUR, _DAY = np.timedelta64(1, "h"), np.timedelta64(1, "D")
_PLACES = (("station_row", "station_column"), ("station_latitude", "station_longitude"))
"""Coordinates that tell where stations are: in grid points, or in degrees."""
_SERIES = (1, 2)
"""Axes of series, without and with stations."""
_MAP = 3
"""Axes of a field without levels."""
_NAMED = 5
"""Stations that a message tells at most."""


@dataclass(frozen=True)
class Columns:
    """Everything that forecasts at a site are made from and compared with.

    Attributes
    ----------
    times
        datetime64 (time,).
    targets
        float32 (time, target); missing values NaN.
    series
        float32 (time, series) that are seen.
    fields, ahead
        Fields of the past, and those of a prediction: (time, channel, row, column), read when they are asked for.
    nearest
        float32 (time, channel): what the prediction says at the nearest grid point; missing values NaN.
    past, future
        Which times lie in a row with all that is seen of the past there, and with all of the prediction. Of a
        prediction, what it says of the targets at the nearest grid point must always be there: nothing could stand for
        that, and all competitors start from the same times.
    neighbours
        Stations whose series are seen besides, as :func:`stations` calls them.
    """

    times: NDArray[np.datetime64]
    targets: Values
    series: Values
    fields: FieldValues
    ahead: FieldValues
    nearest: Values
    past: TimesInRow
    future: TimesInRow
    neighbours: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        ds: xr.Dataset,
        inputs: Sequence[str],
        options: TrainingOptions,
        means: Mapping[str, float],
    ) -> Columns:
        """Read the series of a dataset, and look through its fields, block by block.

        Parameters
        ----------
        ds
            Holds the inputs, and ``age`` if it is of several sequences.
        inputs
            Variables: the targets first, then other series and fields in any order.
        options
            Which of them is what.
        means
            Over the training days; what is seen where a field lacks a value.

        Raises
        ------
        DataError
            If a variable has other axes than it should, or another unit than what it is compared with.
        ConfigError
            If the station is not there, or a target is no series.
        """
        parts = _parted(ds, inputs, options)
        targets = np.stack([_series(ds, name, options.station) for name in inputs[: options.targets]], axis=1)
        series = np.concatenate([np.empty((len(targets), 0), np.float32), *_seen_series(ds, parts.series, options)], 1)
        fields, ahead = (StoredFields(ds, names, means) for names in (parts.fields, parts.ahead))
        point = nearest_point(ds, parts.ahead[0], options.station) if parts.ahead else None
        foretold, nearest = scanned(ds, parts.ahead, missing=options.missing, point=point)
        foretold &= np.isfinite(nearest[:, : len(options.foretelling)]).all(axis=1)
        enough, _ = scanned(ds, parts.fields, missing=options.missing)
        whole = np.isfinite(series).all(axis=1) & enough & foretold
        past, future = (
            TimesInRow(*linked(ds, there, step_minutes=options.step_minutes)) for there in (whole, foretold)
        )
        others = _neighbours(ds, parts.series, options)
        return cls(ds["time"].values, targets, series, fields, ahead, nearest, past, future, others)

    def mapped(self, folder: Path) -> Columns:
        """Return the same with fields in files without a name in a folder, for what reads them again and again.

        Raises
        ------
        StoreError
            If the folder cannot be written.
        """
        if not (isinstance(self.fields, StoredFields) and isinstance(self.ahead, StoredFields)):
            return self
        return replace(self, fields=self.fields.mapped(folder), ahead=self.ahead.mapped(folder))

    @property
    def hour(self) -> Values:
        """Sine and cosine of the time of day (time, 2)."""
        turn = 2 * np.pi * ((self.times - self.times.astype("datetime64[D]")) / _DAY)
        return np.stack([np.sin(turn), np.cos(turn)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class _Parts:
    series: tuple[str, ...]
    fields: tuple[str, ...]
    ahead: tuple[str, ...]


def _parted(ds: xr.Dataset, inputs: Sequence[str], options: TrainingOptions) -> _Parts:
    """Tell series, fields of the past and those of a prediction apart."""
    missing = sorted(set(options.nwp) - set(inputs))
    if missing:
        raise ConfigError(f"{missing[0]!r} is not among the inputs", where="training.nwp", fix="name it in inputs")
    for name in inputs[: options.targets]:
        if ds[name].ndim not in _SERIES:
            raise ConfigError(f"{name} is forecast and is no series", where="inputs", fix="name a series first")
    _require_comparable(ds, inputs[: options.targets], options.foretelling)
    seen = inputs[options.targets :] if options.accumulated else inputs
    series = tuple(name for name in seen if ds[name].ndim in _SERIES)
    rest = [name for name in seen if ds[name].ndim not in _SERIES and name not in options.nwp]
    return _Parts(series, tuple(rest), options.nwp)


def _require_comparable(ds: xr.Dataset, targets: Sequence[str], foretelling: Sequence[str]) -> None:
    """Refuse targets, and fields that foretell them, of several units, and levels of which nobody said which is meant.

    Errors of two targets are lengths of vectors, and a prediction is compared with what came.
    """
    unit = ds[targets[0]].attrs.get("units")
    for name in (*targets, *foretelling):
        found = ds[name].attrs.get("units", unit)
        if unit is not None and found is not None and not same_unit(found, unit):
            fix = "name variables of one unit, those of training.nwp first that foretell the targets"
            raise DataError(f"is in {found!r}, and {targets[0]} in {unit!r}", where=name, fix=fix)
    for name in foretelling:
        if ds[name].ndim > _MAP:
            what = f"has several levels ({', '.join(map(str, ds[name].dims))}): which of them foretells?"
            raise DataError(what, where=name, fix="name a field of one level first in training.nwp")


def stations(ds: xr.Dataset) -> list[int]:
    """Return what the stations of a dataset are called: their numbers, or their places if they have none."""
    numbered = STATION in ds.coords and ds[STATION].dtype.kind in "iu"
    labels: list[int] = ds[STATION].values.tolist() if numbered else list(range(ds.sizes.get(STATION, 0)))
    return labels


def _series(ds: xr.Dataset, name: str, station: int | None) -> Values:
    """Return a series (time,): of a station where there are stations."""
    variable = ds[name]
    if variable.ndim == 1:
        return variable.values.astype(np.float32)
    if variable.ndim != len(_SERIES) or variable.dims[1] != STATION:
        raise DataError(f"has dimensions {variable.dims}", where=name, fix="give (time, station)")
    return variable.values[:, _place(ds, station)].astype(np.float32)


def _place(ds: xr.Dataset, station: int | None) -> int:
    """Return the place of the one station that is called so."""
    there = stations(ds)
    if station is None or station not in there:
        told = ", ".join(map(str, there[:_NAMED])) + (", ..." if len(there) > _NAMED else "")
        what = f"is {station}, the {len(there)} stations are {told}"
        raise ConfigError(what, where="training.station", fix="choose one of them")
    if there.count(station) > 1:
        raise DataError(f"{station} is the number of several stations", where=STATION, fix="give each its own")
    return there.index(station)


def _seen_series(ds: xr.Dataset, names: Sequence[str], options: TrainingOptions) -> list[Values]:
    """Return the series that are seen (time, some): the site's own of each variable first, then the neighbours'."""
    own = [_series(ds, name, options.station)[:, None] for name in names]
    places = [stations(ds).index(other) for other in _neighbours(ds, names, options)]
    return [*own, *(ds[name].values[:, places].astype(np.float32) for name in names if ds[name].ndim > 1)]


def _neighbours(ds: xr.Dataset, names: Sequence[str], options: TrainingOptions) -> tuple[int, ...]:
    """Return the other stations whose series are seen."""
    if all(ds[name].ndim == 1 for name in names):
        return ()
    there = [station for station in stations(ds) if station != options.station]
    chosen = there if options.neighbours is None else options.neighbours
    lacking = sorted(set(chosen) - set(there))
    if lacking:
        raise ConfigError(f"{lacking[0]} is no other station", where="training.neighbours", fix="leave it out")
    return tuple(chosen)


def require_stations(ds: xr.Dataset, inputs: Sequence[str], options: TrainingOptions) -> None:
    """Refuse options of stations where there are none: they would change nothing.

    Raises
    ------
    ConfigError
        Naming the option.
    """
    parts = _parted(ds, inputs, options)
    seen = parts.series
    there = [name for name in (*inputs[: options.targets], *seen) if ds[name].ndim > 1]
    placed = (parts.ahead or parts.fields) and ds.sizes.get(STATION)  # a station says where on a grid
    if options.station is not None and not there and not placed:
        what = f"is {options.station}, and no series is of several stations"
        raise ConfigError(what, where="training.station", fix="leave it out")
    if options.neighbours and not set(there) & set(seen):
        what = f"are {', '.join(map(str, options.neighbours))}, and no series that is seen is of several stations"
        raise ConfigError(what, where="training.neighbours", fix="leave them out")


def site_of(ds: xr.Dataset, inputs: Sequence[str], options: TrainingOptions, scales: Mapping[str, Scale]) -> Site:
    """Return what models see and forecast, with the scale of each column."""
    parts = _parted(ds, inputs, options)
    own, neighbours = [scales[name] for name in parts.series], _neighbours(ds, parts.series, options)
    others = [scales[name] for name in parts.series if ds[name].ndim > 1 for _ in neighbours]
    return Site(
        seen=options.seen,
        leads=options.leads,
        accumulated=options.accumulated,
        targets=tuple(scales[name] for name in inputs[: options.targets]),
        series=tuple(own + others),
        fields=_fields(ds, parts.fields, scales),
        ahead=_fields(ds, parts.ahead, scales),
        point=nearest_point(ds, parts.ahead[0], options.station) if parts.ahead else None,
        cell=_cell(ds, parts.fields, options.station),
        speed=options.speed,
    )


def _fields(ds: xr.Dataset, names: Sequence[str], scales: Mapping[str, Scale]) -> Fields:
    if not names:
        return Fields()
    rows, columns = ds[names[0]].shape[-2:]
    each = tuple(scales[name] for name in names for _ in range(channels(ds[name])))
    return Fields(rows=rows, columns=columns, scales=each)


def nearest_point(ds: xr.Dataset, field: str, station: int | None) -> tuple[int, int]:
    """Return row and column of the grid point of a field that is nearest to a station.

    Where the station is tell the coordinates ``station_row`` and ``station_column``, in grid points, or
    ``station_latitude`` and ``station_longitude``, in degrees: of each station, or of the only one.

    Raises
    ------
    ConfigError
        If there are several stations, and none is chosen.
    DataError
        If neither pair is there, or the field has no latitudes and longitudes to compare with.
    """
    pair = next((pair for pair in _PLACES if set(pair) <= set(ds.coords)), None)
    if pair is None or (pair == _PLACES[1] and not {"latitude", "longitude"} <= set(ds[field].coords)):
        raise DataError(
            "does not say where the station is on its grid",
            where=field,
            fix="give coordinates station_row and station_column, or station_latitude and station_longitude",
        )
    only = ds[pair[0]].size == 1 and (station is None or not ds[pair[0]].ndim)
    north, east = (float(np.atleast_1d(ds[name].values)[0 if only else _place(ds, station)]) for name in pair)
    if pair == _PLACES[0]:
        row, column = (int(np.rint(value)) for value in (north, east))
        inside = 0 <= row < ds[field].shape[-2] and 0 <= column < ds[field].shape[-1]
    else:
        latitude, longitude = ds["latitude"].values, ds["longitude"].values
        row, column = int(abs(latitude - north).argmin()), int(abs(longitude - east).argmin())
        inside = latitude.min() <= north <= latitude.max() and longitude.min() <= east <= longitude.max()
    if not inside:
        raise DataError(f"does not reach station {station}", where=field, fix="take a larger box, or another station")
    return row, column


def _cell(ds: xr.Dataset, fields: Sequence[str], station: int | None) -> Cell:
    """Return the cell of the fields of the past that the site is in: their middle, where there are no stations."""
    if not fields or (station is None and not any(set(pair) <= set(ds.coords) for pair in _PLACES)):
        return "middle"
    try:
        return nearest_point(ds, fields[0], station)
    except (ConfigError, DataError):
        return "unknown"  # which only those refuse who ask


def available(times: NDArray[np.datetime64], options: TrainingOptions) -> Mask:
    """Return the starts (time,) at which the run is there that the fields of the last lead are of.

    The fields of a time are of the last run before it, or at it. Runs start at midnight and every ``nwp_run_hours``
    from there, and come ``nwp_delay_hours`` late: earlier runs are there whenever the last one is.
    """
    if not options.nwp:
        return np.ones(len(times), bool)
    times = times + TOLERANCE  # a moment before midnight the fields are of the run of midnight already
    last = times + options.leads * np.timedelta64(round(options.step_minutes * 60), "s")
    midnight = last.astype("datetime64[D]")
    hours = (last - midnight) / _HOUR
    run_hour = hours // options.nwp_run_hours * options.nwp_run_hours
    # In seconds: delays need not be whole hours.
    seconds = np.round((run_hour + options.nwp_delay_hours) * 3600).astype("timedelta64[s]")
    return np.asarray(midnight + seconds <= times)


def starts_of(columns: Columns, options: TrainingOptions, *, whole_future: bool, stride: int = 1) -> Index:
    """Return the times from which forecasts start.

    Parameters
    ----------
    columns
        What is seen: all of it is there, in a row.
    options
        How much, and when a prediction is there.
    whole_future
        Whether the times of all leads must be there, or the sum if the target is one; those of a prediction must
        always be.
    stride
        As ``training.stride``: of each row only every so many times from the first possible start on, as far as a
        forecast can start there.
    """
    starts = columns.past.starts(seen=options.seen, leads=0)
    if options.accumulated and whole_future:
        starts = starts[np.isfinite(columns.targets[starts]).all(axis=1)]
    elif whole_future or options.nwp:
        starts = starts[columns.future.after[starts] >= options.leads]
    starts = starts[available(columns.times[starts], options)]
    # Counted from the first possible start of each row: from another one a stride may always meet times of the day at
    # which no run is there.
    rows = starts - columns.past.before[starts]
    _, first, row = np.unique(rows, return_index=True, return_inverse=True)
    kept: Index = starts[(starts - starts[first][row]) % stride == 0]
    return kept
