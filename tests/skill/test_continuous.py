"""Errors, correlations and cross entropy against scikit-learn, SciPy and formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cosine
from scipy.stats import pearsonr
from sklearn.metrics import log_loss, mean_absolute_error, mean_squared_error

from pipeline_lib.errors import ScoreError
from pipeline_lib.skill import continuous
from pipeline_lib.skill.contingency import contingency
from pipeline_lib.skill.continuous import (
    cross_entropy_sums,
    error_sums,
    moment_sums,
    pearson,
    uncentred_correlation,
)
from tests.scales import HKO7
from tests.skill.cases import cases, draw, pooled


@given(cases)
def test_errors_are_those_of_scikit_learn(case):
    forecast, truth, valid = case
    sums = pooled(error_sums(forecast, truth, valid))
    squared, absolute = continuous.mean_squared_error(sums), continuous.mean_absolute_error(sums)
    if not valid.any():
        assert np.isnan(squared)
        assert np.isnan(absolute)
        return
    assert squared == pytest.approx(mean_squared_error(truth[valid], forecast[valid]), rel=1e-12)
    assert absolute == pytest.approx(mean_absolute_error(truth[valid], forecast[valid]), rel=1e-12)


def test_the_error_of_rain_rates_is_in_their_squares():
    forecast, truth = HKO7.to_share(np.array([[0.0, 3.0]])), HKO7.to_share(np.array([[0.0, 5.0]]))
    sums = error_sums(HKO7.to_rate(forecast), HKO7.to_rate(truth))
    assert continuous.mean_squared_error(sums) == pytest.approx((5 - 3) ** 2 / 2)


@given(cases)
def test_correlations_are_those_of_scipy(case):
    forecast, truth, valid = case
    sums = pooled(moment_sums(forecast, truth, valid))
    p, t = forecast[valid], truth[valid]
    if p.size > 1 and np.ptp(p) > 0 and np.ptp(t) > 0:
        assert pearson(sums) == pytest.approx(pearsonr(p, t).statistic, abs=1e-9)
    else:
        assert np.isnan(pearson(sums))
    if (p > 0).any() and (t > 0).any():
        wanted = (p @ t) / (np.linalg.norm(p) * np.linalg.norm(t) + 1e-9)
        assert uncentred_correlation(sums) == pytest.approx(wanted, rel=1e-12)
        # The published 1e-9 in the denominator is felt only where there is almost nothing.
        felt = 2e-9 / (np.linalg.norm(p) * np.linalg.norm(t))
        assert uncentred_correlation(sums) == pytest.approx(1 - cosine(p, t), abs=1e-12 + felt)
    else:
        assert np.isnan(uncentred_correlation(sums))


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-50, 50))
def test_a_scale_changes_no_correlation_and_an_offset_only_the_uncentred(seed, factor, offset):
    forecast, truth, valid = draw(seed)
    sums = pooled(moment_sums(forecast, truth, valid))
    scaled = pooled(moment_sums(factor * forecast, truth, valid))
    assert uncentred_correlation(scaled) == pytest.approx(uncentred_correlation(sums), rel=1e-6)
    moved = pooled(moment_sums(factor * forecast + offset, truth, valid))
    # Digits are lost where the offset is thousands of times the spread.
    assert pearson(moved) == pytest.approx(pearson(sums), abs=1e-3)


def test_a_perfect_forecast_and_its_opposite():
    _, truth, valid = draw(0)
    same = pooled(moment_sums(truth, truth, valid))
    assert pearson(same) == pytest.approx(1, abs=1e-12)
    assert uncentred_correlation(same) == pytest.approx(1, abs=1e-9)
    assert pearson(pooled(moment_sums(1 - truth, truth, valid))) == pytest.approx(-1, abs=1e-12)


def test_other_counts_beside_them_do_not_disturb():
    forecast, truth, valid = draw(0)
    sums = moment_sums(forecast, truth, valid)
    np.testing.assert_array_equal(pearson(sums | contingency(forecast, truth, (0.1, 0.5), valid)), pearson(sums))


@pytest.mark.parametrize("value", [0.1, 280.3, 1e-5])
def test_a_constant_field_has_no_correlation(value):
    _, truth, _ = draw(0, (5, 30, 30))
    assert np.isnan(pearson(pooled(moment_sums(np.full(truth.shape, value), truth))))


def test_warm_brightness_temperatures_keep_their_correlation():
    rng = np.random.default_rng(0)
    truth = 280 + 5 * rng.normal(size=(20, 30, 30))
    forecast = truth + rng.normal(size=truth.shape)
    wanted = pearsonr(forecast.ravel(), truth.ravel()).statistic
    assert pearson(pooled(moment_sums(forecast, truth))) == pytest.approx(wanted, abs=1e-10)


@given(st.integers(0, 2**32 - 1))
def test_cross_entropy_of_yes_and_no_is_the_log_loss(seed):
    rng = np.random.default_rng(seed)
    forecast, truth = rng.uniform(0.01, 0.99, (2, 5, 6)), rng.integers(0, 2, (2, 5, 6)).astype(float)
    got = pooled(cross_entropy_sums(forecast, truth))
    wanted = log_loss(truth.ravel(), forecast.ravel(), normalize=False, labels=[0, 1])
    assert got["cross_entropy"] == pytest.approx(wanted, rel=1e-10)


def test_cross_entropy_of_grey_values():
    truth = np.array([[0.0, 0.3, 1.0]])
    forecast = np.array([[0.2, 0.6, 0.9]])
    wanted = -(np.log(0.8) + 0.3 * np.log(0.6) + 0.7 * np.log(0.4) + np.log(0.9))
    assert cross_entropy_sums(forecast, truth)["cross_entropy"] == pytest.approx(wanted)
    # The truth itself has the lowest value, which is its entropy.
    lowest = cross_entropy_sums(truth, truth)["cross_entropy"]
    assert lowest == pytest.approx(-(0.3 * np.log(0.3) + 0.7 * np.log(0.7)))
    # Sure and wrong costs much, not infinitely much.
    assert cross_entropy_sums([[0.0]], [[1.0]])["cross_entropy"] == pytest.approx(-np.log(1e-7))


def test_a_cross_entropy_needs_shares():
    with pytest.raises(ScoreError, match="forecast frames: a cross entropy needs values from 0 to 1"):
        cross_entropy_sums([[1.1]], [[1.0]])
    with pytest.raises(ScoreError, match="true frames"):
        cross_entropy_sums([[1.0]], [[-0.1]])
    assert cross_entropy_sums([[0.5, 1.1]], [[1.0, 7.0]], [[True, False]])["cells"] == 1
