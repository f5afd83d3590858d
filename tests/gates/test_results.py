"""Differences of two competitors, as the tests of full-size experiments ask for them; on results of a few dates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from pipeline_lib.io.counts_table import write_counts
from pipeline_lib.io.manifest import Artefact
from pipeline_lib.learning.bivariate_gaussian import negative_log_likelihood
from pipeline_lib.skill.continuous import moment_sums
from tests.gates import results

EXPERIMENT = "eddies-mediterranean"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Scores of three competitors, of which the worst by far is the third; the others share the noise of the dates."""
    generator = np.random.default_rng(0)
    right = generator.integers(600, 1000, 60)
    own = generator.integers(0, 10, (2, 60))
    for model, seeds in {
        "best": [right],
        "near": [right - 20 - own[0], right - 20 - own[1]],
        "far": [right // 2],
    }.items():
        for seed, found in enumerate(seeds):
            pairs = np.zeros((60, 3, 3), dtype=np.int64)
            pairs[:, 0, 0], pairs[:, 1, 2] = found, 1000 - found
            times = np.datetime64("2005-06-01", "ns") + np.arange(60) * np.timedelta64(1, "D")
            coords = {"time": times, "label": range(3), "predicted": range(3)}
            with Artefact(tmp_path / f"{model}/seed{seed}/score.json", kind="score", code="0") as out:
                write_counts(
                    xr.Dataset({"confusion_sea": (tuple(coords), pairs)}, coords), out.payload("counts.parquet")
                )
    monkeypatch.setattr(results, "run", lambda _: tmp_path)
    results.behind.cache_clear()
    return right / 1000


def test_counts_are_those_of_each_seed(folder):
    assert {seed: found.sizes["time"] for seed, found in results.counts(EXPERIMENT, "near").items()} == {0: 60, 1: 60}


def test_a_pair_that_is_not_against_the_first_has_a_difference_with_an_interval(folder):
    found = results.behind(EXPERIMENT, "accuracy", better="near", worse="far")
    assert found.by == pytest.approx(folder.mean() / 2 - 0.0245, abs=2e-3)
    assert 0 < found.low < found.by < found.high


def test_shared_noise_of_dates_is_not_in_the_interval(folder):
    found = results.behind(EXPERIMENT, "accuracy", better="best", worse="near")
    assert found.high - found.low < folder.std() / np.sqrt(len(folder))
    assert found.low > 0


def test_who_is_better_instead_is_behind_by_less_than_nothing(folder):
    found = results.behind(EXPERIMENT, "accuracy", better="far", worse="near")
    turned = results.behind(EXPERIMENT, "accuracy", better="near", worse="far")
    assert found == (-turned.by, -turned.high, -turned.low)


def test_one_spread_for_all_loses_to_the_true_ones_and_is_right_where_there_is_one():
    generator = np.random.default_rng(2)
    for spread in (np.full(12, 0.7), np.linspace(0.3, 2, 12)):
        error = spread[:, None] * generator.standard_normal((20_000, 12, 2))
        found = xr.Dataset(
            {
                "squared_error": (("time", "lead"), (error**2).sum(-1)),
                "values": (("time", "lead"), np.ones((20_000, 12))),
            }
        )
        parameters = torch.zeros(20_000, 12, 5)
        parameters[..., 2:4] = torch.from_numpy(spread)[:, None]
        true = float(negative_log_likelihood(parameters, torch.from_numpy(error)).mean())
        gain = np.log((spread**2).mean()) - np.log(spread**2).mean()
        assert results.loss_of_one_spread(found) - true == pytest.approx(gain, abs=0.02)
        period = xr.Dataset({"distribution": (("time", "lead", "parameter"), parameters.numpy())})
        np.testing.assert_allclose(results.mean_spread([period, period]), np.stack([spread, spread], -1), rtol=1e-5)


def test_frames_of_one_value_err_by_the_variance():
    frames = np.random.default_rng(3).random((5, 4, 8, 8))
    sums = moment_sums(np.zeros_like(frames), frames)
    found = xr.Dataset({name: (("time", "lead"), values) for name, values in sums.items()})
    assert results.loss_of_one_value(found) == pytest.approx(frames.var())
