"""The balanced errors of HKO-7 against loops over rain rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from sklearn.metrics import mean_absolute_error, mean_squared_error

from pipeline_lib.errors import ConfigError
from pipeline_lib.learning.frame_losses import balanced_loss
from pipeline_lib.rain import RainScale
from pipeline_lib.skill.balanced import (
    balanced_errors,
    balanced_mae,
    balanced_mse,
    rain_weights,
    without_noise,
)
from tests.scales import HKO7
from tests.skill.cases import cases


def weight(rate):
    if rate < 2:
        return 1
    if rate < 5:
        return 2
    if rate < 10:
        return 5
    return 10 if rate < 30 else 30


@given(cases)
def test_sums_are_those_of_a_loop(case):
    forecast, truth, valid = case
    sums = balanced_errors(forecast, truth, HKO7, valid)
    for frame in range(len(truth)):
        squared = absolute = 0.0
        for p, t, counted in zip(forecast[frame].flat, truth[frame].flat, valid[frame].flat, strict=True):
            if counted:
                squared += weight(HKO7.to_rate(t)) * (p - t) ** 2
                absolute += weight(HKO7.to_rate(t)) * abs(p - t)
        assert sums["balanced_squared_error"][frame] == pytest.approx(squared, rel=1e-12)
        assert sums["balanced_absolute_error"][frame] == pytest.approx(absolute, rel=1e-12)


@given(cases)
def test_scores_are_the_weighted_errors_of_scikit_learn(case):
    """B-MSE and B-MAE are sums over the cells of a frame: scikit-learn's weighted means times the weights."""
    forecast, truth, valid = case
    frames = [f for f in range(len(truth)) if valid[f].any()]
    squared, absolute = [], []
    for f in frames:
        p, t = forecast[f][valid[f]], truth[f][valid[f]]
        weights = np.array([weight(rate) for rate in HKO7.to_rate(t)])
        squared.append(weights.sum() * mean_squared_error(t, p, sample_weight=weights))
        absolute.append(weights.sum() * mean_absolute_error(t, p, sample_weight=weights))
    sums = {name: values.sum() for name, values in balanced_errors(forecast, truth, HKO7, valid).items()}
    if frames:
        assert balanced_mse(sums) == pytest.approx(np.mean(squared), rel=1e-9)
        assert balanced_mae(sums) == pytest.approx(np.mean(absolute), rel=1e-9)
    else:
        assert np.isnan(balanced_mse(sums))


@pytest.mark.parametrize("scale", [HKO7, RainScale(200, 1.6, -10, 70)])
def test_weights_change_at_the_true_rates(scale):
    rates = np.array([0.0, 0.4, 1.99, 2.01, 4.99, 5.01, 9.99, 10.01, 29.9, 30.1, 200.0])
    assert rain_weights(scale.to_share(rates), scale).tolist() == [1, 1, 1, 2, 2, 5, 5, 10, 10, 30, 30]
    assert rain_weights(scale.to_share(2.0), scale) == 2


def test_weights_of_rates_beyond_the_scale_are_refused():
    """Else the share 1, here 24 mm/h, would have the weight of 30 mm/h and more."""
    short = RainScale(200, 1.6, 8, 45)
    with pytest.raises(ConfigError, match=r"asks where it rains 30 mm/h or more, .* ends at 0\.115 and 23\.7 mm/h"):
        rain_weights(np.float32([0, 1]), short)
    frames = torch.ones(1, 1, 2, 2)
    with pytest.raises(ConfigError, match="30 mm/h"):
        balanced_loss(frames, frames, short)
    assert balanced_loss(frames, frames, short, balanced=False) == 0


def test_the_truth_makes_the_weight_not_the_forecast():
    heavy, none = HKO7.to_share(40.0), 0.0
    missed = balanced_errors([[none]], [[heavy]], HKO7)["balanced_absolute_error"]
    false = balanced_errors([[heavy]], [[none]], HKO7)["balanced_absolute_error"]
    assert missed == pytest.approx(30 * heavy)
    assert false == pytest.approx(heavy)


def test_means_are_over_frames_with_valid_cells_and_not_over_cells():
    truth = np.zeros((3, 4, 5))
    valid = np.ones(truth.shape, bool)
    valid[2] = False
    sums = {name: values.sum() for name, values in balanced_errors(truth + 0.5, truth, HKO7, valid).items()}
    assert balanced_mae(sums) == pytest.approx(0.5 * 20)
    assert balanced_mse(sums) == pytest.approx(0.25 * 20)
    assert np.isnan(balanced_mse(balanced_errors(truth[2], truth[2], HKO7, valid[2])))


def test_weak_echoes_are_noise_and_no_echo_is_not():
    assert without_noise([0.0, 1e-6, 0.27, 0.28, 0.9]).tolist() == [True, False, False, True, True]
    pixels = np.array([0, 1, 70, 71, 72, 255], np.uint8)
    wanted = [True, False, False, True, True, True]
    assert without_noise(pixels / 255, 70.5 / 255).tolist() == wanted
    assert without_noise((pixels / 255).astype(np.float32), 70.5 / 255).tolist() == wanted
