"""Which periods lie complete inside raw files, and a digest of each period's share.

For a source in one growing file: what changed in it concerns only the periods whose share has another digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date

import numpy as np
import xarray as xr

from pipeline_lib.catalog import Source
from pipeline_lib.data.canonical import canonicalise
from pipeline_lib.data.datasets import concat_times
from pipeline_lib.data.periods import expected_times
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.errors import DataError
from pipeline_lib.io.manifest import Manifest

_DIGITS = 20


def shares(source: Source, fetched: Manifest) -> dict[str, str]:
    """Return a digest of each period that is complete in a raw part, by period.

    Parameters
    ----------
    source
        The catalog entry.
    fetched
        Manifest of the raw part.

    Raises
    ------
    DataError
        If the files cannot be read or brought into canonical form.
    """
    ds = _open(fetched, source.variables)
    times = ds.time.values
    last = date.fromisoformat(str(times[-1].astype("datetime64[D]")))
    found = {}
    for period in source.periods(source.time.start, min(last, source.time.end or last)):
        expected = expected_times(*source.days(period), source.time.step_hours)
        if np.isin(expected, times).all():
            found[period] = _digest(ds.sel(time=expected))
    return found


def _open(fetched: Manifest, variables: Mapping[str, VariableSpec]) -> xr.Dataset:
    parts = []
    for name in fetched.payloads:
        try:
            opened = xr.open_dataset(fetched.file(name), engine="h5netcdf", chunks={})
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"is not a readable netCDF file: {error}", where=name, fix="fetch it again") from error
        parts.append(canonicalise(opened, variables, where=name))
    return concat_times(parts, where=fetched.payloads)


def _digest(ds: xr.Dataset) -> str:
    """Digest of a period's grid, values, units and days."""
    digest = hashlib.sha256()
    for name in sorted(map(str, ds.variables)):
        values = np.ascontiguousarray(ds[name].values)
        digest.update(f"{name} {ds[name].attrs.get('delivered_units')} {values.dtype} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:_DIGITS]
