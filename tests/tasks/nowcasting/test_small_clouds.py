"""Tiny cloud masks through the stages up to the leaderboard: logistic networks beside persistence and optical flow."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.fetch.helpers import sha256
from tests.tasks.nowcasting.projects import Finished, futures, starts_within, write_frames_project

SEEN, LEADS = 3, 2
STEP = np.timedelta64(15, "m")
SIDE, CLOUDY, GAP = 24, 5, 26
"""Cells along a side, the first class that is a cloud, and the frame that is missing."""
VALIDATION = ("2016-01-01T05:00", "2016-01-01T06:45")
TEST = ("2016-01-01T07:00", "2016-01-01T11:00")
FRAMES = 45
EXPERIMENT = {
    "title": "Tiny clouds",
    "task": "nowcasting",
    "source": "tiny-clouds",
    "inputs": ["cloud"],
    "split": {
        "train": ["2016-01-01 00:00", "2016-01-01 04:45"],
        "validation": [time.replace("T", " ") for time in VALIDATION],
        "test": [time.replace("T", " ") for time in TEST],
        "gap_days": 0,
    },
    "training": {
        "seen": SEEN,
        "leads": LEADS,
        "step_minutes": 15,
        "loss": "cross_entropy",
        "batch_size": 4,
        "windows": 4,
        "max_epochs": 1,
        "patience": None,
        "precision": "float32",
    },
    "scoring": {
        "metrics": ["event_f1_0.5", "frame_mse", "pod_0.5_lead_2"],
        "intervals": {"block_days": 0.05, "resamples": 200},
    },
    "models": [
        "last_frame",
        {"name": "farneback", "model": "optical_flow", "options": {"levels": 1, "outside": "edge"}},
        {"name": "unet", "model": "frame_unet", "options": {"widths": [3, 4], "link": "logistic"}},
        {"name": "smaat_unet", "model": "smaat_unet", "options": {"widths": [4, 6], "link": "logistic"}},
        {
            "name": "simvp",
            "model": "simvp",
            "options": {"width": 2, "hidden": 4, "layers": 2, "blocks": 2, "expansion": 2, "link": "logistic"},
        },
    ],
    "seeds": [0],
}
MODELS = [entry if isinstance(entry, str) else entry["name"] for entry in EXPERIMENT["models"]]
NETWORKS = ["unet", "smaat_unet", "simvp"]


def classes() -> xr.DataArray:
    """Cloud types of bumps that move over a surface of all classes that are clear; a corner has no data."""
    times = np.datetime64("2016-01-01", "ns") + np.arange(FRAMES) * STEP
    y, x = np.mgrid[:SIDE, :SIDE]
    values = np.empty((FRAMES, SIDE, SIDE))
    for number in range(FRAMES):
        height = np.exp(-((y - 12) ** 2 + ((x - number) % SIDE - 12) ** 2) / 25)
        values[number] = np.where(height > 0.4, CLOUDY + np.round(10 * height), 1 + (x + y) % (CLOUDY - 1))
    values[:, :3, :2] = 0
    axes = {
        "time": times,
        "latitude": 46 + np.arange(SIDE) * 0.03,
        "longitude": -5 + np.arange(SIDE) * 0.03,
    }
    made = xr.DataArray(values, axes, tuple(axes), attrs={"units": "1", "long_name": "cloud type"})
    return made.isel(time=np.arange(FRAMES) != GAP)


@pytest.fixture(scope="module")
def clouds(tmp_path_factory) -> Finished:
    folder = tmp_path_factory.mktemp("clouds")
    file = folder / "maps.nc"
    classes().rename("CT").to_dataset().to_netcdf(file, engine="h5netcdf")
    spec = {"name": "CT", "units": "1", "valid_min": 1, "valid_max": 15, "zero_is_missing": True}
    write_frames_project(
        folder,
        EXPERIMENT,
        variables={"cloud_type": spec},
        time={"start": "2016-01-01", "end": "2016-01-01", "step_hours": 0.25},
        fetch={"driver": "file", "path": str(file), "sha256": sha256(file.read_bytes())},
        preparation={"name": "cloud_mask", "options": {"variable": "cloud_type"}},
    )
    return Finished.of(folder, "tiny-clouds", "2016-01", report=False)


def test_a_mask_is_one_where_the_class_is_a_cloud(clouds):
    given, mask = classes(), clouds.dataset().cloud
    np.testing.assert_array_equal(mask.time, given.time)
    expected = np.where(given == 0, np.nan, given >= CLOUDY)
    np.testing.assert_array_equal(mask.values, expected)
    assert 0.1 < np.nanmean(expected) < 0.5


def test_scores_are_those_of_the_products_and_masks_from_the_same_starts(clouds):
    ds, found = clouds.dataset(), clouds.scores()
    starts = starts_within(ds.time.values, *TEST, seen=SEEN, leads=LEADS, step=STEP)
    assert len(starts) == 13
    truth = futures(ds.cloud.values, starts, LEADS)
    known, event = np.isfinite(truth), truth == 1
    for model in MODELS:
        np.testing.assert_array_equal(clouds.counts(model).time, ds.time.values[starts])
        guess = clouds.product(model).forecast.sel(time=ds.time.values[starts]).values.astype(float)
        yes, across = known & (guess >= 0.5), (0, 2, 3)
        hits = (yes & event).sum(axis=across)
        cells = known.sum(axis=across)
        expected = {
            "event_f1_0.5": np.mean(2 * hits / (yes.sum(axis=across) + event.sum(axis=across))),
            "frame_mse": np.mean((np.where(known, guess - truth, 0) ** 2).sum(axis=across) / cells),
            "pod_0.5_lead_2": hits[1] / event.sum(axis=across)[1],
        }
        assert {name: found[model, name] for name in expected} == pytest.approx(expected, rel=5e-6), model


@pytest.mark.parametrize("model", NETWORKS)
def test_the_loss_is_the_cross_entropy_of_forecasts_that_are_chances(clouds, model):
    ds = clouds.dataset()
    starts = starts_within(ds.time.values, *VALIDATION, seen=SEEN, leads=LEADS, step=STEP)
    assert len(starts) == 2
    truth = futures(ds.cloud.values, starts, LEADS)
    guess = clouds.forecast(model, ds.cloud.values, starts, SEEN)
    assert 0 < guess.min() < guess.max() < 1
    costs = np.where(np.isfinite(truth), -np.log(np.where(truth == 1, guess, 1 - guess)), 0)
    (told,) = clouds.history(model)["val_loss"]
    assert told == pytest.approx(costs.sum(axis=(1, 2, 3)).mean(), rel=1e-5)
    product = clouds.product(model).forecast.sel(time=ds.time.values[starts])
    np.testing.assert_allclose(product, guess, atol=1e-5)
