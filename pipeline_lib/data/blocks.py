"""Data in blocks of time, so that memory does not grow with the length of a file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.data.canonical import check_values
from pipeline_lib.data.forms import Form
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.io.zarr_store import CHUNK_BYTES, time_chunk

_STORED_BYTES = 4
"""Datasets hold float32."""
_MOST_BYTES = 8 * CHUNK_BYTES
"""Beyond that, whole chunks of a file are not read across the map."""


def in_blocks(ds: xr.Dataset) -> xr.Dataset:
    """Make what was read from a file lazy, in blocks of the length that is written.

    A block holds whole chunks of the file, so that each is decoded once. Where a file is chunked along time so far that
    this would take much memory, its own chunks are the blocks.
    """
    for name, variable in ds.data_vars.items():
        if not variable.ndim:
            continue
        slowest, size = variable.dims[0], variable.shape[0]
        cells = variable.size // max(1, size)
        steps = time_chunk(times=size, cell_bytes=cells * _STORED_BYTES)
        own = variable.encoding.get("preferred_chunks", {})
        together = own.get(slowest, 1)
        if together * cells * variable.dtype.itemsize > _MOST_BYTES:
            ds[name] = variable.chunk(own)
        else:
            ds[name] = variable.chunk({slowest: max(steps // together * together, together)})
    return ds


def time_blocks(variable: xr.DataArray) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Give stretches of time and the values in them, one after the other, reading every chunk of a store once."""
    lengths = variable.chunksizes.get("time", (variable.sizes["time"],))
    for end, length in zip(accumulate(lengths), lengths, strict=True):
        part = slice(end - length, end)
        yield part, variable.isel(time=part).values


def checked(ds: xr.Dataset, variables: Mapping[str, VariableSpec], *, where: str, form: Form = "maps") -> xr.Dataset:
    """Return a lazy dataset of whole maps or states whose values are checked against their contract as they are read.

    Raises
    ------
    DataError
        When a block is computed that breaks the contract; see :func:`~pipeline_lib.data.canonical.check_values`.
    """
    others = {str(dim): size for dim, size in ds.sizes.items() if dim != "time"}
    # Series and fields that lie beside each other do not lie on all axes together.
    cells = max(math.prod(n for d, n in variable.sizes.items() if d != "time") for variable in ds.data_vars.values())
    steps = time_chunk(times=ds.sizes["time"], cell_bytes=cells * _STORED_BYTES)
    ds = ds.chunk({"time": steps, **dict.fromkeys(others, -1)})
    checking: xr.Dataset = ds.map_blocks(_checked, args=[dict(variables), where, form], template=ds)
    return checking


def _checked(block: xr.Dataset, variables: Mapping[str, VariableSpec], where: str, form: Form) -> xr.Dataset:
    check_values(block, variables, where=where, form=form)
    return block
