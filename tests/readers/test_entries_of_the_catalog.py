"""Tiny files in the layout of what nobody may pass on, through the catalog's own entries to what a network sees."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.catalog import Catalog, Source
from pipeline_lib.fetch.stage import fetch_source
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.tasks.nowcasting.options import TrainingOptions
from pipeline_lib.tasks.nowcasting.sequences import Rows
from pipeline_lib.tasks.nowcasting.windows import SplitFrames, scaling_of
from pipeline_lib.train.problem import Batch
from tests.readers.layouts import cikm, hko7, meteonet_satellite
from tests.readers.preprocessing import preprocess

SEEN, LEADS = 2, 1


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.load(Path("config/catalog.yaml"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the files lie that were downloaded by hand."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "downloads"


def dataset(source: Source, part: str, period: str) -> xr.Dataset:
    """A period of an entry, fetched and preprocessed."""
    name = source.name
    raw, output = Path("raw", name, f"{part}.json"), Path("dataset", name, f"{period}.json")
    fetch_source(source, part=part, output=raw, code="c")
    preprocess(source, raw, output, period)
    assert read_manifest(output, verify="deep").content["form"] == "frames"
    return xr.open_zarr(output.with_suffix(".zarr"))


def windows(ds: xr.Dataset, name: str, *, step_minutes: float) -> tuple[Rows, Batch]:
    """The rows of a dataset, and every window in them."""
    options = TrainingOptions(seen=SEEN, leads=LEADS, step_minutes=step_minutes)
    rows = Rows.of(ds, [name], step_minutes=step_minutes, missing=options.missing)
    starts = rows.starts(seen=SEEN, leads=LEADS)
    made = SplitFrames(ds, scaling_of([name], {}), starts, rows.known, options).windows_in(Path())
    return rows, made.cut(np.arange(made.windows))


def test_noise_of_hko_7_is_seen_but_not_asked_for_and_no_frame_is_lost_to_it(here: Path, catalog: Catalog) -> None:
    """Masks by the rule of the public code: what is never scored, and echoes below 71 that are not 0."""
    y, x = np.mgrid[:480, :480] - 239.5
    scored = np.hypot(y, x) < 240
    scored[100:110, 200:210] = False  # outliers
    frames = {}
    for i in range(4):
        distance = np.hypot(y + 60, x - 5 * i)
        pixels = np.where(distance < 150, 150 * np.exp(-((distance / 70) ** 2)) + 30, 0).astype("uint8")
        pixels[100:110, 200:210] = 250
        frames[f"1505010{i // 2}{30 * (i % 2):02d}00"] = pixels, scored & ~((pixels > 0) & (pixels < 71))
    pictures = [pixels[::-1] for pixels, _ in frames.values()]  # datasets begin in the south
    whole = scored[::-1]
    (here / "hko-7").mkdir(parents=True)
    hko7(here / "hko-7/hko-7_2015-05.zip", frames)
    ds = dataset(catalog.source("hko-7"), "2015-05", "2015-05")
    rows, batch = windows(ds, "echo", step_minutes=30)
    assert (rows.told(), rows.before.tolist()) == ("4 frames, 0 of them incomplete", [0, 1, 2, 3])
    np.testing.assert_array_equal(rows.known["echo"], whole)
    weak = [(pixels > 0) & (pixels < 71) for pixels in pictures]
    assert all(part[whole].mean() > 0.2 for part in weak)
    for number in range(2):
        for place in range(SEEN):
            seen = np.where(whole, pictures[number + place] / 255, 0)
            np.testing.assert_allclose(batch.inputs[number, place, 0], seen, atol=1e-6)
        truth = np.where(whole & ~weak[number + SEEN], pictures[number + SEEN] / 255, np.nan)
        np.testing.assert_allclose(batch.target[number, 0], truth, atol=1e-6)


def test_samples_of_cikm_2017_are_rows_of_fifteen_frames(here: Path, catalog: Catalog) -> None:
    values = np.random.default_rng(0).integers(0, 256, (2, 15, 4, 101, 101))
    values[1, 3, 2, :40] = -1
    (here / "cikm-2017").mkdir(parents=True)
    cikm(here / "cikm-2017/train.txt", [("train_1", "13.4", values[0]), ("train_2", "0.2", values[1])])
    ds = dataset(catalog.source("cikm-2017"), "all", "2000-01")
    rows, batch = windows(ds, "echo", step_minutes=6)
    assert rows.before.tolist() == [*range(15), *range(3), -1, *range(11)]
    dbz = values[:, :, 2, ::-1] * 95 / 255 - 10
    echo = np.clip((dbz + 10) / 70, 0, 1)  # of the whole range of 95 dBZ the first 70
    np.testing.assert_allclose(batch.inputs[0, :, 0], echo[0, :SEEN], atol=1e-6)
    np.testing.assert_allclose(batch.target[12], echo[0, 14:], atol=1e-6)
    np.testing.assert_allclose(batch.inputs[13, :, 0], echo[1, :SEEN], atol=1e-6)
    assert len(batch.inputs) == 13 + 1 + 9


def test_masks_of_meteonet_are_made_of_its_satellite_files(here: Path, catalog: Catalog) -> None:
    """Class 0 is no data, from 5 on there are clouds; the picture of 01:15 is not there, as in the sample."""
    folder, rng = here / "meteonet/NW/satellite", np.random.default_rng(0)
    folder.mkdir(parents=True)
    classes = rng.integers(1, 16, (9, 6, 8))
    classes[:, 0, 0] = 0  # never seen
    classes[7, :2] = 0
    first = (datetime(2016, 1, 1) - datetime(1901, 1, 1)) / timedelta(hours=1)
    hours = first + np.delete(np.arange(10), 5) / 4
    meteonet_satellite(folder / "CT_NW_2016.nc", classes, hours)
    for year, later in ((2017, 366), (2018, 731)):
        meteonet_satellite(folder / f"CT_NW_{year}.nc", classes[:1], [first + 24 * later])
    ds = dataset(catalog.source("meteonet-cloud-mask-nw"), "all", "2016-01")
    assert [str(t)[11:16] for t in ds.time.values[4:6]] == ["01:00", "01:30"]
    assert (ds.cloud.dims, ds.sizes["time"]) == (("time", "latitude", "longitude"), 9)
    np.testing.assert_allclose(ds.latitude, np.linspace(46.25, 51.896, 6))
    np.testing.assert_allclose(ds.longitude, np.linspace(-5.842, 2.0, 8))
    mask = np.where(classes == 0, np.nan, classes >= 5)[:, ::-1]
    np.testing.assert_array_equal(ds.cloud, mask)
    rows, batch = windows(ds, "cloud", step_minutes=15)
    assert rows.before.tolist() == [0, 1, 2, 3, 4, 0, 1, -1, 0]
    assert len(batch.inputs) == 3
    np.testing.assert_array_equal(batch.inputs[2, :, 0], np.nan_to_num(mask[2:4]))
    np.testing.assert_array_equal(batch.target[2, 0], mask[4])
