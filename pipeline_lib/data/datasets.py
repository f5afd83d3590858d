"""Opening the stored periods of a dataset, of labels or of a product as one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
import xarray as xr

from pipeline_lib.data.forms import GAPPY
from pipeline_lib.data.periods import day_of, overlaps
from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.io.zarr_store import open_store, time_axes


def concat_times(parts: Sequence[xr.Dataset], *, where: Sequence[str]) -> xr.Dataset:
    """Join datasets along time, in order of time; what lies along another axis of times is joined along that.

    Raises
    ------
    DataError
        If there is none, or one has another grid than the first; ``where`` names each.
    """
    if not parts:
        raise DataError("no period is given", where="manifests")
    times = time_axes(parts[0])
    for part, name in zip(parts, where, strict=True):
        if differing := _differing(part, parts[0], times):
            what = f"{differing} is not along the times of {where[0]}"
            raise DataError(what, where=name, fix="make all periods again by the same version")
        for axis in sorted(map(str, set(parts[0].dims) - set(times))):
            if not np.array_equal(part[axis].values, parts[0][axis].values):
                raise DataError(f"{axis} differs from that of {where[0]}", where=name, fix="regrid it first")
    joined = [_joined([part.drop_dims(set(times) - {axis}) for part in parts], axis) for axis in times]
    return xr.merge(joined, join="exact", compat="override", combine_attrs="override") if joined[1:] else joined[0]


def require_once(ds: xr.Dataset, *, where: str) -> None:
    """Refuse a time that occurs twice in what was joined: nobody knows which of the two is meant.

    Raises
    ------
    DataError
        Naming the first one.
    """
    times, counts = np.unique(ds["time"].values, return_counts=True)
    twice = times[counts > 1]
    if twice.size:
        more = f", and {twice.size - 1} more do" if twice.size > 1 else ""
        raise DataError(f"{twice[0]:.19} occurs in two files{more}", where=where, fix="remove one of them")


def _differing(part: xr.Dataset, first: xr.Dataset, times: Sequence[str]) -> str:
    """Return a variable that cannot be joined to that of the first dataset along one axis of times; else nothing."""
    along = {*times, *time_axes(part)}
    for name in sorted(set(map(str, part.data_vars)) & set(map(str, first.data_vars))):
        found, expected = (along & set(map(str, ds[name].dims)) for ds in (part, first))
        if found != expected or len(found) > 1:
            return name
    return ""


def _joined(parts: Sequence[xr.Dataset], axis: str) -> xr.Dataset:
    """Join datasets along the one axis of times that they have; empty ones add nothing."""
    ordered = sorted((part for part in parts if part.sizes[axis]), key=lambda part: part[axis].values[0])
    if len(ordered) < 2:
        return ordered[0] if ordered else parts[0]
    return xr.concat(ordered, dim=axis, join="exact", combine_attrs="override").sortby(axis)


def open_days(manifests: Sequence[Manifest], start: date, end: date, *, every_day: bool = True) -> xr.Dataset:
    """Open the stores of several periods as one lazy dataset, cut to the days from ``start`` to ``end``.

    Where one of them is a ``datetime``, it is the first or the last moment that counts.

    Raises
    ------
    DataError
        If the periods that are needed have different grids, or a day of the range is in none of them: unless not
        ``every_day`` must be there, or they hold frames or series of stations, of which any may be missing.
    """
    used = [m for m in manifests if overlaps(m.content["period"], day_of(start), day_of(end))] or manifests[:1]
    parts = [open_store(m, f"{m.content['period']}.zarr", chunks={}) for m in used]
    ds = concat_times(parts, where=[str(manifest.path) for manifest in used])
    stop = np.datetime64(end, "ns")
    if not isinstance(end, datetime):
        stop = stop + np.timedelta64(1, "D") - np.timedelta64(1, "ns")
    ds = ds.sel(time=slice(np.datetime64(start, "ns"), stop))
    days = np.unique(ds.time.values.astype("datetime64[D]"))
    wanted = np.arange(np.datetime64(start, "D"), np.datetime64(end, "D") + 1)
    missing = np.setdiff1d(wanted, days)
    if missing.size and every_day and any(m.content.get("form") not in GAPPY for m in used):
        raise DataError(f"holds no data for {missing[0]}", where=", ".join(str(m.path) for m in manifests))
    return ds
