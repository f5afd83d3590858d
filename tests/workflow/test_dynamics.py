"""A simulated source through all stages: from a solver to a leaderboard, with the rules that everything else uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pandas import read_csv

from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.learning.model_store import load_model
from tests.workflow.project import copy_of, edit_yaml, gyre, planned, simulated, snakemake, write_simulated_project

EXPERIMENT = {
    "title": "Tiny Lorenz",
    "task": "dynamics",
    "source": "flow",
    "inputs": ["state"],
    "split": {
        "train": ["2000-01-01", "2000-01-05"],
        "validation": ["2000-01-07", "2000-01-08"],
        "test": ["2000-02-01", "2000-02-02"],
        "gap_days": 0,
    },
    "training": {"windows": 64, "max_epochs": 2, "horizon": 3, "learning_rate": 0.01, "free_run": 1.0},
    "scoring": {
        "metrics": ["explained_variance_1", "rmse_8", "valid_steps", "stable_share", "energy_drift"],
        "intervals": {"block_days": 1.0},
    },
    "models": [
        "lorenz63_ode",
        {"name": "lstm", "model": "recurrent"},
        {"name": "analog", "model": "analog", "options": {"catalogue": 300, "neighbours": [4, 8]}},
        {
            "name": "binn",
            "model": "bilinear",
            "training": {"optimizer": "levenberg_marquardt", "windows": None, "horizon": 1, "max_epochs": 100},
        },
    ],
    "published": ["lorenz63_course"],
}
SIMULATION = {"simulation": "lorenz63", "step_hours": 0.24, "options": {"integrator": "rk4"}}


@pytest.fixture(scope="module")
def flow(tmp_path_factory) -> Path:
    folder = write_simulated_project(tmp_path_factory.mktemp("flow"), "lorenz", EXPERIMENT, **SIMULATION)
    snakemake(folder, "all")
    return folder


@pytest.fixture
def own(flow, tmp_path) -> Path:
    """A copy that a test may change."""
    return copy_of(flow, tmp_path / "own")


def test_states_are_stored_as_they_were_simulated(flow):
    manifest = read_manifest(flow / "data/flow/dataset/2000-02.json", kind="dataset", verify="deep")
    assert manifest.content["form"] == "states"
    assert manifest.content["shape"] == [3]
    stored = xr.open_zarr(manifest.file("2000-02.zarr")).state
    raw = xr.open_dataset(flow / "data/flow/raw/lorenz63.nc", engine="h5netcdf").state
    np.testing.assert_array_equal(stored, raw.sel(time=stored.time))


def test_each_state_of_the_test_has_a_forecast_and_all_are_scored(flow):
    product = read_manifest(flow / "results/lorenz/lstm/seed0/products/2000-02.json", kind="product", verify="deep")
    forecast = xr.open_zarr(product.file("2000-02.zarr"))
    assert forecast.attrs["title"] == "Forecasts"
    assert dict(forecast.forecast.sizes) == {"time": 200, "lead": 29, "component": 3}
    board = (flow / "results/lorenz/leaderboard.csv").read_text().splitlines()
    assert {line.split(",")[0] for line in board[1:]} == {"lorenz63_ode", "lstm", "analog", "binn"}
    page = (flow / "results/lorenz/report.html").read_text()
    assert "Skill by lead" in page
    assert {figure.stem for figure in (flow / "results/lorenz/figures").glob("*.png")} == {
        "attractor", "energy", "examples", "leaderboard", "loss_curves", "skill_by_lead",
    }  # fmt: skip


def test_free_runs_start_from_the_truth_and_only_complete_ones_count(flow):
    board = read_csv(flow / "results/lorenz/leaderboard.csv").set_index(["model", "metric"])["value"]
    assert board["binn", "valid_steps"] == 100
    assert board["binn", "stable_share"] == 1
    assert board["binn", "energy_drift"] == pytest.approx(0, abs=1e-6)
    assert board["analog", "valid_steps"] < 100
    product = read_manifest(flow / "results/lorenz/analog/seed0/products/2000-02.json", kind="product")
    free = xr.open_zarr(product.file("2000-02.zarr"))
    truth = read_manifest(flow / "data/flow/dataset/2000-02.json", kind="dataset")
    states = xr.open_zarr(truth.file("2000-02.zarr")).state
    starts = free.free_run_age.values == 0
    assert starts.nonzero()[0].tolist() == [0, 100]
    np.testing.assert_allclose(free.free_run.values[starts], states.values[starts], rtol=1e-12)
    np.testing.assert_allclose(free.free_run.values[1:29], free.forecast.values[0, :28], rtol=1e-9)


def test_a_model_that_takes_the_steps_of_the_data_is_exact_from_the_solver_to_the_score(flow):
    """In float64 all the way: stored states, training, forecasts, counts."""
    board = read_csv(flow / "results/lorenz/leaderboard.csv").set_index(["model", "metric"])["value"]
    assert board["binn", "rmse_8"] < 1e-6
    assert board["analog", "rmse_8"] > 1e-6
    model = read_manifest(flow / "results/lorenz/binn/seed0/model.json", kind="model").content
    assert model["precision"] == "float64"
    assert model["best_epoch"] <= model["stopped_epoch"] <= 100
    fitted = read_manifest(flow / "results/lorenz/analog/seed0/model.json", kind="model")
    assert "last.ckpt" not in fitted.payloads
    assert not list(fitted.path.parent.glob("checkpoints-*"))


def test_noise_is_of_the_training_alone(own):
    noisy = {
        "name": "noisy",
        "model": "analog",
        "options": {"catalogue": 300, "neighbours": [4]},
        "training": {"noise": 0.5},
    }
    edit_yaml(own / "config/experiments/lorenz.yaml", models=[noisy], seeds=[0, 1])
    snakemake(own, *(f"results/lorenz/noisy/seed{seed}/model.json" for seed in (0, 1)))
    catalogues = []
    for seed in (0, 1):
        model = load_model(own / f"results/lorenz/noisy/seed{seed}/model.json")
        catalogues.append(model.network.successors * model.spec.sizes["scale"] + model.spec.sizes["mean"])
    raw = xr.open_dataset(own / "data/flow/raw/lorenz63.nc", engine="h5netcdf").state.values[200:500]
    noise = [catalogue.numpy() - raw for catalogue in catalogues]
    assert not np.array_equal(*noise)
    assert [float(n.std()) for n in noise] == pytest.approx([0.5, 0.5], rel=0.1)


def test_forecasts_made_again_are_equal_to_the_byte_though_the_memory_is_random(own):
    product = own / "results/lorenz/lstm/seed0/products/2000-02.json"
    before = product.read_bytes()
    product.unlink()
    snakemake(own, str(product.relative_to(own)))
    assert product.read_bytes() == before


def test_a_second_run_has_nothing_to_do_and_a_new_parameter_starts_again(own):
    assert planned(own, "all") == {}
    edit_yaml(own / "config/catalog.yaml", **simulated(EXPERIMENT, **SIMULATION | {"options": {"rho": 30.0}}))
    jobs = planned(own, "all")
    assert jobs["fetch"] == 1
    assert jobs["train"] == 4


def test_a_step_that_is_not_the_data_s_is_refused(own):
    edit_yaml(own / "config/experiments/lorenz.yaml", training={**EXPERIMENT["training"], "step": 0.02})
    done = snakemake(own, "results/lorenz/lstm/seed0/model.json", check=False)
    assert "training.step: is 0.02 days, the states of flow are 0.01 apart; set training.step: 0.01" in done.stdout


def test_a_file_of_states_from_outside_is_forecast(flow, tmp_path):
    raw = flow / "data/flow/raw/lorenz63.nc"
    out = tmp_path / "mine.zarr"
    done = gyre("predict", "--model", flow / "results/lorenz/lstm/seed0/model.json", "--input", raw, "--output", out)
    assert done.returncode == 0, done.stderr
    assert xr.open_zarr(out).sizes["time"] == 3300
