"""Scores of events that the scale of the frames cannot tell, or that reach beyond the frames, are refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pipeline_lib.errors import ScoreError
from pipeline_lib.rain import RainScale
from pipeline_lib.tasks.nowcasting.options import ScoringOptions
from pipeline_lib.tasks.nowcasting.score import score_stores

SCALE = RainScale(200.0, 1.6, 8.0, 45.0)
"""From 0.115 to 23.7 mm/h."""


def score(*metrics: str, **interior: tuple[int, int]) -> xr.Dataset:
    """Score forecasts without any rain against frames with some."""
    times = np.datetime64("2010-08-26", "ns") + np.arange(6) * np.timedelta64(300, "s")
    rates = np.random.default_rng(0).gamma(0.3, 12.0, (6, 8, 8))
    attrs = {"units": "1", **SCALE.attributes()}
    frames = SCALE.to_share(rates).astype(np.float32)
    dataset = xr.Dataset({"echo": (("time", "y", "x"), frames, attrs)}, {"time": times})
    told = {"forecast_of": "echo", "step_minutes": 5.0, "missing": 0.1, "seen": 1}
    dry = np.zeros((6, 1, 8, 8), np.float32)
    product = xr.Dataset({"forecast": (("time", "lead", "y", "x"), dry, told)}, {"time": times, "lead": [1]})
    options = ScoringOptions(metrics=list(metrics), interior=interior)
    return score_stores(product, None, dataset, options, where="model")[0]


@pytest.mark.parametrize("metric", ["csi_0", "csi_0.1", "pod_0.1_initiation", "fss_0.1_3", "csi_24", "far_300"])
def test_a_rate_that_is_no_share_of_its_own_is_refused(metric):
    """At 0.1 mm/h, the share 0, a forecast without rain would hit all events."""
    with pytest.raises(ScoreError, match=r"scoring\.metrics: .* mm/h or more, .* ends at 0\.115 and 23\.7 mm/h"):
        score(metric)


def test_weights_of_rates_beyond_the_scale_are_refused_and_errors_of_rates_are_counted():
    with pytest.raises(ScoreError, match=r"scoring\.metrics: b_mse or b_mae asks where it rains 30 mm/h"):
        score("b_mse")
    counts = score("rain_mse")
    assert "rain_squared_error" in counts
    assert "balanced_squared_error" not in counts


def test_rates_within_the_scale_are_scored():
    counts = score("csi_0.12", "csi_23")
    assert counts["hits_0.12"].sum() == 0 < counts["misses_23"].sum() < counts["misses_0.12"].sum()


@pytest.mark.parametrize("metric", ["fss_2_9", "power_left_9"])
def test_what_is_longer_than_the_frames_or_their_interior_is_refused(metric):
    with pytest.raises(ScoreError, match="is longer than the 8 cells that are scored"):
        score(metric)
    score(metric.replace("9", "5"))
    with pytest.raises(ScoreError, match="is longer than the 4 cells that are scored"):
        score(metric.replace("9", "5"), rows=(2, 6))
