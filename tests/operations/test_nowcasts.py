"""Frames that arrive day by day: each new day is forecast, scored and published like maps are."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.io.manifest import read_manifest
from tests.operations.project import night
from tests.workflow.project import catalog, gyre, write_files

FIRST, START, LAST = date(2020, 3, 1), date(2020, 4, 1), date(2020, 4, 2)
FRAMES_A_DAY, SIDE = 8, 12


def deliver(folder: Path, day: date) -> None:
    """Write the frames of a day: a bump that goes around."""
    times = np.datetime64(day, "ns") + np.arange(FRAMES_A_DAY) * np.timedelta64(3, "h")
    steps = ((times - np.datetime64(FIRST, "ns")) / np.timedelta64(3, "h")).astype(int)
    row, column = np.mgrid[:SIDE, :SIDE]
    cover = np.exp(-((row - SIDE / 2) ** 2 + (column - steps[:, None, None] % SIDE) ** 2) / 4.0)
    axes = {"time": times, "latitude": 40 + np.arange(SIDE) / 10, "longitude": 5 + np.arange(SIDE) / 10}
    ds = xr.Dataset({"cover": (tuple(axes), cover, {"units": "1", "long_name": "cloud cover"})}, axes)
    (folder / "incoming").mkdir(parents=True, exist_ok=True)
    ds.to_netcdf(folder / f"incoming/frames_{day:%Y%m%d}.nc", engine="h5netcdf")


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    for n in range((LAST - FIRST).days + 1):
        deliver(folder, FIRST + timedelta(days=n))
    raw = catalog(Path(__file__))
    entry = raw["sources"].pop("tiny-adt")
    raw["sources"]["frames"] = entry
    entry["args"]["urlpath"] = "{{ data_dir }}/frames/raw/*.nc"
    entry["metadata"]["gyre"] |= {
        "variables": {"cover": {"name": "cover", "units": "1"}},
        "form": "frames",
        "time": {"start": FIRST.isoformat(), "step_hours": 3, "daily_from": START.isoformat()},
        "parts": "monthly",
        "fetch": {"driver": "file", "path": "incoming/frames_{year}{month}{day}.nc"},
        "preparation": {"name": "as_is", "options": {"variables": ["cover"]}},
    }
    experiment = {
        "title": "Daily frames",
        "task": "nowcasting",
        "source": "frames",
        "inputs": ["cover"],
        "split": {
            "train": ["2020-03-01", "2020-03-10"],
            "validation": ["2020-03-12", "2020-03-14"],
            "test": ["2020-03-16", "2020-03-30"],
            "gap_days": 1,
        },
        "training": {"seen": 2, "leads": 3, "step_minutes": 180, "stride": 5, "max_epochs": 1},
        "scoring": {"metrics": ["frame_mse", "csi_0.5"], "intervals": {"block_days": 1}},
        "models": ["last_frame"],
        "operations": {"start": START.isoformat()},
    }
    write_files(folder, "tiny", experiment, raw, device="cpu")
    assert night(folder, LAST).problems == []
    return folder


def test_the_days_that_came_are_forecast_and_published(begun):
    done = gyre("publish", "tiny", cwd=begun)
    assert done.returncode == 0, done.stderr
    assert "published: 2020-04-01 to 2020-04-02" in done.stdout
    (store,) = (begun / "results/tiny/published/last_frame-seed0").glob("*.zarr")
    together = xr.open_zarr(store)
    for day in ("2020-04-01", "2020-04-02"):
        single = xr.open_zarr(begun / f"results/tiny/last_frame/seed0/products/{day}.zarr")
        xr.testing.assert_equal(together.forecast.sel(time=day).transpose(*single.forecast.dims), single.forecast)
    manifest = read_manifest(store.with_suffix(".json"), kind="publication", verify="deep")
    assert manifest.content["cf_checked"]


def test_days_of_operations_are_forecast_from_every_frame_to_the_newest_and_only_the_test_is_thinned_out(begun):
    products = begun / "results/tiny/last_frame/seed0/products"
    day = xr.open_zarr(products / "2020-04-02.zarr").time.values
    assert day.tolist() == (np.datetime64("2020-04-02T03", "ns") + np.arange(7) * np.timedelta64(3, "h")).tolist()
    month = xr.open_zarr(products / "2020-03.zarr").time.values
    assert (np.diff(month) == np.timedelta64(15, "h")).all()
