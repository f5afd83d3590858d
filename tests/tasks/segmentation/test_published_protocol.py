"""The published patch protocol on real maps, against a computation of its own."""

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.metrics import METRICS
from pipeline_lib.score.bootstrap import pool
from pipeline_lib.tasks.segmentation.score import date_scores
from pipeline_lib.tasks.segmentation.scoring_options import ScoringOptions

FILE = "med_2005T2_adt_eddylabels.nc"


@pytest.fixture(scope="module")
def maps() -> xr.Dataset:
    folder = os.environ.get("GYRE_MIRROR")
    found = sorted(Path(folder).rglob(FILE)) if folder else []
    if not found:
        pytest.skip(f"needs {FILE} below the folder GYRE_MIRROR")
    return xr.open_dataset(found[0]).isel(time=slice(60, 66)).load()


def test_fifty_sets_of_patches_on_mediterranean_maps(maps: xr.Dataset) -> None:
    labels = maps.label.astype("int8")
    yesterday = labels.copy(data=np.roll(labels.values, 1, axis=0))
    pooled = pool(date_scores(yesterday, labels, np.isfinite(maps.adt), ScoringOptions()))
    per_set = []
    for w in range(50):
        truth, guess = [], []
        for day in range(6):
            column = np.random.default_rng(w * (555 + day)).integers(344 - 128 + 1)
            window = (day, slice(None), slice(column, column + 128))
            truth.append(np.where(np.isfinite(maps.adt.values[window]), labels.values[window], 0))
            guess.append(yesterday.values[window])
        t, p = np.stack(truth), np.stack(guess)
        per_set.append([2 * np.sum((t == c) & (p == c)) / (np.sum(t == c) + np.sum(p == c)) for c in range(3)])
    dice = np.array(per_set)
    assert METRICS.get("mean_dice_patches").from_counts(pooled)[0] == pytest.approx(dice.mean(), rel=1e-12)
    assert METRICS.get("mean_dice_patches_sd").from_counts(pooled)[0] == pytest.approx(
        dice.mean(axis=1).std(ddof=1), rel=1e-9
    )
    for c, name in enumerate(("none", "anticyclonic", "cyclonic")):
        assert METRICS.get(f"dice_{name}_patches").from_counts(pooled)[0] == pytest.approx(dice[:, c].mean(), rel=1e-12)
    assert 0.5 < dice.mean() < 1.0
