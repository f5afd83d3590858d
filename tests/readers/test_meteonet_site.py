"""Stations and predictions of MeteoNet as one source: files of both kinds to what a forecast at a site sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.catalog import Catalog
from pipeline_lib.errors import DataError
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.preparations.station_wind import StationWind
from pipeline_lib.readers.meteonet_site import MeteonetSite
from pipeline_lib.tasks.site_forecast.columns import Columns, starts_of
from pipeline_lib.tasks.site_forecast.options import TrainingOptions
from tests.fetch.helpers import entry, write_catalog
from tests.readers import layouts
from tests.readers.preprocessing import preprocess

U, V = (33, 105, 10), (34, 105, 10)
SHAPE, CORNER = (9, 13), (43100, 6100)
HEADER = "number_sta,lat,lon,height_sta,date,dd,ff,precip,hu,td,t,psl"
PLACES = {83069002: (43.0, 6.23), 6088001: (42.95, 6.35)}


def whole(day: int, hour: int, number: int) -> np.ndarray:
    return np.random.default_rng(10_000 * day + 100 * hour + number).integers(0, 4096, SHAPE)


def speed(station: int, minutes: int) -> float:
    return station % 7 + minutes / 1440


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two days of two stations every six minutes, and of a prediction, of which one field is missing."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    lines = [
        f"{station},{place[0]},{place[1]},1.0,2018050{1 + minutes // 1440} {minutes // 60 % 24:02}:{minutes % 60:02},"
        f"270.0,{speed(station, minutes)},,,,,"
        for minutes in range(0, 2880, 6)
        for station, place in PLACES.items()
    ]
    (folder / "SE2018.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    for day in (1, 2):
        made = [
            layouts.grib1(
                whole(day, hour, parameter[0]),
                parameter,
                day=f"2018-05-0{day}",
                hours=(hour,),
                corner=CORNER,
                binary=-6,
            )
            for hour in range(25)
            for parameter in (U, V)
            if (day, hour) != (2, 20)
        ]
        (folder / f"arome_10m_SE_2018050{day}000000.grib").write_bytes(b"".join(made))
    return folder


def test_files_to_what_a_forecast_sees(tmp_path: Path, files: Path) -> None:
    names = ["SE2018.csv", "arome_10m_SE_{year}{month}{day}000000.grib"]
    fetch = {"driver": "file", "path": str(files / "{file}"), "files": names}
    made = entry(fetch, start="2018-05-01", end="2018-05-02", step_hours=1.0)
    made["driver"] = "pipeline_lib.readers.intake_driver.Files"
    made["args"] = {"urlpath": "{{ data_dir }}/src/raw/*.[cg]*"}
    units = {"ff": "m s-1", "dd": "degree", "u10": "m s-1", "v10": "m s-1"}
    box = {"west": 6.2, "east": 6.3, "south": 42.9, "north": 43.05}
    made["metadata"]["gyre"] |= {
        "variables": {name: {"name": name, "units": unit} for name, unit in units.items()},
        "form": "stations",
        "reader": "meteonet_site",
        "preparation": {"name": "station_wind", "options": {"keep": ["ff", "u10", "v10"], "box": box}},
    }
    catalog = Catalog.load(write_catalog(tmp_path, src=made))
    source, output = catalog.source("src"), tmp_path / "dataset" / "2018-05.json"
    raw = tmp_path / "data" / "src" / "raw" / "all.json"
    fetch_source(source, part="all", output=raw, code="c")
    raw_dims = catalog.open_source("src", data_dir=tmp_path / "data").dims
    assert set(raw_dims) == {"time", "station", "latitude", "longitude"}
    preprocess(source, raw, output, "2018-05")
    ds = xr.open_zarr(output.with_suffix(".zarr"))
    hours = ((ds.time.values - np.datetime64("2018-05-01")) // np.timedelta64(1, "h")).tolist()
    assert hours == [hour for hour in range(48) if hour != 44]
    assert (ds.u.dims, ds.u10.dims) == (("time", "station"), ("time", "latitude", "longitude"))
    np.testing.assert_allclose(ds.latitude, [42.9, 42.925, 42.95, 42.975, 43.0, 43.025, 43.05])
    np.testing.assert_allclose(ds.longitude, [6.2, 6.225, 6.25, 6.275, 6.3])
    np.testing.assert_allclose(ds.ff.sel(station=83069002), [speed(83069002, 60 * h) for h in hours], rtol=1e-6)
    for place, hour in enumerate(hours):
        day = 1 + hour // 24
        np.testing.assert_array_equal(ds.v10[place], (whole(day, hour % 24, 34) / 64)[::-1][:7, 4:9].astype("float32"))

    options = TrainingOptions(
        station=83069002, nwp=("u10", "v10"), speed=True, nwp_delay_hours=4, seen=3, leads=2, step_minutes=60
    )
    columns = Columns.of(ds, ["ff", "u10", "v10"], options, {"u10": 0.0, "v10": 0.0})
    # 43.0 N, 6.23 E is nearest to the fifth latitude and the second longitude of the box.
    np.testing.assert_array_equal(columns.nearest[:, 0], ds.u10[:, 4, 1])
    assert columns.neighbours == (6088001,)
    starts = starts_of(columns, options, whole_future=True)
    # From four o'clock, when the run is there, until the last lead is of the next day; around the gap there is no row.
    assert [hours[start] for start in starts] == [*range(4, 22), *range(28, 42)]


def test_what_is_wrong_is_told_by_the_reader_of_its_kind(files: Path) -> None:
    for file in files.iterdir():
        MeteonetSite.check(file, ["ff", "dd", "u10", "v10", "t2m"])
        with pytest.raises(DataError, match="has no variable 'wind'"):
            MeteonetSite.check(file, ["wind"])
    with pytest.raises(DataError, match=r"downloads: has no file \.csv; name both kinds"):
        MeteonetSite.open(sorted(files.glob("*.grib")))
    with pytest.raises(DataError, match=r"downloads: has no file \.grib"):
        MeteonetSite.open(sorted(files.glob("*.csv")))
    (files / "SE2018.csv").write_text("number_sta,lat\n")
    with pytest.raises(DataError, match=r"SE2018\.csv: has no column 'lon'"):
        MeteonetSite.check(files / "SE2018.csv", ["ff"])


def test_a_box_that_cuts_nothing_is_refused() -> None:
    axes = {"latitude": [42.0, 43.0], "longitude": [4.0, 5.0]}
    winds = {"ff": (("time", "station"), [[1.0]]), "dd": (("time", "station"), [[90.0]])}
    ds = xr.Dataset({**winds, "u10": (("time", "latitude", "longitude"), np.ones((1, 2, 2)))}, axes)
    box = {"west": 4.5, "east": 6.0, "south": 42.5, "north": 43.0}
    kept = StationWind.prepare(ds, StationWind.Options(keep=("u10",), box=box))
    assert kept.u10.shape == (1, 1, 1)
    with pytest.raises(DataError, match="box: holds no cell: longitudes go from 4 to 5, latitudes from 42 to 43"):
        StationWind.prepare(ds, StationWind.Options(keep=("u10",), box={**box, "west": 5.5}))
    with pytest.raises(DataError, match="nothing that is kept lies on latitudes and longitudes"):
        StationWind.prepare(ds, StationWind.Options(box=box))
