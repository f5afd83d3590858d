"""Rain of a feature map and linear maps: against scikit-learn, and on clouds whose law is known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from pipeline_lib.errors import DataError
from pipeline_lib.retrieval.feature_map import nearest_units
from pipeline_lib.retrieval.features import features_of
from pipeline_lib.retrieval.options import RetrievalOptions
from pipeline_lib.retrieval.rain import Retrieval, ridge
from pipeline_lib.simulations.cold_clouds import ColdClouds, rain_of

OPTIONS = RetrievalOptions(target="rain_rate", rows=6, columns=6, epochs=8, fewest=30)


def pairs(seed=0, count=600):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, 5)) * [1, 2, 3, 4, 5] + 7
    return features, np.maximum(features[:, 0] ** 2 - features[:, 2] + rng.normal(size=count), 0)


@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_a_linear_map_is_that_of_scikit_learn(penalty):
    features, rates = pairs()
    expected = Ridge(alpha=penalty).fit(features, rates)
    slopes, offset = ridge(features, rates, penalty)
    np.testing.assert_allclose(slopes, expected.coef_)
    assert offset == pytest.approx(expected.intercept_)


def test_each_unit_has_the_linear_map_of_its_samples_or_of_those_around_it():
    features, rates = pairs(count=1200)
    made = Retrieval.fit(features, rates, OPTIONS)
    np.testing.assert_allclose(made.mean, features.mean(axis=0))
    np.testing.assert_allclose(made.scale, features.std(axis=0))
    samples = (features - made.mean) / made.scale
    nearest = nearest_units(made.weights, samples)
    reaches = set()
    for unit in range(36):
        for reach in range(6):
            row, column = divmod(unit, 6)
            rows, columns = np.divmod(nearest, 6)
            chosen = (abs(rows - row) <= reach) & (abs(columns - column) <= reach)
            if chosen.sum() >= OPTIONS.fewest:
                break
        reaches.add(reach)
        expected = Ridge(alpha=OPTIONS.penalty).fit(samples[chosen], rates[chosen])
        np.testing.assert_allclose(made.slopes[unit], expected.coef_, atol=1e-9)
        assert made.offsets[unit] == pytest.approx(expected.intercept_)
        assert made.highest[unit] == rates[chosen].max()
    assert {0, 1} <= reaches  # both units with samples enough and units without


def clouds(times, **options):
    run = ColdClouds.Options(side=48, cells=8, radius=(3, 5), **options)
    ds = ColdClouds.run(run, times=times)
    return run, ds.brightness_temperature.values, ds.rain_rate.values


def test_the_law_of_generated_clouds_is_found_within_its_noise():
    run, warm, rain = clouds(40)
    features = features_of(warm).reshape(-1, 5)
    made = Retrieval.fit(features, rain.ravel(), OPTIONS.model_copy(update={"rows": 10, "columns": 10}))
    _, unseen, measured = clouds(20, seed=1)
    found = made.rates(unseen)
    assert found.shape == unseen.shape
    # The mean of a log-normal error of 0.3 is exp(0.3^2 / 2).
    law = rain_of(unseen, run) * np.exp(0.3**2 / 2)
    noise = np.sqrt(((measured - law) ** 2).mean())
    assert np.sqrt(((found - law) ** 2).mean()) < 0.35 * noise
    assert np.sqrt(((found - measured) ** 2).mean()) < 1.06 * noise
    assert found.min() == 0
    assert np.corrcoef(found.ravel(), law.ravel())[0, 1] > 0.99


def test_missing_pixels_stay_missing_and_frames_do_not_know_each_other():
    _, warm, rain = clouds(8)
    made = Retrieval.fit(features_of(warm).reshape(-1, 5), rain.ravel(), OPTIONS)
    holed = warm.copy()
    holed[2, 5, 6] = holed[3] = np.nan
    found = made.rates(holed)
    assert np.isnan(found[2, 5, 6])
    assert np.isnan(found[3]).all()
    assert np.isfinite(np.delete(found, 3, axis=0)).sum() == 7 * 48 * 48 - 1
    np.testing.assert_array_equal(found[4:], made.rates(warm[4:]))
    # Beyond the windows around the gap nothing changes.
    np.testing.assert_array_equal(found[2, 9:], made.rates(warm)[2, 9:])


def test_what_lies_below_is_one_more_feature():
    rng = np.random.default_rng(0)
    frames, surface = rng.random((12, 10, 10)), rng.integers(0, 2, (10, 10)).astype(float)
    rates = np.where(surface > 0, 5.0, 1.0) + 0 * frames
    made = Retrieval.fit(features_of(frames, surface).reshape(-1, 6), rates.ravel(), OPTIONS)
    error = made.rates(frames, surface) - rates
    assert np.sqrt((error**2).mean()) < 0.05


def test_what_looks_like_no_training_frame_gets_no_more_rain_than_was_seen():
    _, warm, rain = clouds(12)
    made = Retrieval.fit(features_of(warm).reshape(-1, 5), rain.ravel(), OPTIONS)
    strange = np.full((1, 48, 48), 100.0)
    found = made.rates(strange)
    assert found.min() >= 0
    assert found.max() <= rain.max()
    # Without that end there would be rain without end.
    free = replace(made, highest=made.highest + 1e6).rates(strange)
    assert free.max() > rain.max()


def test_it_comes_back_from_text_as_it_was():
    features, rates = pairs()
    made = Retrieval.fit(features, rates, OPTIONS)
    again = Retrieval.from_plain(json.loads(json.dumps(made.to_plain())))
    for name, values in vars(made).items():
        np.testing.assert_array_equal(getattr(again, name), values)


def test_too_few_pairs_are_refused():
    features, rates = pairs(count=20)
    with pytest.raises(DataError, match=r"training\.retrieval: there are 20 pixels .* fewer than 30; choose more"):
        Retrieval.fit(features, rates, OPTIONS)
