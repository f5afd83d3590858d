"""Zarr 3 stores: one writer, one reader, so that a missing chunk can never pass for missing data.

Empty chunks are written out, so the manifest's list of files is complete; nothing is ever appended to: new data go
into a new store.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from zarr.codecs import ZstdCodec

from pipeline_lib.io.manifest import Manifest

CHUNK_BYTES = 16 * 2**20
"""Aimed size of an uncompressed chunk."""

_COMPRESSOR = ZstdCodec(level=1, checksum=True)
"""Half to a fifth of the default level's time, at up to a third more bytes; the checksum lets any reader notice a
flipped bit."""

_DATES, _TEXTS = "M", "U"
"""Kinds of numpy's types for dates, and for texts of a fixed length."""
_TIME_ENCODING = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian", "dtype": "int64"}


def time_chunk(*, times: int, cell_bytes: int) -> int:
    """Return how many time steps of ``cell_bytes`` bytes each make a chunk of about :data:`CHUNK_BYTES`."""
    return max(1, min(times, CHUNK_BYTES // max(1, cell_bytes)))


def time_axes(ds: xr.Dataset) -> tuple[str, ...]:
    """Return the dimensions that are times: ``time``, and others whose coordinates hold dates."""
    return tuple(str(d) for d in ds.dims if d == "time" or (d in ds.coords and ds[d].dtype.kind == _DATES))


def encoding_for(ds: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Return the Zarr encoding of each variable: whole maps, chunked in time only, compressed, no packing."""
    encoding: dict[str, dict[str, Any]] = {}
    times = time_axes(ds)
    for name, variable in ds.variables.items():
        if name in times:
            encoding[str(name)] = {**_TIME_ENCODING, "compressors": (_COMPRESSOR,)}
            continue
        options: dict[str, Any] = {
            "_FillValue": np.nan if variable.dtype.kind == "f" and name in ds.data_vars else None,
            "compressors": (_COMPRESSOR,),
        }
        if "_FillValue" in variable.attrs:
            options["_FillValue"] = variable.attrs["_FillValue"]
        along = next((d for d in variable.dims if d in times), None)
        if along is not None:
            others = {d: n for d, n in zip(variable.dims, variable.shape, strict=True) if d != along}
            cell_bytes = int(np.prod(list(others.values()))) * variable.dtype.itemsize
            steps = time_chunk(times=ds.sizes[along], cell_bytes=cell_bytes)
            options["chunks"] = tuple(others.get(d, steps) for d in variable.dims)
        encoding[str(name)] = options
    return encoding


def write_zarr(ds: xr.Dataset, path: Path, *, attrs: Mapping[str, Any] | None = None, in_order: bool = False) -> None:
    """Write a dataset as a new Zarr 3 store, every chunk included.

    Lazily computed variables are computed with Dask, chunk by chunk.

    Parameters
    ----------
    ds, path
        What is written, and where.
    attrs
        Attributes of the store in place of those of ``ds``.
    in_order
        Compute blocks of time one after the other; Dask has an order of its own, and the bytes are the same.
    """
    # Texts of a fixed length have no place in the Zarr 3 specification: other readers need not know them.
    texts = {name: v.astype(object) for name, v in ds.variables.items() if v.dtype.kind == _TEXTS}
    coordinates = {name: v for name, v in texts.items() if name in ds.coords}
    ds = ds.assign_coords(coordinates).assign({name: v for name, v in texts.items() if name not in coordinates})
    encoding = encoding_for(ds)
    chunked = ds.copy()
    for name, options in encoding.items():
        if "chunks" in options and chunked[name].chunks is not None:
            chunked[name] = chunked[name].chunk(dict(zip(chunked[name].dims, options["chunks"], strict=True)))
        chunked[name].encoding = {}
        chunked[name].attrs = {k: v for k, v in chunked[name].attrs.items() if k != "_FillValue"}
    if attrs is not None:
        chunked.attrs = dict(attrs)
    lazy = ds[[name for name in ds.data_vars if in_order and "time" in ds[name].dims and ds[name].chunks is not None]]
    lazy = lazy.unify_chunks()
    with warnings.catch_warnings():
        # Consolidated metadata are an extension that every reader of today knows; stores are never appended to.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        new = partial(chunked.to_zarr, path, mode="w", zarr_format=3, consolidated=True, encoding=encoding)
        if not lazy.data_vars:
            new(write_empty_chunks=True)
            return
        new(write_empty_chunks=True, compute=False)
        fill: dict[str, Any] = {"mode": "r+", "consolidated": True, "write_empty_chunks": True}
        others = [name for name in ds.data_vars if name not in lazy and ds[name].chunks is not None]
        if others:
            chunked[others].drop_vars(chunked[others].coords).to_zarr(path, **fill)
        for begin, part in _stretches(lazy, math.lcm(*(encoding[str(name)]["chunks"][0] for name in lazy.data_vars))):
            part.to_zarr(path, region={"time": slice(begin, begin + part.sizes["time"])}, **fill)


def _stretches(lazy: xr.Dataset, chunk: int) -> Iterator[tuple[int, xr.Dataset]]:
    """Give where stretches of whole chunks begin, and what is in them, each block of Dask computed once, in order."""
    held: list[xr.Dataset] = []
    begin = end = 0
    for length in lazy.chunks.get("time", ()):
        held.append(lazy.isel(time=slice(end, end + length)).drop_vars(lazy.coords).compute())
        end += length
        whole = end - begin if end == lazy.sizes["time"] else (end - begin) // chunk * chunk
        if whole:
            joined = xr.concat(held, "time")
            yield begin, joined.isel(time=slice(0, whole))
            held, begin = [joined.isel(time=slice(whole, None))], begin + whole


def open_store(manifest: Manifest, name: str, *, chunks: Mapping[str, int] | None = None) -> xr.Dataset:
    """Open a Zarr store that a manifest vouches for; ``chunks`` makes it a lazy Dask dataset."""
    lazily = None if chunks is None else dict(chunks)
    opened: xr.Dataset = xr.open_zarr(manifest.file(name), chunks=lazily, consolidated=True)
    return opened
