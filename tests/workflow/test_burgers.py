"""Closures of the equation of Burgers through all stages: two fields on one axis, of which one is scored."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from pandas import read_csv

from pipeline_lib.io.manifest import read_manifest
from tests.workflow.project import make_in_forks, write_simulated_project

CELLS = 12
CLOSURE = {"model": "burgers_closure"}
EXPERIMENT = {
    "title": "Tiny Burgers",
    "task": "dynamics",
    "source": "waves",
    "inputs": ["state"],
    "split": {
        "train": ["2000-01-01", "2000-01-05"],
        "validation": ["2000-01-07", "2000-01-08"],
        "test": ["2000-01-11", "2000-01-14"],
        "gap_days": 0,
    },
    "training": {
        "step": 0.05,
        "horizon": 1,
        "forecast_steps": 8,
        "free_run": 1.0,
        "precision": "float64",
        "windows": 32,
        "batch_size": 16,
        "max_epochs": 1,
    },
    "scoring": {
        "fields": [0],
        "metrics": ["rmse_8", "rmse_1", "valid_steps", "stable_share", "energy_drift", "subgrid_nrmse"],
        "intervals": {"block_days": 1.0},
    },
    "models": [
        {**CLOSURE, "name": "none", "options": {"closure": "none"}},
        {
            **CLOSURE,
            "name": "smagorinsky",
            "options": {"closure": "smagorinsky"},
            "training": {"optimizer": "levenberg_marquardt", "max_epochs": 10},
        },
        {
            **CLOSURE,
            "name": "linear",
            "options": {"closure": "linear"},
            "training": {"target": "subgrid", "optimizer": "levenberg_marquardt", "max_epochs": 10},
        },
        {**CLOSURE, "name": "network", "options": {"hidden": 4}, "training": {"horizon": 2}},
    ],
    "seeds": [0],
}
SIMULATION = {
    "simulation": "burgers",
    "step_hours": 1.2,
    "options": {"cells": CELLS, "refinement": 4, "substeps": 4, "spin_up": 2.0},
    "variables": ("state", "subgrid"),
}


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    folder = write_simulated_project(tmp_path_factory.mktemp("waves"), "burgers", EXPERIMENT, **SIMULATION)
    make_in_forks(folder, "all")
    return folder


def dataset_of(folder):
    manifest = read_manifest(folder / "data/waves/dataset/2000-01.json", kind="dataset", verify="deep")
    return xr.open_zarr(manifest.file("2000-01.zarr")).load()


def product_of(folder, name):
    file = folder / f"results/burgers/{name}/seed0/products/2000-01.json"
    return xr.open_zarr(read_manifest(file, kind="product", verify="deep").file("2000-01.zarr")).load()


def board_of(folder):
    """Values by competitor and metric."""
    return read_csv(folder / "results/burgers/leaderboard.csv", na_values="undefined").set_index(["model", "metric"])


def test_the_velocity_is_scored_and_the_force_is_not(waves):
    board, states = board_of(waves)["value"], dataset_of(waves).state
    assert states.sizes == {"time": 280, "field": 2, "x": CELLS}
    starts = slice(200, 280 - 8)  # of the test, those that a forecast of eight steps has its future after
    for name in ("none", "smagorinsky", "linear", "network"):
        forecast = product_of(waves, name).forecast[starts]
        for lead in (1, 8):
            future = states[200 + lead : 280 - 8 + lead].values
            errors = np.sqrt(((forecast[:, lead - 1].values - future) ** 2).mean(axis=(0, 2)))
            assert errors[1] < 1e-12  # it is known
            assert board[name, f"rmse_{lead}"] == pytest.approx(errors[0], rel=1e-5)


def test_fitted_closures_beat_the_coarse_solver_alone(waves):
    board = board_of(waves)["value"]
    assert np.isfinite(board).all()
    assert board["none", "subgrid_nrmse"] == 1
    assert max(board["linear", "rmse_8"], board["smagorinsky", "rmse_8"]) < board["none", "rmse_8"]
    assert max(board["linear", "subgrid_nrmse"], board["smagorinsky", "subgrid_nrmse"]) < 1
    assert (board.xs("stable_share", level="metric") == 1).all()
    learned = {
        name: read_manifest(waves / f"results/burgers/{name}/seed0/model.json", kind="model").content
        for name in ("none", "smagorinsky", "linear", "network")
    }
    assert [content["spec"]["parameters"] for content in learned.values()][:3] == [0, 1, 4]
    assert learned["network"]["stopped_epoch"] == 1


def test_figures_say_which_of_two_fields_they_are_of(waves):
    figures = {figure.stem for figure in (waves / "results/burgers/figures").glob("*.png")}
    assert figures == {
        "energy", "examples", "hovmoeller", "leaderboard", "loss_curves", "skill_by_lead", "spectra",
    }  # fmt: skip
    page = (waves / "results/burgers/report.html").read_text()
    assert "Root mean square error over all components of the fields that are scored (0, counted from 0)" in page
    assert "over the same 20 states of the test, from the same start; colours are values of the state (of its" in page
