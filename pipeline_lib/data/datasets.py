"""Opening the stored periods of a dataset, of labels or of a product as one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import xarray as xr

from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.io.zarr_store import open_store


def open_days(manifests: Sequence[Manifest], start: date, end: date) -> xr.Dataset:
    """Open the stores of several periods as one lazy dataset, cut to the days from ``start`` to ``end``.

    Raises
    ------
    DataError
        If the periods have different grids, or a day of the range is in none of them.
    """
    parts = [open_store(m, f"{m.content['period']}.zarr", chunks={}) for m in manifests]
    parts.sort(key=lambda part: part.time.values[0])
    for part, manifest in zip(parts, manifests, strict=True):
        for axis in ("latitude", "longitude"):
            if not np.array_equal(part[axis].values, parts[0][axis].values):
                raise DataError(f"{axis} differs from the first period's", where=str(manifest.path))
    ds = xr.concat(parts, dim="time", join="exact", combine_attrs="override") if len(parts) > 1 else parts[0]
    stop = np.datetime64(end, "ns") + np.timedelta64(1, "D") - np.timedelta64(1, "ns")
    ds = ds.sel(time=slice(np.datetime64(start, "ns"), stop))
    days = np.unique(ds.time.values.astype("datetime64[D]"))
    wanted = np.arange(np.datetime64(start, "D"), np.datetime64(end, "D") + 1)
    missing = np.setdiff1d(wanted, days)
    if missing.size:
        raise DataError(f"holds no data for {missing[0]}", where=", ".join(str(m.path) for m in manifests))
    return ds
