"""Moving digits through all stages: windows, networks, forecasts, scores, animated report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from pandas import read_csv
from PIL import Image

from pipeline_lib.io.counts_table import read_counts
from pipeline_lib.io.identifier import carried_by
from pipeline_lib.io.manifest import read_manifest
from tests.workflow.project import gyre, snakemake, write_simulated_project

SEEN, LEADS, LENGTH, WET = 3, 4, 8, 0.05
SIMULATION = {
    "simulation": "moving_digits",
    "step_hours": 3.0,
    "options": {"length": LENGTH, "side": 24, "size": 12, "digits": 1},
    "variables": ["image", "age"],
}
EXPERIMENT = {
    "title": "Tiny digits",
    "task": "nowcasting",
    "source": "digits-that-move",
    "inputs": ["image"],
    "split": {
        "train": ["2000-01-01", "2000-01-20"],
        "validation": ["2000-01-22", "2000-01-24"],
        "test": ["2000-01-26 00:00", "2000-01-31 12:00"],
        "gap_days": 0,
    },
    "training": {
        "seen": SEEN,
        "leads": LEADS,
        "step_minutes": 180,
        "stride": 5,
        "wet": WET,
        "loss": "cross_entropy",
        "batch_size": 8,
        "max_epochs": 1,
        "patience": None,
    },
    "scoring": {
        "metrics": ["sequence_cross_entropy", "frame_mse", "frame_mse_lead_4", "csi_0.5", "fss_0.5_3"],
        "intervals": {"block_days": 1.0},
    },
    "models": [
        "last_frame",
        {"name": "convlstm", "model": "convlstm", "options": {"patch": 4, "widths": [4]}},
        {
            "name": "online",
            "model": "convlstm",
            "options": {"patch": 4, "widths": [4]},
            "training": {"online": {"block": 1, "learning_rate": 0.01}},
        },
    ],
}


@pytest.fixture(scope="module")
def nowcasts(tmp_path_factory) -> Path:
    folder = write_simulated_project(tmp_path_factory.mktemp("nowcasts"), "nowcasts", EXPERIMENT, **SIMULATION)
    snakemake(folder, "all")
    return folder


def opened(file: Path, kind: str) -> xr.Dataset:
    return xr.open_zarr(read_manifest(file, kind=kind, verify="deep").file("2000-01.zarr"))


def test_forecasts_start_where_enough_frames_of_the_same_sequence_were_seen(nowcasts):
    ds = opened(nowcasts / "data/digits-that-move/dataset/2000-01.json", "dataset")
    product = opened(nowcasts / "results/nowcasts/last_frame/seed0/products/2000-01.json", "product")
    ages = ds.age.sel(time=product.time).values
    assert set(ages) == set(range(SEEN - 1, LENGTH, 5))
    assert len(ages) == 31 * 2
    start = ds.image.sel(time=product.time).values
    np.testing.assert_allclose(product.forecast.values, np.repeat(start[:, None], LEADS, axis=1), atol=1e-7)


def test_only_whole_futures_within_a_sequence_and_the_test_are_scored(nowcasts):
    folder = nowcasts / "results/nowcasts"
    board = read_manifest(folder / "leaderboard.json", kind="leaderboard").content
    # Of the two starts of a sequence one has four frames of its own to come; the last day is cut at noon.
    assert board["date_count"] == 5
    assert not board["invalid"]
    table = read_csv(folder / "leaderboard.csv").set_index(["model", "metric"])["value"]
    ds = opened(nowcasts / "data/digits-that-move/dataset/2000-01.json", "dataset")
    frames = ds.image.sel(time=slice("2000-01-26", "2000-01-31")).values.reshape(-1, LENGTH, 24, 24)[:5]
    errors = (frames[:, SEEN : SEEN + LEADS] - frames[:, SEEN - 1 : SEEN]) ** 2
    assert table["last_frame", "frame_mse"] == pytest.approx(errors.mean(), rel=1e-6)
    assert table["last_frame", "frame_mse_lead_4"] == pytest.approx(errors[:, 3].mean(), rel=1e-6)
    assert np.isfinite(table["convlstm", "sequence_cross_entropy"])


def test_the_report_moves_and_can_be_traced(nowcasts):
    folder = nowcasts / "results/nowcasts"
    with Image.open(folder / "figures/animation.gif") as gif:
        assert gif.n_frames == 1 + LEADS
    assert carried_by(folder / "figures/animation.gif") == carried_by(folder / "report.html")
    page = (folder / "report.html").read_text()
    assert page.count("data:image/gif;base64,") == 1
    counts = read_counts(folder / "convlstm/seed0/counts.parquet")
    assert (counts.forecast_power.sum("time") >= 0).all()


def test_an_online_competitor_has_the_same_weights_and_follows_each_sequence(nowcasts):
    folder = nowcasts / "results/nowcasts"
    weights = [(folder / name / "seed0/best.pt").read_bytes() for name in ("convlstm", "online")]
    assert weights[0] == weights[1]
    ds = opened(nowcasts / "data/digits-that-move/dataset/2000-01.json", "dataset")
    files = [folder / name / "seed0/products/2000-01.json" for name in ("convlstm", "online")]
    still, follows = (opened(file, "product") for file in files)
    ages = ds.age.sel(time=still.time).values
    # More: batches of other sizes round otherwise.
    changed = abs(still.forecast - follows.forecast).values.max(axis=(1, 2, 3)) > 1e-5
    # Seven frames of a sequence make a window: from the eighth on forecasts have learned from it.
    np.testing.assert_array_equal(changed, ages == SEEN + LEADS)


def test_windows_that_are_too_dry_are_counted_and_told(nowcasts):
    ds = opened(nowcasts / "data/digits-that-move/dataset/2000-01.json", "dataset")
    sequences = ds.image.sel(time=slice("2000-01-01", "2000-01-20")).values.reshape(-1, LENGTH, 24 * 24)
    shares = (sequences > 0).mean(axis=2)
    dry = sum(part[i : i + SEEN + LEADS].max() < WET for part in shares for i in range(LENGTH - SEEN - LEADS + 1))
    content = read_manifest(nowcasts / "results/nowcasts/convlstm/seed0/model.json", kind="model").content
    assert 0 < dry == content["too_dry"]["train"] == 40 - content["windows"]["train"]
    assert f"{dry} windows left out as too dry" in (nowcasts / "results/nowcasts/report.html").read_text()


def test_what_learns_nothing_cannot_follow_frames(nowcasts, tmp_path):
    refused = tmp_path / "refused.yaml"
    training = {**EXPERIMENT["training"], "online": {}}
    refused.write_text(yaml.safe_dump({**EXPERIMENT, "models": ["last_frame"], "training": training}))
    data = ("--datasets", "data/digits-that-move/dataset/2000-01.json")
    statistics = ("--statistics", "results/nowcasts/statistics.json")
    output = tmp_path / "model.json"
    done = gyre(
        "train", refused, "--model", "last_frame", "--seed", 0, *data, *statistics, "--output", output, cwd=nowcasts
    )
    assert done.returncode != 0
    assert "training.online: Last frame has no weights that could follow frames" in done.stderr
    assert not output.exists()
