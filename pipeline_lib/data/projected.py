"""Frames on a projected grid: axes ``y`` and ``x`` in metres, both ascending."""

from __future__ import annotations

import numpy as np
import xarray as xr

from pipeline_lib.data.units import conversion, parse_unit
from pipeline_lib.errors import DataError

AXES = ("y", "x")
PROJECTION = "proj4"
"""Attribute of both axes that holds the projection in PROJ's words, where it is known."""
_METRE = "m"


def is_projected(ds: xr.Dataset) -> bool:
    """Whether a dataset has coordinates ``y`` and ``x`` that are lengths."""
    return all(name in ds.coords and _is_length(ds[name].attrs.get("units")) for name in AXES)


def _is_length(unit: object) -> bool:
    try:
        return parse_unit(str(unit)).canonical == _METRE
    except DataError:
        return False


def canonical_plane(ds: xr.Dataset, where: str) -> xr.Dataset:
    """Bring axes of a projection into canonical form: metres, strictly ascending; a series of numbers has time alone.

    Raises
    ------
    DataError
        If a variable lies on other axes, or an axis is not a line of different finite numbers.
    """
    for name, variable in ds.data_vars.items():
        if variable.dims not in {("time", *AXES), ("time",)}:
            raise DataError(f"{name} has dimensions {variable.dims}", where=where, fix="frames are (time, y, x)")
    for axis in AXES:
        attrs = ds[axis].attrs
        rule = conversion(str(attrs["units"]), _METRE, where=f"{where}: {axis}")
        values = ds[axis].values.astype("float64") * rule.factor
        if values.ndim != 1 or not np.isfinite(values).all() or np.unique(values).size != values.size:
            raise DataError(f"{axis} is not a line of different finite numbers", where=where)
        kept = {PROJECTION: attrs[PROJECTION]} if PROJECTION in attrs else {}
        names = {"standard_name": f"projection_{axis}_coordinate", "long_name": f"{axis} of the projection"}
        new = xr.DataArray(values, dims=axis, attrs={**names, "units": _METRE, "axis": axis.upper(), **kept})
        ds = ds.assign_coords({axis: new}).sortby(axis)
    return ds
