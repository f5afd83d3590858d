"""What a labeller is, and what it returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from pipeline_lib.errors import DataError
from pipeline_lib.ocean.eddies.table import EDDY_SCHEMA, empty_table
from pipeline_lib.options import Options

CLASS_MEANINGS = ("none", "anticyclonic", "cyclonic")
"""Meaning of the codes 0, 1 and 2."""

LABEL_SCHEMA: dict[str, str] = {"time": "datetime64[ns]", **EDDY_SCHEMA}
"""Columns of :attr:`Labels.eddies` and their types."""

_DIMS = ("time", "latitude", "longitude")


@dataclass(frozen=True)
class Labels:
    """Labels of a series of maps.

    Attributes
    ----------
    classes
        Class of each cell, int8 (time, latitude, longitude), with CF ``flag_values`` and ``flag_meanings``.
    eddies
        One row per eddy and time, columns :data:`LABEL_SCHEMA`, ordered by time.
    """

    classes: xr.DataArray
    eddies: pd.DataFrame


class Labeller(Protocol):
    """A class with these names can be registered as a labeller; its docstring says what it does."""

    Options: ClassVar[type[Options]]
    needs: ClassVar[tuple[str, ...]]

    @staticmethod
    def label(ds: xr.Dataset, options: Any) -> Labels:  # noqa: ANN401 - each labeller has its own Options
        """Label all maps of ``ds``, which holds the variables ``needs`` on (time, latitude, longitude)."""
        ...


def check_input(ds: xr.Dataset, needs: Sequence[str]) -> None:
    """Refuse a dataset without the variables a labeller needs, or with other dimensions.

    Raises
    ------
    DataError
        Naming the first thing that is missing.
    """
    for name in needs:
        if name not in ds:
            raise DataError(f"variable {name!r} is missing", fix=f"the labeller needs {', '.join(needs)}")
        if ds[name].dims != _DIMS:
            raise DataError(f"dimensions are {ds[name].dims}", where=name, fix=f"transpose to {_DIMS}")


def make_labels(
    ds: xr.Dataset, classes: Iterable[NDArray[np.int8]], tables: Iterable[pd.DataFrame], **attributes: str
) -> Labels:
    """Assemble class maps and eddy tables, one of each per time of ``ds``, into :class:`Labels`."""
    maps = list(classes)
    shape = (len(maps), ds.sizes["latitude"], ds.sizes["longitude"])
    data = xr.DataArray(
        np.stack(maps) if maps else np.zeros(shape, np.int8),
        dims=_DIMS,
        coords={name: ds[name] for name in _DIMS},
        name="eddy_class",
        attrs={
            "long_name": "class of eddy at the cell centre",
            "flag_values": np.arange(len(CLASS_MEANINGS), dtype=np.int8),
            "flag_meanings": " ".join(CLASS_MEANINGS),
            **attributes,
        },
    )
    stamped = [
        table.assign(time=np.datetime64(time, "ns")) for time, table in zip(ds["time"].values, tables, strict=True)
    ]
    filled = [table for table in stamped if len(table)]
    whole = pd.concat(filled, ignore_index=True) if filled else empty_table().assign(time=np.datetime64("NaT", "ns"))
    return Labels(data, whole[list(LABEL_SCHEMA)].astype(LABEL_SCHEMA))
