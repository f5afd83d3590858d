"""Stations of MeteoNet: tiny files in their layout, with gaps, in any order; through preprocess to components."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from pipeline_lib.catalog import Catalog
from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import DataError
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.preparations.station_wind import StationWind
from pipeline_lib.readers import meteonet_stations
from pipeline_lib.readers.meteonet_stations import MeteonetStations
from tests.fetch.helpers import entry, write_catalog
from tests.readers.preprocessing import preprocess

HEADER = "number_sta,lat,lon,height_sta,date,dd,ff,precip,hu,td,t,psl"
LINES = [
    "83069002,43.0,6.23,137.0,20160101 00:06,270.0,5.0,0.0,80.0,280.1,283.2,101300.0",
    "6088001,43.65,7.21,2.0,20160101 00:00,360.0,2.5,,75.0,279.0,282.0,",
    "83069002,43.0,6.23,137.0,20160101 00:00,,0.0,0.2,81.0,280.0,283.0,101310.0",
    "6088001,43.65,7.21,2.0,20160101 00:18,90.0,,0.0,75.0,279.0,282.0,101200.0",
]


def written(folder: Path, *lines: str, name: str = "SE_2016.csv", header: str = HEADER) -> Path:
    file = folder / name
    file.write_text("\n".join([header, *lines]) + "\n")
    return file


def test_each_value_is_at_its_station_and_time_and_what_is_not_there_is_missing(tmp_path):
    ds = MeteonetStations.open([written(tmp_path, *LINES)])["SE_2016.csv"]
    assert ds.station.values.tolist() == [6088001, 83069002]
    minutes = (ds.time.values - np.datetime64("2016-01-01")) / np.timedelta64(1, "m")
    assert minutes.tolist() == [0, 6, 18]
    np.testing.assert_array_equal(ds.ff, [[2.5, 0], [np.nan, 5], [np.nan, np.nan]])
    np.testing.assert_array_equal(ds.dd, [[360, np.nan], [np.nan, 270], [90, np.nan]])
    np.testing.assert_array_equal(ds.precip, [[np.nan, 0.2], [np.nan, 0], [0, np.nan]])
    assert (ds.station_latitude.values.tolist(), ds.station_longitude.values.tolist()) == ([43.65, 43.0], [7.21, 6.23])
    assert ds.psl.attrs["units"] == "Pa"


def test_years_have_the_stations_of_all_and_may_write_dates_the_other_way(tmp_path):
    other = LINES[0].replace("83069002,43.0", "1,44.0").replace("20160101 00:06", "2017-01-01 00:06:00")
    found = MeteonetStations.open([written(tmp_path, *LINES), written(tmp_path, other, name="SE_2017.csv")])
    for ds in found.values():
        assert ds.station.values.tolist() == [1, 6088001, 83069002]
    assert np.isfinite(found["SE_2017.csv"].ff.values).tolist() == [[True, False, False]]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (LINES[0].replace("270.0", "400.0"), "dd is 400 at 2016-01-01 00:06"),
        (LINES[0].replace("5.0", "-5.0"), "ff is -5"),
        (LINES[0].replace("20160101 00:06", "20161301 00:06"), "'20161301 00:06' is no date"),
        (LINES[0].replace("137.0", "x"), "holds what is no number"),
        (LINES[0].replace("43.0", "43.5"), "station 83069002 is at two places"),
        (LINES[0].replace("00:06", "00:00"), "station 83069002 has two lines at 2016-01-01 00:00"),
        (LINES[0].replace("20160101 00:06", "2016-01-01 00:06"), "'2016-01-01 00:06' is no date as in '%Y%m%d %H:%M'"),
        (f"{LINES[0]},7.0", "holds what is no number"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path, line, told):
    with pytest.raises(DataError, match=told):
        MeteonetStations.open([written(tmp_path, *LINES[1:], line)])["SE_2016.csv"].load()


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """Numbers of lines that were read, a block each; blocks are small."""
    read, counts = meteonet_stations._table, []

    def counting(*given, **named):
        table, form = read(*given, **named)
        counts.append(len(table))
        return table, form

    monkeypatch.setattr(meteonet_stations, "_table", counting)
    monkeypatch.setattr(meteonet_stations, "_BLOCK_BYTES", 1000)
    return counts


def year(*, days: int = 200) -> pd.DataFrame:
    """Two lines a day of three stations, in order of time, some of them and some values missing."""
    rng = np.random.default_rng(0)
    dates = np.datetime64("2016-01-01", "m") + 720 * np.arange(2 * days)
    number, date = np.meshgrid([30, 10, 20], dates)
    table = pd.DataFrame({"number_sta": number.ravel(), "date": date.ravel()})
    for place in ("lat", "lon", "height_sta"):
        table[place] = table["number_sta"] / 4
    for name in ("dd", "ff", "precip", "hu", "td", "t", "psl"):
        table[name] = rng.integers(0, 90, len(table)) / 4
        table.loc[rng.random(len(table)) < 0.2, name] = np.nan
    return table[rng.random(len(table)) < 0.9][HEADER.split(",")].reset_index(drop=True)


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_month_reads_a_month_and_all_is_as_pandas_has_it(tmp_path, counted, shuffled):
    table = year().sample(frac=1, random_state=1) if shuffled else year()
    file = tmp_path / "SE_2016.csv"
    table.to_csv(file, index=False, date_format="%Y%m%d %H:%M")
    (ds,) = MeteonetStations.open([file]).values()
    assert sum(counted) == len(table)
    counted.clear()
    march = ds[["dd", "ff"]].sel(time="2016-03").compute(scheduler="synchronous")
    here = table[table["date"].dt.month == 3]
    assert len(here) <= sum(counted) <= (len(table) if shuffled else len(here) + 2 * 1000 // 20)
    assert march.sizes["time"] == here["date"].nunique()
    table.loc[table["ff"] == 0, "dd"] = np.nan
    expected = table.set_index(["date", "number_sta"]).to_xarray()
    np.testing.assert_array_equal(ds.time, expected.date)
    names = ["dd", "ff", "psl"]
    for name, values in ds[names].compute(scheduler="synchronous").data_vars.items():
        np.testing.assert_array_equal(values, expected[name])
    assert ds.station.values.tolist() == [10, 20, 30]
    assert ds.station_height.values.tolist() == [2.5, 5.0, 7.5]


def test_a_line_twice_is_found_though_far_apart(tmp_path, counted):
    table = year(days=90)
    file = tmp_path / "SE_2016.csv"
    pd.concat([table, table.iloc[:1]]).to_csv(file, index=False, date_format="%Y%m%d %H:%M")
    (ds,) = MeteonetStations.open([file]).values()
    assert len(counted) > 3
    ds.ff.sel(time="2016-02").load()
    with pytest.raises(DataError, match="has two lines at 2016-01-01 00:00"):
        ds.ff.sel(time="2016-01").load()


def test_a_file_of_another_layout_is_refused_when_it_comes(tmp_path):
    with pytest.raises(DataError, match="has no column 'psl'"):
        MeteonetStations.check(written(tmp_path, *[line.rpartition(",")[0] for line in LINES], header=HEADER[:-4]), [])
    with pytest.raises(DataError, match="holds no line"):
        MeteonetStations.check(written(tmp_path), [])
    with pytest.raises(DataError, match="has no variable 'wind'"):
        MeteonetStations.check(written(tmp_path, *LINES), ["wind"])
    MeteonetStations.check(written(tmp_path, *LINES), ["ff", "dd"])


def test_through_fetch_and_preprocess_to_components(tmp_path):
    file = written(tmp_path, *LINES)
    made = entry({"driver": "file", "path": str(file)}, start="2016-01-01", end="2016-01-31", step_hours=0.1)
    made["driver"], made["args"] = (
        "pipeline_lib.readers.intake_driver.Files",
        {"urlpath": "{{ data_dir }}/src/raw/SE_2016.csv"},
    )
    made["metadata"]["gyre"] |= {
        "variables": {"ff": {"name": "ff", "units": "m s-1"}, "dd": {"name": "dd", "units": "degree"}},
        "form": "stations",
        "reader": "meteonet_stations",
        "preparation": {"name": "station_wind", "options": {"keep": ["ff"]}},
    }
    source = Catalog.load(write_catalog(tmp_path, src=made)).source("src")
    raw = tmp_path / "raw" / "all.json"
    fetch_source(source, part="all", output=raw, code="c")
    out = tmp_path / "2016-01.json"
    preprocess(source, raw, out, "2016-01")
    ds = open_days([read_manifest(out, kind="dataset", verify="deep")], *source.days("2016-01"))
    np.testing.assert_allclose(ds.u, [[0, 0], [np.nan, 5], [np.nan, np.nan]], atol=1e-6)
    np.testing.assert_allclose(ds.v, [[-2.5, 0], [np.nan, 0], [np.nan, np.nan]], atol=1e-6)
    assert ds.station_latitude.values.tolist() == [43.65, 43.0]


def test_components_have_the_speed_and_come_from_the_direction():
    rng = np.random.default_rng(0)
    ff, dd = rng.uniform(0, 20, (50, 2)), rng.uniform(0, 360, (50, 2))
    dims = ("time", "station")
    ds = xr.Dataset({"ff": (dims, ff), "dd": (dims, dd)})
    made = StationWind.prepare(ds, StationWind.Options(dtype="float64"))
    np.testing.assert_allclose(np.hypot(made.u, made.v), ff)
    back = np.rad2deg(np.arctan2(-made.u, -made.v)) % 360
    np.testing.assert_allclose(back, dd, atol=1e-9)
    with pytest.raises(DataError, match="has no variable 'dd'"):
        StationWind.prepare(ds[["ff"]], StationWind.Options())
