"""Radar archives of MeteoNet: codes, times, grid, and what is refused."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline_lib.catalog import Catalog
from pipeline_lib.errors import DataError
from pipeline_lib.preparations.rain_frames import RainFrames
from pipeline_lib.preprocess.stage import Delivery, open_files
from pipeline_lib.readers.meteonet_radar import (
    MeteonetQuality,
    MeteonetRainfall,
    MeteonetRainfallWithQuality,
    MeteonetReflectivityNew,
    MeteonetReflectivityOld,
)
from pipeline_lib.readers.registry import READERS
from tests.readers.layouts import meteonet

START = datetime(2016, 8, 21)
DATES = [START + timedelta(minutes=m) for m in (0, 5, 25)]
NAME = "rainfall_NW_2016_08.3.npz"


def fill(values: list[int]) -> Any:
    def put(data: np.ndarray) -> None:
        data[1, 0, : len(values)] = values
        data[2, -1, -1] = values[-1]

    return put


def opened(reader: Any, file: Path) -> Any:
    [ds] = reader.open([file]).values()
    return ds


def test_rain_is_a_rate_and_minus_one_is_missing(tmp_path: Path) -> None:
    file = meteonet(tmp_path, NAME, DATES, fill([-1, 1, 250]), missing_dates=[START + timedelta(minutes=10)])
    MeteonetRainfall.check(file, ["rain_rate"])
    ds = opened(MeteonetRainfall, file)
    np.testing.assert_allclose(ds.rain_rate[1, 0, :4], [np.nan, 0.12, 30.0, 0.0], rtol=1e-12)
    assert float(ds.rain_rate[2, -1, -1]) == pytest.approx(30.0)
    assert ds.rain_rate.attrs["units"] == "mm h-1"
    np.testing.assert_array_equal(ds.time, np.array(DATES, dtype="datetime64[ns]"))
    assert int(ds.rain_rate.isnull().sum()) == 1


@pytest.mark.parametrize(
    ("reader", "name", "stored", "expected"),
    [
        (MeteonetReflectivityOld, "reflectivity_old_SE_2016_08.3.npz", [255, 0, 8, 47], [np.nan, -10, 8, 47]),
        (MeteonetReflectivityNew, "reflectivity_new_SE_2016_08.3.npz", [-200, -100, -90, 473], [np.nan, -10, -9, 47.3]),
    ],
)
def test_codes_of_reflectivity(
    tmp_path: Path, reader: Any, name: str, stored: list[int], expected: list[float]
) -> None:
    file = meteonet(tmp_path, name, DATES, fill(stored), shape=(515, 784))
    ds = opened(reader, file)
    np.testing.assert_allclose(ds.reflectivity[1, 0, : len(stored)], expected)
    assert ds.reflectivity.attrs["units"] == "dBZ"


@pytest.mark.parametrize(
    ("reader", "source", "silence"),
    [
        (MeteonetReflectivityOld, "meteonet-reflectivity-old-nw", 0),
        (MeteonetReflectivityNew, "meteonet-reflectivity-new-nw", -100),
    ],
)
def test_where_no_echo_is_there_is_no_rain_in_blocks_either(
    tmp_path: Path, reader: Any, source: str, silence: int
) -> None:
    def put(data: np.ndarray) -> None:
        data[:] = silence
        data[1, -4:, :4] = 35 if reader is MeteonetReflectivityOld else 350
        data[2, -1, 0] = 35 if reader is MeteonetReflectivityOld else 350

    block = Catalog.load(Path("config/catalog.yaml")).source(source).block
    assert READERS.get(block.reader) is reader
    ds = opened(reader, meteonet(tmp_path, "reflectivity_NW_2016_08.3.npz", DATES, put)).isel(latitude=slice(-8, None))
    options = RainFrames.Options.model_validate(block.preparation.options)
    echo = RainFrames.prepare(ds.isel(longitude=slice(8)).sortby("latitude"), options).echo.values
    assert np.unique(echo[0]).tolist() == [0.0]
    assert echo[1, 0, 0] == pytest.approx(45 / 70)
    # One cell of sixteen: a sixteenth of its rain, and none from the others.
    assert echo[2, 0, 0] == pytest.approx((45 - 16 * np.log10(16)) / 70)
    assert np.count_nonzero(echo) == 2


@pytest.mark.parametrize(
    ("reader", "stored", "told"),
    [
        (MeteonetRainfall, -2, r"holds -2, not -1 \(missing\) or 0 to 32767"),
        (MeteonetReflectivityOld, -1, "holds -1, not 255"),
        (MeteonetReflectivityOld, 300, "holds 300"),
        (MeteonetReflectivityNew, -150, "holds -150, not -200"),
    ],
)
def test_a_code_of_another_product_is_refused_when_it_is_read(
    tmp_path: Path, reader: Any, stored: int, told: str
) -> None:
    ds = opened(reader, meteonet(tmp_path, NAME, DATES, fill([stored])))
    with pytest.raises(DataError, match=told):
        ds.load()


def renamed(file: Path, name: str) -> Path:
    return file.rename(file.with_name(name))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    good = meteonet(tmp_path, NAME, DATES)
    for name, told in (
        ("rainfall_NW_2016_08.2.npz", "has frames from 2016-08-21T00:00 to 2016-08-21T00:25, not as its name says"),
        ("rainfall_NW_2015_08.3.npz", "not as its name says"),
        (
            "rainfall_SE_2016_08.3.npz",
            "data is int16 of shape (3, 565, 784), not whole numbers of shape (time, 515, 784)",
        ),
        ("rain.npz", "is not called"),
        ("rainfall_NW_2016_13.3.npz", "is not called"),
    ):
        good = renamed(good, name)
        with pytest.raises(DataError) as caught:
            MeteonetRainfall.check(good, [])
        assert told in caught.value.line
    with pytest.raises(DataError, match="no variable 'Tb'"):
        MeteonetRainfall.check(good, ["Tb"])


@pytest.mark.parametrize(
    ("dates", "keywords", "told"),
    [
        (DATES[::-1], {}, "its dates do not grow"),
        ([DATES[0], DATES[0]], {}, "its dates do not grow"),
        (DATES, {"missing_dates": [DATES[1]]}, "2016-08-21T00:05 is among its dates and among those missing"),
        (DATES, {"dtype": "float32"}, "data is float32"),
    ],
)
def test_dates_and_types_that_cannot_be_are_refused(
    tmp_path: Path, dates: list[datetime], keywords: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        MeteonetRainfall.check(meteonet(tmp_path, NAME, dates, **keywords), [])


def test_frames_without_dates_are_refused(tmp_path: Path) -> None:
    listed = {"dates": np.array(DATES[:2], dtype=object), "miss_dates": np.array([], dtype=object)}
    np.savez_compressed(tmp_path / NAME, data=np.zeros((3, 565, 784), "int16"), **listed)
    with pytest.raises(DataError, match="has 3 frames and 2 dates"):
        MeteonetRainfall.open([tmp_path / NAME])


def test_blocks_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = meteonet(tmp_path, NAME, DATES, lambda data: data.__setitem__(slice(None), np.arange(784) % 300))
    whole = opened(MeteonetRainfall, file).rain_rate.values
    monkeypatch.setattr("pipeline_lib.readers.meteonet_radar._BLOCK_BYTES", 2 * 565 * 784 * 2)
    parts = opened(MeteonetRainfall, file).rain_rate
    assert parts.chunks[0] == (2, 1)
    np.testing.assert_array_equal(parts.values, whole)


@pytest.mark.parametrize(
    ("third", "first", "last"), [(1, 1, 10), (2, 10, 20), (3, 21, 31)], ids=["first", "second", "third"]
)
def test_the_tenth_day_is_in_either_archive(tmp_path: Path, third: int, first: int, last: int) -> None:
    name = f"rainfall_NW_2016_08.{third}.npz"
    MeteonetRainfall.check(meteonet(tmp_path, name, [datetime(2016, 8, first), datetime(2016, 8, last, 23, 55)]), [])
    with pytest.raises(DataError, match="not as its name says"):
        MeteonetRainfall.check(meteonet(tmp_path, name, [datetime(2016, 8, first) - timedelta(minutes=5)]), [])


PAIR = ("rainfall_diff_quality-code_NW_2016_08.3.npz", "rainfall_mean_quality-code_NW_2016_08.3.npz")
NEXT = START + timedelta(days=2)


def qualities(folder: Path, *, best: int = 100, days: tuple[datetime, ...] = (START, NEXT)) -> list[Path]:
    """Three frames of one day and one of the next but one; means of 40 and 70 %."""

    def differences(data: np.ndarray) -> None:
        data[0, 0, :3] = [best - 40, -40, 255]
        data[3, 0, :3] = [30, 255, -1]

    def means(data: np.ndarray) -> None:
        data[:] = np.array([40, 70])[: len(data), None, None]
        data[-1, 0, 1] = 255

    frames = meteonet(folder, PAIR[0], [*DATES, NEXT], differences, missing_dates=[START + timedelta(minutes=10)])
    return [frames, meteonet(folder, PAIR[1], days, means)]


def test_quality_is_the_mean_of_the_day_and_the_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline_lib.readers.meteonet_radar._BLOCK_BYTES", 2 * 565 * 784 * 2)
    files = qualities(tmp_path)
    for file in files:
        MeteonetQuality.check(file, ["rain_quality"])
    [ds] = MeteonetQuality.open(files[::-1]).values()
    values = ds.rain_quality.load()
    assert (values.attrs["units"], values.shape) == ("%", (4, 565, 784))
    np.testing.assert_array_equal(values[:, 0, :4], [[100, 0, np.nan, 40], [40] * 4, [40] * 4, [100, np.nan, 69, 70]])
    np.testing.assert_array_equal(ds.time, np.array([*DATES, NEXT], dtype="datetime64[ns]"))


def test_quality_that_cannot_be_is_refused(tmp_path: Path) -> None:
    files = qualities(tmp_path, best=101)
    [ds] = MeteonetQuality.open(files).values()
    with pytest.raises(DataError, match=r"diff_quality.*: says 101 % with the mean of the day, not 0 to 100"):
        ds.load()
    for one in files:
        with pytest.raises(DataError, match="has no archive of means, or of differences, beside it"):
            MeteonetQuality.open([one])
    [ds] = MeteonetQuality.open(qualities(tmp_path, days=(START,))).values()
    with pytest.raises(DataError, match=r"mean_quality.*: has no mean of 2016-08-23"):
        ds.load()
    with pytest.raises(DataError, match="is called neither mean_quality nor diff_quality"):
        MeteonetQuality.check(meteonet(tmp_path, NAME, DATES), [])


def test_rain_comes_with_the_quality_of_its_frames(tmp_path: Path) -> None:
    files = qualities(tmp_path)
    # Of the second frame there is rain and no quality, of the last a quality and no rain.
    dates = [DATES[0], START + timedelta(minutes=15), *DATES[2:]]
    rain = meteonet(tmp_path, NAME, dates, fill([1, 2, 3]))
    for file in (*files, rain):
        MeteonetRainfallWithQuality.check(file, ["rain_rate", "rain_quality"])
    found = MeteonetRainfallWithQuality.open([*files, rain])
    assert set(found) == {NAME}
    ds = found[NAME]
    assert ds.rain_quality.chunks is not None
    np.testing.assert_array_equal(ds.time, np.array(dates, dtype="datetime64[ns]"))
    np.testing.assert_array_equal(ds.rain_quality[:, 0, :3], [[100, 0, np.nan], [np.nan] * 3, [40, 40, 40]])
    np.testing.assert_allclose(ds.rain_rate[1, 0, :3], [0.12, 0.24, 0.36])
    assert (ds.rain_rate.attrs["units"], ds.rain_quality.attrs["units"]) == ("mm h-1", "%")
    with pytest.raises(DataError, match=f"{NAME}: has no archives of its quality beside it; fetch them"):
        MeteonetRainfallWithQuality.open([rain])
    with pytest.raises(DataError, match="no variable 'Tb'"):
        MeteonetRainfallWithQuality.check(rain, ["Tb"])


def test_frames_of_poor_quality_go_through_as_missing(tmp_path: Path) -> None:
    """The catalog's entry, from archives to echoes."""
    dates, block = [START + timedelta(minutes=5 * i) for i in range(3)], (slice(-4, None), slice(4))

    def differences(data: np.ndarray) -> None:
        data[1][block] = -1
        data[2][block] = 255

    folder = tmp_path / "downloads"
    folder.mkdir()
    meteonet(folder, NAME, dates, lambda data: data[(slice(None), *block)].fill(50))
    meteonet(folder, PAIR[0], dates, differences)
    meteonet(folder, PAIR[1], [START], lambda data: data.fill(80))
    source = Catalog.load(Path("config/catalog.yaml")).source("meteonet-rainfall-with-quality-nw")
    delivery = Delivery(
        variables=source.variables,
        coverage=(source.time.start, source.time.end),
        step_hours=source.time.step_hours,
        form=source.block.form,
        reader=source.reader,
    )
    ds = open_files(sorted(folder.glob("*.npz")), delivery, start=START.date(), end=START.date())
    echo = RainFrames.prepare(ds, RainFrames.Options.model_validate(source.block.preparation.options)).echo.load()
    assert echo.shape == (3, 141, 196)
    assert float(echo[0, 0, 0]) == pytest.approx((10 * np.log10(200 * 6**1.6) + 10) / 70)
    assert np.argwhere(np.isnan(echo.values)).tolist() == [[1, 0, 0], [2, 0, 0]]


REAL = Path(os.environ.get("GYRE_MIRROR", "")) / "radar"
real = pytest.mark.skipif(
    "GYRE_MIRROR" not in os.environ, reason="GYRE_MIRROR does not name a folder with the real files"
)


@real
@pytest.mark.parametrize("domain", ["NW", "SE"])
def test_the_grid_is_that_of_the_coordinates_beside_the_data(domain: str) -> None:
    ds = opened(MeteonetRainfall, REAL / f"rainfall_{domain}_2016_08.3.npz")
    with np.load(REAL / f"radar_coords_{domain}.npz", allow_pickle=False) as coordinates:
        np.testing.assert_allclose(
            np.broadcast_to(ds.latitude.values[:, None], ds.rain_rate.shape[1:]), coordinates["lats"]
        )
        np.testing.assert_allclose(np.broadcast_to(ds.longitude.values, ds.rain_rate.shape[1:]), coordinates["lons"])


@real
@pytest.mark.parametrize("domain", ["NW", "SE"])
def test_the_real_files_are_read(domain: str) -> None:
    rain, echo = REAL / f"rainfall_{domain}_2016_08.3.npz", REAL / f"reflectivity_old_{domain}_2016_08.3.npz"
    MeteonetRainfall.check(rain, ["rain_rate"])
    MeteonetReflectivityOld.check(echo, ["reflectivity"])
    values = opened(MeteonetReflectivityOld, echo).reflectivity.values
    assert 0.8 < (values == -10).mean() < 1 - np.isnan(values).mean()
    assert sorted(set(values[values > -10]))[:4] == [8, 16, 20, 21]
    with np.load(rain, allow_pickle=False) as archive:
        stored = archive["data"]
    frames = opened(MeteonetRainfall, rain).rain_rate.values
    assert np.isnan(frames).sum() == (stored == -1).sum()
    assert np.nansum(frames) == pytest.approx(0.12 * stored[stored > 0].sum(dtype="int64"))
