"""Images out of a package through all stages: from scikit-learn to a leaderboard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from pandas import read_csv

from pipeline_lib.io.manifest import read_manifest
from pipeline_lib.learning.model_store import load_model
from pipeline_lib.models.registry import MODELS
from pipeline_lib.train.seeds import torch_seed
from tests.workflow.project import ROOT, copy_of, edit_yaml, gyre, planned, snakemake, write_files

EXPERIMENT = {
    "title": "Tiny digits",
    "task": "classification",
    "source": "digits",
    "inputs": ["image"],
    "split": {
        "train": ["2001-02-01", "2001-02-03"],
        "validation": ["2001-02-04", "2001-02-04"],
        "test": ["2001-02-05", "2001-02-06"],
        "gap_days": 0,
    },
    "training": {"max_epochs": 2, "batch_size": 16, "precision": "float32"},
    "models": [
        {"name": "lm", "model": "scheme_resnet", "options": {"block": "multistep", "blocks": 2, "widths": [4]}},
        {"name": "plain", "model": "scheme_resnet", "options": {"block": "plain", "blocks": 1, "widths": [4]}},
    ],
    "published": ["lm_resnet_2018"],
}
BOARD = "results/tiny/leaderboard.csv"


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    shipped = yaml.safe_load((ROOT / "config/catalog.yaml").read_text())
    catalog = {**shipped, "sources": {"digits": shipped["sources"]["digits"]}}
    folder = write_files(tmp_path_factory.mktemp("digits"), "tiny", EXPERIMENT, catalog, device="cpu")
    snakemake(folder, "all")
    return folder


@pytest.fixture
def own(digits, tmp_path) -> Path:
    """A copy that a test may change."""
    return copy_of(digits, tmp_path / "own")


def test_images_are_stored_as_scikit_learn_holds_them(digits):
    manifest = read_manifest(digits / "data/digits/dataset/2001-02.json", kind="dataset", verify="deep")
    assert manifest.content["shape"] == [8, 8]
    stored = xr.open_zarr(manifest.file("2001-02.zarr"))
    assert dict(stored.sizes) == {"time": 1792, "row": 8, "column": 8}
    raw = xr.open_dataset(digits / "data/digits/raw/digits.nc", engine="h5netcdf")
    for name in ("image", "label"):
        np.testing.assert_array_equal(stored[name], raw[name])  # sixteenths are exact in single precision


def test_each_image_has_probabilities_and_the_test_is_scored(digits):
    product = read_manifest(digits / "results/tiny/lm/seed0/products/2001-02.json", kind="product", verify="deep")
    ds = xr.open_zarr(product.file("2001-02.zarr"))
    assert dict(ds.log_probability.sizes) == {"time": 1792, "class": 10}
    np.testing.assert_allclose(np.exp(ds.log_probability).sum("class"), 1, rtol=1e-5)
    board = read_csv(digits / BOARD).set_index(["model", "metric"])
    assert set(board.index.get_level_values("model")) == {"lm", "plain"}
    assert board.loc[("lm", "error_rate"), "n"] == 128
    truth = xr.open_zarr(digits / "data/digits/dataset/2001-02.zarr").label
    wrong = (ds.log_probability.argmax("class") != truth).sel(time=slice("2001-02-05", "2001-02-06"))
    assert board.loc[("lm", "error_rate"), "value"] == pytest.approx(float(wrong.mean()), abs=1e-6)
    # Shown beside no number of ours, since networks and images are others.
    assert board["published"].isna().all()


def test_the_report_shows_what_it_should(digits):
    page = (digits / "results/tiny/report.html").read_text()
    for words in ("Error, depth and size", "Images that most runs got wrong", "from memory of the paper"):
        assert words in page
    names = {file.stem for file in (digits / "results/tiny/figures").glob("*.png")}
    assert names == {"error_by_size", "hard_images", "leaderboard", "loss_curves"}


def test_the_model_s_own_recipe_is_used_and_k_is_learned(digits):
    found = load_model(digits / "results/tiny/lm/seed0/model.json")
    model = MODELS.get("scheme_resnet")
    with torch.random.fork_rng():
        torch.manual_seed(torch_seed(0, "weights"))
        fresh = model.build(model.Options.model_validate(found.spec.options), **found.spec.sizes)
    first, second = ([block.k.item() for block in network.stages[0]] for network in (fresh, found.network))
    # Without a past k has no effect, so that only weight decay changes it.
    assert second[0] == pytest.approx(first[0], rel=0.005)
    assert second[1] != pytest.approx(first[1], rel=0.02)
    manifest = read_manifest(digits / "results/tiny/lm/seed0/model.json", kind="model")
    assert manifest.options["training"]["optimizer"] == "sgd"
    history = read_csv(manifest.file("history.csv"))
    np.testing.assert_allclose(history["learning_rate"], [0.1, 0.001])
    assert {"val_loss", "val_error_rate"} <= set(history.columns)


def test_a_second_run_has_nothing_to_do_and_training_again_gives_the_same_bytes(own):
    assert planned(own, "all") == {}
    model = own / "results/tiny/lm/seed0/model.json"
    before = model.read_bytes()
    model.unlink()
    snakemake(own, str(model.relative_to(own)))
    assert model.read_bytes() == before


def test_a_file_from_outside_is_classified_as_the_dataset_is(digits, tmp_path):
    out = tmp_path / "mine.zarr"
    model, raw = digits / "results/tiny/lm/seed0/model.json", digits / "data/digits/raw/digits.nc"
    done = gyre("predict", "--model", model, "--input", raw, "--output", out)
    assert done.returncode == 0, done.stderr
    product = xr.open_zarr(digits / "results/tiny/lm/seed0/products/2001-02.zarr")
    np.testing.assert_array_equal(xr.open_zarr(out).log_probability, product.log_probability)


def test_a_file_from_outside_needs_no_answers(digits, tmp_path):
    model = digits / "results/tiny/lm/seed0/model.json"
    with xr.open_dataset(digits / "data/digits/raw/digits.nc", engine="h5netcdf") as raw:
        images = raw[["image"]].isel(time=slice(40)).load()
    unsure = images.assign(label=images.image.isel(row=0, column=0, drop=True) * np.nan)
    unsure.label.attrs["units"] = "1"
    answers = []
    for name, ds in {"images": images, "unsure": unsure}.items():
        ds.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
        out = tmp_path / f"{name}.zarr"
        done = gyre("predict", "--model", model, "--input", tmp_path / f"{name}.nc", "--output", out)
        assert done.returncode == 0, done.stderr
        answers.append(xr.open_zarr(out).log_probability.values)
    whole = xr.open_zarr(digits / "results/tiny/lm/seed0/products/2001-02.zarr").log_probability.values
    # Batches of other sizes round otherwise.
    np.testing.assert_allclose(answers[0], whole[:40], atol=1e-4)
    np.testing.assert_array_equal(answers[0], answers[1])
    done = gyre(
        "predict", "--model", model, "--input", tmp_path / "images.nc", "--output", tmp_path / "no.zarr",
        "--variable", "label=digit",
    )  # fmt: skip
    assert done.returncode == 2
    assert "'label' is not needed; the model needs image" in done.stderr


def test_mistakes_are_told_in_one_line(own):
    file = own / "config/experiments/tiny.yaml"
    edit_yaml(file, training={**EXPERIMENT["training"], "classes": 9})
    done = snakemake(own, "results/tiny/lm/seed0/model.json", check=False)
    assert "target: label: holds 9, not a class from 0 to 8; correct training.classes" in done.stdout
    shared = {"name": "rk4", "model": "scheme_resnet", "options": {"block": "rk4", "normalisation": "batch"}}
    edit_yaml(file, training=EXPERIMENT["training"], models=[shared])
    done = snakemake(own, BOARD, "--dry-run", check=False)
    assert "tiny: models.rk4.options: block rk4 evaluates one F at several points" in done.stdout
