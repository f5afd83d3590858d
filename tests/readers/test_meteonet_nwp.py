"""Weather predictions of MeteoNet: how values are packed, times of runs, hours of rain, gaps, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.catalog import Catalog
from pipeline_lib.errors import DataError
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.readers import grib1
from pipeline_lib.readers.meteonet_nwp import MeteonetNwp
from tests.fetch.helpers import entry, write_catalog
from tests.readers import layouts
from tests.readers.preprocessing import preprocess

T2M, R, MSL, RAIN = (11, 105, 2), (52, 105, 2), (2, 102, 0), (61, 1, 0)
SHAPE = (3, 4)


def whole(seed: int, width: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**width, SHAPE)


def written(folder: Path, messages: Sequence[bytes], group: str = "2m", day: str = "20180501", **named: str) -> Path:
    file = folder / f"{named.get('model', 'arome')}_{group}_{named.get('domain', 'SE')}_{day}000000.grib"
    file.write_bytes(b"".join(messages))
    return file


def opened(*files: Path) -> xr.Dataset:
    [ds] = MeteonetNwp.open(files).values()
    return ds


def hours(ds: xr.DataArray | xr.Dataset) -> list[int]:
    return ((ds.time.values - np.datetime64("2018-05-01")) // np.timedelta64(1, "h")).astype(int).tolist()


@pytest.mark.parametrize("width", [0, 1, 5, 8, 12, 16, 24, 31, 32])
def test_numbers_of_any_width_are_read(tmp_path: Path, width: int) -> None:
    packed = whole(width, width)
    file = written(tmp_path, [layouts.grib1(packed, T2M, width=width, reference=-273.25, binary=-2)])
    [field] = grib1.fields(file)
    np.testing.assert_array_equal(grib1.values(field), packed / 4 - 273.25)


@pytest.mark.parametrize("scale", [-14, -1, 0, 3])
def test_both_scales_and_the_map_of_what_is_there(tmp_path: Path, scale: int) -> None:
    packed, there = whole(1), np.random.default_rng(2).random(SHAPE) < 0.6
    message = layouts.grib1(packed, T2M, scale=scale, binary=-48, reference=0.00390625, there=there)
    [field] = grib1.fields(written(tmp_path, [message]))
    expected = np.where(there, (0.00390625 + packed * 2.0**-48) / 10.0**scale, np.nan)
    np.testing.assert_allclose(grib1.values(field), expected, rtol=1e-14)


def test_a_time_has_the_fields_of_the_last_run_and_a_place_its_own(tmp_path: Path) -> None:
    files = []
    for day in (1, 2):
        made = [
            layouts.grib1(whole(100 * day + hour), parameter, day=f"2018-05-0{day}", hours=(hour,))
            for hour in range(25)[::-1]
            for parameter in (T2M, R)
        ]
        files.append(written(tmp_path, made, day=f"2018050{day}"))
        MeteonetNwp.check(files[-1], ["t2m", "r"])
    ds = opened(*files[::-1])
    assert ds.t2m.chunks[0] == (24, 24)
    ds = ds.load()
    assert hours(ds) == list(range(48))
    for name in ("t2m", "r"):
        for hour in range(48):
            np.testing.assert_array_equal(ds[name][hour], whole(100 * (1 + hour // 24) + hour % 24))
    np.testing.assert_allclose(ds.latitude, [46.246, 46.221, 46.196], rtol=1e-15)
    np.testing.assert_allclose(ds.longitude, [2.0, 2.025, 2.05, 2.075], rtol=1e-15)
    assert (ds.t2m.attrs["units"], ds.r.attrs["units"]) == ("K", "%")


def totals(*each: tuple[int, int], day: str = "2018-05-01") -> list[bytes]:
    """Messages of one total (in eighths) everywhere: hours and total of each."""
    return [
        layouts.grib1(np.full(SHAPE, total), RAIN, day=day, hours=(0, hour), binary=-3, width=16)
        for hour, total in each
    ]


def test_rain_is_that_of_the_hour_that_ends(tmp_path: Path) -> None:
    first = written(tmp_path, totals(*((hour, hour * (hour + 1)) for hour in range(1, 25))), "PRECIP")
    second = written(tmp_path, totals((1, 40), (2, 41), day="2018-05-02"), "PRECIP", "20180502")
    ds = opened(first, second)
    assert hours(ds) == list(range(1, 27))
    np.testing.assert_allclose(ds.tp[:, 1, 2], [*(2 * hour / 8 for hour in range(1, 25)), 40 / 8, 1 / 8])
    assert ds.tp.attrs == {"units": "kg m-2", "long_name": "precipitation in the hour that ends at the time"}


def test_no_hour_has_less_than_nothing_and_none_stands_for_two(tmp_path: Path) -> None:
    """A total that falls and comes back tells no rain; an hour without the total before it is not there."""
    file = written(tmp_path, totals((1, 10), (2, 8), (3, 10), (4, 12), (6, 20), (7, 21)), "PRECIP")
    ds = opened(file)
    assert hours(ds) == [1, 2, 3, 4, 7]
    np.testing.assert_allclose(ds.tp[:, 0, 0] * 8, [10, 0, 0, 2, 1])


def test_variables_of_several_files_share_their_times_and_gaps_stay(tmp_path: Path) -> None:
    pressure = written(tmp_path, [layouts.grib1(whole(h), MSL, hours=(h,)) for h in (0, 1, 3)], "P_sea_level")
    ds = opened(pressure, written(tmp_path, totals((1, 1), (2, 2)), "PRECIP"))
    assert hours(ds) == [0, 1, 2, 3]
    np.testing.assert_array_equal(ds.msl.isnull().all(["latitude", "longitude"]), [False, False, True, False])
    np.testing.assert_array_equal(ds.tp[:, 0, 0], [np.nan, 0.125, 0.125, np.nan])
    np.testing.assert_array_equal(ds.msl[3], whole(3))


def test_rain_of_which_no_hour_is_whole_has_no_times(tmp_path: Path) -> None:
    assert opened(written(tmp_path, totals((2, 1), (4, 2)), "PRECIP")).tp.shape == (0, *SHAPE)


GOOD = layouts.grib1(whole(0), T2M)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no message"),
        (b"BUFR" + GOOD[4:], "has no GRIB message at byte 0"),
        (GOOD + b"\0" * 20, f"has no GRIB message at byte {len(GOOD)}"),
        (GOOD + GOOD[:5], f"has no GRIB message at byte {len(GOOD)}"),
        (GOOD[:7] + b"\2" + GOOD[8:], "is GRIB of edition 2, not 1"),
        (GOOD + GOOD[:-9], rf"is damaged or cut off: the message at byte {len(GOOD)} has no end; .*do without it"),
        (GOOD + GOOD, "t2m holds hour 0 twice"),
        (layouts.grib1(whole(0), (2, 105, 20)), "holds parameter 2 at level 20 of kind 105; groups 2m, 10m"),
        (layouts.grib1(whole(0), T2M, day="2018-05-02"), "holds the run of 2018-05-02T00:00, not as its name says"),
        (layouts.grib1(whole(0), T2M, product_16=6), "holds the run of 2018-05-01T06:00, not as its name says"),
        (layouts.grib1(whole(0), T2M, product_14=255), "has no date"),
        (layouts.grib1(whole(0), T2M, product_18=2), "is of unit of time 2"),
        (layouts.grib1(whole(0), T2M, product_21=3), "is of unit of time 1, time range 3"),
        (layouts.grib1(whole(0), T2M, hours=(0, 1)), "t2m holds others than values at a time"),
        (layouts.grib1(whole(0), RAIN, hours=(1, 2)), "tp holds others than totals since the start of the run"),
        (layouts.grib1(whole(0), RAIN, hours=(1,)), "tp holds others than totals"),
        (layouts.grib1(whole(0), T2M, product_8=0), "does not say its grid"),
        (layouts.grib1(whole(0), T2M, grid_6=10), "is not on a grid of latitude and longitude"),
        (layouts.grib1(whole(0), T2M, grid_28=64), "from the north-west, by rows"),
        (layouts.grib1(whole(0), T2M, grid_10=9), "is not on a grid"),
        (layouts.grib1(whole(0), T2M, data_4=64), "is not packed simply; .*grib_set -r"),
        (layouts.grib1(whole(0), T2M, data_11=33), "is not packed simply"),
        (layouts.grib1(whole(0), T2M, data_11=16), "does not hold the 12 values of its grid"),
        (layouts.grib1(whole(0), T2M, data_1=9), "is cut off"),
        (layouts.grib1(whole(0), T2M, there=np.ones(SHAPE), map_6=3), "has no map of the 12 points"),
        (layouts.grib1(whole(0), T2M, there=np.ones(SHAPE), map_4=5), "has no map of the 12 points"),
    ],
)
def test_what_is_wrong_is_refused_when_the_file_comes(tmp_path: Path, content: bytes, told: str) -> None:
    file = written(tmp_path, [content])
    with pytest.raises(DataError, match=told) as caught:
        MeteonetNwp.check(file, [])
    assert caught.value.line.startswith(f"{file.name}: ")


def test_a_group_without_what_it_should_hold_and_unknown_names_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, [GOOD])
    MeteonetNwp.check(file, ["t2m", "msl"])  # that one is in another group
    with pytest.raises(DataError, match="has no r;"):
        MeteonetNwp.check(file, ["t2m", "r"])
    with pytest.raises(DataError, match="has no variable 't3m'"):
        MeteonetNwp.check(file, ["t3m"])
    for name in ("t2m.grib", "arome_2m_FR_20180501000000.grib", "SE_masks.grib"):
        with pytest.raises(DataError, match=r"is not called <model>_<group>_<NW or SE>_<day>000000\.grib"):
            MeteonetNwp.check(file.rename(tmp_path / name), [])
        (tmp_path / name).rename(file)


def test_files_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    one = written(tmp_path, [GOOD])
    coarse = written(tmp_path, [layouts.grib1(whole(0), MSL, step=100)], "P_sea_level", model="arpege")
    with pytest.raises(DataError, match=r"arpege_P_sea_level.*lies on another grid than arome_2m.*take one model"):
        MeteonetNwp.open([one, coarse])
    (tmp_path / "twice").mkdir()
    again = written(tmp_path / "twice", [GOOD])
    with pytest.raises(DataError, match="t2m at 2018-05-01T00:00 is in two files"):
        MeteonetNwp.open([one, again])


def source(folder: Path, **fetch: Any) -> Any:
    """A catalog with one entry of days and groups."""
    path = folder / "downloads" / "{year}{month}" / "{file}"
    files = ["arome_2m_SE_{year}{month}{day}000000.grib", "arome_PRECIP_SE_{year}{month}{day}000000.grib"]
    made = entry(
        {"driver": "file", "path": str(path), "files": files, **fetch}, start="2018-05-01", end="2018-06-30",
        parts="monthly", step_hours=1.0,
    )  # fmt: skip
    made["driver"] = "pipeline_lib.readers.intake_driver.Files"
    made["args"] = {"urlpath": "{{ data_dir }}/src/raw/*.grib"}
    made["metadata"]["gyre"] |= {
        "variables": {"t2m": {"name": "t2m", "units": "K"}, "tp": {"name": "tp", "units": "kg m-2", "valid_min": 0.0}},
        "form": "frames",
        "reader": "meteonet_nwp",
        "preparation": {"name": "as_is", "options": {"variables": ["t2m", "tp"]}},
    }
    return Catalog.load(write_catalog(folder, src=made)).source("src")


def test_through_fetch_and_preprocess_without_the_days_that_are_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "downloads" / "201805"
    folder.mkdir(parents=True)
    for day in ("2018-05-03", "2018-05-31"):
        made = [layouts.grib1(whole(h), T2M, day=day, hours=(h,), reference=280.0, binary=-8) for h in range(25)]
        written(folder, made, day=day.replace("-", ""))
        written(folder, totals(*((h, h) for h in range(1, 25)), day=day), "PRECIP", day.replace("-", ""))
    entry_ = source(tmp_path, may_lack=58)
    raw, output = tmp_path / "raw" / "2018-05.json", tmp_path / "dataset" / "2018-05.json"
    fetch_source(entry_, part="2018-05", output=raw, code="c")
    preprocess(entry_, raw, output, "2018-05")
    ds = xr.open_zarr(output.with_suffix(".zarr"))
    # Midnight after the third has the rain of the hour before it, and no temperature; that after the last is in June.
    assert hours(ds) == [*range(48, 73), *range(720, 744)]
    np.testing.assert_array_equal(ds.t2m[5], (280 + whole(5) / 256)[::-1].astype("float32"))
    assert np.isnan(ds.t2m[24]).all()
    np.testing.assert_array_equal(ds.tp[:26, 0, 0], [np.nan, *[0.125] * 24, np.nan])
    assert ds.latitude.values.tolist() == [46.196, 46.221, 46.246]
    assert read_manifest(output, verify="deep").content["grid_step"] == [0.025, 0.025]


REAL = Path(os.environ.get("GYRE_MIRROR", "")) / "downscaling"
NO_REAL = "GYRE_MIRROR does not name a folder with the real files"


@pytest.mark.skipif("GYRE_MIRROR" not in os.environ, reason=NO_REAL)
@pytest.mark.parametrize("domain", ["NW", "SE"])
def test_the_real_files_hold_what_their_conversion_does(domain: str) -> None:
    """By another program, ecCodes, in single precision."""
    files = [REAL / f"arpege_{group}_{domain}_20180501000000.grib" for group in ("2m", "10m", "P_sea_level", "PRECIP")]
    for file in files:
        MeteonetNwp.check(file, ["t2m", "d2m", "r", "wdir", "ws", "u10", "v10", "msl", "tp"])
    ds = opened(*files).load()
    with xr.open_dataset(REAL / f"meteonet_arpege_arome_{domain}_20180501.nc", engine="h5netcdf") as converted:
        np.testing.assert_allclose(ds.msl[:24], converted["msl_arpege"][:24], rtol=1e-7)
        fallen = np.maximum.accumulate(converted["tp_arpege"].values.astype(float))
        np.testing.assert_allclose(ds.tp[1:].cumsum("time"), fallen, atol=1e-5)
        np.testing.assert_allclose(ds.latitude, converted["lat_lr"], atol=1e-9)
        np.testing.assert_allclose(ds.longitude, converted["lon_lr"], atol=1e-9)
    np.testing.assert_allclose(np.hypot(ds.u10, ds.v10)[:24], ds.ws[:24], atol=0.1)
    towards = np.deg2rad(ds.wdir[:24])
    np.testing.assert_allclose(-ds.ws[:24] * np.sin(towards), ds.u10[:24], atol=0.2)
    assert hours(ds) == list(range(25))
