"""Rings of sites through all stages: what is drawn of them, shared weights, tapers, sites that are drawn at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from pandas import DataFrame, read_csv

from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.learning.model_store import load_model
from pipeline_lib.solvers.lorenz96 import Lorenz96
from pipeline_lib.solvers.schemes import RK4, integrate
from pipeline_lib.tasks.assimilation.names import POSITION
from tests.workflow.project import edit_yaml, make_in_forks, simulated, write_simulated_project

SITES, SEEN, EVERY = 8, 4, 4
"""Sites of a ring, and how many of them are observed at every so many time steps."""
WINDOW, STATES = 20, 80
"""Time steps of a window, and of the test."""
SPLIT = {
    "train": ["2000-01-01", "2000-01-05"],
    "validation": ["2000-01-07", "2000-01-08"],
    "test": ["2000-01-11", "2000-01-14"],
    "gap_days": 0,
}
SHARED = {"split": SPLIT, "scoring": {"intervals": {"block_days": 1.0}}, "seeds": [0]}
TRUTH = {"model": "known_dynamics", "options": {"system": "lorenz96"}}
TWIN = {
    "title": "Tiny ring",
    "task": "assimilation",
    "source": "ring",
    "inputs": ["state", "observation"],
    "training": {"step": 0.05, "assimilation": {"window": WINDOW}, "windows": 32, "batch_size": 16, "max_epochs": 1},
    "models": [
        {
            **TRUTH,
            "name": "etkf",
            "training": {"assimilation": {"method": "etkf", "members": 8, "inflation": 1.05, "localisation": 2.0}},
        },
        {**TRUTH, "name": "global", "training": {"assimilation": {"method": "etkf", "members": 8, "inflation": 1.05}}},
        {**TRUTH, "name": "three", "training": {"assimilation": {"method": "3dvar", "background_factor": 0.3}}},
        {**TRUTH, "name": "weak", "training": {"assimilation": {"method": "weak_4dvar", "iterations": 20}}},
        {
            "name": "fixed",
            "model": "fixed_point_network",
            "options": {"ring": True, "features": 2, "kernel": 3, "iterations": 2},
        },
        {
            "name": "solver",
            "model": "fourdvarnet",
            "options": {"prior": "lorenz96", "ring": True, "hidden": 2, "iterations": 2},
        },
    ],
    **SHARED,
}
OBSERVED = {
    "simulation": "lorenz96",
    "step_hours": 1.2,
    "options": {"sites": SITES, "pushed_site": 3, "dt": 0.05, "spin_up": 5.0},
    "preparation": {
        "name": "observed_states",
        "options": {"variable": "state", "every": EVERY, "sites": SEEN, "variance": 1.0},
    },
}
TWO_SCALES = {
    "title": "Tiny two scales",
    "task": "dynamics",
    "source": "two-scale",
    "inputs": ["state"],
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
    "models": [
        {"name": "none", "model": "known_dynamics", "options": {"system": "lorenz96", "forcing": 10.0}},
        {
            "name": "stencil",
            "model": "bilinear_stencil",
            "training": {"optimizer": "levenberg_marquardt", "windows": 90, "max_epochs": 20},
        },
        {"name": "sparse", "model": "sparse_regression"},
        {"name": "mlp", "model": "perceptron", "options": {"hidden": 8}},
        {
            "name": "attention",
            "model": "transformer",
            "options": {"window": 3, "width": 8, "heads": 2, "layers": 1, "hidden": 8},
            "training": {"horizon": 3},
        },
    ],
    **SHARED,
    "scoring": {
        "metrics": ["rmse_1", "rmse_8", "valid_steps", "stable_share", "energy_drift"],
        **SHARED["scoring"],
    },
}
SLOW = {
    "simulation": "lorenz96_two_scale",
    "step_hours": 1.2,
    "options": {"sites": SITES, "per_site": 4, "pushed_site": 3, "substeps": 10, "spin_up": 5.0},
}


@pytest.fixture(scope="module")
def rings(tmp_path_factory) -> Path:
    """A project of two experiments, one on each of two rings."""
    folder = write_simulated_project(tmp_path_factory.mktemp("rings"), "twin", TWIN, **OBSERVED)
    sources = [simulated(TWIN, **OBSERVED), simulated(TWO_SCALES, **SLOW)]
    edit_yaml(folder / "config/catalog.yaml", sources={k: v for one in sources for k, v in one["sources"].items()})
    edit_yaml(folder / "config/config.yaml", experiments=["twin", "scales"])
    (folder / "config/experiments/scales.yaml").write_text(yaml.safe_dump(TWO_SCALES))
    make_in_forks(folder, "all")
    return folder


def states_of(folder: Path, source: str) -> xr.Dataset:
    manifest = read_manifest(folder / f"data/{source}/dataset/2000-01.json", kind="dataset", verify="deep")
    return xr.open_zarr(manifest.file("2000-01.zarr")).load()


def product_of(folder: Path, run: str) -> xr.Dataset:
    manifest = read_manifest(folder / f"results/{run}/seed0/products/2000-01.json", kind="product", verify="deep")
    return xr.open_zarr(manifest.file("2000-01.zarr")).load()


def board_of(folder: Path, name: str) -> DataFrame:
    """Values by model and metric, NaN where one is undefined."""
    table = read_csv(folder / f"results/{name}/leaderboard.csv", na_values="undefined")
    return table.pivot_table(index="model", columns="metric", values="value", dropna=False)


def page_of(folder: Path, name: str) -> tuple[set[str], str]:
    """Names of the figures, and the page that shows them."""
    figures = {figure.stem for figure in (folder / f"results/{name}/figures").glob("*.png")}
    return figures, (folder / f"results/{name}/report.html").read_text()


def model_of(folder: Path, run: str) -> Path:
    return folder / f"results/{run}/seed0/model.json"


def test_some_sites_are_observed_others_each_time(rings):
    ds = states_of(rings, "ring")
    seen = np.isfinite(ds.observation.values)
    times = np.flatnonzero(seen.any(axis=1))
    assert set(np.diff(times)) == {EVERY}
    assert set(seen[times].sum(axis=1)) == {SEEN}
    assert len({tuple(row) for row in seen[times]}) > len(times) / 2
    assert seen.any(axis=0).all()


def test_each_method_analyses_windows_and_is_scored(rings):
    board = board_of(rings, "twin")
    assert set(board.index) == {"etkf", "global", "three", "weak", "fixed", "solver"}
    assert np.isfinite(board.drop(columns="spread_skill")).all(axis=None)
    assert set(board.index[board.spread_skill.notna()]) == {"etkf", "global"}
    truth = states_of(rings, "ring").state.sel(time=slice(SPLIT["test"][0], None))
    assert truth.sizes == {"time": STATES, "site": SITES}
    assert (board.analysis_rmse[["etkf", "three", "weak"]] < float(truth.std())).all()
    assert board.analysis_rmse["weak"] < board.analysis_rmse["three"]  # which knows nothing of the future
    for name in board.index:
        product = product_of(rings, f"twin/{name}").sel(time=truth.time)
        assert product[POSITION].values.tolist() == [*range(WINDOW)] * (STATES // WINDOW)
        error = float(np.sqrt(((product.analysis - truth) ** 2).mean()))
        assert board.analysis_rmse[name] == pytest.approx(error, rel=1e-5)


def test_with_a_taper_few_members_keep_their_spread_and_err_less(rings):
    told = {name: read_manifest(model_of(rings, f"twin/{name}"), kind="model").content for name in ("etkf", "global")}
    assert [told[name]["assimilation"]["localisation"] for name in told] == [2.0, None]
    spread = {name: float(product_of(rings, f"twin/{name}").spread.mean()) for name in told}
    assert spread["etkf"] > spread["global"]
    board = board_of(rings, "twin")
    assert board.analysis_rmse["etkf"] < board.analysis_rmse["global"]


@pytest.mark.parametrize("name", ["fixed", "solver"])
def test_a_stored_network_knows_of_no_first_site(rings, name):
    network = load_model(model_of(rings, f"twin/{name}")).network.double()
    start, values, chance = torch.rand(3, 1, SITES, WINDOW, dtype=torch.float64)
    with torch.no_grad():
        found, turned = (
            network(*(given.roll(places, 1) for given in (start, values, chance < 0.5))) for places in (0, 3)
        )
    torch.testing.assert_close(turned, found.roll(3, 1), rtol=0, atol=1e-9)


def test_analyses_of_sites_are_drawn_against_time(rings):
    figures, page = page_of(rings, "twin")
    assert figures == {"analyses", "error_in_window", "hovmoeller", "leaderboard", "loss_curves"}
    observed = np.isfinite(states_of(rings, "ring").observation.sel(time=slice(SPLIT["test"][0], None)).values)
    steps = np.flatnonzero(observed.any(axis=1))
    assert f"The first {STATES} states of the test, sites against time" in page
    assert f"at {len(steps)} times, from step {steps[0]} to step {steps[-1]} (grey: nothing)" in page
    assert "the analyses of the 3 best models (first seed), each above its error" in page


def test_the_equations_of_one_scale_see_slow_sites_alone(rings):
    ds = states_of(rings, "two-scale")
    assert set(ds.data_vars) == {"state"}
    start = torch.from_numpy(ds.state.values[-STATES])
    expected = integrate(Lorenz96(10.0), start, dt=0.05, steps=8, scheme=RK4)[1:]
    found = product_of(rings, "scales/none").forecast[-STATES]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_shared_weights_learn_what_the_fast_sites_do_from_few_states(rings):
    """Linear terms of a site and its neighbours stand for the mean of what it is coupled to."""
    board = board_of(rings, "scales")
    assert set(board.index) == {"none", "stencil", "sparse", "mlp", "attention"}
    assert np.isfinite(board.drop(columns="energy_drift")).all(axis=None)  # which only stable runs have
    assert board.rmse_1["stencil"] < board.rmse_1["none"] < board.rmse_1["sparse"] < board.rmse_1["mlp"]
    assert abs(board.energy_drift["stencil"]) < abs(board.energy_drift["none"])
    stencil = read_manifest(model_of(rings, "scales/stencil"), kind="model").content
    assert stencil["spec"]["parameters"] == 21
    assert stencil["best_epoch"] <= stencil["stopped_epoch"] < 20
    assert stencil["precision"] == "float64"


@pytest.mark.parametrize("name", ["stencil", "attention"])
def test_a_free_run_begins_with_the_forecast_from_its_start_whatever_a_model_remembers(rings, name):
    product = product_of(rings, f"scales/{name}")
    np.testing.assert_allclose(product.free_run[1:9], product.forecast[0], rtol=1e-9)


def test_free_runs_of_sites_are_drawn_against_time(rings):
    figures, page = page_of(rings, "scales")
    assert figures == {
        "energy", "examples", "hovmoeller", "leaderboard", "loss_curves", "skill_by_lead", "spectra",
    }  # fmt: skip
    assert "The truth and a free run of each model (first seed) over the same 20 states of the test" in page
