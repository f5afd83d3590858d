"""States on two axes and of four fields on three, a model without unknowns, and one that learned the exact term."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import xarray as xr
from pandas import read_csv
from scipy.stats import pearsonr

from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.learning.forecaster import Rollout
from pipeline_lib.learning.model_store import load_model
from pipeline_lib.predict.stage import predict_file
from pipeline_lib.solvers.quasigeostrophic import steadily_forced
from pipeline_lib.solvers.schemes import RK4, integrate
from pipeline_lib.solvers.turbulence import Turbulence
from tests.workflow.project import make_in_forks, write_simulated_project

EXPERIMENT = {
    "title": "Tiny turbulence",
    "task": "dynamics",
    "source": "flow",
    "inputs": ["state"],
    "split": {
        "train": ["2000-01-01", "2000-01-03"],
        "validation": ["2000-01-05", "2000-01-05"],
        "test": ["2000-01-07", "2000-01-10"],
        "gap_days": 0,
    },
    "training": {
        "step": 0.025,
        "windows": 32,
        "max_epochs": 1,
        "horizon": 2,
        "forecast_steps": 8,
        "free_run": 1.0,
        "precision": "float64",
    },
    "scoring": {
        "metrics": ["subgrid_correlation", "subgrid_nrmse", "rmse_8", "stable_share", "energy_drift"],
        "intervals": {"block_days": 1.0},
    },
    "models": [
        {"name": "none", "model": "quasigeostrophic_closure", "options": {"closure": "none"}},
        {"name": "network", "model": "quasigeostrophic_closure", "options": {"hidden": 4, "layers": 1}},
        {
            "name": "apriori",
            "model": "quasigeostrophic_closure",
            "options": {"hidden": 4, "layers": 1},
            "training": {"target": "subgrid"},
        },
    ],
}
SIMULATION = {
    "simulation": "quasigeostrophic",
    "step_hours": 0.6,
    "options": {"points": 16, "refinement": 2, "substeps": 1, "spin_up": 2.0},
    "variables": ("state", "subgrid"),
}
BOX = copy.deepcopy(EXPERIMENT)
BOX["source"], BOX["title"] = "box", "Tiny box"
BOX["split"] = {
    "train": ["2000-01-01", "2000-01-02"],
    "validation": ["2000-01-04", "2000-01-04"],
    "test": ["2000-01-06", "2000-01-07"],
    "gap_days": 0,
}
BOX["training"].update(step=0.04, precision="float32")
BOX["scoring"]["metrics"] = ["subgrid_correlation", "rmse_8", "stable_share", "kinetic_energy_drift"]
BOX["models"] = [{"name": "network", "model": "turbulence_closure", "options": {"hidden": 4, "layers": 1}}]
BOX_SIMULATION = {
    "simulation": "turbulence",
    "step_hours": 0.96,
    "options": {"points": 8, "refinement": 2, "substeps": 1, "spin_up": 2.0},
    "variables": ("state", "subgrid"),
    "preparation": {"name": "as_is", "options": {"variables": ["state", "subgrid"]}},
}


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    folder = write_simulated_project(tmp_path_factory.mktemp("flow"), "closure", EXPERIMENT, **SIMULATION)
    make_in_forks(folder, "all")
    return folder


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    folder = write_simulated_project(tmp_path_factory.mktemp("box"), "closure-box", BOX, **BOX_SIMULATION)
    make_in_forks(folder, "all")
    return folder


def board_of(results):
    """Values by competitor and metric; NaN where one is undefined."""
    table = read_csv(results / "leaderboard.csv", na_values="undefined")
    return table.set_index(["model", "metric"])["value"]


def test_the_coarse_solver_alone_goes_through_training_untouched(flow):
    model = read_manifest(flow / "results/closure/none/seed0/model.json", kind="model", verify="deep").content
    assert model["spec"]["parameters"] == 0
    product = read_manifest(flow / "results/closure/none/seed0/products/2000-01.json", kind="product", verify="deep")
    stored = xr.open_zarr(product.file("2000-01.zarr"))
    forecast = stored.forecast
    assert forecast.dims == ("time", "lead", "y", "x")
    data = read_manifest(flow / "data/flow/dataset/2000-01.json", kind="dataset")
    states = torch.tensor(xr.open_zarr(data.file("2000-01.zarr")).state.values)
    start = states[300]
    system = steadily_forced((16, 16), viscosity=1e-3, drag=0.1, strength=3.0)
    expected = integrate(system, start, dt=0.025, steps=8, scheme=RK4)[1:]
    np.testing.assert_allclose(forecast[300], expected, rtol=1e-9, atol=1e-9)
    # Corners of the grid lie beyond the complete shells.
    np.testing.assert_allclose(stored.energy_spectrum, system.energy_spectrum(states)[:, :9], rtol=1e-9, atol=1e-12)
    assert stored.free_run_energy_spectrum.dims == ("time", "shell")


def test_all_are_scored_and_fields_are_drawn_as_maps(flow):
    board = board_of(flow / "results/closure")
    assert np.isnan(board["none", "subgrid_correlation"])  # zeros correlate with nothing
    assert np.isfinite(board.drop(("none", "subgrid_correlation"))).all()
    assert board["none", "subgrid_nrmse"] == 1
    assert board["none", "rmse_8"] != board["network", "rmse_8"]
    assert board["none", "rmse_8"] < 3
    drawn = {figure.stem for figure in (flow / "results/closure/figures").glob("*.png")}
    assert drawn == {"diagnostics", "examples", "leaderboard", "loss_curves", "maps", "skill_by_lead", "spectra"}


def test_a_closure_that_learned_the_exact_term_is_run_and_scored_with_the_others(flow):
    folder = flow / "results/closure/apriori/seed0"
    stored = load_model(folder / "model.json")
    assert stored.manifest.content["target"] == "subgrid"  # which a file from outside need not hold
    product = read_manifest(folder / "products/2000-01.json", kind="product")
    answers = xr.open_zarr(product.file("2000-01.zarr")).subgrid
    data = read_manifest(flow / "data/flow/dataset/2000-01.json", kind="dataset")
    dataset = xr.open_zarr(data.file("2000-01.zarr"))
    (described,) = stored.spec.inputs
    states = torch.tensor(dataset.state.values[:40]).flatten(1)
    with torch.no_grad():
        term = stored.network.term((states - described.mean) / described.scale)
    np.testing.assert_allclose(answers[:40], term, rtol=1e-9, atol=1e-12)
    board = board_of(flow / "results/closure")
    scored = [ds.sel(time=slice("2000-01-07", None)).values[:-8] for ds in (answers, dataset.subgrid)]
    correlation = pearsonr(*[values.ravel() for values in scored]).statistic
    assert board["apriori", "subgrid_correlation"] == pytest.approx(correlation, abs=1e-5)
    error = np.sqrt(np.mean((scored[0] - scored[1]) ** 2) / np.mean(scored[1] ** 2))
    assert board["apriori", "subgrid_nrmse"] == pytest.approx(error, abs=1e-5)
    history = read_csv(stored.manifest.file("history.csv"))
    unit = described.scale / 0.025
    validation = [ds.sel(time=slice("2000-01-05", "2000-01-05 23:59")).values for ds in (answers, dataset.subgrid)]
    assert history.val_rmse.iloc[0] == pytest.approx(np.sqrt(np.mean((validation[0] - validation[1]) ** 2)) / unit)


def test_states_from_outside_need_no_exact_term(flow, tmp_path):
    data = read_manifest(flow / "data/flow/dataset/2000-01.json", kind="dataset")
    states = xr.open_zarr(data.file("2000-01.zarr"))[["state"]].isel(time=slice(20))
    states.to_netcdf(tmp_path / "states.nc", engine="h5netcdf")
    folder = flow / "results/closure/network/seed0"
    asked = {"sources": [tmp_path / "states.nc"], "names": {}, "device": "cpu", "threads": None}
    predict_file(model=folder / "model.json", output=tmp_path / "product.zarr", **asked)
    found = xr.open_zarr(tmp_path / "product.zarr")
    assert "subgrid" not in found
    product = read_manifest(folder / "products/2000-01.json", kind="product")
    expected = xr.open_zarr(product.file("2000-01.zarr")).forecast[:20]
    np.testing.assert_allclose(found.forecast, expected, rtol=1e-9, atol=1e-9)


def test_a_box_is_advanced_by_the_trained_network_scored_and_drawn(box):
    model = read_manifest(box / "results/closure-box/network/seed0/model.json", kind="model", verify="deep")
    assert model.content["spec"]["parameters"] == 12 * 27 * 4 + 4 + 4 * 4 + 4 + 4 * 9
    assert model.content["spec"]["sizes"]["shape"] == [4, 8, 8, 8]
    product = read_manifest(box / "results/closure-box/network/seed0/products/2000-01.json", kind="product")
    forecast = xr.open_zarr(product.file("2000-01.zarr")).forecast
    assert forecast.dims == ("time", "lead", "field", "z", "y", "x")
    data = read_manifest(box / "data/box/dataset/2000-01.json", kind="dataset")
    start = torch.tensor(xr.open_zarr(data.file("2000-01.zarr")).state.values[150])
    stored = load_model(model.path)
    (described,) = stored.spec.inputs
    with torch.no_grad():
        ahead = Rollout(stored.network, 8)(((start - described.mean) / described.scale).reshape(1, -1))
    expected = (ahead[0] * described.scale + described.mean).unflatten(-1, start.shape)
    np.testing.assert_allclose(forecast[150], expected, rtol=0, atol=1e-4)
    system = Turbulence(8, viscosity=0.02, diffusivity=0.02, forcing=1 / 3, gradient=1.0)
    coarse = integrate(system, start.double(), dt=0.04, steps=8, scheme=RK4)[1:]
    assert 1e-3 < float(abs(expected - coarse).max()) < 0.5 * float(abs(expected - start).max())
    board = board_of(box / "results/closure-box")
    assert np.isfinite(board).all()
    assert board["network", "stable_share"] == 1
    drawn = {figure.stem for figure in (box / "results/closure-box/figures").glob("*.png")}
    assert drawn == {"diagnostics", "examples", "leaderboard", "loss_curves", "maps", "skill_by_lead", "spectra"}
