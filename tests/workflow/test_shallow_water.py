"""Shallow water with a learned forcing through all stages, in a basin of a few cells."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pandas import read_csv

from pipeline_lib.io.manifest import read_manifest
from tests.workflow.project import make_in_forks, write_simulated_project

SIZE = 12
FORCING = "shallow_water_forcing"
EXPERIMENT = {
    "title": "Tiny basin",
    "task": "dynamics",
    "source": "basin",
    "inputs": ["state"],
    "split": {
        "train": ["2000-01-01", "2000-01-03"],
        "validation": ["2000-01-05", "2000-01-05"],
        "test": ["2000-01-07", "2000-01-10"],
        "gap_days": 0,
    },
    "training": {"step": 0.1, "forecast_steps": 1, "free_run": 2.0},
    "scoring": {
        "metrics": ["mean_height_drift", "stable_steps", "kinetic_energy_drift", "rmse_1"],
        "intervals": {"block_days": 1.0},
    },
    "models": [
        {"name": "none", "model": FORCING, "options": {"constraint": "none", "epochs": 40}},
        {"name": "wall", "model": FORCING, "options": {"epochs": 40}},
        {"name": "truth", "model": "known_dynamics", "options": {"system": "shallow_water"}},
    ],
    "seeds": [0],
}
SIMULATION = {
    "simulation": "shallow_water",
    "step_hours": 2.4,
    "options": {"size": SIZE, "spin_up": 0.5, "dt": 0.1},
}


@pytest.fixture(scope="module")
def basin(tmp_path_factory):
    folder = write_simulated_project(tmp_path_factory.mktemp("basin"), "forcing", EXPERIMENT, **SIMULATION)
    make_in_forks(folder, "all")
    return folder


def test_the_true_forcing_repeats_the_simulation_and_only_a_leaky_one_loses_water(basin):
    table = read_csv(basin / "results/forcing/leaderboard.csv", na_values="undefined")
    board = table.set_index(["model", "metric"])["value"]
    exact = board["truth", "rmse_1"], board["truth", "mean_height_drift"], board["wall", "mean_height_drift"]
    assert max(exact) < 1e-12
    assert abs(board["truth", "kinetic_energy_drift"]) < 1e-12
    assert board["truth", "stable_steps"] == board["wall", "stable_steps"] == 20
    assert 0 < abs(board["wall", "kinetic_energy_drift"]) < 0.5
    assert board["none", "stable_steps"] < 20
    assert np.isnan(board["none", "mean_height_drift"])
    assert np.isnan(board["none", "kinetic_energy_drift"])


def test_a_product_holds_what_its_free_runs_sum_up_to(basin):
    product = read_manifest(basin / "results/forcing/wall/seed0/products/2000-01.json", kind="product", verify="deep")
    runs = xr.open_zarr(product.file("2000-01.zarr"))
    assert dict(runs.free_run.sizes) == {"time": 100, "field": 6, "y": SIZE, "x": SIZE}
    np.testing.assert_allclose(
        runs.free_run_mean_height, runs.free_run.sel(field="h").mean(("y", "x"), skipna=False), atol=1e-9
    )
    assert runs.kinetic_energy.units == runs.free_run_kinetic_energy.units == "m3 s-2"
    starts = runs.free_run_age.values == 0
    np.testing.assert_allclose(runs.free_run_kinetic_energy[starts], runs.kinetic_energy[starts], rtol=1e-12)


def test_report_and_history_show_the_fit_and_the_runs(basin):
    figures = {figure.stem for figure in (basin / "results/forcing/figures").glob("*.png")}
    assert {"diagnostics", "loss_curves"} <= figures
    assert not {"energy", "skill_by_lead", "examples"} & figures  # nothing to draw of a single lead
    history = read_csv(basin / "results/forcing/none/seed0/history.csv")
    assert history["epoch"].tolist() == list(range(1, 41))
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0]
