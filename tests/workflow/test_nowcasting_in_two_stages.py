"""Cloud tops through all stages, and the rain that is retrieved from them: stored, applied, scored beside its bound."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pandas import read_csv

from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.io.yaml import load_yaml
from pipeline_lib.plan import load_plan
from pipeline_lib.retrieval.rain import Retrieval
from tests.workflow.project import edit_yaml, gyre, make_in_forks, simulated, snakemake, write_files

SEEN, LEADS, LENGTH = 2, 3, 10
"""Of the frames of a sequence, six are the last of January and four the first of February."""
PREPARATION = {
    "name": "temperature_frames",
    "options": {"variable": "brightness_temperature", "keep": ["rain_rate", "age"]},
}
SIMULATION = {
    "simulation": "cold_clouds",
    "step_hours": 3.0,
    "options": {"length": LENGTH, "side": 20, "radius": [2.0, 3.0], "lifetime": [5.0, 9.0], "borders": "open"},
    "variables": ["brightness_temperature", "rain_rate", "age"],
    "preparation": PREPARATION,
}
RETRIEVAL = {"target": "rain_rate", "rows": 4, "columns": 4, "epochs": 4, "samples": 20_000}
EXPERIMENT = {
    "title": "Tiny clouds",
    "task": "nowcasting",
    "source": "tiny-clouds",
    "inputs": ["cloud_top"],
    "split": {
        "train": ["2000-01-20", "2000-01-28"],
        "validation": ["2000-01-30", "2000-01-30"],
        "test": ["2000-01-31 12:00", "2000-02-02"],
        "gap_days": 0,
    },
    "training": {
        "seen": SEEN,
        "leads": LEADS,
        "step_minutes": 180,
        "batch_size": 8,
        "max_epochs": 1,
        "patience": None,
        "retrieval": RETRIEVAL,
    },
    "scoring": {
        "metrics": ["temperature_rmse", "std_ratio", "retrieved_csi_1", "retrieved_rmse", "bound_csi_1", "bound_rmse"],
        "intervals": {"block_days": 1.0},
    },
    "models": [
        "last_frame",
        {"name": "window", "model": "window_lstm", "options": {"window": 3, "widths": [4], "residual": True}},
    ],
    "seeds": [0],
}


def project(folder: Path, experiment: dict, **simulation: object) -> None:
    catalog = simulated(experiment, **{**SIMULATION, **simulation})
    [entry] = catalog["sources"].values()
    variables = entry["metadata"]["gyre"]["variables"]
    variables["brightness_temperature"]["units"], variables["rain_rate"]["units"] = "K", "mm h-1"
    write_files(folder, "clouds", experiment, catalog, device="cpu")


@pytest.fixture(scope="module")
def clouds(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clouds")
    project(folder, EXPERIMENT)
    make_in_forks(folder, "results/clouds/report.html")
    return folder


def opened(file: Path, kind: str) -> xr.Dataset:
    return xr.open_zarr(read_manifest(file, kind=kind, verify="deep").file(f"{file.stem}.zarr"))


@pytest.mark.parametrize("model", ["last_frame", "window"])
def test_a_product_holds_what_is_retrieved_from_forecast_and_truth(clouds, model):
    run = clouds / "results/clouds" / model / "seed0"
    trained = read_manifest(run / "model.json", kind="model", verify="deep")
    stored = json.loads(trained.file("retrieval.json").read_text())
    retrieval = Retrieval.from_plain(stored)
    for period in ("2000-01", "2000-02"):
        product = opened(run / f"products/{period}.json", "product").load()
        ds = opened(clouds / f"data/tiny-clouds/dataset/{period}.json", "dataset").load()
        assert product.retrieved.attrs["units"] == "mm h-1"
        forecast = product.forecast.values.astype(float)
        np.testing.assert_allclose(product.retrieved, retrieval.rates(forecast), rtol=1e-6, atol=1e-6)
        # Of each frame of the period once, whether a forecast reaches it or not.
        np.testing.assert_array_equal(product.valid_time, ds.time)
        truth = retrieval.rates(ds.cloud_top.values)
        np.testing.assert_allclose(product.retrieved_from_truth, truth, rtol=1e-6, atol=1e-6)
    # All competitors have the same one.
    other = read_manifest(clouds / "results/clouds/last_frame/seed0/model.json", kind="model", verify="deep")
    assert json.loads(other.file("retrieval.json").read_text()) == stored


def test_rain_and_its_bound_are_scored_against_the_true_rain(clouds):
    table = read_csv(clouds / "results/clouds/leaderboard.csv").set_index(["model", "metric"])["value"]
    ds = xr.concat(
        [opened(clouds / f"data/tiny-clouds/dataset/{p}.json", "dataset") for p in ("2000-01", "2000-02")], "time"
    ).sel(time=slice("2000-01-31T12", None))
    ages, top, rain = ds.age.values.astype(int), ds.cloud_top.values.astype(float), ds.rain_rate.values.astype(float)
    starts = [
        i
        for i in range(SEEN - 1, len(ages) - LEADS)
        if ages[i - SEEN + 1] == ages[i] - SEEN + 1 and ages[i] + LEADS < LENGTH
    ]
    february = int((ds.time.values < np.datetime64("2000-02-01")).sum())
    over = [i for i in starts if i < february <= i + LEADS]
    assert len(over) == 3  # forecasts of January that reach into February, where the next period holds the bound
    futures = np.array(starts) + np.arange(1, LEADS + 1)[:, None]

    def rmse(error):
        return np.sqrt((error**2).mean(axis=(1, 2, 3))).mean()

    assert table["last_frame", "temperature_rmse"] == pytest.approx(rmse(140 * (top[futures] - top[starts])), rel=1e-5)
    trained = read_manifest(clouds / "results/clouds/last_frame/seed0/model.json", kind="model", verify="deep")
    retrieval = Retrieval.from_plain(json.loads(trained.file("retrieval.json").read_text()))
    retrieved = retrieval.rates(ds.cloud_top.values)
    for kind, found in (("retrieved", retrieved[starts]), ("bound", retrieved[futures])):
        assert table["last_frame", f"{kind}_rmse"] == pytest.approx(rmse(found - rain[futures]), rel=1e-5)
    for score in ("csi_1", "rmse"):
        bounds = [table[model, f"bound_{score}"] for model in ("last_frame", "window")]
        assert bounds[0] == bounds[1]
    assert table["last_frame", "retrieved_csi_1"] < table["last_frame", "bound_csi_1"]
    assert table["last_frame", "retrieved_rmse"] > table["last_frame", "bound_rmse"]
    page = (clouds / "results/clouds/report.html").read_text()
    assert "Dotted: what is retrieved from the true frames" in page


def test_another_retrieval_trains_again_and_fetches_nothing(clouds, tmp_path, monkeypatch):
    monkeypatch.chdir(clouds)
    plan = load_plan(load_yaml(Path("config/config.yaml")))
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, "clouds", EXPERIMENT, load_yaml(clouds / "config/catalog.yaml"), device="cpu")
    changed = {**EXPERIMENT["training"], "retrieval": {**RETRIEVAL, "penalty": 2.0}}
    edit_yaml(tmp_path / "config/experiments/clouds.yaml", training=changed)
    other = load_plan(load_yaml(Path("config/config.yaml")))
    run = {"experiment": "clouds", "model": "last_frame", "seed": "0"}
    assert plan.key("train", **run) != other.key("train", **run)
    whole = {"source": "tiny-clouds", "period": "2000-01"}
    assert plan.key("preprocess", **whole) == other.key("preprocess", **whole)
    assert plan.key("score", **run) == other.key("score", **run)


@pytest.mark.parametrize(("option", "name", "fix"), [("target", "rain", "rain_rate"), ("surface", "ages", "age")])
def test_a_retrieval_of_what_the_source_does_not_make_is_told_before_anything_runs(tmp_path, option, name, fix):
    wrong = {**EXPERIMENT["training"], "retrieval": {**RETRIEVAL, option: name}}
    write_files(tmp_path, "clouds", {**EXPERIMENT, "training": wrong}, simulated(EXPERIMENT, **SIMULATION))
    done = snakemake(tmp_path, "--dry-run", check=False)
    assert done.returncode != 0
    line = f"clouds: models.last_frame.training.retrieval.{option}: source tiny-clouds makes no variable {name!r}"
    assert f"{line}; did you mean {fix!r}?" in done.stdout
    assert not (tmp_path / "data").exists()


def test_frames_in_kelvin_are_far_from_what_networks_see_beyond_the_border(clouds, tmp_path):
    training = {**EXPERIMENT["training"], "retrieval": None}
    kelvin = {**EXPERIMENT, "inputs": ["brightness_temperature"], "training": training}
    kelvin["scoring"] = {"metrics": ["frame_mse"]}
    project(
        tmp_path, kelvin, preparation={"name": "as_is", "options": {"variables": ["brightness_temperature", "age"]}}
    )
    make_in_forks(tmp_path, *(f"results/clouds/{model}/seed0/model.json" for model in ("last_frame", "window")))
    line = (
        r"networks see 0 in gaps and beyond the border, and the mean, 2\d\d K, is \d+\.\d standard deviations from it"
    )
    assert len(re.findall(line, (tmp_path / "commands.log").read_text())) == 1  # persistence pads nothing
    assert "networks see 0" not in (clouds / "commands.log").read_text()


def test_a_file_without_rain_is_forecast_all_the_same(clouds, tmp_path):
    ds = xr.open_dataset(clouds / "data/tiny-clouds/raw/cold_clouds.nc")[["brightness_temperature", "age"]]
    ds.isel(time=slice(0, 6)).to_netcdf(tmp_path / "mine.nc", engine="h5netcdf")
    model = clouds / "results/clouds/window/seed0/model.json"
    done = gyre("predict", "--model", model, "--input", tmp_path / "mine.nc", "--output", tmp_path / "made.zarr")
    assert done.returncode == 0, done.stderr
    made = xr.open_zarr(tmp_path / "made.zarr")
    assert made.retrieved.shape == (5, LEADS, 20, 20)
    assert np.isfinite(made.retrieved).all()
