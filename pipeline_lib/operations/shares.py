"""Which periods lie complete inside raw files, and a digest of each period's share.

For a source in one growing file: what changed in it concerns only the periods whose share has another digest.
"""

from __future__ import annotations

import hashlib
from datetime import date

import numpy as np
import xarray as xr

from pipeline_lib.catalog import Source
from pipeline_lib.data.blocks import in_blocks
from pipeline_lib.data.canonical import canonicalise
from pipeline_lib.data.datasets import concat_times
from pipeline_lib.data.forms import GAPPY, Form
from pipeline_lib.data.periods import expected_times
from pipeline_lib.io.manifest import Manifest
from pipeline_lib.readers.registry import READERS

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
    ds = _open(fetched, source)
    times = ds.time.values
    last = date.fromisoformat(str(times[-1].astype("datetime64[D]")))
    found = {}
    for period in source.periods(source.time.start, min(last, source.time.end or last)):
        expected = expected_times(*source.days(period), source.time.step_hours)
        there = _complete(times, expected, source.block.form)
        if there is not None:
            found[period] = _digest(ds.sel(time=there))
    return found


def _complete(times: np.ndarray, expected: np.ndarray, form: Form) -> np.ndarray | None:
    """Return the times of a period if it is complete, ``None`` otherwise.

    Of frames and stations any may be missing, all of them too: a period is complete once its last time step or a later
    one has come.
    """
    if form in GAPPY:
        within = (times >= expected[0]) & (times < expected[-1].astype("datetime64[D]") + np.timedelta64(1, "D"))
        return times[within] if times[-1] >= expected[-1] else None
    return expected if np.isin(expected, times).all() else None


def _open(fetched: Manifest, source: Source) -> xr.Dataset:
    opened = READERS.get(source.reader).open([fetched.file(name) for name in fetched.payloads])
    parts = [
        canonicalise(in_blocks(part), source.variables, where=name, form=source.block.form)
        for name, part in opened.items()
    ]
    return concat_times(parts, where=list(opened))


def _digest(ds: xr.Dataset) -> str:
    """Digest of a period's grid, values, units and days."""
    digest = hashlib.sha256()
    for name in sorted(map(str, ds.variables)):
        values = np.ascontiguousarray(ds[name].values)
        digest.update(f"{name} {ds[name].attrs.get('delivered_units')} {values.dtype} {values.shape}\n".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:_DIGITS]
