"""Twin experiments through all stages: observations, forecast operators, filters, scores, report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pandas import read_csv

from pipeline_lib.io.manifest import read_manifest
from tests.workflow.project import copy_of, edit_yaml, make_in_forks, snakemake, write_simulated_project

SIMULATION = {
    "simulation": "lorenz63",
    "step_hours": 0.24,
    "options": {"integrator": "rk4"},
    "preparation": {
        "name": "observed_states",
        "options": {"variable": "state", "every": 8, "components": [0, 2], "variance": 1.0},
    },
}
TRUTH = {"name": "truth", "model": "known_dynamics"}
FEW = {"assimilation": {"members": 30}}
WINDOWS = {"assimilation": {"window": 48}}
EXPERIMENT = {
    "title": "Tiny twin",
    "task": "assimilation",
    "source": "flow",
    "inputs": ["state", "observation"],
    "split": {
        "train": ["2000-01-01", "2000-01-05"],
        "validation": ["2000-01-07", "2000-01-08"],
        "test": ["2000-02-01", "2000-02-02"],
        "gap_days": 0,
    },
    "training": {"horizon": 1},
    "scoring": {"intervals": {"block_days": 1.0}},
    "models": [
        {**TRUTH, "training": FEW},
        {**TRUTH, "name": "smoother", "training": {"assimilation": {"method": "enrts", "members": 30}}},
        {
            **TRUTH,
            "name": "variational",
            "training": {"assimilation": {"method": "strong_4dvar", "window": 50}},
        },
        {"name": "analog", "model": "analog", "options": {"catalogue": 300, "neighbours": [8]}, "training": FEW},
        {"name": "interpolation", "model": "time_interpolation", "training": WINDOWS},
        {
            "name": "solver",
            "model": "fourdvarnet",
            "options": {"features": 3, "kernel": 3, "hidden": 4, "iterations": 2},
            "training": {**WINDOWS, "windows": 64, "batch_size": 16, "max_epochs": 2},
        },
    ],
}


@pytest.fixture(scope="module")
def twin(tmp_path_factory) -> Path:
    folder = write_simulated_project(tmp_path_factory.mktemp("twin"), "twin", EXPERIMENT, **SIMULATION)
    make_in_forks(folder, "all")
    return folder


@pytest.fixture
def own(twin, tmp_path) -> Path:
    """A copy that a test may change."""
    return copy_of(twin, tmp_path / "own")


def test_observations_are_the_truth_with_errors_at_the_times_and_components_that_were_asked_for(twin):
    parts = []
    for month in ("2000-01", "2000-02"):
        manifest = read_manifest(twin / f"data/flow/dataset/{month}.json", kind="dataset", verify="deep")
        parts.append(xr.open_zarr(manifest.file(f"{month}.zarr")))
    ds = xr.concat(parts, "time")
    seen = np.isfinite(ds.observation.values)
    assert seen[:, 1].sum() == 0
    times = np.flatnonzero(seen[:, 0])
    assert set(np.diff(times)) == {8}  # across the months too
    np.testing.assert_array_equal(seen[:, 0], seen[:, 2])
    errors = (ds.observation - ds.state).values[seen]
    assert errors.std() == pytest.approx(1.0, rel=0.1)
    assert ds.observation.attrs["error_variance"] == 1.0


def test_the_smoother_beats_the_filter_and_both_beat_the_observations(twin):
    board = read_csv(twin / "results/twin/leaderboard.csv", na_values="undefined").set_index(["model", "metric"])[
        "value"
    ]
    assert board["smoother", "analysis_rmse"] < board["truth", "analysis_rmse"] < 1.0
    assert board["truth", "observed_rmse"] < 1.0
    assert board["variational", "analysis_rmse"] < 2.0
    assert 0.3 < board["truth", "spread_skill"] < 3.0
    assert np.isnan(board["variational", "spread_skill"])
    product = read_manifest(twin / "results/twin/variational/seed0/products/2000-02.json", kind="product")
    assert "spread" not in xr.open_zarr(product.file("2000-02.zarr"))
    page = (twin / "results/twin/report.html").read_text()
    assert "Analyses" in page
    assert "Error within a window" in page
    assert {figure.stem for figure in (twin / "results/twin/figures").glob("*.png")} == {
        "analyses", "attractor", "error_in_window", "leaderboard", "loss_curves",
    }  # fmt: skip
    # From step 0 of the test on; the observations are every eighth state of the calendar.
    assert "as points in the plane of first and last component: the truth, with dots where anything" in page
    assert "and the analyses of the 5 best models (first seed) upon the truth (thick)" in page


def test_networks_fill_windows_from_an_interpolation(twin):
    products = {}
    for name in ("interpolation", "solver"):
        manifest = read_manifest(twin / f"results/twin/{name}/seed0/products/2000-02.json", kind="product")
        products[name] = xr.open_zarr(manifest.file("2000-02.zarr")).analysis.values
    manifest = read_manifest(twin / "data/flow/dataset/2000-02.json", kind="dataset")
    seen = xr.open_zarr(manifest.file("2000-02.zarr")).observation.values
    known = np.isfinite(seen)
    np.testing.assert_allclose(products["interpolation"][known], seen[known], rtol=1e-6)
    assert not np.allclose(products["solver"], products["interpolation"])
    model = read_manifest(twin / "results/twin/solver/seed0/model.json", kind="model").content
    assert model["best_epoch"] <= 2


def test_analyses_made_again_are_equal_to_the_byte(own):
    product = own / "results/twin/truth/seed0/products/2000-02.json"
    before = product.read_bytes()
    product.unlink()
    snakemake(own, str(product.relative_to(own)))
    assert product.read_bytes() == before


def test_a_model_with_a_memory_is_not_even_trained(own):
    lstm = {"name": "lstm", "model": "recurrent", "training": {"windows": 64, "max_epochs": 1}}
    edit_yaml(own / "config/experiments/twin.yaml", models=[lstm])
    done = snakemake(own, "results/twin/lstm/seed0/model.json", check=False)
    assert "has a memory of its forecasts, which an analysis does not correct" in done.stdout
    assert done.returncode != 0
