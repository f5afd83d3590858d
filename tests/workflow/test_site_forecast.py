"""Wind at a station and rain at a site through all stages, each by a few models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pandas import read_csv

from pipeline_lib.errors import DataError, StoreError
from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.tasks.site_forecast.predict import product
from tests.workflow.project import gyre, make_in_forks, simulated, write_files

SEEN, LEADS, STATION = 4, 3, 2
WIND = {
    "simulation": "wind_field",
    "step_hours": 0.5,
    "options": {"minutes": 30.0, "side": 5, "stations": 3},
    "preparation": {"name": "as_is", "options": {"variables": ["ff", "nwp_u", "nwp_v"], "dtype": "float64"}},
}
EXPERIMENT = {
    "title": "Tiny winds",
    "task": "site_forecast",
    "source": "winds",
    "inputs": ["ff", "nwp_u", "nwp_v"],
    "split": {
        "train": ["2000-01-01", "2000-01-20"],
        "validation": ["2000-01-22", "2000-01-24"],
        "test": ["2000-01-26", "2000-01-31"],
        "gap_days": 0,
    },
    "training": {
        "station": STATION,
        "nwp": ["nwp_u", "nwp_v"],
        "speed": True,
        "nwp_run_hours": 6,
        "nwp_delay_hours": 2,
        "seen": SEEN,
        "leads": LEADS,
        "step_minutes": 30,
        "max_epochs": 1,
    },
    "scoring": {
        "metrics": ["site_rmse", "site_mae", "site_bias", "nwp_skill", "site_rmse_lead_3"],
        "intervals": {"block_days": 1.0},
    },
    "models": ["persistence_series", "nwp_nearest", "nwp_corrected"],
}


RAIN = {
    "simulation": "site_rain",
    "step_hours": 1.0,
    "options": {"length": 4, "side": 12, "borders": "open", "radius": [1.5, 2.0], "levels": 2},
    "preparation": {"name": "as_is", "options": {"variables": ["rain", "reflectivity", "age"], "dtype": "float64"}},
}
SUMS = {
    "title": "Tiny rain",
    "task": "site_forecast",
    "source": "sums",
    "inputs": ["rain", "reflectivity"],
    "split": EXPERIMENT["split"],
    "training": {
        "accumulated": True,
        "accumulated_hours": 4,
        "seen": 3,
        "leads": 1,
        "step_minutes": 60,
        "batch_size": 8,
        "max_epochs": 1,
    },
    "scoring": {"metrics": ["site_rmse", "site_mae"], "intervals": {"block_days": 1.0}},
    "models": [
        {"name": "linear_regression", "model": "linear_regression", "options": {"blocks": 1}},
        {"name": "deeprain", "model": "deeprain", "options": {"widths": [4], "hidden": 4, "crop": 3}},
    ],
}


@pytest.fixture(scope="module")
def winds(tmp_path_factory) -> Path:
    folder = project(
        tmp_path_factory.mktemp("winds"), EXPERIMENT, WIND, dict.fromkeys(("ff", "nwp_u", "nwp_v"), "m s-1")
    )
    make_in_forks(folder, "all")
    return folder


@pytest.fixture(scope="module")
def sums(tmp_path_factory) -> Path:
    units = {"rain": "kg m-2", "reflectivity": "dBZ", "age": "1"}
    folder = project(tmp_path_factory.mktemp("sums"), SUMS, RAIN, units)
    make_in_forks(folder, "scores")
    return folder


def project(folder: Path, experiment: dict, simulation: dict, units: dict[str, str]) -> Path:
    catalog, source = simulated(experiment, **simulation), experiment["source"]
    contract = {name: {"name": name, "units": unit} for name, unit in units.items()}
    catalog["sources"][source]["metadata"]["gyre"]["variables"] = contract
    return write_files(folder, source, experiment, catalog, device="cpu")


def opened(file: Path, kind: str) -> xr.Dataset:
    return xr.open_zarr(read_manifest(file, kind=kind, verify="deep").file("2000-01.zarr"))


def test_scores_are_those_of_a_loop_over_the_starts_that_the_prediction_allows(winds):
    ds = opened(winds / "data/winds/dataset/2000-01.json", "dataset").load()
    test = ds.sel(time=slice("2000-01-26", "2000-01-31"))
    truth = test.ff.values[:, STATION].astype(float)
    row, column = (round(float(ds[f"station_{axis}"][STATION])) for axis in ("row", "column"))
    raw = np.hypot(test.nwp_u.values[:, row, column].astype(float), test.nwp_v.values[:, row, column].astype(float))
    squared, foretold = [], []
    for start in range(SEEN - 1, len(truth) - LEADS):
        half_hours = start % 48
        # The last lead's run is that of the last six hours, and comes two hours late.
        run = (half_hours + LEADS) // 12 * 12
        if run + 4 > half_hours:
            continue
        ahead = slice(start + 1, start + 1 + LEADS)
        squared.append((truth[ahead] - truth[start]) ** 2)
        foretold.append((truth[ahead] - raw[ahead]) ** 2)
    table = read_csv(winds / "results/winds/leaderboard.csv").set_index(["model", "metric"])["value"]
    rmse, raw_rmse = np.sqrt(np.mean(squared, axis=0)), np.sqrt(np.mean(foretold, axis=0))
    assert table["persistence_series", "site_rmse"] == pytest.approx(rmse.mean(), rel=1e-5)
    assert table["persistence_series", "site_rmse_lead_3"] == pytest.approx(rmse[2], rel=1e-5)
    assert table["nwp_nearest", "site_rmse"] == pytest.approx(raw_rmse.mean(), rel=1e-5)
    assert table["persistence_series", "nwp_skill"] == pytest.approx((1 - rmse / raw_rmse).mean(), rel=1e-4)
    assert table["nwp_nearest", "nwp_skill"] == pytest.approx(0, abs=1e-6)
    assert table["nwp_corrected", "site_rmse"] < table["nwp_nearest", "site_rmse"]
    board = read_manifest(winds / "results/winds/leaderboard.json", kind="leaderboard").content
    assert board["date_count"] == len(squared)


def test_the_report_shows_errors_by_lead_and_a_stretch_of_the_series(winds):
    figures = winds / "results/winds/figures"
    assert {"error_by_lead.png", "example.png"} <= {file.name for file in figures.iterdir()}
    model = json.loads((winds / "results/winds/nwp_corrected/seed0/model.json").read_text())
    assert model["content"]["windows"]["train"] > 300


def test_sums_are_forecast_from_the_volumes_of_their_own_sequence(sums):
    ds = opened(sums / "data/sums/dataset/2000-01.json", "dataset").load()
    product = opened(sums / "results/sums/deeprain/seed0/products/2000-01.json", "product").load()
    # Three volumes seen: from the last two of four.
    assert set(ds.age.sel(time=product.time).values) == {2, 3}
    assert product.lead.values.tolist() == [0]
    assert (product.forecast.values >= 0).all()
    test = product.sel(time=slice("2000-01-26", "2000-01-31"))
    table = read_csv(sums / "results/sums/leaderboard.csv").set_index(["model", "metric"])["value"]
    errors = test.forecast.values[:, 0, 0] - ds.rain.sel(time=test.time).values
    assert table["deeprain", "site_rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
    assert np.isfinite(table["linear_regression", "site_mae"])


def test_a_file_from_outside_need_not_hold_the_rain_that_is_asked_for(sums, tmp_path):
    ds = xr.open_dataset(sums / "data/sums/raw/site_rain.nc").isel(time=slice(8))
    ds.drop_vars("rain").to_netcdf(tmp_path / "radar.nc")
    model = sums / "results/sums/deeprain/seed0/model.json"
    done = gyre("predict", "--model", model, "--input", tmp_path / "radar.nc", "--output", tmp_path / "rain.zarr")
    assert done.returncode == 0, done.stderr
    found = xr.open_zarr(tmp_path / "rain.zarr")
    stored = opened(sums / "results/sums/deeprain/seed0/products/2000-01.json", "product")
    assert found.sizes["time"] == 4
    np.testing.assert_array_equal(found.forecast, stored.forecast[:4])
    assert found.forecast.attrs["units"] == "kg m-2"


def test_rain_in_another_unit_and_a_model_that_does_not_say_what_it_forecasts_are_refused(sums):
    model = read_manifest(sums / "results/sums/linear_regression/seed0/model.json", kind="model")
    ds = opened(sums / "data/sums/dataset/2000-01.json", "dataset").isel(time=slice(8)).load()
    ds.rain.attrs["units"] = "m"
    with pytest.raises(DataError, match=r"rain: is in 'm', the model was trained in 'kg m-2'"):
        product(model, ds, device="cpu", threads=None)
    del model.content["target"]
    with pytest.raises(StoreError, match="does not say what it forecasts; train it again"):
        product(model, ds, device="cpu", threads=None)
