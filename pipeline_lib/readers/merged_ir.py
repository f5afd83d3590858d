"""Brightness temperatures of the merged geostationary infrared composite of NCEP: one netCDF-4 file per hour.

``merg_<yyyymmddHH>_4km-pixel.nc4`` holds ``Tb`` (time, lat, lon) in kelvin at the hour and half an hour later (layout
read in public code and documentation, not on a file of ours).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_lib.errors import DataError
from pipeline_lib.readers.netcdf import NetCDF
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import xarray as xr

_NAME = re.compile(r"^merg_(\d{4})(\d{2})(\d{2})(\d{2})_4km-pixel\.nc4?$")
_HALF_HOUR = np.timedelta64(30, "m")


@READERS.register("merged_ir")
class MergedIr:
    """Brightness temperature in K, each file held against the hour in its name."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Read one value of each variable, and the times."""
        NetCDF.check(file, variables)
        _checked(file.name, NetCDF.open([file])[file.name])

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open each file as a dataset of its own."""
        return {name: _checked(name, ds) for name, ds in NetCDF.open(files).items()}


def _checked(name: str, ds: xr.Dataset) -> xr.Dataset:
    """Return a file's dataset if it holds the hour of its name, one frame or both."""
    found = _NAME.match(name)
    if found is None:
        raise DataError("is not called merg_<yyyymmddHH>_4km-pixel.nc4", where=name, fix="is the file renamed?")
    if "time" not in ds.coords or ds.time.dtype.kind != "M":
        raise DataError("has no times", where=name, fix="fetch it again")
    try:
        hour = np.datetime64("{}-{}-{}T{}".format(*found.groups()), "ns")
    except ValueError as error:
        raise DataError("is not called after an hour", where=name) from error
    times = np.atleast_1d(ds.time.values).astype("datetime64[ns]")
    # Stored as days, times are off by less than a second.
    off = np.abs(times[:, np.newaxis] - [hour, hour + _HALF_HOUR]).min(axis=1)
    if (off > np.timedelta64(1, "s")).any():
        raise DataError(
            f"holds {times[off.argmax()]:.16}, not as its name says", where=name, fix="is the file renamed?"
        )
    exact = hour + np.round((times - hour) / _HALF_HOUR).astype("int64") * _HALF_HOUR
    return ds.assign_coords(time=exact if ds.time.ndim else exact[0])
