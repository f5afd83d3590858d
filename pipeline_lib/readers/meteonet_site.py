"""Stations and weather predictions of MeteoNet as one source: series and fields, at the times that both have.

Files are those of :mod:`~pipeline_lib.readers.meteonet_stations` (``.csv``) and of
:mod:`~pipeline_lib.readers.meteonet_nwp` (``.grib``). Predictions are hourly: of what stations say ten times an hour,
the full hour is left. Nothing is interpolated, neither in time nor to the places of the stations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline_lib.data.datasets import concat_times
from pipeline_lib.errors import DataError
from pipeline_lib.readers.meteonet_nwp import PARAMETERS, MeteonetNwp
from pipeline_lib.readers.meteonet_stations import UNITS, MeteonetStations
from pipeline_lib.readers.promises import check_variables
from pipeline_lib.readers.registry import READERS

if TYPE_CHECKING:
    import xarray as xr

_STATIONS, _PREDICTIONS = ".csv", ".grib"
_FIELDS = tuple(parameter.name for parameter in PARAMETERS.values())


@READERS.register("meteonet_site")
class MeteonetSite:
    """Series (time, station) beside fields (time, latitude, longitude) of one model and domain."""

    @staticmethod
    def check(file: Path, variables: Sequence[str]) -> None:
        """Let the reader of its kind look into the file."""
        check_variables(file, variables, (*UNITS, *_FIELDS))
        if file.suffix == _STATIONS:
            MeteonetStations.check(file, [name for name in variables if name in UNITS])
        else:
            MeteonetNwp.check(file, [name for name in variables if name in _FIELDS])

    @staticmethod
    def open(files: Sequence[Path]) -> dict[str, xr.Dataset]:
        """Open all files of both kinds as one dataset."""
        import xarray as xr

        series = [file for file in files if file.suffix == _STATIONS]
        fields = [file for file in files if file.suffix != _STATIONS]
        where = files[0].parent.name
        if not series or not fields:
            lacking = _PREDICTIONS if series else _STATIONS
            raise DataError(f"has no file {lacking}", where=where, fix="name both kinds in the catalog entry")
        years = MeteonetStations.open(series)
        stations = concat_times(list(years.values()), where=list(years))
        [predicted] = MeteonetNwp.open(fields).values()
        return {where: xr.merge([stations, predicted], join="inner", combine_attrs="override")}
