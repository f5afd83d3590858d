"""Generated equations through all stages, on a source of several short trajectories."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from pandas import read_csv

from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.models.generated_pde import GeneratedPde
from tests.workflow.project import make_in_forks, write_simulated_project

STATES, TRAJECTORIES = 25, 14
"""Of a trajectory, and two of them on each day."""
SCALES = {"u": 0.5, "V": 2.5e-5, "nu": 1.25e-3}
MODEL = "generated_pde"
EXPERIMENT = {
    "title": "Tiny ensembles",
    "task": "dynamics",
    "source": "ensembles",
    "inputs": ["state"],
    "split": {
        "train": ["2000-01-01", "2000-01-02"],
        "validation": ["2000-01-04", "2000-01-04"],
        "test": ["2000-01-06", "2000-01-07"],
        "gap_days": 0,
    },
    "training": {
        "step": 0.02,
        "from_age": 5,
        "windows": None,
        "batch_size": 8,
        "max_epochs": 1,
        "horizon": 1,
        "forecast_steps": 2,
        "free_run": 0.5,
        "precision": "float64",
    },
    "scoring": {"metrics": ["rmse_1", "end_rmse", "stable_share"], "intervals": {"block_days": 1.0}},
    "models": [
        {
            "name": "theory",
            "model": MODEL,
            "options": {"learn": False, "scales": SCALES, "substeps": 4, "points": "states"},
        },
        {
            "name": "numbers",
            "model": MODEL,
            "options": {"scales": SCALES, "draw": 0.1, "substeps": 4, "points": "states"},
            "training": {"optimizer": "levenberg_marquardt", "max_epochs": 10},
        },
        {
            "name": "network",
            "model": MODEL,
            "options": {
                "system": "burgers_uncertainty_network",
                "scales": SCALES,
                "hidden": 4,
                "substeps": 4,
                "points": "states",
            },
        },
    ],
    "seeds": [0],
    "published": ["pde_netgen_2020"],
}
SIMULATION = {
    "simulation": "burgers_uncertainty",
    "step_hours": 0.48,
    "options": {"points": 48, "members": 100, "correlation_length": 0.05, "dt": 0.02, "last_step": STATES},
    "variables": ["state", "age"],
}


@pytest.fixture(scope="module")
def ensembles(tmp_path_factory):
    folder = write_simulated_project(tmp_path_factory.mktemp("ensembles"), "netgen", EXPERIMENT, **SIMULATION)
    make_in_forks(folder, "all")
    return folder


def states_of(folder):
    data = read_manifest(folder / "data/ensembles/dataset/2000-01.json", kind="dataset")
    return xr.open_zarr(data.file("2000-01.zarr"))


def product_of(folder, name):
    file = folder / f"results/netgen/{name}/seed0/products/2000-01.json"
    return xr.open_zarr(read_manifest(file, kind="product", verify="deep").file("2000-01.zarr"))


def test_free_runs_go_from_the_first_to_the_last_state_of_each_trajectory(ensembles):
    ds, product = states_of(ensembles), product_of(ensembles, "theory")
    assert product.free_run_age.values.tolist() == [*range(STATES)] * TRAJECTORIES
    assert product.free_run_age.attrs["run_steps"] == STATES
    np.testing.assert_allclose(product.free_run[::STATES], ds.state[::STATES], rtol=1e-12)
    assert abs(product.free_run[STATES - 1] - ds.state[STATES - 1]).max() > 1e-3


def test_theory_is_a_step_of_the_equations(ensembles):
    content = read_manifest(ensembles / "results/netgen/theory/seed0/model.json", kind="model").content
    assert content["spec"]["parameters"] == 0
    assert content["spec"]["options"]["system"]["trainable"] == {"a": 1.0, "b": 0.75, "c": -2.0}
    options = GeneratedPde.Options(points="states", learn=False, scales=SCALES, substeps=4)
    step = GeneratedPde.build(options, shape=(3, 48), step=0.02, mean=0.0, scale=1.0)
    start = torch.from_numpy(states_of(ensembles).state.values[30]).reshape(1, -1)
    found = product_of(ensembles, "theory").forecast[30, 0].values.ravel()
    np.testing.assert_allclose(found, step.advance(start, None)[0][0], rtol=1e-9)


def test_whole_forecasts_are_scored_and_learned_numbers_are_told(ensembles):
    leaderboard = read_manifest(ensembles / "results/netgen/leaderboard.json", kind="leaderboard")
    assert leaderboard.content["date_count"] == 4 * (STATES - 2)
    assert not leaderboard.content["invalid"]
    board = read_csv(ensembles / "results/netgen/leaderboard.csv").set_index(["model", "metric"])["value"]
    learned = read_manifest(ensembles / "results/netgen/numbers/seed0/model.json", kind="model").content["learned"]
    assert set(learned) == {"a", "b", "c"}
    page = (ensembles / "results/netgen/report.html").read_text()
    published = page[page.index('id="published"') : page.index('id="models"')]
    shown = [*(f"{value:.4g}" for value in learned.values()), "0.9331", "0.7519", "-1.8039"]
    assert all(f">{value}<" in published for value in shown)
    assert board["numbers", "rmse_1"] < board["theory", "rmse_1"] < board["network", "rmse_1"]
