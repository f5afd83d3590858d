"""Raw files of one period to one verified, analysis-ready Zarr store."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pipeline_lib.data.blocks import checked, in_blocks
from pipeline_lib.data.canonical import canonicalise
from pipeline_lib.data.datasets import concat_times, require_once
from pipeline_lib.data.forms import GAPPY, Form
from pipeline_lib.data.grids import grid_step, space_axes
from pipeline_lib.data.periods import bounds, expected_times
from pipeline_lib.data.projected import PROJECTION
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.errors import ConfigError, DataError
from pipeline_lib.io.manifest import Artefact, Manifest, read_manifest
from pipeline_lib.io.zarr_store import write_zarr
from pipeline_lib.options import Options
from pipeline_lib.parallel import THREADS, DaskOptions, dask_workers
from pipeline_lib.preparations.registry import PREPARATIONS
from pipeline_lib.readers.registry import READERS

logger = logging.getLogger(__name__)

_PACKAGES = ("dask", "h5netcdf", "h5py", "numba", "scipy")


@dataclass(frozen=True)
class Delivery:
    """What a source delivers.

    Attributes
    ----------
    variables
        Contract of each variable, by canonical name.
    coverage
        First and last day; no end means open.
    step_hours
        Time step; frames may be missing, even all, and lie between the steps.
    form
        Whether it holds maps, states, frames or stations.
    reader
        Registered reader of the raw files.
    """

    variables: Mapping[str, VariableSpec]
    coverage: tuple[date, date | None]
    step_hours: float
    form: Form = "maps"
    reader: str = "netcdf"


def preprocess_period(
    *,
    raw: Path,
    output: Path,
    period: str,
    delivery: Delivery,
    preparation: str,
    preparation_options: Options,
    code: str,
    threads: int = 1,
    workers: DaskOptions = THREADS,
) -> None:
    """Write the dataset of one period.

    Parameters
    ----------
    raw
        Manifest of the fetched part that holds the period.
    output
        Manifest to write; the store ``<period>.zarr`` comes to lie beside it.
    delivery
        What the raw files must hold.
    preparation, preparation_options
        Registered preparation that makes the dataset's variables.
    threads, workers
        Dask threads, or workers in their place; the result does not depend on them.

    Raises
    ------
    ConfigError
        If the source does not cover the period, or the workers cannot be used.
    WorkerError
        If a worker is lost.
    DataError
        If the raw files do not keep the contract or lack a time step of the period.
    StoreError
        If the raw part does not match its manifest, or the disk refuses.
    """
    start, end = _days(period, delivery.coverage)
    fetched = read_manifest(raw, kind="raw")
    files = [fetched.file(name) for name in fetched.payloads]
    prepare = PREPARATIONS.get(preparation)
    with (
        Artefact(output, kind="dataset", code=code, packages=_PACKAGES) as out,
        dask_workers(workers, threads=threads),
    ):
        out.add_input("raw", fetched)
        delivered = open_files(files, delivery, start=start, end=end)
        ds = prepare.prepare(delivered, preparation_options)
        _write(ds, out.payload(f"{period}.zarr"), fetched)
        out.options = {"preparation": preparation, **preparation_options.model_dump(mode="json")}
        out.content = {"period": period, **_facts(ds, delivered, delivery), **_status(fetched.content)}
    cells = " x ".join(map(str, out.content["shape"]))
    logger.info("%s: %d %s of %s values", output, ds.sizes["time"], delivery.form, cells)


def _facts(ds: xr.Dataset, delivered: xr.Dataset, delivery: Delivery) -> dict[str, Any]:
    """What the manifest says of the store and of what it was made from."""
    variables, form = delivery.variables.items(), delivery.form
    return {
        "form": form,
        "times": int(ds.sizes["time"]),
        "shape": [int(ds.sizes[d]) for d in space_axes(ds)],
        "grid_step": [grid_step(ds[axis].values) for axis in space_axes(ds)] if form in ("maps", "frames") else [],
        **_projection(ds),
        "units": {str(name): str(ds[name].attrs["units"]) for name in ds.data_vars},
        "variables": {name: spec.model_dump(mode="json", exclude={"name"}) for name, spec in variables},
        "delivered_units": {n: delivered[n].attrs.get("delivered_units", spec.units) for n, spec in variables},
    }


def _projection(ds: xr.Dataset) -> dict[str, str]:
    """Return the projection of the axes, where it is known."""
    told = [ds[axis].attrs[PROJECTION] for axis in space_axes(ds) if PROJECTION in ds[axis].attrs]
    return {"projection": str(told[0])} if told else {}


def _days(period: str, coverage: tuple[date, date | None]) -> tuple[date, date]:
    """First and last day of a period that the source covers."""
    first, last = bounds(period)
    start, end = max(first, coverage[0]), min(last, coverage[1] or last)
    if end < start:
        span = f"from {coverage[0]}" + (f" to {coverage[1]}" if coverage[1] else " on")
        raise ConfigError(f"{period} is not covered", where="--period", fix=f"ask for a month {span}")
    return start, end


def _write(ds: xr.Dataset, store: Path, fetched: Manifest) -> None:
    """Compute and write the store; tell a raw file that cannot be read from a disk that cannot be written."""
    try:
        write_zarr(ds, store, attrs=_provenance(fetched.content))
    except OSError as error:
        if error.errno is not None:
            raise
        # The HDF5 library has no error number for a chunk that it cannot decode.
        raise DataError(
            f"cannot be read: {error}",
            where=", ".join(fetched.payloads),
            fix="the provider's file is damaged: fetch it again",
        ) from error


def open_files(files: list[Path], delivery: Delivery, *, start: date, end: date) -> xr.Dataset:
    """Open raw files lazily, in canonical form, cut to the days wanted; values are checked as they are read.

    Raises
    ------
    DataError
        If a file is not readable, the files lie on different grids, or a time step is missing or extra.
    """
    variables, form = delivery.variables, delivery.form
    where = files[0].parent.name if len(files) > 1 else files[0].name
    opened = READERS.get(delivery.reader).open(files)
    parts = [
        canonicalise(in_blocks(_dated(part, start, end)), variables, where=name, form=form)
        for name, part in opened.items()
    ]
    ds = concat_times(parts, where=list(opened))
    ds = ds.sel(time=_span(start, end))
    if form in GAPPY:
        require_once(ds, where=where)  # which follow one another closely enough is for those to say who use them
        if not ds.sizes["time"]:
            logger.warning("%s: there is no frame from %s to %s: the period is empty", where, start, end)
    else:
        _check_times(ds, expected_times(start, end, delivery.step_hours), where)
    return checked(ds, variables, where=where, form=form)


def _dated(ds: xr.Dataset, start: date, end: date) -> xr.Dataset:
    """Cut a file to the days wanted; give one without any time the day that the source declares, if that is one."""
    if start == end and "time" not in ds.coords and ds.sizes.get("time", 1) == 1:
        one_map = ds.squeeze("time") if "time" in ds.dims else ds
        return one_map.expand_dims(time=[np.datetime64(start, "ns")])
    for name, index in ds.indexes.items():
        if index.dtype.kind == "M" and index.is_monotonic_increasing:
            days = ds.sel({name: _span(start, end)})
            ds = days if days.sizes[name] else ds
    return ds


def _span(start: date, end: date) -> slice:
    """All times from the first to the last day, for ``sel``."""
    after = np.datetime64(end, "ns") + np.timedelta64(1, "D")
    return slice(np.datetime64(start, "ns"), after - np.timedelta64(1, "ns"))


def _check_times(ds: xr.Dataset, expected: np.ndarray, where: str) -> None:
    times = ds.time.values
    missing = np.setdiff1d(expected, times)
    if missing.size:
        more = f" and {missing.size - 1} more" if missing.size > 1 else ""
        raise DataError(
            f"{missing[0]:.16} is missing{more}", where=where, fix="fetch it again, or shorten the coverage"
        )
    extra = np.setdiff1d(times, expected)
    if extra.size:
        raise DataError(f"{extra[0]:.16} is not on the declared time step", where=where, fix="correct time.step_hours")
    require_once(ds, where=where)


def _provenance(content: Mapping[str, object]) -> dict[str, str]:
    keys = ("source", "citation", "licence")
    stated = {key: str(content[key]) for key in keys if key in content}
    return {"Conventions": "CF-1.11"} | stated | _status(content)


def _status(content: Mapping[str, object]) -> dict[str, str]:
    """Say of data that are not final that they are not; of others nothing."""
    return {"data_status": "preliminary"} if content.get("preliminary") else {}
