"""Series of stations and fields beside them: axes in canonical form, blocks as long as memory allows."""

from __future__ import annotations

import dask.array as da
import numpy as np
import xarray as xr

from pipeline_lib.data.blocks import checked
from pipeline_lib.data.canonical import canonicalise
from pipeline_lib.data.variables import VariableSpec
from pipeline_lib.io.zarr_store import CHUNK_BYTES

SPEC = {name: VariableSpec(name=name, units="m s-1") for name in ("ff", "u10")}


def delivered(times: int, stations: int, rows: int, columns: int) -> xr.Dataset:
    """Fields from north to south, with longitudes up to 360."""
    shape = times, rows, columns
    fields = da.arange(times * rows * columns, chunks=-1, dtype="float64").reshape(shape)
    units = {"units": "m s-1"}
    return xr.Dataset(
        {
            "ff": (("time", "station"), da.ones((times, stations)), units),
            "u10": (("time", "latitude", "longitude"), fields, units),
        },
        {
            "time": np.datetime64("2018-05-01", "ns") + np.arange(times) * np.timedelta64(1, "h"),
            "latitude": np.linspace(50, 40, rows),
            "longitude": np.linspace(355, 359, columns),
            "station": 100 + np.arange(stations),
            "station_latitude": ("station", np.linspace(44, 43, stations)),
        },
    )


def test_fields_beside_series_are_canonical_and_stations_stay_as_they_are() -> None:
    given = delivered(2, 3, 4, 5)
    ds = canonicalise(given, SPEC, where="here", form="stations")
    assert (np.diff(ds.latitude) > 0).all()
    np.testing.assert_allclose(ds.longitude, [-5, -4, -3, -2, -1])
    np.testing.assert_array_equal(ds.u10, given.u10[:, ::-1])
    np.testing.assert_array_equal(ds.station_latitude, [44, 43.5, 43])
    assert ds.station.values.tolist() == [100, 101, 102]


def test_blocks_are_of_the_largest_variable_not_of_all_axes_together() -> None:
    given = delivered(100, 500, 200, 300)
    ds = checked(canonicalise(given, SPEC, where="here", form="stations"), SPEC, where="here", form="stations")
    assert ds.u10.chunks[0][0] == CHUNK_BYTES // (200 * 300 * 4)
    assert ds.u10.chunks[0] == ds.ff.chunks[0]
