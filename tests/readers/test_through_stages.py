"""Files of a reader through fetch and preprocess, and through intake; the real ones where they are at hand."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.catalog import Catalog, Source
from pipeline_lib.data.datasets import open_days
from pipeline_lib.errors import FetchError
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.operations.shares import shares
from pipeline_lib.rain import RainScale
from tests.fetch.helpers import entry, sha256, write_catalog
from tests.readers.layouts import MISSING, knmi
from tests.readers.preprocessing import preprocess

ENDS = ["2010-08-26T00:05", "2010-08-26T00:10", "2010-08-26T00:35", "2010-08-26T23:55"]
"""Gaps between them."""


def counts(number: int) -> np.ndarray:
    values = np.random.default_rng(number).integers(0, 900, (6, 8))
    values[0, :3] = MISSING
    return values


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "down loads").mkdir()
    return [knmi(tmp_path / "down loads", counts(i), end=end) for i, end in enumerate(ENDS)]


def radar(folder: Path, names: dict[str, str], **changed: Any) -> Catalog:
    """A catalog with one entry of tiny composites."""
    options = {"variable": "rain", "a": 200.0, "b": 1.6, "lowest_dbz": -10.0, "highest_dbz": 60.0, "reduce": 2}
    fetch = {"driver": "file", "path": str(folder / "down loads" / "{file}"), "sha256": names}
    made = entry(fetch, start="2010-08-26", end="2010-08-26", step_hours=1 / 12)  # type: ignore[arg-type]
    made["driver"] = "pipeline_lib.readers.intake_driver.Files"
    made["args"] = {"urlpath": "{{ data_dir }}/src/raw/*.h5"}
    made["metadata"]["gyre"] |= {
        "variables": {"rain": {"name": "rain_rate", "units": "mm h-1", "valid_min": 0.0, "valid_max": 200.0}},
        "form": "frames",
        "reader": "knmi_radar",
        "preparation": {"name": "rain_frames", "options": options},
    }
    made["metadata"]["gyre"] |= changed
    return Catalog.load(write_catalog(folder, src=made))


def pinned(files: list[Path]) -> dict[str, str]:
    return {file.name: sha256(file.read_bytes()) for file in files}


def prepared(source: Source, raw: Path, output: Path, period: str) -> xr.Dataset:
    preprocess(source, raw, output, period)
    return xr.open_zarr(output.with_suffix(".zarr"))


def test_frames_that_are_there_go_through_with_their_times(tmp_path: Path, files: list[Path]) -> None:
    source = radar(tmp_path, pinned(files)).source("src")
    raw = tmp_path / "data" / "src" / "raw" / "all.json"
    fetch_source(source, part="all", output=raw, code="c")
    output = tmp_path / "dataset" / "2010-08.json"
    ds = prepared(source, raw, output, "2010-08")
    np.testing.assert_array_equal(ds.time, np.array(ENDS, dtype="datetime64[ns]"))
    content = read_manifest(output, verify="deep").content
    assert (content["form"], content["shape"], content["grid_step"]) == ("frames", [3, 4], [2000.0, 2000.0])
    stored = np.stack([counts(i) for i in range(4)]).astype(float)[:, ::-1]
    rate = np.where(stored == MISSING, np.nan, stored * 0.12).reshape(4, 3, 2, 4, 2)
    with np.errstate(all="ignore"):
        mean = np.nanmean(rate, axis=(2, 4))
    expected = (10 * np.log10(200 * mean**1.6) + 10) / 70
    expected[np.isnan(rate).mean(axis=(2, 4)) > 0.5] = np.nan
    np.testing.assert_allclose(ds.echo, expected, rtol=1e-5)
    assert RainScale(200.0, 1.6, -10.0, 60.0).attributes().items() <= ds.echo.attrs.items()
    again = tmp_path / "again" / "2010-08.json"
    prepared(source, raw, again, "2010-08")
    assert again.read_bytes() == output.read_bytes()


def test_a_damaged_file_is_refused_when_it_is_fetched(tmp_path: Path, files: list[Path]) -> None:
    files[2].write_bytes(files[2].read_bytes()[:-2000])
    source = radar(tmp_path, pinned(files)).source("src")
    with pytest.raises(FetchError, match=f"{files[2].name}: is not a readable KNMI composite"):
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")
    assert not (tmp_path / "raw" / "all.json").exists()


def test_a_renamed_file_is_refused_when_it_is_fetched(tmp_path: Path, files: list[Path]) -> None:
    moved = files[0].rename(files[0].with_name("RAD_NL25_RAP_5min_201008260140.h5"))
    source = radar(tmp_path, pinned([moved])).source("src")
    with pytest.raises(FetchError, match="ends at 2010-08-26 00:05, not as its name says; is the file renamed"):
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")


def test_a_period_without_a_frame_is_empty_and_told(
    tmp_path: Path, files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    time = {"start": "2010-08-26", "end": "2010-09-02", "step_hours": 1 / 12}
    source = radar(tmp_path, pinned(files), time=time).source("src")
    fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")
    output = tmp_path / "dataset" / "2010-09.json"
    ds = prepared(source, tmp_path / "raw" / "all.json", output, "2010-09")
    assert "there is no frame from 2010-09-01 to 2010-09-02: the period is empty" in caplog.text
    content = read_manifest(output, verify="deep").content
    assert (content["times"], content["shape"], ds.echo.shape) == (0, [3, 4], (0, 3, 4))
    august = tmp_path / "dataset" / "2010-08.json"
    prepared(source, tmp_path / "raw" / "all.json", august, "2010-08")
    both = [read_manifest(path, verify="deep") for path in (output, august)]
    assert open_days(both, date(2010, 8, 1), date(2010, 9, 30)).time.size == len(ENDS)
    assert open_days(both[:1], date(2010, 9, 1), date(2010, 9, 30)).time.size == 0


def test_a_file_that_is_not_there_tells_the_route(tmp_path: Path, files: list[Path]) -> None:
    fetch = {"driver": "file", "path": str(tmp_path / "{file}"), "files": [files[0].name], "route": "ask the institute"}
    source = radar(tmp_path, {}, fetch=fetch).source("src")
    with pytest.raises(FetchError, match="no such file; ask the institute"):
        fetch_source(source, part="all", output=tmp_path / "raw" / "all.json", code="c")


def test_a_day_of_frames_is_complete_when_its_last_one_has_come(tmp_path: Path, files: list[Path]) -> None:
    time = {"start": "2010-08-26", "end": "2010-08-27", "step_hours": 1 / 12, "daily_from": "2010-08-01"}
    raw = tmp_path / "raw" / "all.json"
    for many, complete in ((3, set()), (4, {"2010-08-26"})):
        source = radar(tmp_path, pinned(files[:many]), time=time).source("src")
        fetch_source(source, part="all", output=raw, code="c")
        assert set(shares(source, read_manifest(raw))) == complete


def test_a_day_without_frames_is_complete_once_a_later_one_has_come(tmp_path: Path, files: list[Path]) -> None:
    """Who waits for it would wait for ever."""
    time = {"start": "2010-08-25", "end": "2010-08-27", "step_hours": 1 / 12, "daily_from": "2010-08-01"}
    source = radar(tmp_path, pinned(files[:3]), time=time).source("src")
    raw = tmp_path / "raw" / "all.json"
    fetch_source(source, part="all", output=raw, code="c")
    assert set(shares(source, read_manifest(raw))) == {"2010-08-25"}


@pytest.mark.filterwarnings("ignore:Shell command not executed")
def test_intake_says_what_the_entry_is_and_opens_it(tmp_path: Path, files: list[Path]) -> None:
    import intake

    catalog = radar(tmp_path, pinned(files))
    with pytest.raises(FetchError, match="no such file; fetch it first"):
        catalog.open_source("src")
    fetch_source(catalog.source("src"), part="all", output=tmp_path / "data" / "src" / "raw" / "all.json", code="c")
    opened = catalog.open_source("src")
    assert opened.rain_rate.chunks is not None
    assert opened.sizes == {"time": 4, "y": 6, "x": 8}
    described = intake.open_catalog(str(tmp_path / "catalog.yaml"))["src"].describe()
    assert (described["container"], described["description"]) == ("xarray", "a source")
    assert described["metadata"]["gyre"]["reader"] == "knmi_radar"


def test_many_files_of_each_day_are_named_with_placeholders(tmp_path: Path) -> None:
    fetch = {
        "driver": "http",
        "url": "https://example.org/x/{file}",
        "files": ["a_{year}{month}{day}.h5", "b_{day}{month}{year}.h5"],
    }
    time = {"start": "2010-08-30", "end": "2010-09-01", "step_hours": 1.0}
    source = radar(tmp_path, {}, fetch=fetch, time=time, parts="monthly").source("src")
    addresses = [file["address"] for file in source.fetch_options("2010-08")["files"]]
    expected = ["a_20100830", "a_20100831", "b_30082010", "b_31082010"]
    assert addresses == [f"https://example.org/x/{name}.h5" for name in expected]


@pytest.mark.skipif("GYRE_MIRROR" not in os.environ, reason="GYRE_MIRROR does not name a folder with the real files")
@pytest.mark.parametrize(
    ("name", "period", "times", "shape"),
    [
        ("knmi-20100826", "2010-08", 92, [64, 64]),
        ("meteonet-rainfall-nw-sample", "2016-08", 45, [141, 196]),
        ("meteonet-rainfall-se-sample", "2016-08", 45, [128, 196]),
        ("meteonet-reflectivity-old-se-sample", "2016-08", 29, [128, 196]),
        ("meteonet-cloud-type-nw-sample", "2016-01", 9, [188, 261]),
        ("meteonet-arome-se-sample", "2018-05", 24, [207, 315]),
        ("meteonet-arpege-se-sample", "2018-05", 24, [53, 80]),
    ],
)
def test_the_real_files_go_through(tmp_path: Path, name: str, period: str, times: int, shape: list[int]) -> None:
    source = Catalog.load(Path("config/catalog.yaml")).source(name)
    raw, output = tmp_path / "raw" / "all.json", tmp_path / "dataset" / f"{period}.json"
    fetch_source(source, part="all", output=raw, mirror=Path(os.environ["GYRE_MIRROR"]), code="c")
    ds = prepared(source, raw, output, period)
    content = read_manifest(output).content
    assert (content["times"], content["shape"]) == (times, shape)
    for values in ds.data_vars.values():
        assert float(values.max()) > float(values.min()) >= (-20 if values.name in ("u10", "v10") else 0)
    if "reflectivity" in name:
        assert float((ds.echo == 0).mean()) > 0.8  # most of a frame is dry
    if name.startswith("knmi"):
        assert not bool(values.isnull().any())  # the square without gaps
        assert float(values.max()) <= 1.0
