"""Counts per date as one long table, so that anything that reads Parquet can check a score."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

from pipeline_lib.errors import StoreError

_FIXED = ("count", "time", "value")


def write_counts(counts: xr.Dataset, path: Path) -> None:
    """Write counts as Parquet: a row per value, with the columns ``count`` (its name), ``time`` and ``value``.

    Each further dimension of a count is a column of its own, empty for counts without that dimension.
    """
    parts = []
    for name, variable in counts.data_vars.items():
        part = variable.transpose("time", ...).to_series().rename("value").reset_index()
        parts.append(part.assign(count=str(name)))
    table = pd.concat(parts, ignore_index=True)
    extra = sorted(set(table.columns) - set(_FIXED))
    table = table.astype(dict.fromkeys(extra, "Int32") | {"count": "category"})
    table = table[["count", "time", *extra, "value"]]
    # Columns know no order of dimensions, and metrics sum over axes.
    table.attrs["dims"] = {str(n): [str(d) for d in v.dims if d != "time"] for n, v in counts.data_vars.items()}
    table.to_parquet(path, index=False)


def read_counts(path: Path) -> xr.Dataset:
    """Read what :func:`write_counts` wrote.

    Raises
    ------
    StoreError
        If the file is not such a table.
    """
    try:
        table = pd.read_parquet(path)
        variables = {}
        for name, part in table.groupby("count", observed=True):
            used = table.attrs["dims"][str(name)]
            indexed = part.astype(dict.fromkeys(used, "int64")).set_index(["time", *used])["value"]
            variables[str(name)] = indexed.to_xarray()
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"is not a table of counts: {error}", where=str(path), fix="run the score stage again"
        ) from error
    return xr.Dataset(variables)
