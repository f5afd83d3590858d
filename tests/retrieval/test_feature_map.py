"""Self-organising maps: against the algorithm in plain loops, and in cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.vq import kmeans2

from pipeline_lib.retrieval.feature_map import (
    first_map,
    fit_map,
    nearest_units,
    neighbourhood,
    next_map,
    radii,
)


def samples_of(seed, count, features=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, features)) * np.arange(features, 0, -1)


def quantisation_error(weights, samples):
    return np.sqrt(((samples[:, None] - weights) ** 2).sum(axis=-1)).min(axis=1).mean()


def epoch_by_loops(weights, samples, columns, radius):
    nearest = [min(range(len(weights)), key=lambda u: sum((sample - weights[u]) ** 2)) for sample in samples]
    made = []
    for unit in range(len(weights)):
        top, bottom = np.zeros(samples.shape[1]), 0.0
        for sample, of in zip(samples, nearest, strict=True):
            apart = (unit // columns - of // columns) ** 2 + (unit % columns - of % columns) ** 2
            share = math.exp(-apart / (2 * radius**2))
            top, bottom = top + share * sample, bottom + share
        made.append(top / bottom)
    return np.array(made)


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 4), columns=st.integers(1, 4), radius=st.floats(0.4, 3))
def test_an_epoch_is_that_of_plain_loops(seed, rows, columns, radius):
    samples = samples_of(seed, 30)
    weights = first_map(samples, rows, columns)
    found = next_map(weights, samples, neighbourhood(rows, columns, radius))
    np.testing.assert_allclose(found, epoch_by_loops(weights, samples, columns, radius), rtol=1e-9, atol=1e-9)


def test_one_unit_is_the_mean():
    samples = samples_of(0, 200)
    np.testing.assert_allclose(fit_map(samples, rows=1, columns=1, epochs=3), [samples.mean(axis=0)], atol=1e-12)


def test_the_first_map_lies_on_the_plane_of_the_principal_components():
    samples = samples_of(1, 500)
    weights = first_map(samples, 5, 7)
    off = samples - samples.mean(axis=0)
    _, sizes, axes = np.linalg.svd(off, full_matrices=False)
    corners = weights.reshape(5, 7, 3)
    down, across = corners[-1, 3] - corners[0, 3], corners[2, -1] - corners[2, 0]
    for side, size, axis in zip((down, across), sizes, axes, strict=False):
        assert abs(side @ axis) == pytest.approx(4 * size / math.sqrt(500))
        assert np.linalg.norm(side) == pytest.approx(abs(side @ axis))
    np.testing.assert_allclose(corners[2, 3], samples.mean(axis=0))


def test_the_map_fits_its_samples_better_and_better_and_keeps_its_order():
    samples = samples_of(2, 2000)
    weights = first_map(samples, 6, 6)
    errors = [quantisation_error(weights, samples)]
    for radius in radii(6, 6, 12):
        weights = next_map(weights, samples, neighbourhood(6, 6, radius))
        errors.append(quantisation_error(weights, samples))
    np.testing.assert_array_equal(weights, fit_map(samples, rows=6, columns=6, epochs=12))
    # The first neighbourhood is as wide as half the map; from then on it narrows.
    assert (np.diff(errors[1:]) < 0).all()
    assert errors[-1] < min(0.7 * errors[1], errors[0])
    # Units side by side on the map are alike.
    grid = weights.reshape(6, 6, 3)
    beside = np.linalg.norm(np.diff(grid, axis=1), axis=-1).mean()
    any_two = np.linalg.norm(weights[:, None] - weights, axis=-1).mean()
    assert beside < 0.5 * any_two


def test_without_a_neighbourhood_an_epoch_is_a_step_of_k_means():
    samples = samples_of(3, 400)
    weights = samples[:9].copy()
    expected, _ = kmeans2(samples, weights, iter=1, minit="matrix")
    np.testing.assert_allclose(next_map(weights, samples, np.eye(9)), expected)


def test_a_unit_without_samples_stays_where_it_is():
    samples = samples_of(4, 50)
    weights = np.concatenate([samples[:3], [[1e3, 1e3, 1e3]]])
    np.testing.assert_array_equal(next_map(weights, samples, np.eye(4))[3], weights[3])


def test_of_two_units_as_near_the_first_is_taken():
    weights = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    assert nearest_units(weights, np.array([[0.0, 2.0], [3.0, 0.0], [-0.1, 0.0]])).tolist() == [0, 0, 1]
