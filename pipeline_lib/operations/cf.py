"""Does a product keep the CF conventions? The community's checker is asked where it is installed."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from pipeline_lib.data.projected import AXES as PLANE
from pipeline_lib.errors import DataError
from pipeline_lib.io.zarr_store import time_axes

logger = logging.getLogger(__name__)

CHECKER = "compliance-checker"
CONVENTIONS = "cf:1.11"
_MAPS = 2
"""Maps that are handed to the checker: it looks at metadata and coordinates."""


def check_series(ds: xr.Dataset, *, where: str) -> None:
    """Check what a checker of single files cannot know: one axis of strictly increasing times, finite coordinates.

    Raises
    ------
    DataError
        Naming the first time that is out of order, or the coordinate.
    """
    steps = np.diff(ds.time.values)
    wrong = np.flatnonzero(steps <= np.timedelta64(0))
    if wrong.size:
        raise DataError(f"{ds.time.values[wrong[0] + 1]:.16} does not follow the time before it", where=where)
    for name in sorted(str(name) for name in ds.indexes if np.issubdtype(ds[name].dtype, np.floating)):
        if not np.isfinite(ds[name].values).all():
            raise DataError(f"{name} is not finite", where=where)


def in_order(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset with the dimensions of its variables as CF recommends (section 2.4): time and space last."""
    last = [name for name in ("time", *PLANE, "latitude", "longitude") if name in ds.dims]
    return ds.transpose(*(name for name in ds.dims if name not in last), *last)


def check_conventions(store: Path) -> bool:
    """Run the CF checker on the first maps of a Zarr store; return whether there is one.

    Raises
    ------
    DataError
        With the checker's own words if it finds something.
    """
    checker = shutil.which(CHECKER, path=str(Path(sys.executable).parent)) or shutil.which(CHECKER)
    if checker is None:
        logger.warning("%s is not installed, so CF was not checked: pip install %s", CHECKER, CHECKER)
        return False
    with tempfile.TemporaryDirectory(prefix="gyre-cf-") as folder:
        file = Path(folder) / "maps.nc"
        whole = xr.open_zarr(store, mask_and_scale=False)
        _as_netcdf(whole.isel(dict.fromkeys(time_axes(whole), slice(0, _MAPS))).load(), file)
        done = subprocess.run(  # noqa: S603 - no shell
            [checker, "--test", CONVENTIONS, "--criteria", "strict", str(file)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode != 0 or "All tests passed!" not in done.stdout:
        words = " ".join(line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip())
        raise DataError(f"does not keep {CONVENTIONS}: {words}", where=str(store))
    return True


def _as_netcdf(ds: xr.Dataset, path: Path) -> None:
    """Write what a store holds as netCDF; Zarr keeps attributes as JSON, which has one kind of integer only."""
    for variable in ds.variables.values():
        for name in {"flag_values", "_FillValue"} & set(variable.attrs):
            variable.attrs[name] = np.asarray(variable.attrs[name], variable.dtype)
    plain = {str(name): {"_FillValue": None} for name in ds.variables if "_FillValue" not in ds[name].attrs}
    ds.to_netcdf(path, engine="h5netcdf", encoding=plain)
